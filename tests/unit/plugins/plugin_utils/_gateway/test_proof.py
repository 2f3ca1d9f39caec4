# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the gateway answers decides each control, and a missing answer never counts as a pass."""

from __future__ import annotations

from typing import Any, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.twinguard.hardening.plugins.module_utils._nginx.syntax import complaints
from ansible_collections.twinguard.hardening.plugins.plugin_utils._gateway.policy import (
    parse_policy,
)
from ansible_collections.twinguard.hardening.plugins.plugin_utils._gateway.proof import (
    explain,
    findings,
    probes,
)
from ansible_collections.twinguard.hardening.tests.unit.support.gateway import (
    GOOD,
    policies,
    policy,
)

NOW = 1_800_000_000
IN_FORCE = ("pass", "nginx serves exactly generation 0123456789abcdef")
TLS_ANSWER = {
    "id": "tls",
    "outcome": "accepted",
    "met": True,
    "protocol": "TLSv1.3",
    "cipher": "TLS_AES_256_GCM_SHA384",
    "not_after": NOW + 90 * 86400,
    "now": NOW,
}
ANSWERS: dict[str, dict[str, Any]] = {
    "tls": TLS_ANSWER,
    "old_tls": {"id": "old_tls", "outcome": "refused", "met": True},
    "unknown_host": {"id": "unknown_host", "outcome": "refused", "met": True},
    "client_certificate": {"id": "client_certificate", "outcome": "400", "met": True},
    "key /v1/": {"id": "key /v1/", "outcome": "401", "met": True, "logged": True},
}


def judged(
    without: str = "", changes: Optional[dict[str, Any]] = None, **options: Any
) -> dict[tuple[str, str], tuple[str, str]]:
    """Status and reason of each control, with one answer left out or changed."""
    answers = {name: dict(answer) for name, answer in ANSWERS.items() if name != without}
    for name, change in (changes or {}).items():
        answers[name].update(change)
    found = findings(policy(**options), IN_FORCE, {"generation": "x"}, answers.values())
    return {(one["id"], one["resource"]): (one["status"], one["reason"]) for one in found}


def status(control: str, **more: Any) -> set[str]:
    return {value[0] for key, value in judged(**more).items() if key[0] == control}


def test_every_answer_as_wanted_passes_every_control_that_applies() -> None:
    assert {key: value[0] for key, value in judged().items()} == {
        ("gateway.in_force", "gateway"): "pass",
        ("gateway.tls", "models.example.com"): "pass",
        ("gateway.unknown_host", "models.example.com"): "pass",
        ("gateway.client_certificate", "models.example.com"): "not_applicable",
        ("gateway.api_key", "/v1/"): "pass",
        ("gateway.api_key", "/healthz"): "not_applicable",
        ("gateway.flood_limit", "rejected"): "pass",
        ("gateway.flood_limit", "address"): "pass",
        ("gateway.rate_limit", "standard"): "pass",
        ("gateway.access_log", "/var/log/twinguard/gateway.access.log"): "pass",
    }


@pytest.mark.parametrize(
    ("missing", "control"),
    [
        ("tls", "gateway.tls"),
        ("unknown_host", "gateway.unknown_host"),
        ("key /v1/", "gateway.api_key"),
        ("key /v1/", "gateway.access_log"),
    ],
)
def test_a_missing_answer_is_unknown_and_no_pass(missing: str, control: str) -> None:
    assert status(control, without=missing) - {"not_applicable"} == {"unknown"}


@pytest.mark.parametrize(
    ("changed", "control"),
    [
        ("tls", "gateway.tls"),
        ("unknown_host", "gateway.unknown_host"),
        ("key /v1/", "gateway.api_key"),
    ],
)
def test_what_this_host_cannot_ask_is_unknown(changed: str, control: str) -> None:
    unsupported = {changed: {"outcome": "unsupported", "met": None}}
    assert status(control, changes=unsupported) - {"not_applicable"} == {"unknown"}


@pytest.mark.parametrize(
    ("control", "change", "reason"),
    [
        (
            "gateway.tls",
            {"tls": {"met": False, "outcome": "refused", "detail": "HANDSHAKE_FAILURE"}},
            "HANDSHAKE_FAILURE",
        ),
        ("gateway.tls", {"tls": {"not_after": NOW - 1}}, "expired"),
        ("gateway.tls", {"old_tls": {"met": False, "outcome": "accepted"}}, "TLS 1.1 is accepted"),
        (
            "gateway.unknown_host",
            {"unknown_host": {"met": False, "outcome": "404"}},
            "a request for an unknown name: 404",
        ),
        (
            "gateway.api_key",
            {"key /v1/": {"met": False, "outcome": "200"}},
            "a request without a key: 200",
        ),
        (
            "gateway.api_key",
            {"key /v1/": {"met": False, "outcome": "404"}},
            "a request without a key: 404",
        ),
        ("gateway.api_key", {"key /v1/": {"met": False, "outcome": "unreachable"}}, "unreachable"),
        (
            "gateway.access_log",
            {"key /v1/": {"met": False, "logged": False}},
            "was not logged",
        ),
    ],
)
def test_an_answer_that_breaks_the_promise_fails_its_control(
    control: str, change: dict[str, Any], reason: str
) -> None:
    found = [
        value
        for key, value in judged(changes=change).items()
        if key[0] == control and value[0] != "not_applicable"
    ]
    assert [one[0] for one in found] == ["fail"]
    assert reason in found[0][1]


