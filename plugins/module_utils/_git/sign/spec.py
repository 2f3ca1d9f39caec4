# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The argument specification of ``git_signing`` (pure)."""

from __future__ import annotations

from typing import Any

from ..._trust.spec import PEOPLE

_IDENTITY: dict[str, Any] = {
    "scope": {"type": "str", "choices": ["user", "system", "repository"], "default": "user"},
    "user": {"type": "str"},
    # Not 'path': that would expand '~' to the home of whoever runs the module.
    "repository": {"type": "str"},
    "format": {"type": "str", "choices": ["ssh", "openpgp", "x509"], "default": "ssh"},
    "key": {"type": "str", "no_log": False},
    "create": {"type": "bool", "default": False},
    "passphrase_file": {"type": "str", "no_log": False},
    "agent_socket": {"type": "str"},
    "unattended": {"type": "bool", "default": True},
    "name": {"type": "str"},
    "email": {"type": "str"},
    "sign_commits": {"type": "bool", "default": True},
    "sign_tags": {"type": "bool", "default": True},
    "min_trust_level": {
        "type": "str",
        "choices": ["undefined", "never", "marginal", "fully", "ultimate"],
    },
    "prove": {"type": "bool", "default": True},
}
ARGUMENT_SPEC: dict[str, Any] = {
    "identities": {"type": "list", "elements": "dict", "default": [], "options": _IDENTITY},
    "people": PEOPLE,
    "allowed_signers_file": {"type": "path", "default": "/etc/twinguard/git/allowed_signers"},
    "revocation_file": {"type": "path", "default": "/etc/twinguard/git/revoked_keys"},
}
