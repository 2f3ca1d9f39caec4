# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of contents of a batch, and the archive that holds its files (pure).

The index is what sha256sum prints, with the size before each line as a comment, so `sha256sum --check` reads it. The
archive is plain tar, and is never parsed: the index determines every byte of it that is not content, and the decrypted
bytes are compared with that. So no header, link, device, hole or compression can mislead us.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Iterable, List, Optional, Tuple

from .names import check_names
from .types import Reason, Refused

BLOCK = 512
END = bytes(2 * BLOCK)
"""The end of a tar archive."""

SALT = 16
"""Bytes that `openssl enc` writes first: the word Salted__ and the salt. CTR mode adds nothing else."""

INDEX_LIMIT = 64 * 1024 * 1024
_ENTRY = re.compile(r"# (0|[1-9][0-9]{0,15})\n([0-9a-f]{64})  ([^\n]+)\n")
_MOST_IN_OCTAL = 0o77777777777
_LONGEST_PLAIN = 100  # bytes of a name in the header itself


@dataclass(frozen=True)
class Item:
    """One file of a batch: its relative name, its size in bytes and the SHA-256 of its content."""

    name: str
    size: int
    sha256: str


def render_index(items: Iterable[Item]) -> bytes:
    """The index of these files, in the given order."""
    text = "".join(f"# {one.size}\n{one.sha256}  {one.name}\n" for one in items)
    return text.encode("utf-8")


def parse_index(content: bytes, most: int) -> List[Item]:
    """Read an index of at most `most` files. Raises Refused for everything but the output of render_index."""
    if not content:
        raise Refused(Reason.EMPTY_BATCH, "the batch contains no file")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _garbled(content) from error
    items: List[Item] = []
    position = 0
    while position < len(text):
        found = _ENTRY.match(text, position)
        if found is None:
            raise _garbled(content)
        if len(items) == most:
            raise Refused(
                Reason.TOO_LARGE,
                f"the batch contains more than {most} files, which is the limit here",
            )
        items.append(Item(found.group(3), int(found.group(1)), found.group(2)))
        position = found.end()
    check_names(one.name for one in items)
    if [one.name for one in items] != sorted(one.name for one in items):
        raise Refused(Reason.BAD_INDEX, "the index is not sorted by name")
    return items


def _garbled(content: bytes) -> Refused:
    # Its digest was right, so it was not changed in transit: it was made so, or the password is another one.
    first = content[:2] == b"# "
    hint = (
        ""
        if first
        else "; most likely the password or passphrase is not the one it was sealed with"
    )
    return Refused(Reason.BAD_INDEX, "the index of the batch is malformed" + hint)


def header(name: str, size: int) -> bytes:
    """The bytes of the archive before the content of this file; name and size determine them."""
    encoded = name.encode("utf-8")
    records = b""
    if len(encoded) > _LONGEST_PLAIN or not name.isascii():
        records += _record(b"path", encoded)
    if size > _MOST_IN_OCTAL:
        records += _record(b"size", b"%d" % size)
    if not records:
        return _block(encoded, size, b"0")
    extended = _block(b"././@PaxHeader", len(records), b"x") + records + padding(len(records))
    # The name for a tar that does not know the extension; every current tar does.
    short = name.encode("ascii", "replace")[:_LONGEST_PLAIN]
    return extended + _block(short, size if size <= _MOST_IN_OCTAL else 0, b"0")


def padding(size: int) -> bytes:
    """The zeros that fill the last block of a content of this size."""
    return bytes(-size % BLOCK)


def archive_size(items: Iterable[Item]) -> int:
    """Size in bytes of the archive of these files."""
    inside = sum(len(header(one.name, one.size)) + one.size + -one.size % BLOCK for one in items)
    return inside + len(END)


def total(items: Iterable[Item]) -> int:
    """Size in bytes of all files together."""
    return sum(one.size for one in items)


def _record(name: bytes, value: bytes) -> bytes:
    """One pax record; its length counts itself."""
    rest = b" " + name + b"=" + value + b"\n"
    length = len(rest) + 1
    while len(b"%d" % length) + len(rest) != length:
        length += 1
    return b"%d" % length + rest


def _block(name: bytes, size: int, kind: bytes) -> bytes:
    parts: Tuple[bytes, ...] = (
        name.ljust(100, b"\0"),
        b"0000644\0",
        b"0000000\0",
        b"0000000\0",
        b"%011o\0" % size,
        b"%011o\0" % 0,
        b" " * 8,
        kind,
        bytes(100),
        b"ustar\0" + b"00",
        bytes(32),
        bytes(32),
        b"0000000\0",
        b"0000000\0",
        bytes(155 + 12),
    )
    plain = b"".join(parts)
    return plain[:148] + b"%06o\0 " % sum(plain) + plain[156:]


def check_size(items: List[Item], encrypted: int, most: Optional[int]) -> None:
    """Refuse a batch whose encrypted archive does not have the size that the index implies, before it is decrypted."""
    if most is not None and total(items) > most:
        raise Refused(
            Reason.TOO_LARGE, f"the files have {total(items)} bytes; at most {most} are allowed"
        )
    if encrypted != archive_size(items) + SALT:
        raise Refused(
            Reason.BAD_ARCHIVE,
            f"the archive has {encrypted - SALT} bytes, but the files of the index need"
            f" {archive_size(items)}",
        )
