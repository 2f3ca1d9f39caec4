# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The line to a test host: programs, Python programs and modules run there by host_server.py."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
import threading
from concurrent.futures import Future
from functools import lru_cache
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence

import ansible

ROOT = Path(__file__).resolve().parents[2]
SUPPORT = ROOT / "tests" / "support"
ENGINE = os.environ.get("TWINGUARD_ENGINE") or "docker"
COLLECTION = "ansible_collections/twinguard/hardening"
MODULES = "/opt/twinguard-test"  # where the modules lie in a host
HERE = ""  # stands for the controller among the hosts
SECONDS = 240  # the longest that one request may take before it counts as hanging


def container_of(host: str) -> str:
    """The container of an inventory host; the inventory computes the same name."""
    own = os.environ.get("TG_ID") or sha256(str(ROOT).encode()).hexdigest()[:6]
    return f"{host}-{own}"


def exec_in(host: str, *argv: str) -> List[str]:
    """The command line that runs another one in a host's container, with standard input."""
    return [ENGINE, "exec", "-i", container_of(host), *argv]


class Link:
    """A host_server.py at work in a host."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._numbers = count(1)
        self._waiting: Dict[int, Future[Dict[str, Any]]] = {}
        self._lock = threading.Lock()
        self._ended = False
        text = (SUPPORT / "host_server.py").read_text(encoding="utf-8")
        start = (
            [sys.executable, "-c", text] if host == HERE else exec_in(host, "python3", "-c", text)
        )
        self._process = subprocess.Popen(start, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        threading.Thread(target=self._listen, daemon=True).start()

    def start(self, stdin: str = "", **what: Any) -> Future[Dict[str, Any]]:
        """Begin what host_server.py describes; the result is its answer: code, stdout, stderr."""
        answer: Future[Dict[str, Any]] = Future()
        with self._lock:
            assert not self._ended, f"{self._host}: the helper in the host has ended"
            number = next(self._numbers)
            self._waiting[number] = answer
            assert self._process.stdin is not None
            # By standard input, where no process list can show it: some of it are keys.
            line = json.dumps({"id": number, "stdin": stdin, **what})
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()
        return answer

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            answer = json.loads(line)
            with self._lock:
                waiting = self._waiting.pop(answer["id"])
            waiting.set_result(answer)
        with self._lock:
            self._ended = True
            left, self._waiting = self._waiting, {}
        for waiting in left.values():
            waiting.set_exception(AssertionError(f"{self._host}: the helper in the host has ended"))


@lru_cache(maxsize=None)
def link(host: str) -> Link:
    """The line to a host; there is one."""
    return Link(host)


# --- modules


def _no_bytecode(entry: tarfile.TarInfo) -> Optional[tarfile.TarInfo]:
    return None if "__pycache__" in entry.name else entry


@lru_cache(maxsize=None)
def module_tree() -> bytes:
    """Ansible's part for modules and the collection's plugins, as a tar archive of what a host needs to run them."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        # Empty, as Ansible itself has it on a host; core's own needs more of core.
        tar.addfile(tarfile.TarInfo("ansible/__init__.py"))
        core = Path(str(ansible.__file__)).parent
        tar.add(core / "module_utils", "ansible/module_utils", filter=_no_bytecode)
        tar.add(ROOT / "plugins", f"{COLLECTION}/plugins", filter=_no_bytecode)
    return packed.getvalue()


@lru_cache(maxsize=None)
def modules_of(host: str) -> str:
    """Where the modules lie in a host; they are brought there once."""
    if host == HERE:
        return str(ROOT / ".build" / "collections")
    put = f"rm -rf {MODULES}; mkdir -p -m 700 {MODULES}; tar -x -C {MODULES}"
    subprocess.run(exec_in(host, "sh", "-ec", put), input=module_tree(), check=True)
    return MODULES


def start_module(
    host: str, name: str, options: Mapping[str, Any], check: bool = False
) -> Future[Dict[str, Any]]:
    """Begin a module of the collection with these options, and the diff; `module_result` waits for it."""
    given = {**options, "_ansible_check_mode": check, "_ansible_diff": True}
    text = json.dumps({"ANSIBLE_MODULE_ARGS": given})
    return link(host).start(text, module=name, modules=modules_of(host))


def module_result(running: Future[Dict[str, Any]]) -> Dict[str, Any]:
    """What the module returned, failed or not."""
    done = running.result(SECONDS)
    text = done["stdout"].strip()
    assert text.startswith("{"), f"the module said {text}{done['stderr']}"
    return dict(json.loads(text))


def run(host: str, argv: Sequence[str], stdin: str = "") -> Dict[str, Any]:
    """Run a program in a host: its code, stdout and stderr."""
    return link(host).start(stdin, argv=list(argv)).result(SECONDS)
