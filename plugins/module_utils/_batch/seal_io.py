# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Seal files into a batch (I/O); `_batch/types.py` describes batches.

A batch is made in a hidden directory of the outbox and moved out file by file, its manifest last. The state file says
"pending" before the first of them moves. After an interruption the next run looks for the manifest: if it is in the
outbox the batch is complete, otherwise its files are removed and the sources sealed again.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import time
from typing import Iterator, List, Optional, Tuple

from .._files.journal_io import unlink_quietly
from .._files.safe_path_io import FilesError, doing, remove_tree
from .._files.steps_io import lock_state_dir, mark_of
from .._host.run_io import Runner
from . import disk_io as disk
from . import openssl_io as openssl
from . import seal_state as plan
from .index import END, INDEX_LIMIT, SALT, Item, archive_size, header, padding, render_index
from .manifest import Manifest, Sum, render
from .openssl_io import CHUNK, put
from .options import check_seal, passphrase
from .types import (
    DATA,
    INDEX,
    KEY,
    MANIFEST,
    MINIMUM_RANDOM_ITERATIONS,
    SIGNATURE,
    Sealed,
    SealOptions,
)

STATE, SECRET_KEY = "/seal.json", "/seal.key"
_KEY_BYTES = 32
_LOCK_WAIT = 30.0
_FILE_MODE = 0o640


def seal(options: SealOptions, now: int, run: Runner, check: bool = False) -> Sealed:
    """Seal the sources unless the newest batch already holds them; with `check` only report what would be done.

    Raises ControlError, FilesError or ProgramError; then the outbox is unchanged.
    """
    check_seal(options)
    if check:
        return _Sealing(options, now, run).preview()
    lock = lock_state_dir(options.state_dir, _LOCK_WAIT)
    try:
        return _Sealing(options, now, run).work()
    finally:
        os.close(lock)


