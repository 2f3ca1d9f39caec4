# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The audit log with its rotated files as one stream of bytes, oldest first (I/O)."""

from __future__ import annotations

import contextlib
import os
import re
import stat
from dataclasses import dataclass, field
from typing import Dict, Iterator, List, NamedTuple, Tuple, Union

from ..._files.safe_path_io import FilesError, doing
from .checkpoint import MARK, Checkpoint, Progress, mark_of
from .join import Joiner
from .query import Tally
from .records import first_event

PIECE = 1 << 20
_OPEN = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
_HEAD = 1 << 16


class LogFile(NamedTuple):
    """A file of the log, kept open so that a rotation cannot take it away."""

    path: str
    fd: int
    device: int
    inode: int
    size: int


class Part(NamedTuple):
    """Which file the stream's bytes from `begin` on come from."""

    begin: int
    file: LogFile
    offset: int


@dataclass
class Reading:
    """The state of the log, beside its events."""

    files: List[str] = field(default_factory=list)
    oldest: bytes = b""  # the id of the first event that the log still holds
    state: str = "none"  # of the checkpoint: none, new, continued, lost
    checkpoint: Union[Checkpoint, None] = None
    malformed: int = 0
    pending: int = 0


@contextlib.contextmanager
def opened_log(path: str) -> Iterator[List[LogFile]]:
    """The files of the log, oldest first; empty when there is none. FilesError."""
    with contextlib.ExitStack() as stack:
        found: Dict[Tuple[int, int], LogFile] = {}
        # Newest first: a rotation meanwhile then shows a file twice and never hides one.
        for name in [path, *_rotated(path)]:
            with doing("read", name):
                try:
                    fd = os.open(name, _OPEN)
                except (FileNotFoundError, NotADirectoryError):
                    continue
                stack.callback(os.close, fd)
                state = os.fstat(fd)
                if not stat.S_ISREG(state.st_mode):
                    raise FilesError(name, "read", "it is not a regular file")
            where = (state.st_dev, state.st_ino)
            found.setdefault(where, LogFile(name, fd, *where, state.st_size))
        yield list(found.values())[::-1]


def _rotated(path: str) -> List[str]:
    """The rotated files that there are now, newest first."""
    directory, name = os.path.split(path)
    pattern = re.compile(re.escape(name) + r"\.([0-9]{1,6})\Z")
    with doing("list", directory):
        try:
            names = os.listdir(directory)
        except (FileNotFoundError, NotADirectoryError):
            return []
    numbers = [int(found.group(1)) for found in map(pattern.match, names) if found]
    return ["%s.%d" % (path, number) for number in sorted(numbers)]


def read_log(
    files: List[LogFile], joiner: Joiner, tally: Tally, old: Union[Checkpoint, None], keeping: bool
) -> Reading:
    """Give the log, from `old` on, to `tally`; when `keeping`, make the next checkpoint as well."""
    reading = Reading([one.path for one in files])
    if files:
        reading.oldest = first_event(os.pread(files[0].fd, _HEAD, 0))
    first, offset = 0, 0
    if keeping:
        place = _find(files, old) if old else None
        reading.state = "new" if old is None else "lost" if place is None else "continued"
        if old and place is not None:
            first, offset = place, old.offset
    progress = Progress(old, keeping)
    parts: List[Part] = []
    for piece, final in _pieces(files[first:], offset, parts):
        for event in joiner.feed(piece, final):
            if progress.takes(event):
                tally.add(event)
    reading.malformed = joiner.malformed
    reading.pending = progress.waiting
    if keeping and files:
        end = joiner.position if progress.resume < 0 else progress.resume
        reading.checkpoint = progress.checkpoint(*_place(parts, end))
    return reading


def _pieces(files: List[LogFile], offset: int, parts: List[Part]) -> Iterator[Tuple[bytes, bool]]:
    """The bytes of all files from `offset` of the first on, then nothing with True."""
    position = 0
    for index, one in enumerate(files):
        parts.append(Part(position, one, offset))
        last = b"\n"
        # Up to the size it had when it was opened: auditd may write faster than we read.
        while offset < one.size:
            with doing("read", one.path):
                piece = os.pread(one.fd, min(PIECE, one.size - offset), offset)
            if not piece:
                break
            offset += len(piece)
            position += len(piece)
            last = piece[-1:]
            yield piece, False
        if last != b"\n" and index + 1 < len(files):
            # Nobody will finish this line any more, and the next file does not go on with it.
            position += 1
            yield b"\n", False
        offset = 0
    yield b"", True


def _find(files: List[LogFile], old: Checkpoint) -> Union[int, None]:
    """Which file the checkpoint is in; None when it was deleted or is another one now."""
    for index, one in enumerate(files):
        if (one.device, one.inode) == (old.device, old.inode) and one.size >= old.offset:
            return index if _mark(one, old.offset) == old.mark else None
    return None


def _mark(one: LogFile, offset: int) -> str:
    begin = max(0, offset - MARK)
    with doing("read", one.path):
        return mark_of(os.pread(one.fd, offset - begin, begin))


def _place(parts: List[Part], end: int) -> Tuple[int, int, int, str]:
    """Device, inode, offset and mark of that place in the stream."""
    # The end of a file tells more about which file it is than the begin of the next one.
    places = [
        (one.file, min(one.offset + end - one.begin, one.file.size))
        for one in parts
        if one.begin <= end
    ]
    file, offset = next((one for one in reversed(places) if one[1]), places[-1])
    return file.device, file.inode, offset, _mark(file, offset)
