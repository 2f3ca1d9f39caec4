# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The wanted state of files, and how it differs from what is there. Nothing is changed here."""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass, field
from typing import Sequence, Union

from .._core.plan import Change, Plan
from .journal_io import Dirs, Entry
from .safe_path_io import FilesError, FileState, Place, check_path, kind_of, locate, read_place

_NEW_FILE_MODE = 0o600
_NEW_DIR_MODE = 0o755


@dataclass(frozen=True)
class FileSpec:
    """A file with this content. None keeps what the file has; new files get mode 0600."""

    path: str
    content: bytes = field(repr=False)
    mode: int | None = None
    owner: int | None = None
    group: int | None = None
    secret: bool = False

    def __post_init__(self) -> None:
        if self.secret and self.mode is not None and self.mode & 0o007:
            raise FilesError(
                self.path, "write", f"mode {self.mode:04o} gives everyone access to a secret"
            )


@dataclass(frozen=True)
class Absent:
    """A file, or a link itself, that must not exist. `secret` hides its content in diffs."""

    path: str
    secret: bool = False


@dataclass(frozen=True)
class DirSpec:
    """A directory that must exist; its parent exists already or comes earlier in the list."""

    path: str
    mode: int | None = None
    owner: int | None = None
    group: int | None = None


Wanted = Union[FileSpec, Absent, DirSpec]


@dataclass
class Step:
    """One difference: the journal entry to take it back, and what to do."""

    entry: Entry
    spec: Wanted
    old: FileState | None = None
    mode: int = 0
    uid: int = -1
    gid: int = -1


def plan_files(wanted: Sequence[Wanted]) -> Plan:
    """What staging these would change, without changing or locking anything."""
    dirs = Dirs()
    try:
        steps = inspect_files(wanted, dirs)
    finally:
        dirs.close()
    changes: list[Change] = []
    for step in steps:
        changes.extend(_changes(step))
    return Plan(tuple(changes))


def _changes(step: Step) -> list[Change]:
    path, spec, old, entry = step.entry.path, step.spec, step.old, step.entry
    secret = getattr(spec, "secret", False)
    changes = []
    if not isinstance(spec, DirSpec):
        before = None if not entry.existed else _text(old.content if old else b"")
        after = _text(spec.content) if isinstance(spec, FileSpec) else None
        changes.append(Change(path, before, after, secret))
    if not isinstance(spec, Absent):
        had = (old.mode, old.uid, old.gid) if old else (entry.mode, entry.uid, entry.gid)
        uid, gid = (had[1] if step.uid < 0 else step.uid), (had[2] if step.gid < 0 else step.gid)
        if entry.existed:
            changes.append(
                Change(path + " (mode and owner)", _meta(*had), _meta(step.mode, uid, gid))
            )
        elif isinstance(spec, DirSpec):
            changes.append(Change(path + "/", None, f"mode {step.mode:04o}\n"))
    return changes


def _text(content: bytes) -> str:
    return content.decode("utf-8", "backslashreplace")


def _meta(mode: int, uid: int, gid: int) -> str:
    return f"mode {mode:04o}, owner {uid}, group {gid}\n"


def inspect_files(wanted: Sequence[Wanted], dirs: Dirs) -> list[Step]:
    """The steps that are needed. Opens directories, changes nothing."""
    steps: list[Step] = []
    new_dirs: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    for spec in wanted:
        parent, name = "/" + "/".join(check_path(spec.path)[:-1]), spec.path.rsplit("/", 1)[1]
        place = None
        if parent in new_dirs:
            target = (new_dirs[parent], name)
        else:
            place = _locate(spec)
            if place is None:
                continue
            target = (place.real_dir, place.name)
        if target in seen:
            raise FilesError(spec.path, "plan", "it is in the list twice")
        seen.add(target)
        step = _compare(spec, place, Entry("", spec.path, *target))
        if place is not None:
            dirs.keep(place)
        if step is None:
            continue
        steps.append(step)
        if step.entry.kind == "make_dir":
            new_dirs[spec.path] = os.path.join(*target)
    return steps


def _locate(spec: Wanted) -> Place | None:
    try:
        return locate(spec.path, follow=not isinstance(spec, Absent))
    except FilesError as error:
        if isinstance(spec, Absent) and error.errno == errno.ENOENT:
            return None
        raise


def _compare(spec: Wanted, place: Place | None, entry: Entry) -> Step | None:
    """The step towards one wanted thing, or None when it is there already."""
    found = place.stat() if place else None
    entry.existed = found is not None
    if isinstance(spec, Absent):
        if found is None:
            return None
        entry.kind = "remove"
        link = stat.S_ISLNK(found.st_mode)
        return Step(entry, spec, None if link or place is None else read_place(place))
    uid = -1 if spec.owner is None else spec.owner
    gid = -1 if spec.group is None else spec.group
    if isinstance(spec, DirSpec):
        return _compare_dir(spec, found, Step(entry, spec, None, spec.mode or 0, uid, gid))
    old = read_place(place) if place else None
    entry.kind = "write"
    mode = spec.mode if spec.mode is not None else old.mode if old else _NEW_FILE_MODE
    if old is None:
        return Step(entry, spec, None, mode, uid, gid)
    step = Step(entry, spec, old, mode, old.uid if uid < 0 else uid, old.gid if gid < 0 else gid)
    same = (old.content, old.mode, old.uid, old.gid) == (spec.content, mode, step.uid, step.gid)
    return None if same else step


def _compare_dir(spec: DirSpec, found: os.stat_result | None, step: Step) -> Step | None:
    if found is None:
        step.entry.kind = "make_dir"
        step.mode = _NEW_DIR_MODE if spec.mode is None else spec.mode
        return step
    if not stat.S_ISDIR(found.st_mode):
        raise FilesError(spec.path, "make", f"it is a {kind_of(found.st_mode)} already")
    entry = step.entry
    entry.kind = "set_dir"
    entry.mode, entry.uid, entry.gid = stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid
    step.mode = entry.mode if spec.mode is None else spec.mode
    same = step.mode == entry.mode and step.uid in (-1, entry.uid) and step.gid in (-1, entry.gid)
    return None if same else step
