# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The posture of a fleet: the status of each control on each host (pure)."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Iterator, Mapping

from ...module_utils._core.controls import CATALOGUE, STATUSES, counts

_HEADINGS = ("host", "control", "resource", "status", "proven / reason")
_EVIDENCE_LENGTH = 100


@dataclass(frozen=True)
class Line:
    """One line of the table; `status` is empty for a line without a status."""

    text: str
    status: str = ""


@dataclass
class Posture:
    """Findings by host, control and resource; the last report of each one is kept."""

    findings: dict[tuple[str, str, str], dict[str, Any]] = field(default_factory=dict)
    unreachable: set[str] = field(default_factory=set)

    def add(self, host: str, result: Mapping[str, Any]) -> None:
        """Add the findings in the result of a task and in each item of its loop."""
        for found in _findings(result):
            self.findings[host, found["id"], found["resource"]] = dict(found)

    def lost(self, host: str) -> None:
        """Record that a host could not be reached, so that it does not count as a pass."""
        self.unreachable.add(host)

    def lines(self) -> list[Line]:
        """The table, the unreachable hosts and the totals; empty if there is nothing to report."""
        if not self.findings and not self.unreachable:
            return []
        rows = [_row(*key, self.findings[key]) for key in sorted(self.findings)]
        widths = [
            max(len(row[column]) for row in [_HEADINGS, *rows])
            for column in range(len(_HEADINGS) - 1)
        ]
        lines = [
            Line(_aligned(_HEADINGS, widths)),
            Line("-+-".join("-" * width for width in [*widths, 15])),
        ]
        lines += [Line(_aligned(row, widths), row[3]) for row in rows]
        lines += [
            Line(
                f"{_printable(host)}: not reached in this run, so it is unknown what is in force there",
                "unknown",
            )
            for host in sorted(self.unreachable)
        ]
        totals = counts(self.findings.values())
        lines.append(
            Line(
                "controls: "
                + ", ".join(f"{totals[status]} {status}" for status in reversed(STATUSES))
            )
        )
        return lines

    def document(self, generated_at: str) -> dict[str, Any]:
        """The posture as data for programs, with title, severity and references of each control."""
        hosts: dict[str, list[dict[str, Any]]] = {host: [] for host in sorted(self.unreachable)}
        for host, control_id, resource in sorted(self.findings):
            control = CATALOGUE[control_id]
            hosts.setdefault(host, []).append(
                {
                    **self.findings[host, control_id, resource],
                    "title": control.title,
                    "severity": control.severity,
                    "references": [asdict(reference) for reference in control.references],
                }
            )
        return {
            "generated_at": generated_at,
            "totals": counts(self.findings.values()),
            "unreachable": sorted(self.unreachable),
            "hosts": hosts,
        }


def _findings(result: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    passes = result.get("results")
    for one in [result, *(passes if isinstance(passes, (list, tuple)) else [])]:
        controls = one.get("controls") if isinstance(one, Mapping) else None
        if isinstance(controls, (list, tuple)):
            yield from (found for found in controls if _is_finding(found))


def _is_finding(value: object) -> bool:
    """Whether it is a finding of our modules; other modules may return something else as `controls`."""
    return (
        isinstance(value, Mapping)
        and isinstance(value.get("id"), str)
        and value["id"] in CATALOGUE
        and value.get("status") in STATUSES
        and isinstance(value.get("resource"), str)
    )


def _row(host: str, control_id: str, resource: str, found: Mapping[str, Any]) -> tuple[str, ...]:
    detail = str(found.get("reason") or "")
    if not detail:
        evidence = found.get("evidence") or {}
        detail = (
            ", ".join(f"{key} {value}" for key, value in evidence.items())
            if isinstance(evidence, Mapping)
            else ""
        )
        detail = (
            detail if len(detail) <= _EVIDENCE_LENGTH else detail[: _EVIDENCE_LENGTH - 3] + "..."
        )
    return tuple(_printable(cell) for cell in (host, control_id, resource, found["status"], detail))


def _printable(text: str) -> str:
    # A reason may quote text from a host: line breaks and terminal sequences are replaced.
    return "".join(
        char if char.isprintable() else " " if char.isspace() else repr(char)[1:-1] for char in text
    )


def _aligned(cells: tuple[str, ...], widths: list[int]) -> str:
    padded = [cell.ljust(width) for cell, width in zip(cells, widths)]
    return " | ".join([*padded, *cells[len(widths) :]]).rstrip()
