# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report holds every finding once, and nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.twinguard.hardening.plugins.module_utils._core.controls import finding
from ansible_collections.twinguard.hardening.plugins.plugin_utils._report.posture import Posture


def posture_of(*results: dict[str, Any]) -> Posture:
    posture = Posture()
    for result in results:
        posture.add("web1", result)
    return posture


TLS = finding("gateway.tls", "0.0.0.0:443", "pass", evidence={"protocol": "TLSv1.3"})
KEY = finding("gateway.api_key", "/v1/", "fail", "a request without a key was answered 200")


def test_the_table_is_aligned_and_ends_with_totals() -> None:
    assert [line.text for line in posture_of({"controls": [TLS, KEY]}).lines()] == [
        "host | control         | resource    | status | proven / reason",
        "-----+-----------------+-------------+--------+----------------",
        "web1 | gateway.api_key | /v1/        | fail   | a request without a key was answered 200",
        "web1 | gateway.tls     | 0.0.0.0:443 | pass   | protocol TLSv1.3",
        "controls: 0 not_applicable, 1 pass, 0 unknown, 1 fail",
    ]


def test_each_line_carries_its_status_for_the_colour() -> None:
    assert [line.status for line in posture_of({"controls": [TLS, KEY]}).lines()] == [
        "",
        "",
        "fail",
        "pass",
        "",
    ]


def test_the_last_report_of_a_control_and_resource_counts() -> None:
    better = {**KEY, "status": "pass", "reason": ""}
    posture = posture_of({"controls": [KEY]}, {"controls": [better]})
    assert [found["status"] for found in posture.findings.values()] == ["pass"]


def test_findings_inside_a_loop_are_collected() -> None:
    posture = posture_of(
        {"results": [{"controls": [TLS]}, {"failed": True, "controls": [KEY]}, {"skipped": True}]}
    )
    assert sorted(control for _host, control, _resource in posture.findings) == [
        "gateway.api_key",
        "gateway.tls",
    ]


@pytest.mark.parametrize(
    "result",
    [
        {},
        {"controls": "a text"},
        {"controls": [{"id": "other.thing", "status": "pass", "resource": "x"}]},
        {"controls": [{"id": "gateway.tls", "status": "great", "resource": "x"}]},
        {"controls": [{"id": ["gateway.tls"]}, 7, None]},
        {"results": "a text"},
        {"results": [None, "x"]},
    ],
)
def test_what_other_modules_call_controls_is_left_out(result: dict[str, Any]) -> None:
    assert posture_of(result).lines() == []


def test_a_host_that_was_not_reached_is_named_and_no_pass() -> None:
    posture = Posture()
    posture.lost("web2")
    lines = posture.lines()
    assert [line.status for line in lines if line.text.startswith("web2: not reached")] == [
        "unknown"
    ]
    assert posture.document("now")["hosts"] == {"web2": []}


def test_a_host_cannot_send_terminal_sequences_or_lines() -> None:
    evil = finding("gateway.tls", "x\x1b[2J", "fail", "first\nsecond\x1b]0;title\x07")
    (line,) = [line.text for line in posture_of({"controls": [evil]}).lines() if line.status]
    assert line.isprintable()
    assert r"x\x1b[2J" in line
    assert "first second" in line


def test_long_evidence_is_cut_and_a_reason_is_not() -> None:
    long = finding("gateway.tls", "x", "pass", evidence={"list": "y" * 500})
    said = finding("gateway.tls", "z", "pass", "z" * 500)
    lines = [line.text for line in posture_of({"controls": [long, said]}).lines() if line.status]
    assert lines[0].endswith("yyy...")
    assert len(lines[0]) < 200
    assert "z" * 500 in lines[1]


def test_the_document_adds_what_the_catalogue_says() -> None:
    document = posture_of({"controls": [KEY]}).document("2026-01-01T00:00:00+00:00")
    (found,) = document["hosts"]["web1"]
    assert document["generated_at"] == "2026-01-01T00:00:00+00:00"
    assert document["totals"]["fail"] == 1
    assert found["severity"] == "critical"
    assert {
        "framework": "MITRE ATLAS",
        "item": "AML.T0040",
        "title": "AI Model Inference API Access",
    } in found["references"]
    assert json.loads(json.dumps(document)) == document
