# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a task of win_guard does to a Windows host and says of it.

The host is the model of tests/windows, without a wire between; test_win_guard_wire.py has the wire. Findings come from
_windows/verdict, plans from firewall and defender, what is read from state.
"""

from __future__ import annotations

import copy
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.playbook.play_context import PlayContext
from ansible.playbook.task import Task
from ansible.plugins.loader import connection_loader
from ansible.template import Templar

from ansible_collections.twinguard.hardening.plugins.action.win_guard import ActionModule
from ansible_collections.twinguard.hardening.plugins.plugin_utils._windows.state import (
    id_of,
    prefix_of,
)
from ansible_collections.twinguard.hardening.tests.windows.host_model import CmdletError, Host
from ansible_collections.twinguard.hardening.tests.windows.host_scripts import run_script
from ansible_collections.twinguard.hardening.tests.windows.packet import Packet, admits
from ansible_collections.twinguard.hardening.tests.windows.plays import (
    ANSIBLE,
    CONTROLLER,
    JUPYTER,
    POLICY,
    STRANGER,
    VPN,
    WINRM,
    careless,
)

IDS = {name: id_of("twinguard", name) for name in ("Jupyter from the VPN", "Ansible")}


class Action(ActionModule):
    """The plugin up to the point where its modules would travel to the host."""

    host: Host
    calls: list[str]

    def _execute_module(self, **call: Any) -> dict[str, Any]:
        name = call["module_name"].rpartition(".")[2]
        self.calls.append(name)
        return run_script(self.host, name, copy.deepcopy(call["module_args"]))


def run(
    world: dict[str, Any] | Host, check: bool = False, **changes: Any
) -> tuple[dict[str, Any], Host, list[str]]:
    """The result of a task, the host afterwards, and the modules that ran there."""
    host = world if isinstance(world, Host) else Host(world)
    task, loader = Task(), DataLoader()
    context = PlayContext()
    context.remote_addr = "127.0.0.1"
    task.action, task.check_mode = "twinguard.hardening.win_guard", check
    task.args = {**POLICY, **changes}
    connection = connection_loader.get("winrm", context)
    connection.set_options(var_options={"ansible_port": 5985, "ansible_user": "demo"})
    action = Action(task, connection, context, loader, Templar(loader=loader), None)
    action.host, action.calls = host, []
    result = action.run(task_vars={})
    assert isinstance(result, dict)
    if "msg" in result:
        assert "\n" not in result["msg"]
    return result, host, action.calls


def status(result: dict[str, Any]) -> dict[str, str]:
    return {f"{one['id'][8:]} {one['resource']}": one["status"] for one in result["controls"]}


def reason(result: dict[str, Any], resource: str) -> str:
    (only,) = [one["reason"] for one in result["controls"] if one["resource"] == resource]
    return str(only)


# --- the user's own case


def test_only_the_vpn_reaches_jupyter_and_the_controller_still_gets_in() -> None:
    result, host, calls = run(careless())
    assert not result.get("failed"), result["msg"]
    assert calls == ["win_guard_read", "win_guard_apply"]
    assert admits(host.world, Packet(VPN, 8888))
    assert admits(host.world, Packet(CONTROLLER, 5985))
    for remote, port in ((STRANGER, 8888), (CONTROLLER, 8888), (VPN, 80), (STRANGER, 445)):
        assert not admits(host.world, Packet(remote, port))
    for profile in ("Domain", "Private", "Public"):
        assert not admits(host.world, Packet(STRANGER, 22, profile=profile))
    there = host.world["defender"]["preferences"]
    assert (there["DisableRealtimeMonitoring"], there["MAPSReporting"]) == (False, 2)
    assert there["SubmitSamplesConsent"] == 1
    assert set(status(result).values()) == {"pass"}
    assert len(status(result)) == 3 + 2 + 1 + 1 + 3


def test_twelve_steps_of_a_rules_life() -> None:
    host = Host(careless())
    lives: list[dict[str, Any]] = [
        {},
        {"rules": [{**JUPYTER, "local_ports": ["8889"]}, ANSIBLE]},
        {"rules": [ANSIBLE]},
        {"rules": []},
    ]
    for changes in lives:
        before = copy.deepcopy(host.world)
        checked, _host, calls = run(host, check=True, **changes)
        assert calls == ["win_guard_read"]
        assert host.world == before
        done, _host, calls = run(host, **changes)
        assert checked["changed"] is done["changed"] is True
        assert checked["diff"] == done["diff"]
        assert checked["changes"] == done["changes"]
        for check in (True, False):
            again, _host, calls = run(host, check=check, **changes)
            assert (again["changed"], again["diff"], calls) == (False, [], ["win_guard_read"])
    assert list(host.world["rules"]) == ["WINRM-HTTP-In"]


def test_the_diff_shows_what_changes_in_words_that_people_read() -> None:
    result, _host, _calls = run(careless(), check=True)
    shown = {one["after_header"]: one for one in result["diff"]}
    assert shown["firewall rule Jupyter from the VPN"]["after"].splitlines()[:5] == [
        'action: "allow"', 'direction: "inbound"', "enabled: true", 'protocol: "TCP"',
        'local_ports: ["8888"]',
    ]  # fmt: skip
    assert (
        shown["firewall profile public"]["before"] == 'enabled: "false"\ndefault_inbound: "allow"\n'
    )
    assert shown["defender real_time_protection"]["after"] == 'value: "true"\n'
    assert result["changes"][:2] == [
        "create firewall rule Jupyter from the VPN", "create firewall rule Ansible"
    ]  # fmt: skip


def test_check_mode_reports_what_is_in_force_now() -> None:
    result, _host, _calls = run(careless(), check=True)
    assert not result.get("failed")
    assert (
        reason(result, "public")
        == "enabled is false and not true; default_inbound is allow and not block"
    )
    assert reason(result, "Ansible") == "the rule does not exist on the host"
    assert reason(result, "real_time_protection") == "is false and not true"
    assert status(result)["management winrm port 5985"] == "pass"


# --- rules


def test_rules_come_before_the_profiles_and_what_closes_comes_last() -> None:
    world = careless()
    world["rules"]["old"] = {**WINRM, "Group": "twinguard", "DisplayName": "Old"}
    result, _host, _calls = run(world)
    order = [" ".join(one.split()[:3]) for one in result["changes"]]
    assert order.index("create firewall rule") < order.index("update firewall profile")
    assert order.index("update firewall profile") < order.index("remove firewall rule")


def test_a_rule_whose_group_was_taken_away_is_made_anew_before_the_old_one_goes() -> None:
    _result, host, _calls = run(careless())
    host.world["rules"][IDS["Ansible"]]["Group"] = "Somebody"
    result, _host, _calls = run(host)
    assert result["changes"] == ["update firewall rule Ansible"]
    assert IDS["Ansible"] not in host.world["rules"]
    assert host.world["rules"][id_of("twinguard", "Ansible", "b")]["Group"] == "twinguard"
    assert run(host)[0]["changed"] is False


def test_a_rule_is_made_anew_under_an_id_that_nobody_has() -> None:
    _result, host, _calls = run(careless())
    ours = {**host.world["rules"][IDS["Ansible"]], "RemoteUser": "O:LSD:(A;;CC;;;S-1-5-2)"}
    for turn in "ab":
        host.world["rules"][id_of("twinguard", "Ansible", turn)] = copy.deepcopy(ours)
    result, _host, _calls = run(host)
    assert not result.get("failed"), result["msg"]
    left = [key for key, rule in host.world["rules"].items() if rule["DisplayName"] == "Ansible"]
    assert left == [id_of("twinguard", "Ansible", "c")]
    assert run(host)[0]["changed"] is False


def test_a_condition_that_somebody_added_to_our_rule_is_drift() -> None:
    _result, host, _calls = run(careless())
    host.world["rules"][IDS["Jupyter from the VPN"]]["RemoteUser"] = "O:LSD:(A;;CC;;;S-1-5-2)"
    checked, _host, _calls = run(host, check=True)
    assert reason(checked, "Jupyter from the VPN") == "the rule on the host differs in conditions"
    assert run(host)[0]["changed"] is True
    assert admits(host.world, Packet(VPN, 8888))
    assert run(host)[0]["changed"] is False


def test_of_two_rules_with_our_name_one_stays() -> None:
    _result, host, _calls = run(careless())
    ours = host.world["rules"][IDS["Ansible"]]
    host.world["rules"]["{copied-by-hand}"] = {**ours, "RemoteAddress": ["Any"]}
    checked, _host, _calls = run(host, check=True)
    assert (
        reason(checked, "group twinguard") == "holds rules that the policy does not name: Ansible"
    )
    assert run(host)[0]["changed"] is True
    assert "{copied-by-hand}" not in host.world["rules"]
    assert IDS["Ansible"] in host.world["rules"]


def test_ids_of_others_that_look_like_patterns_hit_nothing_else() -> None:
    world = careless()
    for key in ("*", "WINRM-HTTP-In[x]", "?"):
        world["rules"][key] = {
            **WINRM,
            "DisplayName": key,
            "Group": "twinguard",
            "LocalPort": ["80"],
        }
    _result, host, _calls = run(world)
    assert set(host.world["rules"]) == {"WINRM-HTTP-In", *IDS.values()}


def test_rules_of_others_are_disabled_or_removed_only_where_that_is_asked_for() -> None:
    scope = {"direction": "inbound", "profiles": ["public"]}
    world = careless()
    world["rules"] |= {
        "share": {**WINRM, "DisplayName": "Share", "LocalPort": ["445"], "Profile": "Public"},
        "home": {**WINRM, "DisplayName": "Home", "LocalPort": ["445"], "Profile": "Private"},
        "out": {**WINRM, "DisplayName": "Out", "Direction": "Outbound"},
        "off": {**WINRM, "DisplayName": "Off", "Enabled": "False"},
    }
    _result, host, _calls = run(copy.deepcopy(world), unmanaged={"action": "disable", **scope})
    enabled = {key for key, rule in host.world["rules"].items() if rule["Enabled"] == "True"}
    assert enabled == {"home", "out", *IDS.values()}
    _result, host, _calls = run(copy.deepcopy(world), unmanaged={"action": "remove", **scope})
    assert set(host.world["rules"]) == {"home", "out", *IDS.values()}
    result, host, _calls = run(copy.deepcopy(world))
    assert set(host.world["rules"]) == {*world["rules"], *IDS.values()}
    assert "Share" not in str(result["controls"])


def test_a_rule_of_group_policy_in_our_group_is_none_of_ours() -> None:
    world = careless()
    world["policy_rules"] = {"gpo": {**WINRM, "Group": "twinguard", "DisplayName": "Policy"}}
    result, host, _calls = run(world)
    assert not result.get("failed")
    assert "gpo" in host.world["policy_rules"]


def test_a_rule_that_no_active_network_needs_is_reported_as_in_place_only() -> None:
    result, _host, _calls = run(careless(), rules=[{**JUPYTER, "profiles": ["domain"]}, ANSIBLE])
    assert status(result)["firewall_rule Jupyter from the VPN"] == "not_applicable"
    assert "no network of the host is domain now" in reason(result, "Jupyter from the VPN")


def test_rules_that_group_policy_lets_nobody_add_are_not_in_force() -> None:
    world = careless()
    world["policy_profiles"] = {"Private": {"AllowLocalFirewallRules": "False"}}
    world["policy_rules"] = {"way-in": WINRM}
    result, _host, _calls = run(world)
    assert result["failed"]
    assert "group policy ignores local rules" in reason(result, "Jupyter from the VPN")


def test_a_profile_that_group_policy_decides_is_named_with_its_key() -> None:
    world = careless()
    world["policy_profiles"] = {"Public": {"DefaultInboundAction": "Allow"}}
    key = r"HKLM:\SOFTWARE\Policies\Microsoft\WindowsFirewall\PublicProfile"
    world["registry"] = {key: {"DefaultInboundAction": 0}}
    result, host, _calls = run(world)
    assert result["failed"]
    assert f"group policy decides: {key}\\DefaultInboundAction = 0" in reason(result, "public")
    again, _host, _calls = run(host)
    assert (again["failed"], again["changed"]) == (True, False)


def test_a_profile_that_is_overridden_without_a_key_still_does_not_pass() -> None:
    world = careless()
    world["policy_profiles"] = {"Public": {"Enabled": "False"}}
    result, _host, _calls = run(world)
    assert "another policy store overrides it" in reason(result, "public")


def test_a_rule_for_the_way_in_is_there_before_the_firewall_is_turned_on() -> None:
    world = careless()
    world["rules"] = {}
    result, host, _calls = run(world)
    assert not result.get("failed")
    assert [one.split()[0] for one in result["changes"][:3]] == ["create", "create", "update"]
    assert admits(host.world, Packet(CONTROLLER, 5985))


# --- refusals


def test_a_policy_that_would_lock_the_controller_out_changes_nothing() -> None:
    world = careless()
    del world["rules"]["WINRM-HTTP-In"]
    before = Host(world).world
    for check in (True, False):
        result, host, calls = run(copy.deepcopy(world), check=check, rules=[JUPYTER])
        assert (result["failed"], result["changed"], calls) == (True, False, ["win_guard_read"])
        assert host.world == before
        assert f"remote_addresses: ['{CONTROLLER}']" in result["msg"]
        assert "nothing was changed" in result["msg"]
        assert status(result)["management winrm port 5985"] == "fail"


def test_the_rule_that_the_refusal_prints_cures_it() -> None:
    world = careless()
    del world["rules"]["WINRM-HTTP-In"]
    result, host, _calls = run(world, rules=[JUPYTER])
    _text, _mark, printed = result["msg"].partition("add to rules: ")
    rule = DataLoader().load(printed.partition("}")[0] + "}")
    cured, _host, _calls = run(host, rules=[JUPYTER, rule])
    assert not cured.get("failed")
    assert cured["changed"]


def test_who_turns_the_lockout_guard_off_gets_what_was_asked_for() -> None:
    world = careless()
    del world["rules"]["WINRM-HTTP-In"]
    result, host, _calls = run(world, rules=[JUPYTER], lockout_guard=False)
    assert not result.get("failed")
    assert not admits(host.world, Packet(CONTROLLER, 5985))
    assert status(result)["management winrm port 5985"] == "not_applicable"


def test_a_block_rule_of_somebody_else_that_makes_ours_dead_is_named() -> None:
    wall = {
        "DisplayName": "No notebooks",
        "Action": "Block",
        "Protocol": "TCP",
        "LocalPort": ["8000-9000"],
    }
    for part, source in (("rules", "local"), ("policy_rules", "group policy")):
        world = careless()
        world.setdefault(part, {})["wall"] = wall
        result, host, calls = run(world)
        assert (result["failed"], calls) == (True, ["win_guard_read"])
        assert f"the block rule 'No notebooks' ({source}) covers it" in result["msg"]
        assert host.world["profiles"]["Public"]["Enabled"] == "False"


def test_an_account_that_is_not_an_administrator_is_refused() -> None:
    world = careless() | {"switches": {"administrator": False}}
    result, _host, calls = run(world)
    assert (result["failed"], calls) == (True, ["win_guard_read"])
    assert "is not an administrator of the host" in result["msg"]
    assert set(status(result).values()) == {"unknown"}


def test_a_firewall_service_that_is_off_is_a_failure_and_defender_is_still_set() -> None:
    world = careless() | {"switches": {"firewall_service": False}}
    result, host, _calls = run(world)
    assert result["failed"]
    assert "mpssvc is Stopped" in result["msg"]
    assert status(result)["firewall_rule Ansible"] == "fail"
    assert host.world["defender"]["preferences"]["MAPSReporting"] == 2


# --- Defender


def test_a_host_without_defender_is_not_applicable_and_does_not_fail() -> None:
    world = careless() | {"switches": {"defender_installed": False}}
    result, _host, _calls = run(world)
    assert not result.get("failed")
    assert status(result)["real_time_protection real_time_protection"] == "not_applicable"
    assert "is not installed" in reason(result, "real_time_protection")


def test_another_product_makes_defender_not_applicable() -> None:
    world = careless()
    world["defender"]["status"] = {"AMRunningMode": "Passive Mode"}
    result, host, _calls = run(world)
    assert not result.get("failed")
    assert "another product protects this host" in reason(result, "cloud_reporting")
    assert host.world["defender"]["preferences"]["MAPSReporting"] == 0


def test_a_defender_whose_service_is_off_is_a_failure() -> None:
    world = careless() | {"switches": {"defender_service": False}}
    result, _host, _calls = run(world)
    assert result["failed"]
    assert "WinDefend is Stopped" in reason(result, "sample_submission")


def test_settings_that_did_not_stick_are_named_with_tamper_protection() -> None:
    world = careless()
    world["defender"]["status"] = {"IsTamperProtected": True, "TamperProtectionSource": "ATP"}
    world["switches"] = {"ignored_preferences": ["DisableRealtimeMonitoring", "MAPSReporting"]}
    result, host, _calls = run(world)
    assert result["failed"]
    assert "2 of 10 controls are not in force" in result["msg"]
    for name in ("real_time_protection", "cloud_reporting"):
        assert "tamper protection is on, by ATP" in reason(result, name)
    assert status(result)["sample_submission sample_submission"] == "pass"
    assert "defender cloud_reporting" not in str(result["changes"])
    again, _host, _calls = run(host)
    assert (again["failed"], again["changed"]) == (True, False)


def test_a_setting_that_group_policy_decides_is_named_with_its_value() -> None:
    world = careless()
    key = r"HKLM:\SOFTWARE\Policies\Microsoft\Windows Defender\Spynet"
    world["registry"] = {key: {"SpynetReporting": 0}}
    world["switches"] = {"ignored_preferences": ["MAPSReporting"]}
    result, _host, _calls = run(world)
    assert f"group policy decides: {key}\\SpynetReporting = 0" in reason(result, "cloud_reporting")


def test_protection_that_is_set_and_does_not_run_does_not_pass() -> None:
    world = careless()
    world["defender"]["status"] = {"RealTimeProtectionEnabled": False}
    result, _host, _calls = run(world)
    assert result["failed"]
    assert "Defender reports false" in reason(result, "real_time_protection")


def test_exclusions_of_others_are_shown_and_removed_only_when_exact() -> None:
    world = careless()
    world["defender"]["preferences"]["ExclusionPath"] = [r"C:\Temp"]
    wanted: dict[str, Any] = {"exclusions": {"paths": [r"D:\Twin"]}}
    result, host, _calls = run(world, defender=wanted)
    (only,) = [one for one in result["controls"] if one["id"] == "windows.exclusions"]
    assert only["evidence"]["of_others"] == [r"C:\Temp"]
    wanted["exclusions"]["mode"] = "exact"
    run(host, defender=wanted)
    assert host.world["defender"]["preferences"]["ExclusionPath"] == [r"D:\Twin"]


# --- what happens in between


class Moving(Host):
    """A host that somebody else changes after each read, a given number of times."""

    moves = 1

    def registry(self, path: str) -> dict[str, Any]:
        # It is asked for last, so that what was read before is out of date at once.
        if self.moves and path.endswith("PublicProfile"):
            self.moves -= 1
            self.world["rules"][f"moved{self.moves}"] = copy.deepcopy(
                self.world["rules"]["WINRM-HTTP-In"]
            )
        return super().registry(path)


def test_a_host_that_changed_since_it_was_read_is_planned_anew() -> None:
    result, host, calls = run(Moving(careless()))
    assert calls == ["win_guard_read", "win_guard_apply", "win_guard_apply"]
    assert not result.get("failed")
    assert "moved0" in host.world["rules"]


def test_a_host_that_changes_all_the_time_is_given_up() -> None:
    moving = Moving(careless())
    moving.moves = 100
    result, _host, _calls = run(moving)
    assert (
        "something else changed its firewall or Defender during each of 3 attempts" in result["msg"]
    )


class Refusing(Host):
    """A host that refuses one cmdlet."""

    refused = ""

    def call(self, cmdlet: str, **parameters: Any) -> list[dict[str, Any]]:
        if cmdlet == self.refused:
            raise CmdletError("The parameter is incorrect.", "InvalidArgument")
        return super().call(cmdlet, **parameters)


def test_after_a_firewall_step_that_failed_none_follows_and_defender_goes_on() -> None:
    host = Refusing(careless())
    host.refused = "New-NetFirewallRule"
    result, _host, _calls = run(host)
    assert result["failed"]
    assert "Windows answered: The parameter is incorrect." in reason(result, "Jupyter from the VPN")
    assert host.world["profiles"]["Public"]["Enabled"] == "False"
    assert host.world["defender"]["preferences"]["MAPSReporting"] == 2
    host.refused = ""
    assert not run(host)[0].get("failed")


def test_a_defender_step_that_failed_keeps_no_other_from_being_taken() -> None:
    host = Refusing(careless())
    host.refused = "Set-MpPreference"
    result, _host, _calls = run(host)
    assert reason(result, "cloud_reporting").startswith(
        "is disabled and not advanced; Windows answered"
    )
    assert status(result)["firewall_rule Ansible"] == "pass"


class Mute(ActionModule):
    """The plugin with a host that gives no good answer."""

    answer: dict[str, Any]

    def _execute_module(self, **_call: Any) -> dict[str, Any]:
        return self.answer


def test_an_answer_that_is_none_is_one_sentence() -> None:
    answers: list[dict[str, Any]] = [
        {"failed": True, "msg": "no PowerShell"},
        {"state": {}},
        {"state": None, "digest": ""},
    ]
    for answer in answers:
        task, context, loader = Task(), PlayContext(), DataLoader()
        task.args = dict(POLICY)
        connection = connection_loader.get("local", context)
        action = Mute(task, connection, context, loader, Templar(loader=loader), None)
        action.answer = answer
        result = action.run(task_vars={})
        assert result["failed"]
        assert result["msg"].startswith("The host could not be read: ")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"defender": {"sample_submission": "Always"}},
            ["sample_submission", "always_prompt, send_safe", "Always"],
        ),
        (
            {"defender": {"cloud_reporting": "Adv"}},
            ["cloud_reporting", "disabled, basic, advanced", "Adv"],
        ),
        ({"profiles": {"public": {"default_inbound": "bl"}}}, ["default_inbound", "block, allow"]),
        ({"rules": [{**JUPYTER, "profiles": ["home"]}]}, ["profiles", "domain, private, public"]),
        ({"rules": [{**JUPYTER, "port": 1}]}, ["port"]),
        ({"rules": [{"protocol": "tcp"}]}, ["name"]),
        ({"rules": [{**JUPYTER, "name": "J*"}]}, ["rules[0].name", "wildcard"]),
    ],
)
def test_bad_input_is_refused_before_anybody_is_asked(
    changes: dict[str, Any], words: list[str]
) -> None:
    try:
        result, _host, calls = run(careless(), **changes)
    except Exception as error:  # noqa: BLE001 - Ansible's own refusal of options is raised
        message, calls = str(error), []
    else:
        message = result["msg"]
    assert calls == []
    for word in words:
        assert word in message


def test_a_task_that_wants_nothing_is_refused() -> None:
    result, _host, calls = run(careless(), profiles=None, rules=None, defender=None)
    assert "no setting is given" in result["msg"]
    assert calls == []


def test_ids_are_plain_letters_and_differ_by_group_and_name() -> None:
    made = {id_of(group, name) for group in ("a", "b") for name in ("x", "y [1]*")}
    assert len(made) == 4
    assert all(one.isascii() and not set(one) & set("*?[]`") for one in made)
    assert id_of("a", "Name") == id_of("a", "NAME")
    assert id_of("a", "x").startswith(prefix_of("a"))
