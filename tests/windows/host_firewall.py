# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cmdlets of NetSecurity on the world of a simulated host."""

from __future__ import annotations

import copy
import fnmatch
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ansible_collections.twinguard.hardening.tests.windows import host_words as words
from ansible_collections.twinguard.hardening.tests.windows.host_words import CmdletError
from ansible_collections.twinguard.hardening.tests.windows.host_world import (
    PROFILE_NAMES,
    RULE,
    World,
)

Objects = list[dict[str, Any]]
Given = Mapping[str, Any]

ATTRIBUTES: dict[str, words.Convert] = {
    "Description": words.string,
    "Enabled": words.enum("Enabled"),
    "Profile": words.profile,
    "Direction": words.enum("Direction"),
    "Action": words.enum("Action"),
    "EdgeTraversalPolicy": words.enum("EdgeTraversal"),
    "Protocol": words.protocol,
    "LocalPort": words.ports,
    "RemotePort": words.ports,
    "IcmpType": words.strings,
    "LocalAddress": words.addresses,
    "RemoteAddress": words.addresses,
    "Program": words.string,
    "Service": words.string,
    "InterfaceType": words.enum("InterfaceType"),
}
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
SETTINGS: dict[str, words.Convert] = {
    "Enabled": words.enum("GpoBoolean"),
    "DefaultInboundAction": words.enum("Action"),
    "DefaultOutboundAction": words.enum("Action"),
    "AllowInboundRules": words.enum("GpoBoolean"),
    "AllowLocalFirewallRules": words.enum("GpoBoolean"),
    "NotifyOnListen": words.enum("GpoBoolean"),
    "LogFileName": words.string,
    "LogMaxSizeKilobytes": words.whole,
    "LogAllowed": words.enum("GpoBoolean"),
    "LogBlocked": words.enum("GpoBoolean"),
}
IN_FORCE = {
    "Enabled": "True",
    "DefaultInboundAction": "Block",
    "DefaultOutboundAction": "Allow",
    "AllowInboundRules": "True",
    "AllowLocalFirewallRules": "True",
}
"""What 'not configured' means."""

STORES = {
    "PersistentStore": ("rules",),
    "RSOP": ("policy_rules",),
    "ActiveStore": ("rules", "policy_rules"),
}
_CATEGORIES = {"DomainAuthenticated": "Domain"}
_CHANGING = ("New", "Set", "Remove", "Disable", "Enable")


def cmdlets() -> dict[str, Callable[[World, Given], Objects]]:
    """Every cmdlet by its name."""
    found: dict[str, Callable[[World, Given], Objects]] = {
        "Get-NetFirewallRule": get_rules,
        "New-NetFirewallRule": new_rule,
        "Set-NetFirewallRule": set_rules,
        "Remove-NetFirewallRule": remove_rules,
        "Disable-NetFirewallRule": lambda world, given: switch(world, given, "False"),
        "Enable-NetFirewallRule": lambda world, given: switch(world, given, "True"),
        "Get-NetFirewallProfile": get_profiles,
        "Set-NetFirewallProfile": set_profiles,
    }
    for name, properties in FILTERS.items():
        found[f"Get-NetFirewall{name}Filter"] = _filter(properties)
    return {name: _guarded(name, cmdlet) for name, cmdlet in found.items()}


def _guarded(
    name: str, cmdlet: Callable[[World, Given], Objects]
) -> Callable[[World, Given], Objects]:
    def call(world: World, given: Given) -> Objects:
        if not world["switches"]["firewall_service"]:
            raise CmdletError(
                "There are no more endpoints available from the endpoint mapper.", "NotSpecified"
            )
        if name.startswith(_CHANGING) and not world["switches"]["administrator"]:
            raise CmdletError("Access is denied.", "PermissionDenied")
        return cmdlet(world, given)

    return call


def refuse_unknown(given: Given, *known: str) -> None:
    """As PowerShell binds parameters."""
    for name in given:
        if name not in known:
            raise CmdletError(
                f"A parameter cannot be found that matches parameter name '{name}'.",
                "InvalidArgument",
            )


# --- rules


