# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs trials of the file transaction, each in a process of its own whose os functions fail at the k-th call.

As a program it reads a trial per line and answers with one: pytest's own process is so large that a fork of it costs
more than the trial.
"""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any, Callable, NamedTuple

from ansible_collections.twinguard.hardening.plugins.module_utils._files.transaction_io import (
    Absent,
    DirSpec,
    FilesError,
    FileSpec,
    Transaction,
    Wanted,
)

# Where this checkout is seen as a collection: the folder above "ansible_collections".
COLLECTIONS = next(
    parent.parent
    for parent in Path(__file__).absolute().parents
    if parent.name == "ansible_collections"
)
_FILES = ("open", "write", "fchown", "fchmod", "fsync", "rename", "link", "unlink", "ftruncate")
MUTATING = frozenset([*_FILES, "mkdir", "rmdir", "symlink", "utime", "setxattr", "removexattr"])
KILLED, DONE, FAILED, CRASHED = 9, 0, 3, 4
SECRET_NEW = b"new-secret" * 20


class Fault(NamedTuple):
    """What happens at the k-th mutating call, once or from then on."""

    name: str
    number: int = 0
    lasting: bool = False


KILL = Fault("kill")
NO_FAULT = Fault("none")
FAULTS = [
    KILL,
    Fault("ENOSPC", errno.ENOSPC),
    Fault("EIO", errno.EIO),
    Fault("EROFS", errno.EROFS),
    Fault("lasting ENOSPC", errno.ENOSPC, lasting=True),
    Fault("lasting EROFS", errno.EROFS, lasting=True),
]


class Injector:
    """Counts the mutating calls of this process and breaks the k-th one; k = 0 only counts."""

    def __init__(self, fault: Fault, k: int, hard_links: bool) -> None:
        self.fault, self.k, self.count = fault, k, 0
        for name in MUTATING:
            setattr(os, name, self.wrap(name, getattr(os, name)))
        if not hard_links:
            os.link = self.refuse

    def wrap(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if name == "open" and not args[1] & os.O_CREAT:
                return real(*args, **kwargs)
            self.count += 1
            if self.k and (self.count == self.k or (self.fault.lasting and self.count > self.k)):
                if not self.fault.number:
                    os._exit(KILLED)
                # A full disk lets names be removed and renamed; nothing else is promised here.
                if self.fault.number != errno.ENOSPC or name not in ("unlink", "rmdir"):
                    raise OSError(self.fault.number, os.strerror(self.fault.number))
            return real(*args, **kwargs)

        return call

    @staticmethod
    def refuse(*_args: Any, **_kwargs: Any) -> None:
        raise OSError(errno.EPERM, "no hard links here")


class Trial(NamedTuple):
    """What is done where, and what is broken meanwhile."""

    base: str
    work: str
    fault: Fault = NO_FAULT
    k: int = 0
    hard_links: bool = True


def wanted(etc: str) -> list[Wanted]:
    return [
        DirSpec(etc + "/new", 0o750),
        FileSpec(etc + "/new/key", SECRET_NEW, 0o600, secret=True),
        FileSpec(etc + "/secret", SECRET_NEW, secret=True),
        DirSpec(etc + "/sub", 0o711),
        FileSpec(etc + "/link", b"changed"),
        FileSpec(etc + "/plain", b"new" * 40, 0o640),
        Absent(etc + "/gone"),
    ]


def change(base: str) -> None:
    with Transaction(f"{base}/var/state", lock_wait=0) as files:
        files.stage(wanted(f"{base}/etc"))
        files.commit()
        files.confirm()


def recover(base: str) -> None:
    with Transaction(f"{base}/var/state", lock_wait=0):
        pass


def fork(trial: Trial) -> tuple[int, str]:
    """Do the work in a new process; its exit status, and its error or number of calls."""
    message = Path(trial.base, "message")
    child = os.fork()
    if child == 0:
        status, text = CRASHED, ""
        try:
            injector = Injector(trial.fault, trial.k, trial.hard_links)
            (change if trial.work == "change" else recover)(trial.base)
            status, text = DONE, str(injector.count)
        except FilesError as error:
            status, text = FAILED, str(error)
        finally:
            message.write_text(text or traceback.format_exc())
            os._exit(status)
    status = os.waitpid(child, 0)[1] >> 8
    return status, message.read_text() if status != KILLED else ""


class Forker:
    """The program at work, for many trials."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(COLLECTIONS), *sys.path])},
        )

    def run(self, trial: Trial) -> tuple[int, str]:
        """The exit status of the trial, and its error or number of calls."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(trial) + "\n")
        self.process.stdin.flush()
        status, message = json.loads(self.process.stdout.readline())
        return status, message

    def end(self) -> None:
        self.process.communicate()
        assert self.process.returncode == 0


def main() -> None:
    for line in sys.stdin:
        base, work, fault, k, hard_links = json.loads(line)
        print(json.dumps(fork(Trial(base, work, Fault(*fault), k, hard_links))), flush=True)


if __name__ == "__main__":
    main()
