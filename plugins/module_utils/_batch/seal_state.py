# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When to seal, and what sealing remembers (pure).

Encryption is random, so two sealings of the same data have nothing in common. To know that nothing has changed, the
sender keeps digests of names, times and contents, keyed with a random key that never leaves the host: whoever reads
them learns nothing, not even whether two hosts hold the same file.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass, replace
from typing import Any, Dict, Iterable, Optional, Sequence, Tuple

from .._core.error import HardeningError
from .names import is_batch

FORMAT = "twinguard-sealed-1"
SETTLE_NS = 2_000_000_000
"""A file touched less than this before it was read may change again within the same tick of the clock."""


@dataclass(frozen=True)
class Last:
    """The newest batch: its id and number, and keyed digests of what went into it.

    `shape`: names and sizes. `stats`: inodes and times as well; empty when they were too fresh to be
    trusted. `content`: names and contents. `settings`: sender, recipients and parameters.
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
    """`pending`: a batch that is just being put in place. `sequence`: the highest number given away."""

    sequence: int = 0
    last: Optional[Last] = None
    pending: Optional[Last] = None


class StateError(HardeningError, ValueError):
    """A state file that cannot be read."""


def render(state: State) -> bytes:
    """The state as it is kept."""
    document: Dict[str, Any] = {"format": FORMAT, "sequence": state.sequence}
    for name, one in (("last", state.last), ("pending", state.pending)):
        document[name] = None if one is None else dict(sorted(one.__dict__.items()))
    return (json.dumps(document, indent=1) + "\n").encode("ascii")


def parse(content: bytes) -> State:
    """Read a state. StateError for all but what render writes."""
    try:
        document = json.loads(content.decode("ascii"))
        state = State(
            int(document["sequence"]), _last(document["last"]), _last(document["pending"])
        )
        whole = render(state) == content
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise StateError("it is not a state that we wrote") from error
    if not whole:
        raise StateError("somebody has changed it")
    return state


def _last(found: Optional[Dict[str, Any]]) -> Optional[Last]:
    if found is None:
        return None
    last = Last(**found)
    if not is_batch(last.batch):
        raise StateError("a batch in it has no proper id")
    return last


def keyed(key: bytes, parts: Iterable[object]) -> str:
    """A digest of these parts that says nothing to anybody without the key."""
    text = json.dumps([str(part) for part in parts])
    return hmac.new(key, text.encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest()


def next_sequence(state: State, now: int) -> int:
    """A number above all that were given away. It follows the clock, so that a lost state does no harm."""
    return max(state.sequence + 1, now)


def new_id(now: str, chance: str) -> str:
    """A batch id, from a time as YYYYMMDDTHHMMSSZ and 16 random hex digits."""
    return f"{now}-{chance}"


def begin(state: State, last: Last) -> State:
    """The batch is complete in staging, and its number is used up whatever comes."""
    return replace(state, sequence=last.sequence, pending=last)


def finish(state: State) -> State:
    """The pending batch is in its place."""
    return replace(state, last=state.pending, pending=None)


def drop(state: State) -> State:
    """The pending batch never got to its place."""
    return replace(state, pending=None)


def settled(touched: Sequence[int], began_ns: int) -> bool:
    """Whether the times of the files can tell a later change."""
    return all(one + SETTLE_NS < began_ns for one in touched)


def compare(
    last: Optional[Last], settings: str, shape: str, stats: str, force: bool
) -> Tuple[Optional[bool], str]:
    """Whether to seal, as far as it can be told without reading contents, and why.

    None: only the contents can tell.
    """
    if force:
        return True, "it was asked for"
    if last is None:
        return True, "nothing was sealed before"
    if last.settings != settings:
        return True, "the sender, the recipients or the parameters have changed"
    if last.shape != shape:
        return True, "a file came, went or has another size"
    if last.stats and hmac.compare_digest(last.stats, stats):
        return False, "no file was touched"
    return None, ""
