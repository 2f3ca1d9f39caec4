# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The single steps of a file transaction: temporary files, backups, directories and the lock.

Every function works on open directories and raises OSError, or FilesError where it says so.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import secrets
import stat
import time
from typing import Iterator

from .journal_io import CREATE, LIST, set_owner_and_mode, write_all
from .safe_path_io import FilesError, doing, open_dir

_ACL = "system.posix_acl_access"
_KEPT_ATTRIBUTES = ("security.selinux", _ACL)
# A filesystem without hard links, or a file that we may not link to, gets a copied backup.
_NO_LINK = (errno.EPERM, errno.EACCES, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EXDEV)
_PREFIX = ".tg-"
_LONGEST_NAME = 255  # bytes
_POLL = 0.1  # seconds between two looks at a lock that is held


def mark_of(state_dir: str) -> str:
    """What tells our temporary files from those of another state directory."""
    return hashlib.sha256(os.fsencode(state_dir)).hexdigest()[:8]


def temp_name(name: str, mark: str) -> str:
    """A fresh name beside `name`. The final '~' makes logrotate, run-parts and editors ignore it."""
    tail = f".{mark}{secrets.token_hex(4)}~"
    room = _LONGEST_NAME - len(_PREFIX) - len(tail)
    return _PREFIX + os.fsdecode(os.fsencode(name)[:room]) + tail


def sweep(dir_fd: int, mark: str) -> None:
    """Remove temporary files that a killed run of ours left; links and directories stay."""
    for name in os.listdir(dir_fd):
        if name.startswith(_PREFIX) and name.endswith("~") and name[-18:-9] == "." + mark:
            with contextlib.suppress(FileNotFoundError):
                if stat.S_ISREG(os.stat(name, dir_fd=dir_fd, follow_symlinks=False).st_mode):
                    os.unlink(name, dir_fd=dir_fd)


def create_file(
    dir_fd: int, name: str, content: bytes, mode: int, uid: int, gid: int, like: str | None
) -> os.stat_result:
    """Make a durable new file; -1 leaves owner or group. Returns its final status.

    It is opened 0600 and gets owner, label, ACL and mode while it is still empty. With `like` the
    label and ACL of that file in the same directory are copied.
    """
    fd = os.open(name, CREATE | os.O_EXCL, 0o600, dir_fd=dir_fd)
    try:
        set_owner_and_mode(fd, stat.S_IMODE(os.fstat(fd).st_mode), uid, gid)
        if like is not None:
            _copy_attributes(dir_fd, like, fd)
        set_owner_and_mode(fd, mode, -1, -1)
        write_all(fd, content)
        os.fsync(fd)
        return os.fstat(fd)
    finally:
        os.close(fd)


def _copy_attributes(dir_fd: int, like: str, target: int) -> None:
    source = os.open(like, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=dir_fd)
    try:
        for name in _KEPT_ATTRIBUTES:
            wanted, present = _attribute(source, name), _attribute(target, name)
            if wanted == present:
                continue
            if wanted is not None:
                os.setxattr(target, name, wanted)
            elif name == _ACL:  # inherited from the directory, and the old file has none
                os.removexattr(target, name)
    finally:
        os.close(source)


def _attribute(fd: int, name: str) -> bytes | None:
    try:
        return os.getxattr(fd, name)
    except OSError as error:
        if error.errno in (errno.ENODATA, errno.EOPNOTSUPP):
            return None
        raise


def back_up(dir_fd: int, name: str, backup: str) -> None:
    """Keep the file (or link) `name` as `backup`: the same inode if possible, else a copy."""
    try:
        os.link(name, backup, src_dir_fd=dir_fd, dst_dir_fd=dir_fd, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINK:
            raise
        _copy_as_backup(dir_fd, name, backup)


def _copy_as_backup(dir_fd: int, name: str, backup: str) -> None:
    old = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
    if stat.S_ISLNK(old.st_mode):
        os.symlink(os.readlink(name, dir_fd=dir_fd), backup, dir_fd=dir_fd)
        return
    source = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=dir_fd)
    with os.fdopen(source, "rb") as stream:
        content = stream.read()
    mode = stat.S_IMODE(old.st_mode)
    create_file(dir_fd, backup, content, mode, old.st_uid, old.st_gid, name)
    times = (old.st_atime_ns, old.st_mtime_ns)
    os.utime(backup, ns=times, dir_fd=dir_fd, follow_symlinks=False)


def make_dir(dir_fd: int, name: str, mode: int, uid: int, gid: int) -> int:
    """Make a directory, private until its owner is right; returns it opened."""
    os.mkdir(name, 0o700, dir_fd=dir_fd)
    fd = os.open(name, LIST, dir_fd=dir_fd)
    try:
        set_owner_and_mode(fd, mode, uid, gid)
    except BaseException:
        os.close(fd)
        raise
    return fd


@contextlib.contextmanager
def opened_dir(dir_fd: int, name: str) -> Iterator[int]:
    """The directory `name`, opened for the block."""
    fd = os.open(name, LIST, dir_fd=dir_fd)
    try:
        yield fd
    finally:
        os.close(fd)


def lock_state_dir(path: str, wait: float) -> int:
    """Open and lock the state directory, made 0700 when missing; `wait` in seconds.

    Closing the descriptor, or dying, releases the lock. Raises FilesError.
    """
    deadline = time.monotonic() + wait
    while True:
        fd = _open_state_dir(path)
        try:
            _wait_for_lock(fd, path, wait, deadline)
            if _is_still_there(fd, path):
                return fd
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)


def _wait_for_lock(fd: int, path: str, wait: float, deadline: float) -> None:
    while not _take_lock(fd, path):
        if time.monotonic() >= deadline:
            raise FilesError(
                path,
                "lock",
                f"another run has held it for {wait:g} seconds; wait until it has ended",
            )
        time.sleep(_POLL)


def _take_lock(fd: int, path: str) -> bool:
    with doing("lock", path):
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def _is_still_there(fd: int, path: str) -> bool:
    # The run that held the lock may have removed the directory: then ours is the lock of nothing.
    try:
        now = os.stat(path)
    except FileNotFoundError:
        return False
    return os.path.samestat(now, os.fstat(fd))


def _open_state_dir(path: str) -> int:
    fd = _open_or_make(path)
    found = os.fstat(fd)
    if found.st_uid != os.geteuid() or found.st_mode & 0o022:
        os.close(fd)
        raise FilesError(
            path, "use", "the state directory must belong to us and be writable by nobody else"
        )
    return fd


def _open_or_make(path: str) -> int:
    try:
        return open_dir(path)
    except FilesError as error:
        if error.errno != errno.ENOENT:
            raise
    parent, name = path.rsplit("/", 1)
    parent_fd = _open_or_make(parent or "/")
    try:
        with doing("make", path):
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=parent_fd)
            os.fsync(parent_fd)
    finally:
        os.close(parent_fd)
    return open_dir(path)
