# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of batches on disk: walked without following links, written durably, of any size (I/O).

Large files cannot go through a Transaction, which holds contents in memory. The same rules apply: private while they
are written, flushed to disk, and published by one rename.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import stat
from dataclasses import dataclass
from typing import Callable, Dict, Iterator, List, Optional, Sequence, Tuple

from .._files.journal_io import CREATE, LIST, write_all
from .._files.safe_path_io import FilesError, doing, kind_of, locate, open_dir, read_file
from .._files.steps_io import mark_of, sweep
from .._files.transaction_io import replace_file
from . import names
from .openssl_io import CHUNK

READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_MANY = 32  # files; for more of them one flush of the file system is cheaper than one for each


@dataclass(frozen=True)
class Source:
    """A file to be sealed: its name in the batch, its location, and its status when it was found."""

    name: str
    root: str
    below: str
    size: int
    mark: Tuple[int, ...]
    touched_ns: int

    @property
    def path(self) -> str:
        """Its path, for messages."""
        return f"{self.root}/{self.below}"


def mark(found: os.stat_result) -> Tuple[int, ...]:
    """A value that differs once a file is changed or replaced. Nobody can set the ctime in it."""
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def gather(paths: Sequence[str]) -> List[Source]:
    """All files at and below these paths, by name. FilesError for anything but files and directories."""
    found: Dict[str, Source] = {}
    for path in paths:
        for one in _below(path):
            if one.name in found:
                raise FilesError(
                    path,
                    "seal",
                    f"another source already contributes the name {names.shown(one.name)}",
                )
            wrong = names.problem(one.name)
            if wrong:
                raise FilesError(
                    path, "seal", f"it contains the name {names.shown(one.name)}: {wrong}"
                )
            found[one.name] = one
    return [found[name] for name in sorted(found)]


def _below(path: str) -> Iterator[Source]:
    with locate(path) as place, doing("read", path):
        status = place.stat()
        if status is None:
            raise FilesError(path, "seal", "it does not exist")
        if not stat.S_ISDIR(status.st_mode):
            yield _source(place.real_dir.rstrip("/"), place.name, place.name, path, status)
            return
    root = open_dir(path)
    try:
        yield from _walk(root, path, "")
    finally:
        os.close(root)


def _walk(fd: int, root: str, prefix: str) -> Iterator[Source]:
    with doing("read", f"{root}/{prefix}"):
        for name in sorted(os.listdir(fd)):
            status = os.stat(name, dir_fd=fd, follow_symlinks=False)
            if not stat.S_ISDIR(status.st_mode):
                yield _source(root, prefix + name, prefix + name, f"{root}/{prefix}{name}", status)
                continue
            below = os.open(name, LIST, dir_fd=fd)
            try:
                yield from _walk(below, root, f"{prefix}{name}/")
            finally:
                os.close(below)


def _source(root: str, below: str, name: str, path: str, status: os.stat_result) -> Source:
    if not stat.S_ISREG(status.st_mode):
        raise FilesError(path, "seal", f"it is a {kind_of(status.st_mode)}, not a file")
    touched = max(status.st_mtime_ns, status.st_ctime_ns)
    return Source(name, root, below, status.st_size, mark(status), touched)


class Reader:
    """Reads sources one after another; the directory used last stays open."""

    def __init__(self) -> None:
        self._path = ""
        self._fd = -1

    def close(self) -> None:
        """Close what is open."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def parts(self, source: Source, take: Callable[[memoryview], object]) -> Iterator[memoryview]:
        """The content in chunks, each passed to `take` as well. FilesError when it has changed meanwhile."""
        with doing("read", source.path):
            fd = os.open(source.below.rpartition("/")[2], READ, dir_fd=self._directory(source))
            try:
                yield from _same(fd, source, take)
            finally:
                os.close(fd)

    def _directory(self, source: Source) -> int:
        path = source.path.rpartition("/")[0] or "/"
        if path != self._path or self._fd < 0:
            self.close()
            self._fd, self._path = open_dir(path), path
        return self._fd


def _same(fd: int, source: Source, take: Callable[[memoryview], object]) -> Iterator[memoryview]:
    changed = FilesError(source.path, "seal", "it changed while it was sealed; run this again")
    buffer = memoryview(bytearray(min(CHUNK, max(source.size, 1))))
    left = source.size
    while left:
        count = os.readv(fd, [buffer[: min(left, len(buffer))]])
        if count == 0:
            raise changed
        take(buffer[:count])
        yield buffer[:count]
        left -= count
    if mark(os.fstat(fd)) != source.mark:
        raise changed


def digest_fd(fd: int, size: int) -> Optional[str]:
    """SHA-256 in hex of an open file from its beginning; None when its size is another one."""
    hashed = hashlib.sha256()
    buffer = memoryview(bytearray(CHUNK))
    position = 0
    while position <= size:
        count = os.preadv(fd, [buffer], position)
        if count == 0:
            break
        hashed.update(buffer[:count])
        position += count
    return hashed.hexdigest() if position == size else None


def create(dir_fd: int, name: str) -> int:
    """A new private file, opened for writing."""
    return os.open(name, CREATE | os.O_EXCL, 0o600, dir_fd=dir_fd)


def write_new(dir_fd: int, name: str, content: bytes, mode: int) -> None:
    """A small new file, not yet flushed."""
    fd = create(dir_fd, name)
    try:
        os.fchmod(fd, mode)
        write_all(fd, content)
    finally:
        os.close(fd)


@contextlib.contextmanager
def directory(path: str) -> Iterator[int]:
    """A directory, opened for the block."""
    fd = open_dir(path)
    try:
        yield fd
    finally:
        os.close(fd)


def flush(dir_fd: int, files: Sequence[str], directories: Sequence[str]) -> None:
    """Flush the named files and directories below a directory, and the directory itself, to disk."""
    if len(files) + len(directories) > _MANY and _flush_all(dir_fd):
        return
    for name in [*files, *directories]:
        fd = os.open(name, READ, dir_fd=dir_fd)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
    os.fsync(dir_fd)


def _flush_all(fd: int) -> bool:
    """syncfs, which Python does not offer; False where the C library has none."""
    try:
        syncfs = ctypes.CDLL(None, use_errno=True).syncfs
    except (OSError, AttributeError):
        return False
    if syncfs(fd) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return True


def write_private(path: str, content: bytes) -> None:
    """Replace a small private file durably, and remove temporary files of a killed run."""
    with directory(path.rpartition("/")[0]) as fd, doing("sweep", path):
        sweep(fd, mark_of(path))
    replace_file(path, content, 0o600)


def read_private(path: str) -> Optional[bytes]:
    """The content of such a file; None when it does not exist yet."""
    found = read_file(path)
    return None if found is None else found.content


def free_bytes(fd: int) -> int:
    """Bytes available to us on the file system of an open directory."""
    found = os.statvfs(fd)
    return found.f_bavail * found.f_frsize
