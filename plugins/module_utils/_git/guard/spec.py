# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The argument specification of ``git_guard`` (pure)."""

from __future__ import annotations

from typing import Any, Dict

from ..._trust.spec import HISTORY, PEOPLE

_REPOSITORY: Dict[str, Any] = {
    # Not 'path': that would expand variables and '~' before anyone can refuse them.
    "path": {"type": "str", "required": True},
    "protected": {
        "type": "list",
        "elements": "str",
        "default": ["refs/heads/main", "refs/tags/*"],
    },
    "pinned_root": {"type": "list", "elements": "str", "default": []},
    "hook": {"type": "str"},
    "deny_non_fast_forwards": {"type": "bool"},
    "deny_deletes": {"type": "bool"},
}
ARGUMENT_SPEC: Dict[str, Any] = {
    "repositories": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": _REPOSITORY,
    },
    "people": {**PEOPLE, "required": True},
    **HISTORY,
    "config_dir": {"type": "path", "default": "/etc/twinguard/git-guard"},
    "state_dir": {"type": "path", "default": "/var/lib/twinguard/git-guard"},
    "lib_dir": {"type": "path", "default": "/usr/local/lib/twinguard"},
    "python": {"type": "path", "default": "/usr/bin/python3"},
    "prove": {"type": "bool", "default": True},
}
