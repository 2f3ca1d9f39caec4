# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prove the watches of a host by canaries, lock what is proven, and tell all of it (I/O)."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import Any, Dict, List, Sequence, Set, Tuple

from ..._files.transaction_io import DirSpec, FileSpec, read_file
from . import canary, host_io, state, verdict
from .apply_io import STATE_DIR, Host
from .canary_io import Flown, fly, who_we_are
from .rearm import TURN
from .steps import Steps

CANARIES = f"{STATE_DIR}/canaries.json"


def enforce(host: Host, check: bool) -> Dict[str, Any]:
    """Read, plan, apply, prove; the result of the module."""
    # Without audit there is nothing that the unit could be changing.
    if host.kernel is None:
        return _enforce(host, check)
    with host_io.turn(TURN, make=not check):
        return _enforce(host, check)


def _enforce(host: Host, check: bool) -> Dict[str, Any]:
    found = host.observe()
    actions = host.plan(found)
    if check:
        return _result(host, found, actions, verdict.Flight())
    if actions.plan.changed:
        found = host.apply(found, actions)
    flown, found = prove(host, found)
    if actions.lock and not verdict.failures(verdict.controls(host.want, found, flown)):
        host.lock()
        found = host.observe()
    return _result(host, found, actions, flown, applied=True)


def prove(host: Host, found: state.Found) -> Tuple[verdict.Flight, state.Found]:
    """Fly the canaries. A watch that does not see its own is armed anew, once, and asked again."""
    if found.status is None:
        return verdict.Flight(), found
    why_not = _why_not(host, found)
    if why_not:
        host.remember(found, Steps())
        return verdict.Flight(why_not=why_not), found
    watches, seconds = host.want.watches, int(host.params["canary_timeout"])
    todo, unable = _acts(host, found)
    flown = _fly(host, todo, unable)
    # Where it is known why a watch is blind, arming it anew cannot help.
    eyes = verdict.Sight(host.want, found)
    numbers = {act.watch for act in flown.proof.unseen}
    blind = {number for number in numbers if not eyes.blind(watches[number])}
    rearmed: Sequence[str] = ()
    if blind and not found.locked:
        host.arm_anew(blind)
        found = host.observe()
        todo, unable = _acts(host, found)
        flown = _fly(host, todo, unable)
        rearmed = sorted(watches[number].resolved for number in blind)
    made = [act for act in todo if act not in flown.refused]
    said = verdict.flight(watches, made, unable, flown.proof, seconds, rearmed)
    by_result: Dict[str, List[int]] = {}
    for number in range(len(watches)):
        by_result.setdefault(said.of(number)[0], []).append(number)
    # Of what was not seen nobody may say later that it was armed.
    host.remember(found, Steps(), by_result.get("pass", ()), by_result.get("fail", ()))
    return said, host.observe()


def _fly(host: Host, todo: Sequence[canary.Act], unable: Dict[int, str]) -> Flown:
    flown = fly(todo, host.want.watches, host.log_path(), host.params["canary_timeout"])
    for act, why in flown.refused.items():
        unable[act.watch] = f"nothing can be created in {act.place}: {why}"
    _record(flown.pid, flown.events)
    return flown


def _why_not(host: Host, found: state.Found) -> str:
    if not host.params["canary"]:
        return "the option canary is off"
    if found.status is None or not found.status.pid or not found.status.enabled:
        return "no daemon takes the kernel's records, so that no log can show the test access"
    if not host.log_path():
        return "auditd was told to write no log"
    if not os.path.isfile(host.log_path()):
        return f"auditd has no log {host.log_path()} yet"
    return ""


def _acts(host: Host, found: state.Found) -> Tuple[List[canary.Act], Dict[int, str]]:
    who = who_we_are()
    todo: List[canary.Act] = []
    unable: Dict[int, str] = {}
    for number, watch in enumerate(host.want.watches):
        acts, why_not = canary.acts(number, watch, found.below.get(watch.anchor, ()), who)
        todo += acts
        if why_not:
            unable[number] = why_not
    return todo, unable


def _record(pid: int, events: Sequence[canary.Event]) -> None:
    """So that no report takes our own test accesses for somebody's."""
    old = read_file(CANARIES)
    boot_id = host_io.text_of("/proc/sys/kernel/random/boot_id").strip()
    content = canary.recorded(old.content if old else b"", boot_id, pid, events)
    parents = [DirSpec(path, 0o700, 0, 0) for path in _parents() if not os.path.isdir(path)]
    Host.write_state([*parents, FileSpec(CANARIES, content, 0o600, 0, 0)])


def _parents() -> Tuple[str, ...]:
    return os.path.dirname(STATE_DIR), STATE_DIR


def _result(
    host: Host,
    found: state.Found,
    actions: state.Actions,
    flown: verdict.Flight,
    applied: bool = False,
) -> Dict[str, Any]:
    pending = [] if applied else [change.key for change in actions.files.changes]
    controls = verdict.controls(host.want, found, flown, pending)
    status = found.status
    reboot = host.plan(found).reboot if applied else actions.reboot
    failures: Set[str] = set(verdict.failures(controls)) if applied else set()
    result = {
        "changed": actions.plan.changed or bool(flown.rearmed),
        "diff": actions.plan.diff(),
        "controls": controls,
        "watches": verdict.watch_rows(host.want, controls),
        "kernel": asdict(status) if status else {},
        "reboot_required": reboot or (found.locked and bool(failures)),
        "lost": status.lost - found.lost_before if status else 0,
        "blind_processes": list(found.blind),
        "rearmed": list(flown.rearmed),
    }
    if failures:
        result["msg"] = "not in force: " + "; ".join(sorted(failures))
    return result
