# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When to seal, and the state that sealing keeps (pure).

Encryption is random, so two batches of the same data have nothing in common. To know that nothing has changed, the
sender keeps digests of names, times and contents, keyed with a random key that never leaves the host: nobody who reads
them learns anything, not even whether two hosts have the same file.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any, Dict, Iterable, Optional, Sequence, Tuple

from .._core.error import HardeningError
from .names import is_batch
from .strict_json import parse_own

FORMAT = "twinguard-sealed-1"
RACY_NS = 2_000_000_000
"""A file that was touched less than this before it was read may change again without a new time stamp."""


@dataclass(frozen=True)
class Last:
    """The newest batch: its id and number, and keyed digests of what went into it.

    `shape`: names and sizes. `stats`: inodes and times as well; empty when the times were too recent to be
    reliable. `content`: names and contents. `settings`: sender, recipients and parameters.
    """

    batch: str
    sequence: int
    settings: str
    shape: str
    stats: str
    content: str
    files: int
    size: int


@dataclass(frozen=True)
class State:
    """`pending`: a batch that is being moved to the outbox. `sequence`: the highest number used so far."""

    sequence: int = 0
    last: Optional[Last] = None
    pending: Optional[Last] = None


class StateError(HardeningError, ValueError):
    """An unreadable state file."""


def render(state: State) -> bytes:
    """The content of the state file."""
    document: Dict[str, Any] = {"format": FORMAT, "sequence": state.sequence}
    for name, one in (("last", state.last), ("pending", state.pending)):
        document[name] = None if one is None else dict(sorted(one.__dict__.items()))
    return (json.dumps(document, indent=1) + "\n").encode("ascii")


def parse(content: bytes) -> State:
    """Read a state. StateError for everything but the output of render."""
    return parse_own(content, _read, render, StateError)


def _read(document: Any) -> State:
    return State(int(document["sequence"]), _last(document["last"]), _last(document["pending"]))


def _last(found: Optional[Dict[str, Any]]) -> Optional[Last]:
    if found is None:
        return None
    last = Last(**found)
    if not is_batch(last.batch):
        raise StateError("a batch in it has an invalid id")
    return last


def keyed_digest(key: bytes, parts: Iterable[object]) -> str:
    """A digest of these parts that reveals nothing without the key."""
    text = json.dumps([str(part) for part in parts])
    return hmac.new(key, text.encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest()


def next_sequence(state: State, now: int) -> int:
    """A number above all used ones. It follows the clock, so that a lost state file does no harm."""
    return max(state.sequence + 1, now)


def new_id(now: int, random_hex: str) -> str:
    """A batch id, from the time in seconds since 1970 and 16 random hex digits."""
    moment = datetime.fromtimestamp(now, timezone.utc)
    return f"{moment:%Y%m%dT%H%M%SZ}-{random_hex}"


def begin(state: State, last: Last) -> State:
    """The batch is complete in staging; its number is used up whatever happens next."""
    return replace(state, sequence=last.sequence, pending=last)


def finish(state: State) -> State:
    """The pending batch is complete in the outbox."""
    return replace(state, last=state.pending, pending=None)


def discard(state: State) -> State:
    """The pending batch did not reach the outbox."""
    return replace(state, pending=None)


def times_are_reliable(touched: Sequence[int], began_ns: int) -> bool:
    """Whether a later change of the files will show in their times."""
    return all(one + RACY_NS < began_ns for one in touched)


def compare(
    last: Optional[Last], settings: str, shape: str, stats: str, force: bool
) -> Tuple[Optional[bool], str]:
    """Whether to seal, without reading contents, and the reason.

    None: the contents must be compared.
    """
    if force:
        return True, "force is set"
    if last is None:
        return True, "nothing was sealed before"
    if last.settings != settings:
        return True, "the sender, the recipients or the parameters have changed"
    if last.shape != shape:
        return True, "a file was added or removed, or has another size"
    if last.stats and hmac.compare_digest(last.stats, stats):
        return False, "no file was touched"
    return None, ""
