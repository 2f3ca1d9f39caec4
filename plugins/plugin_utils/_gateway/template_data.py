# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The data for the gateway's templates: all decisions are made here, none in Jinja (pure)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Sequence

from .types import Limit, Policy, Route

ZONE_SIZE = "10m"  # about 160,000 addresses

# Mozilla's server side TLS guideline 5.7. The finite-field (DHE) suites are left out: they need
# generated parameters, and every client that knows TLS 1.2 with AEAD knows ECDHE.
_INTERMEDIATE_CIPHERS = (
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256"
    ":ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384"
    ":ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
)
_PROFILES: dict[str, dict[str, Any]] = {
    "modern": {"protocols": "TLSv1.3", "ciphers": None},
    "intermediate": {"protocols": "TLSv1.2 TLSv1.3", "ciphers": _INTERMEDIATE_CIPHERS},
}


@dataclass(frozen=True)
class Syntax:
    """A range of nginx versions with the same syntax, from ``since`` up to but not including ``before``."""

    since: str | None
    before: str | None
    http2_directive: bool
    rejects_handshake: bool


SYNTAXES = (
    Syntax(None, "1.19.4", http2_directive=False, rejects_handshake=False),
    Syntax("1.19.4", "1.25.1", http2_directive=False, rejects_handshake=True),
    Syntax("1.25.1", None, http2_directive=True, rejects_handshake=True),
)

# (template, secret): the files of one generation, in the order in which nginx reads them.
FILES = (
    ("clients.conf", True),
    ("limits.conf", False),
    ("upstreams.conf", False),
    ("server.conf", False),
)
LOGROTATE = "logrotate"

# (codes of nginx, status, word for programs, sentence for people)
_ERRORS = (
    (
        "400 495 496 497",
        400,
        "bad_request",
        "Malformed, without a client certificate, or with a key in the query.",
    ),
    ("401", 401, "unauthorized", "Send a valid key as X-API-Key, or as Authorization: Bearer."),
    ("403", 403, "forbidden", "This is not allowed."),
    ("404", 404, "not_found", "There is no such route."),
    ("405", 405, "method_not_allowed", "This route does not take that method."),
    ("413", 413, "body_too_large", "The request body is larger than this route takes."),
    ("429", 429, "rate_limited", "Too many requests: wait for the seconds in Retry-After."),
    ("500", 500, "gateway_error", "The gateway failed."),
    ("502", 502, "model_unavailable", "The model does not answer."),
    ("503", 503, "unavailable", "The service is not available."),
    ("504", 504, "model_timeout", "The model did not answer in time."),
)


def template_data(policy: Policy, syntax: Syntax) -> dict[str, Any]:
    """The data for all templates, for one nginx syntax."""
    namespace = "tg_" + policy.name
    zones = _zones(policy, namespace)
    return {
        "name": policy.name,
        "ns": namespace,
        "keys": _keys(policy),
        "tiers": _tiers(policy, namespace),
        "retry_after": _retry_after(policy),
        "zones": [zone for zone in zones if zone["requests"] or zone["connections"]],
        "upstreams": [
            {
                "name": _upstream_name(namespace, one.name),
                "servers": one.servers,
                "keepalive": one.keepalive,
            }
            for one in policy.upstreams
        ],
        "sockets": [one.text for one in policy.listen],
        "listen_flags": _listen_flags(policy, syntax),
        "http2_directive": policy.tls is not None and syntax.http2_directive,
        "rejects_handshake": policy.tls is not None and syntax.rejects_handshake,
        "server_names": policy.server_names,
        "tls": _tls(policy),
        "headers": _headers(policy),
        "trusted_proxies": policy.trusted_proxies,
        "dry_run": "on" if policy.dry_run else "off",
        "access_log": policy.log_path,
        "error_log": error_log_path(policy.log_path),
        "keep_days": policy.log_keep_days,
        "errors": [
            {
                "codes": codes,
                "status": status,
                "error": error,
                "message": message,
                "headers": _headers(policy) + _error_headers(status, namespace),
            }
            for codes, status, error, message in _ERRORS
        ],
        "unrouted": _unrouted(policy),
        "catch_all": not any(route.path == "/" and not route.exact for route in policy.routes),
        "routes": [_route(policy, route, zones, namespace) for route in policy.routes],
    }


def zone_name(namespace: str, purpose: str, key: str) -> str:
    """A zone name that changes with its key: on reload nginx silently ignores a new key under an old name."""
    return f"{namespace}_{purpose}_{hashlib.sha256(key.encode()).hexdigest()[:8]}"


def error_log_path(access_log: str) -> str:
    """The path of the error log, beside the access log."""
    stem = access_log[: -len(".log")] if access_log.endswith(".log") else access_log
    stem = stem[: -len(".access")] if stem.endswith(".access") else stem
    return stem + ".error.log"


def _keys(policy: Policy) -> list[dict[str, str]]:
    entries = []
    for client in policy.clients:
        for one in client.credentials:
            # A leading ~ would start a regular expression in a map; a backslash escapes it.
            handle = "\\" + one.handle if one.handle.startswith("~") else one.handle
            expected = (
                one.digest if one.not_after is None else "%s,%d" % (one.digest, one.not_after)
            )
            entries.append({"handle": handle, "expected": expected, "client": client.id})
    return sorted(entries, key=lambda entry: (entry["client"], entry["handle"]))


