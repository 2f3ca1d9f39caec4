# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make small accesses from a fresh process and wait until the audit log has them (I/O)."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import sys
import time
from typing import Any, Callable, List, Mapping, NamedTuple, Sequence, Tuple

from .canary import PREFIX, Access, Event, Proof, events, judge
from .watch import Watch

_POLL = 0.05
_ATTRIBUTE = "user.twinguard.canary"
_OPEN = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY


class Tail:
    """What is written to a log from now on, across a rotation."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.data = b""
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        os.lseek(self._fd, 0, os.SEEK_END)

    def close(self) -> None:
        """End; harmless when done twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def more(self) -> bytes:
        """All that was written so far."""
        self._read()
        with contextlib.suppress(FileNotFoundError):  # between the two renames of a rotation
            here, ours = os.stat(self.path), os.fstat(self._fd)
            if (here.st_dev, here.st_ino) != (ours.st_dev, ours.st_ino):
                new = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
                self._read()  # what came into the old file before it was closed
                self.close()
                self._fd = new
                self._read()
        return self.data

    def _read(self) -> None:
        while True:
            piece = os.read(self._fd, 1 << 20)
            if not piece:
                return
            self.data += piece


class CanaryRun(NamedTuple):
    """The result of the accesses: the process that made them, its events, the proof, and the accesses that
    the host refused in a way that leaves no record, with the reason.
    """

    pid: int
    events: List[Event]
    proof: Proof
    refused: Mapping[Access, str]


def run_canaries(
    todo: Sequence[Access], watches: Sequence[Watch], log_path: str, seconds: float
) -> CanaryRun:
    """Do all accesses in one new process and wait for their events, `seconds` at most.

    Raises OSError if the log cannot be read.
    """
    tail = Tail(log_path)
    try:
        deadline = time.monotonic() + seconds
        pid, answer = _in_child(lambda: _do_all(todo), deadline)
        refused = {todo[number]: os.strerror(error) for number, error in answer}
        made = [access for access in todo if access not in refused]
        while True:
            begun = time.monotonic()
            # The last line may be half written.
            found = events(tail.more().rpartition(b"\n")[0], pid)
            proof = judge(made, watches, found)
            if proof.complete or time.monotonic() > deadline:
                return CanaryRun(pid, found, proof, refused)
            # So that the daemon gets as much of the processor as we take.
            time.sleep(max(_POLL, time.monotonic() - begun))
    finally:
        tail.close()
        _clean(todo)


def _in_child(work: Callable[[], Any], deadline: float) -> Tuple[int, List[List[int]]]:
    """Run something in a process that audit has seen from its birth; its number and its answer."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.close(ours)
            os.write(theirs, json.dumps(work()).encode())
            status = 0
        finally:
            os._exit(status)
    os.close(theirs)
    answer, ended = b"", False
    try:
        # The pipe closes when the child ends. A file server that hangs must not hang us.
        while not ended:
            wait = max(0.0, deadline - time.monotonic())
            ready, _unused, _unused2 = select.select([ours], [], [], wait)
            if not ready:
                os.kill(pid, signal.SIGKILL)
                break
            piece = os.read(ours, 1 << 16)
            answer, ended = answer + piece, not piece
    finally:
        os.close(ours)
        os.waitpid(pid, 0 if ended else os.WNOHANG)
    return pid, json.loads(answer) if ended and answer else []


def _do_all(todo: Sequence[Access]) -> List[Tuple[int, int]]:
    """The accesses that left no record, by number, with the error.

    What else an access answers does not matter: one that was refused is recorded as well.
    """
    refused = []
    for number, access in enumerate(todo):
        try:
            _do(access)
        except OSError as error:
            if access.operation in ("create", "execute") and not isinstance(error, _Executed):
                if access.instead:
                    with contextlib.suppress(OSError):
                        _do(Access(access.watch, access.instead, access.place))
                else:
                    refused.append((number, error.errno or 0))
    for access in todo:
        if access.operation in ("create", "execute"):
            with contextlib.suppress(OSError):
                os.unlink(access.path)
    return refused


class _Executed(OSError):
    """The kernel refused to execute the canary, as it should."""


def _do(access: Access) -> None:
    if access.operation in ("create", "execute"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(access.path)  # of a killed run
        os.close(os.open(access.path, _OPEN | os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        if access.operation == "execute":
            try:
                # Nobody may execute it, root neither; the attempt is recorded.
                os.execv(access.path, [access.path])  # noqa: S606
            except OSError as error:
                raise _Executed from error
    elif access.operation == "attribute":
        os.removexattr(access.path, _ATTRIBUTE)  # there is none
    else:
        flags = {"write": os.O_WRONLY, "list": os.O_RDONLY | os.O_DIRECTORY}
        # Only the owner of a file may ask to leave its access time alone; others open it without.
        for quiet in (os.O_NOATIME, 0):
            with contextlib.suppress(PermissionError):
                os.close(
                    os.open(access.path, _OPEN | flags.get(access.operation, os.O_RDONLY) | quiet)
                )
                return


def _clean(todo: Sequence[Access]) -> None:
    """Remove what a child that was killed could not."""
    for access in todo:
        name = access.path.rpartition("/")[2]
        if access.operation in ("create", "execute") and name.startswith(PREFIX):
            with contextlib.suppress(OSError):
                if os.path.lexists(access.path):
                    os.unlink(access.path)


def who_we_are() -> Tuple[int, str]:
    """Our user and program, as rules name them."""
    try:
        program = os.readlink("/proc/self/exe")
    except OSError:
        program = os.path.realpath(sys.executable or "")
    return os.getuid(), program
