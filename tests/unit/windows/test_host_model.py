# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules of the model of a Windows host: what is written comes back as Windows would show it."""

from __future__ import annotations

import copy
import ipaddress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.twinguard.hardening.tests.windows import host_world
from ansible_collections.twinguard.hardening.tests.windows.host_model import CmdletError, Host

NOT_FOUND = (
    "No MSFT_NetFirewallRule objects found with property '%s' equal to '%s'.  "
    "Verify the value of the property and retry."
)
NETWORKS = [
    {"InterfaceIndex": 7, "InterfaceAlias": "a", "Name": "p", "NetworkCategory": "Private"},
    {"InterfaceIndex": 8, "InterfaceAlias": "b", "Name": "q", "NetworkCategory": "Public"},
]


def make(host: Host, **more: Any) -> dict[str, Any]:
    """A new rule called r, all that Windows shows of it."""
    (rule,) = host.call("New-NetFirewallRule", **{"Name": "r", "DisplayName": "R", **more})
    for kind in ("Port", "Address", "Application", "Service", "InterfaceType", "Security"):
        found = host.call(f"Get-NetFirewall{kind}Filter", AssociatedNetFirewallRule=rule)
        rule.update(found[0])
    return rule


def refusal(host: Host, cmdlet: str, **parameters: Any) -> tuple[str, str]:
    """Category and sentence of the error, which must leave the world alone."""
    before = copy.deepcopy(host.world)
    with pytest.raises(CmdletError) as caught:
        host.call(cmdlet, **parameters)
    assert host.world == before
    return caught.value.category, str(caught.value)


def ids(host: Host, **asked: Any) -> list[str]:
    return [one["InstanceID"] for one in host.call("Get-NetFirewallRule", **asked)]


def rules(*names: str, **more: Any) -> dict[str, Any]:
    return {name: {"DisplayName": name, **more} for name in names}


# --- rules that are written


def test_a_rule_that_says_nothing_has_the_documented_defaults():
    rule = make(Host({}))
    shown = {name: rule[name] for name in ("Enabled", "Profile", "Direction", "Action", "Group")}
    assert shown == {
        "Enabled": "True", "Profile": "Any", "Direction": "Inbound", "Action": "Allow", "Group": None
    }  # fmt: skip
    assert (rule["Protocol"], rule["LocalPort"], rule["RemoteAddress"]) == ("Any", "Any", "Any")
    assert (rule["Package"], rule["OverrideBlockRules"]) == (None, False)
    assert rule["EnforcementStatus"] == ["NotApplicable"]


@pytest.mark.parametrize(
    ("given_address", "kept"),
    [
        ("192.168.1.7/24", "192.168.1.0/255.255.255.0"),
        ("10.2.3.4/255.255.0.0", "10.2.0.0/255.255.0.0"),
        ("0.0.0.0/0", "0.0.0.0/0.0.0.0"),
        ("1.2.3.4/32", "1.2.3.4"),
        ("2001:0DB8:0:0::1/48", "2001:db8::/48"),
        ("2001:DB8::1/128", "2001:db8::1"),
        ("10.0.0.1-10.0.0.9", "10.0.0.1-10.0.0.9"),
        ("FE80::1-fe80::0009", "fe80::1-fe80::9"),
        ("LOCALSUBNET", "LocalSubnet"),
        ("any", "Any"),
    ],
)
def test_an_address_comes_back_in_windows_own_form(given_address: str, kept: str):
    assert make(Host({}), RemoteAddress=given_address)["RemoteAddress"] == kept


def test_several_addresses_come_back_in_another_order():
    rule = make(Host({}), LocalAddress=["1.1.1.1", "LocalSubnet", "2.2.2.2"])
    assert rule["LocalAddress"] == ["LocalSubnet", "2.2.2.2", "1.1.1.1"]


@pytest.mark.parametrize(
    "address",
    ["10.0.0.300", "10.0.0.0/33", "10.0.0.0/0.255.255.255", "1.2", "host", "", " 10.0.0.1",
     "10.0.0.9-10.0.0.1", "10.0.0.1-fe80::1", "10.0.0.1-", []],
)  # fmt: skip
def test_what_is_no_address_is_refused(address: Any):
    category, sentence = refusal(
        Host({}), "New-NetFirewallRule", DisplayName="x", RemoteAddress=address
    )
    assert category == "InvalidArgument"
    assert sentence.startswith("The address is invalid.")


