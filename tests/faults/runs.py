# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a module where the agent is: undisturbed, with its system calls shown, or with a fault in one of them."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

CALLS = (
    "openat,open,creat,write,pwrite64,writev,rename,renameat,renameat2,link,linkat,symlink,symlinkat,unlink,unlinkat,"
    "mkdir,mkdirat,rmdir,chmod,fchmod,fchmodat,chown,fchown,fchownat,lchown,utimensat,setxattr,fsetxattr,lsetxattr,"
    "removexattr,fremovexattr,lremovexattr,truncate,ftruncate,fallocate,fsync,fdatasync,sendfile,copy_file_range"
)
LIMIT = 600  # seconds after which a run of the module hangs; nothing is measured by it


class Run(NamedTuple):
    """How one run of the module ended. `result` is its JSON, or None without any."""

    status: int
    result: dict[str, Any] | None
    output: str


class Starter:
    """A process of starter.py, and the runs of its program, one after the other."""

    def __init__(self, program: str, env: dict[str, str]) -> None:
        self.directory = tempfile.mkdtemp()
        self.out, self.err = (Path(self.directory, name) for name in ("out", "err"))
        starter = str(Path(__file__).with_name("starter.py"))
        self.process = subprocess.Popen(
            [sys.executable, starter, program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=env,
            cwd="/",
        )
        self.pid = 0

    def begin(self, command: Sequence[str], places: bool = False) -> int:
        """Make the process of a run, which waits; return its id."""
        request = {"command": command, "out": str(self.out), "err": str(self.err), "places": places}
        self._say(json.dumps(request))
        self.pid = int(self._answer())
        return self.pid

    def finish(self) -> Run:
        """Let it run to its end."""
        self._say("")
        status = int(self._answer())
        out, errors = (path.read_text(errors="replace") for path in (self.out, self.err))
        lines = out.strip().splitlines()
        try:
            result = json.loads(lines[-1]) if lines else None
        except ValueError:
            result = None
        return Run(status, result, out + errors)

    def _say(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def _answer(self) -> str:
        assert self.process.stdout is not None
        if not select.select([self.process.stdout], [], [], LIMIT)[0]:
            os.kill(self.pid, 9)
            raise RuntimeError(f"a run did not end within {LIMIT} s")
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("starter.py ended; what it said is above")
        return line


def run(command: Sequence[str], work: str, tracer: Sequence[str] = (), places: bool = False) -> Run:
    """Run the command line of a Python program, with or without a tracer that attaches to it."""
    starter = starter_of(command[2] if command[1] == "-m" else command[1], work)
    process = starter.begin(command[1:], places)
    if not tracer:
        return starter.finish()
    with attached([*tracer, "-p", str(process)]):
        return starter.finish()


@lru_cache(maxsize=None)
def starter_of(program: str, work: str) -> Starter:
    """One for each program; it ends with the agent."""
    # The same environment each time, so that the n-th call is the same call each time.
    env = {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "LC_ALL": "C.UTF-8",
        "HOME": work,
        "PYTHONHASHSEED": "0",
        "PYTHONPATH": os.environ["PYTHONPATH"],
    }
    return Starter(program, env)


@contextmanager
def attached(command: Sequence[str]) -> Iterator[None]:
    """strace, from when it has the process until both have ended."""
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as strace:
        assert strace.stderr is not None
        said = strace.stderr.readline()
        if "attached" not in said:
            raise RuntimeError(f"{' '.join(command)}: {said}{strace.stderr.read()}")
        yield
        strace.stderr.read()
