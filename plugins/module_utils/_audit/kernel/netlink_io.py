# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel's audit system over netlink: its status and its rules, read and changed (I/O).

with Kernel.open() as kernel:      # NoAudit: this kernel has none for us; it gives the reason
    for rule in kernel.rules(): ...
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import time
from typing import Callable, Dict, List, Tuple

from ..._core.error import HardeningError
from .netlink import (
    AuditCodecError,
    build_backlog_limit,
    build_enabled,
    build_equivalent,
    build_rule,
    parse_rule,
    parse_status,
)
from .types import Rule, Status

_NETLINK_AUDIT = 9
_GET, _SET, _ADD, _DELETE, _LIST, _TRIM, _EQUIVALENT = 1000, 1001, 1011, 1012, 1013, 1014, 1015
_ERROR, _DONE = 2, 3
_REQUEST_AND_ACK = 0x1 | 0x4
_HEADER = struct.Struct("=IHHII")
_NUMBER = struct.Struct("=i")
_TIMEVAL = struct.Struct("@ll")
# More than the longest rule: 64 fields with texts of at most 4096 bytes.
_RECEIVED = 1 << 19
_PATIENCE = 30.0
# Room for the longest list. The kernel waits only a tenth of a second for a reader that is behind, then it
# leaves rules out: on a busy host the usual 200 kB were not enough for a thousand of them.
_ROOM = 1 << 26
_SO_RCVBUFFORCE = 33
# As a plain number: Python's own compares with it a hundred times slower.
_TRUNCATED = int(socket.MSG_TRUNC)
_ATTEMPTS = 3

_WHY_NOT = {
    errno.EPROTONOSUPPORT: "this kernel was built without audit",
    errno.EAFNOSUPPORT: "this kernel was built without audit",
    errno.ECONNREFUSED: "the kernel does not answer: it was booted with audit=0, or this is a container",
    errno.EPERM: "the kernel does not let us: this is a container, or we are not root with CAP_AUDIT_CONTROL",
    errno.EACCES: "a security policy forbids the audit socket",
}
_LOCKED = {errno.EPERM: "not permitted; audit may be locked until the next boot (enabled 2)"}
_REFUSED = {errno.EINVAL: "the kernel does not understand the rule", **_LOCKED}
_NOT_ADDED = {
    errno.EEXIST: "the kernel holds this rule already",
    errno.ENOENT: "the directory, or the one that should hold the file, does not exist",
    **_REFUSED,
}
_NOT_DELETED = {errno.ENOENT: "the kernel holds no such rule", **_REFUSED}


class AuditError(HardeningError):
    """What the kernel refused; ``errno`` is its reason as a number."""

    def __init__(self, message: str, number: int) -> None:
        super().__init__(f"{message} ({os.strerror(number)})")
        self.errno = number

    def about(self, what: str, reason: str) -> AuditError:
        """The same error, with the request that it is about."""
        return AuditError(f"{what}: {reason}" if reason else what, self.errno)


