# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How PowerShell and Windows take what they are given: parameters, enums by their beginnings, addresses in other forms.

The sentences of PowerShell's binder are those that PowerShell 7.6 said to the stubs.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Given = Mapping[str, Any]
Convert = Callable[[Any], Any]


class CmdletError(Exception):
    """An error record: what Windows says, of which category it is, and the number of it where it has one."""

    def __init__(
        self, message: str, category: str = "NotSpecified", hresult: int | None = None
    ) -> None:
        self.category = category
        self.hresult = hresult
        super().__init__(message)


_TYPES = "Microsoft.PowerShell.Cmdletization.GeneratedTypes"
ENUMS: Mapping[str, Mapping[str, int]] = {
    "NetSecurity.Enabled": {"True": 1, "False": 2},
    "NetSecurity.GpoBoolean": {"False": 0, "True": 1, "NotConfigured": 2},
    "NetSecurity.Action": {"NotConfigured": 0, "Allow": 2, "Block": 4},
    "NetSecurity.Direction": {"Inbound": 1, "Outbound": 2},
    "NetSecurity.EdgeTraversal": {"Block": 0, "Allow": 1, "DeferToUser": 2, "DeferToApp": 3},
    "NetSecurity.Profile": {"Any": 0, "Domain": 1, "Private": 2, "Public": 4, "NotApplicable": 8},
    "NetSecurity.InterfaceType": {"Any": 0, "Wired": 1, "Wireless": 2, "RemoteAccess": 4},
    "NetSecurity.Authentication": {"NotRequired": 0, "Required": 1, "NoEncap": 2},
    "NetSecurity.Encryption": {"NotRequired": 0, "Required": 1, "Dynamic": 2},
    "MpPreference.MAPSReportingType": {"Disabled": 0, "Basic": 1, "Advanced": 2},
    "MpPreference.SubmitSamplesConsentType": {
        "AlwaysPrompt": 0, "SendSafeSamples": 1, "NeverSend": 2, "SendAllSamples": 3
    },
    "MpPreference.PUAProtectionType": {"Disabled": 0, "Enabled": 1, "AuditMode": 2},
    "MpPreference.CloudBlockLevelType": {
        "Default": 0, "Moderate": 1, "High": 2, "HighPlus": 4, "ZeroTolerance": 6
    },
    "MpPreference.ASRRuleActionType": {
        "Disabled": 0, "Enabled": 1, "AuditMode": 2, "NotConfigured": 5, "Warn": 6
    },
    "NetTCPConnection.State": {
        "Closed": 1, "Listen": 2, "SynSent": 3, "SynReceived": 4, "Established": 5, "FinWait1": 6,
        "FinWait2": 7, "CloseWait": 8, "Closing": 9, "LastAck": 10, "TimeWait": 11, "DeleteTCB": 12,
        "Bound": 100,
    },
}  # fmt: skip
_FLAGS = ("NetSecurity.Profile", "NetSecurity.InterfaceType")
_ADDRESS_WORDS = (
    "Any", "LocalSubnet", "LocalSubnet4", "LocalSubnet6", "DNS", "DHCP", "WINS", "DefaultGateway",
    "Internet", "Intranet", "IntranetRemoteAccess", "PlayToDevice", "CaptivePortal",
)  # fmt: skip
_PORT_WORDS = (
    "Any", "RPC", "RPCEPMap", "IPHTTPSIn", "IPHTTPSOut", "Teredo", "PlayToDiscovery", "mDNS", "CDPSvc", "Ply2Disc",
)  # fmt: skip
_PROTOCOL_WORDS = ("TCP", "UDP", "ICMPv4", "ICMPv6", "Any")
_PROTOCOLS = {"6": "TCP", "17": "UDP", "1": "ICMPv4", "58": "ICMPv6", "256": "Any"}
INVALID_PORT = (
    "The port number or keyword is invalid for the protocol. "
    "Port numbers may be specified for TCP or UDP."
)
_INVALID_ADDRESS = (
    "The address is invalid. Addresses may be specified as IP addresses, ranges, or subnets."
)


# --- the types of parameters: what PowerShell does before a cmdlet runs


def enum(name: str) -> Convert:
    """Takes a whole name, any unique beginning of one, or a number, as PowerShell does; gives the printed name."""

    def convert(value: Any) -> str:
        members, found = ENUMS[name], _number(name, value)
        whole_names = [one for one, its in members.items() if its == found]
        return ", ".join(whole_names or [one for one, its in members.items() if its & found])

    return convert


def number(name: str) -> Convert:
    """As enum, and gives the number, which is what Defender shows."""
    return lambda value: _number(name, value)


