# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Defender's settings: positive options, strict names, and the plan that brings a host to them (pure).

Names and numbers are those of Set-MpPreference. The host shows numbers; full names are sent, since PowerShell accepts
any unique prefix of a name, so that 'Always' would mean AlwaysPrompt.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from typing import Any, Dict, Iterable, List, Mapping, NamedTuple, Tuple

from ...module_utils._core.plan import Change, ControlError
from .firewall import Step
from .rules import yaml
from .types import Defender


class Choice(NamedTuple):
    """The values of an option: its preference, and for each value the name to send and the number the host shows."""

    preference: str
    words: Mapping[str, Tuple[Any, str]]


CHOICES: Mapping[str, Choice] = {
    # The preference is the negation of the option.
    "real_time_protection": Choice(
        "DisableRealtimeMonitoring", {"true": (False, "false"), "false": (True, "true")}
    ),
    "cloud_reporting": Choice(
        "MAPSReporting",
        {"disabled": ("Disabled", "0"), "basic": ("Basic", "1"), "advanced": ("Advanced", "2")},
    ),
    "cloud_block_level": Choice(
        "CloudBlockLevel",
        {
            "default": ("Default", "0"),
            "moderate": ("Moderate", "1"),
            "high": ("High", "2"),
            "high_plus": ("HighPlus", "4"),
            "zero_tolerance": ("ZeroTolerance", "6"),
        },
    ),
    "sample_submission": Choice(
        "SubmitSamplesConsent",
        {
            "always_prompt": ("AlwaysPrompt", "0"),
            "send_safe": ("SendSafeSamples", "1"),
            "never_send": ("NeverSend", "2"),
            "send_all": ("SendAllSamples", "3"),
        },
    ),
    "pua_protection": Choice(
        "PUAProtection",
        {"disabled": ("Disabled", "0"), "enabled": ("Enabled", "1"), "audit": ("AuditMode", "2")},
    ),
    "network_protection": Choice(
        "EnableNetworkProtection",
        {"disabled": ("Disabled", "0"), "enabled": ("Enabled", "1"), "audit": ("AuditMode", "2")},
    ),
}
"""Options that take one of several values."""

ASR_ACTIONS: Mapping[str, Tuple[str, str]] = {
    "disabled": ("Disabled", "0"),
    "block": ("Enabled", "1"),
    "audit": ("AuditMode", "2"),
    "warn": ("Warn", "6"),
}
"""Actions of an attack surface reduction rule."""

ASR_RULES: Mapping[str, str] = {
    "adobe_reader_child_processes": "7674ba52-37eb-4a4f-a9a1-f0f9a1619a2c",
    "advanced_ransomware": "c1db55ab-c21a-4637-bb3f-a12568109d35",
    "copied_system_tools": "c0033c00-d16d-4114-a5a0-dc9b3a7d2ceb",
    "credential_stealing": "9e6c4e1f-7d60-472f-ba1a-a39ef669e4b2",
    "email_executable_content": "be9ba2d9-53ea-4cdc-84e5-9b1eeee46550",
    "obfuscated_scripts": "5beb7efe-fd9a-4556-801d-275e5ffc04cc",
    "office_child_processes": "d4f940ab-401b-4efc-aadc-ad5f3c50688a",
    "office_communication_child_processes": "26190899-1602-49e8-8b27-eb1d0a1ce869",
    "office_executable_content": "3b576869-a4ec-4529-8536-b80a7769e899",
    "office_macro_win32_calls": "92e97fa1-2edf-4476-bdd6-9dd0b4dddc7b",
    "office_process_injection": "75668c1f-73b5-4cf0-bb93-3ecf5cb7cc84",
    "psexec_and_wmi": "d1e49aac-8f56-4280-b9ba-993a6d77406c",
    "safe_mode_reboot": "33ddedf1-c6e0-47cb-833e-de6133960387",
    "script_launched_downloads": "d3e037e1-3eb8-44c8-a917-57927947596d",
    "untrusted_executables": "01443614-cd74-433a-b99e-2ecdc07bfc25",
    "untrusted_usb": "b2b3f03d-6a65-4f7b-a9c7-1c7ef74a9ba4",
    "vulnerable_signed_drivers": "56a863a9-875e-4185-98a7-b882c64b5ce5",
    "webshell_creation": "a8f5898e-1dc8-49a9-9878-85004b8a61e6",
    "wmi_persistence": "e6db77e5-3df2-4cf1-b95a-636979351e5b",
}
"""Microsoft's attack surface reduction rules, named after what they block."""

