# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The probes that test whether the gateway's policy is in force, and the findings from their answers (pure)."""

from __future__ import annotations

import re
from typing import Any, Dict, Iterable, Mapping, Sequence

from ...module_utils._core.controls import finding
from .template_data import SYNTAXES, template_data
from .types import Limit, Policy, Route

_UNKNOWN_NAME = "unknown.twinguard.invalid"
# With a client certificate required, a request without one ends in 400 before its key is looked at.
_REFUSED = ("400", "401", "403", "429")

Finding = Dict[str, Any]


def probes(policy: Policy) -> list[dict[str, Any]]:
    """The probes to send to the running gateway, from its own host."""
    listen = policy.listen[0]
    name = policy.server_names[0].replace("*.", "any.")
    base = {
        "address": _reach(listen.address),
        "port": listen.port,
        "server_name": name,
        "tls": policy.tls is not None,
    }
    unknown = dict(base, server_name=_UNKNOWN_NAME, expect=["refused", "closed"])
    wanted = []
    if policy.tls:
        wanted += [
            dict(base, id="tls", kind="handshake", expect=["accepted"]),
            dict(base, id="old_tls", kind="handshake", protocol="TLSv1.1", expect=["refused"]),
        ]
    wanted.append(dict(unknown, id="unknown_host", kind="request"))
    if _wants_certificate(policy):
        wanted.append(dict(base, id="client_certificate", kind="request", expect=["400"]))
    for route in policy.routes:
        if route.api_key:
            method = route.methods[0] if route.methods else "GET"
            wanted.append(
                dict(
                    base,
                    id="key " + route.path,
                    kind="request",
                    method=method,
                    path=route.path,
                    expect=list(_REFUSED),
                    log=policy.log_path,
                )
            )
    return wanted


def findings(
    policy: Policy,
    force: tuple[str, str],
    evidence: Mapping[str, Any],
    answers: Iterable[Mapping[str, Any]],
) -> list[Finding]:
    """The findings for the gateway; ``force`` is the status and reason of ``gateway.in_force``."""
    by_id = {answer["id"]: answer for answer in answers}
    name = policy.server_names[0]
    found = [finding("gateway.in_force", policy.name, force[0], force[1], evidence)]
    if force[0] != "pass":
        # A configuration that is not served cannot pass any other control.
        reason = "this policy is not in force (see gateway.in_force)"
        return found + [finding(one, where, force[0], reason) for one, where in _applicable(policy)]
    found.append(_tls(policy, name, by_id))
    found.append(_unknown_host(name, by_id))
    found.append(_client_certificate(policy, name, by_id))
    found += [_api_key(route, by_id.get("key " + route.path)) for route in policy.routes]
    zones = {zone["purpose"]: zone for zone in template_data(policy, SYNTAXES[-1])["zones"]}
    by_address = (("rejected", policy.rejected_limit), ("address", policy.address_limit))
    found += [
        _limited("gateway.flood_limit", purpose, limit, zones.get(purpose), policy.dry_run)
        for purpose, limit in by_address
    ]
    found += [
        _limited("gateway.rate_limit", tier, limit, zones["tier_" + tier], policy.dry_run)
        for tier, limit in policy.tiers
    ]
    found.append(_access_log(policy, by_id.values()))
    return found


def explain(policy: Policy, complaints: Sequence[Mapping[str, Any]]) -> str | None:
    """Nginx's complaint in terms of the option that caused it; None if no option of the policy did."""
    for complaint in complaints:
        text = str(complaint["text"])
        for pattern, explanation in _EXPLANATIONS:
            found = re.search(pattern, text)
            option = _option_for(policy, found.group(1)) if found else None
            if found and option:
                return f"option '{option}' = {found.group(1)!r}: {explanation} (nginx: {text})"
    return None


_EXPLANATIONS = (
    (
        r'host not found in upstream "([^"]+)"',
        "this name does not resolve on the gateway; give an address or a name it can resolve",
    ),
    (
        r'cannot load certificate "([^"]+)"',
        "nginx cannot load this certificate; put a PEM file at this path on the gateway",
    ),
    (
        r'cannot load certificate key "([^"]+)"',
        "nginx cannot load this key; put the certificate's PEM key at this path on the gateway",
    ),
    (
        r'SSL_CTX_use_PrivateKey(?:_file)?\("([^"]+)"\) failed',
        "this key does not match the certificate; give a matching pair",
    ),
    (
        r'SSL_CTX_load_verify_locations\("([^"]+)"\) failed',
        "nginx cannot load these authorities; put a PEM file at this path on the gateway",
    ),
    (
        r'conflicting server name "([^"]+)"',
        "another nginx file already serves this name at the same address; remove the name there or here",
    ),
    (
        r"a duplicate default server for (\S+)",
        "another nginx file is the default server here; remove default_server there or choose another address",
    ),
    (
        r"bind\(\) to (\S+) failed \(98",
        "another program uses this address; stop it or choose another port",
    ),
    (
        r"bind\(\) to (\S+) failed \(99",
        "the gateway does not have this address; choose one that it has",
    ),
)


def _option_for(policy: Policy, value: str) -> str | None:
    """The option with a value that nginx complained of; None if the value is from another file."""
    if value == "127.0.0.1:%d" % policy.marker_port:
        return "marker_port"
    if value in [one.text for one in policy.listen]:
        return "listen"
    bare = value.split(":", maxsplit=1)[0]
    for upstream in policy.upstreams:
        for index, server in enumerate(upstream.servers):
            if value == server or bare == server.rpartition(":")[0]:
                return "upstreams.%s.servers[%d]" % (upstream.name, index)
        if value == upstream.ca:
            return "upstreams.%s.tls.ca" % upstream.name
    for option in ("certificate", "key", "client_ca") if policy.tls else ():
        if getattr(policy.tls, option) == value:
            return "tls." + option
    return "server_names" if value in policy.server_names else None


