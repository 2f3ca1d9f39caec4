# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One plan for files, kernel and services; a host that is as wanted has an empty one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.twinguard.hardening.plugins.module_utils._audit.watch import rearm
from ansible_collections.twinguard.hardening.plugins.module_utils._audit.watch.mounts import parse
from ansible_collections.twinguard.hardening.plugins.module_utils._audit.watch.state import (
    BOOT_FILE,
    CONF_FILE,
    LOCK_FILE,
    SYSCTL_FILE,
    UNIT,
    Found,
    boot_problems,
    plan,
    stale,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._core.plan import Change, Plan
from ansible_collections.twinguard.hardening.tests.unit.support.audit_host import (
    RUNS,
    converged,
    reader,
    rule,
    status,
    want,
    watch,
)

WANT = want(watch(allowed_readers=[reader("triton")]), watch("/etc/keys"), backlog_limit=8192)
BELOW = parse("30 22 0:40 / /srv/models/cache rw - tmpfs none rw\n")
NOTHING = Plan()


def keys(found: Found, wanted: Any = WANT, files: Plan = NOTHING) -> set[str]:
    return {change.key for change in plan(wanted, found, files).plan.changes}


def test_a_host_that_is_as_wanted_has_an_empty_plan() -> None:
    others = [rule("-w /etc/passwd -p wa -k identity")]
    actions = plan(WANT, converged(WANT, others), NOTHING)
    assert not actions.plan.changed
    assert not actions.steps.needed
    assert not actions.reboot


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"rules": WANT.rules[1:]}, "audit rules in the kernel"),
        ({"rules": WANT.rules[::-1]}, "audit rules in the kernel"),
        ({"status": status(enabled=0)}, "audit in the kernel"),
        ({"status": status(backlog_limit=64)}, "backlog limit in the kernel"),
        ({"status": status(pid=0)}, "auditd.service"),
        ({"units": {"auditd.service": RUNS}}, UNIT),
        ({"units": {UNIT: RUNS}}, "auditd.service"),
        ({"units": {"auditd.service": RUNS, UNIT: {**RUNS, "UnitFileState": "disabled"}}}, UNIT),
        ({"boot": ""}, BOOT_FILE),
        ({"armed": {}}, ""),
        ({"armed": {"/srv/models": "1:1", "/etc/keys": "1:1"}}, "/srv/models (watch)"),
        ({"mounts": BELOW, "identities": {"/srv/models/cache": "4:1"}}, "/srv/models (watch)"),
    ],
    ids=lambda one: one if isinstance(one, str) else str(next(iter(one))),
)
def test_each_difference_is_planned(changes: dict[str, Any], key: str) -> None:
    found = converged(WANT)
    if "identities" in changes:
        changes = {**changes, "identities": {**found.identities, **changes["identities"]}}
    planned = keys(replace(found, **changes))
    assert key in planned if key else not planned


def test_without_a_canary_doubt_is_enough_to_arm_anew() -> None:
    doubtful = want(watch(), canary=False)
    assert "/srv/models (watch)" in keys(converged(doubtful, armed={}), doubtful)
    assert plan(doubtful, converged(doubtful, armed={}), NOTHING).steps.add == doubtful.groups[0]


def test_a_locked_kernel_is_left_alone_and_needs_a_reboot() -> None:
    locked = converged(WANT, status=status(enabled=2), rules=())
    files = Plan((Change("/etc/audit/rules.d/x.rules", None, "x"),))
    actions = plan(WANT, locked, files)
    assert {change.key for change in actions.plan.changes} == {"/etc/audit/rules.d/x.rules"}
    assert not actions.steps.needed
    assert not actions.join
    assert actions.reboot


def test_a_directory_that_was_replaced_under_a_lock_needs_a_reboot() -> None:
    locked = converged(WANT, status=status(enabled=2))
    assert not plan(WANT, locked, NOTHING).reboot
    assert not plan(WANT, replace(locked, armed={}), NOTHING).reboot
    swapped = replace(locked, armed={"/srv/models": "1:1"})
    assert plan(WANT, swapped, NOTHING).reboot
    assert not plan(WANT, swapped, NOTHING).plan.changed


def test_a_lock_that_is_no_longer_wanted_needs_a_reboot() -> None:
    open_again = want(watch(), immutable=False)
    found = converged(open_again, status=status(enabled=2))
    assert plan(open_again, found, NOTHING).reboot
    assert not plan(open_again, converged(open_again), NOTHING).reboot


