# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cmdlets of NetSecurity on the world of a simulated host."""

from __future__ import annotations

import copy
import functools
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.twinguard.hardening.tests.windows import host_words as words
from ansible_collections.twinguard.hardening.tests.windows.host_words import CmdletError, Given
from ansible_collections.twinguard.hardening.tests.windows.host_world import (
    PROFILE_NAMES,
    RULE,
    World,
)

Objects = list[dict[str, Any]]
Cmdlet = Callable[[World, Given], Objects]

_TEXTS = (
    "Description", "Protocol", "Program", "Package", "Service", "LocalUser", "RemoteUser", "RemoteMachine", "Owner",
)  # fmt: skip
_LISTS = (
    "LocalPort", "RemotePort", "IcmpType", "LocalAddress", "RemoteAddress", "InterfaceAlias"
)  # fmt: skip
ATTRIBUTES: Mapping[str, words.Convert] = {
    **dict.fromkeys(_TEXTS, words.string),
    **dict.fromkeys(_LISTS, words.strings),
    "Enabled": words.enum("NetSecurity.Enabled"),
    "Profile": words.enum("NetSecurity.Profile"),
    "Direction": words.enum("NetSecurity.Direction"),
    "Action": words.enum("NetSecurity.Action"),
    "EdgeTraversalPolicy": words.enum("NetSecurity.EdgeTraversal"),
    "InterfaceType": words.enum("NetSecurity.InterfaceType"),
    "Authentication": words.enum("NetSecurity.Authentication"),
    "Encryption": words.enum("NetSecurity.Encryption"),
    "OverrideBlockRules": words.boolean,
}
"""What a rule can be given, and the types of it."""

KEPT: Mapping[str, words.Convert] = {
    "Protocol": words.protocol,
    "LocalPort": words.ports,
    "RemotePort": words.ports,
    "LocalAddress": words.addresses,
    "RemoteAddress": words.addresses,
    "Program": words.any_word,
    "Service": words.any_word,
    "OverrideBlockRules": str,
}
"""What Windows makes of it."""

FILTERS = {
    "Port": ("Protocol", "LocalPort", "RemotePort", "IcmpType"),
    "Address": ("LocalAddress", "RemoteAddress"),
    "Application": ("Program", "Package"),
    "Service": ("Service",),
    "Interface": ("InterfaceAlias",),
    "InterfaceType": ("InterfaceType",),
    "Security": (
        "Authentication", "Encryption", "OverrideBlockRules", "LocalUser", "RemoteUser", "RemoteMachine",
    ),
}  # fmt: skip
_BOOLEAN = words.enum("NetSecurity.GpoBoolean")
_ACTION = words.enum("NetSecurity.Action")
SETTINGS: Mapping[str, words.Convert] = {
    "Enabled": _BOOLEAN,
    "DefaultInboundAction": _ACTION,
    "DefaultOutboundAction": _ACTION,
    "AllowInboundRules": _BOOLEAN,
    "AllowLocalFirewallRules": _BOOLEAN,
    "NotifyOnListen": _BOOLEAN,
    "LogFileName": words.string,
    "LogMaxSizeKilobytes": words.whole,
    "LogAllowed": _BOOLEAN,
    "LogBlocked": _BOOLEAN,
}
UNSET: Mapping[str, Any] = {
    **dict.fromkeys(SETTINGS, "NotConfigured"), "LogFileName": None, "LogMaxSizeKilobytes": 0
}  # fmt: skip
"""What group policy shows where it sets nothing."""

IN_FORCE = {
    "Enabled": "True",
    "DefaultInboundAction": "Block",
    "DefaultOutboundAction": "Allow",
    "AllowInboundRules": "True",
    "AllowLocalFirewallRules": "True",
}
"""What 'not configured' means."""

STORES = {
    "persistentstore": ("rules",),
    "rsop": ("policy_rules",),
    "activestore": ("rules", "policy_rules"),
}
SELECTED_BY = {"Name": "InstanceID", "DisplayName": "DisplayName", "Group": "RuleGroup"}
_SELECTORS: Mapping[str, words.Convert] = dict.fromkeys(SELECTED_BY, words.strings)
_CHOSEN: Mapping[str, words.Convert] = {**_SELECTORS, "InputObject": words.objects}
_ALIASES = {"ID": "Name", "RuleGroup": "Group"}
_CATEGORIES = {"DomainAuthenticated": "Domain"}


