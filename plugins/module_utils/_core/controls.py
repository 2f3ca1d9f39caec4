# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalogue of controls and the one shape in which every module reports them."""

from __future__ import annotations

from typing import Any, Iterable, Mapping

from .._catalogue import audit, buckets, gateway, git, intake, windows
from .._catalogue.types import Control, Reference
from .error import ControlError

STATUSES = ("fail", "unknown", "pass", "not_applicable")
"""Every status, the one that needs attention first."""

SEVERITIES = ("critical", "high", "medium", "low")
"""Every severity, worst first."""

__all__ = [
    "CATALOGUE",
    "SEVERITIES",
    "STATUSES",
    "Control",
    "Reference",
    "counts",
    "finding",
    "severity_rank",
]

CATALOGUE: dict[str, Control] = {
    control.id: control
    for room in (gateway, audit, buckets, git, intake, windows)
    for control in room.CONTROLS
}
"""Every control by its id."""


def finding(
    control_id: str,
    resource: str,
    status: str,
    reason: str = "",
    evidence: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """One entry of the `controls` list that every module returns.

    A status other than 'pass' needs a reason. Raises ControlError for an unknown id, an unknown
    status or a missing reason.
    """
    if control_id not in CATALOGUE:
        known = ", ".join(sorted(CATALOGUE))
        raise ControlError("id", control_id, "no such control", "use one of " + known)
    if status not in STATUSES:
        raise ControlError("status", status, "no such status", "use one of " + ", ".join(STATUSES))
    if status != "pass" and not reason:
        raise ControlError(
            "reason", reason, f"a status of {status} needs a reason", "say why in one sentence"
        )
    return {
        "id": control_id,
        "resource": resource,
        "status": status,
        "reason": reason,
        "evidence": dict(evidence or {}),
    }


def counts(findings: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """How many findings have each status; every status is present, in the order of STATUSES."""
    totals = dict.fromkeys(STATUSES, 0)
    for entry in findings:
        totals[entry["status"]] += 1
    return totals


def severity_rank(severity: str) -> int:
    """0 for the worst severity; sorts findings. Raises ControlError for an unknown one."""
    if severity not in SEVERITIES:
        raise ControlError(
            "severity", severity, "no such severity", "use one of " + ", ".join(SEVERITIES)
        )
    return SEVERITIES.index(severity)
