# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from results import Counts, from_code, from_junit, from_sanity, total

JUNIT = """<testsuites><testsuite>
<testcase classname="a" name="good"/>
<testcase classname="a" name="bad"><failure message="x"/></testcase>
<testcase classname="a" name="broken"><error message="x"/></testcase>
<testcase classname="a" name="left"><skipped message="no audit here"/></testcase>
</testsuite></testsuites>"""
ALL_GOOD = '<testsuites><testsuite><testcase classname="a" name="good"/></testsuite></testsuites>'
EMPTY = "<testsuites><testsuite/></testsuites>"


def test_a_report_is_counted_case_by_case_and_every_skip_keeps_its_reason():
    counts = from_junit("unit", JUNIT, 1)
    assert counts[:3] == (1, 2, 1)
    assert "skipped: a::left: no audit here" in counts.notes


def test_a_run_that_collected_no_test_is_a_failure_even_with_exit_code_zero():
    assert from_junit("unit", EMPTY, 0)[:3] == (0, 1, 0)


def test_a_run_of_nothing_but_skips_is_a_failure():
    only_skips = (
        '<testsuite><testcase classname="a" name="b"><skipped message="x"/></testcase></testsuite>'
    )
    assert from_junit("unit", only_skips, 0)[:3] == (0, 1, 1)


def test_a_run_that_left_no_report_is_a_failure():
    assert from_junit("unit", None, 4)[:3] == (0, 1, 0)


def test_good_tests_do_not_hide_a_bad_exit_code():
    assert from_junit("unit", ALL_GOOD, 3)[:3] == (1, 1, 0)


def test_ansible_test_that_looked_at_nothing_is_a_failure():
    assert from_sanity("", 0)[:3] == (0, 1, 0)


def test_sanity_tests_are_counted_from_what_ran():
    log = "\n".join(f'Running sanity test "t{number}"' for number in range(24))
    assert from_sanity(log, 0)[:3] == (24, 0, 0)


def test_failed_and_skipped_sanity_tests_are_counted_apart():
    log = "\n".join(f'Running sanity test "t{number}"' for number in range(24))
    log += '\nWARNING: Skipping sanity test "pslint" because it could not be found.'
    log += "\nERROR: The 2 sanity test(s) listed below (out of 24) failed. See error output above for details."
    assert from_sanity(log, 1)[:3] == (22, 2, 1)


def test_the_sanity_test_in_which_ansible_test_died_counts_as_failed():
    log = "\n".join(f'Running sanity test "t{number}"' for number in range(24))
    assert from_sanity(log, 1)[:3] == (23, 1, 0)


def test_the_total_is_one_plain_line():
    parts = [from_code("ruff", 0), from_code("mypy", 2), Counts(5, 0, 1)]
    assert total(parts).line() == "6 passed, 1 failed, 1 skipped"
