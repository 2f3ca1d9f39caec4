# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from points import Point, chosen, places, trials

ERRORS = ("ENOSPC", "EIO", "EROFS")
POINTS = st.lists(
    st.tuples(
        st.sampled_from(("openat", "write", "fsync", "renameat")),
        st.sampled_from(("", "_files.py:1", "_files.py:2<a.py:9", "_files.py:2<b.py:9")),
    ).map(lambda drawn: Point(drawn[0], 1, "", drawn[1])),
    max_size=60,
)


def write(place: str) -> Point:
    return Point("write", 1, "", place)


def test_of_forty_files_written_by_one_line_the_first_a_middle_and_the_last_are_chosen():
    assert chosen([write("a:1")] * 40) == [0, 20, 39]


def test_of_two_calls_of_a_place_both_are_chosen():
    assert chosen([write("a:1")] * 2) == [0, 1]


def test_two_callers_of_one_line_are_two_places():
    points = [write("a:1<b:2")] * 9 + [write("a:1<b:3")] * 9
    assert chosen(points) == [0, 4, 8, 9, 13, 17]


def test_two_system_calls_of_one_line_are_two_places():
    points = [write("a:1"), Point("fsync", 1, "", "a:1")]
    assert len(places(points)) == 2


def test_points_whose_place_is_not_known_are_all_chosen():
    assert chosen([write("")] * 20) == list(range(20))


def test_with_a_spread_of_three_each_place_gets_one_error_at_its_last_call_each_in_turn():
    points = [write("a:1")] * 5 + [write("a:2")] * 2 + [write("a:3")]
    found = trials(points, 3, ERRORS)
    assert [index for index, fault in found if fault == "KILL"] == [0, 2, 4, 5, 6, 7]
    assert [one for one in found if one[1] != "KILL"] == [(4, "ENOSPC"), (6, "EIO"), (7, "EROFS")]


def test_with_a_spread_of_two_the_first_call_gets_an_error_as_well():
    found = trials([write("a:1")] * 5, 2, ERRORS)
    assert [one for one in found if one[1] != "KILL"] == [(0, "ENOSPC"), (4, "EIO")]


def test_with_a_spread_of_one_each_chosen_point_gets_one_error():
    found = trials([write("a:1")] * 5, 1, ERRORS)
    assert [index for index, fault in found if fault != "KILL"] == [0, 2, 4]


def test_without_a_spread_each_chosen_point_gets_each_error():
    found = trials([write("a:1"), write("a:2")], 0, ("CUT", "DENIED"))
    assert found == [(n, fault) for n in (0, 1) for fault in ("KILL", "CUT", "DENIED")]


def test_a_flush_to_disk_is_never_answered_by_a_file_system_that_is_read_only():
    found = trials([Point("fsync", n, "", f"a:{n}") for n in range(30)], 1, ERRORS)
    assert {fault for _index, fault in found} == {"KILL", "ENOSPC", "EIO"}


@given(POINTS, st.integers(0, 4))
def test_no_place_goes_without_a_kill_at_its_first_and_its_last_call(points: Any, spread: int):
    killed = Counter(index for index, fault in trials(points, spread, ERRORS) if fault == "KILL")
    assert set(killed.values()) <= {1}
    for calls in places(points).values():
        assert {calls[0], calls[-1]} <= killed.keys()


@given(POINTS, st.integers(0, 4))
def test_every_place_gets_an_error_and_only_where_a_kill_is_tried_too(points: Any, spread: int):
    found = trials(points, spread, ERRORS)
    killed = {index for index, fault in found if fault == "KILL"}
    assert {index for index, _fault in found} == killed
    assert [index for index, _fault in found] == sorted(index for index, _fault in found)
    failed = {index for index, fault in found if fault != "KILL"}
    assert all(calls[-1] in failed for calls in places(points).values())
