# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Windows host that is taken from careless to guarded: a fault at each cmdlet that changes it, over the real wire.

What counts is what the host holds. Wherever a run ends, the controller gets in, what belongs to others is as it was, no
profile is turned off, and the next run finishes the work.
"""

from __future__ import annotations

import contextlib
import threading
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent import LIMIT, Point, different
from ansible.errors import AnsibleConnectionFailure
from ansible.parsing.dataloader import DataLoader
from ansible.playbook.play_context import PlayContext
from ansible.playbook.task import Task
from ansible.plugins.loader import connection_loader, init_plugin_loader
from ansible.template import Templar

if __name__ == "fault_case":
    # Ansible finds the modules of a collection only if its own importer came before the first import from there. Where
    # this file is only asked for its image, imports stay as they are.
    init_plugin_loader([])

from ansible_collections.twinguard.hardening.plugins.action.win_guard import ActionModule
from ansible_collections.twinguard.hardening.plugins.plugin_utils._windows.defender import ASR_RULES
from ansible_collections.twinguard.hardening.plugins.plugin_utils._windows.state import id_of
from ansible_collections.twinguard.hardening.tests.windows import host_world
from ansible_collections.twinguard.hardening.tests.windows.host_model import CmdletError
from ansible_collections.twinguard.hardening.tests.windows.model_backend import (
    HostDied,
    ModelBackend,
)
from ansible_collections.twinguard.hardening.tests.windows.packet import Packet, admits
from ansible_collections.twinguard.hardening.tests.windows.plays import (
    ANSIBLE,
    CONTROLLER,
    JUPYTER,
    PASSWORD,
    POLICY,
    USER,
    WINRM,
    careless,
    variables,
)
from ansible_collections.twinguard.hardening.tests.windows.winrm_server import (
    CUT_BEFORE,
    Answer,
    Answering,
    Disturbance,
    Request,
    Server,
)

image = None
hosts = 1

GROUP = "twinguard"
WANTED: dict[str, Any] = {
    **POLICY,
    "profiles": {"all": {"enabled": True, "default_inbound": "block", "log_blocked": True}},
    "rules": [
        JUPYTER,
        {**JUPYTER, "name": "Metrics", "local_ports": ["9100"]},
        ANSIBLE,
        {**JUPYTER, "name": "Files", "local_ports": ["445"], "profiles": ["private"]},
        {"name": "Ping", "protocol": "icmpv4", "icmp_types": ["8"]},
        {**JUPYTER, "name": "Sensors", "protocol": "udp", "local_ports": ["5353"]},
        {"name": "No telnet", "action": "block", "protocol": "tcp", "local_ports": ["23"]},
    ],
    "unmanaged": {"action": "disable", "direction": "inbound", "profiles": ["private"]},
    "defender": {
        **POLICY["defender"],
        "pua_protection": "enabled",
        "network_protection": "audit",
        "cloud_block_level": "high",
        "attack_surface_reduction": {"psexec_and_wmi": "block", "webshell_creation": "audit"},
        "exclusions": {"paths": [r"D:\Twin"], "extensions": [".onnx"], "mode": "exact"},
    },
}
# Rules of others that the policy says nothing about, and those that it disables.
LEFT_ALONE = ("domain share", "out", "off")
DISABLED = ("WINRM-HTTP-In", "share", "wall")
PARTS = {"rules": "rule", "policy_rules": "rule of group policy", "profiles": "profile"}
PAIRED = ("AttackSurfaceReductionRules_Ids", "AttackSurfaceReductionRules_Actions")

World = dict[str, Any]
Facts = dict[str, Any]  # what one cmdlet changes as a whole, by name


def history() -> World:
    """A host on whose network the firewall is off, with block rules that count as soon as it is on."""
    world = careless()
    on = {"Enabled": "True", "DefaultInboundAction": "Allow"}
    world["profiles"].update(Domain=dict(on), Public=dict(on))
    stale = {"Group": GROUP, "Protocol": "TCP"}
    world["rules"] = {
        # As Windows ships it for a network that is not trusted: the controller is on another one.
        "WINRM-HTTP-In": {**WINRM, "RemoteAddress": ["LocalSubnet"]},
        "share": {"DisplayName": "Share", "Protocol": "TCP", "LocalPort": ["445"]},
        "wall": {"DisplayName": "Wall", "Action": "Block", "Protocol": "TCP", "LocalPort": ["5985"],
                 "Profile": "Private"},
        "domain share": {"DisplayName": "Domain", "Protocol": "TCP", "Profile": "Domain"},
        "out": {"DisplayName": "Out", "Direction": "Outbound", "Action": "Block"},
        "off": {"DisplayName": "Off", "Enabled": "False"},
        mine("Ansible"): {**stale, "DisplayName": "Ansible", "LocalPort": ["5985"],
                          "RemoteAddress": ["192.168.8.0/24"]},
        mine("Files"): {**stale, "DisplayName": "Files", "LocalPort": ["445"]},
        # These two cannot be changed into what is wanted: others take their places.
        mine("Ping"): {**stale, "DisplayName": "Ping", "Protocol": "ICMPv4", "IcmpType": ["8"],
                       "RemoteUser": "O:LSD:(A;;CC;;;S-1-5-2)"},
        mine("Sensors"): {**stale, "DisplayName": "Sensors", "Group": "Somebody"},
        mine("Old"): {**stale, "DisplayName": "Old", "LocalPort": ["3389"]},
        mine("Old wall"): {**stale, "DisplayName": "Old wall", "Action": "Block",
                           "RemoteAddress": [CONTROLLER]},
    }  # fmt: skip
    world["policy_rules"] = {"gpo": {"DisplayName": "By policy", "Protocol": "TCP"}}
    world["defender"]["preferences"].update(
        ExclusionPath=["C:\\", r"C:\Temp"], ExclusionExtension=["exe", "onnx"]
    )
    return host_world.complete(world)


def mine(name: str) -> str:
    return id_of(GROUP, name)


class Case:
    """A host with a history, and a policy that changes much of it."""

    spread = 0
    # The connection breaks and the script goes on; Windows refuses this one cmdlet.
    errors = ("CUT", "DENIED")

    def __init__(self, work: str) -> None:
        self.agent = Cmdlets(work)


class Cmdlets:
    """Makes the trials: a fault at the n-th cmdlet that changes something."""

    def __init__(self, work: str) -> None:
        self.path = Path(work, "world.json")
        self.points: list[Point] = []
        self.worlds: list[World] = []  # before each cmdlet of an undisturbed run
        self.old: Facts = {}
        self.new: Facts = {}
        self.fault, self.at = "", 0
        self.applying = False
        self.fallen = threading.Event()
        self.running = threading.Lock()
        self.backend = ModelBackend(self.path)
        self.backend.watch = self.watch

    # --- the host

    def world(self) -> World:
        return host_world.load(self.path)

    def reset(self) -> None:
        """The careless host."""
        host_world.save(self.path, history())

    def watch(self, _cmdlet: str, number: int) -> None:
        """Before each cmdlet that changes something: the fault, if its turn has come."""
        if number != self.at:
            return
        self.fallen.set()
        if self.fault == "KILL":
            raise HostDied
        if self.fault == "DENIED":
            raise CmdletError("Access is denied.", "PermissionDenied")

    def answer(self, line: str, stdin: bytes, environment: Mapping[str, str]) -> Answer:
        """Run a script, whether or not anybody is left who would take its answer."""
        with self.running:
            return self.backend(line, stdin, environment)

    def hook(self, request: Request) -> Disturbance | None:
        """From the fault on no request is answered, not even the one that waits for the script."""
        if self.fault not in ("KILL", "CUT"):
            return None
        if request.action == "Command":
            self.applying = request.nth == 2
        if self.applying and request.action == "Receive":
            self.fallen.wait(LIMIT)
        return CUT_BEFORE if self.fallen.is_set() else None

    # --- the controller

    def run(self, fault: str = "", at: int = 0) -> dict[str, Any]:
        """The result of one task, as Ansible would have it."""
        self.fault, self.at, self.applying = fault, at, False
        self.fallen.clear()
        with Server(Answering(self.answer), {USER: PASSWORD}) as server:
            server.hook = self.hook
            result = task_on(variables(server))
            with self.running:  # A script that was cut off has come to its end now.
                return result

    # --- the trials

    def prepare(self) -> None:
        """Learn what old and new look like, and which cmdlets lie between them."""
        self.reset()
        self.old = facts(self.world())
        cmdlets: list[str] = []

        def note(cmdlet: str, _number: int) -> None:
            cmdlets.append(cmdlet)
            self.worlds.append(self.world())

        self.backend.watch = note
        result = self.run()
        self.backend.watch = self.watch
        self.new = facts(self.world())
        moments = [*map(facts, self.worlds), self.new]
        self.points = [
            Point(cmdlet, at + 1, ", ".join(touched(moments[at], moments[at + 1])))
            for at, cmdlet in enumerate(cmdlets)
        ]
        if wrong(result) or len(self.points) < 18:
            raise SystemExit(f"an undisturbed run must succeed and change much: {result}")
        if self.run()["changed"] is not False or facts(self.world()) != self.new:
            raise SystemExit("a second undisturbed run changes something")

    def trial(self, index: int, fault: str) -> list[str]:
        """Reset, run with the fault, look, run again, look."""
        self.reset()
        result = self.run(fault, index + 1)
        problems = self.now() + self.hit(index, fault) + self.reported(fault, result)
        problems += [f"in the next run {one}" for one in wrong(self.run())]
        problems += [
            f"after the next run {one}" for one in different(self.new, facts(self.world()))
        ]
        again = self.run()
        if again.get("changed") is not False or facts(self.world()) != self.new:
            problems.append(f"the run after the next one changes {again.get('changes')}")
        return problems

    def hit(self, index: int, fault: str) -> list[str]:
        """Whether the fault did what it should."""
        if not self.fallen.is_set():
            return ["the fault did not come"]
        if fault == "KILL" and self.world() != self.worlds[index]:
            return ["the host is not as it was before the cmdlet"]
        if fault == "CUT" and facts(self.world()) != self.new:
            return ["the script did not go on to its end"]
        return []

    def now(self) -> list[str]:
        """The controller gets in, and all is as it was or as it is wanted."""
        world, before = self.world(), self.worlds[0]
        found = facts(world)
        problems = [
            f"{name} is neither old nor new: {found.get(name)}"
            for name in sorted(self.old.keys() | self.new.keys() | found.keys())
            if found.get(name) not in (self.old.get(name), self.new.get(name))
        ]
        if not admits(world, Packet(CONTROLLER, 5985)):
            problems.append("the controller is locked out")
        for name, profile in before["profiles"].items():
            if profile["Enabled"] == "True" != world["profiles"][name]["Enabled"]:
                problems.append(f"the profile {name} was on and is off")
        for key in (*LEFT_ALONE, *DISABLED):
            was, is_ = dict(before["rules"][key]), dict(world["rules"].get(key, {}))
            if key in DISABLED and is_:
                del was["Enabled"], is_["Enabled"]
            if was != is_:
                problems.append(f"the rule {key!r} of others is touched: {is_}")
        if before["policy_rules"] != world["policy_rules"]:
            problems.append("the rules of group policy are touched")
        return problems

    def reported(self, fault: str, result: dict[str, Any]) -> list[str]:
        """The run is not green, and one sentence tells what happened."""
        message = str(result.get("msg", ""))
        words = {"DENIED": ["Windows answered: Access is denied."]}.get(
            fault, ["The connection broke while the host was being changed", "run the task again"]
        )
        problems = [
            f"the message does not say {text!r}: {message!r}"
            for text in words
            if text not in message
        ]
        if "traceback" in result:
            problems.append(f"there is a traceback: {result['traceback']}")
        if "\n" in message.strip():
            problems.append(f"the message has several lines: {message!r}")
        if not result.get("failed" if fault == "DENIED" else "unreachable"):
            problems.append(f"the run does not say that it failed: {message!r}")
        if fault == "DENIED":
            moved = facts(self.world()) != self.old
            if result.get("changed") is not moved:
                problems.append(f"changed is {result.get('changed')}, and in truth it is {moved}")
        return problems


def task_on(host: dict[str, Any]) -> dict[str, Any]:
    """The result of one task on a host that these variables tell how to reach."""
    task, loader, context = Task(), DataLoader(), PlayContext()
    context.remote_addr = host["ansible_host"]
    task.action, task.args = "twinguard.hardening.win_guard", dict(WANTED)
    connection = connection_loader.get("winrm", context)
    extras = {name: value for name, value in host.items() if name.startswith("ansible_winrm_")}
    connection.set_options(var_options={**host, "_extras": extras})
    action = ActionModule(task, connection, context, loader, Templar(loader=loader), None)
    try:
        return dict(action.run(task_vars=dict(host)))
    except AnsibleConnectionFailure as error:
        return {"unreachable": True, "msg": str(error)}
    except Exception as error:  # noqa: BLE001 - Ansible would show any as the failure of the task
        last = "".join(traceback.format_exception(error))[-400:]
        return {"failed": True, "msg": str(error), "traceback": last}
    finally:
        # Ansible does not mind either if nobody is left to say goodbye to.
        with contextlib.suppress(OSError):
            connection.close()


def wrong(result: dict[str, Any]) -> list[str]:
    """What keeps a run from being green."""
    if result.get("failed") or result.get("unreachable"):
        return [f"the task fails: {result.get('msg')} {result.get('traceback', '')}".strip()]
    return [
        f"{one['resource']} is {one['status']}"
        for one in result["controls"]
        if one["status"] in ("fail", "unknown")
    ]


def facts(world: World) -> Facts:
    """The host in pieces, without the order of what has none."""
    found: Facts = {
        f"{kind} {key}": value for part, kind in PARTS.items() for key, value in world[part].items()
    }
    preferences = dict(world["defender"]["preferences"])
    ids, actions = (preferences.pop(name) for name in PAIRED)
    found.update({f"ASR rule {one.lower()}": action for one, action in zip(ids, actions)})
    for name, value in preferences.items():
        if isinstance(value, list):
            found.update({f"{name} {one}": True for one in value})
        else:
            found[name] = value
    return found


def touched(before: Facts, after: Facts) -> list[str]:
    """What one cmdlet changed, in words for the title of a trial."""
    names = {f"ASR rule {guid}": name for name, guid in ASR_RULES.items()}
    both = {**before, **after}
    for key, value in both.items():
        if isinstance(value, dict) and "DisplayName" in value:
            names[key] = value["DisplayName"]
    return [names.get(key, key) for key in sorted(both) if before.get(key) != after.get(key)]
