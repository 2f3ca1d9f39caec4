# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the store answers after the role, and what the role does about buckets that drifted."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from conftest import HOST, SCENARIO, apply, converge, failing, lab, result

NAMES = ("twin-logs", "twin-models", "twin-open-weights", "twin-telemetry")
CLOSED = [name for name in NAMES if name != "twin-open-weights"]


def statements(s3: Any, bucket: str) -> dict[str, Any]:
    policy = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])
    return {one["Sid"]: one for one in policy["Statement"]}


@pytest.mark.parametrize("bucket", CLOSED)
def test_the_store_blocks_public_access_to_every_bucket(s3: Any, bucket: str) -> None:
    block = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    assert set(block.values()) == {True}
    grants = s3.get_bucket_acl(Bucket=bucket)["Grants"]
    assert [one["Permission"] for one in grants] == ["FULL_CONTROL"]
    rules = s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]["Rules"]
    assert rules == [{"ObjectOwnership": "BucketOwnerEnforced"}]


@pytest.mark.parametrize("bucket", NAMES)
def test_the_store_encrypts_keeps_versions_and_denies_plain_http(s3: Any, bucket: str) -> None:
    rules = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rules[0]["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    denied = statements(s3, bucket)["TwinguardDenyInsecureTransport"]
    assert denied["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    # This client speaks plain HTTP. (moto would refuse TLS too: it does not weigh conditions.)
    with pytest.raises(s3.exceptions.ClientError, match="403"):
        s3.put_object(Bucket=bucket, Key="probe", Body=b"x")


def test_statements_of_others_are_still_there(s3: Any) -> None:
    assert statements(s3, "twin-logs")["AccessLogs"]["Effect"] == "Allow"
    assert statements(s3, "twin-open-weights")["PublicRead"]["Principal"] == "*"


def test_access_is_logged_but_not_to_the_logs_themselves(s3: Any) -> None:
    logged = s3.get_bucket_logging(Bucket="twin-models")["LoggingEnabled"]
    assert (logged["TargetBucket"], logged["TargetPrefix"]) == ("twin-logs", "s3/twin-models/")
    assert "LoggingEnabled" not in s3.get_bucket_logging(Bucket="twin-logs")


def test_a_bucket_that_drifted_is_seen_by_check_mode_and_put_right(s3: Any, restored: None) -> None:
    s3.put_bucket_acl(Bucket="twin-telemetry", ACL="public-read")
    s3.delete_bucket_ownership_controls(Bucket="twin-telemetry")
    s3.delete_bucket_policy(Bucket="twin-telemetry")
    s3.put_bucket_versioning(
        Bucket="twin-telemetry", VersioningConfiguration={"Status": "Suspended"}
    )
    seen = apply(check=True).expect_success()
    assert set(failing(seen)) == {
        f"twin-telemetry bucket.{name}" for name in ("acl", "ownership", "transport", "versioning")
    }
    headers = [one["after_header"] for one in result(seen)["diff"]]
    assert headers == [
        f"s3://twin-telemetry {name}" for name in ("acl", "ownership", "policy", "versioning")
    ]
    mended = apply().expect_success()
    assert result(mended)["diff"] == result(seen)["diff"]
    assert failing(mended) == {}
    assert apply().expect_success().changed[HOST] == 0


def test_a_run_that_changes_nothing_starts_one_module() -> None:
    run = converge().expect_success()
    assert run.changed[HOST] == 0
    # The other one is the check of the role's arguments, which starts no module.
    assert ["controls" in one for one in run.results[HOST]] == [False, True]


def test_the_exception_is_told_with_its_reason() -> None:
    rows = {
        one["id"]: (one["status"], one["reason"])
        for one in result(apply(check=True))["controls"]
        if one["resource"] == "twin-open-weights"
    }
    assert rows["bucket.public_access"][0] == "not_applicable"
    assert "Open weights are published" in rows["bucket.public_access"][1]
    assert rows["bucket.exception"][0] == "pass"


def test_an_unknown_bucket_fails_by_name_and_the_others_are_proven() -> None:
    run = apply(buckets=["twin-models", "twin-nowhere"]).expect_failure([HOST])
    assert "twin-nowhere: bucket: the bucket does not exist" in run.failure(HOST)
    assert "twin-models bucket.public_access" not in failing(run)


def test_bad_input_is_one_sentence_and_changes_nothing() -> None:
    run = apply(policy={"public_access_block": False}).expect_failure([HOST])
    assert "false needs an exception" in run.failure(HOST)
    assert "\n" not in run.failure(HOST)


def test_a_store_that_is_down_is_one_sentence() -> None:
    run = apply(endpoint_url="http://127.0.0.1:9").expect_failure([HOST])
    assert "the store does not answer" in run.failure(HOST)


def test_the_report_reads_everything_and_finds_what_the_account_lets_through() -> None:
    playbook = SCENARIO / "report.yml"
    run = lab.play(playbook, {}).expect_success()
    report = result(run)
    assert [one["name"] for one in report["buckets"]] == list(NAMES)
    assert report["findings"] == []
    assert {one["name"]: one["public"] for one in report["buckets"]}["twin-open-weights"] is False
