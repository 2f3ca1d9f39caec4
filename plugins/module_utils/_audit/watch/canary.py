# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The canary: which small accesses must show up in the log, and whether they did (pure)."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any, Collection, Iterable, List, Mapping, Sequence, Tuple, Union

from ..kernel.syscall_sets import ATTRIBUTE, EXECUTE, READ, WRITE
from .watch import Watch

PREFIX = ".twinguard-canary-"
RECORD_MAX = 4096
_PLACES_MAX = 32

_HEAD = re.compile(rb"type=([A-Z_]+) msg=audit\(([0-9]+\.[0-9]+):([0-9]+)\):(.*)", re.DOTALL)
_PID = re.compile(rb" pid=([0-9]+) ")
# The kernel writes a value in hexadecimal digits if it holds a quote, a space or anything stranger.
_KEY = re.compile(rb' key=(?:"([^"]*)"|([0-9A-F]+))')
_NAME = re.compile(rb' name=(?:"([^"]*)"|([0-9A-F]+)) ')


@dataclass(frozen=True)
class Access:
    """One canary access: what is done to which path. `watch` is the number of the watch that must see it.

    `operation`: create (and remove at the end), write, attribute, read, list, execute (never does).
    `instead`: what to do to the directory where nothing can be created; that leaves no record.
    """

    watch: int
    operation: str
    path: str
    instead: str = ""

    @property
    def place(self) -> str:
        """The directory of what is created."""
        return self.path.rpartition("/")[0] or "/"


@dataclass(frozen=True)
class Event:
    """An event of the log: number, time, its keys, and the names it is about, with their part in it."""

    serial: int
    time: float
    keys: Tuple[str, ...]
    names: Tuple[Tuple[str, str], ...]


def accesses(
    number: int, watch: Watch, mounts: Sequence[str], reader: Tuple[int, str]
) -> Tuple[Tuple[Access, ...], str]:
    """The accesses that prove a watch, or none and the reason.

    One for each rule of the watch that records, at its top and at each mount point below. `reader` is
    who we are (uid, executable): what is hidden from the watch when we do it proves nothing.
    """
    if watch.target.kind not in ("directory", "file"):
        word = "does not exist yet" if watch.target.kind == "missing" else "is a special file"
        return (), f"{watch.resolved} {word}"
    masks = [watch.mask]
    if watch.readers:
        hidden = any(
            one.uid in (None, reader[0]) and one.executable in ("", reader[1])
            for one in watch.readers
        )
        masks = [watch.mask & ~READ] + ([] if hidden else [READ])
    found = []
    for place in (watch.resolved, *(mounts[:_PLACES_MAX] if watch.tree else ())):
        operations = [(_operation(watch.target.kind, mask), mask) for mask in masks if mask]
        found += [
            _access(number, operation, place, mask) for operation, mask in operations if operation
        ]
    if found:
        return tuple(found), ""
    if watch.readers and not watch.mask & ~READ:
        return (
            (),
            "only reads are recorded, and this run is itself an allowed reader, whose reads leave no record",
        )
    return (), "only execution is recorded, and a canary does not execute a file of others"


def _operation(kind: str, mask: int) -> str:
    directory = kind == "directory"
    if mask & WRITE:
        return "create" if directory else "write"
    if mask & ATTRIBUTE:
        return "attribute"
    if mask & READ:
        return "list" if directory else "read"
    return "execute" if directory and mask & EXECUTE else ""


def _access(number: int, operation: str, place: str, mask: int) -> Access:
    if operation not in ("create", "execute"):
        return Access(number, operation, place)
    # Always the same name for a place, so that what a killed run left is removed by the next one.
    token = hashlib.sha256(place.encode("utf-8", "surrogateescape")).hexdigest()[:12]
    instead = _operation("directory", mask & (READ | ATTRIBUTE))
    return Access(number, operation, f"{place.rstrip('/')}/{PREFIX}{token}", instead)


