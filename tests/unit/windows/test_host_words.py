# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How parameters are bound: the model does what PowerShell 7.6 did when it was asked the same of the stubs."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.twinguard.hardening.tests.windows import host_words as words
from ansible_collections.twinguard.hardening.tests.windows.host_model import CmdletError, Host

CONSENT = words.enum("MpPreference.SubmitSamplesConsentType")
MAPS = words.number("MpPreference.MAPSReportingType")
PROFILE = words.enum("NetSecurity.Profile")


def refusal(cmdlet: str, **parameters: Any) -> str:
    """Category and sentence of the error."""
    with pytest.raises(CmdletError) as caught:
        Host({}).call(cmdlet, **parameters)
    return f"{caught.value.category}: {caught.value}"


def test_a_parameter_that_does_not_exist_is_named():
    sentence = "InvalidArgument: A parameter cannot be found that matches parameter name 'Foo'."
    for cmdlet in ("New-NetFirewallRule", "Get-MpPreference", "Get-NetFirewallPortFilter"):
        assert refusal(cmdlet, Foo=1) == sentence
    assert refusal("Get-NetFirewallRule", WhatIf=True).endswith("parameter name 'WhatIf'.")


def test_the_names_of_cmdlets_and_parameters_have_no_case():
    host = Host({})
    host.call("new-netfirewallrule", NAME="r", displayname="R", ACTION="block")
    assert host.call("Get-NetFirewallRule", id="r")[0]["Action"] == "Block"


def test_a_mandatory_parameter_must_be_there_and_say_something():
    start = "InvalidData: Cannot bind argument to parameter"
    assert refusal("New-NetFirewallRule", Name="r").endswith("mandatory parameters: DisplayName.")
    empty = f"{start} 'DisplayName' because it is an empty string."
    assert refusal("New-NetFirewallRule", DisplayName="") == empty
    assert (
        refusal("Get-NetFirewallRule", Name=[]) == f"{start} 'Name' because it is an empty array."
    )
    assert refusal("Get-NetFirewallRule", Name=None) == f"{start} 'Name' because it is null."
    for blank in ("", ["a", None], ["a", ""]):
        sentence = f"{start} 'Name' because it is an empty string."
        assert refusal("Get-NetFirewallRule", Name=blank) == sentence


@pytest.mark.parametrize(
    ("value", "kept"),
    [("Always", "AlwaysPrompt"), ("sendall", "SendAllSamples"), ("NeverSend", "NeverSend"), (3, "SendAllSamples"),
     ("1", "SendSafeSamples"), (["Never"], "NeverSend"), (" NeverSend ", "NeverSend"), (1.0, "SendSafeSamples"),
     (["AlwaysPrompt", "NeverSend", "SendSafeSamples"], "SendAllSamples")],
)  # fmt: skip
def test_an_enum_takes_any_unique_beginning_and_that_is_the_trap(value: Any, kept: str):
    assert CONSENT(value) == kept


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("Send", "similar or identical to the following enumerator names: SendSafeSamples, SendAllSamples."),
        ("Foo", "Unable to match the identifier name Foo to a valid enumerator name."),
        ("", "The identifier name  cannot be processed"),
        (7, 'Cannot convert value "7" to type'),
        ("7", "due to enumeration values that are not valid."),
        (None, "Cannot convert null to type"),
        (True, 'Cannot convert value "True" to type'),
        (2.5, "Unable to match the identifier name 2.5 to"),
        (" never ", "Unable to match the identifier name  never  to"),
        ("1,NeverSend", "Unable to match the identifier name 1,NeverSend to"),
    ],
)  # fmt: skip
def test_what_an_enum_does_not_take_is_refused_with_powershells_words(value: Any, says: str):
    sentence = refusal("Set-MpPreference", SubmitSamplesConsent=value)
    start = (
        "InvalidData: Cannot process argument transformation on parameter 'SubmitSamplesConsent'."
    )
    assert sentence.startswith(start)
    assert says in sentence


def test_words_that_add_up_to_no_value_are_refused():
    assert "enumeration values that are not valid" in refusal(
        "Set-MpPreference", MAPSReporting=["Basic", "Advanced"]
    )


def test_a_whole_name_wins_over_a_longer_one_that_begins_alike():
    high = words.number("MpPreference.CloudBlockLevelType")
    assert [high("High"), high("HighP")] == [2, 4]
    with pytest.raises(CmdletError):
        high("Hig")


@given(st.sampled_from(sorted(words.ENUMS)), st.data())
def test_every_enum_takes_its_own_names_in_any_case_and_its_numbers(name: str, data: st.DataObject):
    member = data.draw(st.sampled_from(sorted(words.ENUMS[name])))
    convert, its = words.enum(name), words.ENUMS[name][member]
    assert {convert(one) for one in (member, member.upper(), its, str(its), [member])} == {member}
    assert words.number(name)(member) == its


def test_true_is_no_enabled_although_the_word_is():
    assert "'Enabled'" in refusal("New-NetFirewallRule", DisplayName="x", Enabled=True)
    assert "'Enabled'" in refusal("Set-NetFirewallProfile", Name="Public", Enabled=False)
    (rule,) = Host({}).call("New-NetFirewallRule", DisplayName="x", Enabled="true")
    assert rule["Enabled"] == "True"


