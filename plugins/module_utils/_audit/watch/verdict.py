# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Findings for each watch and for audit as a whole (pure)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, List, Mapping, Sequence, Tuple, Union

from ..._core.controls import finding
from ..kernel.rule_lines import canonical
from ..kernel.syscall_sets import unseen_calls
from .canary import Access, Proof
from .mounts import filesystem, overlays
from .shadow import Shadow, hides, others, shadows
from .state import LOCKED, Found, Want, boot_problems, stale
from .steps import brief, differences
from .watch import Watch, rules_of

_SHOWN = 5
_B32 = 0x80000000

Result = Tuple[str, str]
"""Status and reason."""


@dataclass(frozen=True)
class CanaryResults:
    """The results of this run's canaries by the number of the watch: status and reason.

    `why_not` is the reason when none was made at all.
    """

    results: Mapping[int, Result] = field(default_factory=dict)
    why_not: str = "check mode makes no test access"
    rearmed: Tuple[str, ...] = ()

    def of(self, number: int) -> Result:
        """The result for one watch."""
        return self.results.get(number, ("unknown", self.why_not))


def canary_results(
    watches: Sequence[Watch],
    accesses: Sequence[Access],
    unable: Mapping[int, str],
    proof: Proof,
    seconds: int,
    rearmed: Sequence[str] = (),
) -> CanaryResults:
    """The results of all canaries of a run. `unable`: the reason for each watch that could have none."""
    results: dict[int, Result] = {number: ("unknown", reason) for number, reason in unable.items()}
    unseen = {access: number for number, access in enumerate(accesses) if access in proof.unseen}
    for number in range(len(watches)):
        mine = [access for access in accesses if access.watch == number]
        missed = [access for access in mine if access in unseen]
        if missed:
            key = proof.stolen.get(unseen[missed[0]], "")
            how = (
                f"was recorded under {key}, not under" if key else "did not appear in the log under"
            )
            results[number] = (
                "fail",
                f"{len(missed)} of {len(mine)} test accesses: {missed[0].operation} of {missed[0].path} {how} "
                f"{watches[number].key}" + ("" if key else f" within {seconds} seconds"),
            )
        elif mine:
            results[number] = ("pass", "")
    return CanaryResults(results, "", tuple(rearmed))


def controls(
    want: Want, found: Found, canaries: CanaryResults, pending: Sequence[str] = ()
) -> List[dict[str, Any]]:
    """Every finding. `pending`: files that are not yet as wanted (in check mode)."""
    if found.status is None:
        return _not_applicable(want, found.no_audit)
    entries = [_rules(want, found, pending)]
    view = Visibility(want, found)
    for number, watch in enumerate(want.watches):
        status, reason = visibility(found, watch, view.blind(watch), canaries.of(number))
        shared = [one.sentence for one in view.shadows(watch) if not hides(one)]
        evidence = {"resolved": watch.resolved, "key": watch.key, "shared": shared}
        entries.append(finding("audit.visibility", watch.path, status, reason, evidence))
        entries.append(finding("audit.canary", watch.path, *canaries.of(number)))
    entries.append(_daemon(found))
    entries += _coverage(want, found)
    entries += _locked(want, found)
    return entries


def _not_applicable(want: Want, problem: str) -> List[dict[str, Any]]:
    resources = [("audit.rules", "kernel and boot")]
    for watch in want.watches:
        resources += [("audit.visibility", watch.path), ("audit.canary", watch.path)]
    resources += [("audit.daemon", "auditd"), ("audit.coverage", "processes")]
    if want.params["immutable"] is not None:
        resources.append(("audit.locked", "audit rules"))
    reason = f"the kernel gives no audit here: {problem}"
    return [finding(name, resource, "not_applicable", reason) for name, resource in resources]


def _rules(want: Want, found: Found, pending: Sequence[str]) -> dict[str, Any]:
    kernel = differences(found.rules, want.groups)
    boot = () if found.locked else boot_problems(want, found)
    parts = []
    if kernel:
        parts.append(f"the kernel differs: {_some(kernel)}")
    if pending:
        parts.append(f"files differ: {_some(pending)}")
    elif boot:
        parts.append(f"/etc/audit/audit.rules, which is loaded at boot: {_some(boot)}")
    if kernel and found.locked:
        parts.append("the rules are locked until the next boot: reboot to change them")
    evidence = {"kernel": list(kernel), "boot": list(boot), "rules": len(want.rules)}
    status = "fail" if parts else "pass"
    return finding("audit.rules", "kernel and boot", status, "; ".join(parts), evidence)


