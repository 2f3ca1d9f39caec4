# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What win_guard_read.ps1 and win_guard_apply.ps1 do, on the model of a host: the same calls in the same order.

The scripts themselves run where there is a PowerShell; test_parity.py compares both.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from ansible_collections.twinguard.hardening.tests.windows.host_model import CmdletError, Host

COMMANDS = {
    "new_rule": "New-NetFirewallRule",
    "set_rule": "Set-NetFirewallRule",
    "disable_rules": "Disable-NetFirewallRule",
    "remove_rules": "Remove-NetFirewallRule",
    "set_profile": "Set-NetFirewallProfile",
    "set_defender": "Set-MpPreference",
    "add_defender": "Add-MpPreference",
    "remove_defender": "Remove-MpPreference",
}
ATTRIBUTES = (
    ("description", "Rule", "Description", ""),
    ("edge_traversal", "Rule", "EdgeTraversalPolicy", "Block"),
    ("owner", "Rule", "Owner", ""),
    ("protocol", "Port", "Protocol", "Any"),
    ("local_ports", "Port", "LocalPort", "Any"),
    ("remote_ports", "Port", "RemotePort", "Any"),
    ("icmp_types", "Port", "IcmpType", "Any"),
    ("local_addresses", "Address", "LocalAddress", "Any"),
    ("remote_addresses", "Address", "RemoteAddress", "Any"),
    ("program", "Application", "Program", "Any"),
    ("package", "Application", "Package", ""),
    ("service", "Service", "Service", "Any"),
    ("interface_alias", "Interface", "InterfaceAlias", "Any"),
    ("interface_type", "InterfaceType", "InterfaceType", "Any"),
    ("authentication", "Security", "Authentication", "NotRequired"),
    ("encryption", "Security", "Encryption", "NotRequired"),
    ("override_block_rules", "Security", "OverrideBlockRules", "False"),
    ("local_user", "Security", "LocalUser", "Any"),
    ("remote_user", "Security", "RemoteUser", "Any"),
    ("remote_machine", "Security", "RemoteMachine", "Any"),
)
FILTERS = ("Port", "Address", "Application", "Service", "Interface", "InterfaceType", "Security")
SETTINGS = {
    "name": "Name",
    "enabled": "Enabled",
    "default_inbound": "DefaultInboundAction",
    "default_outbound": "DefaultOutboundAction",
    "allow_inbound_rules": "AllowInboundRules",
    "allow_local_rules": "AllowLocalFirewallRules",
    "notify_on_listen": "NotifyOnListen",
    "log_file": "LogFileName",
    "log_max_kilobytes": "LogMaxSizeKilobytes",
    "log_allowed": "LogAllowed",
    "log_blocked": "LogBlocked",
}


