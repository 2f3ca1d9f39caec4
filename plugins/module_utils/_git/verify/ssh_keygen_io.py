# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Have ssh-keygen check many signatures at once, without a file on disk (I/O).

A history has thousands of signatures and each takes a process, so their start is kept cheap: no
pipes, no threads, and what a process reads lies in anonymous memory that it opens by its number.
"""

from __future__ import annotations

import os
from collections import deque
from typing import Deque, Dict, Iterable, Iterator, List, NamedTuple, Tuple

from ..._host.run_io import ProgramError, clean_environment
from .objects import shown

_MOST_OUTPUT = 4096


class Check(NamedTuple):
    """One signature: who should have made it, over what, and at which moment it has to count.

    `signers` is the line of allowed_signers to believe, its times without a Z.
    """

    signers: bytes
    principal: str
    namespace: str
    signature: bytes
    payload: bytes
    moment: str


class Answer(NamedTuple):
    """Whether the signature is good. `certain` is false when ssh-keygen itself did not do its work."""

    good: bool
    certain: bool = True
    message: str = ""


def check_all(checks: Iterable[Check], width: int = 0) -> Iterator[Answer]:
    """The answers in the order of the checks; twice as many at a time as there are processors.

    The oldest is waited for, so some have always ended already when it is slow.

    ProgramError when ssh-keygen cannot be started.
    """
    most = width or 2 * len(os.sched_getaffinity(0)) + 1
    program = find_program("ssh-keygen")
    # TZ: versions before 9.1 know no times but local ones.
    environment = {**clean_environment(), "TZ": "UTC0"}
    signers: Dict[bytes, int] = {}
    running: Deque[Tuple[int, int, str]] = deque()
    try:
        for check in checks:
            if len(running) >= most:
                yield _wait(*running.popleft())
            if check.signers not in signers:
                signers[check.signers] = _memory(check.signers)
            running.append(_start(program, check, signers[check.signers], environment))
        while running:
            yield _wait(*running.popleft())
    finally:
        while running:
            _wait(*running.popleft())
        for number in signers.values():
            os.close(number)


def find_program(name: str) -> str:
    """Where the program is, by our own search path. ProgramError when it is nowhere."""
    for directory in clean_environment()["PATH"].split(":"):
        path = f"{directory}/{name}"
        if os.access(path, os.X_OK):
            return path
    raise ProgramError(f"{name} is not installed")


def _memory(content: bytes) -> int:
    # Inheritable, and nothing in it is secret: a neighbour that inherits it as well may read it.
    number = os.memfd_create("twinguard", 0)
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(number, rest) :]
    os.lseek(number, 0, os.SEEK_SET)
    return number


def _start(
    program: str, check: Check, signers: int, environment: Dict[str, str]
) -> Tuple[int, int, str]:
    opened: List[int] = []
    output = os.memfd_create("twinguard", 0)
    try:
        opened.append(_memory(check.payload))
        opened.append(_memory(check.signature))
        payload, signature = opened
        argv = [program, "-Y", "verify", "-n", check.namespace, "-I", check.principal]
        argv += ["-f", f"/proc/self/fd/{signers}", "-s", f"/proc/self/fd/{signature}"]
        argv.append("-Overify-time=" + check.moment)
        actions = [(os.POSIX_SPAWN_DUP2, payload, 0)]
        actions += [(os.POSIX_SPAWN_DUP2, output, number) for number in (1, 2)]
        # Not by subprocess, whose pipes cost as much as the check itself; no shell is involved.
        process = os.posix_spawn(  # pylint: disable=ansible-bad-function
            program, argv, environment, file_actions=actions
        )
    except OSError as error:
        os.close(output)
        raise ProgramError(f"cannot start {program}: {error.strerror}") from error
    finally:
        for number in opened:
            os.close(number)
    expected = f'Good "{check.namespace}" signature for {check.principal} with '
    return process, output, expected


def _wait(process: int, output: int, expected: str) -> Answer:
    try:
        _process, status = os.waitpid(process, 0)
        text = os.pread(output, _MOST_OUTPUT, 0)
    finally:
        os.close(output)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0:
        good = text.decode("utf-8", "surrogateescape").startswith(expected)
        return Answer(good, good, "" if good else "ssh-keygen did not say that it is good")
    lines = [line for line in text.splitlines() if line.strip()]
    message = shown(lines[0]) if lines else "nothing"
    # A missing option means a program too old, a signal a machine in trouble: no fault of the signer.
    certain = os.WIFEXITED(status) and b"option" not in text and b"usage:" not in text
    return Answer(False, certain, f"ssh-keygen says: {message}")
