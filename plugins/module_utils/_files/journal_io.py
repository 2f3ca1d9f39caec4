# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal of a file transaction, and how an unfinished one is taken back.

The journal lives in a private state directory. Its phase decides what a later run has to do:

    staging     temporary files are being made; no target was touched: remove ours
    committing  targets are being replaced: put the old ones back
    committed   all are replaced and nobody has said that they work: put the old ones back
    confirmed   the new ones stay: remove the backups

The first two are in the file `journal`; the last two are that file renamed, which needs no space
on a full disk. Taking back may itself be interrupted and started again at any point.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Callable, Sequence

from .safe_path_io import FilesError, Place, doing, open_dir

_JOURNAL = "journal"
_NEW = "journal.new"
_FILE_OF_PHASE = {
    "staging": _JOURNAL,
    "committing": _JOURNAL,
    "committed": "journal.committed",
    "confirmed": "journal.confirmed",
}
LIST = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
CREATE = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass
class Entry:
    """What must be known to take one step back.

    `kind`: write, remove, make_dir or set_dir. `dir` is free of links. `temp` and `backup` are
    names in `dir`. `dev`, `ino`, `mtime_ns` and `size` identify our new file (an inode number alone
    is soon used again); `mode`, `uid` and `gid` are a directory's old ones (set_dir).
    """

    kind: str
    path: str
    dir: str
    name: str
    temp: str = ""
    backup: str = ""
    existed: bool = False
    dev: int = 0
    ino: int = 0
    mtime_ns: int = 0
    size: int = 0
    mode: int = 0
    uid: int = 0
    gid: int = 0

    def know(self, made: os.stat_result) -> None:
        """Remember how our new file can be told from one that somebody else puts in its place."""
        self.dev, self.ino = made.st_dev, made.st_ino
        self.mtime_ns, self.size = made.st_mtime_ns, made.st_size

    def is_ours(self, found: os.stat_result) -> bool:
        """Whether this is the file that was remembered."""
        known = (self.dev, self.ino, self.mtime_ns, self.size)
        return known == (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size)


class Dirs:
    """Open directories by their real path, so that a whole transaction works on the same ones."""

    def __init__(self) -> None:
        self._fds: dict[str, int] = {}

    def keep(self, place: Place) -> None:
        """Keep the directory of a place open, and close the place."""
        with place:
            if place.real_dir not in self._fds:
                with doing("open", place.real_dir):
                    self._fds[place.real_dir] = os.open(".", LIST, dir_fd=place.dir_fd)

    def add(self, real_dir: str, fd: int) -> None:
        """Take over a descriptor."""
        self._fds[real_dir] = fd

    def fd(self, real_dir: str) -> int:
        """The open directory, opened now when it was not."""
        if real_dir not in self._fds:
            self._fds[real_dir] = open_dir(real_dir)
        return self._fds[real_dir]

    def items(self) -> list[tuple[str, int]]:
        return sorted(self._fds.items())

    def sync(self) -> None:
        """Make every name in the open directories durable."""
        for path, fd in self.items():
            with doing("sync", path):
                os.fsync(fd)

    def close(self) -> None:
        while self._fds:
            os.close(self._fds.popitem()[1])


def write_all(fd: int, content: bytes) -> None:
    """Write every byte; the kernel may take fewer at a time."""
    view = memoryview(content)
    while view:
        view = view[os.write(fd, view) :]


