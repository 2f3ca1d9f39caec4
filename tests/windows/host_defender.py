# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cmdlets of Microsoft Defender on the world of a simulated host."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from ansible_collections.twinguard.hardening.tests.windows import host_words as words
from ansible_collections.twinguard.hardening.tests.windows.host_words import CmdletError, Given
from ansible_collections.twinguard.hardening.tests.windows.host_world import PREFERENCES, World

Objects = list[dict[str, Any]]
Preferences = dict[str, Any]

IDS, ACTIONS = "AttackSurfaceReductionRules_Ids", "AttackSurfaceReductionRules_Actions"
LISTS = ("ExclusionPath", "ExclusionExtension", "ExclusionProcess", "ExclusionIpAddress")
HIDDEN = "N/A: Must be an administrator to view exclusions"
_ASR_ACTION = words.number("MpPreference.ASRRuleActionType")
SINGLE: Mapping[str, words.Convert] = {
    "DisableRealtimeMonitoring": words.boolean,
    "MAPSReporting": words.number("MpPreference.MAPSReportingType"),
    "SubmitSamplesConsent": words.number("MpPreference.SubmitSamplesConsentType"),
    "PUAProtection": words.number("MpPreference.PUAProtectionType"),
    "EnableNetworkProtection": _ASR_ACTION,
    "CloudBlockLevel": words.number("MpPreference.CloudBlockLevelType"),
}
_LISTED: Mapping[str, words.Convert] = {
    **words.CHANGING, "Force": words.boolean, IDS: words.strings, **dict.fromkeys(LISTS, words.strings)
}  # fmt: skip
_PAIRED: Mapping[str, words.Convert] = {**_LISTED, ACTIONS: words.many(_ASR_ACTION)}


def installed(world: World, cmdlet: str) -> None:
    """Fail as a host that has none of the cmdlets does, whatever they are given."""
    if not world["switches"]["defender_installed"]:
        raise CmdletError(
            f"The term '{cmdlet}' is not recognized as a name of a cmdlet, function, script file, or executable "
            "program.",
            "ObjectNotFound",
        )


def require(world: World, changing: bool) -> None:
    """Fail as a host without the service or without rights does."""
    if not world["switches"]["defender_service"]:
        raise CmdletError(
            "The operation failed with the following error: 0x800106ba", hresult=0x800106BA
        )
    if changing and not world["switches"]["administrator"]:
        raise CmdletError(
            "You don't have enough permissions to perform the requested operation.",
            "PermissionDenied",
        )


# --- reading


def get_preference(world: World, given: Given) -> Objects:
    """Get-MpPreference: lists are arrays even with one value, and nothing without any."""
    installed(world, "Get-MpPreference")
    words.bind(given, {})
    require(world, changing=False)
    found: Preferences = dict(world["defender"]["preferences"])
    for name in (*LISTS, IDS, ACTIONS):
        found[name] = list(found[name]) or None
    if not world["switches"]["administrator"]:
        found.update({name: [HIDDEN] for name in LISTS})
    return [found]


def get_status(world: World, given: Given) -> Objects:
    """Get-MpComputerStatus; a world may say that real-time protection does not run although it is on."""
    installed(world, "Get-MpComputerStatus")
    words.bind(given, {})
    require(world, changing=False)
    status = dict(world["defender"]["status"])
    on = not world["defender"]["preferences"]["DisableRealtimeMonitoring"]
    return [{"RealTimeProtectionEnabled": on and status["AMRunningMode"] == "Normal", **status}]


# --- changing


def set_preference(world: World, given: Given) -> Objects:
    """Set-MpPreference: lists are replaced as a whole."""
    installed(world, "Set-MpPreference")
    bound = words.bind(given, {**_PAIRED, **SINGLE})
    require(world, changing=True)
    pairs = _pairs(bound)
    changed: Preferences = {name: bound[name] for name in (*SINGLE, *LISTS) if name in bound}
    if IDS in bound:
        changed.update(_split(pairs))
    return _keep(world, bound, changed)


def add_preference(world: World, given: Given) -> Objects:
    """Add-MpPreference: lists grow, and a rule that is there gets the new action."""
    installed(world, "Add-MpPreference")
    bound = words.bind(given, _PAIRED)
    require(world, changing=True)
    there = world["defender"]["preferences"]
    pairs = _pairs({IDS: there[IDS], ACTIONS: there[ACTIONS]})
    for key, (id_, action) in _pairs(bound).items():
        # The id stays as it was first written.
        pairs[key] = (pairs[key][0] if key in pairs else id_, action)
    changed = _split(pairs)
    for name in LISTS:
        changed[name] = _without_twins([*there[name], *bound.get(name, [])])
    return _keep(world, bound, changed)


def remove_preference(world: World, given: Given) -> Objects:
    """Remove-MpPreference: values leave the lists, and single preferences go back to what a stock host has."""
    installed(world, "Remove-MpPreference")
    bound = words.bind(given, {**_LISTED, **dict.fromkeys(SINGLE, words.boolean)})
    require(world, changing=True)
    there = world["defender"]["preferences"]
    gone = {name: {one.lower() for one in bound.get(name, [])} for name in (*LISTS, IDS)}
    pairs = _pairs({IDS: there[IDS], ACTIONS: there[ACTIONS]})
    changed = _split({key: pair for key, pair in pairs.items() if key not in gone[IDS]})
    for name in LISTS:
        changed[name] = [one for one in there[name] if one.lower() not in gone[name]]
    changed.update({name: copy.copy(PREFERENCES[name]) for name in SINGLE if bound.get(name)})
    return _keep(world, bound, changed)


Pairs = dict[str, tuple[str, int]]


def _pairs(bound: Given) -> Pairs:
    """The rules of attack surface reduction, by their ids in lower case."""
    ids, actions = bound.get(IDS, []), bound.get(ACTIONS, [])
    if len(ids) != len(actions):
        raise CmdletError(
            "A general error occurred that is not covered by a more specific error code."
        )
    pairs: Pairs = {}
    for id_, action in zip(ids, actions):
        first = pairs[id_.lower()][0] if id_.lower() in pairs else id_
        pairs[id_.lower()] = (first, action)
    return pairs


def _split(pairs: Pairs) -> Preferences:
    return {
        IDS: [id_ for id_, _action in pairs.values()],
        ACTIONS: [action for _id, action in pairs.values()],
    }


def _without_twins(values: list[str]) -> list[str]:
    kept: dict[str, str] = {}
    for one in values:
        kept.setdefault(one.lower(), one)
    return list(kept.values())


def _keep(world: World, bound: Given, changed: Preferences) -> Objects:
    """Keep what changed; tamper protection and policy leave some of it as it is without a word."""
    ignored = set(world["switches"]["ignored_preferences"])
    if ignored & {IDS, ACTIONS}:
        ignored |= {IDS, ACTIONS}
    if not bound.get("WhatIf"):
        there = world["defender"]["preferences"]
        there.update({name: value for name, value in changed.items() if name not in ignored})
    return []


CMDLETS = {
    "Get-MpPreference": get_preference,
    "Get-MpComputerStatus": get_status,
    "Set-MpPreference": set_preference,
    "Add-MpPreference": add_preference,
    "Remove-MpPreference": remove_preference,
}
