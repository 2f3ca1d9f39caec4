# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The argument specification of ``git_verified_checkout`` (pure)."""

from __future__ import annotations

from typing import Any, Dict

from ..._trust.spec import HISTORY, PEOPLE

ARGUMENT_SPEC: Dict[str, Any] = {
    "repo": {"type": "str", "required": True},
    # Not 'path': that would expand variables before anyone can refuse them.
    "dest": {"type": "str", "required": True},
    "version": {"type": "str", "default": "main"},
    "people": {**PEOPLE, "required": True},
    **HISTORY,
    "pinned_root": {"type": "list", "elements": "str", "default": []},
    "ssh_key_file": {"type": "str", "no_log": False},
    "known_hosts_file": {"type": "str"},
    "timeout": {"type": "int", "default": 300},
}
