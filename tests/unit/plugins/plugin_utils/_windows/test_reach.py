# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a policy would lock the controller out, and which rules make others dead."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.twinguard.hardening.plugins.plugin_utils._windows.reach import (
    Reach,
    covers,
    planned_settings,
    reach,
    ways,
)
from ansible_collections.twinguard.hardening.plugins.plugin_utils._windows.types import (
    POLICY,
    Firewall,
    Management,
    Network,
    Rule,
)

ON = {"enabled": "true", "default_inbound": "block", "allow_inbound_rules": "true",
      "allow_local_rules": "true"}  # fmt: skip
NETWORK = Network(
    connections=(("192.168.1.20", "192.168.1.10"),),
    addresses=(("192.168.1.20", 24, "7"), ("10.9.0.2", 16, "9")),
    profiles={"7": "private", "9": "public"},
)
WAY = Management(port=5985, own=("192.168.1.10",))
WINRM = Rule(
    name="WinRM", protocol="TCP", local_ports=frozenset(["5985"]), program="System", action="allow"
)


def host(*rules: Rule, network: Network = NETWORK, **settings: str) -> Firewall:
    active = {name: {**ON, **settings} for name in ("domain", "private", "public")}
    return Firewall(active=active, rules=rules, network=network)


def decided(*rules: Rule, way: Management = WAY, **settings: Any) -> Reach:
    return reach(host(*rules, **settings), way)


def addresses(*texts: str) -> frozenset[str]:
    return frozenset(texts)


def test_a_rule_for_the_port_keeps_the_way_open() -> None:
    assert decided(WINRM).reached
    assert "'WinRM' lets 192.168.1.10 in" in decided(WINRM).reason


def test_without_a_rule_the_default_decides() -> None:
    closed = decided()
    assert not closed.reached
    for word in ("192.168.1.10", "5985", "private", "add to rules: {name: Ansible"):
        assert word in closed.reason
    assert decided(default_inbound="allow").reached
    assert decided(enabled="false").reached


def test_a_block_rule_that_may_hit_the_controller_closes_the_way() -> None:
    wall = Rule(name="Wall", action="block", remote_addresses=addresses("192.168.0.0/16"))
    assert "'Wall' beats every allow rule" in decided(WINRM, wall).reason
    # Nobody knows what this word stands for on that host.
    for word in ("Internet", "DNS"):
        assert not decided(WINRM, replace(wall, remote_addresses=addresses(word))).reached
    for harmless in (
        replace(wall, remote_addresses=addresses("10.0.0.0/8")),
        replace(wall, enabled=False),
        replace(wall, profiles=frozenset(["public"])),
        replace(wall, protocol="UDP"),
        replace(wall, local_ports=addresses("80-90"), protocol="TCP"),
        replace(wall, program=r"C:\games\game.exe"),
        replace(wall, direction="outbound"),
    ):
        assert decided(WINRM, harmless).reached


@pytest.mark.parametrize(
    "changes",
    [
        {"enabled": False},
        {"direction": "outbound"},
        {"protocol": "UDP"},
        {"local_ports": addresses("5986")},
        {"local_ports": addresses("RPC")},
        {"remote_ports": addresses("443")},
        {"remote_addresses": addresses("10.0.0.0/8")},
        {"remote_addresses": addresses("Intranet")},
        {"local_addresses": addresses("10.9.0.2")},
        {"profiles": frozenset(["public", "domain"])},
        {"program": r"C:\nginx\nginx.exe"},
        {"service": "iphlpsvc"},
        {"interface_type": "wireless"},
        {"conditions": (("remote_user", "D:(A;;CC;;;S-1-5-2)"),)},
    ],
)
def test_an_allow_rule_counts_only_where_it_surely_matches(changes: dict[str, Any]) -> None:
    assert not decided(replace(WINRM, **changes)).reached


@pytest.mark.parametrize(
    "changes",
    [
        {"protocol": "Any", "local_ports": addresses("Any")},
        {"local_ports": addresses("5000-6000")},
        {"remote_addresses": addresses("192.168.1.0/25")},
        {"remote_addresses": addresses("192.168.1.0-192.168.1.9", "192.168.1.10")},
        {"remote_addresses": addresses("LocalSubnet")},
        {"remote_addresses": addresses("LocalSubnet4")},
        {"local_addresses": addresses("192.168.1.20")},
        {"program": "Any"},
        {"profiles": frozenset(["private"])},
    ],
)
def test_an_allow_rule_that_surely_matches_counts(changes: dict[str, Any]) -> None:
    assert decided(replace(WINRM, **changes)).reached


def test_local_rules_count_only_where_group_policy_lets_them() -> None:
    assert not decided(WINRM, allow_local_rules="false").reached
    assert decided(replace(WINRM, source=POLICY), allow_local_rules="false").reached


def test_shields_up_cuts_everybody_off() -> None:
    closed = decided(WINRM, allow_inbound_rules="false")
    assert "allow_inbound_rules is off" in closed.reason


def test_each_profile_that_may_decide_is_asked() -> None:
    nowhere = replace(NETWORK, addresses=())
    only_private = replace(WINRM, profiles=frozenset(["private"]))
    assert not decided(only_private, network=nowhere).reached
    both = replace(WINRM, profiles=frozenset(["private", "public"]))
    assert decided(both, network=nowhere).reached
    unknown = replace(nowhere, profiles={})
    assert not decided(both, network=unknown).reached
    assert decided(WINRM, network=unknown).reached