EXCLUSIONS: Mapping[str, str] = {
    "paths": "ExclusionPath",
    "extensions": "ExclusionExtension",
    "processes": "ExclusionProcess",
    "ip_addresses": "ExclusionIpAddress",
}
"""Kinds of exclusions and their preference."""

# Defender shows this in place of a list to an account that is not an administrator.
_UNREADABLE = "n/a:"
_NAMES = {guid: name for name, guid in ASR_RULES.items()}
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")
_WHOLE_DRIVE = re.compile(r"([a-z]:)?[\\/]*\*{0,2}(\.\*)?\Z", re.IGNORECASE)


@dataclass(frozen=True)
class DefenderPolicy:
    """The wanted settings of Defender; settings that are not in it are left alone."""

    choices: Mapping[str, str] = field(default_factory=dict)
    asr: Mapping[str, str] = field(default_factory=dict)
    exclusions: Mapping[str, Tuple[str, ...]] = field(default_factory=dict)
    exact: bool = False


class Setting(NamedTuple):
    """One setting of the policy: its name, its wanted and its current value; None where that cannot be read."""

    name: str
    wanted: str
    current: str | None


# --- the policy


def defender_policy(given: Mapping[str, Any] | None) -> DefenderPolicy | None:
    """The Defender policy; None when no option is about Defender. Raises ControlError."""
    if not given:
        return None
    choices = {
        name: str(given[name]).lower() if isinstance(given[name], bool) else given[name]
        for name in CHOICES
        if given.get(name) is not None
    }
    excluded = given.get("exclusions") or {}
    policy = DefenderPolicy(
        choices,
        _asr(given.get("attack_surface_reduction") or {}),
        {
            kind: _excluded(kind, excluded[kind])
            for kind in EXCLUSIONS
            if excluded.get(kind) is not None
        },
        excluded.get("mode") == "exact",
    )
    return None if policy == DefenderPolicy(exact=policy.exact) else policy


def _asr(given: Mapping[str, Any]) -> Dict[str, str]:
    option = "defender.attack_surface_reduction"
    found: Dict[str, str] = {}
    for key, action in given.items():
        guid = ASR_RULES.get(str(key), str(key).lower().strip("{}"))
        if not _GUID.match(guid):
            raise ControlError(
                option, key, "is not a rule", "use a GUID or one of " + ", ".join(ASR_RULES)
            )
        if action not in ASR_ACTIONS:
            raise ControlError(
                f"{option}.{key}",
                action,
                "is not an action",
                "use one of " + ", ".join(ASR_ACTIONS),
            )
        if guid in found:
            raise ControlError(
                option, key, "names the same rule as another entry", "name each rule once"
            )
        found[guid] = str(action)
    return found


def _excluded(kind: str, given: Iterable[str]) -> Tuple[str, ...]:
    option = f"defender.exclusions.{kind}"
    found: Dict[str, str] = {}
    for text in given:
        written = text.strip()
        if kind == "extensions":
            written = written.lstrip(".")
        if not written or (kind != "ip_addresses" and _WHOLE_DRIVE.match(written)):
            raise ControlError(
                option, text, "would exclude everything", "name only what is not to be scanned"
            )
        if kind == "ip_addresses":
            _check_address(option, text)
        if _folded(kind, written) in found:
            raise ControlError(option, text, "is given twice", "give each exclusion once")
        found[_folded(kind, written)] = written
    return tuple(found[key] for key in sorted(found))


def _check_address(option: str, text: str) -> None:
    try:
        ipaddress.ip_network(text.strip(), strict=False)
    except ValueError:
        raise ControlError(
            option, text, "is not an address", "give an address such as 10.0.0.7"
        ) from None


def _folded(kind: str, text: str) -> str:
    folded = text.casefold()
    if kind == "extensions":
        return folded.lstrip(".")
    return folded.rstrip("\\") if kind == "paths" and len(folded) > 3 else folded


# --- the current settings


def settings(policy: DefenderPolicy, found: Defender) -> List[Setting]:
    """Each setting of the policy with its wanted and its current value."""
    made = [Setting(name, wanted, _choice(name, found)) for name, wanted in policy.choices.items()]
    actions = asr_actions(found)
    for guid, wanted in policy.asr.items():
        current = None if actions is None else actions.get(guid, "disabled")
        made.append(Setting(f"attack_surface_reduction.{asr_name(guid)}", wanted, current))
    for kind in policy.exclusions:
        listed = excluded(kind, found)
        wanted = _list(_wanted_exclusions(policy, kind, listed or ()))
        current = None if listed is None else _list(listed)
        made.append(Setting(f"exclusions.{kind}", wanted, current))
    return made


