# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of the audit: rules, auditd.conf, units, sysctl. A container has no kernel audit; the rest is real."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from agent import Module, Places, called

image = "twinguard/debian12:base"
hosts = 1

PLACES = ("/etc/audit", "/etc/sysctl.d", "/etc/systemd/system", "/var/lib/twinguard")
RULES = "/etc/audit/rules.d/zz-twinguard.rules"
BOOT = "/etc/audit/audit.rules"
UNITS = "/etc/systemd/system/twinguard-audit-rearm"


class Case:
    """From one watch to another one, with all else that the module keeps in files."""

    # A trial takes a second here: each place gets one error in turn.
    spread = 3
    secrets = ()
    # What augenrules keeps of the time before depends on how often it was called.
    volatile = ("/etc/audit/audit.rules.prev",)

    def __init__(self, work: str) -> None:
        self.watched = list(PLACES)
        self.places = Places(PLACES, work)
        self.module = Module("audit_watch", work, old=arguments("old"), new=arguments("new"))
        self.command = self.module.command

    def prepare(self) -> None:
        """auditd's files, the old watch in them, and a copy of all that."""
        called(["apt-get", "install", "-y", "--no-install-recommends", "auditd"])
        for name in ("old", "new"):
            Path("/srv/models", name).mkdir(parents=True, exist_ok=True)
        self.module.run("old")
        self.places.keep()

    def reset(self) -> None:
        self.places.restore()

    def now(self) -> list[str]:
        """Right after the fault: what a boot would load is the old watch or the new one, and whole."""
        return loadable("after the fault", ("old", "new"))

    def after(self) -> list[str]:
        """After the next run: new is what a boot loads, the units are sound, one more run changes nothing."""
        problems = loadable("after the next run", ("new",))
        for unit in (f"{UNITS}.path", f"{UNITS}.service"):
            done = subprocess.run(
                ["systemd-analyze", "verify", "--man=no", unit],
                capture_output=True,
                text=True,
                check=False,
            )
            problems += [line for line in done.stderr.splitlines() if "twinguard" in line]
        return problems + self.module.settled()


def arguments(wanted: str) -> dict[str, Any]:
    """The module's arguments."""
    watch = {
        "path": f"/srv/models/{wanted}",
        "key": f"twinguard_{wanted}",
        "allowed_readers": [{"user": "nobody", "executable": "/usr/bin/cat"}],
    }
    new = wanted == "new"
    return {
        "watches": [watch],
        "auditd": {"num_logs": 9 if new else 5},
        "backlog_limit": 16384 if new else 8192,
        # What the old state does not have, so that making it is part of the change.
        "immutable": new,
        "block_io_uring": new,
        "rearm": new,
    }


def loadable(when: str, keys: tuple[str, ...]) -> list[str]:
    """Whether the rules for the next boot are whole, for one of these watches."""
    problems = []
    for path in (RULES, BOOT):
        lines = Path(path).read_text().splitlines()
        rules = [line for line in lines if "twinguard_" in line and line.startswith("-a ")]
        found = {line.rsplit("key=twinguard_", 1)[1] for line in rules}
        if len(found) != 1 or not found <= set(keys):
            problems.append(f"{path} has rules for {sorted(found)} {when}")
        # Two architectures, each with what is more than a read, the reads of who may, and all other reads.
        elif len(rules) != 6:
            problems.append(f"{path} has {len(rules)} rules instead of 6 {when}")
    return problems
