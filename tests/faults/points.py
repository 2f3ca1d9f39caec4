# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of a module's mutating system calls get a fault. Pure: the agent finds the calls and makes the trials.

One place in the code makes the same system call many times: for each of forty files, in each of ten directories. What
a fault does there depends on the place, and on whether it meets the first of them, the last or one between. So a place
is the system call's name and the lines of our code that lead to it, and of the calls of one place these are chosen:
the first, the middle one and the last.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Point(NamedTuple):
    """The n-th call of one name since the process began; `place` is the code it comes from."""

    call: str
    n: int
    shown: str
    place: str = ""


def chosen(points: Sequence[Point]) -> list[int]:
    """The indexes of the points that get faults, in their order."""
    return sorted(index for group in places(points).values() for index in of_place(group))


def of_place(group: Sequence[int]) -> list[int]:
    """The first, the middle and the last of the calls of one place."""
    return sorted({group[0], group[len(group) // 2], group[-1]})


def places(points: Sequence[Point]) -> dict[tuple[str, str], list[int]]:
    """The indexes of the points of each place. A point without a place is one by itself."""
    found: dict[tuple[str, str], list[int]] = {}
    for index, point in enumerate(points):
        found.setdefault((point.call, point.place or f"#{index}"), []).append(index)
    return found


def trials(points: Sequence[Point], spread: int, errors: Sequence[str]) -> list[tuple[int, str]]:
    """Each trial: the index of a point and the fault there.

    KILL at each chosen point. An error, each in turn, at every `spread`-th chosen point of each place, counted from its
    last call: with 3 that is one for each place. With 0 all errors at each chosen point.
    """
    found: list[tuple[int, str]] = []
    failing = {
        index for group in places(points).values() for index in of_place(group)[:: -max(spread, 1)]
    }
    turn = 0
    for index in chosen(points):
        found.append((index, "KILL"))
        # The kernel never answers an fsync with EROFS.
        possible = [
            error for error in errors if error != "EROFS" or "sync" not in points[index].call
        ]
        if not spread:
            found += [(index, error) for error in possible]
        elif index in failing:
            found.append((index, possible[turn % len(possible)]))
            turn += 1
    return found
