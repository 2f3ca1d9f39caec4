# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Windows says the same thing in several ways; each has one canonical form."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.twinguard.hardening.plugins.module_utils._core.plan import ControlError
from ansible_collections.twinguard.hardening.plugins.plugin_utils._windows import words
from ansible_collections.twinguard.hardening.plugins.plugin_utils._windows.types import ANY


@pytest.mark.parametrize(
    ("shown", "canonical"),
    [
        ("192.168.1.0/255.255.255.0", "192.168.1.0/24"),
        ("192.168.1.0/24", "192.168.1.0/24"),
        ("10.236.0.100/255.255.255.255", "10.236.0.100"),
        ("10.0.0.7/32", "10.0.0.7"),
        ("10.0.0.0-10.0.0.255", "10.0.0.0/24"),
        ("10.0.0.7-10.0.0.7", "10.0.0.7"),
        ("10.0.0.7 - 10.0.0.9", "10.0.0.7-10.0.0.9"),
        ("2001:DB8:0:0::/32", "2001:db8::/32"),
        ("fe80::0001/128", "fe80::1"),
        ("localsubnet", "LocalSubnet"),
        ("INTRANETREMOTEACCESS", "IntranetRemoteAccess"),
        ("*", "Any"),
        ("any", "Any"),
        ("Unheard-Of", "Unheard-Of"),
    ],
)
def test_an_address_is_the_same_in_each_of_its_forms(shown: str, canonical: str) -> None:
    assert words.canonical_address(shown) == canonical


def test_any_swallows_what_stands_beside_it_and_nothing_is_any() -> None:
    assert words.canonical_addresses(["10.0.0.7", "Any"]) == ANY
    assert words.canonical_addresses([]) == ANY
    assert words.canonical_ports([""]) == ANY


@given(st.ip_addresses(v=4), st.integers(0, 32))
def test_a_network_is_equal_to_itself_with_a_mask(
    address: ipaddress.IPv4Address, size: int
) -> None:
    net = ipaddress.ip_network((address, size), strict=False)
    assert words.canonical_address(f"{address}/{net.netmask}") == words.canonical_address(
        f"{address}/{size}"
    )


