# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The receiver's ledger of published batches, so that none is published twice (pure).

A batch is published in three atomic steps:

 1. the ledger says "publishing this batch"; its decrypted files are complete on disk, in staging;
 2. the staging directory is renamed to its place;
 3. the ledger says "published".

After an interruption between 1 and 2 the staging directory still exists, and the next run renames it. After one between
2 and 3 it is gone, so the batch was published, even if somebody has removed it since; the next run only records it. So
each batch is published exactly once, and its sequence number is used up from step 1 on.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any, Dict, Mapping, Optional, Tuple

from .._core.error import HardeningError
from .names import is_batch, is_sender
from .strict_json import parse_own
from .types import Reason, Refused

FORMAT = "twinguard-ledger-1"
KEPT = 1000
"""Published batches that are listed, for each sender. Older ones are refused by their sequence number."""


@dataclass(frozen=True)
class Entry:
    """A batch that was published, or is being published: its manifest's SHA-256, and its number of files and bytes."""

    batch: str
    sender: str
    sequence: int
    manifest: str
    at: int
    files: int
    size: int
    directory: str


@dataclass(frozen=True)
class Ledger:
    """`highest`: the last sequence number of each sender. `published` in the order of publication."""

    highest: Mapping[str, int] = field(default_factory=dict)
    published: Tuple[Entry, ...] = ()
    publishing: Optional[Entry] = None

    def find(self, batch: str) -> Optional[Entry]:
        """The entry of a published batch; None when it is not (or no longer) listed."""
        return next((one for one in self.published if one.batch == batch), None)


class LedgerError(HardeningError, ValueError):
    """An unreadable ledger. Nothing may be published then, because it may have been published before."""


def parse(content: bytes) -> Ledger:
    """Read a ledger. LedgerError for everything but the output of render."""
    return parse_own(content, _read, render, LedgerError)


def render(ledger: Ledger) -> bytes:
    """The content of the ledger file."""
    document: Dict[str, Any] = {
        "format": FORMAT,
        "highest": dict(sorted(ledger.highest.items())),
        "publishing": None if ledger.publishing is None else _fields(ledger.publishing),
        "published": [_fields(one) for one in ledger.published],
    }
    return (json.dumps(document, indent=1) + "\n").encode("ascii")


def _fields(entry: Entry) -> Dict[str, Any]:
    return dict(sorted(entry.__dict__.items()))


def _read(document: Any) -> Ledger:
    if document["format"] != FORMAT:
        raise LedgerError(f"its format is not {FORMAT}")
    publishing = document["publishing"]
    return Ledger(
        {str(name): int(number) for name, number in document["highest"].items()},
        tuple(_entry(one) for one in document["published"]),
        None if publishing is None else _entry(publishing),
    )


def _entry(found: Dict[str, Any]) -> Entry:
    entry = Entry(**found)
    if not is_batch(entry.batch) or not is_sender(entry.sender):
        raise LedgerError("an entry has an invalid batch id or sender")
    return entry


def decide(
    ledger: Ledger, sender: str, batch: str, sequence: int, manifest: str
) -> Optional[Entry]:
    """The entry of this batch when exactly it was published before; None when it is new.

    Raises Refused for a batch whose id is taken, or whose sequence number is not above the highest one of its sender.
    """
    known = ledger.find(batch)
    if known is not None and known.sender != sender:
        raise Refused(Reason.ID_TAKEN, f"the batch id {batch} was already used by {known.sender}")
    if known is not None and known.manifest == manifest:
        return known
    if known is not None:
        raise Refused(
            Reason.REPLAY, f"batch {batch} was published before with a different manifest"
        )
    highest = ledger.highest.get(sender)
    if highest is not None and sequence <= highest:
        raise Refused(
            Reason.OLD_SEQUENCE,
            f"its sequence number {sequence} is not above {highest}, the highest one published for {sender}",
        )
    return None


def begin(ledger: Ledger, entry: Entry) -> Ledger:
    """Step 1: the batch is complete in staging and will be published. `decide` has accepted it."""
    if ledger.publishing is not None:
        raise LedgerError(f"batch {ledger.publishing.batch} is still being published")
    highest = {**ledger.highest, entry.sender: entry.sequence}
    return replace(ledger, highest=highest, publishing=entry)


def finish(ledger: Ledger) -> Ledger:
    """Step 3: the batch of `begin` is at its destination."""
    if ledger.publishing is None:
        return ledger
    entries = [*ledger.published, ledger.publishing]
    same = [one for one in entries if one.sender == ledger.publishing.sender]
    if len(same) > KEPT:
        entries.remove(same[0])
    return replace(ledger, published=tuple(entries), publishing=None)
