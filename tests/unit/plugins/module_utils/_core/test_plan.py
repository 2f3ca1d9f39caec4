# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan says exactly what a run would change, and shows no secret."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.twinguard.hardening.plugins.module_utils._core.plan import (
    REMOVE,
    SECRET,
    Change,
    ControlError,
    Plan,
    fingerprint,
    plan_settings,
)

VALUES = st.one_of(st.booleans(), st.integers(), st.text(), st.lists(st.integers(), max_size=3))
CURRENT = st.dictionaries(st.sampled_from("abcdef"), VALUES)
DESIRED = st.dictionaries(st.sampled_from("abcdef"), st.one_of(VALUES, st.none(), st.just(REMOVE)))


def apply(current: dict[str, Any], desired: dict[str, Any]) -> dict[str, Any]:
    """What the settings are once everything desired holds."""
    after = dict(current)
    for key, value in desired.items():
        if value is REMOVE:
            after.pop(key, None)
        elif value is not None:
            after[key] = value
    return after


def test_an_error_names_option_value_problem_and_fix_on_one_line() -> None:
    error = ControlError("rate", "10/s", "not a rate", "write it as 10r/s or 30r/m")
    assert str(error) == "option 'rate' = '10/s': not a rate; write it as 10r/s or 30r/m"


def test_an_error_never_shows_a_secret_value() -> None:
    assert str(ControlError("key", SECRET, "too short", "use 22 characters")).startswith(
        "option 'key' = <secret>:"
    )


@pytest.mark.parametrize("value", ["a\nb", b"\xff\x00", "x" * 5000])
def test_an_error_about_an_odd_value_stays_one_short_line(value: object) -> None:
    text = str(ControlError("o", value, "p", "f"))
    assert "\n" not in text
    assert len(text) < 120


def test_a_plan_without_differences_changes_nothing_and_shows_nothing() -> None:
    plan = Plan((Change("/a", "same", "same"), Change("/b", None, None)))
    assert not plan.changed
    assert plan.diff() == []
    assert plan.summary() == []


def test_a_plan_tells_create_update_and_remove_apart() -> None:
    plan = Plan((Change("/a", None, "x"), Change("/b", "x", "y"), Change("/c", "x", None)))
    assert plan.changed
    assert plan.summary() == ["create /a", "update /b", "remove /c"]


def test_an_empty_file_is_not_a_missing_file() -> None:
    assert Plan((Change("/a", None, ""),)).summary() == ["create /a"]


def test_the_diff_has_the_shape_that_ansible_prints() -> None:
    assert Change("/a", None, "new\n").diff() == {
        "before_header": "/a (absent)",
        "after_header": "/a",
        "before": "",
        "after": "new\n",
    }


def test_the_diff_of_a_secret_shows_two_fingerprints_and_no_content() -> None:
    shown = Change("/key", "old-secret", "new-secret", secret=True).diff()
    assert "secret" not in shown["before"] + shown["after"]
    assert shown["before"] == fingerprint("old-secret") + "\n"
    assert shown["before"] != shown["after"]


def test_the_representation_of_a_change_shows_no_content() -> None:
    assert "hunter2" not in repr(Plan((Change("/key", "hunter2", "hunter2b", secret=True),)))


def test_a_fingerprint_takes_text_that_came_from_any_bytes() -> None:
    assert fingerprint(b"\xff".decode("utf-8", "surrogateescape")).startswith("sha256:")


def test_settings_that_are_not_given_are_left_alone() -> None:
    plan = plan_settings({"foreign": 1, "ours": 1}, {"ours": 2, "other": None})
    assert plan.summary() == ["update ours"]


def test_removing_what_is_not_there_changes_nothing() -> None:
    assert not plan_settings({}, {"a": REMOVE}).changed


def test_a_value_of_another_type_is_a_change_and_the_diff_shows_it() -> None:
    (shown,) = plan_settings({"a": "1"}, {"a": 1}).diff()
    assert (shown["before"], shown["after"]) == ('"1"\n', "1\n")
    assert plan_settings({"a": 1}, {"a": True}).changed


def test_secret_settings_are_shown_as_fingerprints() -> None:
    (shown,) = plan_settings({}, {"key": "hunter2"}, secret=("key",)).diff()
    assert "hunter2" not in shown["after"]


@given(CURRENT, DESIRED)
def test_after_applying_a_plan_nothing_is_left_to_do(
    current: dict[str, Any], desired: dict[str, Any]
) -> None:
    assert not plan_settings(apply(current, desired), desired).changed


@given(CURRENT, DESIRED)
def test_a_plan_names_exactly_the_settings_that_differ(
    current: dict[str, Any], desired: dict[str, Any]
) -> None:
    after = apply(current, desired)
    differing = {
        k for k in current.keys() | after.keys() if repr(current.get(k)) != repr(after.get(k))
    }
    assert [c.key for c in plan_settings(current, desired).changes] == sorted(differing)


@given(CURRENT, DESIRED)
def test_the_order_of_the_input_does_not_matter(
    current: dict[str, Any], desired: dict[str, Any]
) -> None:
    backwards = dict(reversed(list(desired.items())))
    assert plan_settings(current, desired) == plan_settings(current, backwards)
