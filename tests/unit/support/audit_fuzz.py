# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Logs with damaged lines, and a slow reader of its own kind to compare with.

Every text of an event holds a token that no other event has, so that a value in the wrong event is seen.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Dict, List, Tuple

from ansible_collections.twinguard.hardening.plugins.module_utils._audit.events.join import (
    Joiner,
    needles,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._audit.events.query import (
    Query,
    Tally,
)
from ansible_collections.twinguard.hardening.tests.unit.support.audit_log import lines, stamp

Rows = Dict[bytes, Dict[str, Any]]
_NASTY = [
    b"\n",
    b" ",
    b'"',
    b"'",
    b"=",
    b"\0",
    b"\x1d",
    b"\xff",
    b" key=",
    b'key="twinguard_x"',
    b"type=SYSCALL ",
]
_KEYS = [b"twinguard_m", b"twinguard_n", b"other", b"other\x01twinguard_m", b"twinguard_"]


@dataclass(frozen=True)
class Line:
    """A line of the log, which event it is of, and whether it is as the kernel wrote it."""

    event: int
    text: bytes
    sound: bool = True


def make_log(chance: random.Random, events: int) -> List[Line]:
    """Events, many of ours, with nasty names, some of them interleaving."""
    queues = []
    for number in range(events):
        serial = chance.randrange(10**9, 10**10)
        token = b"T%016x" % chance.randrange(1 << 64)

        def name(token: bytes = token) -> bytes:
            return token + b"".join(
                chance.choice(_NASTY) for _unused in range(chance.choice([0, 0, 1, 3]))
            )

        texts = lines(
            serial,
            *[b"/srv/" + name() for _unused in range(chance.choice([1, 1, 2, 3]))],
            seconds=1_790_000_000 + number,
            comm=name(),
            exe=b"/bin/" + name(),
            key=chance.choice(_KEYS),
            syscall=chance.choice([2, 82, 90, 257, 257, 437]),
            a2=chance.choice(["0", "1", "241"]),
            uid=chance.randrange(2000),
            cwd=b"/" + token,
        )
        queues.append([Line(number, text) for text in texts])
    mixed: List[Line] = []
    while queues:
        at = chance.choice([0, 0, 0, 0, 0, 1, 2]) % len(queues)
        mixed.append(queues[at].pop(0))
        if not queues[at]:
            del queues[at]
    return mixed


def damage(chance: random.Random, log: List[Line], share: float) -> Tuple[List[Line], int]:
    """The log with that share of its lines damaged, and how many these are."""
    made: List[Line] = []
    damaged = 0
    glue = b""
    glued: List[int] = []
    for original in log:
        line = original
        if chance.random() < share:
            damaged += 1
            what = chance.randrange(8)
            if what == 7:
                # A line that was cut off, and the next one right behind it.
                glue += line.text[: chance.randrange(len(line.text) + 1)]
                glued.append(line.event)
                continue
            line = Line(original.event, _mutate(chance, line.text, what), False)
        if glue:
            made += [Line(event, b"", False) for event in glued]
            line = Line(original.event, glue + line.text, False)
            glue, glued = b"", []
        made.append(line)
    made += [Line(event, b"", False) for event in glued]
    return made, damaged


def _mutate(chance: random.Random, text: bytes, what: int) -> bytes:
    at = chance.randrange(len(text))
    end = min(len(text), at + chance.choice([1, 2, 8, 60]))
    if what == 0:
        return text[:at] + bytes([text[at] ^ (1 << chance.randrange(8))]) + text[at + 1 :]
    if what == 1:
        return text[:at] + text[end:]
    if what == 2:
        return text[:at] + text[at:end] * chance.choice([2, 50]) + text[end:]
    if what == 3:
        return text[:at] + chance.choice(_NASTY) + text[at:]
    if what == 4:
        return text[:at]
    if what == 5:
        return bytes(chance.randrange(256) for _unused in range(at))
    return b""


def render(log: List[Line]) -> bytes:
    """As a file."""
    return b"".join(line.text + b"\n" for line in log if line.text)


def read(data: bytes, chance: random.Random) -> Tuple[Rows, int]:
    """What our reader says of it, given in pieces of random sizes; and the malformed lines."""
    tally = Tally(Query(limit=1 << 30), lambda _uid: None)
    joiner = Joiner(needles([], "twinguard_"), ahead=1 << 14)
    at = 0
    while at < len(data):
        size = chance.choice([1, 50, 4096, 1 << 16])
        for event in joiner.feed(data[at : at + size]):
            tally.add(event)
        at += size
    for event in joiner.feed(b"", final=True):
        tally.add(event)
    found: Rows = {}
    for kept in tally.rows():
        found[("%s:%d" % (kept["time"], kept["serial"])).encode()] = kept
    return found, joiner.malformed + tally.malformed


def misread(
    clean: List[Line], damaged: List[Line], chance: random.Random
) -> Tuple[List[str], int, int]:
    """What is wrong in what is read of the damaged log; how many events were sound, and how many others were told."""
    before, malformed = read(render(clean), chance)
    wrong = ["%d lines of the clean log are called malformed" % malformed] if malformed else []
    wrong += _differences(before, slow_read(render(clean)))
    after, _malformed = read(render(damaged), chance)
    hurt = {line.event for line in damaged if not line.sound}
    tokens: Dict[int, str] = {}
    ids: Dict[int, bytes] = {}
    for line in clean:
        if b"type=CWD" in line.text:
            tokens[line.event] = line.text.rpartition(b"/")[2][:17].decode()
            ids[line.event] = line.text.partition(b"(")[2].partition(b")")[0]
    known = set(tokens.values())
    names = {ids[event]: event for event in ids}
    for key, row in before.items():
        event = names[_id_of(row)]
        if event not in hurt and after.get(key) != row:
            wrong.append("sound event %d is read as %r" % (event, after.get(key)))
    others = 0
    for row in after.values():
        event = names.get(_id_of(row), -1)
        others += event in hurt or event == -1
        shown = set(_tokens_in(repr(row))) & known
        # A damaged id is that of no event; even so all of its words are of one.
        if len(shown) > 1 or (event >= 0 and not shown <= {tokens[event]}):
            wrong.append("event %d shows words of another one: %r" % (event, row))
    return wrong, sum(names[_id_of(row)] not in hurt for row in before.values()), others


def _tokens_in(text: str) -> List[str]:
    return ["T" + part[:16] for part in text.split("T")[1:]]


def _id_of(row: Dict[str, Any]) -> bytes:
    at = datetime.fromisoformat(row["time"].replace("Z", "+00:00")).timestamp()
    return stamp(row["serial"], at).encode()


def _differences(rows: Rows, slow: Dict[bytes, Dict[str, Any]]) -> List[str]:
    fast = {_id_of(row): row for row in rows.values()}
    wrong = ["only one reader finds %r" % (key,) for key in set(fast) ^ set(slow)]
    for key in set(fast) & set(slow):
        for name, value in slow[key].items():
            found: Any = fast[key][name]
            if name == "paths":
                found = [one["path_hex"] or one["path"].encode().hex() for one in found]
            if found != value:
                wrong.append("%r: %s is %r and %r" % (key, name, found, value))
    return wrong


def slow_read(data: bytes) -> Dict[bytes, Dict[str, Any]]:
    """Another reader: character by character, everything in memory, nothing shared with the fast one."""
    groups: Dict[bytes, List[Tuple[str, Dict[str, bytes]]]] = {}
    for line in data.split(b"\n"):
        if line.startswith(b"type="):
            kind, _space, rest = line[5:].partition(b" ")
            event = rest[len(b"msg=audit(") : rest.index(b")")]
            body = rest[rest.index(b")") + 3 :].split(b"\x1d")[0]
            groups.setdefault(event, []).append((kind.decode(), _scan(body)))
    found = {}
    for event, records in groups.items():
        call = next((fields for kind, fields in records if kind == "SYSCALL"), {})
        keys = [
            key
            for key in _text(call.get("key", b"")).split(b"\x01")
            if key.startswith(b"twinguard_")
        ]
        if not keys:
            continue
        cwd = next((_text(fields["cwd"]) for kind, fields in records if kind == "CWD"), b"/")
        names = [_text(fields["name"]) for kind, fields in records if kind == "PATH"]
        found[event] = {
            "uid": int(call["uid"]),
            "pid": int(call["pid"]),
            "success": call["success"] == b"yes",
            "comm": _text(call["comm"]).decode("utf-8", "backslashreplace"),
            "exe": _text(call["exe"]).decode("utf-8", "backslashreplace"),
            "cwd": cwd.decode("utf-8", "backslashreplace"),
            "paths": [_normal(name).hex() for name in names],
        }
    return found


def _normal(name: bytes) -> bytes:
    return b"/" + b"/".join(part for part in name.split(b"/") if part not in (b"", b"."))


def _scan(body: bytes) -> Dict[str, bytes]:
    fields: Dict[str, bytes] = {}
    at = 0
    while at < len(body):
        equals = body.index(b"=", at)
        end = equals + 1
        if body[end : end + 1] == b'"':
            end = body.index(b'"', end + 1) + 1
        while end < len(body) and body[end : end + 1] != b" ":
            end += 1
        fields[body[at:equals].decode()] = body[equals + 1 : end]
        at = end + 1
    return fields


def _text(value: bytes) -> bytes:
    if value.startswith(b'"'):
        return value[1:-1]
    return b"" if value == b"(null)" else bytes.fromhex(value.decode())
