# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""win_guard's scripts in a real PowerShell: real ansible-playbook, real winrm connection, PowerShell 7 under Wine.

Windows' own modules are the stand-ins of tests/windows/stubs. What is compared with the model shows that the tests
which use the model speak about these scripts.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.twinguard.hardening.plugins.plugin_utils._windows.defender import ASR_RULES
from ansible_collections.twinguard.hardening.plugins.plugin_utils._windows.state import (
    id_of,
    request,
)
from ansible_collections.twinguard.hardening.plugins.plugin_utils._windows.types import (
    FirewallPolicy,
    Management,
)
from ansible_collections.twinguard.hardening.tests.windows import host_world
from ansible_collections.twinguard.hardening.tests.windows.model_backend import ModelBackend
from ansible_collections.twinguard.hardening.tests.windows.packet import Packet, admits
from ansible_collections.twinguard.hardening.tests.windows.plays import (
    ANSIBLE,
    CONTROLLER,
    JUPYTER,
    PASSWORD,
    POLICY,
    STRANGER,
    USER,
    VPN,
    WINRM,
    Played,
    careless,
    play,
)
from ansible_collections.twinguard.hardening.tests.windows.wine_powershell import (
    WinePowerShell,
    backend,
    ensure,
)
from ansible_collections.twinguard.hardening.tests.windows.winrm_server import (
    Answering,
    Request,
    Server,
)

SPYNET = r"HKLM:\SOFTWARE\Policies\Microsoft\Windows Defender\Spynet"


@pytest.fixture(scope="module")
def powershell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WinePowerShell]:
    world = tmp_path_factory.mktemp("wine") / "world.json"
    with WinePowerShell(ensure(), world) as made:
        yield made


@pytest.fixture(scope="module")
def real(powershell: WinePowerShell) -> Iterator[Server]:
    """The host with the real PowerShell."""
    with Server(backend(powershell, powershell.world), {USER: PASSWORD}) as server:
        yield server


@pytest.fixture
def model(tmp_path: Path) -> Iterator[tuple[Server, Path]]:
    """The host with the model, and its world."""
    path = tmp_path / "world.json"
    with Server(Answering(ModelBackend(path)), {USER: PASSWORD}) as server:
        yield server, path


def both(
    powershell: WinePowerShell,
    real: Server,
    model: tuple[Server, Path],
    world: dict[str, Any],
    options: dict[str, Any],
) -> tuple[Played, dict[str, Any]]:
    """One task on both hosts, which must say the same and end the same; the real one's run and world."""
    modelled_server, path = model
    for one in (powershell.world, path):
        host_world.save(one, host_world.complete(world))
    ran, modelled = play(real, options, "--diff"), play(modelled_server, options, "--diff")
    for key in ("controls", "changes", "diff", "changed", "failed", "msg"):
        assert ran.result.get(key) == modelled.result.get(key), ran.output
    ended = host_world.load(powershell.world)
    assert plain(ended) == plain(host_world.load(path))
    return ran, ended


def plain(world: dict[str, Any]) -> dict[str, Any]:
    """Without the order of rules and of what is a set."""
    made = copy.deepcopy(world)
    for rule in made["rules"].values():
        for name, value in rule.items():
            rule[name] = sorted(value) if isinstance(value, list) else value
    return made


def test_only_the_vpn_reaches_jupyter_and_the_next_run_changes_nothing(
    powershell: WinePowerShell, real: Server
) -> None:
    host_world.save(powershell.world, host_world.complete(careless()))
    first = play(real, POLICY)
    assert (first.code, first.result["changed"]) == (0, True), first.output
    assert first.actions.count("Command") == 2
    world = host_world.load(powershell.world)
    assert admits(world, Packet(VPN, 8888))
    assert admits(world, Packet(CONTROLLER, 5985))
    for remote, port in ((STRANGER, 8888), (CONTROLLER, 8888), (VPN, 80)):
        assert not admits(world, Packet(remote, port))
    again = play(real, POLICY, "--check")
    again_for_real = play(real, POLICY)
    for run in (again, again_for_real):
        assert (run.code, run.result["changed"], run.actions.count("Command")) == (0, False, 1)
        assert len(run.actions) <= 8
        assert set(run.status.values()) == {"pass"}


