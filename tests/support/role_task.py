# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one task of a role that matters, run on the test hosts without a play around it.

Molecule runs the roles, and so do the tests of the roles. Where a test is about what the module does to a host, it
starts here what the role's task starts: the module with the options that stand in the role's own tasks, made by
Ansible's own templates from the role's defaults, the scenario's playbook and its policy. A play
costs ten times as much.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Dict, Mapping, Sequence

import host_link
import lab
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import init_plugin_loader
from ansible.template import Templar, trust_as_template

COLLECTION = "twinguard.hardening"


# Ansible finds the modules of a collection only if its own importer came before the first import from there.
init_plugin_loader()


@lru_cache(maxsize=None)
def loader() -> DataLoader:
    """Ansible's reader of YAML; there is one."""
    return DataLoader()


def _yaml(path: Path) -> Any:
    """What is in a file; nothing when there is none."""
    return loader().load_from_file(str(path), trusted_as_template=True) if path.exists() else {}


def _trusted(value: Any) -> Any:
    """The same with its templates marked as such, as in the variables of a play."""
    if isinstance(value, dict):
        return {name: _trusted(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_trusted(one) for one in value]
    return trust_as_template(value) if isinstance(value, str) else value


@dataclass(frozen=True)
class RoleTask:
    """A task of a role, as the converge.yml of a scenario has it run on a group of hosts."""

    scenario: str
    role: str
    module: str
    group: str
    tasks: str = "main.yml"
    inventory: Mapping[str, Any] = field(default_factory=dict)  # what else the hosts have
    here: bool = False  # whether it runs on the controller

    def _variables(self) -> Dict[str, Any]:
        role, scenario = lab.ROOT / "roles" / self.role, lab.ROOT / "molecule" / self.scenario
        plays = _yaml(scenario / "converge.yml")
        play = next(one for one in plays if one["hosts"] == self.group)
        given: Dict[str, Any] = {}
        for name in play.get("vars_files", []):
            given.update(_yaml(scenario / name))
        for one in play.get("roles", []):
            given.update(one.get("vars", {}))
        return {
            **_yaml(role / "defaults" / "main.yml"),
            "inventory_dir": str(lab.INVENTORY),
            **self.inventory,
            **given,
            **_yaml(role / "vars" / "main.yml"),
        }

    def options(self, **changes: Any) -> Dict[str, Any]:
        """The options of the task; the changes are to variables, by their whole names."""
        tasks = _yaml(lab.ROOT / "roles" / self.role / "tasks" / self.tasks)
        name = f"{COLLECTION}.{self.module}"
        task = next(one for one in tasks if name in one)
        variables = {**self._variables(), **_trusted(changes)}
        return dict(Templar(loader=loader(), variables=variables).template(task[name]))

    def run(self, hosts: Sequence[str], check: bool = False, **changes: Any) -> lab.Run:
        """Run it on these hosts at once."""
        options = self.options(**changes)
        return run_module(hosts, self.module, options, check, lab.keys_in(changes), self.here)


def run_module(
    hosts: Sequence[str],
    module: str,
    options: Mapping[str, Any],
    check: bool = False,
    secrets: Sequence[str] = (),
    here: bool = False,
) -> lab.Run:
    """Run a module of the collection on these hosts at once; no key and none of the secrets may be in its answers."""
    places = [host_link.HERE] * len(hosts) if here else hosts
    running = [host_link.start_module(place, module, options, check) for place in places]
    return as_run(hosts, [host_link.module_result(one) for one in running], secrets)


def as_run(
    hosts: Sequence[str], results: Sequence[Mapping[str, Any]], secrets: Sequence[str] = ()
) -> lab.Run:
    """The same as a play that did nothing else."""
    text = json.dumps(list(results))
    lab.expect_hidden(text, [*lab.all_forms(), *secrets], "result of the task")
    return lab.Run(
        2 if any(one.get("failed") for one in results) else 0,
        text,
        "",
        {host: {"changed": int(one.get("changed", 0))} for host, one in zip(hosts, results)},
        {host: [dict(one)] for host, one in zip(hosts, results)},
    )