v4_networks = st.builds(
    lambda address, length: ipaddress.ip_network(f"{address}/{length}", strict=False),
    st.ip_addresses(v=4),
    st.integers(0, 32),
)
v6_networks = st.builds(
    lambda address, length: ipaddress.ip_network(f"{address}/{length}", strict=False),
    st.ip_addresses(v=6),
    st.integers(0, 128),
)


@given(st.lists(v4_networks | v6_networks, min_size=1, max_size=5, unique=True))
def test_whatever_networks_a_rule_is_given_it_means_the_same_ones(networks: list[Any]):
    host = Host({})
    found = make(host, RemoteAddress=[str(one).upper() for one in networks])["RemoteAddress"]
    listed = found if isinstance(found, list) else [found]
    assert {ipaddress.ip_network(one) for one in listed} == set(networks)
    host.call("Set-NetFirewallRule", Name="r", RemoteAddress=listed)
    (again,) = host.call("Get-NetFirewallAddressFilter")
    assert again["RemoteAddress"] == found


@pytest.mark.parametrize(
    ("given_protocol", "kept"),
    [("6", "TCP"), (17, "UDP"), ("1", "ICMPv4"), (58, "ICMPv6"), ("tcp", "TCP"), ("ANY", "Any"), (47, "47")],
)  # fmt: skip
def test_a_known_protocol_comes_back_by_its_name(given_protocol: Any, kept: str):
    assert make(Host({}), Protocol=given_protocol)["Protocol"] == kept


@pytest.mark.parametrize("protocol", ["sctp", "300", "-1", "٣"])
def test_what_is_no_protocol_is_refused(protocol: str):
    _category, sentence = refusal(
        Host({}), "New-NetFirewallRule", DisplayName="x", Protocol=protocol
    )
    assert sentence.startswith("The protocol is invalid.")


def test_ports_stay_in_order_and_their_words_get_the_documented_spelling():
    rule = make(Host({}), Protocol="TCP", LocalPort=["443", "80-90", "rpcepmap"], RemotePort=53)
    assert rule["LocalPort"] == ["443", "80-90", "RPCEPMap"]
    assert rule["RemotePort"] == "53"


@pytest.mark.parametrize("port", ["70000", "90-80", "x", "80,90", "", "-1", []])
def test_what_is_no_port_is_refused(port: Any):
    _category, sentence = refusal(
        Host({}), "New-NetFirewallRule", DisplayName="x", Protocol="TCP", LocalPort=port
    )
    assert sentence.startswith("The port number or keyword is invalid for the protocol.")


@pytest.mark.parametrize("protocol", [{}, {"Protocol": "ICMPv4"}, {"Protocol": "47"}])
def test_ports_need_a_protocol_that_has_them(protocol: dict[str, str]):
    category, sentence = refusal(
        Host({}), "New-NetFirewallRule", DisplayName="x", LocalPort="80", **protocol
    )
    assert category == "InvalidArgument"
    assert sentence.startswith("The port number or keyword is invalid for the protocol.")


def test_a_protocol_cannot_be_taken_from_under_the_ports():
    host = Host({"rules": rules("r", Protocol="TCP", LocalPort=["80"])})
    _category, sentence = refusal(host, "Set-NetFirewallRule", Name="r", Protocol="Any")
    assert sentence.startswith("The port number or keyword is invalid for the protocol.")
    host.call("Set-NetFirewallRule", Name="r", Protocol="any", LocalPort="any")
    assert host.world["rules"]["r"]["Protocol"] == "Any"


def test_a_name_that_is_taken_in_any_case_is_refused():
    host = Host({"rules": rules("Web")})
    _category, sentence = refusal(host, "New-NetFirewallRule", Name="wEB", DisplayName="x")
    assert sentence == "Cannot create a file when that file already exists."


def test_rules_without_a_name_get_ids_that_are_free_and_the_same_for_the_same_world():
    made = []
    for _again in range(2):
        host = Host({})
        for _one in range(3):
            host.call("New-NetFirewallRule", DisplayName="same")
        host.call("Remove-NetFirewallRule", Name=ids(host)[0])
        host.call("New-NetFirewallRule", DisplayName="same")
        made.append(ids(host))
    assert made[0] == made[1]
    assert len(set(made[0])) == 3


def test_any_program_and_service_are_spelled_as_documented_and_others_stay():
    rule = make(Host({}), Program="ANY", Service="any")
    assert (rule["Program"], rule["Service"]) == ("Any", "Any")
    assert make(Host({}), Program="system")["Program"] == "system"


