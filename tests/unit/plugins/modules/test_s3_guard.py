# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module against moto's server, as lenient as it is, as strict as AWS, denying, flaky and poor."""

from __future__ import annotations

import datetime
import json
import threading
from typing import Any

import pytest

from ansible_collections.twinguard.hardening.plugins.module_utils._buckets import plan as s3_plan
from ansible_collections.twinguard.hardening.plugins.module_utils._buckets import store_io as s3_io
from ansible_collections.twinguard.hardening.plugins.module_utils._buckets.spec import GUARD_SPEC
from ansible_collections.twinguard.hardening.plugins.modules import s3_guard
from ansible_collections.twinguard.hardening.tests.unit.support import s3_run, s3_store
from ansible_collections.twinguard.hardening.tests.unit.support.s3_run import (
    reason,
    run,
    statuses,
)
from ansible_collections.twinguard.hardening.tests.unit.support.spec import secrets

POLICY: dict[str, Any] = {
    "acl": "private",
    "public_access_block": True,
    "encryption": {"algorithm": "AES256"},
    "deny_insecure_transport": True,
    "minimum_tls": "1.2",
    "versioning": "enabled",
    "abort_incomplete_multipart_days": 7,
}
OPEN = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Sid": "Open",
            "Effect": "Allow",
            "Principal": "*",
            "Action": "s3:GetObject",
            "Resource": "arn:aws:s3:::open/*",
        }
    ],
}
THEIRS = {
    "Version": "2012-10-17",
    "Statement": {
        "Sid": "Theirs",
        "Effect": "Allow",
        "Principal": {"AWS": "arn:aws:iam::111122223333:root"},
        "Action": ["s3:GetObject"],
        "Resource": "arn:aws:s3:::models/*",
    },
}


running, empty = s3_run.running, s3_run.empty


@pytest.fixture
def store(empty: s3_store.Server) -> s3_store.Server:
    return s3_run.holding(empty, "data", "models")


def guard(
    capsys: pytest.CaptureFixture[str], store: s3_store.Server, check: bool = False, **args: Any
) -> dict[str, Any]:
    given = {"buckets": ["*"], "policy": POLICY, "proof_timeout": 1, **store.options(), **args}
    given = {name: value for name, value in given.items() if value is not None}
    return run(capsys, s3_guard, _ansible_check_mode=check, _ansible_diff=True, **given)


def test_the_documentation_and_the_specification_agree() -> None:
    s3_run.expect_documented(s3_guard, GUARD_SPEC)


def test_no_secret_is_shown() -> None:
    assert secrets(GUARD_SPEC) == {"secret_key", "session_token", "assume_role_external_id"}


def test_check_run_check_run(capsys: pytest.CaptureFixture[str], store: s3_store.Server) -> None:
    first = guard(capsys, store, check=True)
    assert (first["rc"], first["changed"]) == (0, True)
    assert "fail" in statuses(first, "models").values()
    assert not [name for _bucket, name in store.front.log if name.startswith("Put")]

    real = guard(capsys, store)
    assert (real["rc"], real["changed"], real["failures"]) == (0, True, [])
    assert real["diff"] == first["diff"]
    assert set(statuses(real, "models").values()) == {"pass"}

    for check in (True, False):
        again = guard(capsys, store, check=check)
        assert (again["rc"], again["changed"], again["diff"]) == (0, False, [])
        assert set(statuses(again, "data").values()) == {"pass"}


def test_the_store_holds_what_was_asked_for(
    capsys: pytest.CaptureFixture[str], store: s3_store.Server
) -> None:
    store.front.rules.append(s3_store.strict(store))
    client = store.client()
    client.put_bucket_acl(Bucket="models", ACL="public-read-write")
    client.put_bucket_policy(Bucket="models", Policy=json.dumps(THEIRS))
    assert guard(capsys, store)["rc"] == 0
    block = client.get_public_access_block(Bucket="models")["PublicAccessBlockConfiguration"]
    assert all(block.values())
    assert len(client.get_bucket_acl(Bucket="models")["Grants"]) == 1
    policy = json.loads(client.get_bucket_policy(Bucket="models")["Policy"])
    assert policy["Statement"][0] == THEIRS["Statement"]
    assert [one["Sid"] for one in policy["Statement"][1:]] == [
        "TwinguardDenyInsecureTransport",
        "TwinguardDenyOldTls",
    ]
    assert client.get_bucket_versioning(Bucket="models")["Status"] == "Enabled"
    order = [name for bucket, name in store.front.log if bucket == "models" and "Put" in name]
    assert order.index("PutPublicAccessBlock") < order.index("PutBucketAcl", 2)
    assert order.index("PutBucketAcl", 2) < order.index("PutBucketOwnershipControls")
    # Under enforced ownership a second run must not even try to set the ACL.
    store.forget()
    assert guard(capsys, store)["changed"] is False
    assert not store.front.asked["GetBucketAcl"]


