# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The argument specification of ``intake_sender`` (pure)."""

from __future__ import annotations

from typing import Any, Dict

_RECEIVER: Dict[str, Any] = {
    "host": {"type": "str", "required": True},
    "port": {"type": "int", "default": 22},
    "account": {"type": "str", "required": True},
    "host_keys": {"type": "list", "elements": "str", "required": True, "no_log": False},
}
_JOB: Dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "sources": {"type": "list", "elements": "str", "required": True},
    "sender": {"type": "str", "required": True},
    "receiver": {"type": "dict", "required": True, "options": _RECEIVER},
    "recipients": {"type": "list", "elements": "str"},
    # Names of files; what is in them never leaves the host.
    "passphrase_file": {"type": "path", "no_log": False},
    "signing_key": {"type": "path", "no_log": False},
    "login_key": {"type": "path", "no_log": False},
    "groups": {"type": "list", "elements": "str"},
    "schedule": {"type": "str", "default": "hourly"},
    "delay": {"type": "int", "default": 60},
    "time_limit": {"type": "int", "default": 14400},
    "memory_max": {"type": "str", "default": "512M"},
}
ARGUMENT_SPEC: Dict[str, Any] = {
    "jobs": {"type": "list", "elements": "dict", "required": True, "options": _JOB},
    "verify": {"type": "bool", "default": True},
    "send_now": {"type": "bool", "default": False},
}
