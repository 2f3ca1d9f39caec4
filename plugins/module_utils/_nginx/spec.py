# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The argument specification of ``nginx_config`` (pure)."""

from __future__ import annotations

from typing import Any

_FILE: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "content": {"type": "str", "required": True},
    "since": {"type": "str"},
    "before": {"type": "str"},
}
ARGUMENT_SPEC: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "files": {"type": "list", "elements": "dict", "default": [], "options": _FILE},
    "secret_files": {
        "type": "list",
        "elements": "dict",
        "default": [],
        # All of it: nested no_log does not keep a content of several lines out of the host's journal.
        "no_log": True,
        "options": dict(_FILE, content={"type": "str", "required": True, "no_log": True}),
    },
    "companions": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "path": {"type": "path", "required": True},
            "content": {"type": "str", "required": True},
        },
    },
    "directories": {"type": "list", "elements": "path", "default": []},
    "watch": {"type": "list", "elements": "path", "default": []},
    "probes": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "id": {"type": "str", "required": True},
            "kind": {"type": "str", "choices": ["handshake", "request"], "required": True},
            "address": {"type": "str", "required": True},
            "port": {"type": "int", "required": True},
            "server_name": {"type": "str", "required": True},
            "tls": {"type": "bool", "default": True},
            "protocol": {"type": "str", "choices": ["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"]},
            "method": {"type": "str", "default": "GET"},
            "path": {"type": "str", "default": "/"},
            "expect": {"type": "list", "elements": "str", "required": True},
            "log": {"type": "path"},
        },
    },
    "marker_port": {"type": "int", "default": 8179},
    "conf_path": {"type": "path", "default": "/etc/nginx/nginx.conf"},
    "service": {"type": "str", "default": "nginx"},
    "timeout": {"type": "int", "default": 15},
}