def test_a_certificate_whose_end_cannot_be_read_is_unknown() -> None:
    assert status("gateway.tls", changes={"tls": {"not_after": None}}) == {"unknown"}


@pytest.mark.parametrize(
    "more",
    [
        {"without": "old_tls"},
        {"changes": {"old_tls": {"outcome": "unsupported", "met": None}}},
    ],
)
def test_tls_is_unknown_if_old_tls_could_not_be_tested(more: dict[str, Any]) -> None:
    found = judged(**more)["gateway.tls", "models.example.com"]
    assert found == ("unknown", "this host's TLS library cannot test whether TLS 1.1 is refused")


@pytest.mark.parametrize("answer", ["400", "401", "403", "429"])
def test_every_way_to_refuse_a_request_without_a_key_keeps_the_route_closed(answer: str) -> None:
    assert "pass" in status("gateway.api_key", changes={"key /v1/": {"outcome": answer}})


def test_plaintext_fails_the_control_of_tls_and_still_refuses_other_names() -> None:
    assert status("gateway.tls", plaintext=True, tls=None) == {"fail"}
    hung_up = {"unknown_host": {"outcome": "closed"}}
    assert status("gateway.unknown_host", plaintext=True, tls=None, changes=hung_up) == {"pass"}


def test_a_dry_run_fails_every_limit() -> None:
    assert status("gateway.flood_limit", dry_run=True) == {"fail"}
    assert status("gateway.rate_limit", dry_run=True) == {"fail"}


def test_no_limit_by_address_is_not_applicable() -> None:
    found = judged(limits={"address": {}})
    assert found["gateway.flood_limit", "address"][0] == "not_applicable"
    assert found["gateway.flood_limit", "rejected"][0] == "pass"


@pytest.mark.parametrize(
    ("verify", "wanted"), [("required", "pass"), ("optional", "not_applicable")]
)
def test_client_certificates_pass_only_where_they_are_required(verify: str, wanted: str) -> None:
    tls = dict(GOOD["tls"], client_ca="/ca.pem", client_verify=verify)
    assert status("gateway.client_certificate", tls=tls) == {wanted}
    assert (
        "client_certificate" in {one["id"] for one in probes(policy(tls=tls))} or wanted != "pass"
    )


@pytest.mark.parametrize(
    ("more", "wanted"),
    [
        ({"changes": {"client_certificate": {"outcome": "200", "met": False}}}, "fail"),
        ({"without": "client_certificate"}, "unknown"),
    ],
)
def test_a_client_without_a_certificate_must_be_seen_to_be_refused(
    more: dict[str, Any], wanted: str
) -> None:
    tls = dict(GOOD["tls"], client_ca="/ca.pem", client_verify="required")
    assert status("gateway.client_certificate", tls=tls, **more) == {wanted}


@pytest.mark.parametrize(
    "force", [("fail", "nginx refuses it"), ("unknown", "nginx is not installed")]
)
def test_a_policy_that_is_not_in_force_passes_nothing(force: tuple[str, str]) -> None:
    found = findings(policy(), force, {}, ANSWERS.values())
    assert {one["status"] for one in found} == {force[0]}
    assert {one["id"] for one in found} >= {
        "gateway.tls",
        "gateway.api_key",
        "gateway.rate_limit",
        "gateway.access_log",
    }


@given(policies(), st.sampled_from(["fail", "unknown"]))
def test_no_policy_at_all_passes_without_answers(options: dict[str, Any], force: str) -> None:
    made = parse_policy(options)
    for one in findings(made, IN_FORCE, {}, []):
        if one["id"] in (
            "gateway.tls",
            "gateway.unknown_host",
            "gateway.api_key",
            "gateway.access_log",
        ):
            assert one["status"] != "pass", one
    assert not [one for one in findings(made, (force, "reason"), {}, []) if one["status"] == "pass"]


@given(policies())
def test_every_closed_route_is_asked_without_a_key_and_must_appear_in_the_log(
    options: dict[str, Any],
) -> None:
    made = parse_policy(options)
    asked = [one for one in probes(made) if one["id"].startswith("key ")]
    assert [one["path"] for one in asked] == [route.path for route in made.routes if route.api_key]
    for one in asked:
        assert not set(one["expect"]) & {"200", "204", "404"}
        assert one["log"] == made.log_path
        assert one["tls"] is (made.tls is not None)


