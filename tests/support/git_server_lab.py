# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The git servers of the scenario git_guard, and the client that pushes to them over ssh."""

from __future__ import annotations

import json
import subprocess
import time
from functools import lru_cache
from typing import Any

import lab
from role_task import RoleTask

SERVERS = ("tgm-git-12", "tgm-git-13")
CLIENT = "tgm-git-client"
TASK = RoleTask("git_guard", "git_guard", "git_guard", "git_servers")
CONVERGE = lab.ROOT / "molecule" / "git_guard" / "converge.yml"
# In the names of branches, so that the tests can run again on the same hosts.
RUN = f"{int(time.time()):x}"
# Connections are kept for a while, as people do who push often. The servers' own keys are as new as their containers.
SSH = (
    "ssh -i /opt/lab/keys/push -o IdentitiesOnly=yes -o StrictHostKeyChecking=no"
    " -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"
    " -o ControlMaster=auto -o ControlPath=/tmp/%C -o ControlPersist=20"
)


def start(work: str, server: str, name: str, **options: Any) -> subprocess.Popen[str]:
    """Begin some work of git_pusher.py on the client; `done` waits for it."""
    address = lab.address_of(server)
    given = {
        "keys": "/opt/lab/keys",
        "guarded": f"git@{address}:models.git",
        "naive": f"git@{address}:naive-{{mode}}.git",
        "ssh": SSH,
        "name": name,
        **options,
    }
    process = subprocess.Popen(
        lab.exec_in(CLIENT, "python3", "/opt/lab/git_pusher.py", work),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(given))
    process.stdin.close()
    process.stdin = None
    return process


def done(process: subprocess.Popen[str]) -> Any:
    """What the work returned."""
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return json.loads(out)


@lru_cache(maxsize=None)
def everywhere(work: str, name: str, **options: Any) -> dict[str, Any]:
    """The same work against both servers at once; done only the first time it is asked for."""
    runs = {server: start(work, server, f"{name}-{RUN}", **options) for server in SERVERS}
    return {server: done(process) for server, process in runs.items()}


def good_push(server: str, name: str, **options: Any) -> tuple[bool, str]:
    """Whether a push that is good in every way gets in, to a branch of this name, and what was said."""
    ok, said = done(start("good_push", server, f"{name}-{RUN}", **options))
    return bool(ok), str(said)


def gitolite(server: str) -> str:
    """The repository of gitolite."""
    return f"gitolite3@{lab.address_of(server)}:models"


def converge(*arguments: str, **variables: Any) -> lab.Run:
    """Run the role on the servers with these variables of it changed."""
    return lab.play(
        CONVERGE, {f"git_guard_{name}": one for name, one in variables.items()}, *arguments
    )


def apply(server: str, **variables: Any) -> lab.Run:
    """Have the policy with these variables of the role changed put in force on a server."""
    changes = {f"git_guard_{name}": one for name, one in variables.items()}
    return TASK.run([server], **changes)


def control(run: lab.Run, server: str) -> dict[str, str]:
    """The status of each repository."""
    (result,) = [one for one in run.results[server] if "controls" in one]
    return {
        one["resource"]: one["status"] for one in result["controls"] if one["id"] == "git.guard"
    }


def journal(server: str) -> str:
    """What the guard has written, without the trials of the role."""
    return lab.shell(server, "journalctl -q -t twinguard-git-guard -o cat --no-pager")