def _number(name: str, value: Any) -> int:
    # PowerShell casts no boolean to an enum, so that $true is not "True".
    if isinstance(value, bool):
        raise CmdletError(f'Cannot convert value "{value}" to type "{_TYPES}.{name}".')
    members = ENUMS[name]
    values = (
        "due to enumeration values that are not valid. Specify one of the following enumeration values and try "
        f'again. The possible enumeration values are "{",".join(members)}".'
    )
    if value is None:
        raise CmdletError(f'Cannot convert null to type "{_TYPES}.{name}" {values}')
    is_whole = isinstance(value, float) and value.is_integer()
    text = str(int(value)) if is_whole else ",".join(strings(value))
    found = 0
    for word in text.split(","):
        found |= _member(name, word.strip(), text)
    known = sum(members.values()) if name in _FLAGS else None
    if found not in members.values() and (known is None or found & ~known):
        raise CmdletError(f'Cannot convert value "{text}" to type "{_TYPES}.{name}" {values}')
    return found


def _member(name: str, word: str, text: str) -> int:
    """The number of one word of a text; numbers and beginnings count only where they are the whole text."""
    members = ENUMS[name]
    alone = word == text
    if alone and re.fullmatch(r"[0-9]+", word):
        return int(word)
    for one, its in members.items():
        if one.lower() == word.lower():
            return its
    begun = [one for one in members if alone and one.lower().startswith(word.lower())]
    if len(begun) == 1:
        return members[begun[0]]
    why = (
        f"The identifier name {text} cannot be processed because it is either too similar or identical to the "
        f"following enumerator names: {', '.join(begun)}. Use a more specific identifier name."
        if begun
        else f"Unable to match the identifier name {text} to a valid enumerator name. Specify one of the following "
        f"enumerator names and try again:\n{', '.join(members)}"
    )
    raise CmdletError(f'Cannot convert value "{text}" to type "{_TYPES}.{name}". Error: "{why}"')


def boolean(value: Any) -> bool:
    """A [bool] takes no words, not even 'true'."""
    if isinstance(value, (bool, int, float)):
        return bool(value)
    kinds = {type(None): "", str: "System.String", list: "System.Object[]"}
    shown_value = kinds.get(type(value), value)
    raise CmdletError(
        f'Cannot convert value "{shown_value}" to type "System.Boolean". Boolean parameters accept only Boolean '
        "values and numbers, such as $True, $False, 1 or 0."
    )


def string(value: Any) -> str:
    """A [string]; a list is none, not even one of a single value."""
    if isinstance(value, (list, dict)):
        raise CmdletError("Cannot convert value to type System.String.")
    return "" if value is None else str(value)


def strings(value: Any) -> list[str]:
    """A [string[]]."""
    if value is None:
        return []
    return [string(one) for one in (value if isinstance(value, list) else [value])]


def whole(value: Any) -> int:
    """A [uint64]: nothing is 0, and fractions are rounded, halves to the even number."""
    text = str(int(value)) if isinstance(value, bool) else string(value)
    if re.fullmatch(r"[0-9]+", text or "0"):
        return int(text or "0")
    if re.fullmatch(r"[0-9]+\.[0-9]+", text):
        return round(float(text))
    raise CmdletError(f'Cannot convert value "{text}" to type "System.UInt64".')


def many(convert: Convert) -> Convert:
    """An array of a type."""
    return lambda value: [convert(one) for one in (value if isinstance(value, list) else [value])]


def objects(value: Any) -> list[dict[str, Any]]:
    """What another cmdlet gave, one or several."""
    return list(value) if isinstance(value, list) else [value]


COMMON: Mapping[str, Convert] = {
    "ErrorAction": string, "WarningAction": string, "Verbose": boolean, "Debug": boolean
}  # fmt: skip
CHANGING: Mapping[str, Convert] = {"WhatIf": boolean, "Confirm": boolean}


