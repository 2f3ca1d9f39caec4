# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Units of systemd (I/O)."""

from __future__ import annotations

import os
import time
from typing import Dict, Mapping, Sequence

from .run_io import HostError, call, program, run

_PROPERTIES = (
    "Id,LoadState,ActiveState,UnitFileState,NeedDaemonReload,Result,MainPID,"
    "StateChangeTimestampMonotonic"
)


def in_charge() -> bool:
    """Whether systemd is this host's init."""
    return os.path.isdir("/run/systemd/system")


def units(names: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
    """The state of units, by name; empty where systemd is not in charge."""
    # Without a name systemctl would show the state of systemd itself.
    if not names or not in_charge():
        return {}
    out = call(["systemctl", "show", "--property=" + _PROPERTIES, *names]).decode()
    found: Dict[str, Dict[str, str]] = {}
    for block in out.split("\n\n"):
        pairs = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        if "Id" in pairs:
            found[pairs["Id"]] = pairs
    return found


def systemctl(*words: str) -> None:
    """Run systemctl; HostError with its own words."""
    call(["systemctl", *words])


def try_systemctl(*words: str) -> None:
    """Run systemctl and ignore a failure, where one is expected."""
    run([program("systemctl") or "systemctl", *words])


def switch_on(names: Sequence[str], renewed: Sequence[str]) -> None:
    """Have units active, now and after each boot; those that are `renewed` start anew. HostError."""
    found = units(names)
    missing = [one for one in names if found.get(one, {}).get("UnitFileState") != "enabled"]
    # One call, and only for those that need it: it makes systemd read all its files anew.
    if missing:
        systemctl("enable", "--quiet", *missing)
    for name in names:
        if name in renewed:
            # systemd refuses a sixth start within ten seconds. That is meant for units that crash, not for one that
            # is changed on purpose. One that was never loaded has nothing to forget, which is an error to systemctl.
            try_systemctl("reset-failed", name)
        start(name, "restart" if name in renewed else "start")


def start(name: str, verb: str = "start") -> None:
    """Start a unit, and wait for the end of a service that runs once. HostError with what it said itself."""
    try:
        systemctl(verb, name)
    except HostError as error:
        words = ["journalctl", "-u", name, "-o", "cat", "-n", "20", "-p", "warning"]
        journal = call(words).decode("utf-8", "replace").splitlines()
        # The last line that is not systemd's own summary of it.
        dull = ("Failed to start", f"{name}: Failed with", f"{name}: Main process", "Starting ")
        own = [one for one in journal if not one.startswith(dull)]
        raise HostError(f"{name} does not start: {own[-1] if own else error}") from error


def run_once(name: str, unit: Mapping[str, str]) -> None:
    """Have a service that runs once do so from its beginning. HostError with what it said itself.

    `unit` is its state once its files were in force. One that was under way then may have begun with
    those of before, and a start would only join it. So it ends first, and how it ends says nothing of the files of now.
    """
    if unit.get("ActiveState") == "activating":
        try_systemctl("start", name)
    start(name)


def read_since(unit: Mapping[str, str], paths: Sequence[str]) -> bool:
    """Whether a service changed its state, by a start or a reload, after the last change of the files."""
    stamp = int(unit.get("StateChangeTimestampMonotonic") or 0) / 1e6
    changed = time.time() - time.monotonic() + stamp
    for path in paths:
        try:
            # The status change time: a file that was put back keeps its old modification time.
            if os.stat(path).st_ctime > changed:
                return False
        except FileNotFoundError:
            continue
    return True
