# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Accounts, sshd and systemd as data intake needs them (I/O)."""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import signal
import time
from typing import Callable, Dict, List, Mapping, Optional, Sequence, Tuple

from .accounts import COMMENT, HOME, SHELLS, Account

Runner = Callable[[Sequence[str], bytes], Tuple[int, bytes, bytes]]
"""Runs a program without a shell, with these bytes as its input; gives status, output and errors."""

_DIRECTORIES = ("/usr/sbin", "/sbin", "/usr/bin", "/bin")
_PROPERTIES = (
    "Id,LoadState,ActiveState,UnitFileState,NeedDaemonReload,Result,StateChangeTimestampMonotonic"
)
SSHD_CONFIG = "/etc/ssh/sshd_config"
_RUN_SSHD = "/run/sshd"


class HostError(Exception):
    """Something about the host that stops the run; one sentence."""


def program(name: str) -> str:
    """The path of a program; '' when it is not installed."""
    for directory in _DIRECTORIES:
        path = os.path.join(directory, name)
        if os.access(path, os.X_OK):
            return path
    return ""


def call(run: Runner, words: Sequence[str], stdin: bytes = b"") -> bytes:
    """The output of a program that must succeed; HostError with its own words otherwise."""
    path = program(words[0])
    if not path:
        raise HostError(f"{words[0]} is not installed on this host")
    status, out, err = run([path, *words[1:]], stdin)
    if status:
        lines = [one for one in (err or out).decode("utf-8", "replace").splitlines() if one.strip()]
        said = lines[-1].strip() if lines else f"status {status}"
        raise HostError(f"{' '.join(words[:3])} failed: {said}")
    return out


# --- accounts


def account_of(name: str) -> Optional[Account]:
    """An account, or None."""
    try:
        found = pwd.getpwnam(name)
    except KeyError:
        return None
    groups = tuple(sorted(one.gr_name for one in grp.getgrall() if name in one.gr_mem))
    return Account(found.pw_uid, found.pw_gid, found.pw_gecos, found.pw_dir, found.pw_shell, groups)


def group_id(name: str) -> Optional[int]:
    """The number of a group, or None."""
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        return None


def members(group: str) -> List[str]:
    """Accounts of ours in the group."""
    try:
        names = grp.getgrnam(group).gr_mem
    except KeyError:
        return []
    found = {name: account_of(name) for name in names}
    return sorted(name for name, one in found.items() if one and one.comment == COMMENT)


def make_group(run: Runner, name: str) -> None:
    """Make a system group."""
    call(run, ["groupadd", "--system", name])


def make_account(run: Runner, name: str, groups: Sequence[str]) -> None:
    """Make an account that nobody can log in as with a password, or put one of ours right."""
    shell = next((one for one in SHELLS if os.path.exists(one)), SHELLS[0])
    # '*' is no password and, unlike '!', does not lock the account for keys.
    common = ["--home-dir", HOME, "--shell", shell, "--comment", COMMENT, "--password", "*"]
    if account_of(name) is None:
        more = ["--groups", ",".join(groups)] if groups else []
        own = ["--gid", name] if group_id(name) is not None else ["--user-group"]
        call(run, ["useradd", "--system", "--no-create-home", *own, *common, *more, name])
    else:
        common[0] = "--home"
        call(run, ["usermod", *common, "--groups", ",".join(groups), name])


def remove_account(run: Runner, name: str) -> None:
    """End what runs as an account of ours and remove it."""
    account = account_of(name)
    if account is None or account.comment != COMMENT or account.uid == 0:
        return
    for number in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + 2
        while _end(account.uid, number) and time.monotonic() < deadline:
            time.sleep(0.05)
    call(run, ["userdel", name])


def _end(uid: int, number: int) -> int:
    ended = 0
    for pid in os.listdir("/proc"):
        if pid.isdigit():
            try:
                if os.stat(f"/proc/{pid}").st_uid == uid:
                    os.kill(int(pid), number)
                    ended += 1
            except (FileNotFoundError, ProcessLookupError):
                continue
    return ended


