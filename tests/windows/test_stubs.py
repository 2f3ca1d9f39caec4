# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stand-in modules, asked by a real PowerShell. A start of it costs a second, so each script asks many things."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from ansible_collections.twinguard.hardening.tests.windows.wine_powershell import (
    Problem,
    WinePowerShell,
    ensure,
)

# Each answer is the list of what came out as text, or the sentence and category of the error.
PRELUDE = """
$ErrorActionPreference = 'Stop'
$seen = [ordered]@{}
function Probe {
    param([string]$Name, [scriptblock]$Do)
    try { $seen[$Name] = @(& $Do | ForEach-Object { "$_" }) }
    catch { $seen[$Name] = "$($_.CategoryInfo.Category): $($_.Exception.Message)" }
}
"""
END = "\n[Console]::Out.Write((ConvertTo-Json -InputObject $seen -Depth 5 -Compress))\n"
Seen = dict[str, Any]


class Host:
    """A host and its PowerShell."""

    def __init__(self, powershell: WinePowerShell) -> None:
        self.powershell = powershell

    def ask(self, world: dict[str, Any], script: str) -> tuple[Seen, dict[str, Any]]:
        """What the script saw, and the world after it."""
        self.powershell.world.write_text(json.dumps(world), "utf-8")
        done = self.powershell.script(PRELUDE + script + END)
        assert (done.code, done.stderr) == (0, "")
        # What a dry run would do is printed before it.
        return json.loads(done.stdout.splitlines()[-1]), json.loads(
            self.powershell.world.read_text("utf-8")
        )


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    try:
        folder = ensure()
    except Problem as problem:
        pytest.skip(str(problem))
    with WinePowerShell(folder, tmp_path_factory.mktemp("host") / "world.json") as powershell:
        yield Host(powershell)


WRITING = """
Probe made {
    New-NetFirewallRule -Name tg-a -DisplayName 'é a' -Action allo -Direction in -Protocol 6 `
        -LocalPort 443, 80-90, rpc `
        -RemoteAddress 10.1.2.3/8, 1.2.3.4/32, 10.2.0.0/255.255.0.0, 2001:DB8::0/128, 2001:0DB8:1::5/48, LOCALSUBNET, `
        10.0.0.1-10.0.0.9 -Profile Private, Domain -Group g | ForEach-Object {
            $_.Name; $_.Action; $_.Direction; $_.Profile; $_.Group; $_.Enabled.GetType().FullName }
}
Probe defaults { $r = New-NetFirewallRule -DisplayName b; $r.Name -match '^{[0-9a-f-]{36}}$'; $r.Profile; "$($r.Group)"
    $null -eq $r.Group }
Probe numbers { (New-NetFirewallRule -Name n -DisplayName n -Action 4 -Profile 7 -Enabled 2 -Protocol 58).Profile }
Probe json { (Get-NetFirewallRule -Name tg-a | ConvertTo-Json | ConvertFrom-Json).Action }
Probe ambiguous { Set-NetFirewallRule -Name tg-a -Group other }
Probe vague { New-NetFirewallRule -DisplayName c -EdgeTraversalPolicy Def }
Probe unknown { New-NetFirewallRule -DisplayName c -Action 3 }
Probe twice { New-NetFirewallRule -Name tg-a -DisplayName other }
Probe portless { New-NetFirewallRule -Name p -DisplayName p -LocalPort 80 }
Probe nowhere { New-NetFirewallRule -Name p -DisplayName p -RemoteAddress 10.0.0.300 }
Probe ports { (Get-NetFirewallRule -Name tg-a | Get-NetFirewallPortFilter).LocalPort.GetType().Name }
Probe port { $f = Get-NetFirewallPortFilter | Where-Object InstanceID -eq n; $f.LocalPort.GetType().Name; $f.Protocol }
Probe missing { Get-NetFirewallRule -Name nope }
Probe wildcard { @(Get-NetFirewallRule -Name 'nope*').Count; (Get-NetFirewallRule -Name 'tg-[ab]').Name }
Probe whatif { Set-NetFirewallRule -Name tg-a -Description d -WhatIf; (Get-NetFirewallRule -Name tg-a).Description }
Probe change { $r = @(Get-NetFirewallRule -PolicyStore PersistentStore | Where-Object Name -in tg-a, n)
    Disable-NetFirewallRule -InputObject $r; Set-NetFirewallRule -InputObject $r -Description d; $r.Count }
Probe enable { Get-NetFirewallRule -Name n | Enable-NetFirewallRule; (Get-NetFirewallRule -Name n).Enabled }
Probe policy { Remove-NetFirewallRule -InputObject @(Get-NetFirewallRule -PolicyStore RSOP) }
Probe gone { Remove-NetFirewallRule -Name gone }
Probe remove { Get-NetFirewallRule -Name n | Remove-NetFirewallRule; @(Get-NetFirewallRule -Name n*).Count }
Probe quiet { $ErrorActionPreference = 'Continue'; $e = $null
    Get-NetFirewallRule -Name nope, tg-a -ErrorAction SilentlyContinue -ErrorVariable e | ForEach-Object Name
    $e.Count }
"""


