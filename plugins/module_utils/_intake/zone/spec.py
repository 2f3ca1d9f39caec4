# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The argument specification of ``intake_zone`` (pure)."""

from __future__ import annotations

from typing import Any, Dict

from ..._batch.spec import IDENTITY
from ..._trust.spec import PEOPLE

_SENDER: Dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "account": {"type": "str"},
    # Public keys.
    "keys": {"type": "list", "elements": "str", "required": True, "no_log": False},
    "addresses": {"type": "list", "elements": "str"},
    "quota": {"type": "str", "default": "10G"},
    "max_files": {"type": "int", "default": 1000},
}
ARGUMENT_SPEC: Dict[str, Any] = {
    "directory": {"type": "path", "default": "/srv/twinguard-intake"},
    "senders": {"type": "list", "elements": "dict", "required": True, "options": _SENDER},
    "people": {**PEOPLE, "required": True},
    "identities": {"type": "list", "elements": "dict", "options": IDENTITY},
    "passphrase_file": {"type": "path", "no_log": False},
    "reader_group": {"type": "str"},
    "validate": {"type": "list", "elements": "str"},
    "validate_timeout": {"type": "int", "default": 300},
    "maximum_size": {"type": "str", "default": "100G"},
    "maximum_files": {"type": "int", "default": 100000},
    "maximum_age_days": {"type": "int", "default": 0},
    "stale_hours": {"type": "int", "default": 24},
    "quarantine_days": {"type": "int", "default": 30},
    "memory_max": {"type": "str", "default": "512M"},
    "time_limit": {"type": "int", "default": 14400},
    "manage_service": {"type": "bool", "default": True},
    "probe": {"type": "bool", "default": True},
}