def cmdlets() -> dict[str, Cmdlet]:
    """Every cmdlet by its name."""
    return {
        "Get-NetFirewallRule": get_rules,
        "New-NetFirewallRule": new_rule,
        "Set-NetFirewallRule": set_rules,
        "Remove-NetFirewallRule": remove_rules,
        "Disable-NetFirewallRule": functools.partial(switch, enabled="False"),
        "Enable-NetFirewallRule": functools.partial(switch, enabled="True"),
        "Get-NetFirewallProfile": get_profiles,
        "Set-NetFirewallProfile": set_profiles,
        **{
            f"Get-NetFirewall{name}Filter": functools.partial(get_filters, properties=properties)
            for name, properties in FILTERS.items()
        },
    }


def require(world: World, changing: bool) -> None:
    """Fail as a host without the service or without rights does."""
    if not world["switches"]["firewall_service"]:
        raise CmdletError("There are no more endpoints available from the endpoint mapper.")
    if changing and not world["switches"]["administrator"]:
        raise CmdletError("Access is denied.", "PermissionDenied")


def not_found(kind: str, property_: str, value: str) -> CmdletError:
    """The error of a CIM query for something that is not there."""
    return CmdletError(
        f"No {kind} objects found with property '{property_}' equal to '{value}'.  "
        "Verify the value of the property and retry.",
        "ObjectNotFound",
    )


# --- reading rules


def store_of(bound: Given) -> str:
    """The name of the store that was asked for."""
    store = str(bound.get("PolicyStore", "PersistentStore")).lower()
    if store not in STORES:
        raise CmdletError("The system cannot find the file specified.", "ObjectNotFound")
    return store


