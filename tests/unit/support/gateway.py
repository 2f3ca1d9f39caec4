# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A good gateway policy, and random ones, for the tests of everything that works on a policy."""

from __future__ import annotations

import base64
import hashlib
from copy import deepcopy
from pathlib import Path
from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from hypothesis import strategies as st

from ansible_collections.twinguard.hardening.plugins.plugin_utils._gateway.policy import (
    parse_policy,
)
from ansible_collections.twinguard.hardening.plugins.plugin_utils._gateway.spec import (
    GATEWAY_SPEC,
    TIER_SPEC,
)
from ansible_collections.twinguard.hardening.plugins.plugin_utils._gateway.types import Policy

ROOT = Path(__file__).resolve().parents[3]
TEMPLATES = ROOT / "roles" / "model_gateway" / "templates"


def key_of(name: str) -> str:
    """A strong key, another one for each name."""
    return base64.urlsafe_b64encode(hashlib.sha256(name.encode()).digest()).decode().rstrip("=")


GOOD: dict[str, Any] = {
    "server_names": ["models.example.com"],
    "tls": {"certificate": "/etc/ssl/certs/x.pem", "key": "/etc/ssl/private/x.key"},
    "upstreams": [{"name": "model", "servers": ["127.0.0.1:8000"]}],
    "routes": [
        {"path": "/v1/", "upstream": "model"},
        {"path": "/healthz", "match": "exact", "upstream": "model", "auth": "none"},
    ],
    "tiers": {"standard": {"rate": "10r/s", "burst": 20, "connections": 10}},
    "clients": [{"id": "acme", "tier": "standard", "keys": [{"key": key_of("acme")}]}],
}


def good(**changes: Any) -> dict[str, Any]:
    """What a user would write, with some options changed; None takes an option away."""
    options = dict(deepcopy(GOOD), **changes)
    return {name: value for name, value in options.items() if value is not None}


def checked(**changes: Any) -> dict[str, Any]:
    """The same with Ansible's types and defaults, as the action plugin hands it to parse_policy."""
    # A copy, because Ansible fills the defaults of suboptions into the specification itself.
    result = ArgumentSpecValidator(deepcopy(GATEWAY_SPEC)).validate(good(**changes))
    assert not result.error_messages, result.error_messages
    options: dict[str, Any] = result.validated_parameters
    for name, tier in options["tiers"].items():
        options["tiers"][name] = (
            ArgumentSpecValidator(TIER_SPEC).validate(tier).validated_parameters
        )
    return options


def policy(**changes: Any) -> Policy:
    """The good policy, with some options changed."""
    return parse_policy(checked(**changes))


_NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,7}", fullmatch=True)
_RATES = st.builds("{}r/{}".format, st.integers(1, 5000), st.sampled_from("sm"))
_LIMITS = st.fixed_dictionaries(
    {"rate": _RATES},
    optional={
        "burst": st.integers(0, 500),
        "nodelay": st.booleans(),
        "connections": st.integers(1, 99),
    },
)
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~+/=-"
_KEYS = st.text(_ALPHABET, min_size=32, max_size=256).filter(lambda key: len(set(key)) >= 8)
_PATHS = st.from_regex(r"(/[a-z0-9~@:-]{1,6}){1,3}/?", fullmatch=True) | st.just("/")


@st.composite
def policies(draw: st.DrawFn) -> dict[str, Any]:
    """Options of a random gateway that is good; its keys are of every kind that is allowed."""
    upstreams = draw(st.lists(_NAMES, min_size=1, max_size=3, unique=True))
    tiers = draw(st.dictionaries(_NAMES, _LIMITS, min_size=1, max_size=3))
    handles = draw(st.lists(_KEYS, max_size=5, unique_by=lambda key: key[-6:].lower()))
    routes = draw(st.lists(_PATHS, min_size=1, max_size=3, unique=True))
    plaintext = draw(st.booleans())
    return checked(
        name=draw(_NAMES),
        plaintext=plaintext,
        tls=None
        if plaintext
        else dict(GOOD["tls"], profile=draw(st.sampled_from(["modern", "intermediate"]))),
        upstreams=[
            {"name": name, "servers": ["192.0.2.1:80"], "keepalive": draw(st.integers(0, 9))}
            for name in upstreams
        ],
        routes=[
            {
                "path": path,
                "upstream": draw(st.sampled_from(upstreams)),
                "match": draw(st.sampled_from(["exact", "prefix"])),
                "auth": draw(st.sampled_from(["api_key", "none"])),
                "methods": draw(st.lists(st.sampled_from(["GET", "POST", "PUT"]), unique=True)),
                "streaming": draw(st.booleans()),
            }
            for path in routes
        ],
        tiers=tiers,
        clients=[
            {
                "id": "c%d" % index,
                "tier": draw(st.sampled_from(sorted(tiers))),
                "keys": [{"key": key}],
            }
            for index, key in enumerate(handles)
        ],
        dry_run=draw(st.booleans()),
        trusted_proxies=draw(
            st.lists(st.sampled_from(["192.0.2.0/24", "2001:db8::/32"]), unique=True)
        ),
    )
