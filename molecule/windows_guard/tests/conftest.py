# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of the Windows guard share."""

from __future__ import annotations

import json
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any, Dict, Iterator, List

import pytest

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests" / "support"))
sys.path.insert(0, str(ROOT / "tests" / "windows"))

import lab
from ansible.inventory.manager import InventoryManager
from ansible.playbook.play_context import PlayContext
from ansible.playbook.task import Task
from ansible.plugins.loader import connection_loader
from ansible.template import Templar
from ansible.vars.manager import VariableManager
from role_task import RoleTask, as_run, loader

from ansible_collections.twinguard.hardening.plugins.action.win_guard import ActionModule

SCENARIO = lab.ROOT / "molecule" / "windows_guard"
HOSTS = ["tgm-win-basic", "tgm-win-ntlm", "tgm-win-tls"]
TASK = RoleTask("windows_guard", "windows_guard", "win_guard", "windows_workstations")
SECRET = "test-secret-of-windows"


def folder(host: str) -> Path:
    """Where a host keeps its world; the inventory computes the same."""
    return lab.ROOT / ".build" / "molecule" / lab.container_of(host)


def world(host: str) -> Dict[str, Any]:
    """The state of a host."""
    loaded: Dict[str, Any] = json.loads((folder(host) / "world.json").read_text("utf-8"))
    return loaded


def change(host: str, state: Dict[str, Any]) -> None:
    """Somebody does something to a host."""
    staged = folder(host) / "world.json.new"
    staged.write_text(json.dumps(state), "utf-8")
    staged.replace(folder(host) / "world.json")


def wire(host: str) -> List[Dict[str, Any]]:
    """The requests that a host has got so far."""
    lines = (folder(host) / "wire.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def converge(*arguments: str, **changes: Any) -> lab.Run:
    """Run the role with the policy of the scenario and these changes to it."""
    variables = {f"windows_guard_{name}": value for name, value in changes.items()}
    done = lab.play(SCENARIO / "converge.yml", variables, *arguments)
    lab.expect_hidden(done.stdout + done.stderr, lab.forms_of(SECRET), "output of a play")
    return done


@lru_cache(maxsize=None)
def way_to(host: str) -> Dict[str, Any]:
    """The variables of the inventory that say how a host is reached."""
    inventory = InventoryManager(loader=loader(), sources=[str(lab.INVENTORY)])
    found = VariableManager(loader=loader(), inventory=inventory).get_vars(
        host=inventory.get_host(host)
    )
    names = [name for name in found if name.startswith("ansible_") and name != "ansible_facts"]
    templar = Templar(loader=loader(), variables=found)
    return {name: templar.template(found[name]) for name in names}


def task_on(host: str, options: Dict[str, Any], check: bool) -> Dict[str, Any]:
    """The result of the task on a host, over its own kind of WinRM."""
    task, context, way = Task(), PlayContext(), way_to(host)
    context.remote_addr = way["ansible_host"]
    task.action, task.args, task.check_mode = "twinguard.hardening.win_guard", options, check
    connection = connection_loader.get("ansible.builtin.winrm", context)
    extras = {name: value for name, value in way.items() if name.startswith("ansible_winrm_")}
    connection.set_options(var_options={**way, "_extras": extras})
    templar = Templar(loader=loader())
    try:
        action = ActionModule(task, connection, context, loader(), templar, None)
        return dict(action.run(task_vars=dict(way)))
    finally:
        connection.close()


def apply(check: bool = False, **changes: Any) -> lab.Run:
    """Have the policy of the scenario with these changes put in force, or foreseen in check mode, without a play."""
    options = TASK.options(**{f"windows_guard_{name}": value for name, value in changes.items()})
    done = as_run(HOSTS, [task_on(host, options, check) for host in HOSTS])
    lab.expect_hidden(done.stdout, lab.forms_of(SECRET), "result of the task")
    return done


def result(run: lab.Run, host: str) -> Dict[str, Any]:
    """What the module said of a host."""
    (only,) = [one for one in run.results[host] if "controls" in one]
    return only


def failing(run: lab.Run, host: str) -> Dict[str, str]:
    """The controls of a host that fail or are unknown, and why."""
    return {
        f"{one['id'][8:]} {one['resource']}": one["reason"]
        for one in result(run, host)["controls"]
        if one["status"] in ("fail", "unknown")
    }


@pytest.fixture
def restored() -> Iterator[None]:
    """Puts the hosts back after a test that changes them."""
    kept = {host: world(host) for host in HOSTS}
    yield
    for host, state in kept.items():
        change(host, state)