def stored(world: World, store: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Part, id and rule of each rule in a store."""
    if store not in STORES:
        raise CmdletError("The system cannot find the file specified.", "ObjectNotFound")
    for part in STORES[store]:
        for key, rule in world[part].items():
            yield part, key, rule


def get_rules(world: World, given: Given) -> Objects:
    """Get-NetFirewallRule."""
    refuse_unknown(given, "PolicyStore", "Name", "DisplayName", "Group")
    store = str(given.get("PolicyStore", "PersistentStore"))
    found = [_shown(world, store, *one) for one in stored(world, store)]
    for parameter, property_ in (
        ("Name", "InstanceID"),
        ("DisplayName", "DisplayName"),
        ("Group", "Group"),
    ):
        if parameter in given:
            found = _selected(found, property_, words.strings(given[parameter]))
    return found


def _shown(world: World, store: str, part: str, key: str, rule: dict[str, Any]) -> dict[str, Any]:
    policy = part == "policy_rules"
    return {
        "Name": key, "ID": key, "InstanceID": key,
        "DisplayName": rule["DisplayName"],
        "Description": rule["Description"],
        "Group": rule["Group"] or None,
        "DisplayGroup": rule["Group"] or None,
        "Owner": rule.get("Owner"),
        "Enabled": rule["Enabled"],
        "Profile": rule["Profile"],
        "Direction": rule["Direction"],
        "Action": rule["Action"],
        "EdgeTraversalPolicy": rule["EdgeTraversalPolicy"],
        "PolicyStoreSource": "GroupPolicy" if policy else "PersistentStore",
        "PolicyStoreSourceType": "GroupPolicy" if policy else "Local",
        "PrimaryStatus": "OK",
        "EnforcementStatus": (
            _enforcement(world, rule, policy) if store == "ActiveStore" else ["NotApplicable"]
        ),
    }  # fmt: skip


def _enforcement(world: World, rule: dict[str, Any], policy: bool) -> list[str]:
    if rule["Enabled"] != "True":
        return ["DisabledObject"]
    active = {
        _CATEGORIES.get(one["NetworkCategory"], one["NetworkCategory"]) for one in world["networks"]
    }
    mine = [one for one in PROFILE_NAMES if one in active and rule["Profile"] in ("Any", one)]
    mine += [one for one in active if one in rule["Profile"].split(", ") and one not in mine]
    if not mine:
        return ["ProfileInactive"]
    causes = []
    for name in mine:
        settings = in_force(world, name)
        if settings["Enabled"] == "False":
            causes.append("FirewallOffInProfile")
        elif not policy and settings["AllowLocalFirewallRules"] == "False":
            causes.append("LocalFirewallRulesDisallowed")
        else:
            return ["Enforced"]
    return list(dict.fromkeys(causes))


def _selected(found: Objects, property_: str, asked: list[str]) -> Objects:
    picked: Objects = []
    for pattern in asked:
        wild = any(one in pattern for one in "*?[")
        hits = [
            one
            for one in found
            if (fnmatch.fnmatchcase if wild else str.__eq__)(
                str(one[property_] or "").lower(), pattern.lower()
            )
        ]
        if not hits and not wild:
            name = "RuleGroup" if property_ == "Group" else property_
            raise CmdletError(
                f"No MSFT_NetFirewallRule objects found with property '{name}' equal to '{pattern}'.  "
                "Verify the value of the property and retry.",
                "ObjectNotFound",
            )
        picked += [one for one in hits if one not in picked]
    return picked


def new_rule(world: World, given: Given) -> Objects:
    """New-NetFirewallRule."""
    refuse_unknown(given, "Name", "DisplayName", "Group", "PolicyStore", *ATTRIBUTES)
    if not given.get("DisplayName"):
        raise CmdletError(
            "Cannot process command because of missing mandatory parameters: DisplayName."
        )
    key = str(given.get("Name") or f"{{{len(world['rules']):08d}}}")
    if key in world["rules"]:
        raise CmdletError("Cannot create a file when that file already exists.", "ResourceExists")
    rule = copy.deepcopy(RULE)
    rule.update(DisplayName=str(given["DisplayName"]), Group=str(given.get("Group") or ""))
    _write(rule, given)
    world["rules"][key] = rule
    return [_shown(world, "PersistentStore", "rules", key, rule)]


def _write(rule: dict[str, Any], given: Given) -> None:
    changed = {name: convert(given[name]) for name, convert in ATTRIBUTES.items() if name in given}
    after = {**rule, **changed}
    ported = after["LocalPort"] != ["Any"] or after["RemotePort"] != ["Any"]
    if ported and after["Protocol"] not in ("TCP", "UDP"):
        raise CmdletError(
            "The port number or keyword is invalid for the protocol.", "InvalidArgument"
        )
    if after["IcmpType"] != ["Any"] and not after["Protocol"].startswith("ICMP"):
        raise CmdletError("The ICMP type is invalid for the protocol.", "InvalidArgument")
    rule.update(changed)


def set_rules(world: World, given: Given) -> Objects:
    """Set-NetFirewallRule."""
    if "Group" in given and set(given) & {"Name", "InputObject"}:
        raise CmdletError(
            "Parameter set cannot be resolved using the specified named parameters.",
            "AmbiguousParameterSet",
        )
    refuse_unknown(given, "Name", "InputObject", "NewDisplayName", *ATTRIBUTES)
    for key in _keys(world, given):
        rule = copy.deepcopy(world["rules"][key])
        _write(rule, given)
        rule["DisplayName"] = str(given.get("NewDisplayName") or rule["DisplayName"])
        world["rules"][key] = rule
    return []


def remove_rules(world: World, given: Given) -> Objects:
    """Remove-NetFirewallRule."""
    refuse_unknown(given, "Name", "InputObject")
    for key in _keys(world, given):
        del world["rules"][key]
    return []


def switch(world: World, given: Given, enabled: str) -> Objects:
    """Enable- and Disable-NetFirewallRule."""
    refuse_unknown(given, "Name", "InputObject")
    for key in _keys(world, given):
        world["rules"][key]["Enabled"] = enabled
    return []


def _keys(world: World, given: Given) -> list[str]:
    """The ids of the local rules that are meant."""
    if "InputObject" not in given:
        return [one["InstanceID"] for one in get_rules(world, {"Name": given.get("Name", [])})]
    objects = given["InputObject"]
    objects = objects if isinstance(objects, list) else [objects]
    if any(one["PolicyStoreSourceType"] != "Local" for one in objects):
        raise CmdletError("Access is denied.", "PermissionDenied")
    keys = [str(one["InstanceID"]) for one in objects]
    for key in keys:
        if key not in world["rules"]:
            raise CmdletError("The system cannot find the file specified.", "ObjectNotFound")
    return keys


def _filter(properties: tuple[str, ...]) -> Callable[[World, Given], Objects]:
    def get(world: World, given: Given) -> Objects:
        refuse_unknown(given, "PolicyStore")
        found = stored(world, str(given.get("PolicyStore", "PersistentStore")))
        return [
            {"InstanceID": key, **{name: words.shown(rule[name]) for name in properties}}
            for _part, key, rule in found
        ]

    return get


# --- profiles


def in_force(world: World, name: str) -> dict[str, Any]:
    """The settings of the active store."""
    settings = {**world["profiles"][name], **world["policy_profiles"].get(name, {})}
    return {
        key: IN_FORCE.get(key, value) if value == "NotConfigured" else value
        for key, value in settings.items()
    }


def get_profiles(world: World, given: Given) -> Objects:
    """Get-NetFirewallProfile."""
    refuse_unknown(given, "PolicyStore", "Name")
    active = given.get("PolicyStore") == "ActiveStore"
    return [
        {"Name": name, **(in_force(world, name) if active else world["profiles"][name])}
        for name in PROFILE_NAMES
        if name in words.strings(given.get("Name", list(PROFILE_NAMES)))
    ]


def set_profiles(world: World, given: Given) -> Objects:
    """Set-NetFirewallProfile."""
    refuse_unknown(given, "Name", *SETTINGS)
    changed = {name: convert(given[name]) for name, convert in SETTINGS.items() if name in given}
    for name in words.strings(given["Name"]):
        if name not in world["profiles"]:
            raise CmdletError(
                f"No MSFT_NetFirewallProfile objects found with '{name}'.", "ObjectNotFound"
            )
        world["profiles"][name].update(changed)
    return []