def _tiers(policy: Policy, namespace: str) -> list[dict[str, Any]]:
    return [
        {
            "variable": _tier_variable(namespace, name),
            "clients": [c.id for c in policy.clients if c.tier == name],
        }
        for name, _limit in policy.tiers
    ]


def _retry_after(policy: Policy) -> dict[str, Any]:
    seconds = {name: limit.rate.retry_after for name, limit in policy.tiers if limit.rate}
    rejected, address = policy.rejected_limit.rate, policy.address_limit.rate
    return {
        "clients": [{"id": c.id, "seconds": seconds[c.tier]} for c in policy.clients],
        "others": max(rate.retry_after for rate in (rejected, address) if rate),
    }


def _zones(policy: Policy, namespace: str) -> list[dict[str, Any]]:
    """The limits in the order in which nginx applies them.

    A request that one limit refuses is not counted by later ones: a flood of bad keys is stopped by
    ``rejected``, and does not use up the limit of the address, which a good client may share.
    """
    zones = [
        _zone(namespace, "rejected", f"${namespace}_rejected", policy.rejected_limit),
        _zone(namespace, "address", f"${namespace}_address", policy.address_limit),
    ]
    for name, limit in policy.tiers:
        zones.append(_zone(namespace, "tier_" + name, "$" + _tier_variable(namespace, name), limit))
    return zones


def _zone(namespace: str, purpose: str, key: str, limit: Limit) -> dict[str, Any]:
    name = zone_name(namespace, purpose, key)
    requests = connections = None
    if limit.rate:
        burst = (
            " burst=%d%s" % (limit.burst, " nodelay" if limit.nodelay else "")
            if limit.burst
            else ""
        )
        requests = {"zone": name, "rate": limit.rate.text, "use": f"zone={name}{burst}"}
    if limit.connections:
        connections = {"zone": name + "_conn", "use": "%s_conn %d" % (name, limit.connections)}
    return {
        "purpose": purpose,
        "key": key,
        "size": ZONE_SIZE,
        "requests": requests,
        "connections": connections,
    }


def _route(
    policy: Policy, route: Route, zones: Sequence[dict[str, Any]], namespace: str
) -> dict[str, Any]:
    # A route without keys has no client: only the limit of the address applies.
    used = [zone for zone in zones if route.api_key or zone["purpose"] == "address"]
    upstream = next(one for one in policy.upstreams if one.name == route.upstream)
    return {
        "location": ("= " if route.exact else "") + route.path,
        "request_limits": [zone["requests"]["use"] for zone in used if zone["requests"]],
        "connection_limits": [zone["connections"]["use"] for zone in used if zone["connections"]],
        "api_key": route.api_key,
        "methods": "|".join(route.methods),
        "body_max": route.body_max,
        "read_timeout": route.read_timeout,
        "streaming": route.streaming,
        "upgrade": f"${namespace}_upgrade" if route.streaming else '""',
        "connection": f"${namespace}_connection" if route.streaming else '""',
        "client_id": f"${namespace}_client" if route.api_key else '""',
        "target": f"{'https' if upstream.ca else 'http'}://{_upstream_name(namespace, upstream.name)}",
        "upstream_ca": upstream.ca,
        "upstream_server_name": upstream.server_name,
    }


def _unrouted(policy: Policy) -> list[str]:
    """Paths that lack only the final slash of a route, and are not routes themselves."""
    routes = {route.path for route in policy.routes}
    bare = {
        route.path[:-1] for route in policy.routes if route.path.endswith("/") and not route.exact
    }
    return sorted(bare - routes - {""})


def _tls(policy: Policy) -> dict[str, Any] | None:
    tls = policy.tls
    if tls is None:
        return None
    return {
        **_PROFILES[tls.profile],
        "certificate": tls.certificate,
        "key": tls.key,
        "client_ca": tls.client_ca,
        "verify_client": "on" if tls.client_verify == "required" else "optional",
    }


def _headers(policy: Policy) -> list[dict[str, str]]:
    headers = [{"name": "X-Request-Id", "value": "$request_id"}]
    if policy.tls and policy.tls.hsts_max_age:
        headers.append(
            {"name": "Strict-Transport-Security", "value": "max-age=%d" % policy.tls.hsts_max_age}
        )
    return headers


def _error_headers(status: int, namespace: str) -> list[dict[str, str]]:
    if status == 401:
        return [{"name": "WWW-Authenticate", "value": 'Bearer realm=\\"model\\"'}]
    if status == 429:
        return [{"name": "Retry-After", "value": f"${namespace}_retry_after"}]
    return []


def _listen_flags(policy: Policy, syntax: Syntax) -> str:
    if policy.tls is None:
        return ""
    return " ssl" if syntax.http2_directive else " ssl http2"


def _tier_variable(namespace: str, tier: str) -> str:
    return f"{namespace}_tier_{tier}"


def _upstream_name(namespace: str, upstream: str) -> str:
    return f"{namespace}_{upstream}"
