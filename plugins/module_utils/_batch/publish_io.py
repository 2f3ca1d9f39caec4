# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decrypt a checked batch into private staging and publish it by one rename (I/O).

How ledger and rename keep step is told in `_batch/ledger.py`.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from typing import Dict, Iterator, List, Set, Tuple

from .._files.journal_io import LIST
from .._files.safe_path_io import FilesError, doing, remove_tree
from .._files.steps_io import mark_of
from .._host.run_io import ProgramError, Runner
from . import disk_io as disk
from . import ledger
from . import openssl_io as openssl
from .check_io import Checked
from .index import END, Item, check_size, header, padding, parse_index, total
from .names import parents, shown
from .openssl_io import CHUNK, Stream, put
from .options import passphrase
from .types import DATA, INDEX, KEY, OpenOptions, Reason, Refused

LEDGER = "/ledger.json"
_SPARE = 16 * 1024 * 1024  # bytes that shall stay free, for the ledger and directories


class Book:
    """The ledger on disk."""

    def __init__(self, state_dir: str) -> None:
        self.path = state_dir + LEDGER
        content = disk.kept(self.path)
        try:
            self.now = ledger.Ledger() if content is None else ledger.parse(content)
        except ledger.LedgerError as error:
            raise FilesError(
                self.path,
                "use",
                f"{error}; nothing is published until it is put right, for it may have been before",
            ) from error

    def write(self, changed: ledger.Ledger) -> None:
        """Replace it durably."""
        disk.keep(self.path, ledger.render(changed))
        self.now = changed


def staging_path(options: OpenOptions, destination: str) -> str:
    """Where batches are decrypted: hidden, private, and on the file system of their destination."""
    return f"{destination}/.tg-open-{mark_of(options.state_dir)}"


def recover(options: OpenOptions, book: Book) -> List[ledger.Entry]:
    """Finish a publication that was cut short, and take decrypted leftovers away."""
    entry = book.now.publishing
    finished = []
    if entry is not None:
        staging = staging_path(options, entry.directory)
        if os.path.lexists(staging):
            _rename(options, entry.directory, entry.batch)
        book.write(ledger.finish(book.now))
        finished.append(entry)
    remove_tree(staging_path(options, options.destination))
    return finished


def open_index(checked: Checked, options: OpenOptions, run: Runner) -> Tuple[bytes, List[Item]]:
    """The password of a batch, and its table of contents. The index binds every byte of the archive."""
    password = _password(checked, options, run)
    rounds = checked.manifest.iterations
    content = openssl.decrypt(run, checked.small[INDEX], password, rounds)
    items = parse_index(content, options.maximum_files)
    check_size(items, checked.manifest.file(DATA).size, options.maximum_bytes)
    return password, items


def _password(checked: Checked, options: OpenOptions, run: Runner) -> bytes:
    if checked.identity is not None:
        password = openssl.unwrap(run, checked.small[KEY], checked.identity)
        if len(password) != 64 or password.strip(b"0123456789abcdef"):
            raise Refused(Reason.KEY_NOT_UNWRAPPED, "what was wrapped is no password of ours")
        return password
    return passphrase(openssl.check_private(options.passphrase_file or "").content)


def publish(
    checked: Checked, options: OpenOptions, book: Book, now: int, run: Runner
) -> ledger.Entry:
    """Decrypt, compare with the index, let it be validated, and publish. Refused, or FilesError."""
    batch, destination = checked.manifest.batch, options.destination
    staging = staging_path(options, destination)
    with disk.directory(destination) as above:
        if _exists(above, batch):
            raise Refused(Reason.ID_TAKEN, f"{destination}/{batch} is there already")
        password, items = open_index(checked, options, run)
        if disk.free_bytes(above) < total(items) + _SPARE:
            raise FilesError(destination, "publish", OSError(errno.ENOSPC, ""))
        try:
            with doing("write", staging):
                os.mkdir(os.path.basename(staging), 0o700, dir_fd=above)
            with disk.directory(staging) as stage, doing("write", staging):
                _unpack(checked, items, password, stage, options, run)
                os.fsync(above)
            _validate(options, staging, run)
            entry = _entry(checked, items, destination, now)
            book.write(ledger.begin(book.now, entry))
        except BaseException:
            _take_away(staging, options)
            raise
    _rename(options, destination, batch)
    book.write(ledger.finish(book.now))
    return entry


def _entry(checked: Checked, items: List[Item], destination: str, now: int) -> ledger.Entry:
    manifest = checked.manifest
    return ledger.Entry(
        batch=manifest.batch,
        sender=manifest.sender,
        sequence=manifest.sequence,
        manifest=checked.digest,
        at=now,
        files=len(items),
        size=total(items),
        directory=destination,
    )


def _take_away(staging: str, options: OpenOptions) -> None:
    # What went wrong first is more to the point, and the next run tries once more.
    with contextlib.suppress(FilesError, OSError):
        # The ledger may say "publishing" although writing it failed at its end: then staging must stay.
        if Book(options.state_dir).now.publishing is None:
            remove_tree(staging)


