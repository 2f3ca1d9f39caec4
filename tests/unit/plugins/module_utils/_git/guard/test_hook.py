# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""hook and guard (with spec): what a push means, and what shall be on the server."""

from __future__ import annotations

import json
from typing import List

import pytest

from ansible_collections.twinguard.hardening.plugins.module_utils._git.guard import guard, hook
from ansible_collections.twinguard.hardening.plugins.module_utils._git.verify.policy import (
    Accepted,
    parse_accepted,
)

ZERO, ONE, TWO = "0" * 40, "1" * 40, "2" * 40
REPOSITORY = hook.Guarded(
    "/srv/x.git", ("refs/heads/main", "refs/heads/release/*", "refs/tags/*"), (), "/state", ""
)


def statuses(*updates: hook.Update) -> List[str]:
    return [one.status for one in hook.refuse_outright(updates, REPOSITORY)]


def test_updates_are_read_as_git_writes_them_whatever_the_ref_holds() -> None:
    given = f"{ZERO} {ONE} refs/heads/a b\n{ONE} {ZERO} refs/heads/\xe4\n".encode("latin-1")
    first, second = hook.parse_updates(given)
    assert (first.creates, first.deletes, first.ref) == (True, False, "refs/heads/a b")
    assert (second.creates, second.deletes) == (False, True)
    assert second.ref.encode("utf-8", "surrogateescape") == b"refs/heads/\xe4"


@pytest.mark.parametrize("given", [b"", b"x\n", b"1 2 refs/heads/a\n", f"{ONE} {TWO}\n".encode()])
def test_anything_else_on_standard_input_is_an_error(given: bytes) -> None:
    with pytest.raises(hook.HookError):
        hook.parse_updates(given)


def test_a_repository_that_the_policy_does_not_name_is_an_error() -> None:
    known = {"protected": [], "pinned_root": [], "state": "/s", "chain": ""}
    policy = {"version": 1, "repositories": {"/srv/x.git": known}}
    assert hook.guarded(policy, "/srv/x.git").state == "/s"
    for broken, path in (
        (policy, "/srv/y.git"),
        ({**policy, "version": 2}, "/srv/x.git"),
        ({}, "/srv/x.git"),
    ):
        with pytest.raises(hook.HookError):
            hook.guarded(broken, path)


def test_a_star_covers_slashes_too_and_nothing_else_is_covered() -> None:
    covered = ["refs/heads/main", "refs/heads/release/1", "refs/heads/release/a/b", "refs/tags/v1"]
    free = ["refs/heads/main2", "refs/heads/Main", "refs/heads/release", "refs/notes/commits"]
    assert all(hook.is_protected(ref, REPOSITORY.protected) for ref in covered)
    assert not any(hook.is_protected(ref, REPOSITORY.protected) for ref in free)


def test_what_is_refused_whoever_signed_it() -> None:
    assert statuses(hook.Update(ONE, ZERO, "refs/heads/main")) == ["deletion"]
    assert statuses(hook.Update(ONE, TWO, "refs/tags/v1")) == ["moved_tag"]
    assert statuses(hook.Update(ZERO, TWO, f"refs/replace/{ONE}")) == ["replaced"]
    assert statuses(hook.Update(ZERO, TWO, "HEAD")) == ["funny_ref"]
    fine = [
        hook.Update(ZERO, ONE, "refs/heads/main"),
        hook.Update(ONE, TWO, "refs/heads/main"),
        hook.Update(ONE, ZERO, "refs/heads/side"),
        hook.Update(ONE, ZERO, f"refs/replace/{ONE}"),
        hook.Update(ZERO, ONE, "refs/tags/v1"),
    ]
    assert statuses(*fine) == []


def test_an_update_must_start_from_the_present_value() -> None:
    update = hook.Update(ONE, TWO, "refs/heads/main")
    assert hook.stale(update, ONE) is None
    for current in ("", TWO):
        refusal = hook.stale(update, current)
        assert refusal is not None
        assert refusal.status == "stale"
    assert hook.stale(hook.Update(ZERO, TWO, "refs/heads/main"), "") is None


def test_only_tips_that_the_guard_let_in_under_that_name_are_trusted() -> None:
    record = [Accepted(1, "refs/heads/main", ZERO, ONE, "/r")]
    assert hook.accepted_tips(record, {"refs/heads/main": ONE}) == (ONE,)
    assert hook.accepted_tips(record, {"refs/heads/main": TWO}) == ()
    assert hook.accepted_tips(record, {"refs/heads/other": ONE}) == ()


