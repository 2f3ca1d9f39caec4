# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What counts as a dead link on the documentation site."""

from __future__ import annotations

import json

import pages
import pytest
from results import Counts


def answer(status: str, code: int = 0) -> str:
    return json.dumps(
        {
            "filename": "README.md",
            "lineno": 7,
            "status": status,
            "code": code,
            "uri": "https://example.com/x",
            "info": "",
        }
    )


@pytest.mark.parametrize("code", [404, 410])
def test_a_page_that_its_server_does_not_have_is_a_failure(code: int) -> None:
    note = "failed: dead link: https://example.com/x in README.md:7"
    assert pages.judge([answer("broken", code)]) == Counts(failed=1, notes=(note,))


@pytest.mark.parametrize(
    "line", [answer("broken"), answer("timeout"), answer("broken", 403), answer("broken", 503)]
)
def test_a_server_that_does_not_answer_is_named_and_proves_nothing(line: str) -> None:
    note = "skipped: links that got no answer (1): example.com"
    assert pages.judge([line]) == Counts(skipped=1, notes=(note,))


def test_what_was_found_counts_and_what_was_not_asked_does_not() -> None:
    lines = [answer("working", 200), answer("redirected", 301), answer("ignored")]
    assert pages.judge(lines) == Counts(passed=2)
