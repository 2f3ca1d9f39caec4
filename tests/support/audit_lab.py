# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The model servers as the behaviour tests see them: run the role, read what auditd would load."""

from __future__ import annotations

from typing import Any, Dict, List, Sequence

import lab
import yaml
from role_task import RoleTask, run_module

SCENARIO = lab.ROOT / "molecule" / "model_audit"
HOSTS = ("tgm-model-12", "tgm-model-13")
PREFIX = "model_audit_"
TASK = RoleTask("model_audit", "model_audit", "audit_watch", "model_servers")
OURS = "/etc/audit /etc/systemd/system /etc/sysctl.d /var/lib/twinguard /srv/models"


def watches() -> List[Dict[str, Any]]:
    """The watches of the scenario's policy."""
    text = (SCENARIO / "policy.yml").read_text(encoding="utf-8")
    return list(yaml.safe_load(text)["model_audit_watches"])


def converge(*arguments: str, **changes: Any) -> lab.Run:
    """Run the role on the model servers with the policy of the scenario and these changes to it."""
    variables = {f"{PREFIX}{name}": value for name, value in changes.items()}
    return lab.play(SCENARIO / "converge.yml", variables, *arguments)


def apply(hosts: Sequence[str] = HOSTS, check: bool = False, **changes: Any) -> lab.Run:
    """Have the policy of the scenario with these changes put in force, or foreseen in check mode."""
    return TASK.run(hosts, check, **{f"{PREFIX}{name}": value for name, value in changes.items()})


def refuse(policy: Dict[str, Any]) -> lab.Run:
    """Give the module a policy that it refuses on every host."""
    options = {"watches": watches(), "auditd": {}, **policy}
    return run_module(HOSTS, "audit_watch", options).expect_failure(HOSTS)


def result(run: lab.Run, host: str) -> Dict[str, Any]:
    """What audit_watch returned on a host."""
    return next(one for one in reversed(run.results[host]) if "controls" in one)


def state_of(host: str) -> str:
    """Digest of every file that the role could have written, with owner, mode and time of change."""
    return lab.shell(
        host,
        f"find {OURS} -xdev -printf '%p %m %u %T@ ' -type f -exec sha256sum {{}} + -o -printf '\\n'",
    )


def loaded_at_boot(host: str) -> List[str]:
    """The rules that the next boot would load, in their order, as augenrules itself has joined them."""
    lab.shell(host, "augenrules")
    lines = lab.shell(host, "cat /etc/audit/audit.rules").splitlines()
    return [line for line in lines if line.strip() and not line.startswith("#")]
