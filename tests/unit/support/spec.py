# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Brings a specification, a documentation and a role's options to one form, so that they can be compared."""

from __future__ import annotations

from typing import Any, Mapping

_KEPT = ("type", "elements", "choices", "default", "required")


def shape(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Type, elements, choices, default, whether it is required, and the same of every suboption."""
    return _shape(spec, "options")


def documented(options: Mapping[str, Any]) -> dict[str, Any]:
    """The same of what a module documents."""
    return _shape(options, "suboptions")


def secrets(spec: Mapping[str, Any], prefix: str = "") -> set[str]:
    """The dotted names of the options that no output may show."""
    found = {prefix + name for name, one in spec.items() if one.get("no_log")}
    for name, one in spec.items():
        found |= secrets(one.get("options") or {}, prefix + name + ".")
    return found


def _shape(options: Mapping[str, Any], nested: str) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, one in options.items():
        made[name] = {key: one[key] for key in _KEPT if one.get(key) is not None}
        made[name].setdefault("required", False)
        if one.get(nested):
            made[name]["options"] = _shape(one[nested], nested)
    return made