def unlink_quietly(name: str, dir_fd: int) -> None:
    """Remove a name that may be gone already."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=dir_fd)


class Journal:
    """The journal in an open, locked state directory."""

    def __init__(self, path: str, fd: int) -> None:
        self.path = path
        self.fd = fd

    def write(self, phase: str, entries: Sequence[Entry]) -> None:
        """Replace the journal durably (phases staging and committing)."""
        content = json.dumps({"phase": phase, "entries": [asdict(e) for e in entries]})
        with doing("write the journal in", self.path):
            fd = os.open(_NEW, CREATE | os.O_TRUNC, 0o600, dir_fd=self.fd)
            try:
                write_all(fd, content.encode())
                os.fsync(fd)
            finally:
                os.close(fd)
            os.rename(_NEW, _JOURNAL, src_dir_fd=self.fd, dst_dir_fd=self.fd)
            os.fsync(self.fd)

    def rename(self, before: str, after: str) -> None:
        """Go to the phase committed or confirmed, durable after sync()."""
        old, new = _FILE_OF_PHASE[before], _FILE_OF_PHASE[after]
        with doing("update the journal in", self.path):
            os.rename(old, new, src_dir_fd=self.fd, dst_dir_fd=self.fd)

    def sync(self) -> None:
        """Make the journal's name durable."""
        with doing("sync", self.path):
            os.fsync(self.fd)

    def read(self) -> tuple[str, list[Entry]] | None:
        """The phase and entries of an unfinished run, or None. FilesError when unreadable."""
        names = os.listdir(self.fd)
        for file_name in reversed(list(_FILE_OF_PHASE.values())):
            if file_name not in names:
                continue
            with doing("read the journal in", self.path):
                fd = os.open(file_name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=self.fd)
                with os.fdopen(fd, "rb") as stream:
                    content = stream.read()
            phase, entries = self._parse(content)
            # After a rename the name tells the phase, not the content.
            by_name = {"journal.committed": "committed", "journal.confirmed": "confirmed"}
            return by_name.get(file_name, phase), entries
        return None

    def _parse(self, content: bytes) -> tuple[str, list[Entry]]:
        try:
            document: dict[str, Any] = json.loads(content)
            phase = {name: name for name in _FILE_OF_PHASE}[document["phase"]]
            return phase, [Entry(**entry) for entry in document["entries"]]
        except (ValueError, TypeError, KeyError) as error:
            raise FilesError(
                self.path,
                "read the journal in",
                "it is damaged; look for backups named .tg-*~ beside the files of this control, put them"
                " back, then delete the journal",
            ) from error

    def remove(self) -> None:
        """Forget the run, durably."""
        with doing("remove the journal in", self.path):
            for name in (_NEW, *set(_FILE_OF_PHASE.values())):
                unlink_quietly(name, self.fd)
            os.fsync(self.fd)

    def remove_leftover(self) -> None:
        """Remove a journal that was being written when its run was killed."""
        with doing("remove the unfinished journal in", self.path):
            if _NEW in os.listdir(self.fd):
                os.unlink(_NEW, dir_fd=self.fd)


def take_back(phase: str, entries: Sequence[Entry], dirs: Dirs) -> None:
    """Put everything back as it was before the run, last step first.

    All steps are tried; then the first error is raised, and trying again later is safe.
    """
    errors = [
        _attempt(partial(_take_back_entry, phase, entry, dirs)) for entry in reversed(entries)
    ]
    errors.append(_attempt(dirs.sync))
    for error in errors:
        # A whole directory that somebody removed holds nothing that could be put back.
        if error is not None and error.errno != errno.ENOENT:
            raise error


def _attempt(work: Callable[[], None]) -> FilesError | None:
    try:
        work()
    except FilesError as error:
        return error
    return None


def _take_back_entry(phase: str, entry: Entry, dirs: Dirs) -> None:
    fd = dirs.fd(entry.dir)
    with doing("restore", entry.path):
        if entry.kind == "make_dir":
            _remove_new_dir(entry, fd)
        elif entry.kind == "set_dir":
            if phase != "staging":
                _restore_dir(entry, fd)
        else:
            if phase != "staging":
                _restore_file(entry, fd)
            _unlink_ours(entry, fd)


def _remove_new_dir(entry: Entry, fd: int) -> None:
    try:
        os.rmdir(entry.name, dir_fd=fd)
    except FileNotFoundError:
        pass
    except OSError as error:
        # Somebody else has put something there since: it is theirs now.
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise


def _restore_dir(entry: Entry, fd: int) -> None:
    target = os.open(entry.name, LIST, dir_fd=fd)
    try:
        set_owner_and_mode(target, entry.mode, entry.uid, entry.gid)
    finally:
        os.close(target)


def _restore_file(entry: Entry, fd: int) -> None:
    if entry.existed:
        # Not yet replaced means two links of one file: renaming then does nothing, and the backup
        # goes with the other leftovers.
        if _lstat(entry.backup, fd) is not None:
            os.rename(entry.backup, entry.name, src_dir_fd=fd, dst_dir_fd=fd)
        return
    now = _lstat(entry.name, fd)
    if now is not None and entry.is_ours(now):
        os.unlink(entry.name, dir_fd=fd)


def _unlink_ours(entry: Entry, fd: int) -> None:
    for name in (entry.temp, entry.backup):
        if name and _lstat(name, fd) is not None:
            os.unlink(name, dir_fd=fd)


def _lstat(name: str, fd: int) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=fd, follow_symlinks=False)
    except FileNotFoundError:
        return None


def clean_up(entries: Sequence[Entry], dirs: Dirs) -> None:
    """Remove what a confirmed run kept for going back."""
    for entry in entries:
        try:
            fd = dirs.fd(entry.dir)
        except FilesError as error:
            if error.errno == errno.ENOENT:
                continue
            raise
        with doing("remove the backup of", entry.path):
            _unlink_ours(entry, fd)
    dirs.sync()


def set_owner_and_mode(fd: int, mode: int, uid: int, gid: int) -> None:
    """Set what differs; -1 leaves the owner or group. Owner first: chown clears set-id bits."""
    found = os.fstat(fd)
    if (uid not in (-1, found.st_uid)) or (gid not in (-1, found.st_gid)):
        os.fchown(fd, uid, gid)
        found = os.fstat(fd)
    if stat.S_IMODE(found.st_mode) != mode:
        os.fchmod(fd, mode)
