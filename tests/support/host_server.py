# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Does what the behaviour tests ask of a test host, inside it (Python 3.9 or newer, standard library only).

One of these for each host, for as long as the tests run: what they ask for then costs no new `docker exec`, and no new
start of Python or of Ansible's module code. Each request still has a process of its own, so that nothing of one is left
for the next. Files of requests and answers lie in memory only, since some hold keys.

Each line of standard input is a JSON object: its `id`, `stdin` (a text), and one of

    argv       a program and its arguments
    program    the text of a Python program; `needs` are modules of Python to load once, for all that need them
    module     the name of a module of the collection below `modules`, which holds its tree and that of Ansible; its
               arguments are the text in `stdin`

Each line of standard output is the answer to one of them: {id, code, stdout, stderr}. They come as they end.
"""

from __future__ import annotations

import fcntl
import importlib
import json
import os
import runpy
import signal
import subprocess
import sys
import traceback
from contextlib import suppress
from typing import Any, Dict

PACKAGE = "ansible_collections.twinguard.hardening.plugins.modules"
# Python adds it where there is no locale; a program that is asked for shall see what it would see without us.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "LC_CTYPE"}


def load(request: Dict[str, Any]) -> None:
    """Load what a request needs, once for all requests; a module itself is run anew each time."""
    for name in request.get("needs", []):
        importlib.import_module(name)
    if "module" in request:
        name = f"{PACKAGE}.{request['module']}"
        if request["modules"] not in sys.path:
            sys.path.insert(0, request["modules"])
        # A module that cannot be loaded says so when it is run.
        with suppress(Exception):
            importlib.import_module(name)
            del sys.modules[name]


def work(request: Dict[str, Any]) -> int:
    """Do what is asked for with the standard streams as they are; return the exit code."""
    if "argv" in request:
        return subprocess.call(request["argv"], env=ENVIRONMENT)
    try:
        if "program" in request:
            exec(compile(request["program"], "<program>", "exec"), {"__name__": "__main__"})
        else:
            from ansible.module_utils import basic  # noqa: PLC0415 - from the tree

            basic._ANSIBLE_ARGS = sys.stdin.buffer.read()
            basic._ANSIBLE_PROFILE = "legacy"
            sys.argv = [request["module"]]
            runpy.run_module(f"{PACKAGE}.{request['module']}", run_name="__main__")
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:  # noqa: BLE001 - it was asked for, so who asked is told
        traceback.print_exc()
        return 1
    return 0


def answer(request: Dict[str, Any], to: int) -> None:
    """Do what is asked for and write the answer."""
    # Modules and programs wait for the processes that they start.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    streams = [os.memfd_create(name) for name in ("stdin", "stdout", "stderr")]
    with open(streams[0], "wb", closefd=False) as given:
        given.write(request["stdin"].encode())
    os.lseek(streams[0], 0, os.SEEK_SET)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")  # noqa: SIM115
    code = work(request)
    sys.stdout.flush()
    sys.stderr.flush()
    texts = []
    for stream in streams[1:]:
        os.lseek(stream, 0, os.SEEK_SET)
        with open(stream, "rb") as written:
            texts.append(written.read().decode("utf-8", "backslashreplace"))
    line = {"id": request["id"], "code": code, "stdout": texts[0], "stderr": texts[1]}
    # Answers are longer than what a pipe takes in one piece: one at a time.
    fcntl.lockf(LOCK, fcntl.LOCK_EX)
    with open(to, "wb", closefd=False) as pipe:
        pipe.write(json.dumps(line).encode() + b"\n")


def main() -> None:
    """Answer until standard input closes."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    requests, answers = os.fdopen(os.dup(0), "rb"), os.dup(1)
    for line in requests:
        request = json.loads(line)
        load(request)
        if os.fork() == 0:
            try:
                answer(request, answers)
            finally:
                os._exit(0)


LOCK = os.memfd_create("lock")

if __name__ == "__main__":
    main()