# --- systemd


def units(run: Runner, names: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
    """What systemd says of units, by name; empty where systemd is not in charge."""
    # Without a name systemctl would show what it says of itself.
    if not names or not os.path.isdir("/run/systemd/system"):
        return {}
    out = call(run, ["systemctl", "show", "--property=" + _PROPERTIES, *names]).decode()
    found: Dict[str, Dict[str, str]] = {}
    for block in out.split("\n\n"):
        pairs = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        if "Id" in pairs:
            found[pairs["Id"]] = pairs
    return found


def systemctl(run: Runner, *words: str) -> None:
    """Run systemctl; HostError with its own words."""
    call(run, ["systemctl", *words])


def try_systemctl(run: Runner, *words: str) -> None:
    """Run systemctl where its refusal is no news."""
    run([program("systemctl") or "systemctl", *words], b"")


def switch_on(run: Runner, names: Sequence[str], renewed: Sequence[str]) -> None:
    """Have units active, now and after each boot; those that are `renewed` start anew. HostError."""
    found = units(run, names)
    missing = [one for one in names if found.get(one, {}).get("UnitFileState") != "enabled"]
    # One call, and only for those that need it: it makes systemd read all its files anew.
    if missing:
        systemctl(run, "enable", "--quiet", *missing)
    for name in names:
        if name in renewed:
            # systemd refuses a sixth start within ten seconds. That is meant for units that crash, not for one that
            # is changed on purpose. One that was never loaded has nothing to forget, which is an error to systemctl.
            try_systemctl(run, "reset-failed", name)
        start(run, name, "restart" if name in renewed else "start")


def start(run: Runner, name: str, verb: str = "start") -> None:
    """Start a unit, and wait for the end of a service that runs once. HostError with what it said itself."""
    try:
        systemctl(run, verb, name)
    except HostError as error:
        words = ["journalctl", "-u", name, "-o", "cat", "-n", "20", "-p", "warning"]
        said = call(run, words).decode("utf-8", "replace").splitlines()
        # The last line that is not systemd's own summary of it.
        dull = ("Failed to start", f"{name}: Failed with", f"{name}: Main process", "Starting ")
        own = [one for one in said if not one.startswith(dull)]
        raise HostError(f"{name} does not start: {own[-1] if own else error}") from error


def run_once(run: Runner, name: str, unit: Mapping[str, str]) -> None:
    """Have a service that runs once do so from its beginning. HostError with what it said itself.

    `unit` is what systemd said of it once its files were in force. One that was under way then may have begun with
    those of before, and a start would only join it. So it ends first, and how it ends says nothing of the files of now.
    """
    if unit.get("ActiveState") == "activating":
        try_systemctl(run, "start", name)
    start(run, name)


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


# --- sshd


def sshd_check(run: Runner, staged: Sequence[str] = ()) -> None:
    """Whether sshd could start, with these files read before its own. HostError with its own words."""
    # sshd wants its directory even to check a file; where it runs, systemd has made it.
    with contextlib.suppress(FileExistsError):
        os.mkdir(_RUN_SSHD, 0o755)
    words = ["sshd", "-t"]
    if staged:
        text = "".join(f"Include {path}\nMatch all\n" for path in staged)
        words += ["-f", "/dev/stdin"]
        with open(SSHD_CONFIG, "rb") as stream:
            call(run, words, text.encode() + stream.read())
        return
    call(run, words)


def sshd_settings(run: Runner, account: str) -> Dict[str, str]:
    """What sshd would do for a login, by name; a name that comes more than once has its values by line."""
    out = call(run, ["sshd", "-T", "-C", f"user={account},host=localhost,addr=127.0.0.1"])
    found: Dict[str, str] = {}
    for line in out.decode("utf-8", "replace").splitlines():
        name, _space, value = line.partition(" ")
        found[name] = f"{found[name]}\n{value}" if name in found else value
    return found
