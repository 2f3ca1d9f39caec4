# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an audit of a repository found out, kept for the next one (pure).

Two lines of JSON. The first holds the last question and its answer: the same question again is
answered from it. The second holds each good signature, so that a grown history costs no more than
its new commits. All of it counts under one policy only, and each verdict until a key's time is over.
Refusals are not kept: they are worked out again, because they are what people act upon.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from .verdict import Verdict

_VERSION = 1
# Whatever a file may hold that is not what was written there.
_DAMAGE = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)


@dataclass(frozen=True)
class Question:
    """What was asked: which refs at which tips, on top of what, under which policy."""

    digest: str
    tips: Tuple[Tuple[str, str], ...]
    base: Tuple[str, ...]

    def fields(self) -> List[Any]:
        """As JSON keeps it."""
        return [self.digest, [list(pair) for pair in self.tips], list(self.base)]


@dataclass(frozen=True)
class Kept:
    """A cache that could be read. `counts` is None when the question has changed."""

    counts: Optional[Mapping[str, int]] = None
    rows: bytes = field(default=b"", repr=False)

    def verdicts(self) -> Dict[str, Verdict]:
        """The good signatures by id; read only when they are needed. Empty when damaged."""
        try:
            rows = json.loads(self.rows or b"[]")
            return {str(row[0]): _verdict(row) for row in rows}
        except _DAMAGE:
            return {}


def _verdict(row: Sequence[Any]) -> Verdict:
    commit, kind, signer, principal, key, until = row
    if not all(isinstance(text, str) for text in row[:5]) or not isinstance(
        until, (int, type(None))
    ):
        raise ValueError("a row is damaged")
    return Verdict(commit, "good", signer, principal, key, kind=kind, until=until)


def parse(content: bytes, question: Question, now: int) -> Kept:
    """What the cache says to the question. A damaged cache says nothing."""
    head, _newline, rows = content.partition(b"\n")
    try:
        found = json.loads(head)
        if found["version"] != _VERSION or found["question"][0] != question.digest:
            return Kept()
        counts = {str(status): int(count) for status, count in found["counts"].items()}
        fresh = found["until"] is None or now < int(found["until"])
        same = found["question"] == question.fields() and found["accepted"] is True and fresh
    except _DAMAGE:
        return Kept()
    return Kept(counts if same else None, rows)


def render(question: Question, verdicts: Sequence[Verdict], own: Mapping[str, Verdict]) -> bytes:
    """The cache after a run: all verdicts of it, and what each commit is worth by itself."""
    counts: Dict[str, int] = {}
    for verdict in verdicts:
        counts[verdict.status] = counts.get(verdict.status, 0) + 1
    ends = [verdict.until for verdict in verdicts if verdict.until is not None]
    head = {
        "version": _VERSION,
        "question": question.fields(),
        "counts": counts,
        "accepted": all(verdict.accepted for verdict in verdicts),
        "until": min(ends) if ends else None,
    }
    rows = [
        [one.commit, one.kind, one.signer, one.principal, one.key, one.until]
        for one in own.values()
        if one.status == "good"
    ]
    lines = [json.dumps(head, sort_keys=True), json.dumps(rows, separators=(",", ":"))]
    return ("\n".join(lines) + "\n").encode("ascii")
