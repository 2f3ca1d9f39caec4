# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run of win_guard costs a controller and a Windows host, beside modules that look at one thing each.

    windows.py [rules [looped]]    how many firewall rules (50), and over how many of them the loop goes (5)

A WinRM server on loopback has a real PowerShell 7 under Wine behind it and stand-ins for Windows' own modules; where
that cannot be had, and once more after it, a model of the host in Python. Requests, starts of PowerShell and bytes are
counted by the server. Nothing passes or fails by a time; read the ratios.
"""

from __future__ import annotations

import copy
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Iterator, Mapping, NamedTuple, Sequence

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.twinguard.hardening.plugins.plugin_utils._windows.defender import (
    defender_policy,
)
from ansible_collections.twinguard.hardening.plugins.plugin_utils._windows.firewall import (
    plan_firewall,
)
from ansible_collections.twinguard.hardening.plugins.plugin_utils._windows.match import match_rules
from ansible_collections.twinguard.hardening.plugins.plugin_utils._windows.policy import (
    firewall_policy,
    management,
)
from ansible_collections.twinguard.hardening.plugins.plugin_utils._windows.run_io import Guard
from ansible_collections.twinguard.hardening.plugins.plugin_utils._windows.spec import GUARD_SPEC
from ansible_collections.twinguard.hardening.plugins.plugin_utils._windows.state import (
    request,
    state_of,
)
from ansible_collections.twinguard.hardening.tests.windows import host_world
from ansible_collections.twinguard.hardening.tests.windows.ansible_payload import module_call
from ansible_collections.twinguard.hardening.tests.windows.host_model import Host
from ansible_collections.twinguard.hardening.tests.windows.host_scripts import run_script
from ansible_collections.twinguard.hardening.tests.windows.model_backend import ModelBackend
from ansible_collections.twinguard.hardening.tests.windows.plays import (
    ANSIBLE,
    CONTROLLER,
    PASSWORD,
    POLICY,
    ROOT,
    USER,
    careless,
    variables,
)
from ansible_collections.twinguard.hardening.tests.windows.tls import self_signed
from ansible_collections.twinguard.hardening.tests.windows.wine_powershell import (
    Problem,
    WinePowerShell,
    backend,
    ensure,
)
from ansible_collections.twinguard.hardening.tests.windows.winrm_server import (
    Answer,
    Answering,
    Backend,
    Server,
)

ROUNDS = 3
PLANNED, PRESENT = 500, 1000
Task = Mapping[str, Any]
PING: Task = {"name": "Ping", "ansible.windows.win_ping": {}}
PROFILES: Task = {
    "name": "Profiles",
    "ansible.windows.win_firewall": {"state": "enabled", "inbound_action": "block"},
}
LOOKED_UP = """
    param($Name, $Port, $Address)
    $rule = Get-NetFirewallRule -DisplayName $Name -ErrorAction SilentlyContinue
    $Ansible.Changed = -not $rule -or "$($rule.Enabled)" -ne 'True' -or
        ($rule | Get-NetFirewallPortFilter).LocalPort -ne $Port -or
        ($rule | Get-NetFirewallAddressFilter).RemoteAddress -ne $Address
    if ($Ansible.Changed) { throw "$Name is not as it should be" }
"""


class Cost(NamedTuple):
    """What a play cost, or a part of one; `logins` are requests that do nothing else, `cpu` is Ansible's own."""

    requests: float
    logins: float
    starts: float
    received: float
    cpu: float
    seconds: float

    def plus(self, other: Cost, times: float = 1.0) -> Cost:
        """This, and another one some times."""
        return Cost(*(mine + times * its for mine, its in zip(self, other)))

    def row(self, label: str, note: str = "") -> str:
        """As a line of the table."""
        counted = f"{self.requests:8.0f}{self.logins:8.0f}{self.starts:8.0f}"
        times = f"{self.cpu:8.2f}{self.seconds:8.2f}"
        return f"  {label:<46}{counted}{self.received / 1000:9.0f}{times}{note}"


HEAD = f"  {'':<46}requests  logins  starts  kB sent   CPU s  wall s"


def wanted_rules(count: int) -> list[dict[str, Any]]:
    """Rules for as many services; the first one lets Ansible in."""
    made = [
        {
            "name": f"Service {number}",
            "protocol": "tcp",
            "local_ports": [str(10000 + number)],
            "remote_addresses": [f"10.{number // 250}.{number % 250}.7"],
        }
        for number in range(1, count)
    ]
    return [ANSIBLE, *made]


def guard(rules: list[dict[str, Any]]) -> Task:
    """Our one task: profiles, rules and Defender."""
    return {"name": "Guard", "twinguard.hardening.win_guard": {**POLICY, "rules": rules}}


