# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The state of a simulated Windows host: one JSON document, which the PowerShell stubs read and write as well."""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path
from typing import Any

PROFILE_NAMES = ("Domain", "Private", "Public")
PROFILE = {
    "Enabled": "True",
    "DefaultInboundAction": "NotConfigured",
    "DefaultOutboundAction": "NotConfigured",
    "AllowInboundRules": "NotConfigured",
    "AllowLocalFirewallRules": "NotConfigured",
    "NotifyOnListen": "False",
    "LogFileName": r"%systemroot%\system32\LogFiles\Firewall\pfirewall.log",
    "LogMaxSizeKilobytes": 4096,
    "LogAllowed": "False",
    "LogBlocked": "False",
}
"""A profile of a stock host."""

RULE = {
    "DisplayName": "",
    "Description": "",
    "Group": "",
    "Enabled": "True",
    "Profile": "Any",
    "Direction": "Inbound",
    "Action": "Allow",
    "EdgeTraversalPolicy": "Block",
    "Protocol": "Any",
    "LocalPort": ["Any"],
    "RemotePort": ["Any"],
    "IcmpType": ["Any"],
    "LocalAddress": ["Any"],
    "RemoteAddress": ["Any"],
    "Program": "Any",
    "Package": None,
    "Service": "Any",
    "InterfaceAlias": ["Any"],
    "InterfaceType": "Any",
    "Authentication": "NotRequired",
    "Encryption": "NotRequired",
    "OverrideBlockRules": "False",
    "LocalUser": "Any",
    "RemoteUser": "Any",
    "RemoteMachine": "Any",
}
"""A rule that says nothing of itself."""

PREFERENCES = {
    "DisableRealtimeMonitoring": False,
    "MAPSReporting": 2,
    "SubmitSamplesConsent": 1,
    "PUAProtection": 0,
    "EnableNetworkProtection": 0,
    "CloudBlockLevel": 0,
    "AttackSurfaceReductionRules_Ids": [],
    "AttackSurfaceReductionRules_Actions": [],
    "ExclusionPath": [],
    "ExclusionExtension": [],
    "ExclusionProcess": [],
    "ExclusionIpAddress": [],
}
STATUS = {
    "AMRunningMode": "Normal",
    "AMServiceEnabled": True,
    "AntivirusEnabled": True,
    "IsTamperProtected": False,
    "TamperProtectionSource": "N/A",
}
SWITCHES = {
    "administrator": True,
    "firewall_service": True,
    "defender_installed": True,
    "defender_service": True,
    "ignored_preferences": [],
}
_PLAIN: dict[str, Any] = {
    "policy_profiles": {},
    "connections": [],
    "addresses": [],
    "networks": [],
    "registry": {},
}

World = dict[str, Any]


def complete(given: World) -> World:
    """The document with everything that was left out; what was given stays."""
    world = copy.deepcopy({**_PLAIN, **given})
    profiles = world.get("profiles", {})
    world["profiles"] = {name: {**PROFILE, **profiles.get(name, {})} for name in PROFILE_NAMES}
    for part in ("rules", "policy_rules"):
        world[part] = {
            key: {**copy.deepcopy(RULE), **rule} for key, rule in world.get(part, {}).items()
        }
    defender = world.get("defender", {})
    world["defender"] = {
        "preferences": {**copy.deepcopy(PREFERENCES), **defender.get("preferences", {})},
        "status": {**STATUS, **defender.get("status", {})},
    }
    world["switches"] = {**copy.deepcopy(SWITCHES), **world.get("switches", {})}
    return world


def load(path: Path) -> World:
    """The document of a file."""
    return complete(json.loads(path.read_text("utf-8")))


def save(path: Path, world: World) -> None:
    """Keep it, so that nobody ever reads half of it."""
    staged = path.with_name(f"{path.name}.{os.getpid()}")
    staged.write_text(json.dumps(world, indent=1, ensure_ascii=False) + "\n", "utf-8")
    staged.replace(path)