class NoAudit(HardeningError):
    """There is no audit system for us here, for this ``reason``."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Kernel:
    """One conversation with the kernel's audit system. Made by open()."""

    def __init__(self, connect: Callable[[], socket.socket], patience: float = _PATIENCE) -> None:
        self._connect = connect
        self._sock = connect()
        self._patience = patience
        self._sequence = 0
        self._buffer = memoryview(bytearray(_RECEIVED))

    @classmethod
    def open(cls) -> Kernel:
        """Begin; NoAudit if the kernel has no audit system or does not let us use it."""
        kernel = None
        try:
            kernel = cls(_connected)
            kernel.status()
        except (OSError, AuditError) as error:
            if kernel is not None:
                kernel.close()
            number = error.errno or 0
            if number in _WHY_NOT:
                raise NoAudit(_WHY_NOT[number]) from error
            raise
        return kernel

    def __enter__(self) -> Kernel:
        return self

    def __exit__(self, *_unused: object) -> None:
        self.close()

    def close(self) -> None:
        """End."""
        self._sock.close()

    def status(self) -> Status:
        """Whether audit is on, who takes the records, what was lost."""
        answers = self._read(_GET)
        try:
            return parse_status(answers[0])
        except AuditCodecError as error:
            raise AuditError(f"the kernel's status: {error}", errno.EPROTO) from error

    def rules(self) -> List[Rule]:
        """All rules of all filters, each filter in the order in which the kernel tries them."""
        found = []
        for number, blob in enumerate(self._read(_LIST), 1):
            try:
                found.append(parse_rule(blob))
            except AuditCodecError as error:
                # A rule left out could be the one that hides all others.
                raise AuditError(f"rule {number} of the kernel: {error}", errno.EPROTO) from error
        return found

    def add(self, rule: Rule, first: bool = False) -> None:
        """Add a rule behind all others of its filter, or before them. errno EEXIST: it is there already."""
        self._write(_ADD, build_rule(rule, first), "the rule was not added", _NOT_ADDED)

    def delete(self, rule: Rule) -> None:
        """Delete a rule given exactly as rules() returned it. errno ENOENT: it does not exist."""
        self._write(_DELETE, build_rule(rule), "the rule was not deleted", _NOT_DELETED)

    def set_enabled(self, number: int) -> None:
        """Switch audit: 0 off, 1 on, 2 on and locked until the next boot."""
        self._write(_SET, build_enabled(number), f"enabled was not set to {number}", _LOCKED)

    def set_backlog_limit(self, number: int) -> None:
        """Set how many records may wait for the daemon."""
        what = f"backlog_limit was not set to {number}"
        self._write(_SET, build_backlog_limit(number), what, _LOCKED)

    def make_equivalent(self, above: str, below: str) -> None:
        """Let the rules that watch the directory ``above`` watch what is mounted at ``below``, too."""
        what = f"{below} was not joined to {above}"
        self._write(_EQUIVALENT, build_equivalent(above, below), what, _LOCKED)

    def trim(self) -> None:
        """Let the kernel forget what is no longer mounted below watched directories."""
        self._write(_TRIM, b"", "the watched trees were not trimmed", _LOCKED)

    def _write(self, kind: int, body: bytes, what: str, words: Dict[int, str]) -> None:
        try:
            self._ask(kind, body)
        except AuditError as error:
            raise error.about(what, words.get(error.errno, "")) from None

    def _read(self, kind: int) -> List[bytes]:
        """Ask for something; again, on a new socket, when a part of the answer did not fit.

        The kernel tells a socket of its first loss only. What came after it could be incomplete unnoticed.
        """
        for _attempt in range(_ATTEMPTS - 1):
            try:
                return self._ask(kind, b"")
            except AuditError as error:
                if error.errno not in (errno.ENOBUFS, errno.ETIMEDOUT):
                    raise
            self._sock.close()
            self._sock = self._connect()
        return self._ask(kind, b"")

    def _ask(self, kind: int, body: bytes) -> List[bytes]:
        """Send one request; the answers of its kind, once all of them and its acknowledgement are there.

        The kernel sends the acknowledgement and the answers from different threads: either may come first.
        """
        self._sequence += 1
        deadline = time.monotonic() + self._patience
        body += b"\0" * (-len(body) % 4)
        header = _HEADER.pack(_HEADER.size + len(body), kind, _REQUEST_AND_ACK, self._sequence, 0)
        try:
            self._sock.sendto(header + body, (0, 0))
        except OSError as error:
            raise _told("the request was not sent", error) from error
        answers: List[bytes] = []
        acknowledgement, complete = False, kind not in (_GET, _LIST)
        while not (acknowledgement and complete):
            for found, sequence, payload in self._receive():
                if sequence != self._sequence:
                    continue  # what is left of a request that failed
                if found == _ERROR:
                    _check_acknowledgement(payload)
                    acknowledgement = True
                elif found == kind:
                    answers.append(payload)
                complete = complete or found == (_DONE if kind == _LIST else _GET)
            if time.monotonic() > deadline:
                raise AuditError("the kernel did not answer in time", errno.ETIMEDOUT)
        return answers

    def _receive(self) -> List[Tuple[int, int, bytes]]:
        """The messages of one datagram of the kernel: kind, sequence number, body."""
        try:
            size, _ancillary, flags, sender = self._sock.recvmsg_into([self._buffer])
        except OSError as error:
            raise _told("the kernel did not answer", error) from error
        if flags & _TRUNCATED:
            raise AuditError("an answer of the kernel is too long", errno.EMSGSIZE)
        # Port 0 is the kernel; whoever else sends to us is not believed.
        return _messages(self._buffer[:size]) if sender[0] == 0 else []


def _connected() -> socket.socket:
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_AUDIT)
    try:
        sock.bind((0, 0))
        # The kernel's own timeout: Python's would cost a system call more for each rule.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _TIMEVAL.pack(int(_PATIENCE), 0))
        try:
            sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _ROOM)
        except OSError:
            # Not allowed: as much as anybody may have. What does not fit is asked for again.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _ROOM)
    except OSError:
        sock.close()
        raise
    return sock


def _told(what: str, error: OSError) -> AuditError:
    number = error.errno or errno.EIO
    return AuditError(what, errno.ETIMEDOUT if number == errno.EAGAIN else number)


def _messages(data: memoryview) -> List[Tuple[int, int, bytes]]:
    found = []
    while len(data) >= _HEADER.size:
        length, kind, _flags, sequence, _port = _HEADER.unpack_from(data)
        if not _HEADER.size <= length <= len(data):
            raise AuditError("an answer of the kernel ends early", errno.EPROTO)
        found.append((kind, sequence, bytes(data[_HEADER.size : length])))
        data = data[(length + 3) & ~3 :]
    return found


def _check_acknowledgement(payload: bytes) -> None:
    if len(payload) < _NUMBER.size:
        raise AuditError("truncated netlink acknowledgement", errno.EPROTO)
    (number,) = _NUMBER.unpack_from(payload)
    if number:
        raise AuditError("the kernel refused", -number)
