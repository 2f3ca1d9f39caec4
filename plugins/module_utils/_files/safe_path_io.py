# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reach files without being led astray by links that somebody else planted.

Every path is walked directory by directory on file descriptors. A symbolic link is followed only
when root (or we) own it and nobody else can replace it. This file only reads, but for remove_tree.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections import deque
from dataclasses import dataclass, field
from typing import Iterator

from .._core.error import HardeningError

_MAX_LINKS = 40
# A controller may run macOS, which has no O_PATH; reading a directory is all that is lost.
_WALK: int = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LIST = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class FilesError(HardeningError):
    """A file that could not be handled, in one sentence: what was tried, where, and why not.

    `errno` is None when the refusal is ours. `outcome` says what state the files are in.
    """

    def __init__(self, path: str, action: str, reason: OSError | str, outcome: str = "") -> None:
        self.path = path
        self.action = action
        self.errno = reason.errno if isinstance(reason, OSError) else None
        self.reason = _reason(reason)
        self.outcome = outcome
        super().__init__(path, action, self.reason)

    def __str__(self) -> str:
        # A name may hold bytes that are not text; the sentence must be printable all the same.
        path = self.path.encode("utf-8", "backslashreplace").decode()
        text = f"cannot {self.action} {path}: {self.reason}"
        return text + "; " + self.outcome if self.outcome else text


def _reason(reason: OSError | str) -> str:
    if isinstance(reason, str):
        return reason
    number = reason.errno or 0
    return f"{os.strerror(number)} ({errno.errorcode.get(number, number)})"


@contextlib.contextmanager
def doing(action: str, path: str) -> Iterator[None]:
    """Turn an OSError of the block into a FilesError that names the action and the path."""
    try:
        yield
    except OSError as error:
        raise FilesError(path, action, error) from error


@dataclass(frozen=True)
class FileState:
    """A regular file as it is: bytes, permission bits, numeric owner and group.

    `link`: reached through a symbolic link in its last component. `links`: hard link count.
    """

    content: bytes = field(repr=False)
    mode: int
    uid: int
    gid: int
    link: bool = False
    links: int = 1


@dataclass(frozen=True)
class Entry:
    """One name in a directory; `kind` is file, directory, link or other. `size` in bytes."""

    kind: str
    mode: int
    uid: int
    gid: int
    size: int
    mtime_ns: int


