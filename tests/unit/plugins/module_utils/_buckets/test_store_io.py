# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pool is bounded in threads and in what waits, and what comes out is in the order of what went in."""

from __future__ import annotations

import itertools
import threading
from typing import Iterator

import pytest

from ansible_collections.twinguard.hardening.plugins.module_utils._buckets.answers import meaning
from ansible_collections.twinguard.hardening.plugins.module_utils._buckets.store_io import each

WORKERS = 4


def test_results_come_in_the_order_of_the_items_even_when_the_first_is_the_last_to_end() -> None:
    gate = threading.Event()

    def work(item: int) -> int:
        if item == 0:
            gate.wait(60)
        elif item == 3:
            gate.set()
        return item * 10

    assert list(each(range(50), work, WORKERS)) == [(item, item * 10) for item in range(50)]


def test_an_endless_account_does_not_fill_the_memory() -> None:
    taken = itertools.count()

    def endless() -> Iterator[int]:
        for item in taken:
            if item > 10_000:
                raise AssertionError("it takes all items before it gives the first result")
            yield item

    results = each(endless(), lambda item: item, WORKERS)
    for expected in range(100):
        assert next(results)[0] == expected
    # What was taken from the account and not given out yet waits in memory.
    assert next(taken) - 100 <= 4 * WORKERS + 1
    results.close()  # type: ignore[attr-defined]


def test_no_more_than_the_given_number_are_worked_on_at_once() -> None:
    lock, now, most = threading.Lock(), [0], [0]
    full = threading.Barrier(WORKERS)

    def work(_item: int) -> None:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        full.wait(60)
        with lock:
            now[0] -= 1

    list(each(range(5 * WORKERS), work, WORKERS))
    assert most[0] == WORKERS


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("NoSuchBucketPolicy", 404, "absent"),
        ("AccessDenied", 403, "denied"),
        ("403", 403, "denied"),
        ("NotImplemented", 501, "unsupported"),
        ("MethodNotAllowed", 405, "unsupported"),
        ("NoSuchBucket", 404, "failed"),
        ("InternalError", 500, "failed"),
        ("", 400, "failed"),
    ],
)
def test_every_error_of_a_store_has_one_meaning_and_never_that_all_is_well(
    code: str, status: int, kind: str
) -> None:
    answer = meaning("GetBucketPolicy", code, status, "x\ny", "NoSuchBucketPolicy")
    assert answer.kind == kind
    assert answer.value is None
    assert kind == "absent" or answer.reason
    assert "\n" not in answer.reason
