# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Open the batches in a directory: check, decrypt, publish or quarantine (I/O).

`_batch/types.py` describes batches. They are opened in the order of their sequence numbers, one at a time, under a
lock, so that a second service waits for the first one.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from dataclasses import replace
from typing import Iterator, List, Optional, Sequence, Tuple

from .._files.journal_io import unlink_quietly
from .._files.safe_path_io import doing
from .._files.steps_io import lock_state_dir
from .._host.run_io import Runner
from . import check_io as checks
from . import disk_io as disk
from . import ledger, verdict
from . import publish_io as publish
from .manifest import LIMIT, to_text, unverified_sequence
from .names import batch_of, is_batch, shown
from .options import check_open
from .types import MANIFEST, OpenOptions, Outcome, Reason, Refused

_REASON_FILE = "reason.json"
_MOVING = ".tg-"


def open_batches(
    directory: str,
    options: OpenOptions,
    now: int,
    run: Runner,
    check: bool = False,
    only: Optional[str] = None,
) -> List[Outcome]:
    """Open every complete batch in a directory, or only the one with this id.

    With `check` or `verify_only` nothing is decrypted and nothing is moved.
    Raises ControlError, FilesError or ProgramError for a problem that is not a batch's fault; batches that were
    published before it stay published, and the next run continues with the rest.
    """
    check_open(directory, options)
    trust = checks.Trust.read(options)
    read_only = check or options.verify_only
    zone = checks.Zone(directory)
    try:
        with contextlib.ExitStack() as stack:
            if not read_only:
                lock = lock_state_dir(options.state_dir, options.lock_wait)
                stack.callback(os.close, lock)
            ledger_file = publish.LedgerFile(options.state_dir)
            return list(_Opening(zone, trust, ledger_file, now, run, read_only).work(only))
    finally:
        zone.close()


