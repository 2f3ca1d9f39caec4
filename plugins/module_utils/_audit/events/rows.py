# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the lines of one event to who did what to which file (pure)."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any, Callable, Dict, List, NamedTuple, Sequence, Tuple, Union, cast

from .join import Call, parse_call
from .records import (
    ENRICHED,
    Record,
    command_line,
    keys_of,
    number,
    parse_record,
    plain,
    shown,
    text_of,
)
from .syscalls import counts_from_cwd, flags_argument, operation, syscall_name, uring_operation

NameOf = Callable[[int], Union[str, None]]

UNSET = 0xFFFFFFFF
"""The login user of what no login started, such as a service."""

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_CONTAINERS = re.compile(r"docker|container|podman|lxc|crio|kube|libpod|snap\.", re.IGNORECASE)
# What is acted on stands before what came of it or holds it.
_ORDER = {"DELETE": 0, "NORMAL": 1, "CREATE": 2, "UNKNOWN": 3, "PARENT": 9}


@dataclass(frozen=True)
class Actor:
    """Who made a call: everything in its record that does not change from call to call."""

    keys: Tuple[str, ...]
    uid: Union[int, None]
    auid: Union[int, None]
    euid: Union[int, None]
    fsuid: Union[int, None]
    names: Dict[str, Union[str, None]]  # of uid, auid and euid
    comm: Union[str, None]
    exe: Union[str, None]
    session: Union[int, None]
    subject: Union[str, None]

    @property
    def user(self) -> str:
        """Whose rights the process had on files, as it is summed up and shown."""
        return self.names["euid"] or ("?" if self.euid is None else str(self.euid))


class Place(NamedTuple):
    """A path of an event; `exact` says whether it is certain which file it names."""

    path: Union[str, None]
    raw: Union[bytes, None]
    decodable: bool
    exact: bool
    nametype: str
    record: Record


def parse_actor(tail: bytes, name_of: NameOf) -> Union[Actor, None]:
    """The end of a call's record; None when it is torn or two lines run into one."""
    record = parse_record(b"type=SYSCALL msg=audit(0.000:0): " + tail)
    if record is None or not record.fields.get("key"):
        return None
    get = record.fields.get
    ids = {name: number(get(name)) for name in ("uid", "auid", "euid", "fsuid")}
    if ids["uid"] is None or ids["euid"] is None:
        return None
    # auditd's names are of the moment when it happened; an account may be gone or another one now.
    names = {
        name: text_of(record.names.get(name.upper())) or _name(ids[name], name_of)
        for name in ("uid", "auid", "euid")
    }
    body = tail.partition(ENRICHED)[0]
    label = re.search(rb" subj=(.*?) key=", body)
    return Actor(
        tuple(keys_of(get("key"))),
        ids["uid"],
        ids["auid"],
        ids["euid"],
        ids["fsuid"],
        names,
        text_of(get("comm")),
        text_of(get("exe")),
        number(get("ses")),
        shown(label.group(1))[0] if label else None,
    )


def _name(uid: Union[int, None], name_of: NameOf) -> Union[str, None]:
    if uid is None:
        return None
    return "unset" if uid == UNSET else name_of(uid)


def call_name(call: Call) -> str:
    """The name of the system call, or of the request of io_uring."""
    if call.arch == b"uring":
        return uring_operation(int(call.number))[0]
    return syscall_name(int(call.arch, 16), int(call.number))


def operation_of(call: Call, name: str, lines: bytes = b"") -> str:
    """What the call does; `lines` of its event tell what openat2 was asked for."""
    if call.arch == b"uring":
        return uring_operation(int(call.number))[1]
    where = flags_argument(name)
    flags = None if where is None else int(call[6:10][where], 16)
    if name == "openat2":
        asked = re.search(rb"type=OPENAT2 [^\n]* oflag=0?([0-7]+)", lines)
        flags = int(asked.group(1), 8) if asked else None
    return operation(name, flags)


def parse_lines(lines: bytes) -> List[Record]:
    """The records behind the call; what is not a record is left out."""
    found = [parse_record(line) for line in lines.split(b"\n")[1:]]
    return [one for one in found if one]