def test_scripts_and_model_do_the_same_to_a_host_with_a_history(
    powershell: WinePowerShell, real: Server, model: tuple[Server, Path]
) -> None:
    ours = {"Group": "twinguard", "Protocol": "TCP", "LocalPort": ["5985"]}
    world = careless()
    world["rules"] |= {
        id_of("twinguard", "Ansible"): {**ours, "DisplayName": "Ansible"},
        id_of("twinguard", "Moved"): {**ours, "DisplayName": "Moved", "Group": "Somebody"},
        "copied [by] hand*": {**ours, "DisplayName": "ANSIBLE", "LocalPort": ["1"]},
        "stray?": {**ours, "DisplayName": "Stray", "Action": "Block", "LocalPort": ["23"]},
        "restricted": {**ours, "DisplayName": "Jupyter from the VPN", "RemoteUser": "O:LSD:(A;;CC;;;S-1-5-2)"},
        "share": {"DisplayName": "Freigabe für alle", "Profile": "Domain, Public", "Protocol": "UDP",
                  "LocalPort": ["137", "138"], "RemoteAddress": ["LocalSubnet", "10.0.0.0/255.0.0.0"]},
        "out": {"DisplayName": "Out", "Direction": "Outbound"},
    }  # fmt: skip
    world["policy_rules"] = {"{gpo}": {**WINRM, "DisplayName": "By policy", "Enabled": "True"}}
    world["defender"]["preferences"] |= {
        "ExclusionPath": ["C:\\Temp", "d:\\twin\\"],
        "AttackSurfaceReductionRules_Ids": [ASR_RULES["psexec_and_wmi"].upper()],
        "AttackSurfaceReductionRules_Actions": [2],
    }
    policy = {
        **POLICY,
        "profiles": {
            "all": {"enabled": True, "default_inbound": "block", "default_outbound": "allow",
                    "notify_on_listen": True, "log_blocked": True, "log_allowed": False,
                    "log_file": r"D:\Protokolle\Wärme.log", "log_max_kilobytes": 16384},
            "public": {"log_allowed": True},
        },
        "rules": [
            {**ANSIBLE, "remote_addresses": [CONTROLLER, "2001:DB8::/32", "10.0.0.7-10.0.0.9"]},
            {**JUPYTER, "name": "Jupyter from the VPN", "profiles": ["private", "domain"]},
            {"name": "Moved", "protocol": "icmpv4", "icmp_types": ["8"], "description": "für die Zähler «日本»"},
            {"name": "No telnet out", "direction": "outbound", "action": "block", "protocol": "tcp",
             "remote_ports": ["23", "2323"], "interface_type": "wired"},
            {"name": "GRE", "protocol": "47", "remote_addresses": ["LocalSubnet"], "enabled": False},
            {"name": "Service", "protocol": "udp", "local_ports": ["5353"], "service": "dnscache",
             "program": r"%SystemRoot%\system32\svchost.exe"},
        ],
        "unmanaged": {"action": "disable", "direction": "inbound", "profiles": ["public"]},
        "defender": {
            **POLICY["defender"],
            "pua_protection": "audit",
            "network_protection": "enabled",
            "cloud_block_level": "high_plus",
            "attack_surface_reduction": {"psexec_and_wmi": "block", "webshell_creation": "warn"},
            "exclusions": {"paths": [r"D:\Twin"], "extensions": [".onnx"], "mode": "exact"},
        },
    }  # fmt: skip
    ran, world = both(powershell, real, model, world, policy)
    assert ran.code == 0, ran.output
    assert {rule["DisplayName"] for rule in world["rules"].values() if rule["Group"] == "twinguard"} == {
        "Ansible", "Jupyter from the VPN", "Moved", "No telnet out", "GRE", "Service",
    }  # fmt: skip
    assert world["rules"]["share"]["Enabled"] == "False"
    assert world["defender"]["preferences"]["ExclusionPath"] == ["d:\\twin\\"]
    assert play(real, policy).result["changed"] is False


