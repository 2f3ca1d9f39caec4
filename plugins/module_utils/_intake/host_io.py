# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Accounts and sshd of the intake (I/O)."""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import signal
import time
from typing import Dict, List, Optional, Sequence

from .._host.run_io import call
from .accounts import COMMENT, HOME, SHELLS, Account

SSHD_CONFIG = "/etc/ssh/sshd_config"
_RUN_SSHD = "/run/sshd"


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
    """The id of a group, or None."""
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        return None


def members(group: str) -> List[str]:
    """Our own accounts in the group."""
    try:
        names = grp.getgrnam(group).gr_mem
    except KeyError:
        return []
    found = {name: account_of(name) for name in names}
    return sorted(name for name, one in found.items() if one and one.comment == COMMENT)


def make_group(name: str) -> None:
    """Create a system group."""
    call(["groupadd", "--system", name])


def make_account(name: str, groups: Sequence[str]) -> None:
    """Create an account without a password, or correct one of ours."""
    shell = next((one for one in SHELLS if os.path.exists(one)), SHELLS[0])
    # '*' matches no password and, unlike '!', does not lock the account for keys.
    common = ["--home-dir", HOME, "--shell", shell, "--comment", COMMENT, "--password", "*"]
    if account_of(name) is None:
        more = ["--groups", ",".join(groups)] if groups else []
        own = ["--gid", name] if group_id(name) is not None else ["--user-group"]
        call(["useradd", "--system", "--no-create-home", *own, *common, *more, name])
    else:
        common[0] = "--home"
        call(["usermod", *common, "--groups", ",".join(groups), name])


def remove_account(name: str) -> None:
    """End the processes of one of our accounts, and remove it."""
    account = account_of(name)
    if account is None or account.comment != COMMENT or account.uid == 0:
        return
    for number in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + 2
        while _end(account.uid, number) and time.monotonic() < deadline:
            time.sleep(0.05)
    call(["userdel", name])


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


# --- sshd


def sshd_check(staged: Sequence[str] = ()) -> None:
    """Check that sshd could start, with these files read before its own. HostError with its message."""
    # sshd needs its directory even to check a file; where it runs, systemd has created it.
    with contextlib.suppress(FileExistsError):
        os.mkdir(_RUN_SSHD, 0o755)
    words = ["sshd", "-t"]
    if staged:
        text = "".join(f"Include {path}\nMatch all\n" for path in staged)
        words += ["-f", "/dev/stdin"]
        with open(SSHD_CONFIG, "rb") as stream:
            call(words, text.encode() + stream.read())
        return
    call(words)


def sshd_settings(account: str) -> Dict[str, str]:
    """The effective settings of sshd for a login, by name; a repeated name has one value on each line."""
    out = call(["sshd", "-T", "-C", f"user={account},host=localhost,addr=127.0.0.1"])
    found: Dict[str, str] = {}
    for line in out.decode("utf-8", "replace").splitlines():
        name, _space, value = line.partition(" ")
        found[name] = f"{found[name]}\n{value}" if name in found else value
    return found