@pytest.fixture(scope="module")
def written(host: Host) -> tuple[Seen, dict[str, Any]]:
    return host.ask({"policy_rules": {"gpo": {"DisplayName": "gpo"}}}, WRITING)


def test_a_rule_is_kept_in_windows_own_spelling(written: tuple[Seen, dict[str, Any]]):
    seen, world = written
    enum = "Microsoft.PowerShell.Cmdletization.GeneratedTypes.NetSecurity.Enabled"
    assert seen["made"] == ["tg-a", "Allow", "Inbound", "Domain, Private", "g", enum]
    rule = world["rules"]["tg-a"]
    assert rule["DisplayName"] == "é a"
    assert rule["Protocol"] == "TCP"
    assert rule["LocalPort"] == ["443", "80-90", "RPC"]
    assert rule["RemoteAddress"] == [
        "LocalSubnet",
        "2001:db8::",
        "2001:db8:1::/48",
        "10.2.0.0/255.255.0.0",
        "10.0.0.1-10.0.0.9",
        "10.0.0.0/255.0.0.0",
        "1.2.3.4",
    ]


def test_what_is_not_given_has_the_documented_default(written: tuple[Seen, dict[str, Any]]):
    seen, _world = written
    assert seen["defaults"] == ["True", "Any", "", "True"]


def test_defined_numbers_are_taken_for_enums_and_undefined_ones_are_not(
    written: tuple[Seen, dict[str, Any]],
):
    seen, _world = written
    assert seen["numbers"] == ["Domain, Private, Public"]
    assert seen["unknown"].startswith("InvalidData: Cannot process argument transformation")


def test_a_prefix_of_two_names_is_refused(written: tuple[Seen, dict[str, Any]]):
    seen, _world = written
    assert "enumerator names" in seen["vague"]


def test_an_enum_becomes_a_number_in_json(written: tuple[Seen, dict[str, Any]]):
    seen, _world = written
    assert seen["json"] == ["2"]


def test_a_name_with_a_group_is_ambiguous(written: tuple[Seen, dict[str, Any]]):
    seen, world = written
    assert "Parameter set cannot be resolved" in seen["ambiguous"]
    assert world["rules"]["tg-a"]["Group"] == "g"


def test_a_name_that_is_taken_is_refused(written: tuple[Seen, dict[str, Any]]):
    seen, _world = written
    assert seen["twice"].endswith("Cannot create a file when that file already exists.")


def test_ports_need_a_protocol_and_addresses_must_be_addresses(
    written: tuple[Seen, dict[str, Any]],
):
    seen, world = written
    assert seen["portless"].startswith("InvalidArgument: The port number or keyword is invalid")
    assert seen["nowhere"].startswith("InvalidArgument: The address is invalid.")
    assert "p" not in world["rules"]


def test_several_values_are_an_array_and_one_is_a_string(written: tuple[Seen, dict[str, Any]]):
    seen, _world = written
    assert seen["ports"] == ["String[]"]
    assert seen["port"] == ["String", "ICMPv6"]


def test_a_name_that_no_rule_has_is_an_error_and_a_pattern_is_none(
    written: tuple[Seen, dict[str, Any]],
):
    seen, _world = written
    sentence = "No MSFT_NetFirewallRule objects found with property 'InstanceID' equal to '%s'.  "
    sentence += "Verify the value of the property and retry."
    assert seen["missing"] == f"ObjectNotFound: {sentence % 'nope'}"
    assert seen["gone"] == f"ObjectNotFound: {sentence % 'gone'}"
    assert seen["wildcard"] == ["0", "tg-a"]
    assert seen["quiet"] == ["tg-a", "1"]


