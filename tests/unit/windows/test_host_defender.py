# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The model's Defender: two parallel lists, silence where something is protected, and hosts that have none."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.twinguard.hardening.tests.windows.host_defender import ACTIONS, IDS
from ansible_collections.twinguard.hardening.tests.windows.host_model import CmdletError, Host

LISTS = ("ExclusionPath", "ExclusionExtension", "ExclusionProcess", "ExclusionIpAddress")


def preferences(host: Host) -> dict[str, Any]:
    (found,) = host.call("Get-MpPreference")
    return found


def refusal(host: Host, cmdlet: str, **parameters: Any) -> CmdletError:
    with pytest.raises(CmdletError) as caught:
        host.call(cmdlet, **parameters)
    return caught.value


def test_a_stock_host_has_numbers_booleans_and_nothing_for_empty_lists():
    found = preferences(Host({}))
    assert (found["MAPSReporting"], found["DisableRealtimeMonitoring"]) == (2, False)
    assert [found[name] for name in (*LISTS, IDS, ACTIONS)] == [None] * 6


def test_always_becomes_prompt_and_send_is_refused():
    host = Host({})
    host.call("Set-MpPreference", SubmitSamplesConsent="Always")
    assert preferences(host)["SubmitSamplesConsent"] == 0
    refusal(host, "Set-MpPreference", SubmitSamplesConsent="Send")


def test_settings_are_kept_as_numbers():
    host = Host({})
    host.call(
        "Set-MpPreference",
        MAPSReporting="Basic",
        PUAProtection="AuditMode",
        EnableNetworkProtection="Enabled",
        CloudBlockLevel="ZeroTolerance",
        DisableRealtimeMonitoring=True,
    )
    names = ("MAPSReporting", "PUAProtection", "EnableNetworkProtection", "CloudBlockLevel")
    found = preferences(host)
    assert [found[name] for name in names] == [1, 2, 1, 6]
    assert found["DisableRealtimeMonitoring"] is True


def test_attack_surface_rules_need_as_many_actions_as_ids():
    host = Host({})
    for cmdlet in ("Set-MpPreference", "Add-MpPreference"):
        for given_lists in ({IDS: ["a", "b"], ACTIONS: "Enabled"}, {IDS: "a"}, {ACTIONS: ["Warn"]}):
            assert str(refusal(host, cmdlet, **given_lists)).startswith("A general error")
    assert preferences(host)[IDS] is None


def test_setting_attack_surface_rules_replaces_all_and_adding_replaces_the_action_of_one():
    host = Host({})
    host.call("Set-MpPreference", **{IDS: ["Aa", "b"], ACTIONS: ["Enabled", 0]})
    host.call("Add-MpPreference", **{IDS: ["aA", "c"], ACTIONS: ["Warn", "Audit"]})
    assert (preferences(host)[IDS], preferences(host)[ACTIONS]) == (["Aa", "b", "c"], [6, 0, 2])
    host.call("Remove-MpPreference", **{IDS: "AA"})
    assert (preferences(host)[IDS], preferences(host)[ACTIONS]) == (["b", "c"], [0, 2])
    host.call("Set-MpPreference", **{IDS: ["d", "D"], ACTIONS: ["Enabled", "Warn"]})
    assert (preferences(host)[IDS], preferences(host)[ACTIONS]) == (["d"], [6])


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["Set", "Add", "Remove"]),
            st.lists(st.tuples(st.sampled_from("abAB"), st.sampled_from([0, 1, 2, 6])), max_size=3),
        )
    )
)
def test_whatever_is_done_to_attack_surface_rules_each_has_one_action(
    deeds: list[tuple[str, list[tuple[str, int]]]],
):
    host = Host({})
    meant: dict[str, int] = {}
    for verb, pairs in deeds:
        parameters: dict[str, Any] = {IDS: [one for one, _action in pairs]}
        if verb != "Remove":
            parameters[ACTIONS] = [action for _one, action in pairs]
        host.call(f"{verb}-MpPreference", **parameters)
        if verb == "Set":
            meant = {}
        for one, action in pairs:
            meant.update({one.lower(): action})
            if verb == "Remove":
                del meant[one.lower()]
    found = preferences(host)
    shown = zip(found[IDS] or [], found[ACTIONS] or [], strict=True)
    assert [(one.lower(), action) for one, action in shown] == list(meant.items())