def _list(values: Iterable[str]) -> str:
    return ", ".join(sorted(values, key=str.casefold)) or "none"


def _choice(name: str, found: Defender) -> str | None:
    choice = CHOICES[name]
    value = found.preferences.get(choice.preference)
    if not value:
        return None
    words = {shown: word for word, (_sent, shown) in choice.words.items()}
    return words.get(value[0].lower(), value[0])


def asr_name(guid: str) -> str:
    """The name of a rule, or its GUID where it has none."""
    return _NAMES.get(guid, guid)


def asr_actions(found: Defender) -> Dict[str, str] | None:
    """The action of each rule, by its GUID; None where it cannot be read."""
    ids = found.preferences.get("AttackSurfaceReductionRules_Ids")
    actions = found.preferences.get("AttackSurfaceReductionRules_Actions")
    if ids is None or actions is None or len(ids) != len(actions) or hidden(ids):
        return None
    words = {shown: word for word, (_sent, shown) in ASR_ACTIONS.items()}
    # 5 is "not configured", which does what "disabled" does.
    words["5"] = "disabled"
    return {one.lower().strip("{}"): words.get(action, action) for one, action in zip(ids, actions)}


def hidden(values: Iterable[str]) -> bool:
    """Whether the host hides a list from this account."""
    return any(value.strip().lower().startswith(_UNREADABLE) for value in values)


def excluded(kind: str, found: Defender) -> Tuple[str, ...] | None:
    """The current exclusions of a kind; None where they cannot be read."""
    values = found.preferences.get(EXCLUSIONS[kind])
    return None if values is None or hidden(values) else values


def _wanted_exclusions(policy: DefenderPolicy, kind: str, listed: Iterable[str]) -> Tuple[str, ...]:
    """The wanted list; entries that the host has keep the host's spelling."""
    there = {_folded(kind, one): one for one in listed}
    wanted = {
        _folded(kind, one): there.get(_folded(kind, one), one) for one in policy.exclusions[kind]
    }
    return tuple((wanted if policy.exact else {**there, **wanted}).values())


# --- the plan


def plan_defender(policy: DefenderPolicy, found: Defender) -> List[Step]:
    """The steps that bring the host to the policy; one that fails does not stop the others."""
    steps = []
    differing = {one.name: one for one in settings(policy, found) if one.current != one.wanted}
    for name, choice in CHOICES.items():
        if name in differing:
            sent, _shown = choice.words[differing[name].wanted]
            steps.append(
                Step("set_defender", {choice.preference: sent}, (_change(differing[name]),))
            )
    for guid, wanted in policy.asr.items():
        one = differing.get(f"attack_surface_reduction.{asr_name(guid)}")
        if one is not None:
            # Windows joins the lists of rules and actions by position: a step with one pair cannot confuse them.
            arguments = {
                "AttackSurfaceReductionRules_Ids": [guid],
                "AttackSurfaceReductionRules_Actions": [ASR_ACTIONS[wanted][0]],
            }
            steps.append(Step("add_defender", arguments, (_change(one),)))
    for kind in policy.exclusions:
        if f"exclusions.{kind}" in differing:
            steps += _exclusion_steps(policy, found, kind, differing[f"exclusions.{kind}"])
    return steps


def _exclusion_steps(
    policy: DefenderPolicy, found: Defender, kind: str, setting: Setting
) -> List[Step]:
    listed = excluded(kind, found) or ()
    wanted = _wanted_exclusions(policy, kind, listed)
    preference, change = EXCLUSIONS[kind], (_change(setting),)
    added = [one for one in wanted if one not in listed]
    removed = [one for one in listed if one not in wanted]
    steps = [Step("add_defender", {preference: added}, change)] if added else []
    if removed:
        serves = (change[0].key,) if added else ()
        steps.append(
            Step("remove_defender", {preference: removed}, () if added else change, (), serves)
        )
    return steps


def _change(setting: Setting) -> Change:
    before = None if setting.current is None else yaml({"value": setting.current})
    return Change(f"defender {setting.name}", before, yaml({"value": setting.wanted}))
