# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The argument specification of ``audit_watch`` (pure)."""

from __future__ import annotations

from typing import Any

from .auditd_conf import SETTINGS

_READER: dict[str, Any] = {
    "user": {"type": "str"},
    "executable": {"type": "str"},
}
_WATCH: dict[str, Any] = {
    # Not 'path': that would expand variables and '~' before anyone can refuse them.
    "path": {"type": "str", "required": True},
    "recursive": {"type": "bool", "default": True},
    "permissions": {"type": "str", "default": "rwa"},
    "key": {"type": "str", "required": True, "no_log": False},
    "allowed_readers": {"type": "list", "elements": "dict", "default": [], "options": _READER},
}
ARGUMENT_SPEC: dict[str, Any] = {
    "watches": {"type": "list", "elements": "dict", "required": True, "options": _WATCH},
    "rules_file": {"type": "path", "default": "/etc/audit/rules.d/zz-twinguard.rules"},
    "auditd": {"type": "dict", "options": {name: one.spec() for name, one in SETTINGS.items()}},
    "backlog_limit": {"type": "int"},
    "immutable": {"type": "bool"},
    "rearm": {"type": "bool", "default": True},
    "block_io_uring": {"type": "bool"},
    "manage_service": {"type": "bool", "default": True},
    "canary": {"type": "bool", "default": True},
    "canary_timeout": {"type": "int", "default": 10},
}
