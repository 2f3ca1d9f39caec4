# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which traffic a firewall lets in: what a rule covers, and whether the controller can still connect (pure).

Windows' order of precedence: a block rule beats every allow rule, an allow rule beats the default of the profile.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import FrozenSet, List, Mapping, NamedTuple, Tuple

from .types import ALL_PROFILES, ANY, POLICY, Firewall, Management, Network, Rule
from .words import Span, port_span, span

YES, NO, MAYBE = "yes", "no", "maybe"

# The programs that accept Ansible's connections: http.sys (System) for WinRM, OpenSSH's server for ssh.
_PROGRAMS = {"winrm": ("system",), "psrp": ("system",), "ssh": ("sshd.exe",)}
_SERVICES = {"winrm": ("winrm",), "psrp": ("winrm",), "ssh": ("sshd",)}
_OPENING = (("enabled", "false"), ("default_inbound", "allow"))


@dataclass(frozen=True)
class Traffic:
    """A TCP connection to the host, from `remote` to `port`. An empty `local` stands for any address of the host."""

    transport: str
    port: int
    remote: str
    local: str
    profiles: FrozenSet[str]
    subnets: Tuple[str, ...] = ()


@dataclass(frozen=True)
class Reach:
    """Whether the controller can connect, and why; `applies` is False where no firewall rule can disconnect it."""

    reached: bool
    reason: str
    applies: bool = True


class _Decision(NamedTuple):
    """Whether a connection is let in, by which rule or setting, and how to let it in where it is not."""

    open: bool
    reason: str
    fix: str = ""


# --- what a rule covers


def covers(outer: Rule, inner: Rule) -> bool:
    """Whether each packet that matches the inner rule certainly matches the outer one too."""
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
    """The spans with adjacent and overlapping ones joined, so that two halves cover the whole."""
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


# --- whether the controller can connect


def reach(firewall: Firewall, way: Management) -> Reach:
    """Whether every connection that the controller may use stays open in this state of the firewall."""
    if not way.guarded:
        return Reach(True, "lockout_guard is off", applies=False)
    if way.port is None:
        return Reach(
            True,
            f"connection {way.transport} does not use a port of the host",
            applies=False,
        )
    found = ways(firewall.network, way)
    if not found:
        return Reach(
            False,
            f"the host shows no connection to its port {way.port}, so it is not certain that the controller could "
            "still connect; set management_port to the port that Ansible uses on the host and controller_addresses to "
            "the addresses from which the host sees the controller",
        )
    passed: List[str] = []
    for traffic in found:
        if _loops(traffic.remote):
            passed.append(f"{traffic.remote} is the host itself")
            continue
        for profile in sorted(traffic.profiles):
            decision = _decide(firewall, traffic, profile)
            if not decision.open:
                return Reach(False, _refusal(traffic, profile, decision))
            passed.append(decision.reason)
    return Reach(True, "; ".join(dict.fromkeys(passed)))


def any_reached(firewall: Firewall, way: Management) -> bool:
    """Whether at least one of the connections is open on one of its profiles."""
    return any(
        _decide(firewall, traffic, profile).open
        for traffic in ways(firewall.network, way)
        for profile in traffic.profiles
    )


def _refusal(traffic: Traffic, profile: str, decision: _Decision) -> str:
    return (
        f"the controller ({traffic.remote}) could no longer reach port {traffic.port} on the {profile} profile: "
        f"{decision.reason}; {decision.fix}"
    )


def ways(network: Network, way: Management) -> List[Traffic]:
    """The connections that the controller may use, as the host sees them.

    Of several peers on the port, those that have an address of the controller are meant. If none has one, there is
    address translation in between, and each of the peers may be the controller.
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
    """The address without its zone; an IPv4-mapped IPv6 address as IPv4."""
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
    # Windows' firewall does not filter traffic that stays on the host.
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _profiles(network: Network, local: str) -> FrozenSet[str]:
    """The profiles that may apply to a connection to this address."""
    interfaces = [number for text, _size, number in network.addresses if plain(text) == local]
    found = frozenset(network.profiles[one] for one in interfaces if one in network.profiles)
    return found or frozenset(network.profiles.values()) or ALL_PROFILES


def _subnets(network: Network) -> Tuple[str, ...]:
    return tuple(f"{plain(text)}/{size}" for text, size, _number in network.addresses)


def _decide(firewall: Firewall, traffic: Traffic, profile: str) -> _Decision:
    """What the firewall does with a connection on one profile."""
    settings = firewall.active.get(profile, {})
    if settings.get("enabled") == "false":
        return _Decision(True, f"the firewall is off on the {profile} profile")
    here = [rule for rule in firewall.rules if rule.enabled and profile in rule.profiles]
    inbound = [rule for rule in here if rule.direction == "inbound"]
    for rule in inbound:
        if rule.action == "block" and _matches(rule, traffic) != NO:
            return _Decision(
                False,
                f"the block rule {rule.name!r} beats every allow rule",
                "remove that rule, or change it so that it does not match the controller's connection",
            )
    if settings.get("allow_inbound_rules") == "false":
        return _Decision(
            False,
            "allow_inbound_rules is off, so no rule can let anything in",
            f"set allow_inbound_rules to true on the {profile} profile",
        )
    local = settings.get("allow_local_rules") != "false"
    for rule in inbound:
        counts = rule.source == POLICY or local
        if rule.action == "allow" and counts and _matches(rule, traffic) == YES:
            return _Decision(True, f"rule {rule.name!r} lets {traffic.remote} in")
    if settings.get("default_inbound") == "allow":
        return _Decision(True, f"the {profile} profile lets in connections that match no rule")
    fix = (
        f"add to rules: {{name: Ansible, protocol: tcp, local_ports: ['{traffic.port}'], "
        f"remote_addresses: ['{traffic.remote}']}}"
    )
    if local:
        return _Decision(False, "no rule lets it in", fix)
    return _Decision(
        False,
        "no rule of group policy lets it in, and allow_local_rules is off, so local rules do not count",
        f"set allow_local_rules to true and {fix}",
    )


def _matches(rule: Rule, traffic: Traffic) -> str:
    """Whether the rule matches this traffic; MAYBE where only the host can tell."""
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
    """The settings in force once the wanted ones are set; those that group policy decides now stay as they are."""
    after = dict(active)
    for name, value in wanted.items():
        current = local.get(name, "notconfigured")
        # A setting that opens the firewall is expected to take effect only where nothing else can override it.
        opens = (name, value) in _OPENING
        if current == active.get(name) or (current == "notconfigured" and not opens):
            after[name] = value
    return after
