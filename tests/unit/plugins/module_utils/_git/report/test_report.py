# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How an audit of histories is asked for and told."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.twinguard.hardening.plugins.module_utils._core.plan import ControlError
from ansible_collections.twinguard.hardening.plugins.module_utils._git.guard.guard import Found
from ansible_collections.twinguard.hardening.plugins.module_utils._git.guard.guard import (
    policy as guard_policy,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._git.guard.guard import (
    repositories as guard_repositories,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._git.report.report import (
    WHOLE,
    Tip,
    findings,
    guarded,
    is_pattern,
    matching,
    tag_names,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._git.verify.verdict import refusal

MAIN, SIDE = Tip("refs/heads/main", "a" * 40), Tip("refs/heads/side/x", "b" * 40)


def test_patterns_cover_what_the_guard_covers() -> None:
    refs = {"refs/heads/main": "a" * 40, "refs/heads/side/x": "b" * 40, "refs/tags/v1": "c" * 40}
    assert matching(["refs/heads/*"], refs) == [MAIN, SIDE]
    assert [tip.revision for tip in matching(["*"], refs)] == sorted(refs)
    assert [is_pattern(one) for one in ("refs/tags/*", "main", "HEAD~1", "refs/heads/main")] == [
        True,
        False,
        False,
        False,
    ]


def test_a_tag_is_known_under_all_its_names() -> None:
    tips = [Tip("refs/tags/v1", "c" * 40), Tip("refs/tags/a1", "c" * 40), MAIN]
    assert tag_names(tips) == {"c" * 40: ["refs/tags/v1", "refs/tags/a1"]}


def test_a_revision_fails_by_its_own_tip_and_all_fail_by_the_repository() -> None:
    bad = refusal(SIDE.id, "unsigned", "it has no signature")
    assert [one["status"] for one in findings("/r", [MAIN, SIDE], [bad])] == ["pass", "fail"]
    for status in WHOLE:
        hidden = refusal("e" * 40, status, "it hides something")
        told = findings("/r", [MAIN, SIDE], [hidden])
        assert [one["status"] for one in told] == ["fail", "fail"]
        assert "it hides something" in told[0]["reason"]


def test_the_policy_that_the_guard_writes_is_read() -> None:
    (wanted,) = guard_repositories(
        [{"path": "/srv/m.git", "protected": ["refs/heads/*"], "pinned_root": ["a" * 40]}]
    )
    trust: dict[str, Any] = {"people": [], "forges": [], "exceptions": [], "clock_skew": 5}
    content = guard_policy(
        [(wanted, Found("/srv/m.git", 0, 0, "/srv/m.git/hooks/pre-receive"))], trust, "/state"
    )
    (target,) = guarded(content, "policy.json")
    assert (target.path, target.revisions) == ("/srv/m.git", ("refs/heads/*",))
    assert (target.policy.pinned_roots, target.policy.clock_skew) == (("a" * 40,), 5)
    assert target.accepted.startswith("/state/")
    assert target.accepted.endswith("/accepted")


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{}", b'{"trust": 1}', json.dumps({"trust": {}, "repositories": {}}).encode()],
)
def test_what_is_no_policy_is_refused(content: bytes) -> None:
    with pytest.raises(ControlError, match="not a policy file of git_guard"):
        guarded(content, "policy.json")