def test_objects_are_changed_by_their_id_and_nothing_is_in_a_dry_run(
    written: tuple[Seen, dict[str, Any]],
):
    seen, world = written
    assert seen["whatif"] == [""]
    assert seen["change"] == ["2"]
    assert world["rules"]["tg-a"]["Enabled"] == "False"
    assert world["rules"]["tg-a"]["Description"] == "d"
    assert seen["enable"] == ["True"]
    assert seen["remove"] == ["0"]


def test_a_rule_of_group_policy_cannot_be_removed(written: tuple[Seen, dict[str, Any]]):
    seen, world = written
    assert seen["policy"].startswith("PermissionDenied: Access is denied.")
    assert list(world["policy_rules"]) == ["gpo"]


STORES: dict[str, Any] = {
    "profiles": {"Private": {"DefaultInboundAction": "Allow"}},
    "policy_profiles": {"Public": {"AllowLocalFirewallRules": "False", "NotifyOnListen": "True"}},
    "rules": {
        "here": {"DisplayName": "", "Profile": "Any", "Group": "g"},
        "public": {"DisplayName": "", "Profile": "Public", "Group": "g"},
        "domain": {"DisplayName": "", "Profile": "Domain"},
        "off": {"DisplayName": "", "Enabled": "False"},
    },
    "policy_rules": {"gpo": {"DisplayName": "", "Profile": "Public"}},
    "networks": [
        {"InterfaceIndex": 7, "InterfaceAlias": "a", "Name": "p", "NetworkCategory": "Private"},
        {"InterfaceIndex": 8, "InterfaceAlias": "b", "Name": "q", "NetworkCategory": "Public"},
    ],
    "addresses": [
        {
            "IPAddress": "192.168.1.20",
            "PrefixLength": 24,
            "InterfaceIndex": 7,
            "InterfaceAlias": "a",
        }
    ],
    "connections": [
        {
            "LocalAddress": "192.168.1.20",
            "LocalPort": 5985,
            "RemoteAddress": "192.168.1.10",
            "RemotePort": 50000,
            "State": "Established",
        }
    ],
    "registry": {r"HKLM:\SOFTWARE\Policies\Microsoft\Windows Defender\Spynet": {"Reporting": 0}},
}
READING = r"""
function Show { process { "$($_.Name) $($_.DefaultInboundAction) $($_.AllowLocalFirewallRules) $($_.NotifyOnListen)" } }
Probe local { Get-NetFirewallProfile | Show }
Probe active { Get-NetFirewallProfile -PolicyStore ActiveStore | Show }
Probe rsop { Get-NetFirewallProfile -Profile Public -PolicyStore RSOP | Show }
Probe enforced { Get-NetFirewallRule -PolicyStore ActiveStore | ForEach-Object {
    "$($_.Name) $($_.PolicyStoreSourceType) $($_.EnforcementStatus)" } }
Probe persistent { (Get-NetFirewallRule -Group g).EnforcementStatus }
$kinds = 'Port', 'Address', 'Application', 'Service', 'Interface', 'InterfaceType', 'Security'
Probe filters { foreach ($kind in $kinds) {
    @(& "Get-NetFirewall${kind}Filter" -PolicyStore ActiveStore).Count } }
Probe set { Set-NetFirewallProfile -Name Domain, Public -Enabled False -DefaultInboundAction Blo -LogMaxSizeKilobytes 9
    $p = Get-NetFirewallProfile -Name Public; $p.Enabled; $p.DefaultInboundAction; $p.LogMaxSizeKilobytes }
Probe boolean { Set-NetFirewallProfile -Name Public -Enabled $true; (Get-NetFirewallProfile -Name Public).Enabled }
Probe profile { Get-NetFirewallProfile -Name Work }
Probe network { (Get-NetConnectionProfile).NetworkCategory; (Get-NetIPAddress).PrefixLength
    (Get-NetTCPConnection -LocalPort 5985 -State Established).RemoteAddress }
Probe nobody { Get-NetTCPConnection -LocalPort 5986 -State Established }
Probe registry { Get-Item 'HKLM:\SOFTWARE\Policies\Microsoft\Windows Defender\Spynet' | ForEach-Object {
    $_.GetValueNames(); $_.GetValue('Reporting') } }
Probe many {
    $world = [IO.File]::ReadAllText($env:TWINGUARD_WORLD) | ConvertFrom-Json -AsHashtable
    foreach ($number in 1..400) { $world.rules["r$number"] = @{ DisplayName = 'x' } }
    [IO.File]::WriteAllText($env:TWINGUARD_WORLD, (ConvertTo-Json $world -Depth 9))
    @(Get-NetFirewallRule | Get-NetFirewallPortFilter).Count; [GC]::Collect(); @(Get-NetFirewallAddressFilter).Count }
"""


