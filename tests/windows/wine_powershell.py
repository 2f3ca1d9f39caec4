# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A simulated Windows host whose PowerShell is real: PowerShell 7 under Wine, with stand-ins for Windows' own modules.

`wine.py` installs it. The host is one JSON document (the "world"), which the modules in `stubs` read and write;
only what group policy wrote into the registry is put into the registry itself, where scripts look for it.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import Mapping, NamedTuple

from ansible_collections.twinguard.hardening.tests.windows import wine
from ansible_collections.twinguard.hardening.tests.windows.wine import Problem, ensure
from ansible_collections.twinguard.hardening.tests.windows.winrm_commands import Backend, Process

HERE = Path(__file__).resolve().parent
__all__ = ["Outcome", "Problem", "Started", "WinePowerShell", "backend", "ensure"]

POWERSHELL = "powershell -NoProfile -NonInteractive -ExecutionPolicy Unrestricted"
POLICIES = "HKEY_LOCAL_MACHINE\\SOFTWARE\\Policies"


class Outcome(NamedTuple):
    """What a command left behind."""

    code: int
    stdout: str
    stderr: str


class Started(NamedTuple):
    """A command that runs, and the file that holds its standard error once it has ended."""

    process: subprocess.Popen[bytes]
    late_stderr: Path


def registry_text(registry: Mapping[str, Mapping[str, int | str]]) -> str:
    """Return the text that makes these, and no others, the values that group policy wrote."""
    lines = ["Windows Registry Editor Version 5.00", "", f"[-{POLICIES}]", ""]
    for path, values in registry.items():
        lines.append(f"[{path.replace('HKLM:', 'HKEY_LOCAL_MACHINE')}]")
        for name, value in values.items():
            data = f"dword:{value:08x}" if isinstance(value, int) else json.dumps(value)
            lines.append(f"{json.dumps(name)}={data}")
        lines.append("")
    return "\r\n".join(lines)


class WinePowerShell:
    """A Windows host to run commands on; use it in a `with` statement."""

    def __init__(self, folder: Path, world: Path) -> None:
        """Run on the PowerShell in ``folder`` (what `wine.ensure` returns), on the host described in ``world``."""
        self.place = wine.Place(folder)
        self.world = world
        self._scratch = tempfile.TemporaryDirectory(prefix="twinguard-wine-")
        self._numbers = itertools.count(1)
        self._turn = threading.Lock()
        self._registry: object = None

    def __enter__(self) -> WinePowerShell:
        return self

    def __exit__(self, *_error: object) -> None:
        self._scratch.cleanup()

    def _new_file(self, suffix: str) -> Path:
        return Path(self._scratch.name, f"{next(self._numbers)}{suffix}")

    def _write_registry(self, world: Path) -> None:
        """Bring the registry to what the document says, when that has changed."""
        document = json.loads(world.read_text("utf-8")) if world.exists() else {}
        wanted = document.get("registry", {})
        if wanted == self._registry:
            return
        file = self._new_file(".reg")
        file.write_text(registry_text(wanted), "utf-16")
        line = f"regedit /S {wine.windows_path(file)}"
        process = wine.start(self.place, line, self._new_file(".err"), stdin=subprocess.DEVNULL)
        process.communicate()
        if process.returncode:
            raise RuntimeError(f"`{line}` ended with code {process.returncode}.")
        self._registry = wanted

    def start(
        self, line: str, environment: Mapping[str, str], world: Path | None = None
    ) -> Started:
        """Start a command line as WinRM does, with these variables set."""
        world = world or self.world
        with self._turn:
            self._write_registry(world)
        variables = {
            "PSModulePath": wine.windows_path(HERE / "stubs"),
            "TWINGUARD_WORLD": wine.windows_path(world),
            "TEMP": wine.windows_path(Path(self._scratch.name)),
            "TMP": wine.windows_path(Path(self._scratch.name)),
            **environment,
        }
        late_stderr = self._new_file(".err")
        return Started(wine.start(self.place, line, late_stderr, variables), late_stderr)

    def run(self, line: str, stdin: bytes = b"") -> Outcome:
        """Run a command line to its end."""
        process, late_stderr = self.start(line, {})
        said, _none = process.communicate(stdin)
        errors = late_stderr.read_bytes()
        return Outcome(
            process.returncode, said.decode("utf-8", "replace"), errors.decode("utf-8", "replace")
        )

    def script(self, text: str, stdin: bytes = b"") -> Outcome:
        """Run PowerShell source of any length."""
        file = self._new_file(".ps1")
        # Windows PowerShell knows UTF-8 only by this mark, so the scripts are written as they would be there.
        file.write_text(text, "utf-8-sig")
        return self.run(f"{POWERSHELL} -File {wine.windows_path(file)}", stdin)


def backend(powershell: WinePowerShell, world: Path) -> Backend:
    """Return what the WinRM server starts commands with, on the host described in ``world``."""

    def start(line: str, environment: Mapping[str, str]) -> Process:
        return Process(*powershell.start(line, environment, world))

    return start
