# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Turn what the test tools left behind into counts. Only decisions here: text in, numbers out.

Ours, because pytest, ansible-test and Molecule each count in a way of their own and CI wants one sum.
"""

from __future__ import annotations

import re
from typing import Iterable, NamedTuple
from xml.etree import ElementTree

# ansible-test exits with 0 when it found no file to test; fewer tests than this means it did not really look.
LEAST_SANITY_TESTS = 20


class Counts(NamedTuple):
    """How many tests passed, failed and were skipped, and a reason for each failure or skip."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    notes: tuple[str, ...] = ()

    def plus(self, other: Counts) -> Counts:
        """Return the sum of both."""
        return Counts(
            self.passed + other.passed,
            self.failed + other.failed,
            self.skipped + other.skipped,
            self.notes + other.notes,
        )

    def line(self) -> str:
        """Return the counts in the one form that scripts look for."""
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def total(parts: Iterable[Counts]) -> Counts:
    """Return the sum of all parts."""
    result = Counts()
    for part in parts:
        result = result.plus(part)
    return result


def from_code(name: str, code: int) -> Counts:
    """Count a tool that only says yes or no by its exit code."""
    if code == 0:
        return Counts(passed=1)
    return Counts(failed=1, notes=(f"{name} ended with code {code}",))


def from_junit(name: str, text: str | None, code: int) -> Counts:
    """Count a pytest run from its JUnit report; None means that the run left no report.

    A run without any test, or one that ends badly although every test passed, counts as one failure.
    """
    if text is None:
        return Counts(failed=1, notes=(f"{name} ended with code {code} and left no report",))
    passed, failed, skipped, notes = 0, 0, 0, []
    for case in ElementTree.fromstring(text).iter("testcase"):
        label = f"{case.get('classname')}::{case.get('name')}"
        bad = next((child for child in case if child.tag in ("failure", "error")), None)
        skip = case.find("skipped")
        if bad is not None:
            failed += 1
            notes.append(f"failed: {label}")
        elif skip is not None:
            skipped += 1
            notes.append(f"skipped: {label}: {skip.get('message') or 'no reason given'}")
        else:
            passed += 1
    if passed + failed == 0:
        notes.append(f"{name} ran no test")
        failed = 1
    elif code != 0 and failed == 0:
        notes.append(f"{name} ended with code {code}")
        failed = 1
    return Counts(passed, failed, skipped, tuple(notes))


def from_sanity(log: str, code: int, least: int = LEAST_SANITY_TESTS) -> Counts:
    """Count a run of `ansible-test sanity` from its log.

    :param least: fewer tests than these are a failure, whatever the exit code says.
    """
    run = len(re.findall(r"Running sanity test ", log))
    skips = tuple(sorted(set(re.findall(r"Skipping sanity test .*", log))))
    match = re.search(r"The (\d+) sanity test\(s\) listed below \(out of \d+\) failed", log)
    failed = int(match[1]) if match else 0
    notes = tuple(f"skipped: {skip}" for skip in skips)
    if failed:
        notes += (f"failed: {failed} sanity tests",)
    elif code != 0:
        failed, notes = 1, (*notes, f"ansible-test ended with code {code}")
    elif run < least:
        failed, notes = (
            1,
            (*notes, f"ansible-test ran {run} sanity tests; at least {least} were expected"),
        )
    return Counts(max(run - failed, 0), failed, len(skips), notes)