def test_of_several_peers_the_one_with_our_address_is_the_controller() -> None:
    peers = (("192.168.1.20", "10.0.0.66"), ("192.168.1.20", "192.168.1.10"))
    ours = replace(WINRM, remote_addresses=addresses("192.168.1.10"))
    busy = replace(NETWORK, connections=peers)
    assert decided(ours, network=busy).reached
    # Behind address translation any of them may be the controller.
    assert not decided(ours, network=busy, way=replace(WAY, own=("172.16.0.1",))).reached


def test_addresses_that_the_user_names_count_alone() -> None:
    way = replace(WAY, addresses=("10.0.0.0/24",))
    assert not decided(replace(WINRM, remote_addresses=addresses("192.168.1.10")), way=way).reached
    assert not decided(replace(WINRM, remote_addresses=addresses("10.0.0.0/25")), way=way).reached
    # Nobody is connected from there, so that any address of the host may be meant.
    wide = replace(WINRM, remote_addresses=addresses("10.0.0.0/8"))
    assert decided(wide, way=way).reached
    assert not decided(replace(wide, local_addresses=addresses("192.168.1.20")), way=way).reached


def test_a_host_that_shows_no_connection_leaves_the_question_open() -> None:
    closed = decided(WINRM, network=replace(NETWORK, connections=()))
    assert "set management_port" in closed.reason
    assert not closed.reached


def test_there_is_nothing_to_guard_where_nothing_comes_in() -> None:
    for way in (replace(WAY, guarded=False), replace(WAY, port=None, transport="aws_ssm")):
        answer = reach(host(), way)
        assert answer.reached
        assert not answer.applies


def test_what_stays_on_the_host_is_not_looked_at() -> None:
    looped = replace(NETWORK, connections=(("127.0.0.1", "127.0.0.1"), ("::1", "::1")))
    assert decided(network=looped).reached


def test_an_ipv4_peer_in_ipv6_clothes_is_what_it_is() -> None:
    dressed = replace(NETWORK, connections=(("::ffff:192.168.1.20", "::ffff:192.168.1.10"),))
    (only,) = ways(dressed, WAY)
    assert (only.local, only.remote) == ("192.168.1.20", "192.168.1.10")
    assert only.profiles == {"private"}


# --- covering


JUPYTER = Rule(
    name="Jupyter", protocol="TCP", local_ports=addresses("8888"),
    remote_addresses=addresses("192.168.1.0/24"), profiles=frozenset(["domain", "private"]),
)  # fmt: skip


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"protocol": "Any", "local_ports": addresses("Any")},
        {"local_ports": addresses("8000-8887", "8888-9000")},
        {"remote_addresses": addresses("192.168.1.0/25", "192.168.1.128/25")},
        {"remote_addresses": addresses("Any")},
        {"profiles": frozenset(["domain", "private", "public"])},
    ],
)
def test_a_wider_rule_covers(changes: dict[str, Any]) -> None:
    assert covers(replace(JUPYTER, action="block", **changes), JUPYTER)


@pytest.mark.parametrize(
    "changes",
    [
        {"protocol": "UDP"},
        {"direction": "outbound"},
        {"local_ports": addresses("8000-8887")},
        {"remote_ports": addresses("1024-65535")},
        {"remote_addresses": addresses("192.168.1.0/25")},
        {"remote_addresses": addresses("LocalSubnet")},
        {"local_addresses": addresses("192.168.1.20")},
        {"profiles": frozenset(["domain"])},
        {"program": "jupyter.exe"},
        {"service": "jupyter"},
        {"interface_type": "wired"},
        {"icmp_types": addresses("8")},
        {"conditions": (("remote_user", "somebody"),)},
    ],
)
def test_a_rule_that_leaves_something_out_does_not_cover(changes: dict[str, Any]) -> None:
    assert not covers(replace(JUPYTER, action="block", **changes), JUPYTER)


def test_settings_that_group_policy_decides_stay_as_they_are() -> None:
    active = {"enabled": "true", "default_inbound": "allow"}
    wanted = {"default_inbound": "block", "enabled": "false"}
    free = {"default_inbound": "allow", "enabled": "true"}
    assert planned_settings(free, active, wanted) == wanted
    overruled = {"default_inbound": "block", "enabled": "false"}
    assert planned_settings(overruled, active, wanted) == active
    # What is not configured may come from group policy: what closes is believed, what opens is not.
    assert planned_settings({}, active, wanted) == {"enabled": "true", "default_inbound": "block"}


def test_each_refusal_names_a_fix_that_would_help() -> None:
    add_a_rule = "add to rules: {name: Ansible, protocol: tcp, local_ports: ['5985']"
    assert decided().reason.endswith(f"{add_a_rule}, remote_addresses: ['192.168.1.10']}}")
    wall = replace(WINRM, name="Wall", action="block")
    assert "remove that rule" in decided(WINRM, wall).reason
    assert add_a_rule not in decided(WINRM, wall).reason
    assert "set allow_inbound_rules to true" in decided(allow_inbound_rules="false").reason
    local_off = decided(WINRM, allow_local_rules="false").reason
    assert f"set allow_local_rules to true and {add_a_rule}" in local_off
