# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings wanted of each bucket, exceptions and their dates, and policies that are refused."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from ansible_collections.twinguard.hardening.plugins.module_utils._buckets import policy as guards
from ansible_collections.twinguard.hardening.plugins.module_utils._buckets.posture import Verdict
from ansible_collections.twinguard.hardening.plugins.module_utils._core.plan import ControlError

TODAY = datetime.date(2026, 11, 21)
EXCEPTION = {
    "bucket": "open",
    "control": "bucket.public_access",
    "reason": "weights are published",
    "expires": "2026-11-21",
}


def guard(audit: bool = False, **params: Any) -> guards.Guard:
    given = {"buckets": ["*"], "policy": {"versioning": "enabled"}, **params}
    return guards.guard(given, TODAY, audit)


def test_without_options_no_setting_is_wanted() -> None:
    wanted = guard().wanted("models")
    assert wanted.settings() == ("versioning",)


def test_a_private_acl_disables_acls_unless_ownership_is_preserved() -> None:
    assert guard(policy={"acl": "private"}).wanted("a").ownership == "BucketOwnerEnforced"
    kept = guard(policy={"acl": "private", "ownership": "preserve"})
    assert kept.wanted("a").ownership is None


def test_a_later_override_counts_more_and_only_for_its_buckets() -> None:
    made = guard(
        overrides=[
            {"buckets": ["models-*"], "versioning": "suspended"},
            {"buckets": ["models-a"], "versioning": "enabled", "acl": "private"},
        ]
    )
    assert made.wanted("models-b").versioning == "suspended"
    assert made.wanted("models-a").versioning == "enabled"
    assert made.wanted("other").acl is None


def test_the_prefix_of_the_logs_names_the_bucket() -> None:
    made = guard(policy={"logging": {"bucket": "logs", "prefix": "s3/{bucket}/"}})
    assert made.wanted("models").logging == {"bucket": "logs", "prefix": "s3/models/"}


def test_an_audit_uses_the_baseline_for_settings_that_are_not_given() -> None:
    wanted = guard(audit=True, policy={"minimum_tls": "1.3"}).wanted("models")
    assert len(wanted.settings()) == 8
    assert (wanted.minimum_tls, wanted.acl) == ("1.3", "private")


def test_an_exception_holds_through_its_last_day_and_keeps_the_setting_as_it_is() -> None:
    made = guard(policy={"public_access_block": True}, exceptions=[EXCEPTION])
    wanted = made.wanted("open")
    assert made.enforced("open", wanted) == ()
    assert made.enforced("other", wanted) == ("public_access_block",)
    (one,) = made.exempted("open")
    assert not one.expired
    verdict = Verdict("bucket.public_access", "fail", "public by ACL", {})
    found = guards.findings("open", [verdict], made.exempted("open"))
    assert [(row["id"], row["status"]) for row in found] == [
        ("bucket.public_access", "not_applicable"),
        ("bucket.exception", "pass"),
    ]
    assert "weights are published" in found[0]["reason"]
    assert found[0]["evidence"]["found"] == "fail: public by ACL"


def test_an_expired_exception_exempts_nothing_and_fails_itself() -> None:
    ended = dict(EXCEPTION, expires="2026-11-20")
    made = guard(policy={"public_access_block": True}, exceptions=[ended])
    # It is not enforced either: the day that an exception ends must not cut anybody off unasked.
    assert made.enforced("open", made.wanted("open")) == ()
    verdict = Verdict("bucket.public_access", "fail", "public by ACL", {})
    found = guards.findings("open", [verdict], made.exempted("open"))
    assert [row["status"] for row in found] == ["fail", "fail"]
    assert "expired on 2026-11-20" in found[1]["reason"]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"buckets": []}, "option 'buckets' = .*no bucket is given"),
        ({"buckets": ["a/b"]}, "not a valid name or pattern of buckets"),
        ({"policy": {}}, "option 'policy' = {}: no setting is given"),
        ({"policy": {"public_access_block": False}}, "False: false needs an exception"),
        ({"account_public_access_block": False}, "False: false needs an exception"),
        (
            {
                "overrides": [{"buckets": ["x"], "public_access_block": False}],
                "exceptions": [EXCEPTION],
            },
            "option 'overrides.0..public_access_block'",
        ),
        (
            {"policy": {"encryption": {"algorithm": "AES256", "kms_key_id": "alias/x"}}},
            "AES256 does not use a KMS key",
        ),
        (
            {
                "policy": {
                    "encryption": {"algorithm": "aws:kms", "kms_key_id": "arn:aws:iam::1:key"}
                }
            },
            "not a KMS key",
        ),
        (
            {"policy": {"encryption": {"algorithm": "AES256", "bucket_key": True}}},
            "only aws:kms has bucket keys",
        ),
        ({"policy": {"logging": {"bucket": "a b", "prefix": ""}}}, "policy.logging.bucket"),
        ({"policy": {"abort_incomplete_multipart_days": -1}}, "out of range; give 0 to 3650 days"),
        ({"exceptions": [dict(EXCEPTION, control="bucket.nope")]}, "no such control"),
        ({"exceptions": [dict(EXCEPTION, reason=" ")]}, "no reason is given"),
        ({"exceptions": [dict(EXCEPTION, expires="soon")]}, "not a date; write it as YYYY-MM-DD"),
    ],
)
def test_a_bad_policy_is_refused_in_one_sentence(params: dict[str, Any], message: str) -> None:
    with pytest.raises(ControlError, match=message) as caught:
        guard(**params)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "key",
    [
        "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
        "arn:aws-us-gov:kms:us-gov-west-1:111122223333:alias/twins",
        "1234abcd-12ab-34cd-56ef-1234567890ab",
        "mrk-1234abcd12ab34cd56ef1234567890ab",
        "alias/aws/s3",
    ],
)
def test_every_form_of_a_kms_key_is_taken(key: str) -> None:
    guard(policy={"encryption": {"algorithm": "aws:kms", "kms_key_id": key}})


def test_a_door_stays_open_by_an_exception_for_its_buckets() -> None:
    made = guard(
        overrides=[{"buckets": ["open"], "public_access_block": False}], exceptions=[EXCEPTION]
    )
    assert made.wanted("open").public_access_block is False


@pytest.mark.parametrize(
    ("patterns", "prefix"),
    [
        (["models-a"], "models-a"),
        (["models-*", "models-b"], "models-"),
        (["*"], ""),
        (["a", "b"], ""),
    ],
)
def test_the_store_is_asked_only_for_names_that_can_match(patterns: list[str], prefix: str) -> None:
    assert guards.common_prefix(patterns) == prefix


def test_names_are_selected_in_order_and_once() -> None:
    assert guards.select(["b*", "bb", "a"], ["bb", "c", "a", "B"]) == ["a", "bb"]


def test_advice_puts_the_worst_first_and_says_what_to_do() -> None:
    verdicts = [
        Verdict("bucket.lifecycle", "fail", "x", {}),
        Verdict("bucket.public_access", "unknown", "y", {}),
        Verdict("bucket.acl", "pass", "", {}),
    ]
    rows = guards.advice(guards.findings("a", verdicts, ()))
    assert [(row["control"], row["severity"]) for row in rows] == [
        ("bucket.public_access", "critical"),
        ("bucket.lifecycle", "low"),
    ]
    assert all(row["remediation"] for row in rows)
