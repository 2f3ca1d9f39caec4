# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Do something as another user of this host, with no more rights than that user has (I/O).

Root must not write below a home: its owner may put a link into the way at any moment. So the work is
done in a process that has given up root's rights for good.
"""

from __future__ import annotations

import json
import os
import pwd
import traceback
from dataclasses import dataclass
from typing import Any, Callable, Dict

from .._core.error import HardeningError
from .._core.plan import ControlError
from .run_io import clean_environment

_STATE_OF_ROOT = "/var/lib/twinguard"


class AccountError(HardeningError):
    """Work as another user that could not be done; one sentence."""


@dataclass(frozen=True)
class Account:
    """A user of this host."""

    name: str
    uid: int
    gid: int
    home: str

    def environment(self) -> Dict[str, str]:
        """What programs of this user get to see: nothing of whoever runs the module."""
        more = {"HOME": self.home, "USER": self.name, "LOGNAME": self.name}
        runtime = f"/run/user/{self.uid}"
        if os.path.isdir(runtime):
            more["XDG_RUNTIME_DIR"] = runtime
        return {**clean_environment(), **more}

    def path(self, name: str) -> str:
        """A path that may begin with '~/', as it is for this user."""
        return os.path.join(self.home, name[2:]) if name.startswith("~/") else name

    def state_dir(self, purpose: str) -> str:
        """Where unfinished changes to files of this user are noted."""
        if self.uid == 0:
            return f"{_STATE_OF_ROOT}/{purpose}"
        return f"{self.home}/.local/state/twinguard/{purpose}"


def account(name: str, option: str) -> Account:
    """The user of this name. ControlError when there is none, or when we may not act as that user."""
    try:
        found = pwd.getpwnam(name)
    except KeyError as error:
        raise ControlError(option, name, "no such user", "create the user first") from error
    return _usable(found, option)


def account_of(uid: int, option: str) -> Account:
    """The user of this number; the same errors."""
    try:
        found = pwd.getpwuid(uid)
    except KeyError as error:
        raise ControlError(option, uid, "no user has this number", "name a user") from error
    return _usable(found, option)


def _usable(found: pwd.struct_passwd, option: str) -> Account:
    if os.geteuid() not in (0, found.pw_uid):
        raise ControlError(
            option, found.pw_name, "only root can act as another user", "run the task with become"
        )
    return Account(found.pw_name, found.pw_uid, found.pw_gid, found.pw_dir.rstrip("/") or "/")


def as_account(who: Account, work: Callable[[], Dict[str, Any]]) -> Dict[str, Any]:
    """Call `work` as this user and return what it returns, which must be fit for JSON.

    AccountError with the sentence of any HardeningError or OSError that it raises.
    """
    if os.geteuid() == who.uid:
        return _sheltered(work)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _work_as(who, work, writer)
    os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        reply = stream.read()
    _pid, status = os.waitpid(child, 0)
    try:
        answer: Dict[str, Any] = json.loads(reply.decode("utf-8"))
    except ValueError as error:
        raise AccountError(
            f"the work as {who.name} ended with status {status} and without an answer"
        ) from error
    if "crash" in answer:
        raise AccountError(f"the work as {who.name} failed: {answer['crash']}")
    if "refused" in answer:
        raise AccountError(answer["refused"])
    return dict(answer["done"])


def _sheltered(work: Callable[[], Dict[str, Any]]) -> Dict[str, Any]:
    try:
        return work()
    except (HardeningError, OSError) as error:
        raise AccountError(str(error)) from error


def _work_as(who: Account, work: Callable[[], Dict[str, Any]], writer: int) -> None:
    """The other process: never returns."""
    answer: Dict[str, Any] = {}
    try:
        os.setsid()  # no terminal, so that nobody is asked for a passphrase
        os.initgroups(who.name, who.gid)
        os.setresgid(who.gid, who.gid, who.gid)
        os.setresuid(who.uid, who.uid, who.uid)
        os.umask(0o022)
        os.chdir("/")
        answer = {"done": _sheltered(work)}
    except AccountError as error:
        answer = {"refused": str(error)}
    except BaseException:  # noqa: BLE001 - there is nobody above, and the other process must hear of it
        answer = {"crash": traceback.format_exc(limit=-3)}
    finally:
        try:
            with os.fdopen(writer, "wb") as stream:
                stream.write(json.dumps(answer).encode("utf-8"))
        finally:
            os._exit(0)
