# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The argument specification of ``win_guard`` (pure)."""

from __future__ import annotations

from typing import Any

_WORDS: dict[str, Any] = {"type": "list", "elements": "str", "default": []}

PROFILE_SPEC: dict[str, Any] = {
    "enabled": {"type": "bool"},
    "default_inbound": {"type": "str", "choices": ["block", "allow"]},
    "default_outbound": {"type": "str", "choices": ["block", "allow"]},
    "allow_inbound_rules": {"type": "bool"},
    "allow_local_rules": {"type": "bool"},
    "notify_on_listen": {"type": "bool"},
    "log_blocked": {"type": "bool"},
    "log_allowed": {"type": "bool"},
    "log_file": {"type": "str"},
    "log_max_kilobytes": {"type": "int"},
}
"""Settings of one profile; what is not given is left alone."""

_PROFILE: dict[str, Any] = {"type": "dict", "options": PROFILE_SPEC}
_PROFILE_LIST: dict[str, Any] = {
    "type": "list",
    "elements": "str",
    "choices": ["domain", "private", "public"],
}

RULE_SPEC: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "description": {"type": "str", "default": ""},
    "enabled": {"type": "bool", "default": True},
    "direction": {"type": "str", "choices": ["inbound", "outbound"], "default": "inbound"},
    "action": {"type": "str", "choices": ["allow", "block"], "default": "allow"},
    "profiles": {**_PROFILE_LIST, "default": ["domain", "private", "public"]},
    "protocol": {"type": "str", "default": "any"},
    "local_ports": _WORDS,
    "remote_ports": _WORDS,
    "icmp_types": _WORDS,
    "local_addresses": _WORDS,
    "remote_addresses": _WORDS,
    "program": {"type": "str", "default": "any"},
    "service": {"type": "str", "default": "any"},
    "interface_type": {
        "type": "str",
        "choices": ["any", "wired", "wireless", "remoteaccess"],
        "default": "any",
    },
    "edge_traversal": {
        "type": "str",
        "choices": ["block", "allow", "defertouser", "defertoapp"],
        "default": "block",
    },
}
"""One rule of ours. We manage the whole rule, so every option has a default."""

EXCLUSIONS_SPEC: dict[str, Any] = {
    "paths": {"type": "list", "elements": "str"},
    "extensions": {"type": "list", "elements": "str"},
    "processes": {"type": "list", "elements": "str"},
    "ip_addresses": {"type": "list", "elements": "str"},
    "mode": {"type": "str", "choices": ["merge", "exact"], "default": "merge"},
}

DEFENDER_SPEC: dict[str, Any] = {
    "real_time_protection": {"type": "bool"},
    "cloud_reporting": {"type": "str", "choices": ["disabled", "basic", "advanced"]},
    "cloud_block_level": {
        "type": "str",
        "choices": ["default", "moderate", "high", "high_plus", "zero_tolerance"],
    },
    "sample_submission": {
        "type": "str",
        "choices": ["always_prompt", "send_safe", "never_send", "send_all"],
    },
    "pua_protection": {"type": "str", "choices": ["disabled", "enabled", "audit"]},
    "network_protection": {"type": "str", "choices": ["disabled", "enabled", "audit"]},
    "attack_surface_reduction": {"type": "dict"},
    "exclusions": {"type": "dict", "options": EXCLUSIONS_SPEC},
}
"""Settings of Defender; what is not given is left alone."""

GUARD_SPEC: dict[str, Any] = {
    "group": {"type": "str", "default": "twinguard"},
    "profiles": {
        "type": "dict",
        "options": dict.fromkeys(("all", "domain", "private", "public"), _PROFILE),
    },
    "rules": {"type": "list", "elements": "dict", "options": RULE_SPEC},
    "unmanaged": {
        "type": "dict",
        "options": {
            "action": {
                "type": "str",
                "choices": ["ignore", "disable", "remove"],
                "default": "ignore",
            },
            "direction": {"type": "str", "choices": ["inbound", "outbound"]},
            "profiles": _PROFILE_LIST,
        },
    },
    "defender": {"type": "dict", "options": DEFENDER_SPEC},
    "lockout_guard": {"type": "bool", "default": True},
    "controller_addresses": _WORDS,
    "management_port": {"type": "int"},
}
"""The options of ``win_guard``."""