@pytest.mark.parametrize(
    ("value", "kept"),
    [("Public,Domain", "Domain, Public"), (["private", "domain"], "Domain, Private"), ("3", "Domain, Private"),
     (7, "Domain, Private, Public"), (["Any", "Domain"], "Domain"), (0, "Any"), ("pub", "Public"),
     ("Domain, Private, Public", "Domain, Private, Public")],
)  # fmt: skip
def test_flags_come_back_in_windows_order(value: Any, kept: str):
    assert PROFILE(value) == kept


@pytest.mark.parametrize(
    "value", ["p", "pu,dom", ["pu", "dom"], 16, "Domain,", "current", ["1", "Public"]]
)
def test_flags_take_a_beginning_only_alone_and_no_number_beyond_them(value: Any):
    with pytest.raises(CmdletError):
        PROFILE(value)


@given(st.sets(st.sampled_from(["Domain", "Private", "Public"]), min_size=1))
def test_what_flags_print_is_taken_again_as_the_same(names: set[str]):
    printed = PROFILE(sorted(names, reverse=True))
    assert set(printed.split(", ")) == names
    assert PROFILE(printed) == printed


@pytest.mark.parametrize("value", ["true", "False", "1", "", None, [True]])
def test_a_boolean_takes_no_words(value: Any):
    sentence = refusal("Set-MpPreference", DisableRealtimeMonitoring=value)
    assert sentence.startswith("InvalidData: ")
    assert "Boolean parameters accept only Boolean values and numbers" in sentence


@pytest.mark.parametrize("value", [True, 1, 1.5])
def test_a_boolean_takes_numbers(value: Any):
    host = Host({})
    host.call("Set-MpPreference", DisableRealtimeMonitoring=value)
    assert host.world["defender"]["preferences"]["DisableRealtimeMonitoring"] is True


@pytest.mark.parametrize("value", [["a"], ["a", "b"], []])
def test_a_list_is_no_string(value: Any):
    sentence = refusal("New-NetFirewallRule", DisplayName="x", Program=value)
    assert sentence.endswith("'Program'. Cannot convert value to type System.String.")


@pytest.mark.parametrize("value", [-1, "twelve", "-1", "٣", ["1"]])
def test_what_is_no_size_is_refused(value: Any):
    sentence = refusal("Set-NetFirewallProfile", LogMaxSizeKilobytes=value)
    assert "'LogMaxSizeKilobytes'. Cannot convert value" in sentence


@pytest.mark.parametrize(
    ("value", "kept"), [("12", 12), ("1.5", 2), (2.5, 2), ("", 0), (None, 0), (True, 1)]
)
def test_a_size_is_rounded_and_nothing_is_none(value: Any, kept: int):
    host = Host({})
    host.call("Set-NetFirewallProfile", Name="Public", LogMaxSizeKilobytes=value)
    assert host.world["profiles"]["Public"]["LogMaxSizeKilobytes"] == kept


def test_a_word_is_bound_before_the_host_is_asked_and_a_value_is_not():
    host = Host({"switches": {"firewall_service": False, "defender_service": False}})
    with pytest.raises(CmdletError, match="'Action'"):
        host.call("New-NetFirewallRule", DisplayName="x", Action="Deny")
    with pytest.raises(CmdletError, match="'MAPSReporting'"):
        host.call("Set-MpPreference", MAPSReporting="Most")
    with pytest.raises(CmdletError, match="endpoints"):
        host.call("New-NetFirewallRule", DisplayName="x", RemoteAddress="no")


@pytest.mark.parametrize(
    ("pattern", "matched", "is_wild"),
    [("[ab]", ["a", "b"], True), ("[!a]", ["a", "!"], True), ("`[x`]", ["[x]"], False), ("a`*", ["a*"], False),
     ("[a-b]", ["a", "b"], True), ("[^a]", ["a", "^"], True), ("a*", ["a", "a*"], True), ("", [""], False),
     ("[\\]x]", [], True), ("[a`]x]", ["a", "]", "x"], True),
     ("[]a]", ["a", "]"], True), ("[-a]", ["a", "-"], True)],
)  # fmt: skip
def test_wildcards_are_those_of_powershell(pattern: str, matched: list[str], is_wild: bool):
    there = ["a", "b", "[x]", "a*", "[", "!", "^", "", "]", "-", "x", "\\"]
    assert list(filter(words.like(pattern), there)) == matched
    assert words.wild(pattern) is is_wild


def test_a_star_goes_on_beyond_the_end_of_a_line():
    assert words.like("a*`\n?")("a\nb\nc")


def test_a_set_without_an_end_is_no_pattern():
    for pattern in ("[", "[]", "a[b"):
        with pytest.raises(CmdletError, match="wildcard character pattern is not valid"):
            words.like(pattern)


@given(st.text())
def test_a_name_whose_wildcards_are_escaped_matches_itself_only(name: str):
    escaped = "".join(f"`{one}" if one in "*?[]`" else one for one in name)
    assert not words.wild(escaped)
    assert words.like(escaped)(name)
    assert not words.like(escaped)(name + "x")
