# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Policies, and what the record of accepted pushes says about when a commit was seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.twinguard.hardening.plugins.module_utils._core.plan import ControlError
from ansible_collections.twinguard.hardening.plugins.module_utils._git.verify.policy import (
    Accepted,
    parse_accepted,
    parse_policy,
    render_accepted,
    seen_times,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._git.verify.verdict import (
    FIXES,
    GOOD,
)
from ansible_collections.twinguard.hardening.tests.unit.support.git_lab import Keys

ZERO = "0" * 40


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return Keys(tmp_path_factory.mktemp("keys"))


@pytest.mark.parametrize(
    ("option", "value", "named"),
    [
        ("pinned_roots", ["main"], "pinned_roots"),
        ("pinned_roots", ["1" * 39], "pinned_roots"),
        ("exceptions", [{"commit": "1" * 40}], "exceptions[0].reason"),
        ("exceptions", [{"commit": "1" * 40, "reason": " "}], "exceptions[0].reason"),
        ("exceptions", [{"commit": "HEAD", "reason": "x"}], "exceptions[0].commit"),
        ("clock_skew", -1, "clock_skew"),
    ],
)
def test_a_bad_policy_is_refused_by_name(option: str, value: Any, named: str) -> None:
    with pytest.raises(ControlError) as caught:
        parse_policy([], **{option: value})
    assert caught.value.option == named


def test_a_forge_may_not_share_a_key_with_a_person(keys: Keys) -> None:
    forge = {**keys.person("forge"), "keys": [{"key": keys.lines["alice"]}]}
    with pytest.raises(ControlError, match="Alice"):
        parse_policy([keys.person("alice")], [forge])


def test_the_digest_changes_with_all_that_decides(keys: Keys) -> None:
    alice, forge = keys.person("alice"), keys.person("forge")
    variants = [
        parse_policy([alice]),
        parse_policy([keys.person("alice", valid_before="2030-01-01")]),
        parse_policy([keys.person("alice", revoked=True)]),
        parse_policy([alice], [forge]),
        parse_policy([forge], [alice]),
        parse_policy([alice], pinned_roots=["1" * 40]),
        parse_policy([alice], exceptions=[{"commit": "1" * 40, "reason": "x"}]),
        parse_policy([alice], clock_skew=1),
    ]
    assert len({one.digest() for one in variants}) == len(variants)
    assert parse_policy([alice]).digest() == variants[0].digest()


def test_the_record_is_read_as_it_was_written_and_broken_lines_prove_nothing() -> None:
    push = Accepted(5, "refs/heads/main", ZERO, "a" * 40, "/srv/git/a b.git")
    text = render_accepted(push)
    broken = text.replace("5 ", "x ") + text[:-3] + "\n\n" + "9 refs/heads/x\n"
    assert parse_accepted(broken + text) == [push]
    assert parse_accepted(f"7 refs/heads/main {ZERO} {'b' * 40}\n")[0].repository == ""


def test_a_commit_was_seen_with_the_first_push_that_brought_it() -> None:
    parents = {"d": ["c"], "c": ["b"], "b": ["a"], "a": [], "s": ["b"]}
    record = [
        Accepted(30, "refs/heads/side", ZERO, "s"),
        Accepted(20, "refs/heads/main", "b", "d"),
        Accepted(40, "refs/heads/main", "d", "s"),
    ]
    assert seen_times(parents, record) == {"c": 20, "d": 20, "s": 30}
    assert seen_times(parents, [Accepted(20, "refs/heads/main", ZERO, "b")]) == {"a": 20, "b": 20}
    assert seen_times(parents, []) == {}


def test_every_refusal_tells_what_to_do() -> None:
    assert not set(GOOD) & set(FIXES)
    assert all(text and "\n" not in text for text in FIXES.values())


def test_every_status_that_the_verifier_gives_has_its_fix() -> None:
    room = Path(__file__).parents[6] / "plugins" / "module_utils" / "_git"
    text = "".join(path.read_text(encoding="utf-8") for path in room.rglob("*.py"))
    assert all(text.count(f'"{status}"') > 1 for status in FIXES)
