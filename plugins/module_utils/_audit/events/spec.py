# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The argument specification of ``audit_events_info`` (pure)."""

from __future__ import annotations

from typing import Any

from .syscalls import OPERATIONS

_OPERATIONS: dict[str, Any] = {"type": "list", "elements": "str", "choices": list(OPERATIONS)}

ARGUMENT_SPEC: dict[str, Any] = {
    # No secrets: the names by which rules mark their records.
    "keys": {"type": "list", "elements": "str", "no_log": False},
    "log_file": {"type": "path", "default": "/var/log/audit/audit.log"},
    "since": {"type": "str"},
    "until": {"type": "str"},
    "checkpoint": {"type": "path"},
    "users": {"type": "list", "elements": "str"},
    "executables": {"type": "list", "elements": "str"},
    "paths": {"type": "list", "elements": "str"},
    "operations": _OPERATIONS,
    "success": {"type": "bool"},
    "expected": {
        "type": "list",
        "elements": "dict",
        "options": {
            "user": {"type": "str"},
            "executable": {"type": "str"},
            "path": {"type": "str"},
            "key": {"type": "str", "no_log": False},
            "operations": _OPERATIONS,
        },
    },
    "unexpected_only": {"type": "bool", "default": False},
    "limit": {"type": "int", "default": 1000},
    "canaries": {"type": "path", "default": "/var/lib/twinguard/audit/canaries.json"},
}
