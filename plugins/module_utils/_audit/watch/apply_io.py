# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read a host's audit, change it as planned, prove it with canaries (I/O)."""

from __future__ import annotations

import errno
import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Dict, List, Mapping, Sequence, Set, Tuple, Union

from ..._core.error import HardeningError
from ..._files.transaction_io import (
    Absent,
    DirSpec,
    FileSpec,
    Transaction,
    Wanted,
    plan_files,
    read_file,
    unfinished,
)
from ..._host import systemd_io
from ..._host.run_io import HostError, call, program, wait_until
from ..kernel.netlink_io import AuditError, Kernel, NoAudit
from ..kernel.syscall_sets import arches
from ..kernel.types import Rule
from . import host_io, rearm, state
from .auditd_conf import log_path
from .mounts import below, parse
from .steps import Steps, steps
from .watch import check_options, settle

STATE_DIR = "/var/lib/twinguard/audit"
SEEN = f"{rearm.RUN_DIR}/seen.json"
_START = 30.0  # seconds that systemd may take to start the daemon
_NOT_INSTALLED = "auditd is not installed on this host: install its package first"

Units = Union[Mapping[str, Mapping[str, str]], None]


class Host:
    """One host's audit, and the watches that this run is about. Raises ControlError for bad options."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        check_options(params)
        machine = os.uname().machine
        if not arches(machine):
            raise HostError(f"the system calls of a machine of type {machine} are not known")
        readers = [one for watch in params["watches"] for one in watch["allowed_readers"]]
        self.params = params
        self.want = state.Want(
            params,
            settle(
                params,
                host_io.spots(one["path"] for one in params["watches"]),
                {one["user"]: host_io.uid_of(one["user"]) for one in readers if one["user"]},
                host_io.spots(one["executable"] for one in readers if one["executable"]),
            ),
            arches(machine),
        )
        self.auditctl = program("auditctl")
        self.kernel: Union[Kernel, None] = None
        self.no_audit = ""
        self.lost_before = int(_seen()["lost"])
        try:
            self.kernel = Kernel.open()
        except NoAudit as error:
            self.no_audit = error.reason
        conf = read_file(state.CONF_FILE)
        self.conf = conf.content.decode("utf-8", "surrogateescape") if conf else None

    def observe(self) -> state.Found:
        """Everything that the plan needs, read anew."""
        boot = read_file(state.BOOT_FILE)
        common: Dict[str, Any] = {
            "no_audit": self.no_audit,
            "boot": boot.content.decode("utf-8", "surrogateescape") if boot else "",
            "augenrules": program("augenrules"),
        }
        if self.kernel is None:
            return state.Found(**common)
        # systemd takes as long to answer as the kernel: both are asked at once.
        with ThreadPoolExecutor(max_workers=1) as aside:
            units = aside.submit(systemd_io.units, ["auditd.service", state.UNIT])
            return self._observe(self.kernel, common, units.result)

    def _observe(
        self, kernel: Kernel, common: Mapping[str, Any], units: Callable[[], Units]
    ) -> state.Found:
        status = kernel.status()
        mounts = parse(host_io.text_of("/proc/self/mountinfo"))
        places = {watch.anchor for watch in self.want.watches}
        points = below(mounts)
        for watch in self.want.watches:
            places.update(points.get(watch.anchor, ()) if watch.tree else ())
        seen = _seen()
        return state.Found(
            status=status,
            rules=tuple(kernel.rules()),
            mounts=mounts,
            identities=host_io.identities(places),
            armed=rearm.armed(host_io.text_of(rearm.ARMED).encode("utf-8", "surrogateescape")),
            armed_mounts=seen["mounts"],
            # The kernel's count begins anew at boot, and when somebody resets it.
            lost_before=min(self.lost_before, status.lost),
            blind=self._blind(status.pid, int(seen["since"])),
            io_uring=host_io.io_uring(),
            units=units() or None,
            **common,
        )

    def _blind(self, daemon: int, since: int) -> Tuple[str, ...]:
        if host_io.audited_from_boot():
            return ()
        ticks = [one for one in (since, host_io.started(daemon) if daemon else 0) if one]
        return host_io.older_than(min(ticks) if ticks else host_io.started(os.getpid()))

    def plan(self, found: state.Found) -> state.Actions:
        """What is to be done."""
        return state.plan(self.want, found, plan_files(self._specs()), unfinished(STATE_DIR))

    def _specs(self) -> List[Wanted]:
        specs: List[Wanted] = [
            DirSpec(path, mode, 0, 0)
            for path, mode in (
                ("/etc/audit", 0o750),
                ("/etc/audit/rules.d", 0o750),
                ("/etc/sysctl.d", 0o755),
                ("/etc/systemd/system", 0o755),
            )
            if not os.path.isdir(path) and os.path.isdir(os.path.dirname(path))
        ]
        if not os.path.isdir("/etc/audit"):
            specs.insert(1, DirSpec("/etc/audit/rules.d", 0o750, 0, 0))
        auditctl = self.auditctl or "/usr/sbin/auditctl"
        for path, content, mode in self.want.files(self.conf, auditctl):
            if content is None:
                specs.append(Absent(path))
            elif os.path.isdir("/etc/systemd") or not path.startswith("/etc/systemd/"):
                keep = path == state.CONF_FILE and self.conf is not None
                specs.append(FileSpec(path, content, None if keep else mode, 0, 0))
        return specs

    def apply(self, found: state.Found, actions: state.Actions) -> state.Found:
        """Make it so; on an error the old files and rules are back and it is raised."""
        if not self.auditctl:
            raise HostError(_NOT_INSTALLED)
        with Transaction(STATE_DIR) as files:
            if files.recovery.state != "clean":
                found = self.observe()
                actions = self.plan(found)
            files.stage(self._specs())
            if _removes(actions, rearm.PATH_UNIT) and found.units is not None:
                systemd_io.systemctl("disable", "--now", state.UNIT)
            files.commit()
            try:
                found = self._act(found, actions)
                files.confirm()
            except HardeningError:
                # A confirmation can fail when the files stay already; then there is no way back.
                if files.committed:
                    files.rollback()
                    self._return_to(found, actions)
                raise
        return self.observe()

    def _act(self, found: state.Found, actions: state.Actions) -> state.Found:
        keys = {change.key for change in actions.files.changes}
        units = any(key.startswith("/etc/systemd/") for key in keys)
        if actions.join:
            call(["augenrules"])
        if self.kernel is None or found.status is None:
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
            self._await_daemon()
            # Starting it has loaded the rules of all files, and may have deleted others.
            found = self.observe()
            actions = self.plan(found)
        elif state.CONF_FILE in keys and daemon:
            host_io.hang_up(daemon, signal.SIGHUP)
        self._arm(self.kernel, found, actions)
        if actions.watch_units or rearm.PATH_UNIT in keys:
            self._watch_units(found, actions.watch_units)
        return found

    def _arm(self, kernel: Kernel, found: state.Found, actions: state.Actions) -> None:
        if actions.backlog is not None:
            kernel.set_backlog_limit(actions.backlog)
        if actions.enable:
            kernel.set_enabled(1)
        self._change_rules(actions.steps)
        self.remember(found, actions.steps)

    def _watch_units(self, found: state.Found, stopped: bool) -> None:
        if found.units is not None and self.params["rearm"] and self.want.watches:
            words = ("enable", "--now") if stopped else ("restart",)
            systemd_io.systemctl(*words, state.UNIT)

    def _await_daemon(self) -> None:
        kernel = self.kernel
        if kernel is not None and not wait_until(lambda: kernel.status().pid > 0, _START):
            raise HostError("auditd was started and does not take the kernel's records")

    def _change_rules(self, todo: Steps) -> None:
        """Rule by rule; if one is refused, the rules of ours are those of before."""
        if self.kernel is None or not todo.needed:
            return
        before = [rule for rule in self.kernel.rules() if rule.ours]
        try:
            self._do(todo)
        except AuditError:
            self._do(steps(self.kernel.rules(), [before]))
            raise

    def _do(self, todo: Steps) -> None:
        if self.kernel is None:
            return
        for rule in todo.delete:
            self._change(self.kernel.delete, rule, errno.ENOENT)
        for rule in todo.add:
            self._change(self.kernel.add, rule, errno.EEXIST)

    def _change(self, change: Any, rule: Rule, fine: int) -> None:
        try:
            change(rule)
        except AuditError as error:
            # Somebody was faster, the re-arming unit for instance; the proof looks at the outcome.
            if error.errno != fine:
                raise

    def _return_to(self, found: state.Found, actions: state.Actions) -> None:
        """With the old files back in place, have the rest as it was, as far as it can be."""
        if actions.join:
            call(["augenrules"])
        if self.kernel is not None and not found.locked:
            before = [rule for rule in found.rules if rule.ours]
            self._do(steps(self.kernel.rules(), [before]))
            if actions.backlog is not None and found.status is not None:
                self.kernel.set_backlog_limit(found.status.backlog_limit)
        if found.units is not None and actions.files.changed:
            systemd_io.systemctl("daemon-reload")

    def remember(
        self,
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
        fresh: Set[str] = {self.want.watches[number].anchor for number in proven}
        for group, rules in zip(self.want.clusters, self.want.groups):
            if added.issuperset(rules):
                fresh.update(self.want.watches[number].anchor for number in group)
        mounts = dict(found.armed_mounts)
        for anchor in fresh:
            armed[anchor] = found.identities.get(anchor, "")
            points = found.below.get(anchor, ())
            mounts.update({point: found.identities.get(point, "") for point in points})
        wanted = set(rearm.anchors(self.want.watches))
        wanted.difference_update(self.want.watches[number].anchor for number in blind)
        known = {path: one for path, one in armed.items() if path in wanted}
        status = found.status
        since = host_io.started(status.pid) if status and status.pid else 0
        before = int(_seen()["since"])
        seen = {
            "lost": status.lost if status else 0,
            "since": min(since, before) if since and before else since or before,
            "mounts": mounts,
        }
        self.write_state(
            [
                FileSpec(rearm.ARMED, rearm.armed_text(known), 0o600, 0, 0),
                FileSpec(SEEN, json.dumps(seen, sort_keys=True).encode() + b"\n", 0o600, 0, 0),
            ]
        )

    def arm_anew(self, numbers: Set[int]) -> None:
        """Delete and add the rules of some watches, and of those that lie in each other with them."""
        if self.kernel is None:
            return
        anew = {
            place for place, group in enumerate(self.want.clusters) if numbers.intersection(group)
        }
        self._change_rules(steps(self.kernel.rules(), self.want.groups, anew))

    def lock(self) -> None:
        """Let the kernel take no change until the next boot."""
        if self.kernel is not None:
            self.kernel.set_enabled(state.LOCKED)

    def log_path(self) -> str:
        """Where the daemon writes; '' if it does not."""
        conf = read_file(state.CONF_FILE)
        return log_path(conf.content.decode("utf-8", "surrogateescape") if conf else "")

    @staticmethod
    def write_state(specs: Sequence[Wanted]) -> None:
        # With a lock of its own: the files of the host may be locked already, by this very run.
        with Transaction(rearm.RUN_DIR) as files:
            if files.stage(list(specs)):
                files.commit()
                files.confirm()


def _removes(actions: state.Actions, path: str) -> bool:
    return any(one.key == path and one.action == "remove" for one in actions.files.changes)


def _seen() -> Dict[str, Any]:
    """What the last run of this boot left for this one."""
    try:
        seen = json.loads(host_io.text_of(SEEN) or "{}")
    except ValueError:
        seen = {}
    return {
        "lost": seen.get("lost", 0),
        "since": seen.get("since", 0),
        "mounts": seen.get("mounts", {}),
    }
