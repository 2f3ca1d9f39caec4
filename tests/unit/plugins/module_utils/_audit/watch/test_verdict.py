# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said of a host: never good where something speaks against it, always with the reason."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.twinguard.hardening.plugins.module_utils._audit.watch.canary import (
    Access,
    Proof,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._audit.watch.mounts import parse
from ansible_collections.twinguard.hardening.plugins.module_utils._audit.watch.state import Found
from ansible_collections.twinguard.hardening.plugins.module_utils._audit.watch.verdict import (
    CanaryResults,
    canary_results,
    controls,
    failures,
    watch_rows,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._audit.watch.watch import Target
from ansible_collections.twinguard.hardening.tests.unit.support.audit_host import (
    RUNS,
    converged,
    rule,
    status,
    want,
    watch,
)

WANT = want(watch(), watch("/etc/keys", key="twinguard_keys"))
FLOWN = CanaryResults({0: ("pass", ""), 1: ("pass", "")}, "")
OVERLAY = parse(
    "33 22 0:42 / /merged rw - overlay none rw,lowerdir=/srv/models,upperdir=/u,workdir=/w\n"
)


def said(
    found: Found, canaries: CanaryResults = FLOWN, wanted: Any = WANT
) -> dict[tuple[str, str], Any]:
    return {(one["id"], one["resource"]): one for one in controls(wanted, found, canaries)}


def test_a_host_that_is_as_wanted_passes_everything() -> None:
    entries = controls(WANT, converged(WANT), FLOWN)
    assert {one["status"] for one in entries} == {"pass"}
    assert failures(entries) == []
    assert [one["armed"] for one in watch_rows(WANT, entries)] == [True, True]


def test_without_audit_nothing_is_green_and_the_kernel_is_named() -> None:
    locked = want(watch(), immutable=True)
    entries = controls(locked, Found(no_audit="this is a container"), CanaryResults())
    assert {one["status"] for one in entries} == {"not_applicable"}
    assert all(
        "the kernel gives no audit here: this is a container" in one["reason"] for one in entries
    )
    assert {one["id"] for one in entries} == {
        "audit.rules",
        "audit.visibility",
        "audit.canary",
        "audit.daemon",
        "audit.coverage",
        "audit.locked",
    }
    assert [one["armed"] for one in watch_rows(locked, entries)] == [None]
    assert failures(entries) == []


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"status": status(enabled=0)}, "enabled 0"),
        ({"rules": WANT.rules[:-1]}, "does not hold all"),
        ({"rules": (rule("-a never,exit -F dir=/srv"), *WANT.rules)}, "never,exit"),
        ({"rules": (*WANT.rules, rule("-a never,task"))}, "never,task"),
        ({"mounts": OVERLAY}, "watch /merged too"),
    ],
    ids=["off", "missing", "shadow", "task", "overlay"],
)
def test_a_watch_that_cannot_see_fails_even_if_its_canary_was_seen(
    changes: dict[str, Any], word: str
) -> None:
    entries = controls(WANT, converged(WANT, **changes), FLOWN)
    blind = [one for one in entries if one["id"] == "audit.visibility" and one["status"] == "fail"]
    assert blind
    assert all(word in one["reason"] for one in blind)
    assert failures(entries)


def test_an_overlay_is_fine_when_what_it_shows_is_watched_too() -> None:
    both = want(watch(), watch("/merged"))
    found = converged(both, mounts=OVERLAY)
    canaries = CanaryResults({0: ("pass", ""), 1: ("pass", "")}, "")
    assert said(found, canaries, both)["audit.visibility", "/srv/models"]["status"] == "pass"


def test_what_a_canary_showed_beats_what_the_record_says() -> None:
    found = converged(WANT, armed={})
    assert said(found)["audit.visibility", "/srv/models"]["status"] == "pass"
    unproven = said(found, CanaryResults())
    assert unproven["audit.visibility", "/srv/models"]["status"] == "unknown"
    assert unproven["audit.canary", "/srv/models"]["reason"] == "check mode makes no test access"


def test_a_replaced_directory_fails_as_long_as_no_canary_says_otherwise() -> None:
    found = converged(WANT, armed={"/srv/models": "1:1"})
    assert "replaced" in said(found, CanaryResults())["audit.visibility", "/srv/models"]["reason"]


def test_a_canary_that_was_not_seen_fails_its_watch_alone() -> None:
    accesses = [Access(0, "create", "/a/x"), Access(1, "create", "/b/x")]
    missed = Proof((accesses[0],), {}, complete=False)
    canaries = canary_results(WANT.watches, accesses, {}, missed, 10)
    first, second = (one.path for one in WANT.watches)
    found = said(converged(WANT), canaries)
    assert (
        found["audit.visibility", first]["status"]
        == found["audit.canary", first]["status"]
        == "fail"
    )
    assert "within 10 seconds" in found["audit.canary", first]["reason"]
    assert found["audit.visibility", second]["status"] == "pass"


