# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a simulated host would let a packet in, by Microsoft's order of precedence.

It judges the world document alone and shares no code with the collection, so that it can contradict it.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Any

DEFAULTS = {"Enabled": "True", "DefaultInboundAction": "Block", "AllowInboundRules": "True",
            "AllowLocalFirewallRules": "True"}  # fmt: skip


@dataclass(frozen=True)
class Packet:
    """A first packet from `remote` to a port of the host, on a network of this profile."""

    remote: str
    port: int
    protocol: str = "TCP"
    profile: str = "Private"
    local: str = "192.168.1.20"
    program: str = "System"


def settings(world: dict[str, Any], profile: str) -> dict[str, str]:
    """What is in force on a profile: group policy over local settings over Windows' defaults."""
    found = dict(DEFAULTS)
    for source in ("profiles", "policy_profiles"):
        given = world.get(source, {}).get(profile, {})
        found.update({key: value for key, value in given.items() if value != "NotConfigured"})
    return found


def admits(world: dict[str, Any], packet: Packet) -> bool:
    """Whether the host lets it in."""
    wanted = settings(world, packet.profile)
    if wanted["Enabled"] == "False":
        return True
    local = list(world.get("rules", {}).values())
    policy = list(world.get("policy_rules", {}).values())
    if any(rule["Action"] == "Block" and hits(rule, packet) for rule in local + policy):
        return False
    counted = policy + (local if wanted["AllowLocalFirewallRules"] == "True" else [])
    if wanted["AllowInboundRules"] == "True" and any(
        rule["Action"] == "Allow" and hits(rule, packet) for rule in counted
    ):
        return True
    return wanted["DefaultInboundAction"] == "Allow"


def hits(rule: dict[str, Any], packet: Packet) -> bool:
    """Whether an enabled inbound rule is about this packet."""
    return (
        rule["Enabled"] == "True"
        and rule["Direction"] == "Inbound"
        and (rule["Profile"] == "Any" or packet.profile in rule["Profile"].split(", "))
        and rule["Protocol"] in ("Any", packet.protocol)
        and any(port_in(text, packet.port) for text in listed(rule["LocalPort"]))
        and any(address_in(text, packet.remote) for text in listed(rule["RemoteAddress"]))
        and any(address_in(text, packet.local) for text in listed(rule["LocalAddress"]))
        and rule["Program"] in ("Any", packet.program)
    )


def listed(value: Any) -> list[str]:
    """One or several, as a list."""
    return value if isinstance(value, list) else [value]


def port_in(text: str, port: int) -> bool:
    """Whether a port is in '80', '80-90' or Any."""
    low, _dash, high = text.partition("-")
    return text == "Any" or (low.isdigit() and int(low) <= port <= int(high or low))


def address_in(text: str, address: str) -> bool:
    """Whether an address is in a network, a range, an address, Any or the host's own network."""
    one = ipaddress.ip_address(address)
    if text in ("Any", "LocalSubnet"):
        return text == "Any" or one in ipaddress.ip_network("192.168.1.0/24")
    low, dash, high = text.partition("-")
    try:
        if dash:
            first, last = ipaddress.ip_address(low), ipaddress.ip_address(high)
            return first.version == one.version and int(first) <= int(one) <= int(last)
        return one in ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
