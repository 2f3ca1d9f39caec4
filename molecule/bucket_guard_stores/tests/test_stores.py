# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role on stores that moto does not stand for: one that refuses what AWS refuses, and one that lacks half of it."""

from __future__ import annotations

import hashlib
import json
import secrets
import sys
from pathlib import Path
from typing import Any

import boto3
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "tests" / "support"))

import lab
from role_task import RoleTask

SCENARIO = lab.ROOT / "molecule" / "bucket_guard_stores"
STRICT, CEPH, GATEWAY = "tgm-buckets-strict", "tgm-buckets-ceph", "tgm-ceph"
SECRET = "test-secret-of-molecule"
BUCKETS = ("twin-logs", "twin-models", "twin-telemetry")
OPEN = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject"}
# What Ceph 16 has no notion of, or takes no value for.
LACKING = {"bucket.ownership", "bucket.encryption", "bucket.logging"}


def port_of(host: str) -> int:
    """The port of its store; the inventory computes the same."""
    digest = hashlib.sha256((host + lab.container_of("").lstrip("-")).encode()).hexdigest()
    return 20000 + int(digest[:6], 16) % 20000


def client(host: str, key: str = "twinguard", secret: str = SECRET) -> Any:
    """A plain client of a store."""
    return boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{port_of(host)}",
        region_name="us-east-1",
        aws_access_key_id=key,
        aws_secret_access_key=secret,
    )


def apply(host: str, check: bool = False, **changes: Any) -> lab.Run:
    """Have the policy with these changes put in force in one store, or foreseen in check mode."""
    variables = {f"bucket_guard_{name}": value for name, value in changes.items()}
    store = {"bucket_store_port": port_of(host)}
    task = RoleTask(
        "bucket_guard_stores",
        "bucket_guard",
        "s3_guard",
        "store_guards",
        inventory=store,
        here=True,
    )
    done = task.run([host], check, **variables)
    lab.expect_hidden(done.stdout, lab.forms_of(SECRET), "result of the task")
    return done


def result(run: lab.Run, host: str) -> dict[str, Any]:
    """What the module said."""
    (only,) = [one for one in run.results[host] if "controls" in one]
    return dict(only)


def statuses(run: lab.Run, host: str, bucket: str) -> dict[str, str]:
    """The status of each control of a bucket."""
    found = result(run, host)["controls"]
    return {one["id"]: one["status"] for one in found if one["resource"] == bucket}


def policy_of(s3: Any, bucket: str) -> dict[str, Any]:
    """Its statements by their Sid."""
    policy = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])
    return {one["Sid"]: one for one in policy["Statement"]}


def statement(bucket: str, **given: Any) -> str:
    """A policy of one statement."""
    made = {"Sid": "Given", "Resource": f"arn:aws:s3:::{bucket}/*", **given}
    return json.dumps({"Version": "2012-10-17", "Statement": [made]})


def shared_policy() -> str:
    """A policy that lets one user read, and nobody else."""
    theirs = {"AWS": "arn:aws:iam:::user/other"}
    return statement("twin-shared", **{**OPEN, "Principal": theirs})


@pytest.mark.parametrize("host", [STRICT, CEPH])
def test_public_access_is_blocked_and_versions_are_kept(host: str) -> None:
    s3 = client(host)
    for bucket in BUCKETS:
        block = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
        assert set(block.values()) == {True}
        grants = s3.get_bucket_acl(Bucket=bucket)["Grants"]
        assert [one["Permission"] for one in grants] == ["FULL_CONTROL"]
        assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
        assert "TwinguardDenyInsecureTransport" in policy_of(s3, bucket)
    assert policy_of(s3, "twin-telemetry")["Theirs"]["Effect"] == "Deny"


@pytest.mark.parametrize("host", [STRICT, CEPH])
def test_the_store_itself_refuses_to_open_a_bucket_again(host: str) -> None:
    s3 = client(host)
    with pytest.raises(s3.exceptions.ClientError, match="AccessDenied"):
        s3.put_bucket_policy(Bucket="twin-models", Policy=statement("twin-models", **OPEN))
    with pytest.raises(s3.exceptions.ClientError, match=r"AccessDenied|AccessControlList"):
        s3.put_bucket_acl(Bucket="twin-models", ACL="public-read")


def test_the_strict_store_has_all_of_it_in_force() -> None:
    run = apply(STRICT).expect_success()
    assert run.changed[STRICT] == 0
    assert set(statuses(run, STRICT, "twin-models").values()) == {"pass"}
    s3 = client(STRICT)
    rules = s3.get_bucket_ownership_controls(Bucket="twin-models")["OwnershipControls"]["Rules"]
    assert rules == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    # It would refuse the two in the other order, so this is the order that AWS wants.
    with pytest.raises(s3.exceptions.ClientError, match="AccessControlListNotSupported"):
        s3.put_bucket_acl(Bucket="twin-models", ACL="private")


