# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parses the options of ``win_guard`` into a policy, and refuses what could never be in force (pure)."""

from __future__ import annotations

from typing import Any, Dict, FrozenSet, List, Mapping, Tuple

from ...module_utils._core.plan import ControlError
from .reach import covers
from .types import MATCHING, PROFILE_NAMES, FirewallPolicy, Management, Rule, Unmanaged
from .words import (
    canonical_address,
    refuse_addresses,
    refuse_icmp_types,
    refuse_ports,
    refuse_protocol,
    span,
    versions,
)

_WILDCARDS = "*?[]`"
_LONGEST_NAME = 200
_LOG_KILOBYTES = (1, 32767)


def firewall_policy(options: Mapping[str, Any]) -> FirewallPolicy | None:
    """The firewall policy; None when no option is about the firewall. Raises ControlError."""
    unmanaged = _unmanaged(options.get("unmanaged") or {})
    profiles = _profiles(options.get("profiles") or {})
    given = options.get("rules")
    if given is None and not profiles and unmanaged.action == "ignore":
        return None
    group = _name("group", options["group"])
    if group.startswith("@"):
        raise ControlError(
            "group",
            group,
            "begins with @, which Windows reads as a reference to a text",
            "choose a name without @",
        )
    rules = None if given is None else _rules(given, group)
    return FirewallPolicy(group, profiles, rules, unmanaged)


def management(
    options: Mapping[str, Any], transport: str, port: int | None, own: Tuple[str, ...]
) -> Management:
    """How Ansible reaches this host, from the connection and the options. Raises ControlError."""
    addresses = []
    for text in options["controller_addresses"]:
        made = canonical_address(text)
        found = span(made)
        if found is None:
            raise ControlError(
                "controller_addresses",
                text,
                "is not an address or network",
                "give the address from which the host sees the controller, such as 10.0.0.5",
            )
        addresses.append(made)
    chosen = options["management_port"]
    if chosen is not None and not 1 <= chosen <= 65535:
        raise ControlError(
            "management_port", chosen, "is not a port", "give a number from 1 to 65535"
        )
    return Management(
        options["lockout_guard"], transport, chosen or port, tuple(addresses), tuple(own)
    )


def _name(option: str, text: str) -> str:
    """A name that no cmdlet reads as a pattern."""
    if any(one in text for one in _WILDCARDS):
        raise ControlError(
            option,
            text,
            "contains a wildcard, so Windows would read it as a pattern",
            f"remove the characters {' '.join(_WILDCARDS)}",
        )
    if not text.strip() or not text.isprintable() or "|" in text or len(text) > _LONGEST_NAME:
        raise ControlError(
            option,
            text,
            "cannot be used as a name",
            f"give 1 to {_LONGEST_NAME} printable characters without |",
        )
    return text


def _profiles(given: Mapping[str, Any]) -> Dict[str, Dict[str, str]]:
    """The wanted settings of each profile; a setting of one profile overrides that of all."""
    for name, settings in given.items():
        for setting, value in (settings or {}).items():
            _refuse_setting(f"profiles.{name}.{setting}", setting, value)
    wanted = {}
    for name in PROFILE_NAMES:
        merged = dict(given.get("all") or {})
        own = {key: value for key, value in (given.get(name) or {}).items() if value is not None}
        merged.update(own)
        settings = {key: _word(value) for key, value in merged.items() if value is not None}
        if settings:
            wanted[name] = settings
    return wanted


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _refuse_setting(option: str, setting: str, value: Any) -> None:
    if setting == "log_max_kilobytes" and value is not None:
        lowest, highest = _LOG_KILOBYTES
        if not lowest <= value <= highest:
            raise ControlError(
                option, value, "is out of range", f"give {lowest} to {highest} kilobytes"
            )
    if setting == "log_file" and value is not None and not value.strip():
        raise ControlError(option, value, "is empty", "give a path, or leave the option out")


def _unmanaged(given: Mapping[str, Any]) -> Unmanaged:
    action = given.get("action") or "ignore"
    if action == "ignore":
        return Unmanaged()
    for needed in ("direction", "profiles"):
        if not given.get(needed):
            raise ControlError(
                f"unmanaged.{needed}",
                given.get(needed),
                f"is required when unmanaged.action is {action}",
                "name which unmanaged rules are meant, so that no other rule is changed",
            )
    return Unmanaged(action, given["direction"], frozenset(given["profiles"]))


