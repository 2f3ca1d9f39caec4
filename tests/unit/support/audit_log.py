# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes audit records as the kernel and auditd write them."""

from __future__ import annotations

from typing import Any, Union

KEY = "twinguard_models"


def stamp(serial: int, seconds: float = 1_790_000_000.25) -> str:
    """The id of an event."""
    return f"{seconds:.3f}:{serial}"


def value(text: Union[bytes, None]) -> bytes:
    """A text of a user, as the kernel writes it: in quotes if it is harmless, else as hexadecimal digits."""
    if text is None:
        return b"(null)"
    if all(0x21 <= byte <= 0x7E and byte != 0x22 for byte in text):
        return b'"' + text + b'"'
    return text.hex().upper().encode()


def call(event: str, **changed: Any) -> bytes:
    """The record of a system call."""
    fields: dict[str, Any] = {
        "arch": "c000003e",
        "syscall": 257,
        "success": "yes",
        "exit": 3,
        "a0": "ffffff9c",
        "a1": "7ffe00aa",
        "a2": "80000",
        "a3": "0",
        "items": 1,
        "ppid": 10,
        "pid": 11,
        "auid": 4294967295,
    }
    fields.update(
        dict.fromkeys(["uid", "gid", "euid", "suid", "fsuid", "egid", "sgid", "fsgid"], 998)
    )
    fields.update(tty="(none)", ses=4294967295, comm=b"cat", exe=b"/usr/bin/cat", subj="unconfined")
    fields["key"] = KEY.encode()
    fields.update(changed)
    body = b" ".join(
        name.encode() + b"=" + (value(one) if isinstance(one, bytes) else str(one).encode())
        for name, one in fields.items()
        if one is not None
    )
    return b"type=SYSCALL msg=audit(%s): " % event.encode() + body


def others(
    event: str, *names: Union[bytes, None], cwd: bytes = b"/", kind: str = "NORMAL"
) -> list[bytes]:
    """The records behind it."""
    head = b" msg=audit(%s): " % event.encode()
    found = [b"type=CWD" + head + b"cwd=" + value(cwd)]
    for item, name in enumerate(names):
        found.append(
            b"type=PATH%sitem=%d name=%s inode=%d dev=fe:00 mode=0100644 ouid=0 ogid=0 rdev=00:00 nametype=%s"
            % (head, item, value(name), 70 + item, kind.encode())
        )
    return [*found, b"type=PROCTITLE" + head + b"proctitle=" + value(b"cat\0x")]


def lines(
    serial: int, *names: Union[bytes, None], seconds: float = 1_790_000_000.25, **changed: Any
) -> list[bytes]:
    """All records of one access."""
    event = stamp(serial, seconds)
    cwd = changed.pop("cwd", b"/")
    names = names or (b"/srv/models/a.bin",)
    changed.setdefault("items", len(names))
    return [call(event, **changed), *others(event, *names, cwd=cwd)]


def access(serial: int, *names: Union[bytes, None], **changed: Any) -> bytes:
    """The same as a piece of a log."""
    return b"\n".join(lines(serial, *names, **changed)) + b"\n"
