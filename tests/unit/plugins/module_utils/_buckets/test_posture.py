# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the public can reach a bucket follows from all settings together, and unknown stays unknown."""

from __future__ import annotations

import json

import pytest

from ansible_collections.twinguard.hardening.plugins.module_utils._buckets.posture import (
    account_verdict,
    bucket_state,
    effective_blocks,
    exposure,
    judge,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._buckets.types import (
    ABSENT,
    BLOCKS,
    DENIED,
    FOUND,
    READS,
    UNSUPPORTED,
    Answer,
    Wanted,
)

NONE = Answer(ABSENT)
ON = Answer(FOUND, dict.fromkeys(BLOCKS, True))
DENY = Answer(DENIED, reason="access denied on X")
LACKS = Answer(UNSUPPORTED, reason="this store does not support X")
PRIVATE = Answer(FOUND, [{"grantee": "owner", "permission": "FULL_CONTROL"}])
PUBLIC = Answer(FOUND, [{"grantee": "AllUsers", "permission": "READ"}])
ENFORCED = Answer(FOUND, "BucketOwnerEnforced")
OPEN = Answer(
    FOUND, json.dumps({"Statement": [{"Sid": "Open", "Effect": "Allow", "Principal": "*"}]})
)
YES, NO = Answer(FOUND, True), Answer(FOUND, False)
BARE = {
    **dict.fromkeys(READS, NONE),
    "acl": PRIVATE,
    "policy_status": NONE,
    "versioning": Answer(FOUND, {"status": "Off", "mfa_delete": "Disabled"}),
}


@pytest.mark.parametrize(
    ("answers", "account", "public"),
    [
        ({}, NONE, False),
        ({"acl": PUBLIC}, NONE, True),
        ({"acl": PUBLIC, "public_access_block": ON}, NONE, False),
        ({"acl": PUBLIC}, ON, False),
        ({"acl": PUBLIC, "ownership": ENFORCED}, NONE, False),
        ({"acl": PUBLIC}, DENY, None),
        ({"acl": PUBLIC, "public_access_block": DENY}, NONE, None),
        ({"acl": DENY}, NONE, None),
        ({"acl": DENY, "ownership": ENFORCED}, NONE, False),
        ({"acl": DENY}, ON, False),
        ({"policy": OPEN, "policy_status": YES}, NONE, True),
        ({"policy": OPEN, "policy_status": YES}, ON, False),
        ({"policy": OPEN, "policy_status": NO}, NONE, False),
        ({"policy": OPEN, "policy_status": LACKS}, NONE, True),
        ({"policy": NONE, "policy_status": LACKS}, NONE, False),
        ({"policy": DENY, "policy_status": DENY}, NONE, None),
        ({"policy": DENY, "policy_status": DENY, "acl": PUBLIC}, NONE, True),
        ({"acl": PUBLIC, "public_access_block": LACKS}, LACKS, True),
    ],
)
def test_exposure_follows_from_acl_policy_ownership_and_both_blocks(
    answers: dict[str, Answer], account: Answer, public: bool | None
) -> None:
    assert exposure({**BARE, **answers}, account).public is public


def test_a_block_is_on_when_bucket_or_account_has_it_on() -> None:
    half = Answer(FOUND, {**dict.fromkeys(BLOCKS, False), "BlockPublicAcls": True})
    rest = Answer(FOUND, {**dict.fromkeys(BLOCKS, True), "BlockPublicAcls": False})
    assert all(effective_blocks({"public_access_block": half}, rest).values())
    assert effective_blocks({"public_access_block": half}, DENY)["IgnorePublicAcls"] is None


def status(control: str, wanted: Wanted, account: Answer = NONE, **answers: Answer) -> str:
    verdicts = judge("models", {**BARE, **answers}, wanted, account)
    return {one.control: one.status for one in verdicts}[control]


@pytest.mark.parametrize("setting", ["acl", "encryption", "versioning", "logging", "lifecycle"])
def test_a_denied_read_is_unknown_for_that_control_alone(setting: str) -> None:
    wanted = Wanted(
        acl="private",
        encryption={},
        versioning="enabled",
        logging={},
        abort_incomplete_multipart_days=7,
    )
    verdicts = judge("models", {**BARE, setting: DENY}, wanted, NONE)
    assert [one.control for one in verdicts if one.status == "unknown"] == [f"bucket.{setting}"]


@pytest.mark.parametrize("setting", ["encryption", "versioning", "logging", "lifecycle"])
def test_what_the_store_does_not_have_is_not_applicable_with_the_reason(setting: str) -> None:
    wanted = Wanted(
        encryption={}, versioning="enabled", logging={}, abort_incomplete_multipart_days=7
    )
    verdicts = judge("models", {**BARE, setting: LACKS}, wanted, NONE)
    found = {one.control: one for one in verdicts}[f"bucket.{setting}"]
    assert (found.status, found.reason) == ("not_applicable", LACKS.reason)


def test_not_public_today_and_nothing_against_it_tomorrow_is_a_failure() -> None:
    wanted = Wanted(public_access_block=True)
    assert status("bucket.public_access", wanted) == "fail"
    assert status("bucket.public_access", wanted, ON) == "pass"
    assert status("bucket.public_access", wanted, DENY) == "unknown"
    assert (
        status("bucket.public_access", wanted, NONE, public_access_block=LACKS) == "not_applicable"
    )
    assert (
        status("bucket.public_access", wanted, NONE, public_access_block=LACKS, acl=PUBLIC)
        == "fail"
    )


def test_grants_to_everyone_are_named_with_what_they_mean() -> None:
    grants = Answer(FOUND, [{"grantee": "AuthenticatedUsers", "permission": "WRITE"}])
    (verdict,) = judge("models", {**BARE, "acl": grants}, Wanted(acl="private"), NONE)
    assert verdict.status == "fail"
    assert "AuthenticatedUsers WRITE" in verdict.reason
    assert "everyone with any AWS account" in verdict.reason


@pytest.mark.parametrize(
    ("rule", "status_"),
    [
        ({"Filter": {"Prefix": ""}}, "pass"),
        ({"Filter": {}}, "pass"),
        ({"Prefix": ""}, "pass"),
        ({"Filter": {"Prefix": "tmp/"}}, "fail"),
        ({"Prefix": "tmp/"}, "fail"),
        ({"Filter": {"ObjectSizeGreaterThan": 5}}, "fail"),
        ({"Filter": {}, "Status": "Disabled"}, "fail"),
    ],
)
def test_only_a_rule_for_the_whole_bucket_counts(rule: dict[str, object], status_: str) -> None:
    made = {"Status": "Enabled", "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 5}}
    answer = Answer(FOUND, {"rules": [{**made, **rule}], "minimum_size": None})
    wanted = Wanted(abort_incomplete_multipart_days=7)
    assert status("bucket.lifecycle", wanted, lifecycle=answer) == status_


def test_the_account_is_judged_by_its_own_four_blocks() -> None:
    assert account_verdict(ON).status == "pass"
    assert account_verdict(NONE).status == "fail"
    assert account_verdict(DENY).status == "unknown"
    assert account_verdict(LACKS).status == "not_applicable"


def test_the_state_of_a_bucket_names_what_could_not_be_read() -> None:
    shown = bucket_state("models", "eu-west-1", {**BARE, "acl": DENY}, NONE)
    assert shown["unread"] == {"acl": "access denied on X"}
    assert shown["public"] is None
    assert shown["tls_only"] is False