def test_the_record_is_what_the_report_reads() -> None:
    update = hook.Update(ZERO, ONE, "refs/heads/main")
    lines = hook.record_of([update], "/srv/my x.git", 99).decode()
    (push,) = parse_accepted(lines)
    assert push == Accepted(99, "refs/heads/main", ZERO, ONE, "/srv/my x.git")


def test_the_pusher_reads_ref_subject_reason_and_cure_and_no_more_than_a_few() -> None:
    found = [hook.Refusal("refs/heads/main", f"c{n}", "unsigned", "no", "sign") for n in range(9)]
    text = hook.message(found)
    assert text.startswith("twinguard: refused refs/heads/main\n")
    assert "twinguard:   c0: unsigned: no\ntwinguard:     fix: sign\n" in text
    assert "and 4 more" in text
    assert "c5" not in text


def test_nothing_that_is_told_steers_a_terminal_or_begins_a_line() -> None:
    evil = "a\x1b]0;x\x07\nb\u202e\udc80"
    refusal = hook.Refusal(evil, evil, "unsigned", evil, "sign")
    for text in (
        hook.message([refusal]),
        *hook.audit_lines("refused", "/r", evil, [hook.Update(ZERO, ONE, evil)], [refusal]),
    ):
        assert text.replace("\n", "").isascii()
        assert text.replace("\n", "").isprintable()
    assert (
        len(hook.audit_lines("x", "/r", evil, [hook.Update("", "", evil)], [])[0].splitlines()) == 1
    )


# --- what shall be on the server


def found(path: str = "/srv/x.git", **more: object) -> guard.Found:
    return guard.Found(path, 1, 1, f"{path}/hooks/pre-receive", **more)  # type: ignore[arg-type]


def test_a_hook_of_others_is_kept_and_ours_is_not() -> None:
    ours = guard.MARK + b"\n"
    assert guard.kept_after(found()) is None
    assert guard.kept_after(found(present=ours)) is None
    assert guard.kept_after(found(present=b"theirs", present_mode=0o755)) == (b"theirs", 0o755)
    again = found(present=ours, kept=b"theirs", kept_mode=0o755)
    assert guard.kept_after(again) == (b"theirs", 0o755)
    assert guard.chain_of(again) == "/srv/x.git/hooks/pre-receive.before-twinguard"
    # What git would not run does not become active by being kept.
    assert guard.chain_of(found(present=b"theirs", present_mode=0o644)) == ""


def test_the_policy_is_what_the_hook_reads_and_what_the_next_run_knows() -> None:
    wanted = guard.repositories([{"path": "/srv/x.git", "protected": ["refs/heads/main"]}])
    text = guard.policy([(wanted[0], found())], {"people": []}, "/state")
    read = hook.guarded(json.loads(text), "/srv/x.git")
    assert read.protected == ("refs/heads/main",)
    assert read.state.startswith("/state/x-git-")
    assert guard.guarded_before(text) == {"/srv/x.git": "/srv/x.git/hooks/pre-receive"}
    assert guard.guarded_before(b"no json") == {}
    assert guard.guarded_before(None) == {}


def test_two_repositories_of_one_name_have_states_of_their_own() -> None:
    states = {guard.state_of(path, "/s") for path in ("/a/x.git", "/b/x.git", "/a/../x.git")}
    assert len(states) == 3


def test_the_trial_goes_to_a_protected_branch_that_is_there_or_could_be() -> None:
    patterns = ["refs/tags/*", "refs/heads/release/*"]
    assert guard.trial_ref(patterns, ["refs/heads/x"]) == "refs/heads/release/twinguard-trial"
    there = ["refs/heads/x", "refs/heads/release/2", "refs/heads/release/1", "refs/tags/v"]
    assert guard.trial_ref(patterns, there) == "refs/heads/release/1"


def test_only_a_refusal_by_the_guard_because_of_the_signature_is_a_proof() -> None:
    ref, commit = "refs/heads/main", "ab" * 20
    good = (
        f"twinguard: refused {ref}\ntwinguard:   {commit}: unsigned: it has no signature\n"
        f"ng {ref} pre-receive hook declined\n"
    )
    assert guard.judge(1, good, ref, commit) == guard.Trial(True, "")
    for code, said, words in (
        (1, good.replace(commit, "cd" * 20), "as such"),
        (1, good.replace("unsigned", "error"), "as such"),
        (1, good.replace("pre-receive hook declined", "failed to update ref"), "as such"),
        (1, f"no\nng {ref} pre-receive hook declined\n", "not the guard"),
        (1, f"ng {ref} atomic transaction failed\n", "no hook refuses"),
        (0, "", "no hook refuses"),
    ):
        trial = guard.judge(code, said, ref, commit)
        assert not trial.refused
        assert words in trial.reason
