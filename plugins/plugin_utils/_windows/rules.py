# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compares firewall rules, and writes them as parameters for Windows and as YAML for people (pure)."""

from __future__ import annotations

import json
from typing import Any, Collection, Dict, List, Mapping, Tuple

from .types import ALL_PROFILES, ANY, COMPARED, PROFILE_NAMES, Rule
from .words import shown, shown_profiles

# PowerShell accepts any unique prefix of an enum name, so only these full names are sent.
ENUMS = {
    "true": "True", "false": "False", "allow": "Allow", "block": "Block", "inbound": "Inbound",
    "outbound": "Outbound", "any": "Any", "wired": "Wired", "wireless": "Wireless",
    "remoteaccess": "RemoteAccess", "defertouser": "DeferToUser", "defertoapp": "DeferToApp",
}  # fmt: skip
_CASELESS = ("program", "service", "group")


def same(wanted: Rule, current: Rule) -> bool:
    """Whether a rule on the host equals the wanted one; ids are not compared."""
    return not differences(wanted, current)


def differences(wanted: Rule, current: Rule) -> List[str]:
    """The attributes in which they differ."""
    different = []
    for name in COMPARED:
        mine, theirs = getattr(wanted, name), getattr(current, name)
        if name in _CASELESS:
            mine, theirs = mine.casefold(), theirs.casefold()
        if mine != theirs:
            different.append(name)
    return different


def can_change(wanted: Rule, current: Rule) -> bool:
    """Whether the rule on the host can be changed into the wanted one instead of being replaced."""
    # Windows cannot change the group of a rule. Conditions that we never set are not removed one by one.
    return not {"group", "conditions", "direction"} & set(differences(wanted, current))


def parameters(rule: Rule, names: Collection[str]) -> Dict[str, Any]:
    """Parameters of the firewall cmdlets for these attributes."""
    arguments: Dict[str, Tuple[str, Any]] = {
        "description": ("Description", rule.description),
        "enabled": ("Enabled", ENUMS[str(rule.enabled).lower()]),
        "direction": ("Direction", ENUMS[rule.direction]),
        "action": ("Action", ENUMS[rule.action]),
        "profiles": ("Profile", shown_profiles(rule.profiles)),
        "protocol": ("Protocol", rule.protocol),
        "local_ports": ("LocalPort", shown(rule.local_ports)),
        "remote_ports": ("RemotePort", shown(rule.remote_ports)),
        "icmp_types": ("IcmpType", shown(rule.icmp_types)),
        "local_addresses": ("LocalAddress", shown(rule.local_addresses)),
        "remote_addresses": ("RemoteAddress", shown(rule.remote_addresses)),
        "program": ("Program", rule.program),
        "service": ("Service", rule.service),
        "interface_type": ("InterfaceType", ENUMS[rule.interface_type]),
        "edge_traversal": ("EdgeTraversalPolicy", ENUMS[rule.edge_traversal]),
    }
    return dict(value for name, value in arguments.items() if name in names)


def described(rule: Rule) -> str:
    """The rule as YAML, without attributes that have their default value."""
    lines = {
        "action": rule.action,
        "direction": rule.direction,
        "enabled": rule.enabled,
        "profiles": [name for name in PROFILE_NAMES if name in rule.profiles],
        "protocol": rule.protocol,
    }
    if rule.profiles == ALL_PROFILES:
        del lines["profiles"]
    for name in (
        "local_ports",
        "remote_ports",
        "icmp_types",
        "local_addresses",
        "remote_addresses",
    ):
        if getattr(rule, name) != ANY:
            lines[name] = shown(getattr(rule, name))
    for name, default in (
        ("program", "Any"), ("service", "Any"), ("interface_type", "any"), ("edge_traversal", "block"),
        ("description", ""), ("group", ""),
    ):  # fmt: skip
        if getattr(rule, name) != default:
            lines[name] = getattr(rule, name)
    lines.update(rule.conditions)
    return yaml(lines)


def yaml(lines: Mapping[str, Any]) -> str:
    """Names and values as YAML; JSON values are YAML."""
    return "".join(
        f"{name}: {json.dumps(value, ensure_ascii=False)}\n" for name, value in lines.items()
    )
