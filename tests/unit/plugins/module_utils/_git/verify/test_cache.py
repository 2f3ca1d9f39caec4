# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is kept between two audits answers the same question only, and damage makes it say nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.twinguard.hardening.plugins.module_utils._git.verify.cache import (
    Kept,
    Question,
    parse,
    render,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._git.verify.verdict import (
    Verdict,
    refusal,
)

ASKED = Question("digest", (("refs/heads/main", "b" * 40),), ("a" * 40,))
GOOD = Verdict("b" * 40, "good", "Alice", "alice@example.com", "SHA256:x", until=100)
OTHER = Verdict("c" * 40, "good", "Bob", "bob@example.com", "SHA256:y")
BAD = refusal("d" * 40, "unsigned", "it has no signature")


def kept(*verdicts: Verdict) -> bytes:
    return render(ASKED, verdicts, {one.commit: one for one in verdicts})


def test_the_same_question_is_answered_until_a_key_has_expired() -> None:
    content = kept(GOOD, OTHER)
    assert parse(content, ASKED, 99).counts == {"good": 2}
    assert parse(content, ASKED, 100).counts is None
    assert parse(content, ASKED, 100).verdicts() == {"b" * 40: GOOD, "c" * 40: OTHER}


@pytest.mark.parametrize(
    ("change", "rows"),
    [
        ({"digest": "other"}, 0),
        ({"tips": (("refs/heads/main", "c" * 40),)}, 1),
        ({"tips": (("refs/heads/next", "b" * 40),)}, 1),
        ({"base": ()}, 1),
    ],
)
def test_another_question_is_not_answered(change: dict[str, Any], rows: int) -> None:
    found = parse(kept(GOOD), replace(ASKED, **change), 0)
    assert found.counts is None
    assert len(found.verdicts()) == rows


def test_refusals_and_exceptions_are_not_kept() -> None:
    excepted = Verdict("e" * 40, "excepted", reason="ticket 7")
    assert parse(kept(GOOD, BAD), ASKED, 0).counts is None
    assert set(parse(kept(GOOD, BAD, excepted), ASKED, 0).verdicts()) == {GOOD.commit}
    assert parse(kept(GOOD, excepted), ASKED, 0).counts == {"good": 1, "excepted": 1}


@given(st.binary(max_size=60), st.integers(0, 500), st.integers(0, 40))
def test_damage_never_breaks_the_reader_and_makes_nothing_good(
    noise: bytes, place: int, cut: int
) -> None:
    content = kept(GOOD, BAD)
    found = parse(content[:place] + noise + content[place + cut :], ASKED, 0)
    assert found.counts is None
    assert isinstance(found.verdicts(), dict)
    assert Kept().verdicts() == {}
