# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The profiles of the model of a Windows host, what else a script asks it, and the file it is kept in."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.twinguard.hardening.tests.windows import host_world
from ansible_collections.twinguard.hardening.tests.windows.host_model import CmdletError, Host

NETWORKS = [
    {"InterfaceIndex": 7, "InterfaceAlias": "a", "Name": "p", "NetworkCategory": "Private"},
    {"InterfaceIndex": 8, "InterfaceAlias": "b", "Name": "q", "NetworkCategory": "Public"},
]


def refusal(host: Host, cmdlet: str, **parameters: Any) -> tuple[str, str]:
    """Category and sentence of the error, which must leave the world alone."""
    before = copy.deepcopy(host.world)
    with pytest.raises(CmdletError) as caught:
        host.call(cmdlet, **parameters)
    assert host.world == before
    return caught.value.category, str(caught.value)


# --- profiles


def test_the_active_store_is_the_local_one_under_group_policy_with_the_defaults_that_count():
    world = {
        "profiles": {"Domain": {"DefaultInboundAction": "Block", "NotifyOnListen": "True"}},
        "policy_profiles": {"Domain": {"DefaultInboundAction": "Allow"}},
    }
    found = {
        store: host_profile(Host(world), "Domain", store)
        for store in ("PersistentStore", "ActiveStore", "RSOP")
    }
    seen = {
        store: [one["DefaultInboundAction"], one["DefaultOutboundAction"], one["NotifyOnListen"]]
        for store, one in found.items()
    }
    assert seen == {
        "PersistentStore": ["Block", "NotConfigured", "True"],
        "ActiveStore": ["Allow", "Allow", "True"],
        "RSOP": ["Allow", "NotConfigured", "NotConfigured"],
    }


def host_profile(host: Host, name: str, store: str = "PersistentStore") -> dict[str, Any]:
    (found,) = host.call("Get-NetFirewallProfile", Profile=name, PolicyStore=store)
    return found


def test_profiles_are_changed_by_name_and_an_unknown_one_changes_none():
    host = Host({})
    host.call(
        "Set-NetFirewallProfile",
        Name=["domain", "pub*"],
        DefaultInboundAction="blo",
        LogMaxSizeKilobytes="9",
        Enabled=0,
    )
    changed = {"DefaultInboundAction": "Block", "LogMaxSizeKilobytes": 9, "Enabled": "False"}
    for name in ("Domain", "Public"):
        assert host.world["profiles"][name] == {**host_world.PROFILE, **changed}
    assert host.world["profiles"]["Private"] == host_world.PROFILE
    asked = {"Name": ["Public", "Work"], "Enabled": "True"}
    assert refusal(host, "Set-NetFirewallProfile", **asked)[0] == "ObjectNotFound"


def test_profiles_are_changed_as_objects_too_and_all_of_them_if_none_is_named():
    host = Host({})
    public = host.call("Get-NetFirewallProfile", Name="Public")
    host.call("Set-NetFirewallProfile", InputObject=public, LogBlocked="True")
    host.call("Set-NetFirewallProfile", LogAllowed="True")
    found = {name: one["LogBlocked"] for name, one in host.world["profiles"].items()}
    assert found == {"Domain": "False", "Private": "False", "Public": "True"}
    assert {one["LogAllowed"] for one in host.world["profiles"].values()} == {"True"}


# --- the host around it


def test_a_host_whose_firewall_service_is_off_answers_no_cmdlet_of_the_firewall():
    host = Host({"switches": {"firewall_service": False}})
    for cmdlet in ("Get-NetFirewallRule", "Get-NetFirewallProfile", "Get-NetFirewallPortFilter"):
        assert refusal(host, cmdlet)[1].startswith("There are no more endpoints available")
    assert refusal(host, "New-NetFirewallRule", DisplayName="x")[1].startswith("There are no more")
    assert host.call("Get-Service", Name="mpssvc") == [{"Name": "mpssvc", "Status": "Stopped"}]


def test_who_is_no_administrator_still_reads():
    host = Host({"rules": {"a": {}}, "switches": {"administrator": False}})
    assert [one["Name"] for one in host.call("Get-NetFirewallRule")] == ["a"]
    assert host.administrator is False


def test_connections_are_found_by_port_and_state_and_none_is_an_error():
    there = {
        "LocalAddress": "192.168.1.20", "LocalPort": 5985, "RemoteAddress": "192.168.1.10",
        "RemotePort": 50000, "State": "Established",
    }  # fmt: skip
    host = Host({"connections": [there, {**there, "State": "TimeWait"}]})
    assert host.call("Get-NetTCPConnection", LocalPort="5985", State="Estab") == [there]
    category, sentence = refusal(host, "Get-NetTCPConnection", LocalPort=5986, State="Established")
    assert category == "ObjectNotFound"
    assert "property 'LocalPort' equal to '5986'" in sentence


def test_networks_addresses_and_the_registry_are_told():
    key = r"HKLM:\SOFTWARE\Policies\Microsoft\Windows Defender\Spynet"
    address = {"IPAddress": "fe80::1", "PrefixLength": 64, "InterfaceIndex": 7}
    world = {"networks": NETWORKS, "addresses": [address], "registry": {key: {"Reporting": 0}}}
    host = Host(world)
    assert host.call("Get-NetConnectionProfile") == NETWORKS
    assert host.call("Get-NetIPAddress") == [{**address, "AddressFamily": "IPv6"}]
    assert host.registry(key.lower() + "\\") == {"Reporting": 0}
    assert host.registry("HKLM:\\SOFTWARE\\Other") == {}


def test_what_a_script_does_to_its_objects_does_nothing_to_the_host():
    given_world: dict[str, Any] = {
        "defender": {"preferences": {"ExclusionPath": ["a"]}},
        "networks": [],
    }
    before = copy.deepcopy(given_world)
    host = Host(given_world)
    host.world["networks"].append(NETWORKS[0])
    host.call("Add-MpPreference", ExclusionPath="c")
    host.call("Remove-MpPreference", ExclusionPath="c")
    host.call("Get-NetConnectionProfile")[0]["Name"] = "other"
    host.registry("HKLM:\\x")["y"] = 1
    asked = ["443"]
    host.call("New-NetFirewallRule", Name="r", DisplayName="r", Protocol="TCP", LocalPort=asked)
    asked.append("1")
    host.call("Get-MpPreference")[0]["ExclusionPath"].append("b")
    assert host.world["rules"]["r"]["LocalPort"] == ["443"]
    assert host.world["defender"]["preferences"]["ExclusionPath"] == ["a"]
    assert host.world["networks"] == NETWORKS[:1]
    assert given_world == before


def test_a_world_comes_back_from_its_file_complete_and_leaves_nothing_beside_it(tmp_path: Path):
    path = tmp_path / "world.json"
    path.write_text('{"rules": {"é": {"DisplayName": "é"}}}', "utf-8")
    world = host_world.load(path)
    host = Host(world)
    assert world["profiles"]["Public"] == host_world.PROFILE
    host.call("New-NetFirewallRule", DisplayName="x", RemoteAddress="10.0.0.0/8")
    host_world.save(path, host.world)
    assert host_world.load(path) == host.world
    assert [one.name for one in tmp_path.iterdir()] == ["world.json"]
    assert "é".encode() in path.read_bytes()
