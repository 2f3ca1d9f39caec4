# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps for a bucket, their order, and what is refused; after all steps a new plan is empty."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.twinguard.hardening.plugins.module_utils._buckets import (
    answers as meanings,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._buckets import plan as plans
from ansible_collections.twinguard.hardening.plugins.module_utils._buckets.types import (
    ABSENT,
    BLOCKS,
    DENIED,
    FOUND,
    PERMISSIONS,
    READS,
    UNSUPPORTED,
    Answer,
    Decision,
    Step,
    Wanted,
    method,
)

BUCKET = "models"
NONE = Answer(ABSENT)
PRIVATE = Answer(FOUND, [{"grantee": "owner", "permission": "FULL_CONTROL"}])
PUBLIC = Answer(FOUND, [{"grantee": "AllUsers", "permission": "READ"}, *PRIVATE.value])
OFF = Answer(FOUND, {"status": "Off", "mfa_delete": "Disabled"})
EMPTY = {
    **dict.fromkeys(READS, NONE),
    "acl": PRIVATE,
    "versioning": OFF,
}
ALL = Wanted(
    acl="private",
    ownership="BucketOwnerEnforced",
    public_access_block=True,
    encryption={"algorithm": "AES256"},
    deny_insecure_transport=True,
    minimum_tls="1.2",
    versioning="enabled",
    logging={"bucket": "logs", "prefix": "models/"},
    abort_incomplete_multipart_days=7,
)
THEIR_RULE = {
    "ID": "theirs",
    "Status": "Enabled",
    "Filter": {"Prefix": "tmp/"},
    "Expiration": {"Days": 3},
}
OPEN = json.dumps(
    {"Statement": [{"Sid": "Open", "Effect": "Allow", "Principal": "*", "Action": "s3:GetObject"}]}
)


def decided(wanted: Wanted, **answers: Answer) -> Decision:
    return plans.decide(BUCKET, wanted, {**EMPTY, **answers})


def applied(step: Step, answers: dict[str, Answer]) -> None:
    """What a store would answer after the step."""
    given: dict[str, Any] = dict(step.arguments)
    if step.setting == "acl":
        answers["acl"] = PRIVATE
    elif step.operation.startswith("Delete"):
        answers[step.setting] = NONE
    elif step.setting == "versioning":
        status = {"Status": given["VersioningConfiguration"]["Status"]}
        answers["versioning"] = meanings.value("versioning", status)
    elif step.setting == "logging":
        answers["logging"] = meanings.value("logging", given["BucketLoggingStatus"])
    elif step.setting == "lifecycle":
        answers["lifecycle"] = meanings.value("lifecycle", given["LifecycleConfiguration"])
    else:
        answers[step.setting] = meanings.value(step.setting, given)


def test_a_bare_bucket_gets_everything_in_the_order_that_a_strict_store_takes() -> None:
    steps = decided(ALL, acl=PUBLIC).steps
    assert [step.setting for step in steps] == [
        "public_access_block",
        "acl",
        "ownership",
        "encryption",
        "policy",
        "versioning",
        "logging",
        "lifecycle",
    ]
    assert decided(ALL, acl=PUBLIC).refusals == ()


def test_a_policy_without_settings_changes_nothing_and_reads_nothing() -> None:
    assert decided(Wanted()) == Decision()
    assert plans.first_reads(Wanted()) == []


def test_an_acl_is_neither_asked_for_nor_set_where_ownership_is_enforced() -> None:
    enforced = {"ownership": Answer(FOUND, "BucketOwnerEnforced")}
    assert not plans.needs_acl(ALL, enforced)
    settings = [step.setting for step in decided(ALL, **enforced, acl=Answer(DENIED)).steps]
    assert not {"acl", "ownership"} & set(settings)
    assert plans.needs_acl(ALL, {"ownership": NONE})


def test_with_ownership_preserved_only_the_acl_is_set() -> None:
    steps = decided(Wanted(acl="private"), acl=PUBLIC).steps
    assert [(step.setting, dict(step.arguments)) for step in steps] == [("acl", {"ACL": "private"})]


