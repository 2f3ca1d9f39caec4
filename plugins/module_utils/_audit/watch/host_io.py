# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host says of its audit, and how it is changed (I/O)."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import pwd
import stat
from typing import Dict, Iterable, Iterator, Tuple, Union

from ..._host.run_io import HostError, wait_until
from .watch import Target

IO_URING = "/proc/sys/kernel/io_uring_disabled"
_IO_URING_SETUP = 425  # on every architecture
_KERNEL_THREAD = 0x00200000


def targets(paths: Iterable[str]) -> Dict[str, Target]:
    """What is at each path."""
    parents: Dict[str, str] = {}
    return {path: _target(path, parents) for path in paths}


def _target(path: str, parents: Dict[str, str]) -> Target:
    # The directories above are looked up once for all paths in them.
    parent, name = os.path.split(path.rstrip("/"))
    if parent not in parents:
        parents[parent] = os.path.realpath(parent)
    resolved = os.path.join(parents[parent], name)
    if os.path.islink(resolved):
        resolved = os.path.realpath(resolved)
    found = _stat(resolved)
    if found is None:
        above = os.path.dirname(resolved)
        return Target(resolved, "missing" if os.path.isdir(above) else "nowhere")
    kind = "directory" if stat.S_ISDIR(found.st_mode) else "other"
    kind = "file" if stat.S_ISREG(found.st_mode) else kind
    return Target(resolved, kind, _identity(found))


def identities(paths: Iterable[str]) -> Dict[str, str]:
    """Device and inode of each path that is there; the paths lead through no links."""
    looked = ((path, _stat(path)) for path in paths)
    return {path: _identity(found) for path, found in looked if found is not None}


def _stat(path: str) -> Union[os.stat_result, None]:
    """None when nothing is there."""
    try:
        return os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise HostError(f"cannot look at {path}: {error.strerror}") from error


def _identity(found: os.stat_result) -> str:
    return f"{found.st_dev}:{found.st_ino}"


def uid_of(user: str) -> Union[int, None]:
    """The number of a user given by name or number; None when the user does not exist."""
    if user.isdigit():
        return int(user) if int(user) < 0xFFFFFFFF else None
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        return None


def text_of(path: str) -> str:
    """A small file of the kernel's or of ours in /run; '' when there is none."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as stream:
            return stream.read()
    except OSError:
        return ""


def io_uring() -> str:
    """The value of kernel.io_uring_disabled; where there is none: absent, blocked or open."""
    value = text_of(IO_URING).strip()
    if value:
        return value
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        libc.syscall(_IO_URING_SETUP, 0, None)
    except (OSError, AttributeError):
        return "open"
    return {errno.ENOSYS: "absent", errno.EPERM: "blocked"}.get(ctypes.get_errno(), "open")


def block_io_uring() -> None:
    """Switch io_uring off at once."""
    try:
        with open(IO_URING, "w", encoding="ascii") as stream:
            stream.write("2\n")
    except OSError as error:
        raise HostError(f"cannot write {IO_URING}: {error.strerror}") from error


def audited_from_boot() -> bool:
    """Whether the kernel prepares every process for audit from boot on, the first one included."""
    words = text_of("/proc/cmdline").split()
    return "audit=1" in words or "audit=on" in words


def started(pid: int) -> int:
    """When a process started, in ticks since boot; 0 when there is none."""
    found = _process(str(pid))
    return found[0] if found else 0


def older_than(ticks: int) -> Tuple[str, ...]:
    """The processes that started before that, by name and number; threads of the kernel do not count."""
    names = []
    for pid in sorted((name for name in os.listdir("/proc") if name.isdigit()), key=int):
        found = _process(pid)
        if found and found[0] < ticks and not found[1] & _KERNEL_THREAD:
            names.append(f"{found[2]} ({pid})")
    return tuple(names)


def _process(pid: str) -> Union[Tuple[int, int, str], None]:
    """When it started, its flags, its name."""
    text = text_of(f"/proc/{pid}/stat")
    head, bracket, rest = text.rpartition(") ")
    words = rest.split()
    if not bracket or len(words) < 20:
        return None
    return int(words[19]), int(words[6]), head.partition(" (")[2]


@contextlib.contextmanager
def turn(path: str, make: bool, seconds: float = 60.0) -> Iterator[None]:
    """Have the file locked meanwhile; where it is not there and may not be made, nobody else can hold it."""
    if make:
        os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
    try:
        held = os.open(path, os.O_RDONLY | (os.O_CREAT if make else 0), 0o600)
    except FileNotFoundError:
        yield
        return
    try:
        if not wait_until(lambda: _locked(held), seconds):
            raise HostError(
                f"another run, or the unit that arms watches anew, still holds {path} after {seconds:.0f} s"
            )
        yield
    finally:
        os.close(held)


def _locked(held: int) -> bool:
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def hang_up(pid: int, number: int) -> None:
    """Send a signal to a process that may have ended."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