def _rules(given: List[Mapping[str, Any]], group: str) -> Tuple[Rule, ...]:
    rules = [_rule(f"rules[{number}]", one, group) for number, one in enumerate(given)]
    names: Dict[str, Rule] = {}
    matches: Dict[Tuple[Any, ...], Rule] = {}
    for number, rule in enumerate(rules):
        _refuse_duplicates(f"rules[{number}]", rule, names, matches)
        _refuse_shadowed(f"rules[{number}]", rule, rules)
    return tuple(rules)


def _rule(option: str, given: Mapping[str, Any], group: str) -> Rule:
    protocol = refuse_protocol(f"{option}.protocol", given["protocol"])
    rule = Rule(
        name=_name(f"{option}.name", given["name"]),
        direction=given["direction"],
        action=given["action"],
        enabled=given["enabled"],
        profiles=_chosen_profiles(option, given["profiles"]),
        protocol=protocol,
        local_ports=refuse_ports(f"{option}.local_ports", given["local_ports"], protocol),
        remote_ports=refuse_ports(f"{option}.remote_ports", given["remote_ports"], protocol),
        icmp_types=refuse_icmp_types(f"{option}.icmp_types", given["icmp_types"], protocol),
        local_addresses=refuse_addresses(f"{option}.local_addresses", given["local_addresses"]),
        remote_addresses=refuse_addresses(f"{option}.remote_addresses", given["remote_addresses"]),
        program=_any(given["program"]),
        service=_any(given["service"]),
        interface_type=given["interface_type"],
        edge_traversal=given["edge_traversal"],
        description=given["description"],
        group=group,
    )
    _refuse_versions(option, rule)
    if rule.edge_traversal != "block" and (rule.direction, rule.action) != ("inbound", "allow"):
        raise ControlError(
            f"{option}.edge_traversal",
            rule.edge_traversal,
            "applies to inbound allow rules only",
            "leave the option out",
        )
    if "|" in rule.description or not rule.description.isprintable():
        raise ControlError(
            f"{option}.description", rule.description, "contains | or a line break", "remove it"
        )
    return rule


def _any(text: str) -> str:
    return "Any" if text.strip().lower() in ("any", "") else text.strip()


def _chosen_profiles(option: str, names: List[str]) -> FrozenSet[str]:
    if not names:
        raise ControlError(
            f"{option}.profiles",
            names,
            "names no profile, so the rule would never apply",
            "give one or more of domain, private, public, or leave the option out for all",
        )
    return frozenset(names)


def _refuse_versions(option: str, rule: Rule) -> None:
    """Refuse IPv4 together with IPv6: no packet has both."""
    local, remote = versions(rule.local_addresses), versions(rule.remote_addresses)
    if 0 not in local and 0 not in remote and not local & remote:
        raise ControlError(
            f"{option}.remote_addresses",
            sorted(rule.remote_addresses),
            "has another IP version than local_addresses, so no packet could match",
            "give both as IPv4 or both as IPv6",
        )
    for protocol, version in (("ICMPv4", 6), ("ICMPv6", 4)):
        wrong = {"local_addresses": local, "remote_addresses": remote}
        for name, found in wrong.items():
            if rule.protocol == protocol and version in found:
                raise ControlError(
                    f"{option}.{name}",
                    sorted(getattr(rule, name)),
                    f"contains IPv{version} addresses, but protocol is {protocol}",
                    f"set protocol to icmpv{version}, or give IPv{10 - version} addresses",
                )


def _refuse_duplicates(
    option: str, rule: Rule, names: Dict[str, Rule], matches: Dict[Tuple[Any, ...], Rule]
) -> None:
    """Refuse two rules with one name, and two enabled rules for the same traffic."""
    if rule.name.casefold() in names:
        raise ControlError(
            f"{option}.name", rule.name, "is given twice", "give each rule its own name"
        )
    names[rule.name.casefold()] = rule
    if not rule.enabled:
        return
    traffic = tuple(getattr(rule, name) for name in MATCHING)
    other = matches.setdefault(traffic, rule)
    if other is not rule:
        raise ControlError(
            option,
            rule.name,
            f"matches exactly the same traffic as {other.name!r}",
            "keep one of them",
        )


def _refuse_shadowed(option: str, rule: Rule, rules: List[Rule]) -> None:
    if rule.action != "allow" or not rule.enabled:
        return
    for other in rules:
        if other.action == "block" and other.enabled and covers(other, rule):
            raise ControlError(
                option,
                rule.name,
                f"would have no effect: the block rule {other.name!r} covers it, and on Windows a block rule "
                "beats every allow rule",
                "remove the block rule and set default_inbound to block instead, which allow rules do beat",
            )
