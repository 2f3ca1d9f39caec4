# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Validates and plans the policy of a Windows host on the controller; two PowerShell modules read and apply it."""

from __future__ import annotations

import typing as t
from copy import deepcopy

from ansible.plugins.action import ActionBase

from ..module_utils._core.error import HardeningError
from ..module_utils._core.plan import ControlError
from ..plugin_utils._windows.defender import defender_policy
from ..plugin_utils._windows.policy import firewall_policy, management
from ..plugin_utils._windows.run_io import Guard, Unread, way_in
from ..plugin_utils._windows.spec import GUARD_SPEC


class ActionModule(ActionBase):
    """``win_guard``: policy in, two modules on the host, controls out."""

    TRANSFERS_FILES = False

    def run(
        self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None
    ) -> dict[str, t.Any]:
        self._supports_check_mode = True
        result = super().run(tmp, task_vars)
        check_mode = bool(self._task.check_mode)

        def execute(name: str, arguments: dict[str, t.Any]) -> dict[str, t.Any]:
            module = f"twinguard.hardening.{name}"
            answer = self._execute_module(
                module_name=module, module_args=arguments, task_vars=task_vars
            )
            return dict(answer)

        try:
            guard = self._guard(task_vars or {})
            outcome = guard.run(execute, check_mode)
        except Unread as error:
            message = f"The host could not be read: {error}"
            return dict(result, failed=True, changed=False, msg=message, controls=[])
        except HardeningError as error:
            return dict(result, failed=True, changed=False, msg=str(error), controls=[])
        return dict(result, **guard.result(outcome, check_mode))

    def _guard(self, task_vars: dict[str, t.Any]) -> Guard:
        """The policy of this task; ControlError or AnsibleActionFail for bad options."""
        # A copy, because Ansible writes the defaults of suboptions into the specification.
        _checked, options = self.validate_argument_spec(deepcopy(GUARD_SPEC))
        firewall, defender = firewall_policy(options), defender_policy(options["defender"])
        if firewall is None and defender is None:
            raise ControlError(
                "rules", None, "no setting is given", "give profiles, rules, unmanaged or defender"
            )
        transport = str(self._connection.transport).rpartition(".")[2]
        host = str(
            task_vars.get("ansible_host")
            or self._play_context.remote_addr
            or task_vars.get("inventory_hostname")
            or ""
        )
        return Guard(
            firewall,
            defender,
            management(options, transport, *way_in(self._connection, transport, host)),
        )
