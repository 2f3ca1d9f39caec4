# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Windows host for the loopback server: it runs the two scripts of win_guard on a model of the host.

It knows them by their digests. A script that somebody edited is refused until the model was told of the change, so that
a green test never speaks about other scripts than those that are shipped.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ansible_collections.twinguard.hardening.tests.windows import host_scripts, host_world
from ansible_collections.twinguard.hardening.tests.windows.ansible_payload import (
    Call,
    NoModule,
    module_call,
)
from ansible_collections.twinguard.hardening.tests.windows.host_model import CmdletError, Host
from ansible_collections.twinguard.hardening.tests.windows.winrm_server import Answer

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"
UTILITY = "ansible_collections.twinguard.hardening.plugins.module_utils._windows._win_guard.psm1"
COLLECTION = "ansible_collections.twinguard.hardening.plugins.modules."
MODELLED = {
    "module_utils/_windows/_win_guard.psm1": "3dd54a1075087f57a6fcdcb15dc037f4f3ebc40ecef07f325057da38f41d16d9",
    "modules/win_guard_read.ps1": "b2d3a2b07af5228ba126a38cf1ea57ae13f1eea5c55bd27225196dd8464025d1",
    "modules/win_guard_apply.ps1": "1a76f1ae6129c0f73b8d10d9de506563e0416836f168bd1b5862a393baf3bcee",
}
"""SHA-256 of the scripts that host_scripts.py does the same as."""


class HostDied(Exception):
    """The host lost its power in the middle of a script."""


class WatchedHost(Host):
    """A host that tells of each cmdlet that changes something, before it does."""

    watch: Callable[[str, int], None] | None = None
    save: Callable[[], None] | None = None
    changes = 0

    def call(self, cmdlet: str, **parameters: Any) -> list[dict[str, Any]]:
        """Run a cmdlet; what it changed is kept at once, as Windows does."""
        if cmdlet.startswith("Get-"):
            return super().call(cmdlet, **parameters)
        self.changes += 1
        if self.watch is not None:
            self.watch(cmdlet, self.changes)
        answer = super().call(cmdlet, **parameters)
        if self.save is not None:
            self.save()
        return answer


class ModelBackend:
    """Runs modules on the world in a file; `calls` are the names of those that ran."""

    def __init__(self, world: Path) -> None:
        self.world = world
        self.calls: list[str] = []
        self.watch: Callable[[str, int], None] | None = None
        self._turn = threading.Lock()

    def __call__(self, _line: str, stdin: bytes, _environment: Mapping[str, str]) -> Answer:
        """The function that the server's Answering takes."""
        try:
            call = module_call(stdin)
            result = self.run(known(call), call.arguments)
        except HostDied:
            # Nothing is left that could answer.
            return Answer(code=1, stdout=b"", stderr=b"")
        except (NoModule, CmdletError) as error:
            result = {"failed": True, "msg": str(error)}
        return Answer(code=0, stdout=json.dumps(result).encode() + b"\r\n", stderr=b"")

    def run(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """The result of one module, with the world read before it and kept after each change."""
        with self._turn:
            self.calls.append(name)
            host = WatchedHost(host_world.load(self.world))
            host.watch = self.watch
            host.save = lambda: host_world.save(self.world, host.world)
            return host_scripts.run_script(host, name, arguments)


def known(call: Call) -> str:
    """The name of one of our two modules.

    :raises NoModule: for another one, and for a text that the model does not know.
    """
    name = call.name.removeprefix(COLLECTION)
    texts = {f"modules/{name}.ps1": call.script}
    if UTILITY in call.scripts:
        texts["module_utils/_windows/_win_guard.psm1"] = call.scripts[UTILITY]
    for path, text in texts.items():
        if MODELLED.get(path) != hashlib.sha256(text).hexdigest():
            raise NoModule(
                f"the model of a Windows host does not know {path} as it is: see tests/windows/README.md"
            )
    return name


def current_digests() -> dict[str, str]:
    """What MODELLED has to hold for the scripts of this checkout."""
    return {path: hashlib.sha256((PLUGINS / path).read_bytes()).hexdigest() for path in MODELLED}