def test_scripts_and_model_tell_the_same_of_what_did_not_stick(
    powershell: WinePowerShell, real: Server, model: tuple[Server, Path]
) -> None:
    world = careless()
    world["policy_profiles"] = {"Private": {"AllowLocalFirewallRules": "False"}}
    world["policy_rules"] = {"way-in": WINRM}
    world["registry"] = {SPYNET: {"SpynetReporting": 0}}
    world["defender"]["status"] = {"IsTamperProtected": True, "TamperProtectionSource": "ATP"}
    world["switches"] = {"ignored_preferences": ["MAPSReporting", "DisableRealtimeMonitoring"]}
    ran, _world = both(powershell, real, model, world, POLICY)
    assert ran.code == 2
    assert "tamper protection is on, by ATP" in ran.reason("real_time_protection")
    assert f"group policy decides: {SPYNET}\\SpynetReporting = 0" in ran.reason("cloud_reporting")
    assert "group policy ignores local rules" in ran.reason("Ansible")


def test_a_firewall_service_that_is_off_is_no_empty_firewall(
    powershell: WinePowerShell, real: Server
) -> None:
    world = careless() | {"switches": {"firewall_service": False, "defender_service": False}}
    host_world.save(powershell.world, host_world.complete(world))
    ran = play(real, POLICY)
    assert (ran.code, ran.result["changed"]) == (2, False)
    assert "no more endpoints available" in ran.reason("Ansible")
    assert "0x800106ba" in ran.reason("cloud_reporting")


def test_a_host_without_defender_says_so(powershell: WinePowerShell, real: Server) -> None:
    world = careless() | {"switches": {"defender_installed": False}}
    host_world.save(powershell.world, host_world.complete(world))
    ran = play(real, {"defender": POLICY["defender"]})
    assert (ran.code, ran.result["changed"]) == (0, False), ran.output
    assert set(ran.status.values()) == {"not_applicable"}


def test_steps_that_windows_refuses_are_named_and_nothing_is_half_done(
    powershell: WinePowerShell, real: Server
) -> None:
    # Under Wine the account is an administrator, so that the plan is tried; the stand-ins then refuse every change.
    world = careless() | {"switches": {"administrator": False}}
    host_world.save(powershell.world, host_world.complete(world))
    ran = play(real, POLICY)
    assert (ran.code, ran.result["changed"]) == (2, False)
    assert ran.reason("Jupyter from the VPN") == "Windows answered: Access is denied."
    assert ran.reason("Ansible") == "the rule does not exist on the host"
    assert "don't have enough permissions" in ran.reason("cloud_reporting")
    assert host_world.load(powershell.world) == host_world.complete(world)


def test_a_host_that_changed_since_it_was_read_is_planned_anew(
    powershell: WinePowerShell, real: Server
) -> None:
    host_world.save(powershell.world, host_world.complete(careless()))

    commands = 0

    def hook(request_: Request) -> None:
        nonlocal commands
        commands += request_.action == "Command"
        if request_.action == "Command" and commands == 2:
            world = host_world.load(powershell.world)
            world["rules"]["late"] = {**host_world.RULE, **WINRM, "DisplayName": "Late"}
            host_world.save(powershell.world, world)

    real.hook = hook
    try:
        ran = play(real, POLICY)
    finally:
        real.hook = lambda _request: None
    assert (ran.code, ran.actions.count("Command")) == (0, 3), ran.output
    assert "late" in host_world.load(powershell.world)["rules"]


def test_nothing_but_the_known_steps_can_be_called(
    powershell: WinePowerShell, real: Server
) -> None:
    host_world.save(powershell.world, host_world.complete(careless()))
    asked = request(FirewallPolicy("twinguard"), False, Management(port=5985))
    read = play(real, asked, module="twinguard.hardening.win_guard_read")
    assert read.code == 0, read.output
    # It would succeed if it were called.
    step = {"do": "Get-Date", "with": {}, "rules": []}
    sent = {"request": asked, "digest": read.result["digest"], "steps": [step]}
    ran = play(real, sent, module="twinguard.hardening.win_guard_apply")
    report = ran.result["report"]
    assert report["done"] == []
    assert [one["step"] for one in report["failures"]] == [0], json.dumps(report)
