# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The argument specifications of ``batch_seal`` and ``batch_open`` (pure)."""

from __future__ import annotations

from typing import Any, Dict

from .._trust.spec import PEOPLE
from .types import MINIMUM_PASSPHRASE_ITERATIONS

# Options that name a file with a secret are not secret: no_log is False, or Ansible warns of their names.
SEAL_SPEC: Dict[str, Any] = {
    "sources": {"type": "list", "elements": "path", "required": True},
    "outbox": {"type": "path", "required": True},
    "state_dir": {"type": "path", "default": "/var/lib/twinguard/batch_seal"},
    "sender": {"type": "str", "required": True},
    "signing_key": {"type": "path", "required": True, "no_log": False},
    "recipients": {"type": "list", "elements": "path"},
    "passphrase_file": {"type": "path", "no_log": False},
    "iterations": {"type": "int", "default": MINIMUM_PASSPHRASE_ITERATIONS},
    "force": {"type": "bool", "default": False},
}
IDENTITY: Dict[str, Any] = {
    "key": {"type": "path", "required": True, "no_log": False},
    "certificate": {"type": "path", "required": True},
}
"""A private key and its certificate; ``intake_zone`` takes the same."""

OPEN_SPEC: Dict[str, Any] = {
    "directory": {"type": "path", "required": True},
    "batch": {"type": "str"},
    "people": {**PEOPLE, "required": True},
    "senders": {"type": "list", "elements": "str"},
    "identities": {"type": "list", "elements": "dict", "options": IDENTITY},
    "passphrase_file": {"type": "path", "no_log": False},
    "destination": {"type": "path", "required": True},
    "quarantine": {"type": "path", "required": True},
    "state_dir": {"type": "path", "default": "/var/lib/twinguard/batch_open"},
    "verify_only": {"type": "bool", "default": False},
    "remove": {"type": "bool", "default": True},
    "maximum_bytes": {"type": "int", "default": 1 << 40},
    "maximum_files": {"type": "int", "default": 100_000},
    "maximum_age": {"type": "int", "default": 0},
    "mode": {"type": "str", "default": "0640"},
    "directory_mode": {"type": "str", "default": "0750"},
    "validate": {"type": "list", "elements": "str"},
    "validate_timeout": {"type": "int", "default": 300},
}
