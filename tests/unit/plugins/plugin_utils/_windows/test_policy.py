# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A policy for a Windows firewall that could not be in force is refused before anybody is asked."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.twinguard.hardening.plugins.module_utils._core.plan import ControlError
from ansible_collections.twinguard.hardening.plugins.plugin_utils._windows.policy import (
    firewall_policy,
    management,
)
from ansible_collections.twinguard.hardening.plugins.plugin_utils._windows.types import (
    FirewallPolicy,
)

RULE = {
    "name": "Jupyter", "description": "", "enabled": True, "direction": "inbound", "action": "allow",
    "profiles": ["domain", "private", "public"], "protocol": "tcp", "local_ports": ["8888"],
    "remote_ports": [], "icmp_types": [], "local_addresses": [], "remote_addresses": ["192.168.1.0/24"],
    "program": "any", "service": "any", "interface_type": "any", "edge_traversal": "block",
}  # fmt: skip


def rule(**changes: Any) -> dict[str, Any]:
    return {**RULE, **changes}


def parsed(**options: Any) -> FirewallPolicy | None:
    return firewall_policy({"group": "twinguard", **options})


def refused(**options: Any) -> str:
    with pytest.raises(ControlError) as error:
        parsed(**options)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_rule_is_read_into_canonical_words() -> None:
    policy = parsed(rules=[rule()])
    assert policy is not None
    assert policy.rules is not None
    (made,) = policy.rules
    assert (made.protocol, made.group) == ("TCP", "twinguard")
    assert made.local_ports == {"8888"}
    assert made.remote_addresses == {"192.168.1.0/24"}


def test_what_is_not_given_is_left_alone() -> None:
    assert parsed() is None
    assert parsed(profiles={"all": {"enabled": None}}) is None
    empty = parsed(rules=[])
    assert empty is not None
    assert empty.rules == ()


def test_settings_of_one_profile_count_more_than_those_of_all() -> None:
    policy = parsed(
        profiles={
            "all": {"enabled": True, "default_inbound": "block"},
            "domain": {"default_inbound": "allow", "enabled": None},
        }
    )
    assert policy is not None
    assert policy.profiles == {
        "domain": {"enabled": "true", "default_inbound": "allow"},
        "private": {"enabled": "true", "default_inbound": "block"},
        "public": {"enabled": "true", "default_inbound": "block"},
    }


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": "Jupyter*"}, ["rules[0].name", "wildcard"]),
        ({"name": "Jupyter [vpn]"}, ["rules[0].name", "wildcard"]),
        ({"name": " "}, ["rules[0].name", "cannot be used as a name"]),
        ({"name": "a|b"}, ["rules[0].name", "cannot be used as a name"]),
        ({"name": "a\nb"}, ["rules[0].name", "cannot be used as a name"]),
        ({"protocol": "any"}, ["rules[0].local_ports", "set protocol to tcp or udp"]),
        ({"protocol": "tcpx"}, ["rules[0].protocol", "is not a protocol"]),
        ({"profiles": []}, ["rules[0].profiles", "names no profile"]),
        ({"description": "a|b"}, ["rules[0].description", "remove it"]),
        (
            {"local_addresses": ["fe80::1"]},
            ["rules[0].remote_addresses", "another IP version than local_addresses"],
        ),
        (
            {"protocol": "icmpv6", "local_ports": []},
            ["rules[0].remote_addresses", "IPv4 addresses, but protocol is ICMPv6"],
        ),
        ({"edge_traversal": "allow", "action": "block"}, ["edge_traversal", "allow rules only"]),
    ],
)
def test_a_bad_rule_is_refused_by_option_value_and_cure(
    changes: dict[str, Any], words: list[str]
) -> None:
    message = refused(rules=[rule(**changes)])
    for word in words:
        assert word in message


def test_two_rules_of_one_name_are_refused_whatever_their_letters_are() -> None:
    other = rule(name="JUPYTER", local_ports=["9"])
    assert "'rules[1].name'" in refused(rules=[rule(), other])


def test_two_rules_about_the_same_traffic_are_refused() -> None:
    other = rule(name="Again", remote_addresses=["192.168.1.0/255.255.255.0"])
    assert "exactly the same traffic as 'Jupyter'" in refused(rules=[rule(), other])


def test_a_block_rule_that_covers_an_allow_rule_is_refused_with_the_precedence() -> None:
    wall = rule(name="Wall", action="block", protocol="any", local_ports=[], remote_addresses=[])
    message = refused(rules=[rule(), wall])
    assert "'Wall' covers it" in message
    assert "a block rule beats every allow rule" in message
    assert "default_inbound to block" in message


def test_a_block_rule_inside_an_allow_rule_is_an_exception_to_it() -> None:
    hole = rule(name="Guests", action="block", remote_addresses=["192.168.1.128/25"])
    assert parsed(rules=[rule(), hole]) is not None


def test_a_disabled_block_rule_covers_nothing() -> None:
    wall = rule(name="Wall", action="block", enabled=False, remote_addresses=[])
    assert parsed(rules=[rule(), wall]) is not None


@pytest.mark.parametrize("missing", ["direction", "profiles"])
def test_rules_of_others_go_only_in_a_named_direction_and_on_named_profiles(missing: str) -> None:
    given = {"action": "disable", "direction": "inbound", "profiles": ["public"], missing: None}
    assert f"unmanaged.{missing}" in refused(unmanaged=given)


def test_a_group_that_names_a_resource_or_several_groups_is_refused() -> None:
    for group in ("@FirewallAPI.dll,-100", "twin*"):
        with pytest.raises(ControlError, match="option 'group'"):
            firewall_policy({"group": group, "rules": []})


def test_a_log_that_windows_would_not_take_is_refused() -> None:
    for settings in ({"log_max_kilobytes": 0}, {"log_max_kilobytes": 40000}, {"log_file": " "}):
        assert "profiles.public.log_" in refused(profiles={"public": settings})


def test_what_the_user_says_of_the_way_in_counts() -> None:
    options = {"lockout_guard": True, "controller_addresses": ["10.0.0.5"], "management_port": 443}
    way = management(options, "winrm", 5986, ("192.168.1.10",))
    assert (way.port, way.addresses, way.own) == (443, ("10.0.0.5",), ("192.168.1.10",))


@pytest.mark.parametrize(
    "wrong", [{"controller_addresses": ["LocalSubnet"]}, {"management_port": 70000}]
)
def test_a_way_in_that_is_none_is_refused(wrong: dict[str, Any]) -> None:
    options = {"lockout_guard": True, "controller_addresses": [], "management_port": None, **wrong}
    with pytest.raises(ControlError, match=next(iter(wrong))):
        management(options, "winrm", 5986, ())