def test_a_bucket_with_an_open_acl_is_closed_in_the_order_that_a_strict_store_takes() -> None:
    s3 = client(STRICT)
    s3.delete_public_access_block(Bucket="twin-models")
    writers = {"Rules": [{"ObjectOwnership": "ObjectWriter"}]}
    s3.put_bucket_ownership_controls(Bucket="twin-models", OwnershipControls=writers)
    s3.put_bucket_acl(Bucket="twin-models", ACL="public-read")
    seen = apply(STRICT, check=True).expect_success()
    mended = apply(STRICT).expect_success()
    headers = [one["after_header"] for one in result(mended, STRICT)["diff"]]
    settings = ("public_access_block", "acl", "ownership")
    assert headers == [f"s3://twin-models {one}" for one in settings]
    assert result(seen, STRICT)["diff"] == result(mended, STRICT)["diff"]
    assert set(statuses(mended, STRICT, "twin-models").values()) == {"pass"}


def test_what_ceph_lacks_is_not_applicable_with_the_reason_and_the_rest_is_in_force() -> None:
    run = apply(CEPH).expect_success()
    assert run.changed[CEPH] == 0
    found = statuses(run, CEPH, "twin-models")
    assert {name for name, status in found.items() if status == "not_applicable"} == LACKING
    assert {found[name] for name in found.keys() - LACKING} == {"pass"}
    reasons = {
        one["id"]: one["reason"]
        for one in result(run, CEPH)["controls"]
        if one["resource"] in ("twin-models", "account")
    }
    assert (
        reasons["bucket.logging"]
        == "this store does not support PutBucketLogging (405 MethodNotAllowed)"
    )
    assert "this store does not support PutBucketEncryption" in reasons["bucket.encryption"]
    assert "does not report the account" in reasons["bucket.account_public_access"]


def test_check_mode_cannot_know_what_ceph_will_refuse_and_says_nothing_else() -> None:
    """Ceph answers that there is none, and only an attempt shows that there cannot be one."""
    run = apply(CEPH, check=True).expect_success()
    settings = {one["after_header"].split()[1] for one in result(run, CEPH)["diff"]}
    assert settings == {"encryption", "logging"}


def test_a_policy_that_ceph_takes_for_public_fails_its_bucket_by_name_and_stays() -> None:
    s3 = client(CEPH)
    s3.create_bucket(Bucket="twin-shared")
    try:
        s3.put_bucket_policy(Bucket="twin-shared", Policy=shared_policy())
        run = apply(CEPH).expect_failure([CEPH])
        assert "twin-shared: policy: access denied on PutBucketPolicy" in run.failure(CEPH)
        assert "may consider the policy public" in run.failure(CEPH)
        assert list(policy_of(s3, "twin-shared")) == ["Given"]
        assert statuses(run, CEPH, "twin-shared")["bucket.transport"] == "fail"
        assert statuses(run, CEPH, "twin-models")["bucket.transport"] == "pass"
    finally:
        s3.delete_bucket(Bucket="twin-shared")


def test_an_exception_lets_such_a_policy_in_where_the_block_is_not_set_yet() -> None:
    s3 = client(CEPH)
    s3.create_bucket(Bucket="twin-shared")
    try:
        s3.put_bucket_policy(Bucket="twin-shared", Policy=shared_policy())
        exception = {
            "bucket": "twin-shared",
            "control": "bucket.public_access",
            "reason": "Ceph takes the policy for public",
            "expires": "2099-12-31",
        }
        run = apply(CEPH, exceptions=[exception]).expect_success()
        found = statuses(run, CEPH, "twin-shared")
        assert found["bucket.transport"] == "pass"
        assert found["bucket.public_access"] == "not_applicable"
        assert {"Given", "TwinguardDenyInsecureTransport"} <= policy_of(s3, "twin-shared").keys()
    finally:
        s3.delete_bucket(Bucket="twin-shared")


def test_the_journal_of_a_host_tells_of_a_run_and_holds_no_secret() -> None:
    options = ("secret_key", "session_token", "assume_role_external_id")
    given = {f"bucket_guard_{option}": secrets.token_urlsafe(30) for option in options}
    forms = [form for secret in given.values() for form in lab.forms_of(secret)]
    cursor = lab.shell(GATEWAY, "journalctl -n 0 --show-cursor").strip().rpartition(" ")[2]
    run = lab.play(SCENARIO / "journal.yml", given).expect_failure([GATEWAY])
    assert "boto3 is not installed" in run.failure(GATEWAY)
    journal = lab.shell(GATEWAY, f"journalctl --no-pager -o export --after-cursor='{cursor}'")
    assert "MESSAGE=Invoked with access_key=twinguard " in journal
    assert "secret_key=NOT_LOGGING_PARAMETER" in journal
    lab.expect_hidden(journal, forms, "journal")


def test_a_wrong_secret_is_one_sentence() -> None:
    run = apply(CEPH, secret_key="not-the-secret-of-molecule").expect_failure([CEPH])
    assert "the secret key does not match the access key" in run.failure(CEPH)
    assert "\n" not in run.failure(CEPH)
