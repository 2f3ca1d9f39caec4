# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which events are asked for, which were expected, and what they add up to (pure)."""

from __future__ import annotations

import re
from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any, Deque, Dict, List, Mapping, Sequence, Tuple, Union, cast

from ..._core.plan import ControlError
from ..kernel.types import KEY_MAX, KEY_PREFIX
from .join import Call, Event, parse_call
from .rows import (
    Actor,
    NameOf,
    Place,
    call_name,
    operation_of,
    parse_actor,
    parse_lines,
    places,
    row,
)
from .syscalls import flags_argument

_REMEMBERED = 8192
_TOLD_APART = 4096
_OTHERS = ("(others)", "(others)", "(others)")
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_ISO = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d)?)(\.\d{1,6})?\s*(Z|z|[+-]\d\d:?\d\d)\Z"
)


@dataclass(frozen=True)
class Expected:
    """An entry of the allow-list; a part that is None matches anything."""

    user: Union[str, None] = None
    executable: Union[str, None] = None
    path: Union[str, None] = None
    key: Union[str, None] = None
    operations: Tuple[str, ...] = ()


@dataclass(frozen=True)
class Query:
    """What is asked for; empty and None mean anything. Times in milliseconds since 1970."""

    keys: Tuple[str, ...] = ()
    since: Union[int, None] = None
    until: Union[int, None] = None
    users: Tuple[str, ...] = ()
    executables: Tuple[str, ...] = ()
    paths: Tuple[str, ...] = ()
    operations: Tuple[str, ...] = ()
    success: Union[bool, None] = None
    unexpected_only: bool = False
    expected: Union[Tuple[Expected, ...], None] = None
    limit: int = 1000
    canaries: Mapping[bytes, int] = field(default_factory=dict)  # event id: process


def parse_query(params: Mapping[str, Any], canaries: Mapping[bytes, int]) -> Query:
    """The module's options, checked. ControlError."""
    since, until = (_time(name, params.get(name)) for name in ("since", "until"))
    if since is not None and until is not None and until < since:
        raise ControlError("until", params["until"], "is before 'since'", "swap them")
    limit = int(params["limit"])
    if limit < 0:
        raise ControlError("limit", limit, "is negative", "use 0 for counts without events")
    if params["unexpected_only"] and params.get("expected") is None:
        raise ControlError(
            "unexpected_only", True, "nothing is expected yet", "give the list 'expected' as well"
        )
    for key in params.get("keys") or []:
        _check_key("keys", key)
    for option in ("paths", "executables"):
        for path in params.get(option) or []:
            _check_path(option, path)
    return Query(
        keys=tuple(params.get("keys") or ()),
        since=since,
        until=until,
        users=tuple(params.get("users") or ()),
        executables=tuple(params.get("executables") or ()),
        paths=tuple(_clean(path) for path in params.get("paths") or ()),
        operations=tuple(params.get("operations") or ()),
        success=params.get("success"),
        unexpected_only=bool(params["unexpected_only"]),
        expected=_expected(params.get("expected")),
        limit=limit,
        canaries=canaries,
    )


def _expected(
    entries: Union[Sequence[Mapping[str, Any]], None],
) -> Union[Tuple[Expected, ...], None]:
    if entries is None:
        return None
    made = []
    for entry in entries:
        parts = {name: entry.get(name) for name in ("user", "executable", "path", "key")}
        if not any(parts.values()):
            raise ControlError(
                "expected",
                dict(entry),
                "would expect everybody",
                "name a user, executable, path or key",
            )
        for name in ("executable", "path"):
            if parts[name]:
                _check_path("expected." + name, str(parts[name]))
        if parts["path"]:
            parts["path"] = _clean(str(parts["path"]))
        if parts["key"]:
            _check_key("expected.key", str(parts["key"]))
        made.append(Expected(**parts, operations=tuple(entry.get("operations") or ())))
    return tuple(made)


def _check_key(option: str, key: str) -> None:
    if not key or len(key.encode("utf-8", "surrogateescape")) > KEY_MAX or "\x01" in key:
        raise ControlError(
            option, key, "not a key of an audit rule", "use 1 to %d bytes of one key" % KEY_MAX
        )


def _check_path(option: str, path: str) -> None:
    if not path.startswith("/") or ".." in path.split("/"):
        raise ControlError(option, path, "is not an absolute path without '..'", "write it in full")


def _clean(path: str) -> str:
    return "/" + "/".join(part for part in path.split("/") if part not in ("", "."))


