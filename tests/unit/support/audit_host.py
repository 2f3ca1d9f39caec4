# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host with watches, made of nothing but words: what the tests of the audit's decisions share."""

from __future__ import annotations

from typing import Any, Sequence

from ansible_collections.twinguard.hardening.plugins.module_utils._audit.kernel.rule_lines import (
    parse_line,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._audit.kernel.syscall_sets import (
    I386,
    X86_64,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._audit.kernel.types import (
    Rule,
    Status,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._audit.watch.rearm import anchors
from ansible_collections.twinguard.hardening.plugins.module_utils._audit.watch.state import (
    UNIT,
    Found,
    Want,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._audit.watch.steps import (
    Steps,
    after,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._audit.watch.watch import (
    Target,
    resolve_watches,
)

ARCHES = (X86_64, I386)
USERS = {"triton": 990, "990": 990, "nobody": 65534, "ghost": None}
RUNS = {"ActiveState": "active", "UnitFileState": "enabled"}


def watch(path: str = "/srv/models", **changes: Any) -> dict[str, Any]:
    """The options of one watch."""
    given = {
        "path": path,
        "recursive": True,
        "permissions": "rwa",
        "key": "twinguard_models",
        "allowed_readers": [],
    }
    return {**given, **changes}


def reader(user: str | None = None, executable: str | None = None) -> dict[str, Any]:
    """The options of one allowed reader."""
    return {"user": user, "executable": executable}


def options(*watches: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """All options of the module, as Ansible hands them over."""
    given = {
        "watches": list(watches),
        "rules_file": "/etc/audit/rules.d/zz-twinguard.rules",
        "auditd": None,
        "backlog_limit": None,
        "immutable": None,
        "rearm": True,
        "block_io_uring": None,
        "manage_service": True,
        "canary": True,
        "canary_timeout": 10,
    }
    return {**given, **changes}


def target(path: str, kind: str = "directory") -> Target:
    """What is at a path; each path has an inode of its own."""
    number = sum(ord(letter) << place for place, letter in enumerate(path))
    return Target(path.rstrip("/"), kind, f"1:{number}" if kind != "missing" else "")


def want(
    *watches: dict[str, Any], targets: dict[str, Target] | None = None, **changes: Any
) -> Want:
    """What a task with these watches asks for; every path is a directory unless `targets` says otherwise."""
    params = options(*watches, **changes)
    places = {one["path"]: target(one["path"]) for one in watches}
    places.update(targets or {})
    programs = {
        who["executable"]: Target(who["executable"] + "-1", "file")
        for one in watches
        for who in one["allowed_readers"]
        if who["executable"]
    }
    return Want(params, resolve_watches(params, places, USERS, programs), ARCHES)


def rule(line: str) -> Rule:
    """A rule as auditctl would make it of a line."""
    made = parse_line(line)
    assert made is not None
    return made


def status(**changes: int) -> Status:
    """A kernel whose audit is on and whose records are taken."""
    given = {
        "enabled": 1,
        "failure": 1,
        "pid": 7,
        "rate_limit": 0,
        "backlog_limit": 8192,
        "lost": 0,
        "backlog": 0,
    }
    return Status(**{**given, **changes})


def converged(wanted: Want, others: Sequence[Rule] = (), **changes: Any) -> Found:
    """A host on which everything is as wanted."""
    identities = {path: target(path).identity for path in anchors(wanted.watches)}
    boot = ["## made", "-D", *wanted.lines]
    limit = wanted.params["backlog_limit"]
    boot += [f"-b {limit}"] if limit is not None else []
    given: dict[str, Any] = {
        "status": status(),
        "rules": (*others, *wanted.rules),
        "boot": "\n".join(boot) + "\n",
        "identities": identities,
        "armed": identities,
        "io_uring": "2",
        "units": {"auditd.service": RUNS, UNIT: RUNS},
        "augenrules": "/sbin/augenrules",
    }
    return Found(**{**given, **changes})


def obeyed(now: Sequence[Rule], todo: Steps) -> tuple[Rule, ...]:
    """The kernel's rules after these steps; deleting what is not there is a mistake."""
    for gone in todo.delete:
        assert any(gone is one for one in now)
    return after(now, todo)
