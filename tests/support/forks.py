# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs Python programs for tests that need many runs: loaded once, and forked for each run.

A run is `python -m NAME` in a process of its own and does all that it does by itself; only its imports are saved, which
are most of what a module or ansible-playbook takes. All runs have the environment that the program was started with,
because Ansible reads its settings while it is imported.
"""

from __future__ import annotations

import importlib
import json
import os
import runpy
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any, Mapping, NamedTuple, Sequence

# What any run of ansible-playbook or ansible imports sooner or later; nothing of it looks at the arguments.
ANSIBLE = (
    "ansible.cli.adhoc",
    "ansible.cli.playbook",
    "ansible.executor.playbook_executor",
    "ansible.executor.process.worker",
    "ansible.plugins.strategy.linear",
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
    """The loaded program; `end` ends it."""

    def __init__(self, loaded: Sequence[str], environment: Mapping[str, str]) -> None:
        """Load these modules in this environment."""
        self.process = subprocess.Popen(
            [sys.executable, __file__, *loaded],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=dict(environment),
        )

    def run(self, module: str, *words: str, cwd: Path, stdin: str = "") -> Run:
        """Run `python -m MODULE WORDS`."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with tempfile.TemporaryDirectory() as folder:
            files = [Path(folder, name) for name in ("in", "out", "err")]
            files[0].write_text(stdin, "utf-8")
            request = {
                "module": module,
                "words": words,
                "cwd": str(cwd),
                "files": [*map(str, files)],
            }
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
            status = int(self.process.stdout.readline())
            return Run(status, files[1].read_text("utf-8"), files[2].read_text("utf-8"))

    def end(self) -> None:
        """End the program, which has nothing left to do."""
        self.process.communicate()
        assert self.process.returncode == 0


def carry_out(request: Mapping[str, Any]) -> None:
    """Be the run; this does not return."""
    status = 99
    try:
        os.chdir(request["cwd"])
        for number, path in enumerate(request["files"]):
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            os.dup2(file, number)
            os.close(file)
        sys.argv = [request["module"], *request["words"]]
        runpy.run_module(request["module"], run_name="__main__", alter_sys=True)
        status = 0
    except SystemExit as end:
        status = int(end.code or 0)
    except BaseException:  # noqa: BLE001
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def main() -> None:
    """Load what was asked for, then run what each line asks for until there is no further one."""
    for name in sys.argv[1:]:
        importlib.import_module(name)
        # What it needs stays loaded; it itself is run anew.
        del sys.modules[name]
    # Not the buffered stream: a child would inherit what was read of the next request.
    for line in iter(sys.stdin.readline, ""):
        child = os.fork()
        if child == 0:
            carry_out(json.loads(line))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
