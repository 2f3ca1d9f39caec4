# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What real auditctl programs sent, and a stand-in for the kernel's end of the audit socket."""

from __future__ import annotations

import errno
import json
import struct
from collections import deque
from pathlib import Path
from typing import Any, Callable

ADD, DELETE, LIST, GET = 1011, 1012, 1013, 1000
ERROR, DONE = 2, 3
MULTI = 2


def recorded() -> list[dict[str, Any]]:
    """Every record of audit_blobs.json, its bytes as bytes."""
    path = Path(__file__).with_name("audit_blobs.json")
    found = json.loads(path.read_text(encoding="ascii"))["sent"]
    return [{**one, "bytes": unpacked(one["bytes"])} for one in found]


def unpacked(words: str) -> bytes:
    """Bytes of 'word word*n ...'."""
    pairs = ((word + "*1").split("*")[:2] for word in words.split())
    return b"".join(bytes.fromhex(word) * int(times) for word, times in pairs)


def padded(blob: bytes) -> bytes:
    """As netlink carries it."""
    return blob + b"\0" * (-len(blob) % 4)


def message(kind: int, sequence: int, body: bytes, flags: int = 0) -> bytes:
    """One netlink message."""
    return padded(struct.pack("=IHHII", 16 + len(body), kind, flags, sequence, 0) + body)


class FakeKernel:
    """A socket with a kernel behind it that holds rules as bytes and answers as Linux does.

    `before(kind, sequence)` may give datagrams that come first; `fails` maps a kind to the errno that
    acknowledges it.
    """

    def __init__(self, rules: tuple[bytes, ...] = ()) -> None:
        self.rules = list(rules)
        self.sent: list[tuple[int, bytes]] = []
        self.fails: dict[int, int] = {}
        self.before: Callable[[int, int], list[bytes]] = lambda _kind, _sequence: []
        self.sender = 0
        self.status = struct.pack("=11I", 0, 1, 1, 321, 0, 8192, 7, 2, 0x7F, 0, 0)
        self.closed = False
        self.acknowledgements = True
        self.connections = 0
        self.losses: list[int] = []  # kinds whose next answer loses its last part unnoticed
        self.flags = 0
        self.full = 0  # so many times the answers do not fit into the socket
        self._waiting: deque[bytes] = deque()

    def connected(self) -> FakeKernel:
        """A new socket: what waited on the old one is gone."""
        self.connections += 1
        self._waiting.clear()
        return self

    def sendto(self, data: bytes, _address: tuple[int, int]) -> int:
        length, kind, flags, sequence, _port = struct.unpack_from("=IHHII", data)
        assert (length, flags) == (len(data), 5)
        self.sent.append((kind, data[16:]))
        self._waiting.extend(self.before(kind, sequence))
        number = self.fails.get(kind, 0) or self._change(kind, data[16:])
        acknowledgement = struct.pack("=i", -number) + data[:16]
        answers = [] if number else self._answers(kind, sequence)
        # Linux sends answers and acknowledgement from two threads: here the acknowledgement comes in the middle.
        if self.acknowledgements:
            answers.insert(len(answers) // 2, message(ERROR, sequence, acknowledgement))
        if kind in self.losses:
            self.losses.remove(kind)
            answers = answers[:-2]
        self._waiting.extend(answers)
        return len(data)

    def _change(self, kind: int, body: bytes) -> int:
        rule = body[: 1040 + struct.unpack_from("=I", body, 1036)[0]] if len(body) >= 1040 else b""
        if kind == ADD:
            if rule in self.rules:
                return errno.EEXIST
            self.rules.append(rule)
        elif kind == DELETE:
            if rule not in self.rules:
                return errno.ENOENT
            self.rules.remove(rule)
        return 0

    def _answers(self, kind: int, sequence: int) -> list[bytes]:
        if kind == GET:
            return [message(GET, sequence, self.status)]
        if kind == LIST:
            rules = [message(LIST, sequence, rule, MULTI) for rule in self.rules]
            return [*rules, message(DONE, sequence, b"\0\0\0\0", MULTI)]
        return []

    def recvmsg_into(self, buffers: list[bytearray]) -> tuple[int, list[Any], int, tuple[int, int]]:
        if self.full:
            self.full -= 1
            self._waiting.clear()
            raise OSError(errno.ENOBUFS, "no buffer space")
        if not self._waiting:
            raise BlockingIOError(errno.EAGAIN, "nothing came in time")
        datagram = self._waiting.popleft()
        buffers[0][: len(datagram)] = datagram
        return len(datagram), [], self.flags, (self.sender, 0)

    def bind(self, _address: tuple[int, int]) -> None:
        """As the real one."""

    def setsockopt(self, *_option: object) -> None:
        """As the real one."""

    def close(self) -> None:
        self.closed = True