def stored(world: World, store: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Part, id and rule of each rule in a store."""
    for part in STORES[store]:
        for key, rule in world[part].items():
            yield part, key, rule


def get_rules(world: World, given: Given) -> Objects:
    """Get-NetFirewallRule."""
    known = {**_SELECTORS, "PolicyStore": words.string}
    bound = words.bind(given, known, one_of=list(SELECTED_BY), aliases=_ALIASES)
    require(world, changing=False)
    return _selected(world, store_of(bound), bound)


def _selected(world: World, store: str, bound: Given) -> Objects:
    found = [_shown(world, store, *one) for one in stored(world, store)]
    for parameter, property_ in SELECTED_BY.items():
        if parameter in bound:
            return _matching(found, property_, bound[parameter])
    return found


def _matching(found: Objects, property_: str, asked: list[str]) -> Objects:
    picked: set[int] = set()
    for pattern in asked:
        matches = words.like(pattern)
        hits = [at for at, one in enumerate(found) if matches(one[property_] or "")]
        if not hits and not words.wild(pattern):
            raise not_found("MSFT_NetFirewallRule", property_, pattern)
        picked.update(hits)
    return [found[at] for at in sorted(picked)]


def _shown(world: World, store: str, part: str, key: str, rule: dict[str, Any]) -> dict[str, Any]:
    policy = part == "policy_rules"
    names = ("DisplayName", "Description", "Enabled", "Profile", "Direction", "Action")
    return {
        **dict.fromkeys(("Name", "ID", "InstanceID"), key),
        **{name: rule[name] for name in names},
        **dict.fromkeys(("Group", "RuleGroup", "DisplayGroup"), rule["Group"] or None),
        "Owner": rule.get("Owner"),
        "EdgeTraversalPolicy": rule["EdgeTraversalPolicy"],
        "PolicyStoreSource": "GroupPolicy" if policy else "PersistentStore",
        "PolicyStoreSourceType": "GroupPolicy" if policy else "Local",
        "PrimaryStatus": "OK",
        "EnforcementStatus": (
            _enforcement(world, rule, policy) if store == "activestore" else ["NotApplicable"]
        ),
    }


def _enforcement(world: World, rule: dict[str, Any], policy: bool) -> list[str]:
    """Whether a rule is in force on any of the networks, or all that keeps it from that."""
    if rule["Enabled"] != "True":
        return ["DisabledObject"]
    wanted = rule["Profile"].split(", ")
    categories = [one["NetworkCategory"] for one in world["networks"]]
    active = [_CATEGORIES.get(one, one) for one in categories]
    obstacles = []
    for name in active:
        if not {"Any", name} & set(wanted):
            continue
        settings = in_force(world, name)
        if settings["Enabled"] == "False":
            obstacles.append("FirewallOffInProfile")
        elif not policy and settings["AllowLocalFirewallRules"] == "False":
            obstacles.append("LocalFirewallRulesDisallowed")
        else:
            return ["Enforced"]
    return list(dict.fromkeys(obstacles)) or ["ProfileInactive"]


def get_filters(world: World, given: Given, properties: tuple[str, ...]) -> Objects:
    """Get-NetFirewall...Filter: what a rule says of ports, addresses and so on."""
    known = {"PolicyStore": words.string, "AssociatedNetFirewallRule": words.objects}
    bound = words.bind(given, known, one_of=list(known))
    require(world, changing=False)
    if "AssociatedNetFirewallRule" in bound:
        found = [_associated(world, one) for one in bound["AssociatedNetFirewallRule"]]
    else:
        found = [(key, rule) for _part, key, rule in stored(world, store_of(bound))]
    return [
        {"InstanceID": key, **{name: _filtered(name, rule[name]) for name in properties}}
        for key, rule in found
    ]


def _filtered(name: str, value: Any) -> Any:
    return value == "True" if name == "OverrideBlockRules" else words.shown(value)


def _associated(world: World, rule: Given) -> tuple[str, dict[str, Any]]:
    key = str(rule["InstanceID"])
    part = "rules" if rule["PolicyStoreSourceType"] == "Local" else "policy_rules"
    if key not in world[part]:
        raise not_found("MSFT_NetFirewallRule", "InstanceID", key)
    return key, world[part][key]


# --- changing rules


def new_rule(world: World, given: Given) -> Objects:
    """New-NetFirewallRule."""
    named = dict.fromkeys(("Name", "DisplayName", "Group", "PolicyStore"), words.string)
    known = {**words.CHANGING, **ATTRIBUTES, **named}
    bound = words.bind(given, known, needed=["DisplayName"], aliases=_ALIASES)
    require(world, changing=True)
    store = store_of(bound)
    if bound.get("WhatIf"):
        return []
    if store != "persistentstore":
        raise CmdletError("Access is denied.", "PermissionDenied")
    key = bound.get("Name") or _free_id(world)
    if key.lower() in (one.lower() for one in world["rules"]):
        raise CmdletError("Cannot create a file when that file already exists.", "ResourceExists")
    fresh = {
        **copy.deepcopy(RULE), "DisplayName": bound["DisplayName"], "Group": bound.get("Group", "")
    }  # fmt: skip
    world["rules"][key] = rule = _written(fresh, bound)
    return [_shown(world, "persistentstore", "rules", key, rule)]


def _free_id(world: World) -> str:
    """An id that no rule has. Windows rolls dice; here the same world gives the same id."""
    at = 0
    while (key := f"{{{uuid.uuid5(uuid.NAMESPACE_OID, str(at))}}}") in world["rules"]:
        at += 1
    return key


def _written(rule: dict[str, Any], bound: Given) -> dict[str, Any]:
    """The rule with what was given.

    :raises CmdletError: where Windows would keep no such rule.
    """
    after = copy.deepcopy(rule)
    for name in ATTRIBUTES:
        if name in bound:
            after[name] = KEPT[name](bound[name]) if name in KEPT else bound[name]
    if "NewDisplayName" in bound:
        after["DisplayName"] = bound["NewDisplayName"]
    ported = after["LocalPort"] != ["Any"] or after["RemotePort"] != ["Any"]
    if ported and after["Protocol"] not in ("TCP", "UDP"):
        raise CmdletError(words.INVALID_PORT, "InvalidArgument")
    if after["IcmpType"] != ["Any"] and not after["Protocol"].startswith("ICMP"):
        raise CmdletError("The ICMP type is invalid for the protocol.", "InvalidArgument")
    return after


def set_rules(world: World, given: Given) -> Objects:
    """Set-NetFirewallRule: a group is something to choose rules by here, and not to be changed."""
    more = {**words.CHANGING, **ATTRIBUTES, "NewDisplayName": words.string}
    bound, keys = _chosen(world, given, more, needed=["Name"])
    for key in keys:
        world["rules"][key] = _written(world["rules"][key], bound)
    return []


def remove_rules(world: World, given: Given) -> Objects:
    """Remove-NetFirewallRule: every local rule, if none is chosen."""
    for key in _chosen(world, given, words.CHANGING)[1]:
        del world["rules"][key]
    return []


def switch(world: World, given: Given, enabled: str) -> Objects:
    """Enable- and Disable-NetFirewallRule."""
    for key in _chosen(world, given, words.CHANGING)[1]:
        world["rules"][key]["Enabled"] = enabled
    return []


def _chosen(
    world: World, given: Given, more: Mapping[str, words.Convert], needed: Sequence[str] = ()
) -> tuple[dict[str, Any], list[str]]:
    """What was bound, and the ids of the local rules that are to be changed: none in a dry run."""
    known = {**more, **_CHOSEN}
    bound = words.bind(given, known, one_of=list(_CHOSEN), needed=needed, aliases=_ALIASES)
    require(world, changing=True)
    found = bound.get("InputObject") or _selected(world, "persistentstore", bound)
    keys = list(dict.fromkeys(str(one["InstanceID"]) for one in found))
    if any(one["PolicyStoreSourceType"] != "Local" for one in found):
        raise CmdletError("Access is denied.", "PermissionDenied")
    for key in keys:
        if key not in world["rules"]:
            raise not_found("MSFT_NetFirewallRule", "InstanceID", key)
    return bound, [] if bound.get("WhatIf") else keys


# --- profiles


def in_force(world: World, name: str) -> dict[str, Any]:
    """The settings of the active store."""
    settings = {**world["profiles"][name], **world["policy_profiles"].get(name, {})}
    return {
        key: IN_FORCE.get(key, value) if value == "NotConfigured" else value
        for key, value in settings.items()
    }


def _settings(world: World, store: str, name: str) -> dict[str, Any]:
    if store == "activestore":
        return in_force(world, name)
    if store == "rsop":
        return {**UNSET, **world["policy_profiles"].get(name, {})}
    return dict(world["profiles"][name])


def _profiles(asked: list[str]) -> list[str]:
    found: set[str] = set()
    for pattern in asked:
        hits = list(filter(words.like(pattern), PROFILE_NAMES))
        if not hits and not words.wild(pattern):
            raise not_found("MSFT_NetFirewallProfile", "Name", pattern)
        found.update(hits)
    return [name for name in PROFILE_NAMES if name in found]


def get_profiles(world: World, given: Given) -> Objects:
    """Get-NetFirewallProfile."""
    known = {"PolicyStore": words.string, "Name": words.strings}
    bound = words.bind(given, known, one_of=["Name"], aliases={"Profile": "Name"})
    require(world, changing=False)
    store = store_of(bound)
    return [
        {"Name": name, "Profile": name, **_settings(world, store, name)}
        for name in _profiles(bound.get("Name", list(PROFILE_NAMES)))
    ]


def set_profiles(world: World, given: Given) -> Objects:
    """Set-NetFirewallProfile: all three, if none is named."""
    known = {**words.CHANGING, **SETTINGS, "Name": words.strings, "InputObject": words.objects}
    choice = ["Name", "InputObject"]
    bound = words.bind(given, known, one_of=choice, aliases={"Profile": "Name"})
    require(world, changing=True)
    named = [str(one["Name"]) for one in bound.get("InputObject", [])]
    chosen = _profiles(bound.get("Name") or named or list(PROFILE_NAMES))
    changed = {name: value for name, value in bound.items() if name in SETTINGS}
    for name in [] if bound.get("WhatIf") else chosen:
        world["profiles"][name].update(changed)
    return []
