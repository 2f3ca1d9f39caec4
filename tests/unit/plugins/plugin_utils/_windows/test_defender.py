# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Defender's settings are planned by whole names, and never more than what differs is sent."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.twinguard.hardening.plugins.module_utils._core.plan import ControlError
from ansible_collections.twinguard.hardening.plugins.plugin_utils._windows.defender import (
    ASR_ACTIONS,
    ASR_RULES,
    CHOICES,
    DefenderPolicy,
    defender_policy,
    plan_defender,
    settings,
)
from ansible_collections.twinguard.hardening.plugins.plugin_utils._windows.spec import DEFENDER_SPEC
from ansible_collections.twinguard.hardening.plugins.plugin_utils._windows.types import Defender

STOCK = Defender(
    preferences={
        "DisableRealtimeMonitoring": ("True",),
        "MAPSReporting": ("0",),
        "SubmitSamplesConsent": ("0",),
        "PUAProtection": ("0",),
        "EnableNetworkProtection": ("0",),
        "CloudBlockLevel": ("0",),
        "AttackSurfaceReductionRules_Ids": (),
        "AttackSurfaceReductionRules_Actions": (),
        "ExclusionPath": (r"C:\Models",),
        "ExclusionExtension": (),
        "ExclusionProcess": (),
        "ExclusionIpAddress": (),
    }
)
LSASS = ASR_RULES["credential_stealing"]


def policy(**given: Any) -> DefenderPolicy:
    made = defender_policy(given)
    assert made is not None
    return made


def sent(wanted: DefenderPolicy, found: Defender = STOCK) -> list[dict[str, Any]]:
    return [step.sent() for step in plan_defender(wanted, found)]


def having(**preferences: tuple[str, ...]) -> Defender:
    return replace(STOCK, preferences={**STOCK.preferences, **preferences})


def test_the_positive_option_is_sent_as_the_negative_preference() -> None:
    (step,) = sent(policy(real_time_protection=True))
    assert step == {"do": "set_defender", "with": {"DisableRealtimeMonitoring": False}, "rules": []}
    assert not sent(policy(real_time_protection=False))


def test_whole_names_are_sent_and_numbers_are_understood() -> None:
    wanted = policy(cloud_reporting="advanced", sample_submission="send_all")
    assert [step["with"] for step in sent(wanted)] == [
        {"MAPSReporting": "Advanced"},
        {"SubmitSamplesConsent": "SendAllSamples"},
    ]
    assert not sent(wanted, having(MAPSReporting=("2",), SubmitSamplesConsent=("3",)))


def test_each_word_of_the_specification_has_a_name_and_a_number() -> None:
    for name, choice in CHOICES.items():
        spec = DEFENDER_SPEC[name]
        assert list(choice.words) == spec.get("choices", ["true", "false"])
        assert len({shown for _sent, shown in choice.words.values()}) == len(choice.words)


def test_a_number_that_nobody_knows_is_a_difference() -> None:
    (step,) = plan_defender(policy(cloud_block_level="high"), having(CloudBlockLevel=("9",)))
    (change,) = step.changes
    assert (change.before, change.after) == ('value: "9"\n', 'value: "high"\n')


def test_one_pair_of_rule_and_action_is_sent_at_a_time() -> None:
    wanted = policy(
        attack_surface_reduction={"credential_stealing": "block", "webshell_creation": "audit"}
    )
    first, second = sent(wanted)
    assert first["with"] == {
        "AttackSurfaceReductionRules_Ids": [LSASS],
        "AttackSurfaceReductionRules_Actions": ["Enabled"],
    }
    assert second["with"]["AttackSurfaceReductionRules_Actions"] == ["AuditMode"]


def test_a_rule_is_known_by_name_and_by_guid_in_any_letters() -> None:
    by_guid = policy(attack_surface_reduction={"{" + LSASS.upper() + "}": "block"})
    assert by_guid == policy(attack_surface_reduction={"credential_stealing": "block"})
    there = having(
        AttackSurfaceReductionRules_Ids=(LSASS.upper(),), AttackSurfaceReductionRules_Actions=("1",)
    )
    assert not sent(by_guid, there)


def test_a_rule_that_is_not_configured_is_disabled() -> None:
    off = policy(attack_surface_reduction={"credential_stealing": "disabled"})
    assert not sent(off)
    unset = having(
        AttackSurfaceReductionRules_Ids=(LSASS,), AttackSurfaceReductionRules_Actions=("5",)
    )
    assert not sent(off, unset)


def test_rules_have_distinct_guids_and_actions_distinct_numbers() -> None:
    assert len(set(ASR_RULES.values())) == len(ASR_RULES)
    assert len({shown for _sent, shown in ASR_ACTIONS.values()}) == len(ASR_ACTIONS)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"attack_surface_reduction": {"lsass": "block"}}, ["'lsass'", "is not a rule"]),
        (
            {"attack_surface_reduction": {"webshell_creation": "enabled"}},
            ["'enabled'", "block, audit"],
        ),
        (
            {"attack_surface_reduction": {"credential_stealing": "block", LSASS: "audit"}},
            [LSASS, "names the same rule as another entry"],
        ),
        ({"exclusions": {"paths": ["C:\\"]}}, ["exclusions.paths", "exclude everything"]),
        ({"exclusions": {"paths": ["*"]}}, ["exclude everything"]),
        ({"exclusions": {"extensions": ["."]}}, ["exclude everything"]),
        ({"exclusions": {"processes": ["*.*"]}}, ["exclude everything"]),
        ({"exclusions": {"ip_addresses": ["vpn"]}}, ["'vpn'", "is not an address"]),
        ({"exclusions": {"paths": ["C:\\a", "c:\\A\\"]}}, ["is given twice"]),
    ],
)
def test_bad_settings_are_refused(given: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(ControlError, match=r"option 'defender\.") as refused:
        defender_policy(given)
    for word in words:
        assert word in str(refused.value)


def test_merged_exclusions_keep_those_of_others_and_exact_ones_do_not() -> None:
    given = {"paths": [r"D:\Scratch"], "mode": "merge"}
    (added,) = sent(policy(exclusions=given))
    assert added["with"] == {"ExclusionPath": [r"D:\Scratch"]}
    added, removed = sent(policy(exclusions={**given, "mode": "exact"}))
    assert (added["do"], removed["do"]) == ("add_defender", "remove_defender")
    assert removed["with"] == {"ExclusionPath": [r"C:\Models"]}


def test_an_exclusion_is_the_same_in_any_letters_and_with_a_slash_at_its_end() -> None:
    assert not sent(policy(exclusions={"paths": ["c:\\models\\"], "mode": "exact"}))
    dotted = having(ExclusionExtension=(".ONNX",))
    assert not sent(policy(exclusions={"extensions": ["onnx"], "mode": "exact"}), dotted)


def test_an_empty_exact_list_removes_all_and_no_list_leaves_them() -> None:
    (removed,) = sent(policy(exclusions={"paths": [], "mode": "exact"}))
    assert removed["do"] == "remove_defender"
    assert defender_policy({"exclusions": {"mode": "exact"}}) is None


def test_a_list_that_the_host_hides_is_unknown_and_no_exclusion() -> None:
    hidden = having(ExclusionPath=("N/A: Must be an administrator to view exclusions",))
    (one,) = settings(policy(exclusions={"paths": [r"C:\Models"]}), hidden)
    assert one.current is None


def test_without_settings_there_is_no_policy() -> None:
    assert defender_policy(None) is None
    assert defender_policy({"cloud_reporting": None, "exclusions": None}) is None
