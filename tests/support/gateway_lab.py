# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gateways as the behaviour tests change them: by the role's own task, without a play around it; see role_task.py.

The task is an action plugin, which checks and renders on the controller: it is run here, in this process, and what it
sends to the gateway is run there by the module.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any, Dict, Sequence

import host_link
import lab
from ansible.playbook.play_context import PlayContext
from ansible.playbook.task import Task
from ansible.plugins.loader import connection_loader
from ansible.template import Templar
from role_task import RoleTask, as_run, loader

from ansible_collections.twinguard.hardening.plugins.action.nginx_gateway import ActionModule

GATEWAYS = ("tgm-gateway-12", "tgm-gateway-13")
PATIENCE = 60  # seconds for nginx to take a change
TASK = RoleTask("model_gateway", "model_gateway", "nginx_gateway", "model_gateways")


class _Action(ActionModule):
    """The plugin, which has its module run by the line to a host."""

    host = ""
    check = False

    def _execute_module(self, **call: Any) -> Dict[str, Any]:
        name = call["module_name"].rpartition(".")[2]
        # A busy machine may need longer than the time that operators have for nginx to take a change.
        arguments = {**call["module_args"], "timeout": PATIENCE}
        running = host_link.start_module(self.host, name, arguments, self.check)
        return host_link.module_result(running)


def _action(host: str, options: Dict[str, Any], check: bool) -> _Action:
    task, context = Task(), PlayContext()
    task.action, task.args = "twinguard.hardening.nginx_gateway", options
    connection = connection_loader.get("ansible.builtin.local", context)
    action = _Action(task, connection, context, loader(), Templar(loader=loader()), None)
    action.host, action.check = host, check
    return action


def apply(hosts: Sequence[str] = GATEWAYS, check: bool = False, **changes: Any) -> lab.Run:
    """Have the policy of the scenario with these changes put in force on gateways, or foreseen in check mode."""
    options = TASK.options(**{f"model_gateway_{name}": value for name, value in changes.items()})
    # Made one after the other: Ansible's loaders of plugins are not made for threads.
    actions = [_action(host, options, check) for host in hosts]
    with ThreadPoolExecutor(len(hosts)) as pool:
        results = list(pool.map(lambda action: dict(action.run(task_vars={})), actions))
    return as_run(hosts, results, lab.keys_in(changes))
