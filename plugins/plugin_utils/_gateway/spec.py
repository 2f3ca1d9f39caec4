# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The argument specification of ``nginx_gateway``, which its action plugin uses (pure)."""

from __future__ import annotations

from typing import Any

_LIMIT: dict[str, Any] = {
    "rate": {"type": "str"},
    "burst": {"type": "int"},
    "nodelay": {"type": "bool", "default": True},
}
_CONNECTIONS: dict[str, Any] = {"connections": {"type": "int"}}

GATEWAY_SPEC: dict[str, Any] = {
    "name": {"type": "str", "default": "gateway"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "server_names": {"type": "list", "elements": "str"},
    "listen": {
        "type": "list",
        "elements": "dict",
        "default": [{"address": "0.0.0.0", "port": 443}],
        "options": {
            "address": {"type": "str", "required": True},
            "port": {"type": "int", "required": True},
        },
    },
    "plaintext": {"type": "bool", "default": False},
    "tls": {
        "type": "dict",
        "options": {
            "certificate": {"type": "str", "required": True},
            "key": {"type": "str", "required": True, "no_log": False},
            "profile": {
                "type": "str",
                "choices": ["modern", "intermediate"],
                "default": "intermediate",
            },
            "hsts_max_age": {"type": "int", "default": 63072000},
            "client_ca": {"type": "str"},
            "client_verify": {"type": "str", "choices": ["required", "optional"]},
        },
    },
    "upstreams": {
        "type": "list",
        "elements": "dict",
        "options": {
            "name": {"type": "str", "required": True},
            "servers": {"type": "list", "elements": "str", "required": True},
            "keepalive": {"type": "int", "default": 16},
            "tls": {
                "type": "dict",
                "options": {
                    "ca": {"type": "str", "required": True},
                    "server_name": {"type": "str"},
                },
            },
        },
    },
    "routes": {
        "type": "list",
        "elements": "dict",
        "options": {
            "path": {"type": "str", "required": True},
            "match": {"type": "str", "choices": ["prefix", "exact"], "default": "prefix"},
            "upstream": {"type": "str", "required": True},
            "auth": {"type": "str", "choices": ["api_key", "none"], "default": "api_key"},
            "methods": {
                "type": "list",
                "elements": "str",
                "choices": ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"],
            },
            "body_max": {"type": "str", "default": "10m"},
            "read_timeout": {"type": "int", "default": 60},
            "streaming": {"type": "bool", "default": False},
        },
    },
    "tiers": {"type": "dict", "default": {}},
    "clients": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "id": {"type": "str", "required": True},
            "tier": {"type": "str", "required": True},
            "keys": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "no_log": False,
                "options": {
                    "key": {"type": "str", "no_log": True},
                    "key_hash": {"type": "str", "no_log": True},
                    "not_after": {"type": "str"},
                },
            },
        },
    },
    "limits": {
        "type": "dict",
        "default": {},
        "options": {
            "address": {
                "type": "dict",
                "default": {"rate": "50r/s", "burst": 100, "connections": 50},
                "options": dict(_LIMIT, **_CONNECTIONS),
            },
            "rejected": {
                "type": "dict",
                "default": {"rate": "30r/m", "burst": 10},
                "options": dict(_LIMIT),
            },
        },
    },
    "trusted_proxies": {"type": "list", "elements": "str", "default": []},
    "dry_run": {"type": "bool", "default": False},
    "access_log": {
        "type": "dict",
        "default": {},
        "options": {
            "path": {"type": "str", "default": "/var/log/twinguard/gateway.access.log"},
            "keep_days": {"type": "int", "default": 14},
        },
    },
    "marker_port": {"type": "int", "default": 8179},
    "templates": {"type": "str", "default": ""},
    "conf_path": {"type": "path", "default": "/etc/nginx/nginx.conf"},
    "service": {"type": "str", "default": "nginx"},
}
TIER_SPEC: dict[str, Any] = dict(_LIMIT, **_CONNECTIONS)
REQUIRED_WHEN_PRESENT = [("state", "present", ["server_names", "upstreams", "routes"])]