class _Opening:
    """One run over one directory."""

    def __init__(
        self,
        zone: checks.Zone,
        trust: checks.Trust,
        ledger_file: publish.LedgerFile,
        now: int,
        run: Runner,
        read_only: bool,
    ) -> None:
        self.zone, self.trust, self.ledger_file = zone, trust, ledger_file
        self.options = trust.options
        self.now, self.run, self.read_only = now, run, read_only

    def work(self, only: Optional[str]) -> Iterator[Outcome]:
        """The outcome of each batch, in the order of their sequence numbers."""
        if not self.read_only:
            for entry in publish.recover(self.options, self.ledger_file):
                yield _published(
                    entry, "an earlier run was interrupted; this one has finished the publication"
                )
            yield from self._resume_quarantine()
            self._sweep()
        good, bad = verdict.batches(self.zone.names())
        if only is None:
            for name in bad:
                yield self._stray(name)
        for batch in self._ordered(good):
            if only in (None, batch):
                yield self._one(batch)
        known = (
            self.ledger_file.ledger.find(only) if only is not None and only not in good else None
        )
        if known is not None:
            yield _already_published(known)

    def _ordered(self, batches: Sequence[str]) -> List[str]:
        turns: List[Tuple[bool, int, str]] = []
        for batch in batches:
            try:
                content = self.zone.read(batch + MANIFEST, LIMIT, Reason.BAD_MANIFEST)
            except Refused:
                content = b""
            # A malformed manifest comes after all others.
            number = unverified_sequence(content)
            turns.append((number is None, number or 0, batch))
        return [batch for _malformed, _number, batch in sorted(turns)]

    def _one(self, batch: str) -> Outcome:
        signed: Optional[checks.Authenticated] = None
        try:
            signed = checks.authenticate(
                self.zone, batch, self.trust, self.ledger_file.ledger, self.now, self.run
            )
            if signed.published is not None:
                self._remove(batch)
                return _already_published(signed.published)
            with contextlib.closing(checks.check(self.zone, signed, self.trust, self.now)) as good:
                if self.read_only:
                    return Outcome(
                        batch,
                        "verified",
                        sender=signed.manifest.sender,
                        sequence=signed.manifest.sequence,
                    )
                entry = publish.publish(good, self.options, self.ledger_file, self.now, self.run)
        except Refused as refused:
            return self._refuse(batch, refused, signed)
        self._remove(batch)
        return _published(entry)

    def _refuse(
        self, batch: str, refused: Refused, signed: Optional[checks.Authenticated]
    ) -> Outcome:
        sender, sequence = "", 0
        if signed is not None:
            sender, sequence = signed.manifest.sender, signed.manifest.sequence
        if self.read_only:
            return Outcome(batch, "refused", refused.reason, refused.detail, sender, sequence)
        names = verdict.belonging(self.zone.names(), batch)
        path = self._quarantine(batch, names, refused, sender)
        return Outcome(batch, "quarantined", refused.reason, refused.detail, sender, sequence, path)

    def _stray(self, name: str) -> Outcome:
        """Move away a manifest without a batch id in its name: it would start the service again and again."""
        refused = Refused(
            Reason.BAD_MANIFEST, f"the file name {shown(name)} does not begin with a batch id"
        )
        label = "stray-" + hashlib.sha256(os.fsencode(name)).hexdigest()[:16]
        if self.read_only:
            return Outcome(label, "refused", refused.reason, refused.detail)
        path = self._quarantine(label, [name], refused, "")
        return Outcome(label, "quarantined", refused.reason, refused.detail, path=path)

    def _remove(self, batch: str) -> None:
        """Remove a published batch from the directory; the ledger lists it, so the order does not matter."""
        if not self.options.remove or self.read_only:
            return
        with doing("empty", self.zone.path):
            for name in verdict.belonging(self.zone.names(), batch):
                unlink_quietly(name, self.zone.fd)
            os.fsync(self.zone.fd)

    def _sweep(self) -> None:
        """Remove the rest of batches that an interrupted run had published."""
        if not self.options.remove:
            return
        present = self.zone.names()
        manifests = {batch_of(name) for name in present}
        done = {one.batch for one in self.ledger_file.ledger.published} - manifests
        for batch in {name.split(".", 1)[0] for name in present} & done:
            self._remove(batch)

    def _quarantine(self, label: str, names: Sequence[str], refused: Refused, sender: str) -> str:
        """Move a batch to quarantine with its reason, which is on disk before anything moves."""
        root = self.options.quarantine
        with disk.directory(root) as above, doing("quarantine to", root):
            moving = _MOVING + label
            with contextlib.suppress(FileExistsError):
                os.mkdir(moving, 0o700, dir_fd=above)
            record = {
                "batch": label,
                "reason": refused.reason.value,
                "detail": refused.detail,
                "sender": sender,
                "at": to_text(self.now),
                "directory": self.zone.path,
            }
            text = json.dumps(record, indent=1, sort_keys=True) + "\n"
            disk.write_private(f"{root}/{moving}/{_REASON_FILE}", text.encode("ascii"))
            os.fsync(above)
            self._move(above, moving, names)
            return self._finish_move(above, label)

    def _move(self, above: int, moving: str, names: Sequence[str]) -> None:
        """Move files, manifests last: as long as one is left, the next run handles the batch again."""
        with disk.directory(f"{self.options.quarantine}/{moving}") as inside:
            for name in sorted(names, key=lambda one: (one.endswith(MANIFEST), one)):
                # A sender may have used the name of our own file.
                target = name if name != _REASON_FILE else name + ".sent"
                with contextlib.suppress(FileNotFoundError):
                    os.rename(name, target, src_dir_fd=self.zone.fd, dst_dir_fd=inside)
            os.fsync(inside)
        os.fsync(self.zone.fd)
        os.fsync(above)

    def _finish_move(self, above: int, label: str) -> str:
        """Give the complete directory its visible name, numbered if that is taken; its path."""
        present = set(os.listdir(above))
        name, number = label, 1
        while name in present:
            number += 1
            name = f"{label}-{number}"
        os.rename(_MOVING + label, name, src_dir_fd=above, dst_dir_fd=above)
        os.fsync(above)
        return f"{self.options.quarantine}/{name}"

    def _resume_quarantine(self) -> Iterator[Outcome]:
        """Finish interrupted moves, with the reason that was recorded then."""
        root = self.options.quarantine
        with disk.directory(root) as above, doing("quarantine to", root):
            for moving in sorted(os.listdir(above)):
                label = moving[len(_MOVING) :]
                content = None
                if moving.startswith(_MOVING):
                    content = disk.read_private(f"{root}/{moving}/{_REASON_FILE}")
                record = json.loads(content.decode("utf-8")) if content else {}
                if record.get("directory") != self.zone.path:
                    continue
                names = verdict.belonging(self.zone.names(), label) if is_batch(label) else []
                self._move(above, moving, names)
                path = self._finish_move(above, label)
                reason = Reason(record["reason"])
                yield Outcome(
                    label, "quarantined", reason, record["detail"], record["sender"], path=path
                )


def _published(entry: ledger.Entry, detail: str = "") -> Outcome:
    return Outcome(
        entry.batch,
        "published",
        None,
        detail,
        entry.sender,
        entry.sequence,
        f"{entry.directory}/{entry.batch}",
        entry.files,
        entry.size,
    )


def _already_published(entry: ledger.Entry) -> Outcome:
    detail = f"it was already published at {to_text(entry.at)}"
    return replace(_published(entry, detail), status="already", reason=Reason.REPLAY)