def test_types_of_icmp_need_icmp():
    assert make(Host({}), Protocol="1", IcmpType=["8", "0"])["IcmpType"] == ["8", "0"]
    asked = {"DisplayName": "x", "IcmpType": "8", "Protocol": "TCP"}
    assert refusal(Host({}), "New-NetFirewallRule", **asked)[0] == "InvalidArgument"


def test_a_list_without_values_is_nothing():
    (found,) = Host({"rules": rules("r", InterfaceAlias=[])}).call("Get-NetFirewallInterfaceFilter")
    assert found == {"InstanceID": "r", "InterfaceAlias": None}


# --- rules that are found


def test_wildcards_are_powershells_and_a_backtick_takes_their_meaning():
    host = Host({"rules": rules("tg-a", "tg-b", "tg-!", "tg-[a]", "other")})
    assert ids(host, Name="TG-[ab]") == ["tg-a", "tg-b"]
    assert ids(host, Name="tg-[!a]") == ["tg-a", "tg-!"]
    assert ids(host, Name="tg-`[a`]") == ["tg-[a]"]
    assert ids(host, Name="tg-?") == ["tg-a", "tg-b", "tg-!"]
    assert ids(host, Name=["o*", "other"]) == ["other"]


@pytest.mark.parametrize(
    ("parameter", "property_"),
    [("Name", "InstanceID"), ("DisplayName", "DisplayName"), ("Group", "RuleGroup")],
)
def test_a_name_that_no_rule_has_is_an_error_and_a_pattern_is_none(parameter: str, property_: str):
    host = Host({"rules": rules("a", Group="g")})
    category, sentence = refusal(host, "Get-NetFirewallRule", **{parameter: ["nope", "a"]})
    assert (category, sentence) == ("ObjectNotFound", NOT_FOUND % (property_, "nope"))
    assert ids(host, **{parameter: "nope*"}) == []


def test_each_store_has_its_own_rules_and_the_active_one_has_all():
    host = Host({"rules": rules("a"), "policy_rules": rules("gpo", Protocol="47")})
    assert ids(host) == ids(host, PolicyStore="PersistentStore") == ["a"]
    assert ids(host, PolicyStore="RSOP") == ["gpo"]
    assert ids(host, PolicyStore="activestore") == ["a", "gpo"]
    both = host.call("Get-NetFirewallRule", PolicyStore="ActiveStore")
    assert [one["PolicyStoreSourceType"] for one in both] == ["Local", "GroupPolicy"]
    found = host.call("Get-NetFirewallPortFilter", AssociatedNetFirewallRule=both)
    assert [one["Protocol"] for one in found] == ["Any", "47"]
    assert found == host.call("Get-NetFirewallPortFilter", PolicyStore="ActiveStore")
    assert refusal(host, "Get-NetFirewallRule", PolicyStore="no")[0] == "ObjectNotFound"


def test_the_active_store_tells_what_keeps_a_rule_from_being_in_force():
    world = {
        "rules": {
            **rules("here"), **rules("public", Profile="Public"), **rules("domain", Profile="Domain"),
            **rules("off", Enabled="False"), **rules("both", Profile="Domain, Private"),
        },
        "policy_rules": rules("gpo", Profile="Public"),
        "policy_profiles": {"Public": {"AllowLocalFirewallRules": "False"}},
        "networks": NETWORKS,
    }  # fmt: skip
    host = Host(world)
    expected = {
        "here": ["Enforced"],
        "public": ["LocalFirewallRulesDisallowed"],
        "domain": ["ProfileInactive"],
        "off": ["DisabledObject"],
        "both": ["Enforced"],
        "gpo": ["Enforced"],
    }
    active = host.call("Get-NetFirewallRule", PolicyStore="ActiveStore")
    assert {one["Name"]: one["EnforcementStatus"] for one in active} == expected
    host.call("Set-NetFirewallProfile", Name="Private", Enabled="False")
    (here,) = host.call("Get-NetFirewallRule", PolicyStore="ActiveStore", Name="here")
    assert here["EnforcementStatus"] == ["FirewallOffInProfile", "LocalFirewallRulesDisallowed"]


# --- rules that are changed and removed