def test_the_lock_comes_once() -> None:
    locked = want(watch(), immutable=True)
    assert "lock of the audit rules" in keys(converged(locked), locked)
    boot = converged(locked).boot + "-e 2\n"
    assert not keys(converged(locked, status=status(enabled=2), boot=boot), locked)


def test_without_audit_only_files_count() -> None:
    nothing = Found(no_audit="a container", boot=converged(WANT).boot, augenrules="/x")
    assert not keys(nothing)
    assert keys(replace(nothing, boot="")) == {BOOT_FILE}
    files = Plan((Change("/etc/audit/rules.d/x.rules", None, "x"),))
    actions = plan(WANT, nothing, files)
    assert actions.join
    assert not any((actions.start, actions.enable, actions.watch_units))


def test_where_systemd_is_not_in_charge_no_unit_is_started() -> None:
    actions = plan(WANT, converged(WANT, units=None, status=status(pid=0)), NOTHING)
    assert not any((actions.start, actions.watch_units))


def test_a_service_that_is_not_ours_to_manage_is_left_alone() -> None:
    alone = want(watch(), manage_service=False)
    assert not plan(alone, converged(alone, status=status(pid=0)), NOTHING).start


def test_an_unfinished_run_is_a_change() -> None:
    assert plan(WANT, converged(WANT), NOTHING, unfinished=True).plan.changed


def test_io_uring_is_blocked_where_the_kernel_can() -> None:
    block = want(watch(), block_io_uring=True)
    for value, planned in (
        ("0", True),
        ("1", True),
        ("2", False),
        ("absent", False),
        ("open", False),
    ):
        assert plan(block, converged(block, io_uring=value), NOTHING).io_uring is planned


def test_what_is_loaded_at_boot_must_say_the_same() -> None:
    found = converged(WANT)
    assert boot_problems(WANT, found) == ()
    other = "-w /x -p r -k twinguard_stray\n"
    lines = found.boot.splitlines(keepends=True)
    for boot, word in (
        (found.boot + other, "1 are not asked for"),
        ("".join(lines[:2] + lines[3:]), "1 rules are missing"),
        ("".join(lines[:2] + lines[3:4] + lines[2:3] + lines[4:]), "out of order"),
        (found.boot + lines[2], "out of order or come twice"),
        (found.boot.replace("-b 8192", "-b 64"), "backlog limit"),
    ):
        assert word in " ".join(boot_problems(WANT, replace(found, boot=boot)))
    assert boot_problems(WANT, replace(found, boot="-w /x -k other\n" + found.boot)) == ()


def test_whether_a_watch_is_stale_is_known_unknown_or_told() -> None:
    one = next(watch for watch in WANT.watches if watch.resolved == "/srv/models")
    found = converged(WANT)
    assert stale(one, found) == ""
    assert stale(one, replace(found, armed={})) is None
    assert "replaced" in str(stale(one, replace(found, identities={})))
    mounted = replace(found, mounts=BELOW)
    below = {**found.identities, "/srv/models/cache": "4:1"}
    assert "cache" in str(stale(one, replace(mounted, identities=below)))
    known = replace(mounted, identities=below, armed_mounts={"/srv/models/cache": "4:1"})
    assert stale(one, known) == ""


def files_of(wanted: Any, conf: str | None = None) -> dict[str, bytes | None]:
    return {path: content for path, content, _mode in wanted.files(conf, "/sbin/auditctl")}


def test_only_what_is_asked_for_is_managed() -> None:
    made = files_of(WANT)
    assert set(made) == {
        WANT.params["rules_file"],
        rearm.RULES_PATH,
        rearm.SERVICE_UNIT,
        rearm.PATH_UNIT,
    }
    rules = (made[WANT.params["rules_file"]] or b"").decode().splitlines()
    assert rules[1] == "-b 8192"
    assert rules[2:] == list(WANT.lines)


def test_what_is_no_longer_asked_for_goes() -> None:
    made = files_of(want(rearm=False, immutable=False, block_io_uring=False))
    assert set(made.values()) == {None}
    assert {LOCK_FILE, SYSCTL_FILE, rearm.PATH_UNIT} <= set(made)


def test_every_file_that_can_be_asked_for() -> None:
    asked = want(watch(), immutable=True, block_io_uring=True, auditd={"num_logs": 7, "freq": None})
    made = files_of(asked, "num_logs = 5\nsite = 1\n")
    assert made[CONF_FILE] == b"num_logs = 7\nsite = 1\n"
    assert (made[LOCK_FILE] or b"").endswith(b"\n-e 2\n")
    assert b"kernel.io_uring_disabled = 2\n" in (made[SYSCTL_FILE] or b"")
    assert CONF_FILE not in files_of(want(watch(), auditd={"freq": None}))
