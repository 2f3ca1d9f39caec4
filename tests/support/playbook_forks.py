# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real runs of `ansible-playbook` and `ansible` for tests that need many: loaded once, and forked for each run.

A run does what it does by itself, in a process of its own; only the second and a half of imports is saved. All runs
have the environment that the program was started with, because Ansible reads its settings while it is imported.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any, Mapping, NamedTuple, Sequence

# What most runs import sooner or later. None of it looks at the arguments.
LOADED = (
    "ansible.cli.adhoc",
    "ansible.cli.playbook",
    "ansible.executor.playbook_executor",
    "ansible.executor.task_queue_manager",
    "ansible.executor.process.worker",
    "ansible.plugins.loader",
    "ansible.plugins.strategy.linear",
    "ansible.parsing.yaml.objects",
    "ansible.module_utils.basic",
    "winrm.protocol",
    "requests_ntlm",
)


class Run(NamedTuple):
    """What a run left behind."""

    returncode: int
    stdout: str
    stderr: str


class Forks:
    """The loaded program; use it in a `with` statement or call `end`."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=dict(environment),
        )

    def run(self, argv: Sequence[str], cwd: Path) -> Run:
        """Run `ansible` or `ansible-playbook` with these arguments."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with tempfile.TemporaryDirectory() as folder:
            out, err = Path(folder, "out"), Path(folder, "err")
            request = {"argv": list(argv), "cwd": str(cwd), "out": str(out), "err": str(err)}
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
            status = int(self.process.stdout.readline())
            return Run(status, out.read_text("utf-8"), err.read_text("utf-8"))

    def end(self) -> None:
        """End the program, which has nothing left to do."""
        self.process.communicate()
        assert self.process.returncode == 0


def carry_out(request: Mapping[str, Any]) -> None:
    """Be the run, in a process of its own; this does not return."""
    status = 99
    try:
        os.chdir(request["cwd"])
        for number, path in ((1, request["out"]), (2, request["err"])):
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            os.dup2(file, number)
            os.close(file)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        sys.argv = list(request["argv"])
        kind = "playbook" if sys.argv[0].endswith("playbook") else "adhoc"
        importlib.import_module(f"ansible.cli.{kind}").main()
    except SystemExit as end:
        status = int(end.code or 0)
    except BaseException:  # noqa: BLE001
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def main() -> None:
    """Load Ansible, then do what each line asks for until there is no further one."""
    for name in LOADED:
        importlib.import_module(name)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            carry_out(json.loads(line))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
