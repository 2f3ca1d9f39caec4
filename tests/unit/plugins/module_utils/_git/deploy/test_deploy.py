# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a work tree may go on: _git/deploy/deploy.py alone."""

from __future__ import annotations

import itertools

import pytest

from ansible_collections.twinguard.hardening.plugins.module_utils._git.deploy.deploy import (
    Present,
    Tip,
    Wanted,
    decide,
    plan,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._git.verify.verdict import refusal

OLD, NEW = "a" * 40, "b" * 40
WANTED = Wanted("/srv/twin.git", "/srv/app", "main")
HERE = Present(True, OLD, "main")
BAD = refusal(NEW, "unsigned", "it is not signed")


def test_an_empty_place_is_made() -> None:
    for present in (Present(), Present(made=True)):
        assert decide(WANTED, present, Tip(NEW)).action == "make"


def test_a_newer_commit_goes_forward_and_the_same_one_is_nothing_to_do() -> None:
    assert decide(WANTED, HERE, Tip(NEW)).action == "forward"
    assert decide(WANTED, HERE, Tip(OLD)).action == "nothing"


@pytest.mark.parametrize(
    ("present", "tip", "words"),
    [
        (Present(True, OLD, "other"), Tip(NEW), "on other and not on main"),
        (Present(True, OLD, ""), Tip(NEW), "on no branch"),
        (HERE, Tip(NEW, forward=False), "has another history"),
        (HERE, Tip(NEW, forward=False, behind=True), "went back"),
        (Present(True, OLD, "main", ("a",)), Tip(OLD), "changed here: a"),
        (Present(True, OLD, "main", tuple("abcdefg")), Tip(NEW), "a, b, c, d, e and 2 more"),
        (HERE, Tip(NEW, (BAD,), 3), "1 of 4 commits of main are not acceptable"),
    ],
)
def test_what_is_refused_is_told(present: Present, tip: Tip, words: str) -> None:
    decision = decide(WANTED, present, tip)
    assert decision.action == "refuse"
    assert words in decision.reason


def test_what_is_not_verified_is_never_written_whatever_else_is_true() -> None:
    flags = (True, False)
    for made, head, branch, dirty, short, forward in itertools.product(
        flags, ("", OLD, NEW), ("main", ""), ((), ("a",)), flags, flags
    ):
        present = Present(made, head, branch, dirty, short)
        decision = decide(WANTED, present, Tip(NEW, (BAD,), 0, forward, not forward))
        assert decision.action == "refuse"
        assert not plan(WANTED, present, Tip(NEW, (BAD,)), decision).changed


def test_only_an_interrupted_run_of_ours_may_write_over_changed_files() -> None:
    dirty = Present(True, OLD, "main", ("a",), cut_short=True)
    assert decide(WANTED, dirty, Tip(NEW)).action == "finish"
    assert decide(WANTED, dirty, Tip(NEW, forward=False)).action == "refuse"


def test_the_change_names_both_commits() -> None:
    decision = decide(WANTED, HERE, Tip(NEW))
    (change,) = plan(WANTED, HERE, Tip(NEW), decision).changes
    assert (change.key, change.before, change.after) == (
        "/srv/app",
        f"commit {OLD}\n",
        f"commit {NEW}\n",
    )