def events(data: bytes, pid: int) -> List[Event]:
    """All events of one process in a piece of the log, in their order.

    A line that is not a record is skipped. Records of other events may stand between those of one.
    """
    drafts: dict[Tuple[bytes, bytes], Tuple[List[str], List[Tuple[str, str]]]] = {}
    for line in data.split(b"\n"):
        head = _HEAD.search(line)
        if head is None:
            continue
        kind, stamp, serial, rest = head.groups()
        rest = rest.partition(b"\x1d")[0] + b" "
        if kind == b"SYSCALL":
            found = _PID.search(rest)
            if found and int(found.group(1)) == pid:
                drafts[stamp, serial] = (_keys(rest), [])
        elif kind == b"PATH" and (stamp, serial) in drafts:
            name = _NAME.search(rest)
            if name:
                part = rest.rpartition(b" nametype=")[2].split(b" ")[0].decode("ascii", "replace")
                drafts[stamp, serial][1].append((_text(name.groups()), part))
    return [
        Event(int(serial), float(stamp), tuple(keys), tuple(names))
        for (stamp, serial), (keys, names) in drafts.items()
    ]


def _text(found: Sequence[Union[bytes, None]]) -> str:
    quoted, digits = found
    raw = quoted if quoted is not None else bytes.fromhex(_even(digits or b""))
    return raw.decode("utf-8", "surrogateescape")


def _even(digits: bytes) -> str:
    return digits.decode("ascii") if len(digits) % 2 == 0 else ""


def _keys(rest: bytes) -> List[str]:
    found = list(_KEY.finditer(rest))
    # Of several keys of one rule the kernel makes one, parted by byte 1.
    return _text(found[-1].groups()).split("\x01") if found else []


@dataclass(frozen=True)
class Proof:
    """Which of the accesses of one run were recorded."""

    unseen: Tuple[Access, ...]
    stolen: Mapping[
        int, str
    ]  # by the number of the access: the key under which it was recorded instead
    complete: bool  # whether the removals were seen as well, so that all events are known


def judge(done: Sequence[Access], watches: Sequence[Watch], found: Iterable[Event]) -> Proof:
    """Which accesses were not recorded under the key of their watch."""
    seen: set[Tuple[str, str]] = set()
    elsewhere: dict[str, str] = {}
    removed: set[str] = set()
    for event in found:
        for name, part in event.names:
            if part == "DELETE":
                removed.add(name)
                continue
            seen.update((key, name) for key in event.keys)
            elsewhere.setdefault(name, ", ".join(event.keys) or "no key")
    unseen = tuple(
        access for access in done if not _was_seen(access, watches[access.watch].key, seen)
    )
    stolen = {
        number: elsewhere[access.path]
        for number, access in enumerate(done)
        if access in unseen and access.path in elsewhere
    }
    created = {access.path for access in done if (watches[access.watch].key, access.path) in seen}
    created = {access.path for access in done if access.operation == "create"} & created
    return Proof(unseen, stolen, not unseen and created <= removed)


def _was_seen(access: Access, key: str, seen: Collection[Tuple[str, str]]) -> bool:
    # The instead is done only where nothing could be created, so either of the two will do.
    return (key, access.path) in seen or (bool(access.instead) and (key, access.place) in seen)


def recorded(before: bytes, boot_id: str, pid: int, found: Iterable[Event]) -> bytes:
    """The record of all canaries with these events added; it is empty again after a reboot."""
    try:
        old = json.loads(before or b"{}")
        events_before: List[Any] = old["events"] if old["boot_id"] == boot_id else []
    except (ValueError, KeyError, TypeError):
        events_before = []
    rows = [*events_before, *([one.serial, one.time, pid] for one in found)]
    return json.dumps({"boot_id": boot_id, "events": rows[-RECORD_MAX:]}).encode() + b"\n"
