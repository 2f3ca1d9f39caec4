# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which traffic a firewall lets in: what a rule covers, and whether the controller still gets through (pure).

Microsoft's order of precedence: a block rule beats every allow rule, an allow rule beats the default of the profile.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import FrozenSet, List, Mapping, Tuple

from .types import ALL_PROFILES, ANY, POLICY, Firewall, Management, Network, Rule
from .words import Span, port_span, span

YES, NO, MAYBE = "yes", "no", "maybe"

# The programs that take Ansible's connections: http.sys for WinRM, OpenSSH's server for ssh.
_PROGRAMS = {"winrm": ("system",), "psrp": ("system",), "ssh": ("sshd.exe",)}
_SERVICES = {"winrm": ("winrm",), "psrp": ("winrm",), "ssh": ("sshd",)}
_OPENING = (("enabled", "false"), ("default_inbound", "allow"))


@dataclass(frozen=True)
class Traffic:
    """One way to the host: over TCP, from `remote` to `port`. An empty `local` stands for any address of the host."""

    transport: str
    port: int
    remote: str
    local: str
    profiles: FrozenSet[str]
    subnets: Tuple[str, ...] = ()


@dataclass(frozen=True)
class Reach:
    """Whether the controller gets through, and why; `applies` is False where nothing can cut it off."""

    reached: bool
    reason: str
    applies: bool = True


# --- what a rule covers


def covers(outer: Rule, inner: Rule) -> bool:
    """Whether each packet of the inner rule surely matches the outer one as well."""
    if outer.direction != inner.direction or outer.conditions:
        return False
    if not inner.profiles <= outer.profiles:
        return False
    alike = (
        (outer.protocol, inner.protocol, "Any"),
        (outer.program.lower(), inner.program.lower(), "any"),
        (outer.service.lower(), inner.service.lower(), "any"),
        (outer.interface_type, inner.interface_type, "any"),
    )
    if any(wide not in (narrow, everything) for wide, narrow, everything in alike):
        return False
    return (
        _addresses_cover(outer.local_addresses, inner.local_addresses)
        and _addresses_cover(outer.remote_addresses, inner.remote_addresses)
        and _ports_cover(outer.local_ports, inner.local_ports)
        and _ports_cover(outer.remote_ports, inner.remote_ports)
        and (outer.icmp_types == ANY or inner.icmp_types <= outer.icmp_types)
    )


def _addresses_cover(outer: FrozenSet[str], inner: FrozenSet[str]) -> bool:
    if outer == ANY:
        return True
    spans = _merged([found for found in map(span, outer) if found])
    for one in inner:
        found = span(one)
        if one not in outer and not (found and any(wide.holds(found) for wide in spans)):
            return False
    return True


def _merged(spans: List[Span]) -> List[Span]:
    """Neighbours as one, so that two halves cover the whole."""
    merged: List[Span] = []
    for one in sorted(spans):
        last = merged[-1] if merged else None
        if last and last.version == one.version and one.first <= last.last + 1:
            merged[-1] = Span(last.version, last.first, max(last.last, one.last))
        else:
            merged.append(one)
    return merged


def _ports_cover(outer: FrozenSet[str], inner: FrozenSet[str]) -> bool:
    if outer == ANY:
        return True
    wide = _merged([Span(0, *ends) for ends in map(port_span, outer) if ends])
    for one in inner:
        ends = port_span(one)
        if one not in outer and not (ends and any(all_.holds(Span(0, *ends)) for all_ in wide)):
            return False
    return True


# --- whether the controller gets through


def reach(firewall: Firewall, way: Management) -> Reach:
    """Whether each way on which the controller may come stays open in this state of the firewall."""
    if not way.guarded:
        return Reach(True, "lockout_guard is off", applies=False)
    if way.port is None:
        return Reach(
            True,
            f"the connection {way.transport} does not come in through a port of the host",
            applies=False,
        )
    found = ways(firewall.network, way)
    if not found:
        return Reach(
            False,
            f"the host shows no connection to its port {way.port}, so that nobody can tell whether the controller "
            "would still get through; set management_port to the port on the host and controller_addresses to how "
            "the host sees the controller",
        )
    passed: List[str] = []
    for traffic in found:
        if _loops(traffic.remote):
            passed.append(f"{traffic.remote} is the host itself")
            continue
        for profile in sorted(traffic.profiles):
            closed, opened = _decide(firewall, traffic, profile)
            if closed:
                return Reach(False, _refusal(traffic, profile, closed))
            passed.append(opened)
    return Reach(True, "; ".join(dict.fromkeys(passed)))


def any_reached(firewall: Firewall, way: Management) -> bool:
    """Whether at least one of the ways is open on one of its profiles."""
    return any(
        not _decide(firewall, traffic, profile)[0]
        for traffic in ways(firewall.network, way)
        for profile in traffic.profiles
    )


def _refusal(traffic: Traffic, profile: str, closed: str) -> str:
    return (
        f"the controller ({traffic.remote}) would not reach port {traffic.port} any more on the {profile} profile: "
        f"{closed}; add to rules: {{name: Ansible, protocol: tcp, local_ports: ['{traffic.port}'], "
        f"remote_addresses: ['{traffic.remote}']}}"
    )