def test_a_gateway_that_listens_everywhere_is_asked_on_loopback_by_a_name_of_its_own() -> None:
    everywhere = policy(listen=[{"address": "[::]", "port": 8443}], server_names=["*.example.com"])
    assert {(one["address"], one["port"]) for one in probes(everywhere)} == {("::1", 8443)}
    assert probes(everywhere)[0]["server_name"] == "any.example.com"
    assert {one["address"] for one in probes(policy())} == {"127.0.0.1"}


LISTENS = [{"address": "127.0.0.1", "port": 18443}]
BIO = (
    "BIO_new_file() failed (SSL: error:80000002:system library::No such file or directory:"
    "calling fopen(%s, r) error:10000080:BIO routines::no such file)"
)
# As nginx 1.22.1 and 1.26.3 print them, all with the level emerg.
EXPLAINED = {
    'host not found in upstream "nosuch.invalid:8000" in /etc/nginx/n.conf:2':
        "option 'upstreams.model.servers[1]' = 'nosuch.invalid:8000': this name does not resolve",
    'cannot load certificate "/etc/ssl/certs/x.pem": ' + BIO % "/etc/ssl/certs/x.pem":
        "option 'tls.certificate' = '/etc/ssl/certs/x.pem': nginx cannot load this certificate",
    'cannot load certificate key "/etc/ssl/private/x.key": ' + BIO % "/etc/ssl/private/x.key":
        "option 'tls.key' = '/etc/ssl/private/x.key': nginx cannot load this key",
    'SSL_CTX_use_PrivateKey("/etc/ssl/private/x.key") failed (SSL: error:05800074:x509 certificate routines::key '
    "values mismatch)":
        "option 'tls.key' = '/etc/ssl/private/x.key': this key does not match the certificate",
    'SSL_CTX_load_verify_locations("/clients.pem") failed (SSL: error:80000002:system library::No such file)':
        "option 'tls.client_ca' = '/clients.pem': nginx cannot load these authorities",
    'SSL_CTX_load_verify_locations("/model.pem") failed (SSL: error:80000002:system library::No such file)':
        "option 'upstreams.model.tls.ca' = '/model.pem': nginx cannot load these authorities",
    'conflicting server name "models.example.com" on 127.0.0.1:18443, ignored':
        "option 'server_names' = 'models.example.com': another nginx file already serves this name",
    "a duplicate default server for 127.0.0.1:18443 in /etc/nginx/n.conf:2":
        "option 'listen' = '127.0.0.1:18443': another nginx file is the default server",
    "bind() to 127.0.0.1:18443 failed (98: Address already in use)":
        "option 'listen' = '127.0.0.1:18443': another program uses this address",
    "bind() to 127.0.0.1:18443 failed (99: Cannot assign requested address)":
        "option 'listen' = '127.0.0.1:18443': the gateway does not have this address",
    "bind() to 127.0.0.1:8179 failed (98: Address already in use)":
        "option 'marker_port' = '127.0.0.1:8179': another program uses this address",
}  # fmt: skip


def explained(line: str) -> Optional[str]:
    made = policy(
        listen=LISTENS,
        tls=dict(GOOD["tls"], client_ca="/clients.pem"),
        upstreams=[
            {
                "name": "model",
                "servers": ["127.0.0.1:8000", "nosuch.invalid:8000"],
                "tls": {"ca": "/model.pem"},
            }
        ],
    )
    said = complaints("2026/11/21 02:17:49 [emerg] 18088#18088: " + line)
    return explain(made, [one.as_dict() for one in said])


@pytest.mark.parametrize("line", EXPLAINED)
def test_what_nginx_complains_of_is_told_by_the_option_that_caused_it(line: str) -> None:
    sentence = explained(line)
    assert sentence is not None
    assert sentence.startswith(EXPLAINED[line])
    assert "(nginx: " in sentence


@pytest.mark.parametrize(
    "line",
    [
        'unknown directive "bogus" in /etc/nginx/conf.d/foreign.conf:2',
        'cannot load certificate "/foreign.pem": ' + BIO % "/foreign.pem",
        'conflicting server name "foreign.example" on 127.0.0.1:80, ignored',
        'host not found in upstream "foreign.invalid" in /etc/nginx/conf.d/foreign.conf:2',
        "bind() to 0.0.0.0:80 failed (98: Address already in use)",
        'SSL_CTX_load_verify_locations("/foreign.pem") failed (SSL: error:80000002)',
    ],
)
def test_what_is_wrong_in_a_foreign_file_is_not_blamed_on_the_policy(line: str) -> None:
    assert explained(line) is None


def test_nothing_to_explain_is_none() -> None:
    assert explain(policy(), []) is None
