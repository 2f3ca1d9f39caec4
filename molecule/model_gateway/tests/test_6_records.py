# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is written down about each request, and how it is kept."""

from __future__ import annotations

import json
import re
from typing import Any

import gateway_lab
import lab

LOG = "/var/log/twinguard/gateway.access.log"
UNPRIVILEGED = "setpriv --reuid=65534 --regid=65534 --clear-groups "
FIELDS = {
    *(
        "time",
        "client",
        "address",
        "method",
        "path",
        "status",
        "limit",
        "bytes_in",
        "bytes_out",
        "duration",
    ),
    *("upstream", "upstream_status", "upstream_duration", "tls", "request_id"),
}


def lines(gateway: str, source: str, path: str = LOG) -> list[dict[str, Any]]:
    """The records of one address; every line of the file must be an object."""
    records = [json.loads(line) for line in lab.shell(gateway, f"cat {path}").splitlines()]
    return [record for record in records if record["address"] == source]


def test_each_request_is_one_json_object_with_all_fields(gateway: str, source: str) -> None:
    good = lab.bearing(lab.key("acme"), "/v1/echo-headers?color=red")
    results = lab.ask(gateway, good, {"path": "/v1/predict"}, {"path": "/healthz"}, source=source)
    served, refused, open_ = lines(gateway, source)
    for record in (served, refused, open_):
        assert set(record) >= FIELDS
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d", record["time"])
        assert isinstance(record["duration"], float)
        assert record["tls"] == "TLSv1.3"
    assert (served["client"], served["status"], served["path"]) == ("acme", 200, "/v1/echo-headers")
    assert (refused["client"], refused["status"], refused["upstream"]) == ("", 401, "")
    assert (open_["client"], open_["status"]) == ("", 200)
    assert served["upstream"] == "127.0.0.1:8000"
    assert served["upstream_status"] == "200"
    assert served["bytes_out"] > len(results.results[0]["body"])
    assert served["request_id"] == results.results[0]["headers"]["x-request-id"][0]


def test_what_a_caller_sends_cannot_break_or_forge_a_record(gateway: str, source: str) -> None:
    hostile = ['/v1/"},{"status":200', "/v1/%0A{}", "/v1/\\", "/v1/%22%00%ff"]
    statuses = lab.ask(gateway, *({"path": path} for path in hostile), source=source).statuses
    records = lines(gateway, source)
    assert [record["status"] for record in records] == statuses
    assert 200 not in statuses


def test_a_refusal_by_a_limit_is_recorded_as_such(gateway: str, source: str) -> None:
    lab.load(gateway, [lab.bearing(lab.key("turtle"))], source=source, count=12).answers()
    records = lines(gateway, source)
    assert {(record["status"], record["limit"]) for record in records} == {
        (200, "PASSED"),
        (429, "REJECTED"),
    }


def test_only_root_and_nginx_can_read_the_log(gateway: str) -> None:
    host = lab.host_of(gateway)
    assert host.file("/var/log/twinguard").mode & 0o007 == 0
    assert host.run(UNPRIVILEGED + f"cat {LOG}").rc != 0
    assert host.run(UNPRIVILEGED + "cat /etc/hostname").rc == 0


def test_after_rotation_nginx_writes_to_the_new_file(gateway: str, source: str) -> None:
    request = {"path": "/healthz"}
    lab.ask(gateway, request, source=source)
    lab.shell(gateway, "logrotate -f /etc/logrotate.d/twinguard-gateway")
    # nginx reopens its logs on a signal: that may take a moment, in which requests go to the old file.
    for _attempt in range(50):
        lab.ask(gateway, {**request, "path": "/healthz?after"}, source=source)
        if lines(gateway, source):
            break
    assert lines(gateway, source), "nothing is written to the new file"
    assert lines(gateway, source, f"{LOG}.1")
    assert lab.host_of(gateway).run(UNPRIVILEGED + f"cat {LOG}").rc != 0


def test_the_rotation_rule_is_one_that_logrotate_accepts(gateway: str) -> None:
    said = lab.host_of(gateway).run("logrotate -d /etc/logrotate.conf")
    assert said.rc == 0, said.stderr
    assert "error:" not in said.stderr
    assert LOG in said.stderr + said.stdout


def test_only_a_trusted_proxy_can_speak_for_another_address(source: str, restored: None) -> None:
    network = source.rsplit(".", 2)[0]
    gateway_lab.apply(trusted_proxies=[f"{network}.7.0/24"]).expect_success()
    request = {"path": "/healthz", "headers": [["X-Forwarded-For", "203.0.113.9, 198.51.100.4"]]}
    for gateway in ("tgm-gateway-12", "tgm-gateway-13"):
        before = len(lines(gateway, "198.51.100.4"))
        lab.ask(gateway, request, source=f"{network}.7.1")
        assert len(lines(gateway, "198.51.100.4")) == before + 1
        lab.ask(gateway, request, source=source)
        assert len(lines(gateway, source)) == 1
        assert not lines(gateway, "203.0.113.9")
