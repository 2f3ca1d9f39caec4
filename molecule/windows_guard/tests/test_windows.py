# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who still reaches the hosts after the role, and what the role does about hosts that drifted."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from conftest import HOSTS, apply, change, converge, failing, result, wire, world
from packet import Packet, admits

CONTROLLER, VPN, GUEST, STRANGER = "192.168.1.10", "192.168.1.77", "192.168.1.200", "203.0.113.5"
LOGINS = "Handshake"


@pytest.mark.parametrize("name", HOSTS)
def test_only_the_vpn_reaches_jupyter(name: str) -> None:
    state = world(name)
    assert admits(state, Packet(VPN, 8888))
    for remote in (GUEST, STRANGER):
        assert not admits(state, Packet(remote, 8888))
    assert not admits(state, Packet(VPN, 445))


@pytest.mark.parametrize("name", HOSTS)
def test_the_controller_still_gets_in_on_each_network(name: str) -> None:
    for profile in ("Domain", "Private", "Public"):
        assert admits(world(name), Packet(CONTROLLER, 5985, profile=profile))
        assert not admits(world(name), Packet(STRANGER, 22, profile=profile))


@pytest.mark.parametrize("name", HOSTS)
def test_a_rule_that_a_program_made_for_itself_opens_nothing_any_more(name: str) -> None:
    jupyter = r"C:\Python\Scripts\jupyter-lab.exe"
    assert not admits(world(name), Packet(STRANGER, 8888, profile="Public", program=jupyter))


@pytest.mark.parametrize("name", HOSTS)
def test_defender_watches(name: str) -> None:
    there = world(name)["defender"]["preferences"]
    assert there["DisableRealtimeMonitoring"] is False
    assert (there["MAPSReporting"], there["SubmitSamplesConsent"], there["PUAProtection"]) == (
        2,
        1,
        1,
    )


def test_hosts_that_drifted_are_seen_by_check_mode_and_put_right(restored: None) -> None:
    name = HOSTS[0]
    state = world(name)
    state["profiles"]["Public"]["DefaultInboundAction"] = "Allow"
    state["defender"]["preferences"]["MAPSReporting"] = 0
    state["defender"]["preferences"]["ExclusionPath"].append("C:\\Users")
    opened = next(
        one for one in state["rules"].values() if one["DisplayName"].startswith("Jupyter from")
    )
    opened["RemoteAddress"] = ["Any"]
    change(name, state)
    assert admits(world(name), Packet(STRANGER, 8888))
    seen = apply(check=True).expect_success()
    assert set(failing(seen, name)) == {
        "firewall_profile public", "firewall_rule Jupyter from the VPN",
        "cloud_protection cloud_reporting", "exclusions paths",
    }  # fmt: skip
    assert admits(world(name), Packet(STRANGER, 8888))
    mended = apply().expect_success()
    assert result(mended, name)["diff"] == result(seen, name)["diff"]
    assert not admits(world(name), Packet(STRANGER, 8888))
    assert failing(mended, name) == {}
    assert set(apply().expect_success().changed.values()) == {0}


def test_a_run_that_changes_nothing_starts_one_module_and_asks_eight_times_at_most() -> None:
    before = {name: len(wire(name)) for name in HOSTS}
    run = converge().expect_success()
    for name in HOSTS:
        assert run.changed[name] == 0
        # The other one is the check of the role's arguments, which starts no module.
        assert ["controls" in one for one in run.results[name]] == [False, True]
        asked = [one["action"] for one in wire(name)[before[name] :] if one["action"] != LOGINS]
        assert asked.count("Command") == 1
        assert len(asked) <= 8


def test_what_tamper_protection_keeps_is_named_and_stays_red(restored: None) -> None:
    name = HOSTS[1]
    state = world(name)
    state["defender"]["preferences"]["DisableRealtimeMonitoring"] = True
    state["defender"]["status"] |= {"IsTamperProtected": True, "TamperProtectionSource": "Intune"}
    state["switches"]["ignored_preferences"] = ["DisableRealtimeMonitoring"]
    change(name, state)
    for _unused in range(2):
        run = apply().expect_failure([name])
        assert "tamper protection is on, by Intune" in run.failure(name)
        assert run.changed[name] == 0


def test_a_policy_that_locks_the_controller_out_is_refused_and_changes_nothing(
    restored: None,
) -> None:
    before = {name: world(name) for name in HOSTS}
    # Windows' own rule for WinRM goes with those of others, and none of ours takes its place.
    others = {"action": "disable", "direction": "inbound", "profiles": ["private"]}
    run = apply(rules=[], unmanaged=others).expect_failure(HOSTS)
    for name in HOSTS:
        assert "could no longer reach port 5985" in run.failure(name)
        assert world(name) == before[name]


def test_bad_input_is_one_sentence_on_each_host() -> None:
    bad: list[dict[str, Any]] = [{"name": "Jupyter", "local_ports": ["8888"], "protocol": "any"}]
    run = apply(rules=bad).expect_failure(HOSTS)
    for name in HOSTS:
        assert "option 'rules[0].local_ports' = ['8888']" in run.failure(name)
        assert "\n" not in run.failure(name)


def test_rules_leave_in_the_order_of_their_life(restored: None) -> None:
    way_in = {
        "name": "Ansible",
        "protocol": "tcp",
        "local_ports": ["5985"],
        "remote_addresses": [CONTROLLER],
    }
    changed = apply(rules=[{**way_in, "description": "changed"}], unmanaged={"action": "ignore"})
    assert set(changed.expect_success().changed.values()) == {1}
    for name in HOSTS:
        ours = [
            one["DisplayName"]
            for one in world(name)["rules"].values()
            if one["Group"] == "twinguard"
        ]
        assert ours == ["Ansible"]
        assert not admits(world(name), Packet(VPN, 8888))