def _reach(address: str) -> str:
    """The address at which the gateway itself reaches a listening socket."""
    return {"0.0.0.0": "127.0.0.1", "[::]": "::1"}.get(address, address.strip("[]"))


def _applicable(policy: Policy) -> list[tuple[str, str]]:
    name = policy.server_names[0]
    wanted = [("gateway.tls", name), ("gateway.unknown_host", name)]
    wanted += [("gateway.client_certificate", name)] if _wants_certificate(policy) else []
    wanted += [("gateway.api_key", route.path) for route in policy.routes if route.api_key]
    wanted += [("gateway.flood_limit", "rejected"), ("gateway.flood_limit", "address")]
    wanted += [("gateway.rate_limit", tier) for tier, _limit in policy.tiers]
    return [*wanted, ("gateway.access_log", policy.log_path)]


def _tls(policy: Policy, name: str, by_id: Mapping[str, Mapping[str, Any]]) -> Finding:
    control = "gateway.tls"
    if not policy.tls:
        return finding(control, name, "fail", "plaintext is true, so API keys are sent unencrypted")
    answer, old = by_id.get("tls"), by_id.get("old_tls", {})
    if answer is None or answer["met"] is None:
        return finding(control, name, "unknown", "no TLS handshake could be attempted")
    if not answer["met"]:
        return finding(
            control,
            name,
            "fail",
            f"the TLS handshake failed: {answer.get('detail', answer['outcome'])}",
        )
    evidence = {key: answer.get(key) for key in ("protocol", "cipher", "not_after")}
    evidence["profile"] = policy.tls.profile
    expiry = answer.get("not_after")
    if expiry is None:
        return finding(
            control,
            name,
            "unknown",
            "the expiry date of the certificate could not be read",
            evidence,
        )
    if expiry < answer["now"]:
        return finding(control, name, "fail", "the certificate has expired", evidence)
    if old.get("met") is False:
        return finding(control, name, "fail", f"TLS 1.1 is {old['outcome']}", evidence)
    if not old.get("met"):
        reason = "this host's TLS library cannot test whether TLS 1.1 is refused"
        return finding(control, name, "unknown", reason, evidence)
    days = (expiry - answer["now"]) // 86400
    reason = f"{answer['protocol']}; TLS 1.1 refused; certificate expires in {days} days"
    return finding(control, name, "pass", reason, evidence)


def _unknown_host(name: str, by_id: Mapping[str, Mapping[str, Any]]) -> Finding:
    control = "gateway.unknown_host"
    answer = by_id.get("unknown_host")
    if answer is None or answer["met"] is None:
        return finding(control, name, "unknown", "no request for an unknown name could be sent")
    status = "pass" if answer["met"] else "fail"
    return finding(control, name, status, f"a request for an unknown name: {answer['outcome']}")


def _wants_certificate(policy: Policy) -> bool:
    tls = policy.tls
    return tls is not None and tls.client_ca is not None and tls.client_verify == "required"


def _client_certificate(
    policy: Policy, name: str, by_id: Mapping[str, Mapping[str, Any]]
) -> Finding:
    control = "gateway.client_certificate"
    if not _wants_certificate(policy):
        return finding(
            control, name, "not_applicable", "the policy does not require client certificates"
        )
    answer = by_id.get("client_certificate")
    if answer is None or answer["met"] is None:
        return finding(control, name, "unknown", "no request without a certificate could be sent")
    status = "pass" if answer["met"] else "fail"
    return finding(control, name, status, f"a request without a certificate: {answer['outcome']}")


def _api_key(route: Route, answer: Mapping[str, Any] | None) -> Finding:
    control = "gateway.api_key"
    if not route.api_key:
        return finding(
            control, route.path, "not_applicable", "the policy requires no key on this route"
        )
    if answer is None or answer["outcome"] == "unsupported":
        return finding(control, route.path, "unknown", "no request could be sent")
    # 'met' also covers the log line; whether the route is closed shows in the status alone.
    status = "pass" if answer["outcome"] in _REFUSED else "fail"
    return finding(control, route.path, status, f"a request without a key: {answer['outcome']}")


def _limited(
    control: str, resource: str, limit: Limit, zone: Mapping[str, Any] | None, dry_run: bool
) -> Finding:
    if zone is None:
        return finding(control, resource, "not_applicable", "the policy sets no such limit")
    evidence = {
        "rate": limit.rate.text if limit.rate else None,
        "burst": limit.burst,
        "connections": limit.connections,
        "zone": zone["requests"]["zone"] if zone["requests"] else zone["connections"]["zone"],
    }
    if dry_run:
        return finding(
            control,
            resource,
            "fail",
            "dry_run is true: requests over the limit are counted and logged, not refused",
            evidence,
        )
    parts = [
        evidence["rate"] and "%s, burst %d" % (evidence["rate"], limit.burst),
        limit.connections and "%d connections" % limit.connections,
    ]
    return finding(
        control,
        resource,
        "pass",
        "in force: " + "; ".join(part for part in parts if part),
        evidence,
    )


def _access_log(policy: Policy, answers: Iterable[Mapping[str, Any]]) -> Finding:
    control = "gateway.access_log"
    logged = [answer["logged"] for answer in answers if "logged" in answer]
    if not logged:
        reason = "no request was answered, so the log could not be checked"
        return finding(control, policy.log_path, "unknown", reason)
    if all(logged):
        return finding(
            control, policy.log_path, "pass", "the request that this proof sent was logged"
        )
    return finding(
        control, policy.log_path, "fail", "the request that this proof sent was not logged"
    )
