# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Move complete batches out of the reach of their senders (I/O): the privileged part of the service.

It looks at names and owners, and never into a file. A batch goes from the zone, where its sender can add files, to
`arriving`, which only root can reach, and on to `incoming`, where the service opens it. By then nobody can write to it:
neither by name nor through a descriptor that was left open.
"""

from __future__ import annotations

import errno
import fcntl
import os
import pwd
import stat
import time
from typing import Any, Mapping, Sequence

from ..._files.safe_path_io import doing, open_dir
from ..._host.run_io import say
from .collect import CLOSED_MODE, OPEN_MODE, Arrived, announced, complete, full
from .service_io import for_each_zone

_WAIT = 5.0  # seconds for files that are still being written; the timer returns for the rest
_POLL = 0.1
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def main(arguments: Sequence[str]) -> int:
    """Entry of the program, with the path of receiver.json. 1 when a zone could not be collected."""
    return for_each_zone(arguments[0], lambda config, zone: _Zone(config, zone).collect())


class _Zone:
    """One sender's zone. Files that do not belong to a batch stay in it until they are stale."""

    def __init__(self, config: Mapping[str, Any], zone: Mapping[str, Any]) -> None:
        self.zone = zone
        self.account = str(zone["account"])
        self.stale = float(config["stale_seconds"])
        base = str(config["directory"])
        service = pwd.getpwnam(str(config["user"]))
        self.owner = (service.pw_uid, service.pw_gid)
        self.drop = f"{base}/zones/{self.account}/drop"
        self.arriving = f"{base}/arriving/{self.account}"
        self.incoming = f"{base}/incoming/{self.account}"
        self.quarantine = f"{base}/quarantine/{self.account}"

    def collect(self) -> None:
        """Collect complete batches, remove stale files, close or open the zone."""
        drop, arriving, incoming = (
            open_dir(path) for path in (self.drop, self.arriving, self.incoming)
        )
        try:
            fcntl.flock(arriving, fcntl.LOCK_EX)
            with doing("collect from", self.drop):
                self._take(drop, arriving)
                deadline = time.monotonic() + _WAIT
                while self._hand_over(arriving, incoming) and time.monotonic() < deadline:
                    time.sleep(_POLL)
                    self._take(drop, arriving)  # a signature that arrived after its manifest
                self._sweep(drop)
                self._sweep(arriving)
                self._close_when_full(drop)
        finally:
            for fd in (drop, arriving, incoming):
                os.close(fd)

    def _take(self, drop: int, arriving: int) -> None:
        names = set(os.listdir(drop)) | set(os.listdir(arriving))
        for files in announced(names).values():
            for name in files:
                self._take_file(name, drop, arriving)

    def _take_file(self, name: str, drop: int, arriving: int) -> None:
        try:
            found = os.stat(name, dir_fd=drop, follow_symlinks=False)
        except FileNotFoundError:
            return  # already in `arriving`
        if not stat.S_ISREG(found.st_mode):
            self._discard(name, drop, "it is not a regular file")
        elif name in os.listdir(arriving):
            self._discard(name, drop, "an upload with this name is still waiting")
        else:
            os.rename(name, name, src_dir_fd=drop, dst_dir_fd=arriving)
            _own(arriving, name, (0, 0), 0o400)

    def _hand_over(self, arriving: int, incoming: int) -> int:
        """Move complete batches to the service; the number of incomplete ones."""
        waiting = 0
        for batch, names in announced(os.listdir(arriving)).items():
            if not complete([_look(arriving, name) for name in names]):
                waiting += 1
                continue
            taken = set(os.listdir(incoming))
            for name in names:
                if name in taken:
                    self._discard(
                        name, arriving, "a file with this name is still waiting to be opened"
                    )
                    continue
                _own(arriving, name, self.owner, 0o600)
                os.rename(name, name, src_dir_fd=arriving, dst_dir_fd=incoming)
            say(6, f"{self.account}: took batch {batch}")
        return waiting

    def _sweep(self, directory: int) -> None:
        """Remove files that were not written to for long: interrupted uploads, and files without a batch."""
        for name in os.listdir(directory):
            found = os.stat(name, dir_fd=directory, follow_symlinks=False)
            if not stat.S_ISREG(found.st_mode):
                if not stat.S_ISDIR(found.st_mode):
                    self._discard(name, directory, "it is not a regular file")
            elif time.time() - found.st_mtime > self.stale and not _look(directory, name).busy:
                self._discard(name, directory, "it is stale")

    def _discard(self, name: str, directory: int, reason: str) -> None:
        # Names come from the sender: escaped, so that none can forge a line of the journal.
        say(4, f"{self.account}: removed the upload {ascii(name)[:100]}: {reason}")
        os.unlink(name, dir_fd=directory)

    def _close_when_full(self, drop: int) -> None:
        used, files = usage([self.drop, self.arriving, self.incoming, self.quarantine])
        mode = CLOSED_MODE if full(used, files, self.zone) else OPEN_MODE
        if stat.S_IMODE(os.fstat(drop).st_mode) != mode:
            os.fchmod(drop, mode)
            event = "is closed, it is full" if mode == CLOSED_MODE else "is open again"
            say(4, f"{self.account}: the zone {event} ({used} bytes in {files} files)")


def usage(directories: Sequence[str]) -> tuple[int, int]:
    """Bytes and files below the directories; sparse files count with their apparent size."""
    used = files = 0
    for top in directories:
        for folder, _folders, names in os.walk(top):
            for name in names:
                try:
                    used += os.lstat(os.path.join(folder, name)).st_size
                except FileNotFoundError:
                    continue  # opened or published meanwhile
                files += 1
    return used, files


def _own(directory: int, name: str, owner: Sequence[int], mode: int) -> None:
    fd = os.open(name, _READ, dir_fd=directory)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file")
        os.fchown(fd, owner[0], owner[1])
        os.fchmod(fd, mode)
    finally:
        os.close(fd)


def _look(directory: int, name: str) -> Arrived:
    fd = os.open(name, _READ, dir_fd=directory)
    try:
        found = os.fstat(fd)
        # While sftp renames a file, it has two names.
        busy = found.st_nlink != 1 or _written_to(fd)
        return Arrived(name, busy, max(0.0, time.time() - found.st_mtime))
    finally:
        os.close(fd)


def _written_to(fd: int) -> bool:
    """Whether anybody has the file open for writing: the kernel refuses a read lease then."""
    try:
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except BlockingIOError:
        return True
    except OSError as error:
        # Leases on files of others need a capability, and some file systems do not support them.
        if error.errno in (errno.EACCES, errno.EINVAL, errno.ENOLCK, errno.EOPNOTSUPP):
            return False
        raise
    fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False
