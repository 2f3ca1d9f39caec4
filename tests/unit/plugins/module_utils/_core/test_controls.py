# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalogue is complete, and findings have one shape."""

from __future__ import annotations

import re

import pytest

from ansible_collections.twinguard.hardening.plugins.module_utils._core.controls import (
    CATALOGUE,
    SEVERITIES,
    STATUSES,
    Control,
    counts,
    finding,
    severity_rank,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._core.plan import ControlError

ITEMS = {
    "MITRE ATLAS": re.compile(r"AML\.T\d{4}(\.\d{3})?"),
    "NIST SP 800-53 Rev. 5": re.compile(r"[A-Z]{2}-\d+(\(\d+\))?"),
    "CIS AWS Foundations Benchmark v3.0.0": re.compile(r"\d+(\.\d+)+"),
    "CIS Debian Linux 12 Benchmark v1.1.0": re.compile(r"\d+(\.\d+)+"),
    "CIS NGINX Benchmark v2.1.0": re.compile(r"\d+(\.\d+)+"),
    "CIS Microsoft Windows Server 2022 Benchmark v3.0.0": re.compile(r"\d+(\.\d+)+"),
}


@pytest.mark.parametrize("control", CATALOGUE.values(), ids=list(CATALOGUE))
def test_every_control_has_a_title_a_severity_and_well_formed_references(control: Control) -> None:
    assert re.fullmatch(r"[a-z]+\.[a-z_]+", control.id)
    assert control.title
    assert not control.title.endswith(".")
    assert control.severity in SEVERITIES
    assert any(reference.framework.startswith("NIST") for reference in control.references)
    assert len(set(control.references)) == len(control.references)
    for reference in control.references:
        assert ITEMS[reference.framework].fullmatch(reference.item), reference
        assert reference.title


def test_a_finding_has_the_shape_of_the_design() -> None:
    assert finding("gateway.tls", "443", "pass", evidence={"protocol": "TLSv1.3"}) == {
        "id": "gateway.tls",
        "resource": "443",
        "status": "pass",
        "reason": "",
        "evidence": {"protocol": "TLSv1.3"},
    }


def test_an_unknown_control_is_refused_in_one_sentence() -> None:
    with pytest.raises(
        ControlError,
        match=r"option .id. = .gateway\.nope.: no such control; use one of .*, gateway\.api_key,",
    ):
        finding("gateway.nope", "x", "pass")


def test_an_unknown_status_is_refused_in_one_sentence() -> None:
    with pytest.raises(
        ControlError, match="option 'status' = 'ok': no such status; use one of fail"
    ):
        finding("gateway.tls", "x", "ok")


@pytest.mark.parametrize("status", [status for status in STATUSES if status != "pass"])
def test_whatever_is_not_a_pass_must_say_why(status: str) -> None:
    with pytest.raises(ControlError, match="needs a reason"):
        finding("gateway.tls", "x", status)
    assert finding("gateway.tls", "x", status, "no TLS here")["reason"] == "no TLS here"


def test_counts_name_every_status_even_when_there_is_none_of_it() -> None:
    found = [
        finding("gateway.tls", "a", "pass"),
        finding("gateway.tls", "b", "fail", "TLS 1.0 is accepted"),
    ]
    assert counts(found) == {"fail": 1, "unknown": 0, "pass": 1, "not_applicable": 0}


def test_severities_sort_the_worst_first() -> None:
    assert sorted(["low", "critical", "medium", "high"], key=severity_rank) == list(SEVERITIES)
    with pytest.raises(ControlError, match="no such severity"):
        severity_rank("huge")