def bind(
    given: Given,
    known: Mapping[str, Convert],
    one_of: Sequence[str] = (),
    needed: Sequence[str] = (),
    aliases: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The parameters by their full names, converted; `one_of` belong to parameter sets that exclude each other.

    PowerShell takes unique beginnings of parameter names, too. The model knows a part of the real parameters only, so
    that what is unique here may not be so on Windows: it wants them whole.
    """
    types = {**COMMON, **known}
    spelled = {name.lower(): name for name in types}
    spelled.update({alias.lower(): name for alias, name in (aliases or {}).items()})
    bound: dict[str, Any] = {}
    for asked, value in given.items():
        name = spelled.get(asked.lower())
        if name is None:
            raise CmdletError(
                f"A parameter cannot be found that matches parameter name '{asked}'.",
                "InvalidArgument",
            )
        if name in one_of or name in needed:
            _refuse_nothing(name, value)
        try:
            bound[name] = types[name](value)
        except CmdletError as error:
            raise CmdletError(
                f"Cannot process argument transformation on parameter '{name}'. {error}",
                "InvalidData",
            ) from None
    _choose_set(bound, one_of, needed)
    return bound


def _refuse_nothing(name: str, value: Any) -> None:
    """A mandatory parameter must have a value."""
    blank = value == "" or (isinstance(value, list) and any(one in (None, "") for one in value))
    nothing = {"null": value is None, "an empty array": value == [], "an empty string": blank}
    for what, is_so in nothing.items():
        if is_so:
            raise CmdletError(
                f"Cannot bind argument to parameter '{name}' because it is {what}.", "InvalidData"
            )


def _choose_set(bound: Given, one_of: Sequence[str], needed: Sequence[str]) -> None:
    if sum(name in bound for name in one_of) > 1:
        raise CmdletError(
            "Parameter set cannot be resolved using the specified named parameters. One or more parameters issued "
            "cannot be used together or an insufficient number of parameters were provided.",
            "InvalidArgument",
        )
    missing = [name for name in needed if name not in bound]
    if missing and not any(name in bound for name in one_of):
        raise CmdletError(
            f"Cannot process command because of one or more missing mandatory parameters: {' '.join(missing)}.",
            "InvalidArgument",
        )


# --- wildcards


def wild(pattern: str) -> bool:
    """Whether it has a wildcard that no backtick takes the meaning from."""
    return re.search(r"[*?\[]", re.sub(r"`.", "", pattern)) is not None


_PATTERN = re.compile(r"`(.)|\[((?:\]|`.|[^`\]])(?:`.|[^`\]])*)\]|(.)", re.DOTALL)


def like(pattern: str) -> Callable[[str], bool]:
    """PowerShell's -like: no negated sets, and a backtick before what is meant as it stands."""
    made = ""
    for escaped, chosen, one in _PATTERN.findall(pattern):
        if one == "[":
            raise CmdletError(
                f"The specified wildcard character pattern is not valid: {pattern}",
                "InvalidArgument",
            )
        if chosen:
            made += f"[{_set(chosen)}]"
        else:
            made += {"*": ".*", "?": "."}.get(one) or re.escape(escaped or one)
    compiled = re.compile(made, re.IGNORECASE | re.DOTALL)
    return lambda text: compiled.fullmatch(text) is not None


def _set(chosen: str) -> str:
    """The inside of a set, where only the hyphen keeps a meaning."""
    parts = re.findall(r"`(.)|(-)|(.)", chosen, re.DOTALL)
    return "".join(hyphen or re.escape(escaped or one) for escaped, hyphen, one in parts)


# --- what Windows makes of values before it keeps them


def _word(text: str, known: Sequence[str]) -> str | None:
    return next((one for one in known if one.lower() == text.lower()), None)


def protocol(text: str) -> str:
    """A name or a number; known numbers come back as names."""
    found = _word(text, _PROTOCOL_WORDS) or _PROTOCOLS.get(text)
    if found is None and not (re.fullmatch(r"[0-9]{1,3}", text) and int(text) <= 255):
        raise CmdletError(
            "The protocol is invalid. Valid protocols are 0 to 255, TCP, UDP, ICMPv4, ICMPv6 and Any.",
            "InvalidArgument",
        )
    return found or text


def addresses(given: list[str]) -> list[str]:
    """As Windows keeps them: IPv4 networks with a mask, and in an order of its own."""
    try:
        made = [_word(one, _ADDRESS_WORDS) or _address(one) for one in given]
    except ValueError:
        made = []
    if not made:
        raise CmdletError(_INVALID_ADDRESS, "InvalidArgument")
    return sorted(made, reverse=True)


def _address(text: str) -> str:
    if "-" in text:
        low, high = (ipaddress.ip_address(one) for one in text.split("-", 1))
        if low.version != high.version or int(low) > int(high):
            raise ValueError(text)
        return f"{low}-{high}"
    net = ipaddress.ip_network(text, strict=False)
    mask = text.partition("/")[2]
    if "." in mask and mask != str(net.netmask):
        # Python takes a mask of the bits behind the network as well.
        raise ValueError(text)
    if net.num_addresses == 1:
        return str(net.network_address)
    return f"{net.network_address}/{net.netmask}" if net.version == 4 else str(net)


def ports(given: list[str]) -> list[str]:
    """Numbers and ranges as they are, words in the documented spelling."""
    if not given:
        raise CmdletError(INVALID_PORT, "InvalidArgument")
    return [_word(one, _PORT_WORDS) or _port(one) for one in given]


def _port(text: str) -> str:
    low, _dash, high = text.partition("-")
    if not re.fullmatch(r"[0-9]{1,5}(-[0-9]{1,5})?", text) or not (
        int(low) <= int(high or low) <= 65535
    ):
        raise CmdletError(INVALID_PORT, "InvalidArgument")
    return text


def any_word(text: str) -> str:
    """'Any' in the documented spelling, everything else as it is."""
    return _word(text, ("Any",)) or text


def shown(value: Any) -> Any:
    """One value as itself, several as a list, none as nothing."""
    if not isinstance(value, list):
        return value
    return None if not value else value[0] if len(value) == 1 else list(value)
