# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Starts a Python program many times without its imports: they are most of what one run of a module costs.

Usage: python3 starter.py PROGRAM. It imports the module of that name, or what the program at that path imports. Then it
forks for each request, a JSON line on standard input: {"command": ["-m", module, arguments...] or [path, arguments...],
"out": path, "err": path, "places": bool}. It answers with the process id, waits for an empty line, lets the program
run, and answers with its exit code. Between the two lines a tracer can attach. Each run has a process, a `__main__` and
files of its own; what was imported has not run yet.

With "places" each run shows in a trace where in this collection's code the next system call comes from. strace sees
system calls and not the Python code that makes them, so before each call of a C function that may change something the
program asks for access to a path that is not there and that names the place. agent.py takes the two apart again.
"""

from __future__ import annotations

import ast
import atexit
import gc
import importlib
import json
import os
import runpy
import sys
import traceback
from collections.abc import Callable
from types import FrameType
from typing import Any

OURS = "/twinguard/hardening/"
PLACE = "/twinguard-place/"
# Of the modules posix and _io; they are called often and change nothing.
HARMLESS = {"stat", "lstat", "fstat", "fspath", "getcwd", "listdir", "scandir", "read", "readinto"}


def main(program: str) -> None:
    """Serve until standard input ends."""
    prepare(program)
    # What the garbage collector does not touch stays shared with the runs.
    gc.freeze()
    for line in sys.stdin:
        request = json.loads(line)
        gate, opener = os.pipe()
        process = os.fork()
        if process == 0:
            os.close(opener)
            end(become, request, gate)
        os.close(gate)
        print(process, flush=True)
        sys.stdin.readline()
        os.close(opener)
        _pid, status = os.waitpid(process, 0)
        print(os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status), flush=True)


def prepare(program: str) -> None:
    """Import what each run would import."""
    if "/" not in program:
        importlib.import_module(program)
        return
    with open(program, encoding="utf-8") as text:
        tree = ast.parse(text.read())
    tree.body = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
    exec(compile(tree, program, "exec"), {})


def become(request: dict[str, Any], gate: int) -> None:
    """Be the program that was asked for, once the gate opens."""
    for fd, path, flags in (
        (0, os.devnull, os.O_RDONLY),
        (1, request["out"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
        (2, request["err"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
    ):
        opened = os.open(path, flags, 0o600)
        os.dup2(opened, fd)
        os.close(opened)
    os.read(gate, 1)
    os.close(gate)
    command = request["command"]
    if request["places"]:
        sys.setprofile(show_place)
    if command[0] == "-m":
        sys.argv = command[1:]
        # It is run anew, and not only imported.
        sys.modules.pop(command[1], None)
        runpy.run_module(command[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = command
        runpy.run_path(command[0], run_name="__main__")


def end(program: Callable[..., None], *words: Any) -> None:
    """Call it and end the process as Python would, without taking to pieces what the imports made."""
    code: Any = 0
    try:
        program(*words)
    except SystemExit as error:
        code = error.code or 0
    except BaseException:  # noqa: BLE001 - Python shows any of them and ends with 1
        traceback.print_exc()
        code = 1
    atexit._run_exitfuncs()
    if not isinstance(code, int):
        print(code, file=sys.stderr)
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def show_place(frame: FrameType | None, event: str, function: Any) -> None:
    """The interpreter calls this at each call and return of a function."""
    if event != "c_call" or function.__name__ in HARMLESS:
        return
    owner = type(getattr(function, "__self__", None)).__module__
    if "_io" not in (owner, function.__module__) and function.__module__ not in ("posix", "io"):
        return
    stack: list[str] = []
    while frame is not None:
        path = frame.f_code.co_filename
        line = f"{path.rpartition(OURS)[2].replace('/', '.')}:{frame.f_lineno}"
        # A function that calls itself is one place at each depth.
        if OURS in path and line not in stack:
            stack.append(line)
        frame = frame.f_back
    os.access(PLACE + "<".join(stack), os.F_OK)


if __name__ == "__main__":
    main(sys.argv[1])
