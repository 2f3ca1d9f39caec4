# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Records of the audit log, in pieces of any size, joined to events by time and serial (pure).

Only what can be ours is looked at: the pieces are searched for the key, and nothing else is parsed.
Memory is bounded by the size of a piece and by how far apart the records of one event may be.
"""

from __future__ import annotations

import re
from typing import Iterator, List, NamedTuple, Sequence, Set, Tuple, Union

from .records import parse_record

AHEAD = 1 << 20
"""How far behind its first record the last one of an event may lie, in bytes."""

_BACK = 1 << 14
_LINE = 1 << 18

# What the kernel writes into the record of a system call, in its order. What is behind the last group
# names the process and repeats from event to event, so that it is decoded once and kept.
_ID = rb"msg=audit\(([0-9]{1,11}\.[0-9]{3}:[0-9]{1,20})\):"
_CALL = re.compile(
    rb"(node=\S{1,255} )?type=SYSCALL " + _ID + rb" arch=([0-9a-f]{1,8}) syscall=([0-9]{1,10})"
    rb"(?: per=[0-9a-f]+)?(?: success=(yes|no) exit=(-?[0-9]{1,20}))?"
    rb" a0=([0-9a-f]{1,16}) a1=([0-9a-f]{1,16}) a2=([0-9a-f]{1,16}) a3=([0-9a-f]{1,16})"
    rb" items=([0-9]{1,6}) ppid=([0-9]{1,10}) pid=([0-9]{1,10}) (auid=[^\n]*)"
)
# The same with the records that mostly follow, so that one look takes a whole event.
_EVENT = re.compile(
    rb"type=SYSCALL " + _ID + rb" (arch=[0-9a-f]{1,8} syscall=[0-9]{1,10} success=(?:yes|no))"
    rb" exit=-?[0-9]{1,20} a0=[0-9a-f]{1,16} a1=([0-9a-f]{1,16}) a2=([0-9a-f]{1,16})"
    rb" a3=[0-9a-f]{1,16} items=([0-9]{1,6}) ppid=[0-9]{1,10} pid=[0-9]{1,10} (auid=[^\n]*)\n"
    rb"type=CWD msg=audit\(\1\):[^\n]*\n"
    rb"(type=PATH msg=audit\(\1\):[^\n]*\n(?:type=PATH msg=audit\(\1\):[^\n]*\n)*)"
    rb"type=PROCTITLE msg=audit\(\1\):[^\n]*(?=\n)"
)
_KIND = re.compile(rb"(?:node=\S{1,255} )?type=(SYSCALL|URINGOP) ")
_DECIMAL = re.compile(rb"[0-9]{1,10}\Z")
_HEX = re.compile(rb"[0-9a-f]{1,16}\Z")
_ACTOR = re.compile(rb" ((?:auid|uid)=.*)", re.DOTALL)
_REMEMBERED = 8192
_FEW = {b"%d" % number: number for number in range(10)}
_PATH = b"type=PATH msg=audit("


class Call(NamedTuple):
    """The record that has the key, as bytes: a system call or a request of io_uring."""

    node: Union[bytes, None]  # with its "node=" and the blank behind it
    id: bytes
    arch: bytes  # b"uring" for a request of io_uring
    number: bytes
    success: Union[bytes, None]
    exit: Union[bytes, None]
    a0: bytes
    a1: bytes
    a2: bytes
    a3: bytes
    items: bytes
    ppid: bytes
    pid: bytes
    actor: bytes


class Event(NamedTuple):
    """What tells one event from another, where in the stream it begins, and all its lines.

    `lines`: the first is the one with the key; none is of another event.
    `state`: 'whole', 'pending' when the log ends before the event does, 'cut' when records are lost.
    """

    id: bytes
    how: bytes  # machine, number and success of the call
    a1: bytes
    a2: bytes
    actor: bytes
    position: int
    lines: bytes
    state: str


def parse_call(lines: bytes) -> Union[Call, None]:
    """The call in the first line; None when it is another record, or torn."""
    found = _CALL.match(lines)
    if found:
        return Call(*found.groups())
    line = lines.partition(b"\n")[0]
    kind = _KIND.match(line)
    record = parse_record(line) if kind else None
    if kind is None or record is None:
        return None
    uring = kind.group(1) == b"URINGOP"
    get = record.fields.get
    arch = b"uring" if uring else get("arch", b"")
    number = get("uring_op" if uring else "syscall", b"")
    others = [get(name, b"0") for name in ("items", "ppid", "pid")]
    arguments = [get(name, b"0") for name in ("a0", "a1", "a2", "a3")]
    actor = _ACTOR.search(line)
    sound = all(_DECIMAL.match(value) for value in [number, *others])
    if not uring:
        sound = sound and all(_HEX.match(value) for value in [arch, *arguments])
    if not sound or not actor:
        return None
    node = b"node=" + record.node + b" " if record.node else None
    a0, a1, a2, a3 = arguments
    items, ppid, pid = others
    success, code = get("success"), get("exit")
    return Call(
        node,
        record.id,
        arch,
        number,
        success,
        code,
        a0,
        a1,
        a2,
        a3,
        items,
        ppid,
        pid,
        actor.group(1),
    )


def needles(keys: Sequence[str], prefix: str) -> List[bytes]:
    """What a line of ours must contain; one of them is enough."""
    common = (list(keys) or [prefix])[0]
    for key in keys:
        while not key.startswith(common):
            common = common[:-1]
    raw = common.encode("utf-8", "surrogateescape")
    if not raw:
        return [b" key="]
    if any(byte in b'"' or not 0x20 < byte < 0x7F for byte in raw):
        # Such a key is never in quotes.
        return [raw.hex().upper().encode("ascii")]
    return [b'key="' + raw, raw.hex().upper().encode("ascii")]


class Joiner:
    """Takes the log piece by piece and gives the events whose key may be ours, in their order."""

    def __init__(self, wanted: Sequence[bytes], ahead: int = AHEAD) -> None:
        self.malformed = 0
        self._wanted = list(wanted)
        self._ahead = ahead
        self._ours: Set[bytes] = set()
        self._buffer = b""
        self._base = 0  # where in the stream the buffer begins
        self._at = 0  # up to where the buffer has been looked through
        self._torn = False  # the last piece ended in a line too long to be kept

    @property
    def position(self) -> int:
        """From where in the stream nothing has been looked at."""
        return self._base + self._at

    def feed(self, piece: bytes, final: bool = False) -> Iterator[Event]:
        """The events that end in what has been given so far; with `final` all that are left."""
        keep = max(0, self._at - _BACK)
        self._base += keep
        self._at -= keep
        self._buffer = buffer = self._buffer[keep:] + piece
        if self._torn:
            self._at = buffer.find(b"\n", self._at) + 1 or len(buffer)
            self._torn = self._at == len(buffer)
        at, base = self._at, self._base
        upcoming = [buffer.find(needle, at) for needle in self._wanted]
        # A tuple's own constructor: Event() would be one call more for each event.
        whole, few, ours, new = _EVENT.match, _FEW, self._ours, tuple.__new__
        while True:
            # Ours mostly come in rows, so that the next line is tried before searching.
            found = whole(buffer, at)
            if found:
                event_id, how, a1, a2, items, actor, paths = found.groups()
                if (actor in ours or self._is_ours(actor)) and paths.count(b"\n") == few.get(items):
                    yield new(
                        Event, (event_id, how, a1, a2, actor, base + at, found.group(), "whole")
                    )
                    at = found.end() + 1
                    continue
            start, end = self._next_line(upcoming, at)
            if end < 0:
                self._at = start
                return
            if start > at:
                at = start
                continue
            event, later = self._event(start, end, final)
            if later:
                self._at = start
                return
            if event:
                yield event
            at = end + 1

    def _is_ours(self, actor: bytes) -> bool:
        if not any(needle in actor for needle in self._wanted):
            return False
        if len(self._ours) >= _REMEMBERED:
            self._ours.clear()
        self._ours.add(actor)
        return True

    def _next_line(self, upcoming: List[int], at: int) -> Tuple[int, int]:
        """Begin and end of the next line that may be ours; without one, where to go on, and -1."""
        buffer = self._buffer
        hit = size = len(buffer)
        for index, needle in enumerate(self._wanted):
            if -1 < upcoming[index] < at:
                upcoming[index] = buffer.find(needle, at)
            if -1 < upcoming[index] < hit:
                hit = upcoming[index]
        start = buffer.rfind(b"\n", at, hit) + 1 or at
        end = buffer.find(b"\n", hit)
        if hit < size and end >= 0:
            return start, end
        line = buffer.rfind(b"\n", start, size) + 1 or start
        if size - line > _LINE:
            self.malformed += 1
            self._torn = True
            line = size
        return line, -1

    def _event(self, start: int, end: int, final: bool) -> Tuple[Union[Event, None], bool]:
        """The event whose call is in that line, and whether its end may be in the next piece."""
        buffer = self._buffer
        if not _KIND.match(buffer, start, end):
            return None, False
        call = parse_call(buffer[start:end])
        if call is None:
            self.malformed += 1
            return None, False
        node = call.node or b""
        title = buffer.find(b"\n" + node + b"type=PROCTITLE msg=audit(" + call.id + b")", end)
        last = buffer.find(b"\n", title + 1) if title >= 0 else -1
        behind = len(buffer) - end
        if last < 0 and behind < self._ahead and not final:
            return None, True
        if last >= 0:
            lines = self._gather(node, call.id, start, end, last + 1)
            state = "whole" if lines.count(_PATH) >= int(call.items) else "cut"
        else:
            lines = self._gather(node, call.id, start, end, end + self._ahead)
            state = "pending" if behind < self._ahead else "cut"
            # What io_uring does for a process has no title.
            state = "whole" if call.arch == b"uring" else state
        how = b"arch=%s syscall=%s success=%s" % (call.arch, call.number, call.success or b"?")
        position = self._base + start
        return Event(call.id, how, call.a1, call.a2, call.actor, position, lines, state), False

    def _gather(self, node: bytes, event: bytes, start: int, end: int, high: int) -> bytes:
        """The lines of that event around its call: the call first, then the others in their order."""
        buffer = self._buffer
        found = [buffer[start:end]]
        marker = b" msg=audit(" + event + b"):"
        at = buffer.find(marker, max(0, start - _BACK), high)
        while at >= 0:
            first = buffer.rfind(b"\n", 0, at) + 1
            last = buffer.find(b"\n", at)
            if last < 0:
                break
            begins = buffer.startswith(node + b"type=", first)
            bulky = buffer.startswith(node + b"type=EXECVE", first)
            if begins and not bulky and first != start:
                found.append(buffer[first:last])
            at = buffer.find(marker, last, high)
        return b"\n".join(found)
