# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The control C(audit.access): whether only the expected ones touched the files (pure)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Sequence, Tuple

from ..._core.controls import finding
from .query import Query, Tally

_NO_LIST = "no expected users or programs were given, so that no access can be called unexpected"


@dataclass(frozen=True)
class Evidence:
    """What the log was like."""

    files: int
    no_audit: str  # the reason why this kernel has no audit for us; empty when it has, or when it was not asked
    oldest: bytes  # the id of the first event that the log holds
    lost: bool  # the place up to which it was read last was rotated away
    malformed: int


def findings(query: Query, tally: Tally, evidence: Evidence) -> List[Dict[str, Any]]:
    """One finding for each key that was asked for, or that has events."""
    resources: Sequence[str] = query.keys or sorted(tally.keys) or ["model files"]
    return [_finding(query, tally, evidence, resource) for resource in resources]


def _finding(query: Query, tally: Tally, evidence: Evidence, resource: str) -> Dict[str, Any]:
    bad = tally.unexpected_keys[resource]
    status, reason = _verdict(query, bad, evidence)
    numbers = {
        "events": tally.keys[resource],
        "unexpected": bad if query.expected is not None else None,
    }
    return finding("audit.access", resource, status, reason, numbers)


def _verdict(query: Query, bad: int, evidence: Evidence) -> Tuple[str, str]:
    if evidence.no_audit:
        return "not_applicable", "there is no audit log: " + evidence.no_audit
    if not evidence.files:
        return "unknown", "there is no audit log: install auditd and start it"
    if query.expected is None:
        return "not_applicable", _NO_LIST
    if bad:
        return "fail", "%d %s by somebody who is not expected" % (
            bad,
            "access" if bad == 1 else "accesses",
        )
    doubt = _doubt(query, evidence)
    return ("unknown", doubt) if doubt else ("pass", "")


def _doubt(query: Query, evidence: Evidence) -> str:
    """Why the log may not tell all; empty when it does."""
    if evidence.malformed:
        return "%d records with a key of ours cannot be understood" % evidence.malformed
    if evidence.lost:
        return "the log was rotated away before it was read up to its end"
    if not evidence.oldest:
        return "the log holds no record"
    if query.since is not None and query.since < int(evidence.oldest.partition(b".")[0]) * 1000:
        return "the log does not go back to the time that was asked for"
    if _filtered(query):
        return "only a part of the events was asked for, and nothing unexpected is among them"
    return ""


def _filtered(query: Query) -> bool:
    """Whether a filter hides events that nobody may have expected."""
    names = (query.users, query.executables, query.paths, query.operations)
    return any(names) or query.success is not None
