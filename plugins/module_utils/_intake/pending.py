# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes that both sides of the intake plan alike, and the sentence about pending ones (pure)."""

from __future__ import annotations

from typing import Mapping, Sequence

from .._core.plan import Change

INTERRUPTED = Change("an earlier run", "was interrupted\n", "is rolled back\n")
"""The files of a run that was killed are restored first."""

_NAMED = 3


def switched_on(name: str, units: Mapping[str, Mapping[str, str]]) -> Change:
    """The change that has a unit run now and after each boot."""
    unit = units.get(name, {})
    state = f"{unit.get('ActiveState', 'inactive')}, {unit.get('UnitFileState') or 'absent'}\n"
    return Change(name, state, "active, enabled\n")


def sentence(keys: Sequence[str]) -> str:
    """A reason that names the first pending changes."""
    more = f" and {len(keys) - _NAMED} more" if len(keys) > _NAMED else ""
    return f"not in force, changes are pending: {', '.join(keys[:_NAMED])}{more}"