def test_a_run_that_changes_nothing_asks_each_thing_once(
    capsys: pytest.CaptureFixture[str], store: s3_store.Server
) -> None:
    guard(capsys, store)
    store.forget()
    result = guard(capsys, store)
    per_bucket = {
        "GetPublicAccessBlock",
        "GetBucketOwnershipControls",
        "GetBucketEncryption",
        "GetBucketPolicy",
        "GetBucketVersioning",
        "GetBucketLifecycleConfiguration",
    }
    assert dict(store.front.asked) == {**dict.fromkeys(per_bucket, 2), "ListBuckets": 1}
    assert result["calls"] == dict(sorted(store.front.asked.items()))


def test_only_what_the_policy_names_is_read(
    capsys: pytest.CaptureFixture[str], store: s3_store.Server
) -> None:
    guard(capsys, store, policy={"versioning": "enabled"}, buckets=["models"], check=True)
    assert dict(store.front.asked) == {"ListBuckets": 1, "GetBucketVersioning": 1}


def test_a_denied_read_is_unknown_for_that_control_and_everything_else_is_done(
    capsys: pytest.CaptureFixture[str], store: s3_store.Server
) -> None:
    store.front.rules.append(s3_store.denies("GetBucketEncryption", bucket="models"))
    result = guard(capsys, store)
    assert result["rc"] == 1
    found = statuses(result, "models")
    assert [name for name, status in found.items() if status != "pass"] == ["bucket.encryption"]
    assert found["bucket.encryption"] == "unknown"
    assert "access denied on GetBucketEncryption" in reason(result, "models", "bucket.encryption")
    assert set(statuses(result, "data").values()) == {"pass"}
    assert [one["name"] for one in result["failures"]] == ["models"]
    assert result["msg"].startswith("1 of 2 are not as wanted: models: encryption: ")


def test_a_denied_write_names_the_bucket_and_what_was_done_before_it(
    capsys: pytest.CaptureFixture[str], store: s3_store.Server
) -> None:
    store.front.rules.append(s3_store.denies("PutBucketPolicy", bucket="data"))
    result = guard(capsys, store)
    (failure,) = result["failures"]
    assert failure["name"] == "data"
    assert failure["problems"] == {"policy": "access denied on PutBucketPolicy"}
    assert "policy" not in failure["applied"]
    assert "versioning" in failure["applied"]
    assert statuses(result, "data")["bucket.transport"] == "fail"
    shown = [one["before_header"] for one in result["diff"]]
    assert not [name for name in shown if name.startswith("s3://data policy")]


def test_a_store_that_lacks_things_is_told_and_not_crashed_into(
    capsys: pytest.CaptureFixture[str], store: s3_store.Server
) -> None:
    """As Ceph's gateway answers."""
    store.front.rules += [
        s3_store.answers(405, "MethodNotAllowed", "GetPublicAccessBlock", "GetBucketLogging"),
        # It ignores a question that it does not know, and lists the bucket's objects.
        s3_store.answers(200, s3_store.OTHER, "GetBucketOwnershipControls"),
        s3_store.answers(400, "InvalidArgument", "PutBucketEncryption"),
        s3_store.answers(405, "MethodNotAllowed", "GetCallerIdentity"),
    ]
    result = guard(capsys, store, account_public_access_block=True)
    assert (result["rc"], result["failures"]) == (0, [])
    found = statuses(result, "models")
    assert [name for name, status in found.items() if status == "not_applicable"] == [
        "bucket.public_access",
        "bucket.ownership",
        "bucket.encryption",
    ]
    assert "this store does not support GetPublicAccessBlock (405" in reason(
        result, "models", "bucket.public_access"
    )
    assert statuses(result, "account") == {"bucket.account_public_access": "not_applicable"}