def test_log_delivery_by_acl_is_not_cut_off() -> None:
    delivery = Answer(FOUND, [{"grantee": "LogDelivery", "permission": "WRITE"}, *PRIVATE.value])
    decision = decided(ALL, acl=delivery)
    assert "acl" not in [step.setting for step in decision.steps]
    assert "logging.s3.amazonaws.com" in dict(decision.refusals)["acl"]


def test_acls_are_not_disabled_while_an_acl_that_is_kept_grants_others() -> None:
    decision = decided(Wanted(ownership="BucketOwnerEnforced"), acl=PUBLIC)
    assert decision.steps == ()
    assert "set acl: private as well" in dict(decision.refusals)["ownership"]


def test_a_setting_that_could_not_be_read_is_not_changed_and_is_named() -> None:
    denied = Answer(DENIED, reason="access denied on GetBucketEncryption")
    decision = decided(ALL, encryption=denied)
    assert "encryption" not in [step.setting for step in decision.steps]
    assert dict(decision.refusals) == {
        "encryption": "not changed, because it could not be read: access denied on GetBucketEncryption"
    }


def test_what_a_store_does_not_have_is_neither_done_nor_a_problem() -> None:
    missing = Answer(UNSUPPORTED, reason="this store does not support GetPublicAccessBlock (405)")
    decision = decided(ALL, public_access_block=missing)
    assert "public_access_block" not in [step.setting for step in decision.steps]
    assert decision.refusals == ()


def test_a_public_policy_is_not_written_where_public_access_is_blocked() -> None:
    decision = decided(ALL, policy=Answer(FOUND, OPEN))
    assert "policy" not in [step.setting for step in decision.steps]
    assert "its policy is public (Open)" in dict(decision.refusals)["policy"]
    alone = Wanted(deny_insecure_transport=True)
    assert [step.setting for step in decided(alone, policy=Answer(FOUND, OPEN)).steps] == ["policy"]


def test_only_the_store_can_say_whether_a_condition_closes_a_policy() -> None:
    closed = json.loads(OPEN)
    closed["Statement"][0]["Condition"] = {"IpAddress": {"aws:SourceIp": "192.0.2.1/32"}}
    answers = {**EMPTY, "policy": Answer(FOUND, json.dumps(closed))}
    decision = plans.decide(BUCKET, ALL, answers)
    assert plans.needs_policy_status(decision, answers)
    asked = {**answers, "policy_status": Answer(FOUND, True)}
    assert "policy" in dict(plans.decide(BUCKET, ALL, asked).refusals)
    asked = {**answers, "policy_status": Answer(FOUND, False)}
    assert "policy" in [step.setting for step in plans.decide(BUCKET, ALL, asked).steps]


def test_a_policy_that_is_not_json_is_refused_and_kept() -> None:
    decision = decided(ALL, policy=Answer(FOUND, "{"))
    assert "its policy is not JSON" in dict(decision.refusals)["policy"]
    assert "policy" not in [step.setting for step in decision.steps]


def test_mfa_delete_protects_the_versioning_from_us() -> None:
    locked = Answer(FOUND, {"status": "Suspended", "mfa_delete": "Enabled"})
    assert "MFA delete" in dict(decided(ALL, versioning=locked).refusals)["versioning"]


def test_other_lifecycle_rules_stay_and_ours_goes_with_zero_days() -> None:
    theirs = Answer(FOUND, {"rules": [THEIR_RULE], "minimum_size": "varies_by_storage_class"})
    (step,) = decided(Wanted(abort_incomplete_multipart_days=7), lifecycle=theirs).steps
    assert step.arguments["LifecycleConfiguration"]["Rules"][0] == THEIR_RULE
    assert step.arguments["TransitionDefaultMinimumObjectSize"] == "varies_by_storage_class"
    both = Answer(FOUND, {"rules": step.after, "minimum_size": None})
    (back,) = decided(Wanted(abort_incomplete_multipart_days=0), lifecycle=both).steps
    assert back.after == [THEIR_RULE]


