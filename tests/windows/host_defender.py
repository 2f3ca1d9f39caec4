# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cmdlets of Microsoft Defender on the world of a simulated host."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.twinguard.hardening.tests.windows import host_words as words
from ansible_collections.twinguard.hardening.tests.windows.host_firewall import refuse_unknown
from ansible_collections.twinguard.hardening.tests.windows.host_words import CmdletError
from ansible_collections.twinguard.hardening.tests.windows.host_world import World

Given = Mapping[str, Any]
IDS, ACTIONS = "AttackSurfaceReductionRules_Ids", "AttackSurfaceReductionRules_Actions"
LISTS = ("ExclusionPath", "ExclusionExtension", "ExclusionProcess", "ExclusionIpAddress")
HIDDEN = "N/A: Must be an administrator to view exclusions"
SINGLE: dict[str, words.Convert] = {
    "DisableRealtimeMonitoring": words.boolean,
    "MAPSReporting": words.number("MAPSReportingType"),
    "SubmitSamplesConsent": words.number("SubmitSamplesConsentType"),
    "PUAProtection": words.number("PUAProtectionType"),
    "EnableNetworkProtection": words.number("ASRRuleActionType"),
    "CloudBlockLevel": words.number("CloudBlockLevelType"),
}
_ASR_ACTION = words.number("ASRRuleActionType")


def require(world: World, cmdlet: str, changing: bool) -> None:
    """Fail as a host without Defender, without its service or without rights does."""
    switches = world["switches"]
    if not switches["defender_installed"]:
        raise CmdletError(
            f"The term '{cmdlet}' is not recognized as a name of a cmdlet, function, script file, or "
            "executable program.",
            "ObjectNotFound",
        )
    if not switches["defender_service"]:
        raise CmdletError(
            "The operation failed with the following error: 0x800106ba", "NotSpecified"
        )
    if changing and not switches["administrator"]:
        raise CmdletError(
            "You don't have enough permissions to perform the requested operation.",
            "PermissionDenied",
        )


def get_preference(world: World, given: Given) -> list[dict[str, Any]]:
    """Get-MpPreference."""
    refuse_unknown(given)
    require(world, "Get-MpPreference", changing=False)
    found = dict(world["defender"]["preferences"])
    for name in (*LISTS, IDS, ACTIONS):
        found[name] = list(found[name]) or None
        if not world["switches"]["administrator"]:
            found[name] = [HIDDEN]
    return [found]


def get_status(world: World, given: Given) -> list[dict[str, Any]]:
    """Get-MpComputerStatus."""
    refuse_unknown(given)
    require(world, "Get-MpComputerStatus", changing=False)
    status = dict(world["defender"]["status"])
    on = not world["defender"]["preferences"]["DisableRealtimeMonitoring"]
    return [{"RealTimeProtectionEnabled": on and status["AMRunningMode"] == "Normal", **status}]


def _asr(given: Given) -> list[tuple[str, int]]:
    ids, actions = words.strings(given.get(IDS, [])), given.get(ACTIONS, [])
    listed = actions if isinstance(actions, list) else [actions]
    if len(ids) != len(listed):
        raise CmdletError(
            "A general error occurred that is not covered by a more specific error code."
        )
    return [(one, _ASR_ACTION(action)) for one, action in zip(ids, listed)]


def _keeps(world: World, name: str) -> bool:
    """Whether a preference is left as it is without a word: tamper protection and policy do that."""
    return name in world["switches"]["ignored_preferences"]


def set_preference(world: World, given: Given) -> list[dict[str, Any]]:
    """Set-MpPreference: lists are replaced as a whole."""
    refuse_unknown(given, "Force", IDS, ACTIONS, *LISTS, *SINGLE)
    require(world, "Set-MpPreference", changing=True)
    changed: dict[str, Any] = {
        name: convert(given[name]) for name, convert in SINGLE.items() if name in given
    }
    changed.update({name: words.strings(given[name]) for name in LISTS if name in given})
    if IDS in given or ACTIONS in given:
        pairs = _asr(given)
        changed.update({IDS: [one for one, _do in pairs], ACTIONS: [do for _one, do in pairs]})
    for name, value in changed.items():
        if not _keeps(world, name):
            world["defender"]["preferences"][name] = value
    return []


def add_preference(world: World, given: Given) -> list[dict[str, Any]]:
    """Add-MpPreference: lists grow, and a rule that is there gets the new action."""
    refuse_unknown(given, "Force", IDS, ACTIONS, *LISTS)
    require(world, "Add-MpPreference", changing=True)
    there = world["defender"]["preferences"]
    for name in LISTS:
        for one in words.strings(given.get(name, [])):
            known = [other.lower() for other in there[name]]
            if one.lower() not in known and not _keeps(world, name):
                there[name] = [*there[name], one]
    for one, action in _asr(given):
        if _keeps(world, IDS):
            continue
        known = [other.lower() for other in there[IDS]]
        if one.lower() in known:
            actions = list(there[ACTIONS])
            actions[known.index(one.lower())] = action
            there[ACTIONS] = actions
        else:
            there[IDS], there[ACTIONS] = [*there[IDS], one], [*there[ACTIONS], action]
    return []


def remove_preference(world: World, given: Given) -> list[dict[str, Any]]:
    """Remove-MpPreference."""
    refuse_unknown(given, "Force", IDS, *LISTS)
    require(world, "Remove-MpPreference", changing=True)
    there = world["defender"]["preferences"]
    for name in LISTS:
        gone = {one.lower() for one in words.strings(given.get(name, []))}
        if not _keeps(world, name):
            there[name] = [one for one in there[name] if one.lower() not in gone]
    gone = {one.lower() for one in words.strings(given.get(IDS, []))}
    if gone and not _keeps(world, IDS):
        left = [pair for pair in zip(there[IDS], there[ACTIONS]) if pair[0].lower() not in gone]
        there[IDS], there[ACTIONS] = [one for one, _do in left], [do for _one, do in left]
    return []


CMDLETS = {
    "Get-MpPreference": get_preference,
    "Get-MpComputerStatus": get_status,
    "Set-MpPreference": set_preference,
    "Add-MpPreference": add_preference,
    "Remove-MpPreference": remove_preference,
}
