# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Apply the plan to a host's audit: files, units, the kernel's rules, and what is remembered (I/O)."""

from __future__ import annotations

import errno
import json
import signal
from typing import Any, Sequence, Set

from ..._core.error import HardeningError
from ..._files.transaction_io import FileSpec, Transaction, Wanted
from ..._host import systemd_io
from ..._host.run_io import HostError, call, wait_until
from ..kernel.netlink_io import AuditError, Kernel
from ..kernel.types import Rule
from . import host_io, rearm, state
from .observe_io import SEEN, STATE_DIR, Host, last_run
from .steps import Steps, steps

_START = 30.0  # seconds that systemd may take to start the daemon
_NOT_INSTALLED = "auditd is not installed on this host: install its package first"


def apply(host: Host, found: state.Found, actions: state.Actions) -> state.Found:
    """Apply the plan; on an error the old files and rules are put back and it is raised."""
    if not host.auditctl:
        raise HostError(_NOT_INSTALLED)
    with Transaction(STATE_DIR) as files:
        if files.recovery.state != "clean":
            found = host.observe()
            actions = host.plan(found)
        files.stage(host.specs())
        if _removes(actions, rearm.PATH_UNIT) and found.units is not None:
            systemd_io.systemctl("disable", "--now", state.UNIT)
        files.commit()
        try:
            found = _act(host, found, actions)
            files.confirm()
        except HardeningError:
            # A confirmation can fail when the files stay already; then there is no way back.
            if files.committed:
                files.rollback()
                _return_to(host, found, actions)
            raise
    return host.observe()


def _act(host: Host, found: state.Found, actions: state.Actions) -> state.Found:
    keys = {change.key for change in actions.files.changes}
    units = any(key.startswith("/etc/systemd/") for key in keys)
    if actions.join:
        call(["augenrules"])
    if host.kernel is None or found.status is None:
        return found
    daemon = found.status.pid
    if found.units is not None and units:
        systemd_io.systemctl("daemon-reload")
    if actions.io_uring:
        host_io.block_io_uring()
    if actions.start:
        # Not --now: where a unit of its own loads the rules, that would run it again under a daemon
        # that is up, and rules of others that are in no file would go.
        systemd_io.systemctl("enable", "auditd.service")
    if actions.start and not (daemon and found.active("auditd.service")):
        systemd_io.systemctl("start", "auditd.service")
        _await_daemon(host)
        # Starting it has loaded the rules of all files, and may have deleted others.
        found = host.observe()
        actions = host.plan(found)
    elif state.CONF_FILE in keys and daemon:
        host_io.hang_up(daemon, signal.SIGHUP)
    _arm(host, host.kernel, found, actions)
    if actions.watch_units or rearm.PATH_UNIT in keys:
        _watch_units(host, found, actions.watch_units)
    return found


def _arm(host: Host, kernel: Kernel, found: state.Found, actions: state.Actions) -> None:
    if actions.backlog is not None:
        kernel.set_backlog_limit(actions.backlog)
    if actions.enable:
        kernel.set_enabled(1)
    _change_rules(host, actions.steps)
    remember(host, found, actions.steps)


def _watch_units(host: Host, found: state.Found, stopped: bool) -> None:
    if found.units is not None and host.params["rearm"] and host.want.watches:
        words = ("enable", "--now") if stopped else ("restart",)
        systemd_io.systemctl(*words, state.UNIT)


def _await_daemon(host: Host) -> None:
    kernel = host.kernel
    if kernel is not None and not wait_until(lambda: kernel.status().pid > 0, _START):
        raise HostError("auditd was started and does not take the kernel's records")


def _change_rules(host: Host, todo: Steps) -> None:
    """Rule by rule; if one is refused, the rules of ours are those of before."""
    if host.kernel is None or not todo.needed:
        return
    before = [rule for rule in host.kernel.rules() if rule.ours]
    try:
        _do(host, todo)
    except AuditError:
        _do(host, steps(host.kernel.rules(), [before]))
        raise


def _do(host: Host, todo: Steps) -> None:
    if host.kernel is None:
        return
    for rule in todo.delete:
        _change(host.kernel.delete, rule, errno.ENOENT)
    for rule in todo.add:
        _change(host.kernel.add, rule, errno.EEXIST)


def _change(change: Any, rule: Rule, fine: int) -> None:
    try:
        change(rule)
    except AuditError as error:
        # Somebody was faster, the re-arming unit for instance; the proof looks at the outcome.
        if error.errno != fine:
            raise


def _return_to(host: Host, found: state.Found, actions: state.Actions) -> None:
    """With the old files back in place, have the rest as it was, as far as it can be."""
    if actions.join:
        call(["augenrules"])
    if host.kernel is not None and not found.locked:
        before = [rule for rule in found.rules if rule.ours]
        _do(host, steps(host.kernel.rules(), [before]))
        if actions.backlog is not None and found.status is not None:
            host.kernel.set_backlog_limit(found.status.backlog_limit)
    if found.units is not None and actions.files.changed:
        systemd_io.systemctl("daemon-reload")


def remember(
    host: Host,
    found: state.Found,
    todo: Steps,
    proven: Sequence[int] = (),
    blind: Sequence[int] = (),
) -> None:
    """Write down which inodes are watched by now: of groups that were added whole, and of proven watches.

    They were read before the rules were added, so that a change in between is noticed later.
    """
    added = set(todo.add)
    armed = {path: one for path, one in found.armed.items() if path in found.identities}
    fresh: Set[str] = {host.want.watches[number].anchor for number in proven}
    for group, rules in zip(host.want.clusters, host.want.groups):
        if added.issuperset(rules):
            fresh.update(host.want.watches[number].anchor for number in group)
    mounts = dict(found.armed_mounts)
    for anchor in fresh:
        armed[anchor] = found.identities.get(anchor, "")
        points = found.below.get(anchor, ())
        mounts.update({point: found.identities.get(point, "") for point in points})
    wanted = set(rearm.anchors(host.want.watches))
    wanted.difference_update(host.want.watches[number].anchor for number in blind)
    known = {path: one for path, one in armed.items() if path in wanted}
    status = found.status
    since = host_io.started(status.pid) if status and status.pid else 0
    before = int(last_run()["since"])
    seen = {
        "lost": status.lost if status else 0,
        "since": min(since, before) if since and before else since or before,
        "mounts": mounts,
    }
    write_state(
        [
            FileSpec(rearm.ARMED, rearm.armed_text(known), 0o600, 0, 0),
            FileSpec(SEEN, json.dumps(seen, sort_keys=True).encode() + b"\n", 0o600, 0, 0),
        ]
    )


def arm_anew(host: Host, numbers: Set[int]) -> None:
    """Delete and add the rules of some watches, and of those that lie in each other with them."""
    if host.kernel is None:
        return
    anew = {place for place, group in enumerate(host.want.clusters) if numbers.intersection(group)}
    _change_rules(host, steps(host.kernel.rules(), host.want.groups, anew))


def lock(host: Host) -> None:
    """Let the kernel take no change until the next boot."""
    if host.kernel is not None:
        host.kernel.set_enabled(state.LOCKED)


def write_state(specs: Sequence[Wanted]) -> None:
    """Write files of our own state, which no other run reads half."""
    # With a lock of its own: the files of the host may be locked already, by this very run.
    with Transaction(rearm.RUN_DIR) as files:
        if files.stage(list(specs)):
            files.commit()
            files.confirm()


def _removes(actions: state.Actions, path: str) -> bool:
    return any(one.key == path and one.action == "remove" for one in actions.files.changes)
