# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prove the watches of a host by canaries, lock what is proven, and report the result (I/O)."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import Any, Dict, List, Sequence, Set, Tuple

from ..._files.transaction_io import DirSpec, FileSpec, read_file
from . import canary, host_io, state, verdict
from .apply_io import apply, arm_anew, lock, remember, write_state
from .canary_io import CanaryRun, run_canaries, who_we_are
from .observe_io import STATE_DIR, Host
from .rearm import TURN
from .steps import Steps

CANARIES = f"{STATE_DIR}/canaries.json"


def enforce(host: Host, check: bool) -> Dict[str, Any]:
    """Read, plan, apply, prove; the result of the module."""
    # Without audit the unit cannot be changing anything.
    if host.kernel is None:
        return _enforce(host, check)
    with host_io.turn(TURN, make=not check):
        return _enforce(host, check)


def _enforce(host: Host, check: bool) -> Dict[str, Any]:
    found = host.observe()
    actions = host.plan(found)
    if check:
        return _result(host, found, actions, verdict.CanaryResults())
    if actions.plan.changed:
        found = apply(host, found, actions)
    canaries, found = prove(host, found)
    if actions.lock and not verdict.failures(verdict.controls(host.want, found, canaries)):
        lock(host)
        found = host.observe()
    return _result(host, found, actions, canaries, applied=True)


def prove(host: Host, found: state.Found) -> Tuple[verdict.CanaryResults, state.Found]:
    """Run the canaries. A watch that does not see its canary is armed anew, once, and tried again."""
    if found.status is None:
        return verdict.CanaryResults(), found
    why_not = _no_canary_because(host, found)
    if why_not:
        remember(host, found, Steps())
        return verdict.CanaryResults(why_not=why_not), found
    watches, seconds = host.want.watches, int(host.params["canary_timeout"])
    todo, unable = _accesses(host, found)
    canaries = _run_canaries(host, todo, unable)
    # Where it is known reason a watch is blind, arming it anew cannot help.
    visibility = verdict.Visibility(host.want, found)
    numbers = {access.watch for access in canaries.proof.unseen}
    blind = {number for number in numbers if not visibility.blind(watches[number])}
    rearmed: Sequence[str] = ()
    if blind and not found.locked:
        arm_anew(host, blind)
        found = host.observe()
        todo, unable = _accesses(host, found)
        canaries = _run_canaries(host, todo, unable)
        rearmed = sorted(watches[number].resolved for number in blind)
    made = [access for access in todo if access not in canaries.refused]
    results = verdict.canary_results(watches, made, unable, canaries.proof, seconds, rearmed)
    by_result: Dict[str, List[int]] = {}
    for number in range(len(watches)):
        by_result.setdefault(results.of(number)[0], []).append(number)
    # What was not seen must not count as armed later.
    remember(host, found, Steps(), by_result.get("pass", ()), by_result.get("fail", ()))
    return results, host.observe()


def _run_canaries(host: Host, todo: Sequence[canary.Access], unable: Dict[int, str]) -> CanaryRun:
    canaries = run_canaries(todo, host.want.watches, host.log_path(), host.params["canary_timeout"])
    for access, reason in canaries.refused.items():
        unable[access.watch] = f"nothing can be created in {access.place}: {reason}"
    _record(canaries.pid, canaries.events)
    return canaries


def _no_canary_because(host: Host, found: state.Found) -> str:
    if not host.params["canary"]:
        return "the option canary is off"
    if found.status is None or not found.status.pid or not found.status.enabled:
        return "no daemon takes the kernel's records, so that no log can show the test access"
    if not host.log_path():
        return "auditd is set to write no log (write_logs)"
    if not os.path.isfile(host.log_path()):
        return f"auditd has no log {host.log_path()} yet"
    return ""


def _accesses(host: Host, found: state.Found) -> Tuple[List[canary.Access], Dict[int, str]]:
    who = who_we_are()
    todo: List[canary.Access] = []
    unable: Dict[int, str] = {}
    for number, watch in enumerate(host.want.watches):
        accesses, why_not = canary.accesses(number, watch, found.below.get(watch.anchor, ()), who)
        todo += accesses
        if why_not:
            unable[number] = why_not
    return todo, unable


def _record(pid: int, events: Sequence[canary.Event]) -> None:
    """Remember our own test accesses, so that reports leave them out."""
    old = read_file(CANARIES)
    boot_id = host_io.text_of("/proc/sys/kernel/random/boot_id").strip()
    content = canary.recorded(old.content if old else b"", boot_id, pid, events)
    parents = [DirSpec(path, 0o700, 0, 0) for path in _parents() if not os.path.isdir(path)]
    write_state([*parents, FileSpec(CANARIES, content, 0o600, 0, 0)])


def _parents() -> Tuple[str, ...]:
    return os.path.dirname(STATE_DIR), STATE_DIR


def _result(
    host: Host,
    found: state.Found,
    actions: state.Actions,
    canaries: verdict.CanaryResults,
    applied: bool = False,
) -> Dict[str, Any]:
    pending = [] if applied else [change.key for change in actions.files.changes]
    controls = verdict.controls(host.want, found, canaries, pending)
    status = found.status
    reboot = host.plan(found).reboot if applied else actions.reboot
    failures: Set[str] = set(verdict.failures(controls)) if applied else set()
    result = {
        "changed": actions.plan.changed or bool(canaries.rearmed),
        "diff": actions.plan.diff(),
        "controls": controls,
        "watches": verdict.watch_rows(host.want, controls),
        "kernel": asdict(status) if status else {},
        "reboot_required": reboot or (found.locked and bool(failures)),
        "lost": status.lost - found.lost_before if status else 0,
        "blind_processes": list(found.blind),
        "rearmed": list(canaries.rearmed),
    }
    if failures:
        result["msg"] = "not in force: " + "; ".join(sorted(failures))
    return result