class _Sealing:
    """One run: reads state and sources, compares them, and makes a batch if needed."""

    def __init__(self, options: SealOptions, now: int, run: Runner) -> None:
        self.options, self.now, self.run = options, now, run
        self.state_path = options.state_dir + STATE
        self.staging = f"{options.outbox}/.tg-seal-{mark_of(options.state_dir)}"
        self.began_ns = time.time_ns()
        self.certificates = [openssl.certificate(path) for path in options.recipients]
        self.recipients = tuple(sorted({openssl.fingerprint(one) for one in self.certificates}))
        self.password = self._password()
        self.state = self._read_state()
        self.sources = disk.gather(options.sources)
        if not self.sources:
            raise FilesError(options.sources[0], "seal", "it contains no file")

    def _password(self) -> bytes:
        path = self.options.passphrase_file
        if path is None:
            return secrets.token_hex(_KEY_BYTES).encode("ascii")
        return passphrase(openssl.check_private(path).content)

    def _read_state(self) -> plan.State:
        content = disk.read_private(self.state_path)
        try:
            return plan.State() if content is None else plan.parse(content)
        except plan.StateError as error:
            raise FilesError(
                self.state_path,
                "use",
                f"{error}; remove it, then the next run seals everything again",
            ) from error

    def preview(self) -> Sealed:
        """The result that a run would have."""
        state = self._resolved_state()
        key = disk.read_private(self.options.state_dir + SECRET_KEY) or secrets.token_bytes(
            _KEY_BYTES
        )
        changed, reason, _found = self._compare(state, key)
        return self._result(state.last, changed, reason)

    def work(self) -> Sealed:
        """Seal if needed."""
        state = self._recover()
        key = self._key()
        changed, reason, found = self._compare(state, key)
        if changed:
            last, batch = self._make(state, key)
            return self._result(last, True, reason, batch)
        if state.last is not None and found is not None and found != state.last:
            disk.write_private(self.state_path, plan.render(plan.State(state.sequence, found)))
        return self._result(state.last, False, reason)

    def _resolved_state(self) -> plan.State:
        """The state once a pending batch is counted as complete or discarded."""
        pending = self.state.pending
        if pending is None:
            return self.state
        done = os.path.lexists(f"{self.options.outbox}/{pending.batch}{MANIFEST}")
        return plan.finish(self.state) if done else plan.discard(self.state)

    def _recover(self) -> plan.State:
        """Remove from the outbox what an interrupted run left there."""
        state = self._resolved_state()
        remove_tree(self.staging)
        if state != self.state:
            pending = self.state.pending
            if pending is not None and state.last != pending:
                path = self.options.outbox
                with disk.directory(path) as outbox, doing("clean up", path):
                    _unlink_files(outbox, pending.batch)
            disk.write_private(self.state_path, plan.render(state))
        return state

    def _key(self) -> bytes:
        path = self.options.state_dir + SECRET_KEY
        key = disk.read_private(path)
        if key is None or len(key) != _KEY_BYTES:
            key = secrets.token_bytes(_KEY_BYTES)
            disk.write_private(path, key)
        return key

    def _compare(self, state: plan.State, key: bytes) -> Tuple[bool, str, Optional[plan.Last]]:
        """Whether to seal, the reason, and the new record when only times have changed."""
        settings, shape, stats = self._digests(key)
        last = state.last
        changed, reason = plan.compare(last, settings, shape, stats, self.options.force)
        if changed is not None or last is None:
            return bool(changed), reason, None
        if self._content(key) != last.content:
            return True, "the content of a file has changed", None
        found = plan.Last(**{**last.__dict__, "stats": stats})
        return False, "files were touched, but their content is the same", found

    def _digests(self, key: bytes) -> Tuple[str, str, str]:
        options = self.options
        rounds = options.iterations if options.passphrase_file else 0
        settings = plan.keyed_digest(key, [options.sender, rounds, *self.recipients])
        shape = plan.keyed_digest(
            key, [part for one in self.sources for part in (one.name, one.size)]
        )
        if not plan.times_are_reliable([one.touched_ns for one in self.sources], self.began_ns):
            return settings, shape, ""
        parts = [part for one in self.sources for part in (one.name, *one.mark)]
        return settings, shape, plan.keyed_digest(key, parts)

    def _content(self, key: bytes) -> str:
        items = []
        with contextlib.closing(disk.Reader()) as reader:
            for source in self.sources:
                hashed = hashlib.sha256()
                for _part in reader.parts(source, hashed.update):
                    pass
                items.append(Item(source.name, source.size, hashed.hexdigest()))
        return plan.keyed_digest(key, [render_index(items)])

    def _result(
        self, last: Optional[plan.Last], changed: bool, reason: str, sealed: str = ""
    ) -> Sealed:
        files, size = len(self.sources), sum(one.size for one in self.sources)
        if last is None or (changed and not sealed):
            return Sealed(changed, reason, files=files, size=size, recipients=self.recipients)
        path = f"{self.options.outbox}/{last.batch}{MANIFEST}"
        return Sealed(
            changed, reason, last.batch, last.sequence, path, files, size, self.recipients
        )

    def _make(self, state: plan.State, key: bytes) -> Tuple[plan.Last, str]:
        batch = plan.new_id(self.now, secrets.token_hex(8))
        sequence = plan.next_sequence(state, self.now)
        with disk.directory(self.options.outbox) as outbox:
            try:
                with doing("write", self.staging):
                    os.mkdir(self.staging.rpartition("/")[2], 0o700, dir_fd=outbox)
                with disk.directory(self.staging) as staging:
                    last = self._fill(staging, batch, sequence, key)
                    disk.write_private(self.state_path, plan.render(plan.begin(state, last)))
                    self._publish(staging, outbox, batch)
            except BaseException:
                self._undo(outbox, batch)
                raise
        remove_tree(self.staging)
        done = plan.finish(plan.begin(state, last))
        disk.write_private(self.state_path, plan.render(done))
        return last, batch

    def _undo(self, outbox: int, batch: str) -> None:
        """After an error: remove the files from the outbox, unless the batch is complete there."""
        with contextlib.suppress(
            OSError, FilesError
        ):  # the next run cleans up; the first error is the one to report
            if not os.path.lexists(f"{self.options.outbox}/{batch}{MANIFEST}"):
                _unlink_files(outbox, batch)
            remove_tree(self.staging)

    def _fill(self, staging: int, batch: str, sequence: int, key: bytes) -> plan.Last:
        """Write all files of the batch to staging, and flush them to disk."""
        wrapped = self.options.passphrase_file is None
        rounds = MINIMUM_RANDOM_ITERATIONS if wrapped else self.options.iterations
        items, data = self._data(staging, batch, rounds)
        index = render_index(items)
        if len(index) > INDEX_LIMIT:
            raise FilesError(
                self.options.sources[0],
                "seal",
                "it contains too many files for one batch: split it into several sources",
            )
        with doing("write", self.staging):
            sums = [data]
            closed = openssl.encrypt(self.run, index, self.password, rounds)
            sums.append(_small(staging, batch + INDEX, closed))
            if wrapped:
                cms = openssl.wrap(self.run, self.password, self.options.recipients)
                sums.append(_small(staging, batch + KEY, cms))
            manifest = render(
                Manifest(
                    batch,
                    sequence,
                    self.options.sender,
                    self.recipients,
                    self.now,
                    rounds,
                    tuple(sums),
                )
            )
            signature = openssl.sign(self.run, manifest, self.options.signing_key)
            disk.write_new(staging, batch + SIGNATURE, signature, _FILE_MODE)
            disk.write_new(staging, batch + MANIFEST, manifest, _FILE_MODE)
            disk.flush(staging, sorted(os.listdir(staging)), [])
        settings, shape, stats = self._digests(key)
        content = plan.keyed_digest(key, [index])
        size = sum(one.size for one in items)
        return plan.Last(batch, sequence, settings, shape, stats, content, len(items), size)

    def _data(self, staging: int, batch: str, rounds: int) -> Tuple[List[Item], Sum]:
        """Write the encrypted archive. Each source byte is read once, each encrypted byte written once."""
        items: List[Item] = []
        hashed, size = hashlib.sha256(), 0
        with contextlib.ExitStack() as stack:
            reader = stack.enter_context(contextlib.closing(disk.Reader()))
            with doing("write", f"{self.staging}/{batch}{DATA}"):
                fd = disk.create(staging, batch + DATA)
                stack.callback(os.close, fd)
                os.fchmod(fd, _FILE_MODE)
            source = self._archive(reader, items)
            stream = stack.enter_context(
                openssl.encrypting(self.run, source, self.password, rounds)
            )
            buffer = memoryview(bytearray(CHUNK))
            with doing("write", f"{self.staging}/{batch}{DATA}"):
                while True:
                    count = stream.readinto(buffer)
                    hashed.update(buffer[:count])
                    put(fd, buffer[:count])
                    size += count
                    if count < len(buffer):
                        break
            stream.finish()
        if size != archive_size(items) + SALT:
            raise FilesError(
                self.staging, "seal", "openssl did not encrypt all of the archive; run this again"
            )
        return items, Sum(batch + DATA, size, hashed.hexdigest())

    def _archive(self, reader: disk.Reader, items: List[Item]) -> Iterator[memoryview]:
        """The tar archive, part by part; also fills `items`. Runs in a thread of its own."""
        for source in self.sources:
            hashed = hashlib.sha256()
            yield memoryview(header(source.name, source.size))
            yield from reader.parts(source, hashed.update)
            yield memoryview(padding(source.size))
            items.append(Item(source.name, source.size, hashed.hexdigest()))
        yield memoryview(END)

    def _publish(self, staging: int, outbox: int, batch: str) -> None:
        """Move the files to the outbox, the manifest last."""
        wrapped = [KEY] if self.recipients else []
        with doing("write", f"{self.options.outbox}/{batch}{MANIFEST}"):
            for ending in (DATA, INDEX, *wrapped, SIGNATURE):
                name = batch + ending
                os.rename(name, name, src_dir_fd=staging, dst_dir_fd=outbox)
            os.fsync(outbox)
            name = batch + MANIFEST
            os.rename(name, name, src_dir_fd=staging, dst_dir_fd=outbox)
            os.fsync(outbox)


def _unlink_files(outbox: int, batch: str) -> None:
    """Remove the files of a batch that has no manifest."""
    for ending in (DATA, INDEX, KEY, SIGNATURE):
        unlink_quietly(batch + ending, outbox)


def _small(staging: int, name: str, content: bytes) -> Sum:
    disk.write_new(staging, name, content, _FILE_MODE)
    return Sum(name, len(content), hashlib.sha256(content).hexdigest())