def test_rules_of_the_old_form_get_ours_in_the_old_form() -> None:
    old = {"ID": "old", "Status": "Enabled", "Prefix": "tmp/", "Expiration": {"Days": 3}}
    answer = Answer(FOUND, {"rules": [old], "minimum_size": None})
    (step,) = decided(Wanted(abort_incomplete_multipart_days=7), lifecycle=answer).steps
    assert "Filter" not in step.after[-1]


def test_another_key_is_put_in_place_and_blocked_kinds_of_encryption_stay() -> None:
    rule = {
        "ApplyServerSideEncryptionByDefault": {
            "SSEAlgorithm": "aws:kms",
            "KMSMasterKeyID": "alias/a",
        },
        "BucketKeyEnabled": True,
        "BlockedEncryptionTypes": {"EncryptionType": ["SSE-C"]},
    }
    want = Wanted(encryption={"algorithm": "aws:kms", "kms_key_id": "alias/b"})
    (step,) = decided(want, encryption=Answer(FOUND, rule)).steps
    (made,) = step.arguments["ServerSideEncryptionConfiguration"]["Rules"]
    assert made["BlockedEncryptionTypes"] == {"EncryptionType": ["SSE-C"]}
    assert made["BucketKeyEnabled"] is True
    assert made["ApplyServerSideEncryptionByDefault"]["KMSMasterKeyID"] == "alias/b"
    keep = Wanted(encryption={"algorithm": "aws:kms"})
    assert decided(keep, encryption=Answer(FOUND, rule)).steps == ()


def test_the_bucket_that_takes_the_logs_is_not_logged_into_itself() -> None:
    assert decided(Wanted(logging={"bucket": BUCKET, "prefix": ""})).steps == ()


WANTED = st.builds(
    Wanted,
    acl=st.sampled_from([None, "private"]),
    ownership=st.sampled_from([None, "BucketOwnerEnforced", "BucketOwnerPreferred"]),
    public_access_block=st.sampled_from([None, True]),
    encryption=st.sampled_from(
        [None, {"algorithm": "AES256"}, {"algorithm": "aws:kms", "kms_key_id": "alias/k"}]
    ),
    deny_insecure_transport=st.sampled_from([None, True, False]),
    minimum_tls=st.sampled_from([None, "1.2", "none"]),
    versioning=st.sampled_from([None, "enabled", "suspended"]),
    logging=st.sampled_from([None, {"bucket": "logs", "prefix": "p/"}]),
    abort_incomplete_multipart_days=st.sampled_from([None, 0, 7]),
)
STATES = st.fixed_dictionaries(
    {
        "acl": st.sampled_from([PRIVATE, PUBLIC]),
        "ownership": st.sampled_from([NONE, Answer(FOUND, "BucketOwnerEnforced")]),
        "public_access_block": st.sampled_from(
            [
                NONE,
                Answer(FOUND, dict.fromkeys(BLOCKS, True)),
                Answer(FOUND, {**dict.fromkeys(BLOCKS, True), "BlockPublicAcls": False}),
            ]
        ),
        "policy": st.sampled_from([NONE, Answer(FOUND, OPEN)]),
        "versioning": st.just(OFF),
        "lifecycle": st.sampled_from(
            [NONE, Answer(FOUND, {"rules": [THEIR_RULE], "minimum_size": None})]
        ),
    }
)


@given(WANTED, STATES)
def test_after_all_steps_nothing_is_left_to_do(wanted: Wanted, state: dict[str, Answer]) -> None:
    answers = {**EMPTY, **state}
    for step in plans.decide(BUCKET, wanted, answers).steps:
        applied(step, answers)
    assert plans.decide(BUCKET, wanted, answers).steps == ()


def test_the_diff_shows_both_sides_and_names_the_bucket() -> None:
    (step,) = decided(Wanted(versioning="enabled")).steps
    assert plans.change(BUCKET, step).diff() == {
        "before_header": "s3://models versioning",
        "after_header": "s3://models versioning",
        "before": '"Off"\n',
        "after": '"Enabled"\n',
    }


@pytest.mark.parametrize("operation", sorted(PERMISSIONS))
def test_every_operation_is_a_method_of_the_client(operation: str) -> None:
    assert method(operation).replace("_", "") == operation.lower()
