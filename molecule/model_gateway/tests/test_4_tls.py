# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes over the wire: TLS versions, server names, client certificates, streams."""

from __future__ import annotations

import json
from typing import Any, Iterator

import gateway_lab
import lab
import pytest

GATEWAYS = ("tgm-gateway-12", "tgm-gateway-13")
HSTS = "max-age=63072000"
FILES = "/etc/ssl/private"
CERTIFICATE = {"certificate": f"{FILES}/good.pem", "key": f"{FILES}/good.key"}


def handshake(gateway: str, source: str, **options: Any) -> dict[str, Any]:
    """One request for the open route with these options of TLS."""
    return lab.ask(gateway, {"path": "/healthz"}, source=source, **options).only


@pytest.mark.parametrize("protocol", ["TLSv1", "TLSv1.1"])
def test_an_old_tls_version_is_refused(gateway: str, source: str, protocol: str) -> None:
    result = handshake(gateway, source, tls={"protocol": protocol})
    assert result["status"] is None
    # The server's own alert: the client was willing.
    assert "alert protocol version" in result["error"].lower(), result["error"]


@pytest.mark.parametrize("protocol", ["TLSv1.2", "TLSv1.3"])
def test_the_intermediate_profile_takes_the_current_tls_versions(
    gateway: str, source: str, protocol: str
) -> None:
    result = handshake(gateway, source, tls={"protocol": protocol})
    assert result["status"] == 200, result["error"]


@pytest.mark.parametrize("name", ["other.example.com", "example.com", None])
def test_an_unknown_or_missing_server_name_gets_no_handshake(
    gateway: str, source: str, name: str | None
) -> None:
    result = handshake(gateway, source, server_name=name, tls={"nameless": True})
    assert result["status"] is None
    assert "unrecognized name" in result["error"].lower(), result["error"]


def test_a_host_header_that_is_not_ours_gets_no_answer(gateway: str, source: str) -> None:
    result = handshake(gateway, source, host="other.example.com")
    assert result["status"] in (None, 421), result


def test_every_answer_good_or_bad_tells_browsers_to_stay_with_tls(
    gateway: str, source: str
) -> None:
    good = lab.bearing(lab.key("acme"))
    results = list(
        lab.ask(
            gateway,
            good,
            {"path": "/v1/predict"},
            {"path": "/nothing"},
            {"path": "/?api_key=x"},
            source=source,
        )
    )
    limited = lab.load(gateway, [{"path": "/v1/predict"}], source=source, count=20).answers()
    results += [next(result for result in limited if result["status"] == 429)]
    assert [result["status"] for result in results] == [200, 401, 404, 400, 429]
    for result in results:
        assert result["headers"]["strict-transport-security"] == [HSTS], result["status"]


def test_no_answer_tells_the_version_of_nginx(gateway: str, source: str) -> None:
    for result in lab.ask(gateway, {"path": "/healthz"}, {"path": "/nothing"}, source=source):
        assert result["headers"]["server"] == ["nginx"]


def test_a_stream_arrives_event_by_event(gateway: str, source: str) -> None:
    """The model sends one every 0.2 seconds: a gateway that buffers would deliver them all at the end."""
    stream = lab.bearing(lab.key("acme"), "/v1/stream?steps=10")
    result = lab.ask(gateway, stream, source=source).only
    assert result["status"] == 200, result
    events = [json.loads(line[6:])["step"] for line in result["body"].splitlines() if line]
    assert events == list(range(1, 11))
    assert len(result["arrivals"]) >= 5
    assert result["arrivals"][-1] - result["arrivals"][0] > 1.0


@pytest.fixture(scope="module")
def modern() -> Iterator[None]:
    """The gateways with the modern profile and client certificates demanded."""
    for name in GATEWAYS:
        lab.shell(
            name,
            f"""cd {FILES}
            ec='-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes'
            for who in good foreign; do
              openssl req -x509 $ec -days 30 -subj /CN=$who-authority -keyout $who-ca.key -out $who-ca.pem
              openssl req $ec -subj /CN=$who-client -keyout $who.key -out $who.csr
              openssl x509 -req -in $who.csr -CA $who-ca.pem -CAkey $who-ca.key -CAcreateserial -days 30 -out $who.pem
            done 2>/dev/null""",
        )
    tls = {
        **lab.policy()["tls"],
        "profile": "modern",
        "hsts_max_age": 0,
        "client_ca": f"{FILES}/good-ca.pem",
    }
    run = gateway_lab.apply(tls={**tls, "client_verify": "required"}).expect_success()
    statuses = {one["id"]: one["status"] for one in run.gateway("tgm-gateway-12")["controls"]}
    assert statuses["gateway.client_certificate"] == "pass"
    yield
    gateway_lab.apply().expect_success()


@pytest.mark.usefixtures("modern")
class TestModern:
    """The modern profile, and client certificates demanded."""

    def test_a_client_with_our_certificate_gets_in_with_its_key(
        self, gateway: str, source: str
    ) -> None:
        request = lab.bearing(lab.key("acme"))
        assert lab.ask(gateway, request, source=source, tls=CERTIFICATE).statuses == [200]

    def test_the_certificate_does_not_replace_the_key(self, gateway: str, source: str) -> None:
        assert lab.ask(
            gateway, {"path": "/v1/predict"}, source=source, tls=CERTIFICATE
        ).statuses == [401]

    def test_a_client_without_a_certificate_is_refused(self, gateway: str, source: str) -> None:
        result = lab.ask(gateway, lab.bearing(lab.key("acme")), source=source).only
        assert result["status"] == 400, result

    def test_a_certificate_of_another_authority_is_refused(self, gateway: str, source: str) -> None:
        foreign = {"certificate": f"{FILES}/foreign.pem", "key": f"{FILES}/foreign.key"}
        result = lab.ask(gateway, lab.bearing(lab.key("acme")), source=source, tls=foreign).only
        assert result["status"] in (400, None), result

    def test_tls_1_2_is_refused(self, gateway: str, source: str) -> None:
        result = handshake(gateway, source, tls={"protocol": "TLSv1.2", **CERTIFICATE})
        assert result["status"] is None
        assert "alert protocol version" in result["error"].lower(), result["error"]

    def test_without_hsts_no_such_header_is_sent(self, gateway: str, source: str) -> None:
        result = handshake(gateway, source, tls=CERTIFICATE)
        assert result["status"] == 200, result
        assert "strict-transport-security" not in result["headers"]


def test_behind_a_load_balancer_the_gateway_can_speak_plain_http(
    source: str, restored: None
) -> None:
    listen = [{"address": "127.0.0.1", "port": 8080}]
    lab.converge(plaintext=True, tls=None, self_signed=False, listen=listen).expect_success()
    target = {"address": "127.0.0.1", "port": 8080, "source": source, "reuse": False}
    good = {**target, "server_name": lab.SERVER_NAME, "count": 2}
    good["requests"] = [lab.bearing(lab.key("acme")), {"path": "/v1/predict"}]
    foreign = {**target, "server_name": "other.example.com", "count": 1}
    foreign["requests"] = [{"path": "/healthz"}]
    for gateway in GATEWAYS:
        assert lab.Load(gateway, good).answers().statuses == [200, 401]
        assert lab.Load(gateway, foreign).answers().statuses == [None]
