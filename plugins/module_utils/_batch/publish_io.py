# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decrypt a checked batch into private staging and publish it by one rename (I/O).

`_batch/ledger.py` explains how ledger and rename work together.
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
_SPARE = 16 * 1024 * 1024  # bytes that must stay free, for the ledger and directories


class LedgerFile:
    """The ledger on disk."""

    def __init__(self, state_dir: str) -> None:
        self.path = state_dir + LEDGER
        content = disk.read_private(self.path)
        try:
            self.ledger = ledger.Ledger() if content is None else ledger.parse(content)
        except ledger.LedgerError as error:
            raise FilesError(
                self.path,
                "use",
                f"{error}; restore it from a backup: without it a batch could be published twice,"
                " so nothing is published",
            ) from error

    def write(self, changed: ledger.Ledger) -> None:
        """Replace it durably."""
        disk.write_private(self.path, ledger.render(changed))
        self.ledger = changed


def staging_path(options: OpenOptions, destination: str) -> str:
    """Where batches are decrypted: hidden, private, and on the file system of their destination."""
    return f"{destination}/.tg-open-{mark_of(options.state_dir)}"


def recover(options: OpenOptions, ledger_file: LedgerFile) -> List[ledger.Entry]:
    """Finish an interrupted publication, and remove decrypted leftovers."""
    entry = ledger_file.ledger.publishing
    finished = []
    if entry is not None:
        staging = staging_path(options, entry.directory)
        if os.path.lexists(staging):
            _rename(options, entry.directory, entry.batch)
        ledger_file.write(ledger.finish(ledger_file.ledger))
        finished.append(entry)
    remove_tree(staging_path(options, options.destination))
    return finished


def open_index(checked: Checked, options: OpenOptions, run: Runner) -> Tuple[bytes, List[Item]]:
    """The password of a batch, and its table of contents, which determines every byte of the archive."""
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
            raise Refused(
                Reason.KEY_NOT_UNWRAPPED,
                "the unwrapped password is not 64 hexadecimal digits, as batch_seal makes it",
            )
        return password
    return passphrase(openssl.check_private(options.passphrase_file or "").content)


def publish(
    checked: Checked, options: OpenOptions, ledger_file: LedgerFile, now: int, run: Runner
) -> ledger.Entry:
    """Decrypt, compare with the index, validate and publish. Raises Refused or FilesError."""
    batch, destination = checked.manifest.batch, options.destination
    staging = staging_path(options, destination)
    with disk.directory(destination) as above:
        if _exists(above, batch):
            raise Refused(Reason.ID_TAKEN, f"{destination}/{batch} already exists")
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
            ledger_file.write(ledger.begin(ledger_file.ledger, entry))
        except BaseException:
            _remove_staging(staging, options)
            raise
    _rename(options, destination, batch)
    ledger_file.write(ledger.finish(ledger_file.ledger))
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


def _remove_staging(staging: str, options: OpenOptions) -> None:
    # The first error is the one to report, and the next run tries again.
    with contextlib.suppress(FilesError, OSError):
        # The ledger may say "publishing" although writing it reported an error: then staging must stay.
        if LedgerFile(options.state_dir).ledger.publishing is None:
            remove_tree(staging)


def _exists(fd: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=fd, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _rename(options: OpenOptions, destination: str, batch: str) -> None:
    """The single step by which the whole batch appears."""
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
        raise Refused(
            Reason.WRONG_CONTENT, f"{shown(item.name)} does not have the SHA-256 of the index"
        )


class _Source:
    """The decrypted archive, read piece by piece through one buffer."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._buffer = memoryview(bytearray(CHUNK))
        self._rest = self._buffer[:0]

    def parts(self, size: int) -> Iterator[memoryview]:
        """The next bytes; each part is valid until the next one is read."""
        while size:
            if not self._rest:
                self._rest = self._buffer[: self._stream.readinto(self._buffer)]
                if not self._rest:
                    raise Refused(Reason.BAD_ARCHIVE, "the archive is shorter than the index says")
            part = self._rest[:size]
            self._rest = self._rest[len(part) :]
            size -= len(part)
            yield part

    def expect(self, wanted: bytes, where: str) -> None:
        """The next bytes must be these."""
        if b"".join(self.parts(len(wanted))) != wanted:
            raise Refused(
                Reason.BAD_ARCHIVE, f"the archive differs from the index at {shown(where)}"
            )

    def expect_end(self) -> None:
        """There must be no more bytes."""
        if self._rest or self._stream.readinto(self._buffer):
            raise Refused(Reason.BAD_ARCHIVE, "there is data after the end of the archive")


class _Directories:
    """Creates the directories of a batch below its staging, and keeps the newest one open."""

    def __init__(self, root: int, mode: int) -> None:
        self._root, self._mode = root, mode
        self._open: Dict[str, int] = {}
        self.made: List[str] = []
        self.made_set: Set[str] = set()

    def fd(self, name: str) -> int:
        """The directory with this relative name, created if it does not exist."""
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
    """Run the user's own program on the data; an exit status other than 0 refuses the batch."""
    if not options.validate:
        return
    program = options.validate[0]
    if not os.access(program, os.X_OK):
        raise FilesError(program, "run", "it does not exist or is not executable")
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
            raise  # it could not be started, which is not the fault of the batch
        raise Refused(Reason.REFUSED_BY_VALIDATION, str(error)) from error
    if done.code != 0:
        raise Refused(
            Reason.REFUSED_BY_VALIDATION,
            f"{program} ended with status {done.code}: {done.complaint()}",
        )
    if _marks(staging) != before:
        raise Refused(Reason.REFUSED_BY_VALIDATION, f"{program} has changed the data")


def _marks(staging: str) -> List[Tuple[str, Tuple[int, ...]]]:
    """A value that differs once a file or directory is changed."""
    found = []
    for directory, below, files in os.walk(staging):
        for name in sorted([*below, *files]):
            path = f"{directory}/{name}"
            found.append((path, disk.mark(os.stat(path, follow_symlinks=False))))
    return sorted(found)