@pytest.mark.parametrize("name", LISTS)
def test_exclusions_are_added_once_removed_in_any_case_and_set_as_a_whole(name: str):
    host = Host({})
    host.call("Add-MpPreference", **{name: ["Aa", "b"]})
    host.call("Add-MpPreference", **{name: "aA"})
    assert preferences(host)[name] == ["Aa", "b"]
    host.call("Remove-MpPreference", **{name: ["AA", "absent"]})
    assert preferences(host)[name] == ["b"]
    host.call("Set-MpPreference", **{name: ["c", "d"]})
    assert preferences(host)[name] == ["c", "d"]


def test_a_single_preference_that_is_removed_is_as_on_a_stock_host():
    host = Host({"defender": {"preferences": {"MAPSReporting": 0, "PUAProtection": 1}}})
    host.call("Remove-MpPreference", MAPSReporting=True)
    assert (preferences(host)["MAPSReporting"], preferences(host)["PUAProtection"]) == (2, 1)


def test_protected_preferences_are_left_as_they_are_without_a_word():
    protected = ["DisableRealtimeMonitoring", "ExclusionPath", IDS]
    host = Host({"switches": {"ignored_preferences": protected}})
    host.call("Set-MpPreference", DisableRealtimeMonitoring=True, PUAProtection="Enabled")
    host.call("Add-MpPreference", ExclusionPath="a", **{IDS: "a", ACTIONS: "Warn"})
    found = preferences(host)
    assert (found["DisableRealtimeMonitoring"], found["PUAProtection"]) == (False, 1)
    assert (found["ExclusionPath"], found[IDS], found[ACTIONS]) == (None, None, None)
    there = Host(
        {
            "switches": {"ignored_preferences": protected},
            "defender": {"preferences": {"ExclusionPath": ["a"], IDS: ["a"], ACTIONS: [1]}},
        }
    )
    there.call("Remove-MpPreference", ExclusionPath="a", **{IDS: "a"})
    assert (preferences(there)["ExclusionPath"], preferences(there)[ACTIONS]) == (["a"], [1])


def test_who_is_no_administrator_reads_a_sentence_for_the_exclusions_and_all_else():
    there = {"ExclusionPath": ["a"], IDS: ["a"], ACTIONS: [1]}
    host = Host({"switches": {"administrator": False}, "defender": {"preferences": there}})
    found = preferences(host)
    hidden = ["N/A: Must be an administrator to view exclusions"]
    assert [found[name] for name in LISTS] == [hidden] * 4
    assert (found[IDS], found[ACTIONS], found["MAPSReporting"]) == (["a"], [1], 2)
    error = refusal(host, "Set-MpPreference", MAPSReporting="Basic")
    assert str(error) == "You don't have enough permissions to perform the requested operation."


@pytest.mark.parametrize(
    ("off", "mode", "protected"),
    [(False, "Normal", True), (True, "Normal", False), (False, "Passive Mode", False)],
)
def test_real_time_protection_runs_when_it_is_on_and_defender_is_not_passive(
    off: bool, mode: str, protected: bool
):
    world: dict[str, Any] = {
        "defender": {
            "preferences": {"DisableRealtimeMonitoring": off},
            "status": {"AMRunningMode": mode},
        }
    }
    (status,) = Host(world).call("Get-MpComputerStatus")
    assert status["RealTimeProtectionEnabled"] is protected
    world["defender"]["status"]["RealTimeProtectionEnabled"] = not protected
    (status,) = Host(world).call("Get-MpComputerStatus")
    assert status["RealTimeProtectionEnabled"] is not protected


def test_a_service_that_is_off_fails_with_its_number():
    host = Host({"switches": {"defender_service": False}})
    for cmdlet in ("Get-MpPreference", "Get-MpComputerStatus", "Set-MpPreference"):
        error = refusal(host, cmdlet)
        assert str(error) == "The operation failed with the following error: 0x800106ba"
        assert error.hresult == 0x800106BA
    assert host.call("Get-Service", Name="windefend") == [
        {"Name": "WinDefend", "Status": "Stopped"}
    ]


def test_a_host_without_defender_knows_neither_its_commands_nor_its_service():
    host = Host({"switches": {"defender_installed": False}})
    for verb in ("Get", "Set", "Add", "Remove"):
        error = refusal(host, f"{verb}-MpPreference", Whatever=1)
        assert str(error).startswith(f"The term '{verb}-MpPreference' is not recognized")
        assert error.category == "ObjectNotFound"
    error = refusal(host, "Get-Service", Name="WinDefend")
    assert str(error) == "Cannot find any service with service name 'WinDefend'."
    assert host.call("Get-Service", Name="mpssvc") == [{"Name": "mpssvc", "Status": "Running"}]