def test_a_change_touches_only_what_was_named():
    host = Host({"rules": rules("a", "b")})
    host.call("Set-NetFirewallRule", Name="a", NewDisplayName="new", Action="Blo")
    expected = {**host_world.RULE, "DisplayName": "new", "Action": "Block"}
    assert host.world["rules"]["a"] == expected
    assert host.world["rules"]["b"] == {**host_world.RULE, "DisplayName": "b"}


def test_a_name_with_a_group_is_ambiguous_and_no_choice_is_refused():
    host = Host({"rules": rules("a", Group="g")})
    others: tuple[dict[str, Any], ...] = (
        {"Group": "h"}, {"DisplayName": "a"}, {"InputObject": host.call("Get-NetFirewallRule")}
    )  # fmt: skip
    for other in others:
        _category, sentence = refusal(host, "Set-NetFirewallRule", Name="a", **other)
        assert sentence.startswith("Parameter set cannot be resolved")
    assert refusal(host, "Set-NetFirewallRule", Action="Block")[1].endswith("parameters: Name.")
    assert "empty array" in refusal(host, "Set-NetFirewallRule", InputObject=[])[1]


def test_objects_mean_exactly_these_rules_even_where_an_id_looks_like_a_pattern():
    host = Host({"rules": rules("a*", "ab", "c")})
    chosen = [one for one in host.call("Get-NetFirewallRule") if one["Name"] != "c"][:1]
    host.call("Disable-NetFirewallRule", InputObject=chosen)
    host.call("Set-NetFirewallRule", InputObject=chosen[0], Description="d")
    assert host.world["rules"]["a*"] == {
        **host_world.RULE, "DisplayName": "a*", "Enabled": "False", "Description": "d"
    }  # fmt: skip
    assert host.world["rules"]["ab"]["Enabled"] == "True"
    host.call("Enable-NetFirewallRule", InputObject=chosen)
    assert host.world["rules"]["a*"]["Enabled"] == "True"
    host.call("Remove-NetFirewallRule", InputObject=chosen)
    assert ids(host) == ["ab", "c"]
    _category, sentence = refusal(host, "Remove-NetFirewallRule", InputObject=chosen)
    assert sentence == NOT_FOUND % ("InstanceID", "a*")


@pytest.mark.parametrize("verb", ["Set", "Remove", "Disable", "Enable"])
def test_a_rule_of_group_policy_cannot_be_changed_by_any_cmdlet(verb: str):
    host = Host({"rules": rules("gpo"), "policy_rules": rules("gpo")})
    there = host.call("Get-NetFirewallRule", PolicyStore="ActiveStore")
    answer = refusal(host, f"{verb}-NetFirewallRule", InputObject=there)
    assert answer == ("PermissionDenied", "Access is denied.")


def test_removing_without_a_choice_removes_every_local_rule():
    host = Host({"rules": rules("a", "b"), "policy_rules": rules("gpo")})
    host.call("Remove-NetFirewallRule")
    assert (ids(host), ids(host, PolicyStore="RSOP")) == ([], ["gpo"])


@pytest.mark.parametrize(
    ("cmdlet", "parameters"),
    [
        ("New-NetFirewallRule", {"DisplayName": "x"}),
        ("Set-NetFirewallRule", {"Name": "a", "Action": "Block"}),
        ("Remove-NetFirewallRule", {"Name": "a"}),
        ("Disable-NetFirewallRule", {"Name": "a"}),
        ("Enable-NetFirewallRule", {"Name": "off"}),
        ("Set-NetFirewallProfile", {"Name": "Public", "Enabled": "False"}),
        ("Set-MpPreference", {"MAPSReporting": "Basic"}),
        ("Add-MpPreference", {"ExclusionPath": "x"}),
        ("Remove-MpPreference", {"ExclusionPath": "C:\\a"}),
    ],
)
def test_what_changes_a_host_does_not_in_a_dry_run_nor_without_the_right_to(
    cmdlet: str, parameters: dict[str, Any]
):
    world = {
        "rules": {**rules("a"), **rules("off", Enabled="False")},
        "defender": {"preferences": {"ExclusionPath": ["C:\\a"]}},
    }
    host = Host(world)
    before = copy.deepcopy(host.world)
    host.call(cmdlet, **parameters, WhatIf=True)
    assert host.world == before
    assert refusal(Host({**world, "switches": {"administrator": False}}), cmdlet, **parameters)[
        0
    ] == ("PermissionDenied")
    host.call(cmdlet, **parameters, WhatIf=False, ErrorAction="Stop")
    assert host.world != before