def loop(rules: Sequence[Mapping[str, Any]]) -> Task:
    """A module for each rule. It only looks, so the bench fails where it would have something to change."""
    options = {
        "script": LOOKED_UP,
        "parameters": {
            "Name": "{{ item.name }}",
            "Port": "{{ item.local_ports[0] }}",
            "Address": "{{ item.remote_addresses[0] }}",
        },
    }
    return {"name": "Rule", "ansible.windows.win_powershell": options, "loop": list(rules)}


def play(server: Server, *tasks: Task, changed: bool = False, **host: Any) -> Cost:
    """Run a playbook on the server's host; it must succeed, and change something or nothing."""
    hosts = {"all": {"hosts": {"win": variables(server, **host)}}}
    plays = [{"hosts": "win", "gather_facts": False, "tasks": tasks}]
    before = len(server.requests)
    with tempfile.TemporaryDirectory() as folder:
        inventory, playbook = Path(folder, "hosts.json"), Path(folder, "play.json")
        inventory.write_text(json.dumps(hosts), "utf-8")
        playbook.write_text(json.dumps(plays), "utf-8")
        env = {
            **{key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")},
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".build" / "collections"),
            "ANSIBLE_HOME": str(ROOT / ".build" / "ansible"),
            "ANSIBLE_NOCOLOR": "1",
        }
        program = str(Path(sys.executable).parent / "ansible-playbook")
        said = Path(folder, "said")
        with said.open("wb") as output:
            began = time.perf_counter()
            started = subprocess.Popen(
                [program, "-i", str(inventory), str(playbook)],
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
            # Of this process and its children alone: those of Wine are ours as well.
            _pid, status, used = os.wait4(started.pid, 0)
            seconds = time.perf_counter() - began
        started.returncode = os.waitstatus_to_exitcode(status)
        text = said.read_text("utf-8", "replace")
    if started.returncode or ("changed=0" in text) is changed:
        raise SystemExit(text[-4000:])
    requests = server.requests[before:]
    actions = [one.action for one in requests]
    received = sum(one.received for one in requests)
    cpu = used.ru_utime + used.ru_stime
    logins, starts = actions.count("Handshake"), actions.count("Command")
    return Cost(len(requests), logins, starts, received, cpu, seconds)


def median(costs: Sequence[Cost]) -> Cost:
    """The middle of each figure."""
    return Cost(*(statistics.median(figures) for figures in zip(*costs)))


def measure(started: Backend, rules: list[dict[str, Any]], looped: int) -> Cost:
    """Measure on one host and show it; without a loop if `looped` is 0. Returns what win_guard adds to a win_ping."""
    print(HEAD)
    with Server(started, {USER: PASSWORD}) as server:
        # What is compiled and loaded once in its life belongs to no row.
        play(server, PING)
        first = play(server, guard(rules), changed=True)
        found: dict[str, list[Cost]] = {"ping": [], "guard": [], "profiles": []}
        for _unused in range(ROUNDS):
            found["ping"].append(play(server, PING))
            found["guard"].append(play(server, guard(rules)))
            if looped:
                found["profiles"].append(play(server, PROFILES))
        ping, steady = median(found["ping"]), median(found["guard"])
        print(ping.row("a play of one win_ping"))
        print(first.row(f"win_guard, first run ({len(rules)} rules created)"))
        print(steady.row("win_guard, nothing to change"))
        ntlm = play(server, guard(rules), ansible_winrm_transport="ntlm")
        print(ntlm.row("  NTLM over HTTP, which encrypts messages"))
    with tempfile.TemporaryDirectory() as folder:
        tls = self_signed(Path(folder))
        login: dict[str, Any] = {
            "ansible_winrm_scheme": "https",
            "ansible_winrm_transport": "ntlm",
            "ansible_winrm_ca_trust_path": str(tls.certificate),
        }
        with Server(started, {USER: PASSWORD}, tls=tls) as server:
            print(play(server, guard(rules), **login).row("  NTLM over HTTPS"))
    if looped:
        with Server(started, {USER: PASSWORD}) as server:
            some = play(server, PROFILES, loop(rules[:looped]))
        profiles = median(found["profiles"])
        whole = profiles.plus(some.plus(profiles, -1), len(rules) / looped)
        print(profiles.row("win_firewall for the three profiles"))
        print(some.row(f"  and win_powershell in a loop over {looped} rules"))
        print(whole.row(f"  over {len(rules)} rules", "  (multiplied)"))
        cpu, seconds = whole.cpu / steady.cpu, whole.seconds / steady.seconds
        print(f"  {'loop / win_guard, nothing to change':<79}{cpu:6.0f} x{seconds:6.0f} x")
    return steady.plus(ping, -1)


@contextmanager
def kept_up(powershell: WinePowerShell) -> Iterator[None]:
    """Let Wine run all the time, as a Windows does; else each play would wait until its services have started."""
    process, _late_stderr = powershell.start("cmd /q", {})
    try:
        yield
    finally:
        process.communicate()


# --- a model instead of PowerShell


class Modelled:
    """The model, which answers a win_ping as well; `reads` holds the seconds of each of its reads."""

    def __init__(self, world: Path) -> None:
        self.model = ModelBackend(world)
        self.reads: list[float] = []

    def __call__(self, line: str, stdin: bytes, environment: Mapping[str, str]) -> Answer:
        """The function that the server's Answering takes."""
        began = time.perf_counter()
        name = module_call(stdin).name
        if name.endswith("win_ping"):
            return Answer(stdout=b'{"changed": false, "ping": "pong"}')
        answer = self.model(line, stdin, environment)
        if name.endswith("win_guard_read"):
            self.reads.append(time.perf_counter() - began)
        return answer


# --- the planner alone


def milliseconds(function: Callable[[], object]) -> float:
    """The middle of some calls."""
    taken = []
    for _unused in range(5):
        began = time.perf_counter()
        function()
        taken.append((time.perf_counter() - began) * 1000)
    return statistics.median(taken)


def planner() -> None:
    """A large policy on a host with more rules than that, without Ansible and without a wire."""
    options = {**POLICY, "rules": wanted_rules(PLANNED)}
    checked = ArgumentSpecValidator(copy.deepcopy(GUARD_SPEC)).validate(options)
    given = checked.validated_parameters
    firewall = firewall_policy(given)
    if firewall is None:
        raise SystemExit("the policy speaks about no firewall")
    way = management(given, "winrm", 5985, (CONTROLLER,))
    guarded = Guard(firewall, defender_policy(given["defender"]), way)
    world = careless()
    stock = host_world.RULE | {"Protocol": "TCP", "Enabled": "True", "LocalPort": ["445"]}
    world["rules"] |= {
        f"Stock-{number}": {**stock, "DisplayName": f"Stock {number}"}
        for number in range(PRESENT - PLANNED - 1)
    }
    host = Host(world)

    def read() -> dict[str, Any]:
        return run_script(host, "win_guard_read", request(firewall, True, way))

    def shown(answer: Mapping[str, Any]) -> float:
        found = state_of(answer).firewall
        if found is None:
            raise SystemExit("the host has no firewall")
        return milliseconds(lambda: plan_firewall(match_rules(firewall, found), way))

    def whole(answer: dict[str, Any]) -> float:
        return milliseconds(
            lambda: guarded.result(guarded.run(lambda *_unused: answer, True), True)
        )

    print(f"the planner in process, {PLANNED} rules on a host with {PRESENT}")
    reading = milliseconds(lambda: firewall_policy(given))
    print(f"  to read and check the policy                    {reading:7.1f} ms")
    answer = read()
    print(f"  to plan, all rules to be created                {shown(answer):7.1f} ms")
    print(f"  to understand, judge, plan and tell it          {whole(answer):7.1f} ms")
    guarded.run(lambda name, arguments: run_script(host, name, arguments), False)
    answer = read()
    if (
        guarded.run(lambda *_unused: answer, True).plan.changed
        or len(host.world["rules"]) != PRESENT
    ):
        raise SystemExit("the host is not as wanted after it was brought there")
    print(f"  to plan, nothing to change                      {shown(answer):7.1f} ms")
    print(f"  to understand, judge, plan and tell it          {whole(answer):7.1f} ms")


def main(count: int = 50, looped: int = 5) -> None:
    """Both hosts, then the planner."""
    rules = wanted_rules(count)
    what = f"{count} rules, three profiles, three settings of Defender; winrm, Basic over HTTP"
    with tempfile.TemporaryDirectory() as folder:
        world = Path(folder, "world.json")
        host_world.save(world, host_world.complete(careless()))
        try:
            with WinePowerShell(ensure(), world) as powershell, kept_up(powershell):
                print(f"{what}; PowerShell 7 under Wine", flush=True)
                measure(backend(powershell, world), rules, min(looped, count))
        except Problem as problem:
            print(f"no PowerShell, so only the model: {problem}", flush=True)
        host_world.save(world, host_world.complete(careless()))
        print(f"{what}; a model of the host")
        model = Modelled(world)
        more = measure(Answering(model), rules, 0)
    print(f"  {'win_guard less the win_ping':<79}{more.cpu:8.2f}{more.seconds:8.2f}")
    print(f"  {'of which the model takes':<87}{statistics.median(model.reads):8.2f}")
    planner()
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"{os.cpu_count()} CPUs, load {load} at the end")


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:3]))
