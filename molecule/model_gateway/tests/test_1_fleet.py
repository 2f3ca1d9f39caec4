# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosts are there, and a run that has nothing to do does nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import gateway_lab
import lab
import pytest

GATEWAYS = ("tgm-gateway-12", "tgm-gateway-13")
RELEASES = {"tgm-gateway-12": ("12", "nginx/1.22."), "tgm-gateway-13": ("13", "nginx/1.26.")}
MODULES_MAX = 3  # on the host, in a run that changes nothing


def test_the_expected_hosts_are_in_the_inventory_and_running() -> None:
    """First of all: a run over no hosts would count as a success."""
    listed = subprocess.run(
        [
            str(Path(sys.executable).parent / "ansible-inventory"),
            "-i",
            str(lab.INVENTORY),
            "--list",
        ],
        env=lab.play_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    groups = json.loads(listed.stdout)
    assert groups["model_gateways"]["hosts"] == list(GATEWAYS)
    assert groups["model_clients"]["hosts"] == ["tgm-client"]
    for name in (*GATEWAYS, "tgm-client"):
        assert lab.host_of(name).check_output("systemctl is-system-running") == "running", name


def test_each_gateway_is_the_release_its_name_says(gateway: str) -> None:
    release, version = RELEASES[gateway]
    host = lab.host_of(gateway)
    assert host.system_info.release.split(".")[0] == release
    assert version in host.run("nginx -v").stderr
    assert host.service("nginx").is_running
    assert host.service("nginx").is_enabled


def test_a_second_run_changes_nothing_and_every_control_passes() -> None:
    run = lab.converge().expect_success()
    assert run.changed == dict.fromkeys(GATEWAYS, 0)
    for name in GATEWAYS:
        controls = {one["id"]: one for one in run.gateway(name)["controls"]}
        not_passed = {key: one for key, one in controls.items() if one["status"] != "pass"}
        # This policy asks for no client certificates: that is said, not passed over.
        assert set(not_passed) <= {"gateway.client_certificate"}, not_passed
        assert all(
            one["status"] == "not_applicable" and one["reason"] for one in not_passed.values()
        )
        assert {"gateway.in_force", "gateway.tls", "gateway.api_key", "gateway.rate_limit"} <= set(
            controls
        )


def test_a_check_of_a_converged_gateway_predicts_no_change() -> None:
    run = lab.converge("--check", "--diff").expect_success()
    assert run.changed == dict.fromkeys(GATEWAYS, 0)


def test_a_check_predicts_a_change_and_leaves_it_undone(restored: None) -> None:
    before = {name: generation_of(name) for name in GATEWAYS}
    wanted = {
        "tiers": {**lab.policy()["tiers"], "slow": {"rate": "30r/m", "burst": 4, "connections": 3}}
    }
    predicted = gateway_lab.apply(check=True, **wanted).expect_success()
    assert predicted.changed == dict.fromkeys(GATEWAYS, 1)
    assert {name: generation_of(name) for name in GATEWAYS} == before
    applied = gateway_lab.apply(**wanted).expect_success()
    assert applied.changed == dict.fromkeys(GATEWAYS, 1)
    for name in GATEWAYS:
        assert generation_of(name) != before[name]
        assert "rate=30r/m" in json.dumps(predicted.gateway(name)["diff"])
        assert predicted.gateway(name)["diff"] == applied.gateway(name)["diff"]


@pytest.mark.parametrize("verbosity", ["-vvv"])
def test_a_run_with_nothing_to_do_calls_at_most_three_modules_on_the_host(
    gateway: str, verbosity: str
) -> None:
    # Without the self-signed certificate, which is for demo and test only and costs a call of its own.
    run = lab.converge(
        verbosity, "--limit", gateway, callback="ansible.builtin.default", self_signed=False
    )
    run.expect_success()
    called = [line for line in run.stdout.splitlines() if "Using module file" in line]
    assert 1 <= len(called) <= MODULES_MAX, called
    assert any("nginx_config" in line for line in called), called
    assert "changed=0" in run.stdout


def generation_of(gateway: str) -> str:
    """What nginx itself says it serves."""
    return lab.shell(gateway, "curl -sf http://127.0.0.1:8179/twinguard/gateway").strip()
