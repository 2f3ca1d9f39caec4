# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of SFTP version 3 that probes an upload-only zone (pure).

All requests are written at once and all answers read at the end; a server answers in the order of the requests. So the
probe can send requests that no client would, and sees the server's own status for each of them.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Dict, List, Sequence, Tuple

INIT = 1
OPEN, CLOSE, READ, WRITE, LSTAT, FSTAT, SETSTAT, FSETSTAT, OPENDIR, READDIR = range(3, 13)
REMOVE, MKDIR, RMDIR, REALPATH, STAT, RENAME, READLINK, SYMLINK = range(13, 21)
STATUS, HANDLE, EXTENDED = 101, 102, 200

FOR_READING, FOR_WRITING, CREATE, TRUNCATE, EXCLUSIVE = 0x01, 0x02, 0x08, 0x10, 0x20
NO_ATTRIBUTES = struct.pack(">I", 0)
PERMISSIONS = 0x04
_FIRST_HANDLE = struct.pack(">I", 0)

OK = "ok"
REFUSED = "refused"


@dataclass(frozen=True)
class Request:
    """One request of the probe: its description, its bytes, and the expected answer."""

    action: str
    kind: int
    payload: bytes
    expected: str


def text(value: str) -> bytes:
    """A string in the encoding of the protocol."""
    raw = value.encode("utf-8")
    return struct.pack(">I", len(raw)) + raw


def _open(name: str, flags: int) -> bytes:
    return text(name) + struct.pack(">I", flags) + NO_ATTRIBUTES


def _handle() -> bytes:
    # OpenSSH counts its handles from 0, so the first one is known in advance.
    return struct.pack(">I", len(_FIRST_HANDLE)) + _FIRST_HANDLE


def probe(token: str) -> List[Request]:
    """The requests that are tried in a zone. `token` is part of each name, so that leftovers can be removed."""
    first, second, third = (f".probe-{token}-{n}" for n in (1, 2, 3))
    mode = struct.pack(">II", PERMISSIONS, 0o777)
    create = FOR_WRITING | CREATE | EXCLUSIVE
    read = _handle() + struct.pack(">QI", 0, 16)

    def extended(name: str, *parts: str) -> bytes:
        return text(name) + b"".join(text(part) for part in parts)

    return [
        Request("upload a file", OPEN, _open(first, create), OK),
        Request("write to it", WRITE, _handle() + struct.pack(">Q", 0) + text("probe"), OK),
        Request("read it back", READ, read, REFUSED),
        Request("change it while it is open", FSETSTAT, _handle() + mode, REFUSED),
        Request("close it", CLOSE, _handle(), OK),
        Request("open it for reading", OPEN, _open(first, FOR_READING), REFUSED),
        Request("overwrite it", OPEN, _open(first, FOR_WRITING | CREATE | TRUNCATE), REFUSED),
        Request("append to it", OPEN, _open(first, FOR_WRITING), REFUSED),
        Request("upload another file", OPEN, _open(second, create), OK),
        Request("close that", CLOSE, _handle(), OK),
        Request("rename over a file", RENAME, text(second) + text(first), REFUSED),
        Request(
            "replace a file", EXTENDED, extended("posix-rename@openssh.com", second, first), REFUSED
        ),
        Request("rename", RENAME, text(second) + text(third), OK),
        Request("list the zone", OPENDIR, text("."), REFUSED),
        Request("remove a file", REMOVE, text(first), REFUSED),
        Request("make a directory", MKDIR, text(first + "d") + NO_ATTRIBUTES, REFUSED),
        Request("remove a directory", RMDIR, text(first + "d"), REFUSED),
        Request("change the mode", SETSTAT, text(first) + mode, REFUSED),
        Request(
            "change the mode of a link",
            EXTENDED,
            extended("lsetstat@openssh.com", first) + mode,
            REFUSED,
        ),
        Request("make a link", SYMLINK, text("/etc/passwd") + text(first + "s"), REFUSED),
        Request("read a link", READLINK, text(first), REFUSED),
        Request(
            "make a hard link",
            EXTENDED,
            extended("hardlink@openssh.com", first, first + "h"),
            REFUSED,
        ),
        Request("ask for the file system", EXTENDED, extended("statvfs@openssh.com", "."), REFUSED),
        Request("upload outside of the zone", OPEN, _open("/.probe-" + token, create), REFUSED),
    ]


def stream(requests: Sequence[Request]) -> bytes:
    """The bytes of all requests; the id of a request is its number."""
    packets = [struct.pack(">BI", INIT, 3)]
    for number, request in enumerate(requests):
        packets.append(struct.pack(">BI", request.kind, number) + request.payload)
    return b"".join(struct.pack(">I", len(packet)) + packet for packet in packets)


def answers(data: bytes) -> Dict[int, str]:
    """The answer to each request, by its number. Status 0 and everything but a status are `ok`.

    An incomplete packet at the end is ignored; its request has no answer then.
    """
    found: Dict[int, str] = {}
    position = 0
    while position + 9 <= len(data):
        (length,) = struct.unpack_from(">I", data, position)
        if position + 4 + length > len(data) or length < 5:
            break
        kind, number = struct.unpack_from(">BI", data, position + 4)
        if kind == STATUS and length >= 9:
            (code,) = struct.unpack_from(">I", data, position + 9)
            found[number] = OK if code == 0 else REFUSED
        elif kind != 2:  # the version packet, which has no number
            found[number] = OK
        position += 4 + length
    return found


def evaluate(requests: Sequence[Request], found: Dict[int, str]) -> Tuple[List[str], int]:
    """Sentences about unexpected answers, and the number of requests that were refused as expected."""
    wrong = []
    refused = 0
    for number, request in enumerate(requests):
        answer = found.get(number)
        if answer is None:
            wrong.append(f"sshd did not answer when a sender tried to {request.action}")
        elif answer != request.expected:
            can = "can" if answer == OK else "cannot"
            wrong.append(f"a sender {can} {request.action}")
        elif answer == REFUSED:
            refused += 1
    return wrong, refused
