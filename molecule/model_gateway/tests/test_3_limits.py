# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much a caller gets: rates, bursts, connections, bodies, methods, and what the refusals look like."""

from __future__ import annotations

import json
from typing import Any

import gateway_lab
import lab
import pytest

CLIENT = "tgm-client"
GATEWAYS = ("tgm-gateway-12", "tgm-gateway-13")


def refusal(result: dict[str, Any]) -> str:
    """The name of a refusal that has the documented form."""
    assert result["headers"]["content-type"] == ["application/json"], result
    body = json.loads(result["body"])
    assert body["message"]
    return str(body["error"])


def expect_rate_limited(result: dict[str, Any]) -> None:
    """A 429 as documented: JSON, and a Retry-After of whole seconds."""
    assert result["status"] == 429, result
    assert refusal(result) == "rate_limited"
    (seconds,) = result["headers"]["retry-after"]
    assert seconds.isdigit()
    assert int(seconds) >= 1


def expect_accepted(results: lab.Answers, rate: float, burst: int) -> None:
    """As many were accepted as a leaky bucket of this size lets through in the time that the load took.

    The bounds come from the measured times: a request is counted somewhere between its start and its end.
    """
    accepted = [result for result in results if result["status"] == 200]
    first, last = results.results[0], results.results[-1]
    least = 1 + burst + rate * (last["started"] - first["ended"]) - 2
    most = 1 + burst + rate * (last["ended"] - first["started"]) + 2
    assert least <= len(accepted) <= most, (least, len(accepted), most)
    assert len(accepted) < len(results), "the load never went over the limit"
    for result in results:
        if result["status"] != 200:
            expect_rate_limited(result)


def test_a_flood_of_bad_keys_is_refused_and_a_good_client_does_not_notice(
    gateway: str, source: str
) -> None:
    guess = {
        "path": "/v1/predict",
        "method": "POST",
        "body": "{}",
        "headers": [["X-API-Key", f"guess-{'x' * 24}-{{n}}"]],
    }
    good = lab.bearing(lab.key("steady"))
    neighbour = lab.load(gateway, [good], source=source, rate=4)
    elsewhere = lab.load(gateway, [good], origin=CLIENT, rate=4)
    flood = lab.load(gateway, [guess], source=source, count=1000, rate=125, connections=4).answers()
    beside = [neighbour.answers(), elsewhere.answers()]
    counts = flood.counts()
    assert set(counts) == {"401", "429"}, counts
    assert counts["429"] >= 950, counts
    for result in flood:
        if result["status"] == 429:
            expect_rate_limited(result)
    began, ended = flood.results[0]["started"], flood.results[-1]["ended"]
    for results in beside:
        assert set(results.counts()) == {"200"}, results.counts()
        during = [one for one in results if began <= one["started"] <= ended]
        assert len(during) >= 10, "the good client hardly asked during the flood"


@pytest.mark.parametrize(
    ("client", "rate", "burst", "speed", "count"),
    [("greedy", 10, 20, 60, 240), ("turtle", 1, 4, 20, 80)],
)
def test_a_client_over_its_rate_gets_burst_plus_rate_times_time(
    gateway: str, source: str, client: str, rate: float, burst: int, speed: float, count: int
) -> None:
    results = lab.load(
        gateway,
        [lab.bearing(lab.key(client))],
        source=source,
        rate=speed,
        count=count,
        connections=4,
    ).answers()
    expect_accepted(results, rate, burst)


def test_a_client_cannot_gain_by_coming_from_many_addresses(gateway: str) -> None:
    request = lab.bearing(lab.key("greedy"))
    results = lab.load(
        gateway, [request], source="127.103.0.1{n}", reuse=False, rate=60, count=90, connections=4
    ).answers()
    expect_accepted(results, 10, 20)


def test_an_address_over_its_rate_is_limited_on_open_routes_too(gateway: str, source: str) -> None:
    flood = lab.load(
        gateway, [{"path": "/healthz"}], source=source, rate=200, count=500, connections=8
    )
    elsewhere = lab.load(gateway, [{"path": "/healthz"}], origin=CLIENT, rate=10)
    results = flood.answers()
    others = elsewhere.answers()
    expect_accepted(results, 50, 100)
    assert set(others.counts()) == {"200"}


def test_a_client_gets_no_more_connections_than_its_tier_has(gateway: str, source: str) -> None:
    stream = lab.bearing(lab.key("octopus"), "/v1/stream?steps=25")
    results = lab.load(gateway, [stream], source=source, count=8, connections=8).answers()
    assert results.counts() == {"200": 3, "429": 5}
    for result in results:
        if result["status"] == 429:
            expect_rate_limited(result)


@pytest.mark.parametrize(
    ("request_", "status", "error"),
    [
        (
            {"path": "/v1/predict", "method": "POST", "body": "x" * (16 * 1024 + 1)},
            413,
            "body_too_large",
        ),
        ({"path": "/v1/predict", "method": "DELETE"}, 405, "method_not_allowed"),
        ({"path": "/nothing/here"}, 404, "not_found"),
        ({"path": "/v1"}, 404, "not_found"),
        ({"path": "/healthz", "method": "POST", "body": ""}, 405, "method_not_allowed"),
    ],
)
def test_what_a_route_does_not_take_is_refused_by_the_gateway(
    gateway: str, source: str, request_: dict[str, Any], status: int, error: str
) -> None:
    request = {**request_, "headers": [["X-API-Key", lab.key("acme")]]}
    result = lab.ask(gateway, request, source=source).only
    assert result["status"] == status, result
    assert refusal(result) == error


def test_a_body_of_exactly_the_limit_reaches_the_model(gateway: str, source: str) -> None:
    request = lab.bearing(lab.key("acme"), method="POST", body=" " * (16 * 1024))
    result = lab.ask(gateway, request, source=source).only
    assert (result["status"], "the body is not JSON" in result["body"]) == (400, True)


def test_a_model_that_is_down_is_told_as_bad_gateway_and_comes_back(
    gateway: str, source: str
) -> None:
    request = lab.bearing(lab.key("acme"))
    lab.shell(gateway, "systemctl stop twinguard-model-api")
    try:
        down = lab.ask(gateway, request, source=source).only
    finally:
        lab.shell(
            gateway,
            "systemctl start twinguard-model-api; until curl -sf http://127.0.0.1:8000/healthz; do sleep 0.1; done",
        )
    assert (down["status"], refusal(down)) == (502, "model_unavailable")
    assert lab.ask(gateway, request, source=source).statuses == [200]


def test_in_a_dry_run_what_is_over_the_limit_is_let_through_and_logged(
    source: str, restored: None
) -> None:
    gateway_lab.apply(dry_run=True).expect_success()
    for gateway in GATEWAYS:
        requests = [lab.bearing(lab.key("turtle"))]
        results = lab.load(gateway, requests, source=source, count=20).answers()
        assert results.counts() == {"200": 20}
        log = lab.shell(gateway, "cat /var/log/twinguard/gateway.access.log")
        own = [line for line in map(json.loads, log.splitlines()) if line["address"] == source]
        over = [line for line in own if line["limit"] == "REJECTED_DRY_RUN"]
        assert 10 <= len(over) <= 15, f"{len(over)} of {len(own)}"
        # Without a key is without access, dry run or not.
        assert lab.ask(gateway, {"path": "/v1/predict"}, source=source).statuses == [401]
