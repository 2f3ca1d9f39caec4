# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Observe a host's audit: what is there now, and the plan to get from there to what is wanted (I/O)."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Dict, List, Mapping, Tuple, Union

from ..._files.transaction_io import (
    Absent,
    DirSpec,
    FileSpec,
    Wanted,
    plan_files,
    read_file,
    unfinished,
)
from ..._host import systemd_io
from ..._host.run_io import HostError, program
from ..kernel.netlink_io import Kernel, NoAudit
from ..kernel.syscall_sets import arches
from . import host_io, rearm, state
from .auditd_conf import log_path
from .mounts import below, parse
from .watch import check_options, resolve_watches

STATE_DIR = "/var/lib/twinguard/audit"
SEEN = f"{rearm.RUN_DIR}/seen.json"

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
            resolve_watches(
                params,
                host_io.targets(one["path"] for one in params["watches"]),
                {one["user"]: host_io.uid_of(one["user"]) for one in readers if one["user"]},
                host_io.targets(one["executable"] for one in readers if one["executable"]),
            ),
            arches(machine),
        )
        self.auditctl = program("auditctl")
        self.kernel: Union[Kernel, None] = None
        self.no_audit = ""
        self.lost_before = int(last_run()["lost"])
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
        seen = last_run()
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
        return state.plan(self.want, found, plan_files(self.specs()), unfinished(STATE_DIR))

    def specs(self) -> List[Wanted]:
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

    def log_path(self) -> str:
        """Where the daemon writes; '' if it does not."""
        conf = read_file(state.CONF_FILE)
        return log_path(conf.content.decode("utf-8", "surrogateescape") if conf else "")


def last_run() -> Dict[str, Any]:
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