class Place:
    """A name in an open directory. `real_dir` is that directory's path without any link.

    Owns `dir_fd`; use as a context manager or call close().
    """

    def __init__(self, path: str, dir_fd: int, real_dir: str, name: str, link: bool) -> None:
        self.path = path
        self.dir_fd = dir_fd
        self.real_dir = real_dir
        self.name = name
        self.link = link

    def __enter__(self) -> Place:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the directory; harmless when done twice."""
        if self.dir_fd >= 0:
            os.close(self.dir_fd)
            self.dir_fd = -1

    def stat(self) -> os.stat_result | None:
        """The name itself (links not followed), or None when there is nothing."""
        try:
            return os.stat(self.name, dir_fd=self.dir_fd, follow_symlinks=False)
        except FileNotFoundError:
            return None


def check_path(path: str) -> list[str]:
    """The components of an absolute path. Raises FilesError for any other path."""
    parts = path.split("/")[1:]
    if not path.startswith("/") or "\0" in path or not all(parts) or {".", ".."} & set(parts):
        raise FilesError(path, "use", "the path must be absolute, without '.', '..' or '//'")
    return parts


class _Walk:
    """The state of one descent from the root directory."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.parts: deque[str] = deque(check_path(path))
        self.real: list[str] = []
        self.links = 0
        self.fd = os.open("/", _WALK)

    def enter(self, name: str) -> None:
        """Step into one directory, or replace one link by the components of its target."""
        try:
            below = os.open(name, _WALK, dir_fd=self.fd)
        except OSError as error:
            found = self.lstat(name) if error.errno in (errno.ELOOP, errno.ENOTDIR) else None
            if found is None or not stat.S_ISLNK(found.st_mode):
                raise FilesError(self.path, "reach", error) from error
            self.follow(name, found)
            return
        os.close(self.fd)
        self.fd = below
        self.real = self.real[:-1] if name == ".." else [*self.real, name]

    def lstat(self, name: str) -> os.stat_result | None:
        try:
            return os.stat(name, dir_fd=self.fd, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def follow(self, name: str, link: os.stat_result) -> None:
        """Put the target of a trusted link in front of what is left of the path."""
        self.links += 1
        if self.links > _MAX_LINKS:
            raise FilesError(self.path, "reach", OSError(errno.ELOOP, ""))
        shown = "/" + "/".join([*self.real, name])
        parent = os.fstat(self.fd)
        trusted = (0, os.geteuid())
        # Whoever may write in the directory may replace the link, the group included.
        if link.st_uid not in trusted or parent.st_uid not in trusted or parent.st_mode & 0o022:
            raise FilesError(
                self.path,
                "reach",
                f"{shown} is a symbolic link that an unprivileged user can make or change; replace it"
                " with what it points at, or give the path without the link",
            )
        target = os.readlink(name, dir_fd=self.fd)
        if target.startswith("/"):
            root = os.open("/", _WALK)
            os.close(self.fd)
            self.fd, self.real = root, []
        self.parts.extendleft(p for p in reversed(target.split("/")) if p not in ("", "."))


def locate(path: str, follow: bool = True) -> Place:
    """Walk to `path`; its last component need not exist. FilesError when a directory is missing.

    With `follow` a trusted link in the last component leads on to its target.
    """
    with doing("reach", path):
        walk = _Walk(path)
        try:
            return _last_step(walk, follow)
        except BaseException:
            os.close(walk.fd)
            raise


def _last_step(walk: _Walk, follow: bool) -> Place:
    link = False
    while walk.parts:
        name = walk.parts.popleft()
        if walk.parts or name == "..":
            walk.enter(name)
            continue
        found = walk.lstat(name)
        if not (follow and found and stat.S_ISLNK(found.st_mode)):
            return Place(walk.path, walk.fd, "/" + "/".join(walk.real), name, link)
        walk.follow(name, found)
        link = True
    raise FilesError(walk.path, "use", "it is a link to a directory")


def open_dir(path: str) -> int:
    """A readable descriptor of the directory `path`. FilesError when it is not a directory."""
    if path == "/":
        return os.open("/", _LIST)
    with doing("open", path):
        walk = _Walk(path)
        try:
            while walk.parts:
                walk.enter(walk.parts.popleft())
            return os.open(".", _LIST, dir_fd=walk.fd)
        finally:
            os.close(walk.fd)


def read_place(place: Place) -> FileState | None:
    """Read the regular file at a place; None when there is nothing, FilesError when it is other."""
    found = place.stat()
    if found is None:
        return None
    if not stat.S_ISREG(found.st_mode):
        raise FilesError(place.path, "read", f"it is a {kind_of(found.st_mode)}, not a file")
    with doing("read", place.path):
        fd = os.open(place.name, _READ, dir_fd=place.dir_fd)
        with os.fdopen(fd, "rb") as stream:
            opened = os.fstat(fd)
            if not stat.S_ISREG(opened.st_mode):
                raise FilesError(place.path, "read", "it was swapped while it was opened")
            return FileState(
                content=stream.read(),
                mode=stat.S_IMODE(opened.st_mode),
                uid=opened.st_uid,
                gid=opened.st_gid,
                link=place.link,
                links=opened.st_nlink,
            )


def read_file(path: str) -> FileState | None:
    """Read a file through trusted links only; None when it or its directory does not exist."""
    try:
        place = locate(path)
    except FilesError as error:
        if error.errno == errno.ENOENT:
            return None
        raise
    with place:
        return read_place(place)


def kind_of(mode: int) -> str:
    """A word for the type of a file: file, directory, link or the special ones by name."""
    for test, word in (
        (stat.S_ISREG, "file"),
        (stat.S_ISDIR, "directory"),
        (stat.S_ISLNK, "link"),
        (stat.S_ISFIFO, "FIFO"),
        (stat.S_ISSOCK, "socket"),
    ):
        if test(mode):
            return word
    return "device"


def scan(path: str) -> dict[str, Entry] | None:
    """What a directory holds, by name in sorted order; None when there is no such directory."""
    try:
        fd = open_dir(path)
    except FilesError as error:
        if error.errno == errno.ENOENT:
            return None
        raise
    entries = {}
    with doing("list", path):
        try:
            for name in sorted(os.listdir(fd)):
                with contextlib.suppress(FileNotFoundError):  # removed since it was listed
                    found = os.stat(name, dir_fd=fd, follow_symlinks=False)
                    entries[name] = Entry(
                        kind_of(found.st_mode),
                        stat.S_IMODE(found.st_mode),
                        found.st_uid,
                        found.st_gid,
                        found.st_size,
                        found.st_mtime_ns,
                    )
        finally:
            os.close(fd)
    return entries


def remove_tree(path: str) -> bool:
    """Remove a directory of ours and all in it; False when it was not there.

    Links in it are removed, never followed. A mount point, or a path that is itself a link or a
    file, is refused with FilesError.
    """
    try:
        place = locate(path, follow=False)
    except FilesError as error:
        if error.errno == errno.ENOENT:
            return False
        raise
    with place:
        found = place.stat()
        if found is None:
            return False
        if not stat.S_ISDIR(found.st_mode):
            raise FilesError(path, "remove", f"it is a {kind_of(found.st_mode)}, not a directory")
        with doing("remove", path):
            _remove_tree_at(place.dir_fd, place.name, path, os.fstat(place.dir_fd).st_dev)
            os.rmdir(place.name, dir_fd=place.dir_fd)
    return True


def _remove_tree_at(dir_fd: int, name: str, shown: str, device: int) -> None:
    fd = os.open(name, _LIST, dir_fd=dir_fd)
    try:
        if os.fstat(fd).st_dev != device:
            raise FilesError(shown, "remove", "something is mounted there; unmount it first")
        for child in os.listdir(fd):
            found = os.stat(child, dir_fd=fd, follow_symlinks=False)
            if stat.S_ISDIR(found.st_mode):
                _remove_tree_at(fd, child, shown + "/" + child, device)
                os.rmdir(child, dir_fd=fd)
            else:
                os.unlink(child, dir_fd=fd)
    finally:
        os.close(fd)
