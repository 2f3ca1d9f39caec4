# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options that name whose signatures count (pure).

Their documentation is the fragment C(twinguard.hardening._people).
"""

from __future__ import annotations

from typing import Any, Dict

from .people import CLOCK_SKEW

# No secrets in it: public keys only.
PEOPLE: Dict[str, Any] = {
    "type": "list",
    "elements": "dict",
    "options": {
        "name": {"type": "str", "required": True},
        "principals": {"type": "list", "elements": "str", "required": True},
        "keys": {
            "type": "list",
            "elements": "dict",
            "required": True,
            "no_log": False,
            "options": {
                "key": {"type": "str", "no_log": False},
                "openpgp": {"type": "str"},
                "namespaces": {"type": "list", "elements": "str"},
                "valid_after": {"type": "str"},
                "valid_before": {"type": "str"},
                "revoked": {"type": "bool", "default": False},
                "revoked_since": {"type": "str"},
            },
        },
    },
}
HISTORY: Dict[str, Any] = {
    "forges": {**PEOPLE, "default": []},
    "exceptions": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "commit": {"type": "str", "required": True},
            "reason": {"type": "str", "required": True},
        },
    },
    "clock_skew": {"type": "int", "default": CLOCK_SKEW},
}