def places(records: Sequence[Record], call: Call, name: str) -> List[Place]:
    """Every path of the event; what was acted on first, directories that hold it last."""
    cwd = next((plain(one.fields.get("cwd")) for one in records if one.type == "CWD"), None)
    from_cwd = call.arch != b"uring" and counts_from_cwd(
        name, [int(value, 16) for value in call[6:10]]
    )
    found = [_place(one, cwd if from_cwd else None) for one in records if one.type == "PATH"]
    return sorted(found, key=lambda one: _ORDER.get(one.nametype, 4))


def _place(record: Record, cwd: Union[bytes, None]) -> Place:
    raw = plain(record.fields.get("name"))
    kind = record.fields.get("nametype", b"UNKNOWN").decode("ascii", "replace")
    if raw is None:
        return Place(None, None, True, False, kind, record)
    if raw[:1] != b"/" and cwd is not None and cwd[:1] == b"/":
        raw = posixpath.join(cwd, raw)
    exact = raw[:1] == b"/" and b".." not in raw.split(b"/")
    if exact:
        raw = b"/" + posixpath.normpath(raw).lstrip(b"/")
    path, decodable = shown(raw)
    return Place(path, raw, decodable, exact, kind, record)


def moment(event_id: bytes) -> str:
    """The time of an event as ISO 8601 in UTC, to the millisecond."""
    seconds, _dot, rest = event_id.partition(b".")
    at = _EPOCH + timedelta(seconds=int(seconds), milliseconds=int(rest.partition(b":")[0]))
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + "%03dZ" % (at.microsecond // 1000)


def row(
    lines: bytes, actor: Actor, done: str, unexpected: Union[bool, None], canary: bool
) -> Dict[str, Any]:
    """The event as the module returns it, but for whether it is complete."""
    call = cast(Call, parse_call(lines))
    name = call_name(call)
    records = parse_lines(lines)
    found = places(records, call, name)
    main = found[0] if found and found[0].nametype != "PARENT" else None
    title = next((one for one in records if one.type == "PROCTITLE"), None)
    cwd = next((one for one in records if one.type == "CWD"), None)
    made = {
        "time": moment(call.id),
        "serial": int(call.id.rpartition(b":")[2]),
        "node": shown(call.node[5:].rstrip())[0] if call.node else None,
        "rule_keys": list(actor.keys),
        "operation": done,
        "syscall": name,
        "success": None if call.success is None else call.success == b"yes",
        "exit": number(call.exit),
        "pid": number(call.pid),
        "ppid": number(call.ppid),
        "uid": actor.uid,
        "auid": None if actor.auid == UNSET else actor.auid,
        "euid": actor.euid,
        "user": actor.names["uid"],
        "login_user": None if actor.auid == UNSET else actor.names["auid"],
        "effective_user": actor.names["euid"],
        "session": None if actor.session == UNSET else actor.session,
        "comm": actor.comm,
        "exe": actor.exe,
        "subject": actor.subject,
        "container": _container(actor, records),
        "cwd": text_of(cwd.fields.get("cwd")) if cwd else None,
        "proctitle": command_line(title.fields.get("proctitle")) if title else None,
        "paths": [_shown_place(one) for one in found],
        "unexpected": unexpected,
        "canary": canary,
    }
    made.update(_shown_place(main) if main else dict.fromkeys(_PLACE))
    del made["nametype"]
    return made


_PLACE = ("path", "path_exact", "path_hex", "nametype", "inode", "device", "mode")


def _shown_place(place: Place) -> Dict[str, Any]:
    fields = place.record.fields
    mode = number(fields.get("mode"), 8)
    values = (
        place.path,
        place.exact,
        None if place.decodable or place.raw is None else place.raw.hex(),
        place.nametype,
        number(fields.get("inode")),
        text_of(fields.get("dev")),
        None if mode is None else "%07o" % mode,
    )
    return dict(zip(_PLACE, values))


def _container(actor: Actor, records: Sequence[Record]) -> Union[str, None]:
    """What the records tell of a container; the kernel names none by itself."""
    for one in records:
        if one.type == "CONTAINER_ID":
            return text_of(one.fields.get("contid"))
    label = actor.subject or ""
    return label if _CONTAINERS.search(label) else None
