# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The results of ``batch_seal`` and ``batch_open`` (pure)."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Sequence

from .._core.controls import finding
from .._core.plan import Change, Plan
from .types import Outcome, Sealed


def seal_result(sealed: Sealed, params: Mapping[str, Any]) -> Dict[str, Any]:
    """The result of ``batch_seal``."""
    after = f"a batch (files: {sealed.files}, bytes: {sealed.size}), because {sealed.reason}\n"
    before = None if sealed.changed else after
    plan = Plan((Change(f"batches of {params['sender']} in {params['outbox']}", before, after),))
    evidence = {
        "recipients": list(sealed.recipients),
        "files": sealed.files,
        "reason": sealed.reason,
    }
    fresh = sealed.changed and not sealed.batch
    status = ("fail", f"the data is not sealed yet: {sealed.reason}") if fresh else ("pass", "")
    return {
        "changed": plan.changed,
        "diff": plan.diff(),
        "controls": [finding("intake.seal", params["outbox"], *status, evidence)],
        "batch": sealed.batch,
        "sequence": sealed.sequence,
        "manifest": sealed.manifest,
        "reason": sealed.reason,
    }


def open_result(
    outcomes: Sequence[Outcome], params: Mapping[str, Any], check: bool
) -> Dict[str, Any]:
    """The result of ``batch_open``; with a `msg` when a batch was refused, or the named one does not exist."""
    missing = params["batch"] and params["batch"] not in [one.batch for one in outcomes]
    refused = [one for one in outcomes if one.status in ("quarantined", "refused")]
    changes = () if params["verify_only"] else tuple(_changes(outcomes, params))
    plan = Plan(changes)
    controls = [_finding(one, params["directory"]) for one in outcomes]
    result: Dict[str, Any] = {
        "changed": plan.changed,
        "diff": plan.diff(),
        "batches": [shown(one) for one in outcomes],
    }
    if missing:
        reason = f"{params['directory']} does not contain batch {params['batch']}, and it was not published before"
        controls.append(finding("intake.open", params["directory"], "fail", reason))
        result["msg"] = reason
    elif refused and not check:
        result["msg"] = _sentence(refused)
    if not controls:
        controls.append(finding("intake.open", params["directory"], "pass"))
    return {**result, "controls": controls}


def _changes(outcomes: Sequence[Outcome], params: Mapping[str, Any]) -> List[Change]:
    changes = []
    for one in outcomes:
        if one.status in ("published", "verified"):
            text = f"batch {one.batch} of {one.sender}, number {one.sequence}\n"
            changes.append(Change(f"{params['destination']}/{one.batch}", None, text))
        elif one.status in ("quarantined", "refused") and one.reason:
            text = f"{one.reason.value}: {one.detail}\n"
            changes.append(Change(f"{params['quarantine']}/{one.batch}", None, text))
    return changes


def _finding(outcome: Outcome, directory: str) -> Dict[str, Any]:
    resource = f"{directory}/{outcome.batch}"
    evidence = {"status": outcome.status, "sender": outcome.sender, "sequence": outcome.sequence}
    if outcome.status in ("quarantined", "refused") and outcome.reason:
        reason = f"{outcome.reason.value}: {outcome.detail}"
        return finding("intake.open", resource, "fail", reason, evidence)
    return finding("intake.open", resource, "pass", outcome.detail, evidence)


def _sentence(refused: Sequence[Outcome]) -> str:
    first = refused[0]
    word = first.reason.value if first.reason else ""
    more = f"; {len(refused) - 1} more batches were refused" if len(refused) > 1 else ""
    return f"batch {first.batch} was refused: {word}: {first.detail}{more}"


def shown(outcome: Outcome) -> Dict[str, Any]:
    """An outcome as plain data; the reason as one word."""
    found: Dict[str, Any] = dict(outcome.__dict__)
    found["reason"] = outcome.reason.value if outcome.reason else ""
    return found
