# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Open the batches in a directory: check, decrypt, publish or quarantine (I/O).

See `_batch/types.py` for what a batch is. Batches are opened in the order of their numbers, one at a
time, under a lock: two services at once are two in a row.
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
from .manifest import LIMIT, to_text
from .names import is_batch, shown
from .options import check_open
from .types import MANIFEST, OpenOptions, Outcome, Reason, Refused

_WHY = "reason.json"
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

    With `check`, or when just verification is asked for, nothing is decrypted and nothing moved.
    Raises ControlError, FilesError or ProgramError for what is not a batch's fault; what was done
    before stays done, and the next run goes on from there.
    """
    check_open(directory, options)
    us = checks.Trust.read(options)
    quiet = check or options.verify_only
    zone = checks.Zone(directory)
    try:
        if quiet:
            book = publish.Book(options.state_dir)
            return list(_Opening(zone, us, book, now, run, quiet).work(only))
        lock = lock_state_dir(options.state_dir, options.lock_wait)
        try:
            book = publish.Book(options.state_dir)
            return list(_Opening(zone, us, book, now, run, quiet).work(only))
        finally:
            os.close(lock)
    finally:
        zone.close()


class _Opening:
    """One run over one directory."""

    def __init__(
        self,
        zone: checks.Zone,
        us: checks.Trust,
        book: publish.Book,
        now: int,
        run: Runner,
        quiet: bool,
    ) -> None:
        self.zone, self.us, self.book = zone, us, book
        self.options = us.options
        self.now, self.run, self.quiet = now, run, quiet

    def work(self, only: Optional[str]) -> Iterator[Outcome]:
        """What became of each batch, in their order."""
        if not self.quiet:
            for entry in publish.recover(self.options, self.book):
                yield _published(entry, "an earlier run was cut short; this one has finished it")
            yield from self._resume_quarantine()
            self._sweep()
        good, bad = verdict.batches(self.zone.names())
        if only is None:
            for name in bad:
                yield self._stray(name)
        for batch in self._ordered(good):
            if only in (None, batch):
                yield self._one(batch)
        known = self.book.now.find(only) if only is not None and only not in good else None
        if known is not None:
            yield _known(known)

    def _ordered(self, batches: Sequence[str]) -> List[str]:
        turns: List[Tuple[int, str]] = []
        for batch in batches:
            try:
                content = self.zone.read(batch + MANIFEST, LIMIT, Reason.BAD_MANIFEST)
            except Refused:
                content = b""
            turns.append((verdict.claimed_sequence(content), batch))
        return [batch for _turn, batch in sorted(turns)]

    def _one(self, batch: str) -> Outcome:
        claim: Optional[checks.Claim] = None
        try:
            claim = checks.authenticate(
                self.zone, batch, self.us, self.book.now, self.now, self.run
            )
            if claim.known is not None:
                self._remove(batch)
                return _known(claim.known)
            with contextlib.closing(checks.check(self.zone, claim, self.us, self.now)) as good:
                if self.quiet:
                    return Outcome(
                        batch,
                        "verified",
                        sender=claim.manifest.sender,
                        sequence=claim.manifest.sequence,
                    )
                entry = publish.publish(good, self.options, self.book, self.now, self.run)
        except Refused as refused:
            return self._refuse(batch, refused, claim)
        self._remove(batch)
        return _published(entry)

    def _refuse(self, batch: str, refused: Refused, claim: Optional[checks.Claim]) -> Outcome:
        sender, sequence = "", 0
        if claim is not None:
            sender, sequence = claim.manifest.sender, claim.manifest.sequence
        if self.quiet:
            return Outcome(batch, "refused", refused.reason, refused.detail, sender, sequence)
        names = verdict.belonging(self.zone.names(), batch)
        path = self._quarantine(batch, names, refused, sender)
        return Outcome(batch, "quarantined", refused.reason, refused.detail, sender, sequence, path)

    def _stray(self, name: str) -> Outcome:
        """A manifest whose name is no batch id: it would wake the service again and again."""
        refused = Refused(Reason.BAD_MANIFEST, f"{shown(name)} does not begin with a batch id")
        label = "stray-" + hashlib.sha256(os.fsencode(name)).hexdigest()[:16]
        if self.quiet:
            return Outcome(label, "refused", refused.reason, refused.detail)
        path = self._quarantine(label, [name], refused, "")
        return Outcome(label, "quarantined", refused.reason, refused.detail, path=path)

    def _remove(self, batch: str) -> None:
        """Take a published batch out of the directory; the ledger knows it, so the order does not matter."""
        if not self.options.remove or self.quiet:
            return
        with doing("empty", self.zone.path):
            for name in verdict.belonging(self.zone.names(), batch):
                unlink_quietly(name, self.zone.fd)
            os.fsync(self.zone.fd)

    def _sweep(self) -> None:
        """What a run that was cut short left of batches that it had published."""
        if not self.options.remove:
            return
        present = self.zone.names()
        manifests = {name[: -len(MANIFEST)] for name in present if name.endswith(MANIFEST)}
        done = {one.batch for one in self.book.now.published} - manifests
        for batch in {name.split(".", 1)[0] for name in present} & done:
            self._remove(batch)

    def _quarantine(self, label: str, names: Sequence[str], refused: Refused, sender: str) -> str:
        """Move a batch away, with the reason beside it. The reason is on disk before anything moves."""
        root = self.options.quarantine
        with disk.directory(root) as above, doing("quarantine to", root):
            moving = _MOVING + label
            with contextlib.suppress(FileExistsError):
                os.mkdir(moving, 0o700, dir_fd=above)
            why = {
                "batch": label,
                "reason": refused.reason.value,
                "detail": refused.detail,
                "sender": sender,
                "at": to_text(self.now),
                "directory": self.zone.path,
            }
            text = json.dumps(why, indent=1, sort_keys=True) + "\n"
            disk.keep(f"{root}/{moving}/{_WHY}", text.encode("ascii"))
            os.fsync(above)
            self._move(above, moving, names)
            return self._settle(above, label)

    def _move(self, above: int, moving: str, names: Sequence[str]) -> None:
        """Move files, manifests last: as long as one is there, the next run takes the batch up again."""
        with disk.directory(f"{self.options.quarantine}/{moving}") as inside:
            for name in sorted(names, key=lambda one: (one.endswith(MANIFEST), one)):
                # A sender may have called something like our own file.
                target = name if name != _WHY else name + ".sent"
                with contextlib.suppress(FileNotFoundError):
                    os.rename(name, target, src_dir_fd=self.zone.fd, dst_dir_fd=inside)
            os.fsync(inside)
        os.fsync(self.zone.fd)
        os.fsync(above)

    def _settle(self, above: int, label: str) -> str:
        present = set(os.listdir(above))
        name, number = label, 1
        while name in present:
            number += 1
            name = f"{label}-{number}"
        os.rename(_MOVING + label, name, src_dir_fd=above, dst_dir_fd=above)
        os.fsync(above)
        return f"{self.options.quarantine}/{name}"

    def _resume_quarantine(self) -> Iterator[Outcome]:
        """Finish moves that were cut short: their reason is known, and must not become another one."""
        root = self.options.quarantine
        with disk.directory(root) as above, doing("quarantine to", root):
            for moving in sorted(os.listdir(above)):
                label = moving[len(_MOVING) :]
                content = None
                if moving.startswith(_MOVING):
                    content = disk.kept(f"{root}/{moving}/{_WHY}")
                why = json.loads(content.decode("utf-8")) if content else {}
                if why.get("directory") != self.zone.path:
                    continue
                names = verdict.belonging(self.zone.names(), label) if is_batch(label) else []
                self._move(above, moving, names)
                path = self._settle(above, label)
                reason = Reason(why["reason"])
                yield Outcome(label, "quarantined", reason, why["detail"], why["sender"], path=path)


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


def _known(entry: ledger.Entry) -> Outcome:
    detail = f"it was published {to_text(entry.at)}"
    return replace(_published(entry, detail), status="already", reason=Reason.REPLAY)