@pytest.fixture(scope="module")
def read(host: Host) -> Seen:
    return host.ask(STORES, READING)[0]


def test_the_active_store_is_what_counts(read: Seen):
    unset = "NotConfigured NotConfigured False"
    private = "Private Allow NotConfigured False"
    assert read["local"] == [f"Domain {unset}", private, f"Public {unset}"]
    active = ["Domain Block True False", "Private Allow True False", "Public Block False True"]
    assert read["active"] == active
    assert read["rsop"] == ["Public NotConfigured False True"]


def test_the_active_store_tells_which_rules_are_in_force(read: Seen):
    assert read["enforced"] == [
        "here Local Enforced",
        "public Local LocalFirewallRulesDisallowed",
        "domain Local ProfileInactive",
        "off Local DisabledObject",
        "gpo GroupPolicy Enforced",
    ]
    assert read["persistent"] == ["NotApplicable", "NotApplicable"]
    assert read["filters"] == ["5"] * 7


def test_profiles_are_changed_and_an_unknown_one_is_an_error(read: Seen):
    assert read["set"] == ["False", "Block", "9"]
    assert 'Cannot convert value "True"' in read["boolean"]
    assert read["profile"].startswith("ObjectNotFound: No MSFT_NetFirewallProfile objects found")


def test_the_network_is_told_and_a_port_without_connections_is_an_error(read: Seen):
    assert read["network"] == ["Private", "Public", "24", "192.168.1.10"]
    assert read["nobody"].startswith("ObjectNotFound: No MSFT_NetTCPConnection objects found")


def test_what_group_policy_wrote_is_in_the_registry(read: Seen):
    assert read["registry"] == ["Reporting", "0"]


def test_hundreds_of_rules_are_read_and_survive_a_collection_of_garbage(read: Seen):
    assert read["many"] == ["404", "404"]


DEFENDER = """
Probe types { $p = Get-MpPreference; $p.MAPSReporting.GetType().Name; $p.DisableRealtimeMonitoring.GetType().Name
    $null -eq $p.ExclusionPath; $null -eq $p.AttackSurfaceReductionRules_Actions }
Probe prefix { Set-MpPreference -SubmitSamplesConsent Always; (Get-MpPreference).SubmitSamplesConsent }
Probe vague { Set-MpPreference -SubmitSamplesConsent Send }
Probe undefined { Set-MpPreference -MAPSReporting 7 }
Probe lengths { Set-MpPreference -AttackSurfaceReductionRules_Ids a, b -AttackSurfaceReductionRules_Actions Enabled }
Probe actions { Set-MpPreference -AttackSurfaceReductionRules_Ids a -AttackSurfaceReductionRules_Actions Enabled
    Add-MpPreference -AttackSurfaceReductionRules_Ids A, b -AttackSurfaceReductionRules_Actions Warn, AuditMode
    $p = Get-MpPreference; $p.AttackSurfaceReductionRules_Actions.GetType().Name; $p.AttackSurfaceReductionRules_Ids
    $p.AttackSurfaceReductionRules_Actions }
Probe removed { Remove-MpPreference -AttackSurfaceReductionRules_Ids a
    (Get-MpPreference).AttackSurfaceReductionRules_Ids }
Probe added { Add-MpPreference -ExclusionPath 'C:\\a', 'C:\\b'; Add-MpPreference -ExclusionPath 'c:\\A'
    Remove-MpPreference -ExclusionPath 'C:\\B'; (Get-MpPreference).ExclusionPath }
Probe ignored { Set-MpPreference -DisableRealtimeMonitoring $true -PUAProtection Enabled
    $p = Get-MpPreference; $p.DisableRealtimeMonitoring; $p.PUAProtection }
Probe dry { Set-MpPreference -MAPSReporting Basic -WhatIf; (Get-MpPreference).MAPSReporting }
Probe status { $s = Get-MpComputerStatus; $s.RealTimeProtectionEnabled; $s.TamperProtectionSource }
"""