def ways(network: Network, way: Management) -> List[Traffic]:
    """How the controller may come, as the host sees it.

    Of several peers on the port it is the one with an address of the controller; where none has one, address
    translation lies between, and each of them may be the controller.
    """
    peers = [(plain(local), plain(remote)) for local, remote in network.connections]
    if way.addresses:
        mine = [one for one in peers if any(_within(one[1], wide) for wide in way.addresses)]
        locals_ = sorted({local for local, _remote in mine}) or [""]
        found = [(local, remote) for remote in way.addresses for local in locals_]
    else:
        own = {plain(one) for one in way.own}
        found = [one for one in peers if one[1] in own] or peers
    return [
        Traffic(
            way.transport,
            way.port or 0,
            remote,
            local,
            _profiles(network, local),
            _subnets(network),
        )
        for local, remote in sorted(set(found))
    ]


def plain(address: str) -> str:
    """Without zone, and an IPv4 address that came in IPv6's clothes as what it is."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    mapped = getattr(found, "ipv4_mapped", None)
    return str(mapped or found)


def _within(address: str, wide: str) -> bool:
    inner, outer = span(address), span(wide)
    return bool(inner and outer and outer.holds(inner))


def _loops(address: str) -> bool:
    # Windows' firewall does not look at what stays on the host.
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _profiles(network: Network, local: str) -> FrozenSet[str]:
    """The profiles that may decide over a connection to this address."""
    interfaces = [number for text, _size, number in network.addresses if plain(text) == local]
    found = frozenset(network.profiles[one] for one in interfaces if one in network.profiles)
    return found or frozenset(network.profiles.values()) or ALL_PROFILES


def _subnets(network: Network) -> Tuple[str, ...]:
    return tuple(f"{plain(text)}/{size}" for text, size, _number in network.addresses)


def _decide(firewall: Firewall, traffic: Traffic, profile: str) -> Tuple[str, str]:
    """(why it is closed, or '') and (what opens it) for one profile."""
    settings = firewall.active.get(profile, {})
    if settings.get("enabled") == "false":
        return "", f"the firewall is off on the {profile} profile"
    here = [rule for rule in firewall.rules if rule.enabled and profile in rule.profiles]
    inbound = [rule for rule in here if rule.direction == "inbound"]
    for rule in inbound:
        if rule.action == "block" and _matches(rule, traffic) != NO:
            return f"the block rule {rule.name!r} beats every allow rule", ""
    if settings.get("allow_inbound_rules") == "false":
        return "allow_inbound_rules is off, so that no rule can let anything in", ""
    local = settings.get("allow_local_rules") != "false"
    for rule in inbound:
        counts = rule.source == POLICY or local
        if rule.action == "allow" and counts and _matches(rule, traffic) == YES:
            return "", f"rule {rule.name!r} lets {traffic.remote} in"
    if settings.get("default_inbound") == "allow":
        return "", f"the {profile} profile lets in what no rule is about"
    return "no rule lets it in", ""


def _matches(rule: Rule, traffic: Traffic) -> str:
    """Whether the rule is about this traffic: YES and NO are sure."""
    answers = (
        YES if rule.protocol in ("Any", "TCP") else NO,
        _port_matches(rule.local_ports, traffic.port),
        YES if rule.remote_ports == ANY else MAYBE,
        _address_matches(rule.remote_addresses, traffic.remote, traffic),
        _address_matches(rule.local_addresses, traffic.local, traffic),
        _word_matches(rule.program, _PROGRAMS.get(traffic.transport, ())),
        _word_matches(rule.service, _SERVICES.get(traffic.transport, ())),
        YES if rule.interface_type == "any" else MAYBE,
        MAYBE if rule.conditions else YES,
    )
    if NO in answers:
        return NO
    return MAYBE if MAYBE in answers else YES


def _port_matches(ports: FrozenSet[str], port: int) -> str:
    if ports == ANY:
        return YES
    found = [port_span(one) for one in ports]
    if any(ends and ends[0] <= port <= ends[1] for ends in found):
        return YES
    return MAYBE if None in found else NO


def _address_matches(addresses: FrozenSet[str], address: str, traffic: Traffic) -> str:
    if addresses == ANY:
        return YES
    wanted = span(address) if address else None
    if wanted is None:
        return MAYBE
    known = [found for found in map(span, addresses) if found]
    words = {one for one in addresses if span(one) is None}
    if words & {"LocalSubnet", f"LocalSubnet{wanted.version}"}:
        known += [found for found in map(span, traffic.subnets) if found]
    if any(one.holds(wanted) for one in _merged(known)):
        return YES
    unknown = words - {"LocalSubnet", "LocalSubnet4", "LocalSubnet6"}
    return MAYBE if unknown or any(one.meets(wanted) for one in known) else NO


def _word_matches(given: str, known: Tuple[str, ...]) -> str:
    word = given.lower()
    if word == "any":
        return YES
    if not known:
        return MAYBE
    return YES if word.rpartition("\\")[2] in known else NO


def planned_settings(
    local: Mapping[str, str], active: Mapping[str, str], wanted: Mapping[str, str]
) -> Mapping[str, str]:
    """The settings in force once the wanted ones are set; where group policy decides now, it still will."""
    after = dict(active)
    for name, value in wanted.items():
        decided = local.get(name, "notconfigured")
        # What would open the firewall is believed only where it is sure that nothing else decides.
        opens = (name, value) in _OPENING
        if decided == active.get(name) or (decided == "notconfigured" and not opens):
            after[name] = value
    return after