def test_a_rule_of_others_for_the_same_directory_is_named_when_arming_anew_did_not_help() -> None:
    other = rule("-a always,exit -F arch=b64 -S unlink -F dir=/srv/models -F uid=33 -F key=other")
    found = converged(WANT, (other,))
    canaries = CanaryResults({0: ("fail", "not seen"), 1: ("fail", "not seen")}, "")
    reason = said(found, canaries)["audit.visibility", "/srv/models"]["reason"]
    assert (
        "'-a always,exit -F arch=b64 -S unlink -F dir=/srv/models -F uid=33 -F key=other' keeps"
        in reason
    )
    assert "keeps" not in said(found, canaries)["audit.visibility", "/etc/keys"]["reason"]


def test_a_canary_under_another_key_names_that_key() -> None:
    accesses = [Access(0, "create", "/a/x")]
    canaries = canary_results(
        WANT.watches,
        accesses,
        {1: "no way"},
        Proof((accesses[0],), {0: "other"}, complete=False),
        10,
    )
    assert "recorded under other" in canaries.of(0)[1]
    assert canaries.of(1) == ("unknown", "no way")


@pytest.mark.parametrize(
    ("changes", "word", "hard"),
    [
        ({"status": status(pid=0)}, "no daemon", True),
        ({"units": {"auditd.service": {**RUNS, "UnitFileState": "disabled"}}}, "not enabled", True),
        ({"status": status(lost=7), "lost_before": 4}, "3 records were lost", False),
    ],
)
def test_a_daemon_that_does_not_keep_every_record_fails(
    changes: dict[str, Any], word: str, hard: bool
) -> None:
    entries = controls(WANT, converged(WANT, **changes), FLOWN)
    (daemon,) = [one for one in entries if one["id"] == "audit.daemon"]
    assert daemon["status"] == "fail"
    assert word in daemon["reason"]
    assert bool(failures(entries)) is hard


def test_records_lost_before_the_last_run_are_not_told_again() -> None:
    found = converged(WANT, status=status(lost=7), lost_before=7)
    assert said(found)["audit.daemon", "auditd"]["status"] == "pass"


@pytest.mark.parametrize(
    ("value", "asked", "verdict"),
    [
        ("2", None, "pass"),
        ("absent", None, "pass"),
        ("blocked", None, "pass"),
        ("0", None, "unknown"),
        ("open", False, "unknown"),
        ("0", True, "fail"),
        ("open", True, "fail"),
    ],
)
def test_io_uring_is_a_way_around_until_it_is_shut(
    value: str, asked: bool | None, verdict: str
) -> None:
    wanted = want(watch(), block_io_uring=asked)
    found = said(converged(wanted, io_uring=value), CanaryResults({0: ("pass", "")}), wanted)
    assert found["audit.coverage", "io_uring"]["status"] == verdict


def test_processes_older_than_audit_are_named() -> None:
    names = tuple(f"daemon ({number})" for number in range(9))
    entry = said(converged(WANT, blind=names))["audit.coverage", "processes"]
    assert entry["status"] == "fail"
    assert "9 processes" in entry["reason"]
    assert "daemon (4) and 4 more" in entry["reason"]
    assert entry["evidence"]["processes"] == list(names)


def test_calls_of_32_bit_programs_need_their_own_rules() -> None:
    native = [one for one in WANT.rules if "b64" in WANT.lines[WANT.rules.index(one)]]
    found = said(converged(WANT, rules=tuple(native)))
    assert found["audit.coverage", "32-bit calls"]["status"] == "fail"


def test_an_open_kernel_fails_when_it_should_be_locked_and_the_other_way_round() -> None:
    for asked, enabled, verdict in (
        (True, 1, "fail"),
        (True, 2, "pass"),
        (False, 2, "fail"),
        (False, 1, "pass"),
    ):
        wanted = want(watch(), immutable=asked)
        boot = converged(wanted).boot + ("-e 2\n" if asked else "")
        found = converged(wanted, status=status(enabled=enabled), boot=boot)
        canaries = CanaryResults({0: ("pass", "")})
        assert said(found, canaries, wanted)["audit.locked", "audit rules"]["status"] == verdict
    assert not [
        one for one in controls(WANT, converged(WANT), FLOWN) if one["id"] == "audit.locked"
    ]


def test_a_locked_kernel_that_differs_says_that_it_is_locked() -> None:
    found = converged(WANT, status=status(enabled=2), rules=())
    entry = said(found)["audit.rules", "kernel and boot"]
    assert entry["status"] == "fail"
    assert entry["reason"].endswith(
        "the rules are locked until the next boot: reboot to change them"
    )


def test_files_that_are_still_to_be_written_fail_in_check_mode() -> None:
    entries = controls(WANT, converged(WANT, boot=""), FLOWN, ["/etc/audit/rules.d/x.rules"])
    assert "files differ: /etc/audit/rules.d/x.rules" in entries[0]["reason"]


def test_a_watch_through_a_link_says_so() -> None:
    linked = want(
        watch("/srv/now"), targets={"/srv/now": Target("/srv/models", "directory", "1:5")}
    )
    entries = controls(linked, converged(linked), CanaryResults({0: ("pass", "")}))
    (row,) = watch_rows(linked, entries)
    assert (row["resolved"], row["armed"]) == ("/srv/models", True)
    assert row["reason"] == "/srv/now is reached by a link; its target is watched"