def _time(option: str, value: Union[str, None]) -> Union[int, None]:
    if value is None:
        return None
    text = str(value).strip()
    fix = "use seconds since 1970 or ISO 8601 with a zone, such as 2026-11-21T06:00:00Z"
    if re.match(r"\d{1,11}(\.\d+)?\Z", text):
        return int(float(text) * 1000)
    iso = _ISO.match(text)
    if not iso:
        raise ControlError(option, text, "not a time with a zone", fix)
    date, clock, fraction, zone = iso.groups()
    zone = "+0000" if zone in "Zz" else zone.replace(":", "")
    clock = clock if clock.count(":") == 2 else clock + ":00"
    try:
        at = datetime.strptime(date + clock + zone, "%Y-%m-%d%H:%M:%S%z")
    except ValueError:
        raise ControlError(option, text, "not a time with a zone", fix) from None
    return (at - _EPOCH) // timedelta(milliseconds=1) + int(float(fraction or 0) * 1000)


class Kind:
    """Calls that differ in nothing but time, process and file: judged once and then counted."""

    __slots__ = ("actor", "count", "operation", "unexpected", "unexpected_count", "wanted")

    def __init__(
        self, actor: Actor, operation: str, wanted: bool, unexpected: Union[bool, None]
    ) -> None:
        self.actor = actor
        self.operation = operation
        self.wanted = wanted
        self.unexpected = unexpected
        self.count = self.unexpected_count = 0


# An event that may be among those returned: itself, its kind, whether unexpected, whether a canary.
Kept = Tuple[Event, Kind, Union[bool, None], bool]