@given(st.ip_addresses(), st.ip_addresses())
def test_what_was_made_canonical_stays_as_it_is(
    one: ipaddress.IPv4Address | ipaddress.IPv6Address,
    other: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    for text in (str(one), f"{one}-{other}", f"{one}/20"):
        made = words.canonical_address(text)
        assert words.canonical_address(made) == made


@pytest.mark.parametrize(
    ("texts", "problem"),
    [
        (["300.1.2.3"], "is not an address"),
        (["10.0.0.0/33"], "is not an address"),
        (["10.0.0.9-10.0.0.7"], "is not an address"),
        (["10.0.0.7-fe80::1"], "is not an address"),
        (["fe80::/24/24"], "is not an address"),
        (["vpn"], "is not an address"),
        (["192.168.1.7/24"], "write 192.168.1.0/24 for the network or 192.168.1.7 for the one"),
        (["10.0.0.7", "10.0.0.7/32"], "means the same as 10.0.0.7"),
        (["10.0.0.0/8", "10.1.0.0/16"], "overlaps 10.0.0.0/8"),
        (["10.0.0.7", "Any"], "is given together with Any"),
        (["LocalSubnet", "localsubnet"], "means the same"),
    ],
)
def test_a_bad_address_is_refused_by_name(texts: list[str], problem: str) -> None:
    with pytest.raises(ControlError, match=r"option 'rules\[0\].remote_addresses'") as refused:
        words.refuse_addresses("rules[0].remote_addresses", texts)
    assert problem in str(refused.value)


def test_good_addresses_become_a_set() -> None:
    made = words.refuse_addresses("a", ["10.0.0.0/255.0.0.0", "fe80::/10", "dns", "1.2.3.4"])
    assert made == {"10.0.0.0/8", "fe80::/10", "DNS", "1.2.3.4"}
    assert words.refuse_addresses("a", []) == ANY
    assert words.versions(made) == {0, 4, 6}


@pytest.mark.parametrize(
    ("shown", "canonical"),
    [("6", "TCP"), ("tcp", "TCP"), ("17", "UDP"), ("ICMPv4", "ICMPv4"), ("1", "ICMPv4"),
     ("58", "ICMPv6"), ("Any", "Any"), ("47", "47")],
)  # fmt: skip
def test_a_protocol_is_the_same_by_name_and_by_number(shown: str, canonical: str) -> None:
    assert words.canonical_protocol(shown) == canonical
    assert words.refuse_protocol("p", shown) == canonical


@pytest.mark.parametrize("text", ["tcpp", "256", "-1", "", "TC"])
def test_an_unknown_protocol_is_refused(text: str) -> None:
    with pytest.raises(ControlError, match="is not a protocol"):
        words.refuse_protocol("p", text)


def test_ports_are_a_set_without_order() -> None:
    assert words.canonical_ports(["81", "80"]) == words.canonical_ports(["80", "81"])
    assert words.canonical_ports(["080", "90-90", "rpc"]) == {"80", "90", "RPC"}


@pytest.mark.parametrize(
    ("texts", "protocol", "problem"),
    [
        (["8888"], "Any", "set protocol to tcp or udp"),
        (["8888"], "ICMPv4", "set protocol to tcp or udp"),
        (["0"], "TCP", "is not a port"),
        (["65536"], "TCP", "is not a port"),
        (["90-80"], "TCP", "is not a port"),
        (["http"], "TCP", "is not a port"),
        (["80", "80-90"], "TCP", "overlaps 80"),
        (["rpc"], "UDP", "can be used with tcp only"),
        (["teredo"], "TCP", "can be used with udp only"),
        (["80", "Any"], "TCP", "is not a port"),
    ],
)
def test_a_bad_port_is_refused(texts: list[str], protocol: str, problem: str) -> None:
    with pytest.raises(ControlError, match=r"option 'rules\.0\.local_ports'") as refused:
        words.refuse_ports("rules.0.local_ports", texts, protocol)
    assert problem in str(refused.value)


def test_any_port_needs_no_protocol() -> None:
    assert words.refuse_ports("p", ["Any"], "47") == ANY
    assert words.refuse_ports("p", ["8000-8010", "RPC"], "TCP") == {"8000-8010", "RPC"}


def test_types_of_icmp_need_icmp() -> None:
    assert words.refuse_icmp_types("i", ["8", "3:*", "3:4"], "ICMPv4") == {"8", "3", "3:4"}
    for texts, protocol in ((["8"], "TCP"), (["256"], "ICMPv4"), (["echo"], "ICMPv6")):
        with pytest.raises(ControlError, match="ICMP"):
            words.refuse_icmp_types("i", texts, protocol)


@pytest.mark.parametrize(
    ("shown", "profiles"),
    [("Any", {"domain", "private", "public"}), ("0", {"domain", "private", "public"}),
     ("Domain, Private", {"domain", "private"}), ("Public", {"public"}), ("NotApplicable", set())],
)  # fmt: skip
def test_profiles_are_a_set(shown: str, profiles: set[str]) -> None:
    assert words.canonical_profiles(shown) == profiles


def test_all_three_profiles_are_written_as_any() -> None:
    assert words.shown_profiles(frozenset(["private", "public", "domain"])) == "Any"
    assert words.shown_profiles(frozenset(["private", "domain"])) == "Domain, Private"


def test_sets_are_shown_in_one_order() -> None:
    mixed = frozenset(["10.0.0.9", "9.0.0.0/8", "LocalSubnet", "fe80::1"])
    assert words.shown(mixed) == ["LocalSubnet", "9.0.0.0/8", "10.0.0.9", "fe80::1"]
    assert words.shown(frozenset(["8888", "80", "RPC", "9-10"])) == ["RPC", "9-10", "80", "8888"]
