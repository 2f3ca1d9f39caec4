# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The types of a Windows host: the same form for the wanted and for the current state (pure)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import FrozenSet, Mapping, Tuple

PROFILE_NAMES = ("domain", "private", "public")
"""The three profiles of the firewall, in the order in which Windows prints them."""

ALL_PROFILES = frozenset(PROFILE_NAMES)

ANY: FrozenSet[str] = frozenset(["Any"])
"""The set of all addresses, ports or ICMP types."""

LOCAL, POLICY = "local", "group policy"
"""Where a rule comes from. Rules of group policy are never changed."""


@dataclass(frozen=True)
class Rule:
    """A firewall rule in canonical form, so that two rules that mean the same are equal.

    `conditions` are restrictions that we never set (users, packages, IPsec and the like) with their values; if a rule
    of ours has one, somebody else changed it. `id` is Windows' InstanceID.
    """

    name: str
    direction: str = "inbound"
    action: str = "allow"
    enabled: bool = True
    profiles: FrozenSet[str] = ALL_PROFILES
    protocol: str = "Any"
    local_ports: FrozenSet[str] = ANY
    remote_ports: FrozenSet[str] = ANY
    icmp_types: FrozenSet[str] = ANY
    local_addresses: FrozenSet[str] = ANY
    remote_addresses: FrozenSet[str] = ANY
    program: str = "Any"
    service: str = "Any"
    interface_type: str = "any"
    edge_traversal: str = "block"
    description: str = ""
    group: str = ""
    conditions: Tuple[Tuple[str, str], ...] = ()
    id: str = ""
    source: str = LOCAL


MATCHING = (
    "direction",
    "profiles",
    "protocol",
    "local_ports",
    "remote_ports",
    "icmp_types",
    "local_addresses",
    "remote_addresses",
    "program",
    "service",
    "interface_type",
)
"""Attributes of a rule that decide which traffic it matches."""

COMPARED = (
    "name",
    "action",
    "enabled",
    *MATCHING,
    "edge_traversal",
    "description",
    "group",
    "conditions",
)
"""Attributes of a rule of ours that are compared with the wanted ones."""


@dataclass(frozen=True)
class Network:
    """Connections, addresses and networks of the host. Interfaces are numbers; profiles are those of PROFILE_NAMES."""

    connections: Tuple[Tuple[str, str], ...] = ()
    addresses: Tuple[Tuple[str, int, str], ...] = ()
    profiles: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Firewall:
    """The firewall as read: local settings, active settings, rules, and the enforcement states of our rules.

    Settings map the name of an option to a value in lower case: true, false, allow, block, notconfigured, a path or a
    number.
    """

    profiles: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    active: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    rules: Tuple[Rule, ...] = ()
    enforcement: Mapping[str, Tuple[str, ...]] = field(default_factory=dict)
    network: Network = field(default_factory=Network)
    error: str = ""


@dataclass(frozen=True)
class Defender:
    """Defender as read: its preferences as lists of text, and its status."""

    installed: bool = True
    preferences: Mapping[str, Tuple[str, ...]] = field(default_factory=dict)
    status: Mapping[str, str] = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True)
class State:
    """The state of a host; a part that was not requested is None."""

    digest: str
    firewall: Firewall | None
    defender: Defender | None
    administrator: bool
    account: str
    services: Mapping[str, str]
    registry: Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class Unmanaged:
    """The action for rules that are not ours, in this direction and on these profiles."""

    action: str = "ignore"
    direction: str = "inbound"
    profiles: FrozenSet[str] = frozenset()


@dataclass(frozen=True)
class FirewallPolicy:
    """The wanted firewall; None for a part that is left alone."""

    group: str
    profiles: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    rules: Tuple[Rule, ...] | None = None
    unmanaged: Unmanaged = field(default_factory=Unmanaged)


@dataclass(frozen=True)
class Management:
    """How Ansible reaches the host: the lockout guard keeps this connection open.

    `own` are the controller's addresses as it sees them itself; the host may see others. `port` is None when the
    connection does not use a port of the host.
    """

    guarded: bool = True
    transport: str = "winrm"
    port: int | None = None
    addresses: Tuple[str, ...] = ()
    own: Tuple[str, ...] = ()
