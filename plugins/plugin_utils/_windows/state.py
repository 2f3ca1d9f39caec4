# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The request that ``win_guard`` sends to a Windows host, and the state parsed from its answer (pure)."""

from __future__ import annotations

import hashlib
from typing import Any, Dict, Iterable, List, Mapping, Tuple

from .types import (
    LOCAL,
    POLICY,
    Defender,
    Firewall,
    FirewallPolicy,
    Management,
    Network,
    Rule,
    State,
)
from .words import (
    canonical_addresses,
    canonical_icmp_types,
    canonical_ports,
    canonical_profiles,
    canonical_protocol,
)

_POLICIES = r"HKLM:\SOFTWARE\Policies\Microsoft"
FIREWALL_KEYS = {
    "domain": rf"{_POLICIES}\WindowsFirewall\DomainProfile",
    "private": rf"{_POLICIES}\WindowsFirewall\PrivateProfile",
    "public": rf"{_POLICIES}\WindowsFirewall\PublicProfile",
}
"""Where group policy writes the settings of a profile."""

DEFENDER_KEY = rf"{_POLICIES}\Windows Defender"
DEFENDER_KEYS = (
    DEFENDER_KEY,
    *(
        rf"{DEFENDER_KEY}\{name}"
        for name in (
            "Real-Time Protection",
            "Spynet",
            "MpEngine",
            r"Windows Defender Exploit Guard\ASR",
            r"Windows Defender Exploit Guard\ASR\Rules",
            r"Windows Defender Exploit Guard\Network Protection",
            r"Exclusions\Paths",
            r"Exclusions\Extensions",
            r"Exclusions\Processes",
        )
    ),
)
"""Where group policy writes the settings of Defender."""

PREFERENCES = (
    "DisableRealtimeMonitoring",
    "MAPSReporting",
    "SubmitSamplesConsent",
    "PUAProtection",
    "EnableNetworkProtection",
    "CloudBlockLevel",
    "AttackSurfaceReductionRules_Ids",
    "AttackSurfaceReductionRules_Actions",
    "ExclusionPath",
    "ExclusionExtension",
    "ExclusionProcess",
    "ExclusionIpAddress",
)
STATUS = (
    "AMRunningMode",
    "AMServiceEnabled",
    "AntivirusEnabled",
    "RealTimeProtectionEnabled",
    "IsTamperProtected",
    "TamperProtectionSource",
)

_CONDITIONS = (
    "owner",
    "package",
    "interface_alias",
    "authentication",
    "encryption",
    "override_block_rules",
    "local_user",
    "remote_user",
    "remote_machine",
)
_CATEGORIES = {"domainauthenticated": "domain", "private": "private", "public": "public"}


def prefix_of(group: str) -> str:
    """The prefix of the ids of our rules in this group; without wildcards, since Windows reads ids as patterns."""
    return f"twinguard-{hashlib.sha256(group.encode('utf-8')).hexdigest()[:8]}-"


def id_of(group: str, name: str, turn: str = "a") -> str:
    """The id of our rule with this name. A rule that replaces another one uses the next `turn`."""
    digest = hashlib.sha256(name.casefold().encode("utf-8")).hexdigest()[:12]
    return f"{prefix_of(group)}{digest}-{turn}"


def request(policy: FirewallPolicy | None, defender: bool, way: Management) -> Dict[str, Any]:
    """The arguments of ``win_guard_read``."""
    asked: Dict[str, Any] = {
        "firewall": policy is not None,
        "defender": defender,
        "preferences": list(PREFERENCES),
        "status": list(STATUS),
        "registry": list(DEFENDER_KEYS) if defender else [],
    }
    if policy is not None:
        outbound = policy.unmanaged.action != "ignore" and policy.unmanaged.direction == "outbound"
        outbound = outbound or any(rule.direction == "outbound" for rule in policy.rules or ())
        asked.update(
            group=policy.group,
            prefix=prefix_of(policy.group),
            directions=["Inbound", "Outbound"] if outbound else ["Inbound"],
            disabled=policy.unmanaged.action == "remove",
            port=way.port or 0,
        )
        asked["registry"] += list(FIREWALL_KEYS.values())
    return asked


