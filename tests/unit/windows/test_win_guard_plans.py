# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Any policy on any host: the plan comes true, leaves nothing to plan, and keeps the controller connected all the way.

The host is the model of tests/windows; whether a packet gets in is judged by packet.py, which shares no code with us.
"""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ansible_collections.twinguard.hardening.plugins.module_utils._core.plan import ControlError
from ansible_collections.twinguard.hardening.plugins.plugin_utils._windows.defender import (
    ASR_RULES,
    CHOICES,
    defender_policy,
)
from ansible_collections.twinguard.hardening.plugins.plugin_utils._windows.policy import (
    firewall_policy,
)
from ansible_collections.twinguard.hardening.plugins.plugin_utils._windows.run_io import Guard
from ansible_collections.twinguard.hardening.plugins.plugin_utils._windows.state import (
    prefix_of,
    request,
    state_of,
)
from ansible_collections.twinguard.hardening.plugins.plugin_utils._windows.types import Management
from ansible_collections.twinguard.hardening.tests.windows.host_model import CmdletError, Host
from ansible_collections.twinguard.hardening.tests.windows.host_scripts import COMMANDS, run_script
from ansible_collections.twinguard.hardening.tests.windows.host_world import RULE
from ansible_collections.twinguard.hardening.tests.windows.packet import Packet, admits

CONTROLLER = "192.168.1.10"
PORT = 5985
WAY = Management(port=PORT, own=(CONTROLLER,))
NETWORK = {
    "connections": [{"LocalAddress": "192.168.1.20", "LocalPort": PORT, "RemoteAddress": CONTROLLER,
                     "RemotePort": 50000, "State": "Established"}],
    "addresses": [{"IPAddress": "192.168.1.20", "PrefixLength": 24, "InterfaceIndex": 7,
                   "InterfaceAlias": "Ethernet"}],
    "networks": [{"InterfaceIndex": 7, "InterfaceAlias": "Ethernet", "Name": "plant",
                  "NetworkCategory": "Private"}],
}  # fmt: skip

NAMES = ("Jupyter", "WinRM", "Guests", "Zähler")
REMOTES = (
    "192.168.1.0/24", "192.168.1.10", "192.168.0.0/16", "10.0.0.0/8", "LocalSubnet",
    "10.1.1.1-10.1.1.9", "fe80::/10",
)  # fmt: skip
PORTS = ("5985", "8888", "5000-6000", "80")
PROFILES = ("domain", "private", "public")

Strategy = st.SearchStrategy[dict[str, Any]]
profile_lists = st.lists(st.sampled_from(PROFILES), min_size=1, unique=True)
rules: Strategy = st.fixed_dictionaries(
    {
        "name": st.sampled_from(NAMES),
        "description": st.sampled_from(["", "for the twin"]),
        "enabled": st.booleans(),
        "direction": st.sampled_from(["inbound", "inbound", "inbound", "outbound"]),
        "action": st.sampled_from(["allow", "allow", "block"]),
        "profiles": profile_lists,
        "protocol": st.sampled_from(["tcp", "tcp", "udp", "any", "icmpv4", "47"]),
        "local_ports": st.lists(st.sampled_from(PORTS), max_size=1),
        "remote_ports": st.just([]),
        "icmp_types": st.just([]),
        "local_addresses": st.just([]),
        "remote_addresses": st.lists(st.sampled_from(REMOTES), max_size=1),
        "program": st.sampled_from(["any", "any", "System", r"C:\Jupyter\jupyter.exe"]),
        "service": st.just("any"),
        "interface_type": st.sampled_from(["any", "any", "wired"]),
        "edge_traversal": st.just("block"),
    }
).map(
    lambda rule: (
        rule
        if rule["protocol"] in ("tcp", "udp")
        else {**rule, "local_ports": [], "remote_ports": []}
    )
)
profile_settings: Strategy = st.fixed_dictionaries(
    {},
    optional={
        "enabled": st.booleans(),
        "default_inbound": st.sampled_from(["allow", "block"]),
        "default_outbound": st.sampled_from(["allow", "block"]),
        "log_blocked": st.booleans(),
        "log_file": st.sampled_from([r"C:\Logs\fw.log", r"%systemroot%\fw.log"]),
        "log_max_kilobytes": st.integers(1, 32767),
    },
)
policies: Strategy = st.fixed_dictionaries(
    {"group": st.just("twinguard")},
    optional={
        "rules": st.lists(rules, max_size=4, unique_by=lambda one: str(one["name"])),
        "profiles": st.fixed_dictionaries(
            {}, optional=dict.fromkeys(("all", *PROFILES), profile_settings)
        ),
        "unmanaged": st.fixed_dictionaries(
            {
                "action": st.sampled_from(["ignore", "disable", "remove"]),
                "direction": st.sampled_from(["inbound", "outbound"]),
                "profiles": profile_lists,
            }
        ),
    },
)
world_rules = st.builds(
    lambda changes: {**copy.deepcopy(RULE), **changes},
    st.fixed_dictionaries(
        {
            "DisplayName": st.sampled_from([*NAMES, "Remote Desktop", "jupyter"]),
            "Group": st.sampled_from(["", "twinguard", "TwinGuard", "@FirewallAPI.dll,-1"]),
            "Enabled": st.sampled_from(["True", "False"]),
            "Profile": st.sampled_from(
                ["Any", "Domain, Private", "Public", "Private", "Domain, Private, Public"]
            ),
            "Direction": st.sampled_from(["Inbound", "Inbound", "Outbound"]),
            "Action": st.sampled_from(["Allow", "Allow", "Block"]),
            "Protocol": st.sampled_from(["TCP", "Any", "UDP"]),
            "RemoteAddress": st.sampled_from(
                [["Any"], ["192.168.1.0/255.255.255.0"], ["10.0.0.7"]]
            ),
            "Program": st.sampled_from(["Any", "System"]),
            "RemoteUser": st.sampled_from(["Any", "Any", "O:LSD:(A;;CC;;;S-1-5-2)"]),
        }
    ),
)
WINRM = {
    **RULE, "DisplayName": "Windows Remote Management", "Protocol": "TCP", "LocalPort": ["5985"],
    "Program": "System",
}  # fmt: skip
keys = st.sampled_from(["{1}", "{2}", "WINRM-HTTP-In[x]", prefix_of("twinguard") + "0-a"])
worlds: Strategy = st.fixed_dictionaries(
    {
        "rules": st.dictionaries(keys, world_rules, max_size=4).map(
            lambda rules: {**rules, "WINRM-HTTP-In": WINRM} if len(rules) % 2 == 0 else rules
        ),
        "policy_rules": st.dictionaries(st.just("{policy}"), world_rules, max_size=1),
        "profiles": st.fixed_dictionaries(
            {},
            optional=dict.fromkeys(
                ("Domain", "Private", "Public"),
                st.fixed_dictionaries(
                    {
                        "Enabled": st.sampled_from(["True", "False", "NotConfigured"]),
                        "DefaultInboundAction": st.sampled_from(
                            ["Allow", "Block", "NotConfigured"]
                        ),
                    }
                ),
            ),
        ),
    }
).map(lambda world: {**world, **NETWORK})
defenders: Strategy = st.fixed_dictionaries(
    {},
    optional={
        **{
            name: st.sampled_from(list(choice.words))
            for name, choice in CHOICES.items()
            if name != "real_time_protection"
        },
        "real_time_protection": st.booleans(),
        "attack_surface_reduction": st.dictionaries(
            st.sampled_from(list(ASR_RULES)),
            st.sampled_from(["block", "audit", "warn", "disabled"]),
            max_size=4,
        ),
        "exclusions": st.fixed_dictionaries(
            {"mode": st.sampled_from(["merge", "exact"])},
            optional={
                "paths": st.lists(
                    st.sampled_from([r"C:\Models", r"D:\Scratch", r"D:\ä"]), unique=True
                ),
                "extensions": st.lists(st.sampled_from(["onnx", "PT"]), unique=True),
            },
        ),
    },
)
preferences = st.fixed_dictionaries(
    {
        "DisableRealtimeMonitoring": st.booleans(),
        "MAPSReporting": st.integers(0, 2),
        "SubmitSamplesConsent": st.integers(0, 3),
        "AttackSurfaceReductionRules_Ids": st.just([ASR_RULES["psexec_and_wmi"].upper()]),
        "AttackSurfaceReductionRules_Actions": st.sampled_from([[1], [5], [0]]),
        "ExclusionPath": st.lists(st.sampled_from(["c:\\models\\", r"E:\Other"]), unique=True),
        "ExclusionExtension": st.lists(st.sampled_from([".ONNX", "tmp"]), unique=True),
    }
)
IN = Packet(CONTROLLER, PORT)


def guard_of(options: dict[str, Any], defender: dict[str, Any] | None = None) -> Guard:
    """The policy; what is refused as such is no example."""
    try:
        return Guard(firewall_policy(options), defender_policy(defender), WAY)
    except ControlError:
        assume(False)
        raise


def read(host: Host, guard: Guard) -> Any:
    asked = request(guard.firewall, guard.defender is not None, guard.way)
    return guard.reading(state_of(run_script(host, "win_guard_read", asked)))


@settings(max_examples=150)
@given(policies, worlds)
def test_a_plan_that_was_applied_leaves_nothing_to_plan(
    options: dict[str, Any], world: dict[str, Any]
) -> None:
    guard, host = guard_of(options), Host(world)
    assume(guard.firewall is not None)
    before = copy.deepcopy(host.world)
    outcome = guard.run(lambda name, given: run_script(host, name, given), check_mode=False)
    if outcome.refused:
        assert host.world == before
        return
    assert not outcome.errors
    assert outcome.plan.changed is (host.world != before)
    assert not guard.steps(read(host, guard))
    again = guard.run(lambda name, given: run_script(host, name, given), check_mode=False)
    assert not again.plan.changed


@settings(max_examples=150)
@given(policies, worlds)
def test_check_mode_changes_nothing_and_foretells_exactly_what_the_run_does(
    options: dict[str, Any], world: dict[str, Any]
) -> None:
    guard, host = guard_of(options), Host(world)
    assume(guard.firewall is not None)
    before = copy.deepcopy(host.world)
    foretold = guard.run(lambda name, given: run_script(host, name, given), check_mode=True)
    assert host.world == before
    done = guard.run(lambda name, given: run_script(host, name, given), check_mode=False)
    assert guard.result(foretold, True)["diff"] == guard.result(done, False)["diff"]
    assert foretold.refused == done.refused


@settings(max_examples=400)
@given(policies, worlds)
def test_the_controller_stays_connected_after_each_single_step(
    options: dict[str, Any], world: dict[str, Any]
) -> None:
    guard, host = guard_of(options), Host(world)
    assume(guard.firewall is not None)
    assume(admits(host.world, IN))
    reading = read(host, guard)
    if guard.run(lambda name, given: run_script(host, name, given), check_mode=True).refused:
        return
    for step in guard.steps(reading):
        sent = step.sent()
        there = {one["InstanceID"]: one for one in host.call("Get-NetFirewallRule")}
        if sent["rules"]:
            sent["with"]["InputObject"] = [there[one] for one in sent["rules"]]
        host.call(COMMANDS[sent["do"]], **sent["with"])
        assert admits(host.world, IN), step


@settings(max_examples=150)
@given(policies, worlds)
def test_rules_of_others_and_of_group_policy_are_left_alone(
    options: dict[str, Any], world: dict[str, Any]
) -> None:
    guard, host = guard_of(options), Host(world)
    assume(guard.firewall is not None)
    before = copy.deepcopy(host.world)
    guard.run(lambda name, given: run_script(host, name, given), check_mode=False)
    assert host.world["policy_rules"] == before["policy_rules"]
    unmanaged = options.get("unmanaged", {"action": "ignore"})
    for key, rule in before["rules"].items():
        ours = rule["Group"].lower() == "twinguard" or key.startswith(prefix_of("twinguard"))
        meant = (
            unmanaged["action"] != "ignore" and rule["Direction"].lower() == unmanaged["direction"]
        )
        if not ours and not meant:
            assert host.world["rules"][key] == rule


@settings(max_examples=150)
@given(defenders, preferences)
def test_defender_is_as_wanted_afterwards_and_is_asked_for_nothing_more(
    wanted: dict[str, Any], there: dict[str, Any]
) -> None:
    guard = guard_of({"group": "twinguard"}, wanted)
    assume(guard.defender is not None)
    host = Host({"defender": {"preferences": there}})
    first = guard.run(lambda name, given: run_script(host, name, given), check_mode=False)
    assert not first.errors
    assert not guard.result(first, False).get("failed")
    assert not guard.steps(read(host, guard))


@settings(max_examples=100)
@given(policies, worlds, st.integers(1, 8))
def test_a_run_that_was_cut_short_is_completed_by_the_next(
    options: dict[str, Any], world: dict[str, Any], last: int
) -> None:
    guard = guard_of(options)
    assume(guard.firewall is not None)

    class Dying(Host):
        changes = 0

        def call(self, cmdlet: str, **parameters: Any) -> list[dict[str, Any]]:
            if not cmdlet.startswith("Get-"):
                self.changes += 1
                if self.changes == last:
                    raise KeyError(cmdlet)
            return super().call(cmdlet, **parameters)

    dying = Dying(world)
    try:
        guard.run(lambda name, given: run_script(dying, name, given), check_mode=False)
    except (KeyError, CmdletError):
        host = Host(dying.world)
        done = guard.run(lambda name, given: run_script(host, name, given), check_mode=False)
        assert not done.refused
        assert not guard.steps(read(host, guard))