@pytest.fixture(scope="module")
def defender(host: Host) -> Seen:
    world = {"switches": {"ignored_preferences": ["DisableRealtimeMonitoring"]}}
    return host.ask(world, DEFENDER)[0]


def test_preferences_are_bytes_and_an_empty_list_is_nothing(defender: Seen):
    assert defender["types"] == ["Byte", "Boolean", "True", "True"]


def test_a_prefix_of_a_consent_silently_becomes_another(defender: Seen):
    assert defender["prefix"] == ["0"]
    assert "enumerator names" in defender["vague"]
    assert defender["undefined"].startswith("InvalidData: ")


def test_attack_surface_rules_are_two_lists_of_one_length(defender: Seen):
    assert "A general error" in defender["lengths"]
    assert defender["actions"] == ["Byte[]", "a", "b", "6", "2"]
    assert defender["removed"] == ["b"]


def test_exclusions_are_added_once_and_removed_in_any_case(defender: Seen):
    assert defender["added"] == ["C:\\a"]


def test_a_protected_preference_is_left_without_a_word(defender: Seen):
    assert defender["ignored"] == ["False", "1"]
    assert defender["dry"] == ["2"]
    assert defender["status"] == ["True", "N/A"]


REFUSED = """
function Set-Switch {
    param([hashtable]$To)
    [IO.File]::WriteAllText($env:TWINGUARD_WORLD, (ConvertTo-Json @{ switches = $To; rules = @{ r = @{} } } -Depth 5))
}
Set-Switch @{ administrator = $false }
Probe hidden { (Get-MpPreference).ExclusionPath; @(Get-NetFirewallRule).Count }
Probe denied { Set-MpPreference -MAPSReporting Basic }
Probe closed { Set-NetFirewallProfile -Name Public -Enabled False }
Set-Switch @{ firewall_service = $false; defender_service = $false }
Probe stopped { Get-NetFirewallRule }
Probe ending { Get-NetFirewallPortFilter }
Probe quiet { $ErrorActionPreference = 'Continue'; $e = $null
    try { Get-MpPreference -ErrorAction SilentlyContinue -ErrorVariable e } finally { }
    $e[0].Exception.GetType().Name; '0x{0:x8}' -f $e[0].Exception.HResult; $e[0].Exception.Message }
Remove-Module ConfigDefender
Set-Switch @{ defender_installed = $false }
Probe absent { @(Get-Command Get-MpPreference -ErrorAction SilentlyContinue).Count }
Probe command { Get-MpPreference }
"""


@pytest.fixture(scope="module")
def refused(host: Host) -> Seen:
    return host.ask({}, REFUSED)[0]


def test_who_is_no_administrator_reads_a_sentence_for_the_exclusions_and_writes_nothing(
    refused: Seen,
):
    assert refused["hidden"] == ["N/A: Must be an administrator to view exclusions", "1"]
    denied = "You don't have enough permissions to perform the requested operation."
    assert refused["denied"].endswith(denied)
    assert refused["closed"].startswith("PermissionDenied: Access is denied.")


def test_a_service_that_is_off_is_an_error_that_does_not_end_anything(refused: Seen):
    gone = "There are no more endpoints available from the endpoint mapper."
    assert refused["stopped"].endswith(gone)
    assert refused["ending"].endswith(gone)
    failed = "The operation failed with the following error: 0x800106ba"
    assert refused["quiet"] == ["CimException", "0x800106ba", failed]


def test_without_defender_its_commands_do_not_exist(refused: Seen):
    assert refused["absent"] == ["0"]
    assert refused["command"].startswith("ObjectNotFound: The term 'Get-MpPreference'")


def test_a_command_line_is_run_as_by_winrm(host: Host):
    done = host.powershell.run('echo é "a & b" 50% & echo bad 1>&2 & exit 7', b"")
    assert done.code == 7
    assert done.stdout.split() == ["é", '"a', "&", 'b"', "50%"]
    assert done.stderr.strip() == "bad"


def test_standard_input_reaches_a_script_as_it_is(host: Host):
    script = "$text = [Console]::In.ReadToEnd(); [Console]::Error.Write('no')\n"
    script += "[Console]::Out.Write($text.Length); exit 3"
    assert host.powershell.script(script, b"a\0b\n") == (3, "4", "no")