def run_script(host: Host, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """The result of one of the two modules on this host.

    :raises CmdletError: what the script does not catch.
    """
    if name == "win_guard_read":
        return {"changed": False, **read(host, arguments)}
    if name == "win_guard_apply":
        return apply(host, arguments)
    raise CmdletError(f"there is no script {name}", "ObjectNotFound")


def text(value: Any) -> str:
    """A value as PowerShell puts it into a string."""
    return "" if value is None else str(value)


def words(value: Any) -> list[str]:
    """A value as an array of strings."""
    listed = value if isinstance(value, list) else [value]
    return [text(one) for one in listed if one is not None]


def quietly(host: Host, cmdlet: str, **parameters: Any) -> list[dict[str, Any]]:
    """A call whose errors are left alone."""
    try:
        return host.call(cmdlet, **parameters)
    except CmdletError:
        return []


def read(host: Host, asked: dict[str, Any]) -> dict[str, Any]:
    """Digest and state, as Get-GuardState gives them."""
    state: dict[str, Any] = {"firewall": None, "defender": None}
    if asked["firewall"]:
        state["firewall"] = firewall(host, asked)
    if asked["defender"]:
        state["defender"] = defender(host, asked)
    digest = hashlib.sha256(json.dumps(state).encode()).hexdigest()
    state["host"] = {
        "account": r"MODEL\ansible",
        "administrator": host.administrator,
        "powershell": "5.1.26100.1",
        "services": {
            name: text(one["Status"])
            for name in ("mpssvc", "WinDefend")
            for one in quietly(host, "Get-Service", Name=name)
        },
    }
    state["registry"] = {
        path: {name: text(value) for name, value in host.registry(path).items()}
        for path in asked["registry"]
        if host.registry(path)
    }
    if asked["firewall"] and state["firewall"]["error"] is None:
        state["enforcement"] = enforcement(host, asked)
        state["network"] = network(host, asked)
    return {"digest": digest, "state": state}


def firewall(host: Host, asked: dict[str, Any]) -> dict[str, Any]:
    """As Get-GuardFirewall."""
    found: dict[str, Any] = {
        "error": None, "profiles": [], "active": [], "rules": [], "policy_rules": []
    }  # fmt: skip
    try:
        found["profiles"] = profiles(host, "PersistentStore")
        found["active"] = profiles(host, "ActiveStore")
        found["rules"] = rules(host, "PersistentStore", "Local", asked)
        found["policy_rules"] = rules(host, "ActiveStore", "GroupPolicy", asked)
    except CmdletError as error:
        found["error"] = str(error)
    return found


def profiles(host: Host, store: str) -> list[dict[str, str]]:
    """As Get-GuardProfile."""
    there = host.call("Get-NetFirewallProfile", PolicyStore=store)
    return [
        {name: text(one[property_]) for name, property_ in SETTINGS.items()}
        for one in sorted(there, key=lambda one: str(one["Name"]))
    ]


def rules(host: Host, store: str, source: str, asked: dict[str, Any]) -> list[dict[str, Any]]:
    """As Get-GuardLocal and Get-GuardActive."""
    wanted = []
    for rule in host.call("Get-NetFirewallRule", PolicyStore=store):
        if rule["PolicyStoreSourceType"] != source:
            continue
        mine = text(rule["Group"]).lower() == asked["group"].lower()
        mine = mine or text(rule["InstanceID"]).startswith(asked["prefix"])
        counts = asked["disabled"] or rule["Enabled"] == "True"
        if mine or (counts and rule["Direction"] in asked["directions"]):
            wanted.append(rule)
    if not wanted:
        return []
    filters = {
        kind: {
            one["InstanceID"]: one
            for one in host.call(f"Get-NetFirewall{kind}Filter", PolicyStore=store)
        }
        for kind in FILTERS
    }
    return [made(rule, filters) for rule in sorted(wanted, key=lambda one: one["InstanceID"])]


def made(rule: dict[str, Any], filters: dict[str, dict[str, dict[str, Any]]]) -> dict[str, Any]:
    """As ConvertTo-GuardRule."""
    found: dict[str, Any] = {
        "id": rule["InstanceID"],
        "name": text(rule["DisplayName"]),
        "group": text(rule["Group"]),
        "enabled": text(rule["Enabled"]),
        "profile": text(rule["Profile"]),
        "direction": text(rule["Direction"]),
        "action": text(rule["Action"]),
    }
    for name, kind, property_, default in ATTRIBUTES:
        source = rule if kind == "Rule" else filters[kind].get(rule["InstanceID"], {})
        listed = words(source.get(property_))
        if len(listed) > 1 or (listed and listed[0] not in ("", default)):
            found[name] = listed
    return found


def enforcement(host: Host, asked: dict[str, Any]) -> dict[str, list[str]]:
    """As Get-GuardActive."""
    return {
        one["InstanceID"]: words(one["EnforcementStatus"])
        for one in host.call("Get-NetFirewallRule", PolicyStore="ActiveStore")
        if one["PolicyStoreSourceType"] == "Local"
        and text(one["Group"]).lower() == asked["group"].lower()
    }


def network(host: Host, asked: dict[str, Any]) -> dict[str, list[str]]:
    """As Get-GuardNetwork."""
    listed = {
        "connections": (
            ("Get-NetTCPConnection", {"State": "Established", "LocalPort": asked["port"]}),
            ("LocalAddress", "RemoteAddress"),
        ),
        "addresses": (("Get-NetIPAddress", {}), ("IPAddress", "PrefixLength", "InterfaceIndex")),
        "networks": (("Get-NetConnectionProfile", {}), ("InterfaceIndex", "NetworkCategory")),
    }
    return {
        name: [
            " ".join(text(one[property_]) for property_ in properties)
            for one in quietly(host, call[0], **call[1])
        ]
        for name, (call, properties) in listed.items()
    }


def defender(host: Host, asked: dict[str, Any]) -> dict[str, Any]:
    """As Get-GuardDefender."""
    found: dict[str, Any] = {"installed": False, "error": None, "preferences": {}, "status": {}}
    if not host.world["switches"]["defender_installed"]:
        return found
    found["installed"] = True
    try:
        (preferences,) = host.call("Get-MpPreference")
        found["preferences"] = {
            name: words(preferences[name]) for name in asked["preferences"] if name in preferences
        }
        (status,) = host.call("Get-MpComputerStatus")
        found["status"] = {name: text(status[name]) for name in asked["status"] if name in status}
    except CmdletError as error:
        found["error"] = str(error)
    return found


def apply(host: Host, arguments: dict[str, Any]) -> dict[str, Any]:
    """As win_guard_apply.ps1."""
    asked = arguments["request"]
    found = read(host, asked)
    done: list[int] = []
    failures: list[dict[str, Any]] = []
    stale = found["digest"] != arguments["digest"]
    if not stale:
        there = quietly(host, "Get-NetFirewallRule", PolicyStore="PersistentStore")
        local = {one["InstanceID"]: one for one in there}
        firewall_goes_on = True
        for number, step in enumerate(arguments["steps"]):
            guard = not step["do"].endswith("_defender")
            if guard and not firewall_goes_on:
                continue
            try:
                carry_out(host, step, local)
                done.append(number)
            except CmdletError as error:
                failures.append({"step": number, "error": str(error)})
                firewall_goes_on = firewall_goes_on and not guard
        found = read(host, asked)
    report = {"stale": stale, "done": done, "failures": failures}
    return {"changed": bool(done), "report": report, **found}


def carry_out(host: Host, step: dict[str, Any], local: dict[str, dict[str, Any]]) -> None:
    """As Invoke-Step."""
    given = dict(step["with"])
    if step["rules"]:
        missing = [one for one in step["rules"] if one not in local]
        if missing:
            raise CmdletError(f"no local rule has the id {missing[0]}", "NotSpecified")
        given["InputObject"] = [local[one] for one in step["rules"]]
    host.call(COMMANDS[step["do"]], **given)
