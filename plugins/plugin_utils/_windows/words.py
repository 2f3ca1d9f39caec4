# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses, ports and protocols of Windows' firewall in one canonical form each (pure).

Windows accepts and shows the same thing in several forms: 10.0.0.0/8 comes back as 10.0.0.0/255.0.0.0, protocol 6 as
TCP, three profiles as Any. `refuse_...` functions check what a user wrote and raise ControlError. `canonical_...`
functions take what a host reports and never fail: text that they do not know stays as it is.
"""

from __future__ import annotations

import ipaddress
import re
from typing import FrozenSet, Iterable, List, NamedTuple, Sequence, Tuple, Union

from ...module_utils._core.plan import ControlError
from .types import ALL_PROFILES, ANY, PROFILE_NAMES

ADDRESS_KEYWORDS = (
    "Any", "LocalSubnet", "LocalSubnet4", "LocalSubnet6", "DNS", "DHCP", "WINS", "DefaultGateway",
    "Internet", "Intranet", "IntranetRemoteAccess", "PlayToDevice", "CaptivePortal",
)  # fmt: skip
"""Keywords for addresses, which Windows resolves itself."""

PORT_KEYWORDS = {
    "Any": (),
    "RPC": ("TCP",),
    "RPCEPMap": ("TCP",),
    "IPHTTPSIn": ("TCP",),
    "IPHTTPSOut": ("TCP",),
    "PlayToDiscovery": ("UDP",),
    "Teredo": ("UDP",),
}
"""Keywords for ports, which Windows resolves itself, and the protocols they can be used with."""

PROTOCOLS = {"any": "Any", "tcp": "TCP", "udp": "UDP", "icmpv4": "ICMPv4", "icmpv6": "ICMPv6"}
_NUMBERS = {"1": "ICMPv4", "6": "TCP", "17": "UDP", "58": "ICMPv6"}
_KEYWORDS = {word.lower(): word for word in ADDRESS_KEYWORDS}
_PORT_WORDS = {word.lower(): word for word in PORT_KEYWORDS}
_HIGHEST_PORT = 65535
_EXAMPLES = "192.168.1.0/24, 10.0.0.7, 10.0.0.7-10.0.0.9, 2001:db8::/32 or LocalSubnet"

Address = Union[ipaddress.IPv4Address, ipaddress.IPv6Address]


class Span(NamedTuple):
    """Addresses from `first` to `last`, both of the same IP version, as numbers."""

    version: int
    first: int
    last: int

    def holds(self, other: Span) -> bool:
        """Whether it contains all of the other one."""
        return (
            self.version == other.version and self.first <= other.first and other.last <= self.last
        )

    def meets(self, other: Span) -> bool:
        """Whether it overlaps the other one."""
        return (
            self.version == other.version and self.first <= other.last and other.first <= self.last
        )


def span(text: str) -> Span | None:
    """The addresses of a canonical text; None for a keyword that only the host can resolve."""
    try:
        if "-" in text:
            first, last = (ipaddress.ip_address(one) for one in text.split("-", 1))
            return Span(first.version, int(first), int(last))
        net = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
    return Span(net.version, int(net.network_address), int(net.broadcast_address))


def canonical_address(text: str) -> str:
    """The canonical form of one address, network, range or keyword that a host shows."""
    word = _KEYWORDS.get(text.strip().lower())
    if word or text.strip() == "*":
        return word or "Any"
    try:
        return _canonical(text.strip())
    except ValueError:
        return text.strip()


def _canonical(text: str) -> str:
    if "-" in text:
        low, high = (ipaddress.ip_address(one.strip()) for one in text.split("-", 1))
        if low.version != high.version or int(low) > int(high):
            raise ValueError(text)
        return _from_range(low, high)
    net = ipaddress.ip_network(text, strict=False)
    return str(net.network_address) if net.num_addresses == 1 else str(net)


def _from_range(low: Address, high: Address) -> str:
    """A range as a network where it is one, so that both notations are equal."""
    if low == high:
        return str(low)
    networks = list(ipaddress.summarize_address_range(low, high))
    return str(networks[0]) if len(networks) == 1 else f"{low}-{high}"


def canonical_addresses(texts: Iterable[str]) -> FrozenSet[str]:
    """The canonical form of a set of addresses that a host shows."""
    found = frozenset(canonical_address(text) for text in texts if text.strip())
    return ANY if not found or "Any" in found else found


def refuse_addresses(option: str, texts: Sequence[str]) -> FrozenSet[str]:
    """The canonical set of the addresses a user gave; ControlError for bad addresses and overlaps."""
    found: List[Tuple[str, str]] = []
    for text in texts:
        made = _checked_address(option, text)
        for other, canonical in found:
            _refuse_double(option, text, made, other, canonical)
        found.append((text, made))
    return frozenset(made for _text, made in found) or ANY


def _checked_address(option: str, text: str) -> str:
    written = text.strip()
    if written.lower() in _KEYWORDS:
        return _KEYWORDS[written.lower()]
    try:
        made = _canonical(written)
    except ValueError:
        raise ControlError(
            option,
            text,
            "is not an address, network, range or Windows keyword",
            f"write such as {_EXAMPLES}",
        ) from None
    if "/" in written:
        host = ipaddress.ip_interface(written)
        if host.ip != host.network.network_address:
            raise ControlError(
                option,
                text,
                "can mean a network or one address in it",
                f"write {host.network} for the network or {host.ip} for the one address",
            )
    return made


def _refuse_double(option: str, text: str, made: str, other: str, canonical: str) -> None:
    mine, theirs = span(made), span(canonical)
    if "Any" in (made, canonical):
        raise ControlError(option, text, "is given together with Any", "remove Any or all others")
    if made == canonical:
        raise ControlError(option, text, f"means the same as {other}", "remove one of them")
    if mine and theirs and mine.meets(theirs):
        raise ControlError(option, text, f"overlaps {other}", "give each address once")


def versions(addresses: FrozenSet[str]) -> FrozenSet[int]:
    """The IP versions in a set; 0 stands for a keyword that can be either."""
    found = [span(one) for one in addresses]
    return frozenset(one.version if one else 0 for one in found)


def canonical_protocol(text: str) -> str:
    """TCP, UDP, ICMPv4, ICMPv6, Any, or a number."""
    return PROTOCOLS.get(text.lower(), _NUMBERS.get(text, text))


def refuse_protocol(option: str, text: str) -> str:
    """The canonical form of the protocol a user gave; ControlError for one that Windows does not know."""
    made = canonical_protocol(text.strip())
    if made in PROTOCOLS.values() or (made.isdigit() and int(made) <= 255):
        return made
    raise ControlError(
        option, text, "is not a protocol", "use tcp, udp, icmpv4, icmpv6, any or a number up to 255"
    )


def canonical_ports(texts: Iterable[str]) -> FrozenSet[str]:
    """The canonical form of a set of ports that a host shows."""
    found = frozenset(_canonical_port(text.strip()) for text in texts if text.strip())
    return ANY if not found or "Any" in found else found


def _canonical_port(text: str) -> str:
    ends = port_span(text)
    if ends is None:
        return _PORT_WORDS.get(text.lower(), text)
    return str(ends[0]) if ends[0] == ends[1] else f"{ends[0]}-{ends[1]}"


def port_span(text: str) -> Tuple[int, int] | None:
    """First and last port of a number or range; None for a keyword."""
    found = re.match(r"([0-9]+)(?:\s*-\s*([0-9]+))?\Z", text)
    if not found:
        return None
    return int(found.group(1)), int(found.group(2) or found.group(1))


def refuse_ports(option: str, texts: Sequence[str], protocol: str) -> FrozenSet[str]:
    """The canonical set of the ports a user gave; ControlError for bad ports and a protocol without ports."""
    if not texts or [text.strip().lower() for text in texts] == ["any"]:
        return ANY
    if protocol not in ("TCP", "UDP"):
        raise ControlError(
            option, list(texts), f"needs a protocol that has ports, but protocol is {protocol}",
            "set protocol to tcp or udp",
        )  # fmt: skip
    found: List[Tuple[str, str]] = []
    for text in texts:
        made = _checked_port(option, text.strip(), protocol)
        for other, canonical in found:
            mine, theirs = port_span(made), port_span(canonical)
            met = mine and theirs and mine[0] <= theirs[1] and theirs[0] <= mine[1]
            if met or made == canonical:
                raise ControlError(option, text, f"overlaps {other}", "give each port once")
        found.append((text, made))
    return frozenset(made for _text, made in found)


def _checked_port(option: str, text: str, protocol: str) -> str:
    word = _PORT_WORDS.get(text.lower(), "")
    if word and word != "Any":
        if protocol not in PORT_KEYWORDS[word]:
            fitting = " or ".join(PORT_KEYWORDS[word]).lower()
            raise ControlError(
                option, text, f"can be used with {fitting} only", f"set protocol to {fitting}"
            )
        return word
    ends = port_span(text)
    if ends is None or not 1 <= ends[0] <= ends[1] <= _HIGHEST_PORT:
        raise ControlError(
            option,
            text,
            "is not a port, a range of ports or a Windows keyword",
            "write such as 8888, 8000-8010 or one of " + ", ".join(PORT_KEYWORDS),
        )
    return _canonical_port(text)


def refuse_icmp_types(option: str, texts: Sequence[str], protocol: str) -> FrozenSet[str]:
    """The canonical set of ICMP types, such as 8 or 3:4; ControlError for anything else."""
    if not texts or [text.strip().lower() for text in texts] == ["any"]:
        return ANY
    if protocol not in ("ICMPv4", "ICMPv6"):
        raise ControlError(
            option, list(texts), f"needs ICMP, but protocol is {protocol}", "set protocol to icmpv4"
        )
    for text in texts:
        found = re.match(r"([0-9]+)(?::([0-9]+|\*))?\Z", text.strip())
        numbers = [int(one) for one in (found.groups() if found else ()) if one and one != "*"]
        if not found or any(one > 255 for one in numbers):
            raise ControlError(
                option,
                text,
                "is not an ICMP type",
                "write a type such as 8, or type:code such as 3:4",
            )
    return canonical_icmp_types(texts)


def canonical_icmp_types(texts: Iterable[str]) -> FrozenSet[str]:
    """The canonical form of a set of ICMP types that a host shows; any code equals no code."""
    found = frozenset(re.sub(r":\*\Z", "", text.strip()) for text in texts if text.strip())
    return ANY if not found or "Any" in found or "any" in found else found


def canonical_profiles(text: str) -> FrozenSet[str]:
    """The profiles in a text such as 'Domain, Private'; Any and 0 are all of them."""
    words = frozenset(word.strip().lower() for word in text.split(","))
    if words & {"any", "0", ""}:
        return ALL_PROFILES
    return words & ALL_PROFILES


def shown_profiles(profiles: FrozenSet[str]) -> str:
    """Profiles as Windows writes them; all three are Any."""
    if profiles == ALL_PROFILES:
        return "Any"
    return ", ".join(name.capitalize() for name in PROFILE_NAMES if name in profiles)


def shown(values: FrozenSet[str]) -> List[str]:
    """A set in an order that is the same in every run: by address or number, keywords first."""

    def rank(text: str) -> Tuple[int, int, int, str]:
        addresses = span(text) if re.search(r"[.:]", text) else None
        if addresses:
            return addresses.version, addresses.first, addresses.last, text
        ports = port_span(text)
        return (1, ports[0], ports[1], text) if ports else (0, 0, 0, text)

    return sorted(values, key=rank)