def test_a_wrong_key_is_not_taken_for_a_store_without_encryption(
    capsys: pytest.CaptureFixture[str], store: s3_store.Server
) -> None:
    store.front.rules.append(s3_store.answers(400, "InvalidArgument", "PutBucketEncryption"))
    keyed = {"encryption": {"algorithm": "aws:kms", "kms_key_id": "alias/nope"}}
    result = guard(capsys, store, policy=keyed)
    assert result["rc"] == 1
    assert statuses(result, "models") == {"bucket.encryption": "fail"}
    assert "InvalidArgument" in reason(result, "models", "bucket.encryption")


def test_a_public_policy_without_an_exception_is_named_and_public_access_is_blocked_all_the_same(
    capsys: pytest.CaptureFixture[str], store: s3_store.Server
) -> None:
    store.front.rules.append(s3_store.strict(store))
    client = store.client()
    client.create_bucket(Bucket="open")
    client.put_bucket_policy(Bucket="open", Policy=json.dumps(OPEN))
    result = guard(capsys, store)
    assert result["rc"] == 1
    assert "open: policy: its policy is public (Open)" in result["msg"]
    assert json.loads(client.get_bucket_policy(Bucket="open")["Policy"]) == OPEN
    assert statuses(result, "open")["bucket.public_access"] == "pass"
    assert statuses(result, "open")["bucket.transport"] == "fail"


def exception(days: int) -> list[dict[str, str]]:
    day = datetime.datetime.now(datetime.timezone.utc).date() + datetime.timedelta(days)
    return [
        {
            "bucket": "open",
            "control": "bucket.public_access",
            "reason": "Open weights",
            "expires": day.isoformat(),
        }
    ]


def test_with_an_exception_the_bucket_stays_open_and_the_report_says_why(
    capsys: pytest.CaptureFixture[str], store: s3_store.Server
) -> None:
    store.front.rules.append(s3_store.strict(store))
    client = store.client()
    client.create_bucket(Bucket="open")
    client.put_bucket_policy(Bucket="open", Policy=json.dumps(OPEN))
    result = guard(capsys, store, exceptions=exception(30))
    assert (result["rc"], result["failures"]) == (0, [])
    found = statuses(result, "open")
    assert found["bucket.public_access"] == "not_applicable"
    assert found["bucket.exception"] == "pass"
    assert "Open weights" in reason(result, "open", "bucket.public_access")
    assert found["bucket.transport"] == "pass"
    policy = json.loads(client.get_bucket_policy(Bucket="open")["Policy"])
    assert policy["Statement"][0] == OPEN["Statement"][0]
    with pytest.raises(client.exceptions.ClientError):
        client.get_public_access_block(Bucket="open")


def test_an_expired_exception_fails_its_bucket_alone(
    capsys: pytest.CaptureFixture[str], store: s3_store.Server
) -> None:
    store.client().create_bucket(Bucket="open")
    result = guard(capsys, store, exceptions=exception(-1))
    assert result["rc"] == 1
    assert [one["name"] for one in result["failures"]] == ["open"]
    assert "open: exception for bucket.public_access: " in result["msg"]
    assert set(statuses(result, "models").values()) == {"pass"}


def test_the_account_is_blocked_once_and_proven(
    capsys: pytest.CaptureFixture[str], store: s3_store.Server
) -> None:
    args: dict[str, Any] = {
        "account_public_access_block": True,
        "policy": {"versioning": "enabled"},
    }
    first = guard(capsys, store, **args)
    assert statuses(first, "123456789012") == {"bucket.account_public_access": "pass"}
    assert first["diff"][0]["after_header"] == "account 123456789012 public_access_block"
    assert guard(capsys, store, **args)["changed"] is False


def test_a_setting_that_does_not_stick_fails_and_is_named(
    capsys: pytest.CaptureFixture[str], store: s3_store.Server
) -> None:
    def forgets(bucket: str, name: str, _body: bytes) -> tuple[int, str] | None:
        if bucket == "models" and name == "PutBucketVersioning":
            return 200, "OK"
        return None

    store.front.rules.append(forgets)
    result = guard(capsys, store, proof_timeout=0)
    assert result["rc"] == 1
    (failure,) = result["failures"]
    assert failure["problems"] == {"versioning": "was set, but is not in force after 0 s"}
    assert statuses(result, "models")["bucket.versioning"] == "fail"