class Tally:
    """Takes events one by one; keeps the newest, unexpected ones first, and counts all of them."""

    def __init__(self, query: Query, name_of: NameOf) -> None:
        self.query = query
        self.canary_count = self._count = self._unexpected_count = 0
        self.incomplete = self.malformed = 0
        self.unexpected_keys: Counter[str] = Counter()
        self.keys: Counter[str] = Counter()
        self._name_of = name_of
        self._kinds: Dict[Tuple[Any, ...], Kind] = {}
        self._flags_at: Dict[bytes, int] = {}
        self._actors: Dict[bytes, Union[Actor, None]] = {}
        self._sums: Counter[Tuple[str, str, str]] = Counter()
        self._others: Deque[Kept] = deque(maxlen=query.limit)
        self._unexpected: Deque[Kept] = deque(maxlen=query.limit)
        self._timed = query.since is not None or query.until is not None
        # Whether the file must be known to judge an event.
        paths_matter = any(one.path for one in query.expected or ())
        self._look = bool(query.paths) or paths_matter

    def add(self, event: Event) -> None:
        """Count the event if it is asked for."""
        query = self.query
        # Of the arguments only flags matter; others are pointers and never the same twice.
        at = self._flags_at.get(event[1], 0)
        kind = self._kinds.get((event[4], event[1], event[at])) if at else None
        kind = kind or self._kind(event)
        if kind is None or not kind.wanted:
            return
        if self._timed and not self._in_time(event.id):
            return
        unexpected = kind.unexpected
        canary = event[0] in query.canaries and self._is_canary(event)
        if self._look:
            found = self._places(event)
            if query.paths and found and not any(_below(one, query.paths) for one in found):
                return
            unexpected = self._judge_places(kind, found)
        if canary:
            unexpected = None if unexpected is None else False
        if query.unexpected_only and not unexpected:
            return
        if canary:
            self.canary_count += 1
        kind.count += 1
        kept = (event, kind, unexpected, canary)
        if event[7] != "whole":
            self.incomplete += 1
        if unexpected:
            self._unexpected.append(kept)
            kind.unexpected_count += 1
        else:
            self._others.append(kept)

    def rows(self) -> List[Dict[str, Any]]:
        """The newest events that are asked for, oldest first; unexpected ones before others."""
        bad = list(self._unexpected)
        room = self.query.limit - len(bad)
        rest = list(self._others)[-room:] if room > 0 else []
        made = []
        for event, kind, unexpected, canary in sorted(bad + rest, key=lambda one: one[0].position):
            shown = row(event.lines, kind.actor, kind.operation, unexpected, canary)
            made.append(dict(shown, incomplete=event.state != "whole"))
        return made

    def summary(self) -> Dict[str, Dict[str, int]]:
        """How many events there are of each user, program and operation, most first."""
        self._flush()
        found = []
        for index in range(3):
            sums: Counter[str] = Counter()
            for names, count in self._sums.items():
                sums[names[index]] += count
            found.append(dict(sums.most_common()))
        return dict(zip(("users", "executables", "operations"), found))

    @property
    def count(self) -> int:
        """How many events are asked for."""
        self._flush()
        return self._count

    @property
    def unexpected_count(self) -> int:
        """How many were unexpected."""
        self._flush()
        return self._unexpected_count

    def _flush(self) -> None:
        for kind in self._kinds.values():
            names = (kind.actor.user, kind.actor.exe or "?", kind.operation)
            if names not in self._sums and len(self._sums) >= _TOLD_APART:
                names = _OTHERS
            if kind.count:
                self._sums[names] += kind.count
                for key in self._named(kind.actor):
                    self.keys[key] += kind.count
                    self.unexpected_keys[key] += kind.unexpected_count
                self._count += kind.count
                self._unexpected_count += kind.unexpected_count
                kind.count = kind.unexpected_count = 0

    def _kind(self, event: Event) -> Union[Kind, None]:
        call = parse_call(event.lines)
        if event.actor not in self._actors:
            if len(self._actors) >= _REMEMBERED:
                self._actors.clear()
            self._actors[event.actor] = parse_actor(event.actor, self._name_of)
        actor = self._actors[event.actor]
        if actor is None or call is None:
            self.malformed += 1
            return None
        name = call_name(call)
        operation = operation_of(call, name, event.lines)
        wanted = self._wanted(actor, operation, call.success)
        kind = Kind(actor, operation, wanted, self._judge(actor, operation))
        if len(self._kinds) >= _REMEMBERED:
            self._flush()
            self._kinds.clear()
        where = flags_argument(name)
        at = 1 if where is None else 1 + where
        if name == "openat2":
            # Each has its flags in a record of its own, so that none is like another.
            self._kinds[event.id, event.how, event.actor] = kind
        else:
            self._flags_at[event.how] = at
            self._kinds[event.actor, event.how, event[at]] = kind
        return kind

    def _named(self, actor: Actor) -> List[str]:
        """The keys of the event that were asked for."""
        if self.query.keys:
            return [key for key in actor.keys if key in self.query.keys]
        return [key for key in actor.keys if key.startswith(KEY_PREFIX)]

    def _wanted(self, actor: Actor, operation: str, success: Union[bytes, None]) -> bool:
        query = self.query
        who = {str(one) for one in (actor.uid, actor.auid, actor.euid) if one is not None}
        who |= {name for name in actor.names.values() if name}
        return (
            bool(self._named(actor))
            and (not query.users or not who.isdisjoint(query.users))
            and (not query.executables or actor.exe in query.executables)
            and (not query.operations or operation in query.operations)
            and (query.success is None or query.success == (success == b"yes"))
        )

    def _candidates(self, actor: Actor, operation: str) -> List[Expected]:
        return [
            one
            for one in self.query.expected or ()
            if (one.user is None or _is_user(actor, one.user))
            and (one.executable is None or one.executable == actor.exe)
            and (one.key is None or one.key in actor.keys)
            and (not one.operations or operation in one.operations)
        ]

    def _judge(self, actor: Actor, operation: str) -> Union[bool, None]:
        if self.query.expected is None:
            return None
        return not any(one.path is None for one in self._candidates(actor, operation))

    def _judge_places(self, kind: Kind, found: Sequence[Place]) -> Union[bool, None]:
        if not kind.unexpected:
            return kind.unexpected
        # All files of a call must be expected: a rename names two of them.
        allowed = [one.path for one in self._candidates(kind.actor, kind.operation) if one.path]
        return not found or not all(one.exact and _below(one, allowed) for one in found)

    def _places(self, event: Event) -> List[Place]:
        call = cast(Call, parse_call(event.lines))
        found = places(parse_lines(event.lines), call, call_name(call))
        return [one for one in found if one.nametype != "PARENT"]

    def _in_time(self, event_id: bytes) -> bool:
        seconds, _dot, rest = event_id.partition(b".")
        at = int(seconds) * 1000 + int(rest.partition(b":")[0])
        since, until = self.query.since, self.query.until
        return (since is None or at >= since) and (until is None or at <= until)

    def _is_canary(self, event: Event) -> bool:
        call = parse_call(event.lines)
        return call is not None and int(call.pid) == self.query.canaries[event.id]


def _is_user(actor: Actor, user: str) -> bool:
    """Whether it was that user and nobody in that user's name, such as with a set-user-ID program."""
    names, ids = actor.names, (actor.uid, actor.euid, actor.fsuid)
    if user.isdigit():
        return all(one is None or one == int(user) for one in ids)
    return names["uid"] == names["euid"] == user and actor.fsuid in (None, actor.euid)


def _below(place: Place, paths: Sequence[str]) -> bool:
    """Whether the path is one of these or below it; one that is not certain may always be."""
    if not place.exact or place.path is None:
        return True
    return any(path in ("/", place.path) or place.path.startswith(path + "/") for path in paths)