def _exists(fd: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=fd, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _rename(options: OpenOptions, destination: str, batch: str) -> None:
    """The one step by which a batch appears, whole."""
    staging = staging_path(options, destination)
    with disk.directory(destination) as above, doing("publish", f"{destination}/{batch}"):
        with disk.directory(staging) as stage:
            os.fchmod(stage, options.directory_mode)
        os.rename(os.path.basename(staging), batch, src_dir_fd=above, dst_dir_fd=above)
        os.fsync(above)


def _unpack(
    checked: Checked,
    items: List[Item],
    password: bytes,
    stage: int,
    options: OpenOptions,
    run: Runner,
) -> None:
    rounds = checked.manifest.iterations
    with openssl.decrypting(run, checked.data, password, rounds) as stream:
        source = _Source(stream)
        directories = _Directories(stage, options.directory_mode)
        with contextlib.closing(directories):
            for item in items:
                source.expect(header(item.name, item.size), item.name)
                _write(source, item, directories, options.file_mode)
                source.expect(padding(item.size), item.name)
            source.expect(END, "the end")
            source.expect_end()
        stream.finish()
    disk.flush(stage, [one.name for one in items], directories.made)


def _write(source: _Source, item: Item, directories: _Directories, mode: int) -> None:
    directory, _slash, name = item.name.rpartition("/")
    fd = disk.create(directories.fd(directory), name)
    try:
        os.fchmod(fd, mode)
        hashed = hashlib.sha256()
        for part in source.parts(item.size):
            hashed.update(part)
            put(fd, part)
    finally:
        os.close(fd)
    if hashed.hexdigest() != item.sha256:
        raise Refused(Reason.WRONG_CONTENT, f"{shown(item.name)} is not what was sealed")


class _Source:
    """The decrypted archive, taken piece by piece from one buffer."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._buffer = memoryview(bytearray(CHUNK))
        self._rest = self._buffer[:0]

    def parts(self, size: int) -> Iterator[memoryview]:
        """The next bytes; each part is valid until the next one is taken."""
        while size:
            if not self._rest:
                self._rest = self._buffer[: self._stream.readinto(self._buffer)]
                if not self._rest:
                    raise Refused(Reason.BAD_ARCHIVE, "the archive ends too early")
            part = self._rest[:size]
            self._rest = self._rest[len(part) :]
            size -= len(part)
            yield part

    def expect(self, wanted: bytes, where: str) -> None:
        """The next bytes must be these."""
        if b"".join(self.parts(len(wanted))) != wanted:
            raise Refused(
                Reason.BAD_ARCHIVE, f"the archive is not what the index says at {shown(where)}"
            )

    def expect_end(self) -> None:
        """There must be nothing more."""
        if self._rest or self._stream.readinto(self._buffer):
            raise Refused(Reason.BAD_ARCHIVE, "there is something behind the archive")


class _Directories:
    """Makes the directories of a batch below its staging, and holds the newest one open."""

    def __init__(self, root: int, mode: int) -> None:
        self._root, self._mode = root, mode
        self._open: Dict[str, int] = {}
        self.made: List[str] = []
        self.made_set: Set[str] = set()

    def fd(self, name: str) -> int:
        """The directory of this relative name, made if it is not there."""
        if not name:
            return self._root
        if name not in self._open:
            self.close()
            for one in [*parents(name), name]:
                if one not in self.made_set:
                    os.mkdir(one, 0o700, dir_fd=self._root)
                    os.chmod(one, self._mode, dir_fd=self._root)
                    self.made.append(one)
                    self.made_set.add(one)
            self._open[name] = os.open(name, LIST, dir_fd=self._root)
        return self._open[name]

    def close(self) -> None:
        """Close what is open."""
        for fd in self._open.values():
            os.close(fd)
        self._open.clear()


def _validate(options: OpenOptions, staging: str, run: Runner) -> None:
    """Ask the user's own program whether the data are plausible; its words stay out of the answer."""
    if not options.validate:
        return
    program = options.validate[0]
    if not os.access(program, os.X_OK):
        raise FilesError(program, "run", "it does not exist, or may not be run")
    before = _marks(staging)
    argv = [*options.validate, staging]
    try:
        done = run(
            argv,
            env=openssl.environment(),
            timeout=options.validate_seconds,
            cwd="/",
        )
    except ProgramError as error:
        if isinstance(error.__cause__, OSError):
            raise  # it could not be started at all, which is no fault of the batch
        raise Refused(Reason.REFUSED_BY_VALIDATION, str(error)) from error
    if done.code != 0:
        said = done.complaint()
        raise Refused(
            Reason.REFUSED_BY_VALIDATION, f"{program} ended with status {done.code}: {said}"
        )
    if _marks(staging) != before:
        raise Refused(Reason.REFUSED_BY_VALIDATION, f"{program} has changed the data")


def _marks(staging: str) -> List[Tuple[str, Tuple[int, ...]]]:
    """What would differ, had somebody changed a file or directory."""
    found = []
    for directory, below, files in os.walk(staging):
        for name in sorted([*below, *files]):
            path = f"{directory}/{name}"
            found.append((path, disk.mark(os.stat(path, follow_symlinks=False))))
    return sorted(found)
