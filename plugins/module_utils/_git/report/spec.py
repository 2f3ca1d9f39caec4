# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The argument specification of ``git_signatures_info`` (pure)."""

from __future__ import annotations

from typing import Any, Dict

from ..._trust.spec import HISTORY, PEOPLE

ARGUMENT_SPEC: Dict[str, Any] = {
    "repositories": {
        "type": "list",
        "elements": "dict",
        "options": {
            "path": {"type": "str", "required": True},
            "revisions": {"type": "list", "elements": "str", "default": ["HEAD"]},
            "since": {"type": "str"},
            "pinned_root": {"type": "list", "elements": "str", "default": []},
            "accepted": {"type": "path"},
        },
    },
    "guard_policy": {"type": "path"},
    "people": PEOPLE,
    "allowed_signers": {"type": "path"},
    **HISTORY,
    "cache_dir": {"type": "path"},
    "all": {"type": "bool", "default": False},
    "limit": {"type": "int", "default": 1000},
}

RULES: Dict[str, Any] = {
    "required_one_of": [["repositories", "guard_policy"]],
    "mutually_exclusive": [
        ["repositories", "guard_policy"],
        ["people", "allowed_signers"],
        ["people", "guard_policy"],
        ["allowed_signers", "guard_policy"],
    ],
}