def test_a_store_that_takes_its_time_is_waited_for(
    capsys: pytest.CaptureFixture[str], store: s3_store.Server
) -> None:
    late = iter([404, 404])

    def slow(bucket: str, name: str, _body: bytes) -> tuple[int, str] | None:
        changed = ("models", "PutPublicAccessBlock") in store.front.log
        if (bucket, name) == ("models", "GetPublicAccessBlock") and changed:
            return (next(late), "NoSuchPublicAccessBlockConfiguration") if late_left() else None
        return None

    def late_left() -> bool:
        return late.__length_hint__() > 0  # type: ignore[attr-defined]

    store.front.rules.append(slow)
    result = guard(capsys, store, proof_timeout=20)
    assert (result["rc"], result["failures"]) == (0, [])
    assert store.front.asked["GetPublicAccessBlock"] == 6


def test_throttling_and_flaky_errors_are_survived(
    capsys: pytest.CaptureFixture[str], store: s3_store.Server
) -> None:
    store.front.rules += [s3_store.flaky(13), s3_store.flaky(17, 500, "InternalError")]
    result = guard(capsys, store)
    assert (result["rc"], result["failures"]) == (0, [])
    assert set(statuses(result, "models").values()) == {"pass"}


def test_the_result_is_in_the_order_of_the_names_whichever_answers_first(
    capsys: pytest.CaptureFixture[str], store: s3_store.Server
) -> None:
    client, gate = store.client(), threading.Event()
    for number in range(12):
        client.create_bucket(Bucket=f"b{number:02d}")

    def last_first(bucket: str, name: str, _body: bytes) -> tuple[int, str] | None:
        if bucket == "b11":
            gate.set()
        return None

    store.front.rules.append(last_first)
    result = guard(capsys, store, buckets=["b*"])
    names = [one["name"] for one in result["buckets"]]
    assert names == sorted(names)
    assert len(names) == 12
    assert gate.is_set()


def test_an_unknown_and_a_foreign_bucket_are_told_apart_and_the_rest_is_done(
    capsys: pytest.CaptureFixture[str], store: s3_store.Server
) -> None:
    store.front.rules.append(s3_store.denies("HeadBucket", bucket="foreign"))
    result = guard(capsys, store, buckets=["foreign", "models", "unknown"])
    assert result["rc"] == 1
    problems = {one["name"]: one["problems"]["bucket"] for one in result["failures"]}
    assert problems == {
        "foreign": "the bucket belongs to another account",
        "unknown": "the bucket does not exist",
    }
    assert set(statuses(result, "foreign").values()) == {"not_applicable"}
    assert set(statuses(result, "unknown").values()) == {"fail"}
    assert set(statuses(result, "models").values()) == {"pass"}


def test_named_buckets_need_no_permission_to_list(
    capsys: pytest.CaptureFixture[str], store: s3_store.Server
) -> None:
    store.front.rules.append(s3_store.denies("ListBuckets"))
    assert guard(capsys, store, buckets=["models"])["rc"] == 0
    result = guard(capsys, store, buckets=["mod*"])
    assert result["rc"] == 1
    assert "name the buckets instead of using patterns" in result["msg"]


def test_a_policy_that_is_not_json_is_kept_and_named(
    capsys: pytest.CaptureFixture[str], store: s3_store.Server
) -> None:
    client = store.client()
    client.put_bucket_policy(Bucket="models", Policy="{not json")
    result = guard(capsys, store)
    assert "models: policy: its policy is not JSON" in result["msg"]
    assert client.get_bucket_policy(Bucket="models")["Policy"] == "{not json"