def _some(items: Sequence[str]) -> str:
    more = len(items) - _SHOWN
    return ", ".join(items[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


class Visibility:
    """What the rules alone show about each watch; sorts the kernel's rules once for all of them."""

    def __init__(self, want: Want, found: Found) -> None:
        self._want = want
        self._found = found
        ours = [rule for rule in found.rules if rule.ours]
        self._exact = set(ours)
        # Comparing by intent takes longer, and is needed only for rules that another tool has made.
        self._meant = (
            set() if self._exact.issuperset(want.rules) else {canonical(rule) for rule in ours}
        )
        self._others = others(found.rules)
        self._overlays = [one for one in found.mounts if one.kind == "overlay"]
        self._mounts = found.mounts if self._others.by_filesystem else ()

    def shadows(self, watch: Watch) -> List[Shadow]:
        """Rules of others that stand before a watch."""
        kind = filesystem(self._mounts, watch.resolved)
        return shadows(self._others, watch, self._want.arches, kind)

    def blind(self, watch: Watch) -> str:
        """The reason why a watch cannot see; '' if there is none."""
        if self._found.status is not None and self._found.status.enabled == 0:
            return "audit is switched off (enabled 0)"
        wanted = rules_of(watch, self._want.arches)
        if not all(one in self._exact or canonical(one) in self._meant for one in wanted):
            return "the kernel does not hold all of its rules"
        hiding = [one.sentence for one in self.shadows(watch) if hides(one)]
        if hiding:
            return _some(hiding)
        for layer, point in overlays(self._overlays, watch.resolved):
            if not any(other.tree and other.contains(point) for other in self._want.watches):
                return (
                    f"{layer} is a layer of the overlay on {point}, where its files are read unseen; "
                    f"watch {point} too"
                )
        return ""


def visibility(found: Found, watch: Watch, blind: str, canary: Result) -> Result:
    """Whether a watch sees what it is for, and the reason if not. `blind`: from Visibility.blind()."""
    if blind:
        return "fail", blind
    if canary[0] == "fail":
        return "fail", "a test access was not seen: " + canary[1] + _kept(found, watch)
    if canary[0] == "pass":
        return "pass", ""
    doubt = stale(watch, found)
    if doubt:
        return "fail", doubt
    if doubt is None:
        return (
            "unknown",
            "its rules have not been proven since the last boot, or since they were found blind; run with canary: true",
        )
    return "pass", ""


def _kept(found: Found, watch: Watch) -> str:
    """The kernel looks a directory up once for all rules that name it in the same words."""
    for rule in found.rules:
        place = rule.field("dir")
        if not rule.ours and place is not None and place.value == watch.resolved:
            return (
                f"; the rule '{brief(rule)}' keeps the kernel at the directory that was there before, "
                "delete and add it again"
            )
    return ""


def _daemon(found: Found) -> dict[str, Any]:
    status = found.status
    if status is None:
        raise RuntimeError("without audit there is no daemon")
    lost = status.lost - found.lost_before
    evidence = {"pid": status.pid, "lost": status.lost, "backlog_limit": status.backlog_limit}
    problem = ""
    if status.enabled == 0:
        problem = "audit is switched off (enabled 0)"
    elif not status.pid:
        problem = "no daemon takes the records; start auditd"
    elif found.units is not None and not found.runs("auditd.service"):
        problem = "auditd.service is not enabled, so that nothing is recorded after the next boot"
    elif lost > 0:
        since = "the last run" if found.lost_before else "the last boot"
        problem = (
            f"{lost} records were lost since {since}; raise backlog_limit ({status.backlog_limit}), "
            "or audit_backlog_limit on the kernel's command line if that was at boot"
        )
    return finding("audit.daemon", "auditd", "fail" if problem else "pass", problem, evidence)


def _coverage(want: Want, found: Found) -> List[dict[str, Any]]:
    return [_io_uring(want, found), _calls(want, found), _processes(found)]


def _io_uring(want: Want, found: Found) -> dict[str, Any]:
    evidence = {"io_uring": found.io_uring}
    if found.io_uring in ("2", "absent", "blocked"):
        return finding("audit.coverage", "io_uring", "pass", "", evidence)
    how = "set block_io_uring, or kernel.io_uring_disabled=2"
    status = "unknown"
    if want.params["block_io_uring"]:
        status, how = "fail", "this kernel cannot switch it off by kernel.io_uring_disabled"
        if found.io_uring in ("0", "1"):
            how = f"kernel.io_uring_disabled is {found.io_uring}, not 2"
    reason = f"files can be read through io_uring without a record; {how}"
    return finding("audit.coverage", "io_uring", status, reason, evidence)


def _calls(want: Want, found: Found) -> dict[str, Any]:
    """32-bit programs call the kernel by other numbers and need rules of their own."""
    ours = [rule for rule in found.rules if rule.ours and rule.action == "always"]
    for arch in want.arches:
        if want.watches and not any(
            field.name == "arch" and field.value == arch for rule in ours for field in rule.fields
        ):
            bits = "64" if arch & _B32 else "32"
            reason = f"no rule of ours is for {bits}-bit calls"
            return finding("audit.coverage", f"{bits}-bit calls", "fail", reason)
    for rule in ours:
        names = unseen_calls(rule)
        if names:
            reason = f"'{brief(rule)}' does not look at {', '.join(sorted(names)[:_SHOWN])}"
            return finding("audit.coverage", "system calls", "unknown", reason)
    return finding(
        "audit.coverage", "system calls", "pass", "", {"architectures": len(want.arches)}
    )


def _processes(found: Found) -> dict[str, Any]:
    if not found.blind:
        return finding("audit.coverage", "processes", "pass")
    reason = (
        f"{len(found.blind)} processes may go unrecorded, because they started before audit: "
        f"{_some(found.blind)}; boot with audit=1, or restart them"
    )
    return finding("audit.coverage", "processes", "fail", reason, {"processes": list(found.blind)})


def _locked(want: Want, found: Found) -> List[dict[str, Any]]:
    asked = want.params["immutable"]
    if asked is None or found.status is None:
        return []
    if asked == found.locked:
        return [finding("audit.locked", "audit rules", "pass")]
    enabled = found.status.enabled
    reason = (
        "the rules are locked until the next boot; reboot to open them"
        if enabled == LOCKED
        else f"the rules are not locked (enabled {enabled})"
    )
    return [finding("audit.locked", "audit rules", "fail", reason)]


def watch_rows(want: Want, entries: Sequence[Mapping[str, Any]]) -> List[dict[str, Any]]:
    """One row of the result for each watch: `armed` is null where that is not known."""
    seen = {one["resource"]: one for one in entries if one["id"] == "audit.visibility"}
    rows = []
    for watch in want.watches:
        status, reason = (seen[watch.path][name] for name in ("status", "reason"))
        armed: Union[bool, None] = {"pass": True, "fail": False}.get(status)
        rows.append(
            {
                "path": watch.path,
                "resolved": watch.resolved,
                "key": watch.key,
                "armed": armed,
                "reason": reason or _through_link(watch),
            }
        )
    return rows


def _through_link(watch: Watch) -> str:
    plain = watch.path.rstrip("/")
    return f"{plain} is reached by a link; its target is watched" if plain != watch.resolved else ""


def failures(entries: Sequence[Mapping[str, Any]]) -> List[str]:
    """What makes a run fail: watches that are not in force. What only weakens audit is reported."""
    hard = ("audit.rules", "audit.visibility", "audit.canary", "audit.daemon")
    failed = [one for one in entries if one["id"] in hard and one["status"] == "fail"]
    # A canary that failed is already the reason of the finding on visibility.
    known = {one["resource"] for one in failed if one["id"] == "audit.visibility"}
    return [
        f"{one['resource']}: {one['reason']}"
        for one in failed
        if not (one["id"] == "audit.canary" and one["resource"] in known)
        and " were lost since " not in one["reason"]
    ]
