# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each way in which a rule that is listed sees nothing is noticed, named, and repaired where that can be done.

The kernel's part in it is the same in Debian 12 and 13: links, mounts, overlays, rules that hide others, lost records.
Only io_uring and systemd differ, and are tried on both.
"""

from __future__ import annotations

import time
from typing import Iterator

import pytest
from vm_lab import LOG, Machine, policy

MODEL = "/srv/models/pump/weights.bin"
REARM = "twinguard-audit-rearm"


@pytest.fixture
def undo(request: pytest.FixtureRequest) -> Iterator[list[str]]:
    """Commands that end what a test did, also when it fails; the last comes first. Then all is put in order."""
    name = "old" if "old" in request.fixturenames else "machine"
    where: Machine = request.getfixturevalue(name)
    commands: list[str] = []
    # Whatever systemd was told by what an earlier test changed is over before this one begins.
    where.sh(f"systemctl stop {REARM}.path")
    where.wait(f"! systemctl is-active -q {REARM}.service")
    where.sh(f"systemctl start {REARM}.path")
    yield commands
    for command in reversed(commands):
        where.attempt(command)
    where.watch()


def sees(machine: Machine, path: str = MODEL) -> bool:
    """Whether reading a file is recorded, once."""
    rows = machine.recorded(f"cat {path}")
    return [row["exe"] for row in rows if row["operation"] == "read"] == ["/usr/bin/cat"]


SWAP = "cp -a /srv/models /srv/models.new; mv /srv/models /srv/models.old; mv /srv/models.new /srv/models"
ANEW = "rm -rf /srv/models; mkdir -p /srv/models/pump; echo new > /srv/models/pump/weights.bin"
THERE_AND_BACK = (
    "mv /srv/models /srv/models.away; sleep 0.1; mkdir -p /srv/models/pump; "
    "cp /srv/models.away/pump/weights.bin /srv/models/pump/"
)
CLEAN = "rm -rf /srv/models.old /srv/models.new /srv/models.away"


# The path units of both versions of systemd see a directory go; how it went makes a difference to our rules alone.
@pytest.mark.parametrize(
    ("machine", "way"),
    [
        ("molecule-12", SWAP),
        ("molecule-12", ANEW),
        ("molecule-12", THERE_AND_BACK),
        ("molecule-13", SWAP),
    ],
    indirect=["machine"],
    ids=["swapped", "made anew", "moved", "swapped, Debian 13"],
)
def test_a_replaced_directory_is_armed_by_the_host_itself(
    machine: Machine, undo: list[str], way: str
):
    undo.append(CLEAN)
    # Nothing but the unit of systemd helps here.
    size = machine.sh(f"stat -c %s {LOG}; {way}").split()[0]
    seen = f'name="{MODEL}".*nametype=NORMAL'
    machine.wait(f"cat {MODEL} >/dev/null; sleep 0.3; tail -c +{size} {LOG} | grep -q '{seen}'")
    # It takes rules away for a moment; a change that comes late has it do so again.
    machine.wait(f"! systemctl is-active -q {REARM}.service")
    assert sees(machine)
    result = machine.watch(check=True)
    assert not result.changed, result.said
    assert result.status("audit.visibility", "/srv/models") == "pass"


@pytest.mark.parametrize("way", [SWAP, ANEW], ids=["swapped", "made anew"])
def test_a_replaced_directory_is_reported_and_armed_by_the_next_run(
    old: Machine, undo: list[str], way: str
):
    undo.append(CLEAN)
    old.sh(f"systemctl stop {REARM}.path; {way}")
    check = old.watch(check=True)
    assert check.changed
    assert check.status("audit.visibility", "/srv/models") == "fail"
    assert old.watch().changed
    assert sees(old)
    assert not old.watch().changed


def test_a_link_that_leads_elsewhere_now_is_followed(old: Machine, undo: list[str]):
    undo.append("ln -sfn releases/1 /srv/current; rm -rf /srv/releases/2")
    old.sh("cp -a /srv/releases/1 /srv/releases/2; ln -sfn releases/2 /srv/current")
    check = old.watch(check=True)
    assert check.changed
    assert check.status("audit.visibility", "/srv/current") == "fail"
    result = old.watch()
    row = next(one for one in result.data["watches"] if one["path"] == "/srv/current")
    assert (row["resolved"], row["armed"]) == ("/srv/releases/2", True)
    assert sees(old, "/srv/current/weights.bin")


@pytest.mark.parametrize("place", ["/srv/models", "/srv/models/pump"], ids=["over", "below"])
def test_a_mount_over_or_below_a_watch_is_watched_too(old: Machine, undo: list[str], place: str):
    undo.append(f"umount {place}")
    old.sh(f"mount -t tmpfs none {place}; mkdir -p /srv/models/pump; echo mounted > {MODEL}")
    check = old.watch(check=True)
    assert check.status("audit.visibility", "/srv/models") == "fail", check.said
    assert check.changed
    assert old.watch().changed
    assert sees(old)
    assert not old.watch().changed
    old.sh(f"umount {place}")
    undo.clear()
    old.watch()
    assert sees(old)
    assert not old.watch().changed


def test_a_bind_mount_in_another_namespace_is_seen(old: Machine):
    inside = "mkdir -p /mnt/m; mount --bind /srv/models /mnt/m; cat /mnt/m/pump/weights.bin"
    rows = old.recorded(f"unshare -m sh -euc '{inside}'")
    assert "/usr/bin/cat" in [row["exe"] for row in rows if row["operation"] == "read"]


def test_a_layer_of_an_overlay_is_named_with_the_place_to_watch(old: Machine, undo: list[str]):
    undo += ["rm -rf /srv/o", "umount /srv/o/merged"]
    old.sh(
        "mkdir -p /srv/o/up /srv/o/work /srv/o/merged; mount -t overlay overlay -o "
        "lowerdir=/srv/models,upperdir=/srv/o/up,workdir=/srv/o/work /srv/o/merged"
    )
    result = old.watch(may_fail=True)
    assert result.failed
    assert "/srv/o/merged" in result.control("audit.visibility", "/srv/models")["reason"]
    both = [*policy(), {"path": "/srv/o/merged", "key": "twinguard_merged"}]
    result = old.watch(watches=both)
    assert result.status("audit.visibility", "/srv/models") == "pass"
    assert sees(old, "/srv/o/merged/pump/weights.bin")


@pytest.mark.parametrize(
    "rule",
    [
        "-A never,exit -F dir=/srv",
        "-A never,exit -F uid=0",
        "-a never,task",
        "-a never,exclude -F msgtype=SYSCALL",
    ],
)
def test_a_rule_that_hides_accesses_is_named(old: Machine, undo: list[str], rule: str):
    undo.append(f"auditctl {rule.replace('-A', '-d').replace('-a', '-d')}")
    old.sh(f"auditctl {rule} 2>/dev/null")
    check = old.watch(check=True)
    finding = check.control("audit.visibility", "/srv/models")
    assert finding["status"] == "fail", finding
    assert "never" in finding["reason"]
    assert old.watch(may_fail=True).failed
    assert "never" in old.sh("auditctl -l"), "the rule is somebody else's"


def test_a_rule_that_comes_too_late_to_hide_anything_does_no_harm(old: Machine, undo: list[str]):
    undo.append("auditctl -d never,exit -F dir=/srv")
    old.sh("auditctl -a never,exit -F dir=/srv 2>/dev/null")
    result = old.watch()
    assert not result.changed
    assert result.status("audit.visibility", "/srv/models") == "pass"
    assert sees(old)


def test_lost_records_are_told_once(old: Machine, undo: list[str]):
    undo.append("auditctl -r 0")
    old.watch()
    old.sh(f"auditctl -r 1 >/dev/null; for i in $(seq 30); do cat {MODEL}; done; auditctl -r 0")
    result = old.watch()
    assert result.data["lost"] > 0
    finding = result.control("audit.daemon")
    assert finding["status"] == "fail"
    assert f"{result.data['lost']} records were lost" in finding["reason"]
    assert old.watch().status("audit.daemon") == "pass"


URING = (
    "import ctypes, os; libc = ctypes.CDLL(None, use_errno=True); "
    "fd = libc.syscall(425, 4, ctypes.create_string_buffer(120)); "
    "print('made' if fd >= 0 else os.strerror(ctypes.get_errno()))"
)


def test_io_uring_is_switched_off_where_the_kernel_can_and_else_reported(
    machine: Machine, undo: list[str]
):
    undo.append(
        "rm -f /etc/sysctl.d/60-twinguard-audit.conf; sysctl -qw kernel.io_uring_disabled=0"
    )
    assert machine.watch(check=True).status("audit.coverage", "io_uring") == "unknown"
    result = machine.watch(block_io_uring=True)
    made = machine.sh(f'python3 -c "{URING}"').strip()
    if machine.attempt("test -e /proc/sys/kernel/io_uring_disabled").returncode:
        assert result.status("audit.coverage", "io_uring") == "fail"
        assert made == "made"
    else:
        assert result.status("audit.coverage", "io_uring") == "pass"
        assert made == "Operation not permitted"
        assert not machine.watch(block_io_uring=True).changed


def test_canaries_leave_no_file_and_are_never_called_unexpected(old: Machine):
    since = old.now()
    assert old.watch().status("audit.canary", "/srv/models") == "pass"
    options = {"since": since, "expected": [{"user": "nobody"}]}
    found = old.module("audit_events_info", options).data
    assert found["events"], "the canary is on record"
    assert all(row["canary"] and not row["unexpected"] for row in found["events"])
    assert old.sh("find /srv /etc -name '*canary*'") == ""
    # Who looks for unexpected readers finds none.
    assert found["unexpected_count"] == 0


def test_without_a_canary_nothing_is_touched_and_nothing_claimed(old: Machine):
    since = old.now()
    result = old.watch(canary=False)
    assert result.status("audit.canary", "/srv/models") == "unknown"
    assert old.module("audit_events_info", {"since": since}).data["events"] == []


def test_a_watch_that_cannot_be_proven_fails_in_bounded_time(old: Machine, undo: list[str]):
    pid = old.sh("pidof auditd").strip()
    undo.append(f"kill -CONT {pid}")
    # The daemon takes records and writes none: the kernel's list cannot tell.
    old.sh(f"kill -STOP {pid}")
    began = time.monotonic()
    result = old.watch(may_fail=True, canary_timeout=2)
    assert time.monotonic() - began < 100
    assert result.failed
    assert result.status("audit.canary", "/srv/models") == "fail"
    assert result.status("audit.visibility", "/srv/models") == "fail"
