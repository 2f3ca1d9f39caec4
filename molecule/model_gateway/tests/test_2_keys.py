# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who gets in: API keys as real clients send them."""

from __future__ import annotations

import json
import time
from datetime import datetime, timezone
from functools import lru_cache
from typing import Any

import gateway_lab
import lab
import pytest

JOINS_DUPLICATES = {"tgm-gateway-12": False, "tgm-gateway-13": True}  # nginx does from 1.23 on
WRONG = "0" * 10 + "WrongKeyOfTheRightLengthAndKind0x"


def cases() -> dict[str, tuple[dict[str, Any], int]]:
    """Request and wanted status by name."""
    good, spare, expired = lab.key("acme"), lab.key("acme_next"), lab.key("acme_expired")
    foreign_head = ("A" if good[0] != "A" else "B") + good[1:]
    return {
        "good key": (with_headers(("X-API-Key", good)), 200),
        "good key, name in lower case": (with_headers(("x-api-key", good)), 200),
        "good key as bearer": (with_headers(("Authorization", f"Bearer {good}")), 200),
        "good key as bearer, scheme in lower case": (
            with_headers(("Authorization", f"bearer {good}")),
            200,
        ),
        "second key during a rotation": (with_headers(("X-API-Key", spare)), 200),
        "no key": (with_headers(), 401),
        "empty key": (with_headers(("X-API-Key", "")), 401),
        "unknown key": (with_headers(("X-API-Key", WRONG)), 401),
        "unknown key as bearer": (with_headers(("Authorization", f"Bearer {WRONG}")), 401),
        "key in the wrong case": (with_headers(("X-API-Key", good.swapcase())), 401),
        "key in lower case": (with_headers(("X-API-Key", good.lower())), 401),
        "key without its last character": (with_headers(("X-API-Key", good[:-1])), 401),
        "key without its first character": (with_headers(("X-API-Key", good[1:])), 401),
        "key with one character more": (with_headers(("X-API-Key", good + "A")), 401),
        "another key with the same end": (with_headers(("X-API-Key", foreign_head)), 401),
        "only the end of the key": (with_headers(("X-API-Key", good[-6:])), 401),
        "expired key": (with_headers(("X-API-Key", expired)), 401),
        "key as basic password": (with_headers(("Authorization", f"Basic {good}")), 401),
        "both headers at once": (
            with_headers(("X-API-Key", good), ("Authorization", f"Bearer {good}")),
            401,
        ),
        "header with underscores": (with_headers(("X_API_Key", good)), 401),
        "regular expression for any key": (with_headers(("X-API-Key", ".*")), 401),
        "client id in place of the key": (
            with_headers(("X-API-Key", "acme"), ("X-Client-Id", "acme")),
            401,
        ),
        "key in the query string": ({"path": f"/v1/echo-headers?api_key={good}"}, 400),
        "key in the query string, other spelling": (
            {"path": f"/v1/echo-headers?a=1&X-API-Key={good}"},
            400,
        ),
        "key in both query string and header": (
            {"path": f"/v1/echo-headers?api_key={good}", "headers": [["X-API-Key", good]]},
            400,
        ),
    }


def with_headers(*headers: tuple[str, str]) -> dict[str, Any]:
    return {"path": "/v1/echo-headers", "headers": [list(header) for header in headers]}


@lru_cache(maxsize=None)
def answered(gateway: str) -> dict[str, dict[str, Any]]:
    """All cases asked at once, each from an address of its own: no limit has a say."""
    wanted = cases()
    results = lab.ask(
        gateway,
        *(request for request, _status in wanted.values()),
        source="127.101.0.1{n}",
        reuse=False,
    )
    return dict(zip(wanted, results))


@pytest.mark.parametrize("name", sorted(cases()) if lab.KEYS.is_dir() else [])
def test_a_request_is_answered_by_its_key(gateway: str, name: str) -> None:
    result = answered(gateway)[name]
    status = cases()[name][1]
    assert result["status"] == status, result["error"]
    if status != 200:
        assert result["headers"]["content-type"] == ["application/json"]
        assert (
            json.loads(result["body"])["error"] == {401: "unauthorized", 400: "bad_request"}[status]
        )


@pytest.mark.parametrize("header", ["X-API-Key", "Authorization"])
def test_a_header_sent_twice_is_refused_where_nginx_can_see_it(gateway: str, header: str) -> None:
    """nginx before 1.23 drops the second one before any directive sees it: there the first counts."""
    scheme = "Bearer " if header == "Authorization" else ""
    good, bad = (header, scheme + lab.key("acme")), (header, scheme + WRONG)
    results = lab.ask(
        gateway,
        with_headers(good, good),
        with_headers(good, bad),
        with_headers(bad, good),
        source=f"127.102.{len(header)}.1{{n}}",
        reuse=False,
    )
    if JOINS_DUPLICATES[gateway]:
        assert set(results.statuses) <= {400, 401}, results.counts()
    elif header == "Authorization" and results.statuses[0] == 400:
        assert results.statuses == [400, 400, 400]
    else:
        assert results.statuses == [200, 200, 401]


def test_the_upstream_sees_who_asks_and_never_the_key(gateway: str, source: str) -> None:
    good = lab.key("acme")
    claims = (
        ("X-Client-Id", "root"),
        ("X-Client-Id", "greedy"),
        ("X_Client_Id", "root"),
        ("X_API_Key", good),
    )
    results = lab.ask(
        gateway,
        with_headers(("X-API-Key", good), *claims),
        with_headers(("Authorization", f"Bearer {good}"), *claims),
        source=source,
    )
    for result in results:
        assert result["status"] == 200
        seen = [(name.lower(), value) for name, value in json.loads(result["body"])["headers"]]
        assert [value for name, value in seen if name in ("x-client-id", "x_client_id")] == ["acme"]
        assert not {"x-api-key", "x_api_key", "authorization"} & {name for name, _value in seen}
        lab.expect_hidden(result["body"], lab.all_forms(), "request at the upstream")


def test_a_route_without_authentication_answers_without_a_key(gateway: str, source: str) -> None:
    result = lab.ask(gateway, {"path": "/healthz"}, source=source).only
    assert (result["status"], json.loads(result["body"])["status"]) == (200, "ok")


def test_a_key_stops_by_itself_at_its_moment(source: str, restored: None) -> None:
    """nginx itself refuses it from then on: no run of Ansible is needed."""
    ending, other = lab.bearing(lab.key("acme_next")), lab.bearing(lab.key("acme"))
    # The shortest time in which this machine can ask before the key runs out.
    for seconds in (5, 10, 20, 40, 80):
        end = int(time.time()) + seconds
        moment = datetime.fromtimestamp(end, timezone.utc).isoformat()
        clients = lab.policy()["clients"]
        clients[0]["keys"][1]["not_after"] = moment
        gateway_lab.apply(clients=clients).expect_success()
        before = [lab.ask(name, ending, source=source).statuses for name in JOINS_DUPLICATES]
        if time.time() < end:
            break
    assert time.time() < end, "this machine was too slow: the key ran out before it was asked for"
    assert before == [[200], [200]]
    time.sleep(end + 1 - time.time())
    after = [lab.ask(name, ending, other, source=source).statuses for name in JOINS_DUPLICATES]
    assert after == [[401, 200], [401, 200]]