def state_of(answer: Mapping[str, Any]) -> State:
    """Parse the answer of either module; KeyError, TypeError or ValueError when it cannot be parsed."""
    found = answer["state"]
    host = found["host"]
    firewall, defender = found.get("firewall"), found.get("defender")
    return State(
        digest=str(answer["digest"]),
        firewall=_firewall(firewall, found) if firewall is not None else None,
        defender=_defender(defender) if defender is not None else None,
        administrator=bool(host["administrator"]),
        account=str(host["account"]),
        services={str(name): str(value) for name, value in host["services"].items()},
        registry={
            str(key): {str(name): str(value) for name, value in values.items()}
            for key, values in found["registry"].items()
        },
    )


def _firewall(found: Mapping[str, Any], whole: Mapping[str, Any]) -> Firewall:
    rules = [_rule(one, LOCAL) for one in listed(found["rules"])]
    rules += [_rule(one, POLICY) for one in listed(found["policy_rules"])]
    return Firewall(
        profiles=_settings(found["profiles"]),
        active=_settings(found["active"]),
        # Hosts sort by the collation of their own language.
        rules=tuple(sorted(rules, key=lambda rule: (rule.source, rule.id))),
        enforcement={
            str(key): tuple(str(one) for one in listed(value))
            for key, value in (whole.get("enforcement") or {}).items()
        },
        network=_network(whole.get("network") or {}),
        error=" ".join(str(found["error"] or "").split()),
    )


def listed(value: Any) -> List[Any]:
    """A list; PowerShell may return a list with one item as the item."""
    return value if isinstance(value, list) else [] if value is None else [value]


def _settings(found: Any) -> Dict[str, Dict[str, str]]:
    return {
        str(one["name"]).lower(): {
            str(key): str(value) if key == "log_file" else str(value).lower()
            for key, value in one.items()
            if key != "name"
        }
        for one in listed(found)
    }


def _words(found: Mapping[str, Any], key: str) -> Tuple[str, ...]:
    return tuple(str(one) for one in listed(found.get(key)))


def _word(found: Mapping[str, Any], key: str, default: str) -> str:
    return ", ".join(_words(found, key)) or default


def _rule(found: Mapping[str, Any], source: str) -> Rule:
    return Rule(
        name=str(found["name"]),
        direction=str(found["direction"]).lower(),
        action=str(found["action"]).lower(),
        enabled=str(found["enabled"]).lower() == "true",
        profiles=canonical_profiles(str(found["profile"])),
        protocol=canonical_protocol(_word(found, "protocol", "Any")),
        local_ports=canonical_ports(_words(found, "local_ports")),
        remote_ports=canonical_ports(_words(found, "remote_ports")),
        icmp_types=canonical_icmp_types(_words(found, "icmp_types")),
        local_addresses=canonical_addresses(_words(found, "local_addresses")),
        remote_addresses=canonical_addresses(_words(found, "remote_addresses")),
        program=_word(found, "program", "Any"),
        service=_word(found, "service", "Any"),
        interface_type=_word(found, "interface_type", "any").lower(),
        edge_traversal=_word(found, "edge_traversal", "block").lower(),
        description=_word(found, "description", ""),
        group=str(found["group"]),
        conditions=tuple(
            (name, ", ".join(sorted(_words(found, name)))) for name in _CONDITIONS if name in found
        ),
        id=str(found["id"]),
        source=source,
    )


def _network(found: Mapping[str, Any]) -> Network:
    return Network(
        connections=tuple((one[0], one[1]) for one in _rows(found, "connections", 2)),
        addresses=tuple((one[0], int(one[1]), one[2]) for one in _rows(found, "addresses", 3)),
        profiles={
            one[0]: _CATEGORIES[one[1].lower()]
            for one in _rows(found, "networks", 2)
            if one[1].lower() in _CATEGORIES
        },
    )


def _rows(found: Mapping[str, Any], key: str, width: int) -> Iterable[List[str]]:
    """The rows of a table with this many cells; each row is one string."""
    rows = [str(row).split() for row in listed(found.get(key))]
    return [row for row in rows if len(row) == width]


def _defender(found: Mapping[str, Any]) -> Defender:
    return Defender(
        installed=bool(found["installed"]),
        preferences={str(key): _words(found["preferences"], key) for key in found["preferences"]},
        status={str(key): str(value) for key, value in found["status"].items()},
        error=" ".join(str(found["error"] or "").split()),
    )
