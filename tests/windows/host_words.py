# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How PowerShell and Windows take what they are given: enums by their beginnings, addresses in other forms."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from typing import Any


class CmdletError(Exception):
    """An error record: what Windows says, and of which category it is."""

    def __init__(self, message: str, category: str = "NotSpecified") -> None:
        self.category = category
        super().__init__(message)


ENUMS: Mapping[str, Mapping[str, int]] = {
    "Enabled": {"True": 1, "False": 2},
    "GpoBoolean": {"False": 0, "True": 1, "NotConfigured": 2},
    "Action": {"NotConfigured": 0, "Allow": 2, "Block": 4},
    "Direction": {"Inbound": 1, "Outbound": 2},
    "EdgeTraversal": {"Block": 0, "Allow": 1, "DeferToUser": 2, "DeferToApp": 3},
    "InterfaceType": {"Any": 0, "Wired": 1, "Wireless": 2, "RemoteAccess": 4},
    "MAPSReportingType": {"Disabled": 0, "Basic": 1, "Advanced": 2},
    "SubmitSamplesConsentType": {
        "AlwaysPrompt": 0, "SendSafeSamples": 1, "NeverSend": 2, "SendAllSamples": 3
    },
    "PUAProtectionType": {"Disabled": 0, "Enabled": 1, "AuditMode": 2},
    "CloudBlockLevelType": {
        "Default": 0, "Moderate": 1, "High": 2, "HighPlus": 4, "ZeroTolerance": 6
    },
    "ASRRuleActionType": {"Disabled": 0, "Enabled": 1, "AuditMode": 2, "NotConfigured": 5, "Warn": 6},
}  # fmt: skip
PROFILES = ("Domain", "Private", "Public")
_KEYWORDS = (
    "Any", "LocalSubnet", "LocalSubnet4", "LocalSubnet6", "DNS", "DHCP", "WINS", "DefaultGateway",
    "Internet", "Intranet", "IntranetRemoteAccess", "PlayToDevice", "CaptivePortal",
)  # fmt: skip
_PROTOCOLS = {"6": "TCP", "17": "UDP", "1": "ICMPv4", "58": "ICMPv6"}

Convert = Callable[[Any], Any]


def enum(name: str) -> Convert:
    """Takes a whole name, any unique beginning of one, or a number, as PowerShell does; gives the whole name."""
    members = ENUMS[name]

    def convert(value: Any) -> str:
        text = str(value)
        exact = [one for one in members if one.lower() == text.lower()]
        begun = [one for one in members if one.lower().startswith(text.lower())]
        numbered = [one for one, number in members.items() if str(number) == text]
        found = exact or numbered or (begun if text else [])
        if len(found) != 1:
            why = "is too similar to several of" if found else "is none of"
            raise CmdletError(
                f"Cannot convert value {text!r} to type {name}: it {why} {', '.join(members)}.",
                "InvalidArgument",
            )
        return found[0]

    return convert


def number(name: str) -> Convert:
    """As enum, and gives the number, which is what Defender shows."""
    convert = enum(name)
    return lambda value: ENUMS[name][convert(value)]


def boolean(value: Any) -> bool:
    """A [bool] takes no words, not even 'true'."""
    if isinstance(value, (bool, int)):
        return bool(value)
    raise CmdletError(
        f'Cannot convert value "{value}" to type "System.Boolean".', "InvalidArgument"
    )


def string(value: Any) -> str:
    """A [string]."""
    if isinstance(value, list):
        return " ".join(map(str, value))
    return str(value)


def strings(value: Any) -> list[str]:
    """A [string[]]."""
    return [str(one) for one in (value if isinstance(value, list) else [value])]


def whole(value: Any) -> int:
    """A [uint64]."""
    try:
        return int(str(value))
    except ValueError:
        raise CmdletError(
            f'Cannot convert value "{value}" to type "System.UInt64".', "InvalidArgument"
        ) from None


def profile(value: Any) -> str:
    """Flags: 'Domain, Private', in Windows' own order."""
    words = [word.strip() for one in strings(value) for word in one.split(",")]
    found = set()
    for word in words:
        begun = [one for one in ("Any", *PROFILES) if word and one.lower().startswith(word.lower())]
        exact = [one for one in begun if one.lower() == word.lower()] or begun
        if word != "0" and len(exact) != 1:
            raise CmdletError(f"Cannot convert value {word!r} to type Profile.", "InvalidArgument")
        found.update(exact)
    named = [one for one in PROFILES if one in found]
    return ", ".join(named) or "Any"


def protocol(value: Any) -> str:
    """A name or a number; known numbers come back as names."""
    text = string(value)
    for name in ("TCP", "UDP", "ICMPv4", "ICMPv6", "Any"):
        if text.lower() == name.lower():
            return name
    if not text.isdigit() or int(text) > 255:
        raise CmdletError("The protocol is invalid.", "InvalidArgument")
    return _PROTOCOLS.get(text, text)


def addresses(value: Any) -> list[str]:
    """As Windows keeps them: IPv4 networks with a mask, and in an order of its own."""
    return sorted((_address(one) for one in strings(value)), reverse=True)


def _address(text: str) -> str:
    for word in _KEYWORDS:
        if text.lower() == word.lower():
            return word
    try:
        if "-" in text:
            low, high = (ipaddress.ip_address(one.strip()) for one in text.split("-", 1))
            return f"{low}-{high}"
        net = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise CmdletError(
            "The address is invalid. Addresses may be specified as IP addresses, ranges, or subnets.",
            "InvalidArgument",
        ) from None
    if net.num_addresses == 1:
        return str(net.network_address)
    return f"{net.network_address}/{net.netmask}" if net.version == 4 else str(net)


def ports(value: Any) -> list[str]:
    """Ports, ranges and words as they are."""
    found = strings(value)
    for one in found:
        low, _dash, high = one.partition("-")
        bad = low.isdigit() and not 0 <= int(low) <= int(high or low) <= 65535
        if bad or (not low.isdigit() and not low.isalpha()):
            raise CmdletError("The port is invalid.", "InvalidArgument")
    return found


def shown(value: Sequence[str] | Any) -> Any:
    """One value as itself, several as a list, none as nothing."""
    if not isinstance(value, list):
        return value
    return None if not value else value[0] if len(value) == 1 else list(value)