def test_a_bucket_that_nobody_thought_of_is_named_and_the_others_are_done(
    capsys: pytest.CaptureFixture[str], store: s3_store.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = s3_plan.decide

    def stumbles(bucket: str, *rest: Any) -> Any:
        if bucket == "data":
            raise TypeError("surprise")
        return planned(bucket, *rest)

    monkeypatch.setattr(s3_plan, "decide", stumbles)
    result = guard(capsys, store)
    (failure,) = result["failures"]
    assert failure["problems"] == {
        "bucket": "the store gave an unusable answer: TypeError('surprise')"
    }
    assert set(statuses(result, "data").values()) == {"unknown"}
    assert set(statuses(result, "models").values()) == {"pass"}


def test_credentials_that_end_midway_leave_nothing_unlisted(
    capsys: pytest.CaptureFixture[str], store: s3_store.Server
) -> None:
    def ends(_bucket: str, name: str, _body: bytes) -> tuple[int, str] | None:
        ended = [one for _b, one in store.front.log if one == "PutBucketPolicy"]
        return (400, "ExpiredToken") if ended and name != "PutBucketPolicy" else None

    store.front.rules.append(ends)
    result = guard(capsys, store, max_workers=1)
    assert result["rc"] == 1
    data, models = result["failures"]
    assert {"public_access_block", "policy"} <= set(data["applied"])
    assert "the session token has expired" in data["problems"]["bucket"]
    assert models["applied"] == []
    assert "models" not in [bucket for bucket, _name in store.front.log]
    assert models["problems"]["bucket"].startswith("not tried: the session token has expired")
    assert "pass" not in statuses(result, "models").values()
    # What was set and not proven is no pass either.
    assert statuses(result, "data")["bucket.transport"] == "unknown"


@pytest.mark.parametrize("writes", range(8))
def test_a_run_that_dies_after_any_write_is_finished_by_the_next_one(
    capsys: pytest.CaptureFixture[str], store: s3_store.Server, writes: int
) -> None:
    store.front.rules.append(s3_store.strict(store))
    store.client().put_bucket_acl(Bucket="models", ACL="public-read")
    store.forget()

    def dies(_bucket: str, name: str, _body: bytes) -> tuple[int, str] | None:
        written = [one for _b, one in store.front.log[:-1] if one.startswith("Put")]
        return (400, "ExpiredToken") if len(written) >= writes else None

    store.front.rules.insert(0, dies)
    first = guard(capsys, store, max_workers=1)
    assert first["rc"] == 1
    store.front.rules.remove(dies)
    seen = guard(capsys, store, check=True)
    assert (seen["rc"], seen["changed"]) == (0, True)
    second = guard(capsys, store)
    assert (second["rc"], second["failures"]) == (0, [])
    assert second["diff"] == seen["diff"]
    assert set(statuses(second, "models").values()) == {"pass"}
    assert guard(capsys, store)["changed"] is False


def test_an_endpoint_that_is_down_is_one_sentence(
    capsys: pytest.CaptureFixture[str], store: s3_store.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_io, "_ATTEMPTS", 1)
    result = guard(capsys, store, endpoint_url="http://127.0.0.1:9")
    assert result["rc"] == 1
    assert result["msg"].startswith(
        "the store does not answer; check endpoint_url, region and network: "
    )
    assert "\n" not in result["msg"]


def test_no_credentials_are_one_sentence(
    capsys: pytest.CaptureFixture[str], store: s3_store.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    result = guard(capsys, store, access_key=None, secret_key=None)
    assert result["rc"] == 1
    assert result["msg"].startswith("no credentials were found; give profile")


def test_an_unknown_profile_is_one_sentence(
    capsys: pytest.CaptureFixture[str], store: s3_store.Server
) -> None:
    result = guard(capsys, store, access_key=None, secret_key=None, profile="nope")
    assert (result["rc"], result["controls"]) == (1, [])
    assert "nope" in result["msg"]


def test_without_boto3_the_module_says_what_to_install(
    capsys: pytest.CaptureFixture[str], store: s3_store.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_io, "HAS_BOTO3", False)
    assert guard(capsys, store)["msg"].startswith("boto3 is not installed for the Python")


def test_with_an_old_boto3_the_module_says_what_to_install(
    capsys: pytest.CaptureFixture[str], store: s3_store.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("boto3.__version__", "1.26.27")
    result = guard(capsys, store)
    assert (result["rc"], result["controls"]) == (1, [])
    assert result["msg"].startswith("boto3 1.26.27 is too old for the bucket guard; install boto3")


@pytest.mark.parametrize("check", [True, False])
def test_bad_input_is_refused_before_the_store_is_asked(
    capsys: pytest.CaptureFixture[str], store: s3_store.Server, check: bool
) -> None:
    bad = {"encryption": {"algorithm": "aws:kms", "kms_key_id": "arn:aws:kms:x"}}
    result = guard(capsys, store, check=check, policy=bad)
    assert result["rc"] == 1
    assert result["msg"].startswith("option 'policy.encryption.kms_key_id' = 'arn:aws:kms:x': ")
    assert not store.front.asked


def test_secrets_are_in_no_result(
    capsys: pytest.CaptureFixture[str], store: s3_store.Server
) -> None:
    assert "hunter2" not in json.dumps(guard(capsys, store))


def test_a_role_is_assumed(capsys: pytest.CaptureFixture[str], store: s3_store.Server) -> None:
    role = "arn:aws:iam::123456789012:role/guard"
    assert guard(capsys, store, assume_role_arn=role)["rc"] == 0
