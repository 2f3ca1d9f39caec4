# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One line of the audit log: its type, event, and fields, with nothing in it believed (pure).

The kernel writes a text that a user chose either in quotes, and then it holds no quote, blank or
control character, or as upper case hexadecimal digits without quotes. So a quoted value ends at the
next quote, and nothing inside of either form can look like another field.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import List, Mapping, Tuple, Union

ENRICHED = b"\x1d"
"""Behind this byte auditd repeats numbers as names."""

_HEAD = re.compile(
    rb"(?:node=(\S{1,255}) )?type=([A-Z][A-Z0-9_]*(?:\[[0-9]+\])?)"
    rb" msg=audit\(([0-9]{1,11}\.[0-9]{3}:[0-9]{1,20})\): ?"
)
_FIELD = re.compile(rb'(?<![^ ])([A-Za-z][A-Za-z0-9_-]*)=("[^"]*"(?![^ ])|[^ "]*(?![^ ]))')
_HEX = re.compile(rb"(?:[0-9A-F]{2})+\Z")
_NOTHING = (b"(null)", b"(none)", b"?", b"")


@dataclass(frozen=True)
class Record:
    """A line in parts; the values are still as the log has them."""

    type: str
    id: bytes  # seconds.milliseconds:serial
    node: bytes
    fields: Mapping[str, bytes]
    names: Mapping[str, bytes]  # what auditd resolved, by upper case field name


def parse_record(line: bytes) -> Union[Record, None]:
    """The parts of a line without its newline; None for what is torn or two lines in one."""
    head = _HEAD.match(line)
    if head is None or line.count(b" msg=audit(") != 1:
        return None
    body, _separator, resolved = line[head.end() :].partition(ENRICHED)
    found = _FIELD.findall(body)
    fields = {name.decode("ascii"): value for name, value in found}
    # No record names a field twice or leaves a quote open; two lines that ran into each other do.
    quotes = 2 * sum(value[:1] == b'"' for _name, value in found)
    if len(fields) < len(found) or body.count(b'"') != quotes:
        return None
    names = {name.decode("ascii"): value for name, value in _FIELD.findall(resolved)}
    node, kind, event = head.groups()
    return Record(kind.decode("ascii"), event, node or b"", fields, names)


def first_event(data: bytes) -> bytes:
    """The id of the first line in `data` that is a record; empty without any."""
    for line in data.split(b"\n"):
        head = _HEAD.match(line)
        if head:
            return head.group(3)
    return b""


def plain(value: Union[bytes, None]) -> Union[bytes, None]:
    """The bytes that a quoted or hexadecimal value stands for; None for (null) and the like."""
    if value is None or value in _NOTHING:
        return None
    if value[:1] == b'"':
        return value[1:-1]
    if _HEX.match(value):
        return bytes.fromhex(value.decode("ascii"))
    return value


def shown(value: bytes) -> Tuple[str, bool]:
    r"""As text that any output can carry, and whether it says all; undecodable bytes become \xNN."""
    try:
        return value.decode("utf-8"), True
    except UnicodeDecodeError:
        return value.decode("utf-8", "backslashreplace"), False


def text_of(value: Union[bytes, None]) -> Union[str, None]:
    """The value decoded and made showable; None when it holds nothing."""
    decoded = plain(value)
    return None if decoded is None else shown(decoded)[0]


def command_line(value: Union[bytes, None]) -> Union[str, None]:
    """A proctitle: its words, which the kernel separates by zero bytes, with blanks between them."""
    decoded = plain(value)
    return None if decoded is None else shown(decoded.rstrip(b"\0").replace(b"\0", b" "))[0]


def keys_of(value: Union[bytes, None]) -> List[str]:
    """The keys of a rule; the kernel joins several of them by byte 1."""
    decoded = plain(value)
    return [] if decoded is None else [shown(key)[0] for key in decoded.split(b"\x01") if key]


def number(value: Union[bytes, None], base: int = 10) -> Union[int, None]:
    """A number of the log; None when the field is not there or is none."""
    try:
        return None if value is None or b"_" in value else int(value, base)
    except ValueError:
        return None
