# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs modules on a test machine without loading Ansible's part of them anew each time, which takes seconds there.

Usage: python3 module_server.py [PORT]. It listens on loopback; a request is a line "MODULE ARGUMENTS-FILE", the answer
is what the module prints. Each request has a process of its own, so that nothing of one is left for the next. Without a
port it ends when all is loaded, and so compiled.
"""

from __future__ import annotations

import importlib
import os
import runpy
import signal
import socket
import sys

from ansible.module_utils import basic

PACKAGE = "ansible_collections.twinguard.hardening.plugins.modules"
MODULES = ("audit_watch", "audit_events_info")


def serve(listener: socket.socket) -> None:
    """Answer requests until the process is ended."""
    while True:
        link, _address = listener.accept()
        if os.fork() == 0:
            listener.close()
            answer(link)
        link.close()


def answer(link: socket.socket) -> None:
    """Run one module in this process, with all it prints going to the caller, and end."""
    # The modules wait for the processes they start.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with link.makefile("rb") as stream:
        name, path = stream.readline().decode().split()
    os.dup2(link.fileno(), 1)
    os.dup2(link.fileno(), 2)
    with open(path, "rb") as file:
        basic._ANSIBLE_ARGS = file.read()
    basic._ANSIBLE_PROFILE = "legacy"
    sys.argv = [name]
    runpy.run_module(f"{PACKAGE}.{name}", run_name="__main__")
    sys.exit()


def main() -> None:
    """Load what is needed, then listen."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for name in MODULES:
        # What it needs stays loaded; it itself is run anew.
        importlib.import_module(f"{PACKAGE}.{name}")
        del sys.modules[f"{PACKAGE}.{name}"]
    if len(sys.argv) < 2:
        return
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", int(sys.argv[1])))
        listener.listen()
        serve(listener)


if __name__ == "__main__":
    main()
