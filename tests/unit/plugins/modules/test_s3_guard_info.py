# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The audit: what is effective, what is unknown, and that it needs no more than the documented permissions."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.twinguard.hardening.plugins.module_utils._buckets.spec import INFO_SPEC
from ansible_collections.twinguard.hardening.plugins.module_utils._buckets.types import (
    OTHERS,
    PERMISSIONS,
    READS,
    WRITES,
)
from ansible_collections.twinguard.hardening.plugins.modules import s3_guard, s3_guard_info
from ansible_collections.twinguard.hardening.tests.unit.support import s3_run, s3_store
from ansible_collections.twinguard.hardening.tests.unit.support.s3_run import (
    reason,
    run,
    statuses,
)

README = Path(__file__).resolve().parents[4] / "roles" / "bucket_guard" / "README.md"
FREE = "sts:GetCallerIdentity"  # allowed to everybody


running, empty = s3_run.running, s3_run.empty


@pytest.fixture
def store(empty: s3_store.Server) -> s3_store.Server:
    return s3_run.holding(empty, "models")


def audit(
    capsys: pytest.CaptureFixture[str], store: s3_store.Server, **args: Any
) -> dict[str, Any]:
    return run(capsys, s3_guard_info, **{**store.options(), **args})


def test_the_documentation_and_the_specification_agree() -> None:
    s3_run.expect_documented(s3_guard_info, INFO_SPEC)


def test_a_bare_bucket_fails_everything_that_it_lacks(
    capsys: pytest.CaptureFixture[str], store: s3_store.Server
) -> None:
    result = audit(capsys, store)
    assert (result["rc"], result["changed"], result["account"]) == (0, False, "123456789012")
    found = statuses(result, "models")
    assert [name for name, status in found.items() if status == "pass"] == ["bucket.acl"]
    assert "unknown" not in found.values()
    worst = result["findings"][0]
    assert worst["severity"] == "critical"
    assert worst["remediation"]


def test_a_public_bucket_is_public_and_the_grant_is_named(
    capsys: pytest.CaptureFixture[str], store: s3_store.Server
) -> None:
    store.client().put_bucket_acl(Bucket="models", ACL="public-read")
    result = audit(capsys, store)
    (bucket,) = result["buckets"]
    assert bucket["public"] is True
    assert bucket["public_through"] == ["ACL: AllUsers READ"]
    assert "AllUsers READ" in reason(result, "models", "bucket.public_access")


def test_each_thing_is_asked_once_and_the_policys_status_only_where_there_is_a_policy(
    capsys: pytest.CaptureFixture[str], store: s3_store.Server
) -> None:
    audit(capsys, store)
    once = {read.operation for read in READS.values()} - {"GetBucketPolicyStatus"}
    once |= {"ListBuckets", "GetCallerIdentity", "GetAccountPublicAccessBlock"}
    assert dict(store.front.asked) == dict.fromkeys(once, 1)


@pytest.mark.parametrize("setting", [name for name in READS if name != "policy_status"])
def test_a_denied_read_hides_that_check_and_no_other(
    capsys: pytest.CaptureFixture[str], store: s3_store.Server, setting: str
) -> None:
    operation = READS[setting].operation
    before = audit(capsys, store)
    store.front.rules.append(s3_store.denies(operation))
    after = audit(capsys, store)
    assert after["rc"] == 0
    assert after["buckets"][0]["unread"][setting] == f"access denied on {operation}"
    was, now = statuses(before, "models"), statuses(after, "models")
    changed = {name for name in was if was[name] != now[name]}
    assert all(now[name] == "unknown" for name in changed)
    assert len(changed) <= 2
    assert not [name for name in now if now[name] == "pass" and was[name] != "pass"]


def test_a_denied_account_is_unknown_and_the_buckets_are_judged_by_their_own(
    capsys: pytest.CaptureFixture[str], store: s3_store.Server
) -> None:
    store.front.rules.append(s3_store.denies("GetAccountPublicAccessBlock"))
    result = audit(capsys, store)
    assert statuses(result, "123456789012") == {"bucket.account_public_access": "unknown"}
    assert statuses(result, "models")["bucket.public_access"] == "unknown"


def test_a_policy_of_the_user_takes_the_baselines_place(
    capsys: pytest.CaptureFixture[str], store: s3_store.Server
) -> None:
    store.client().put_bucket_versioning(
        Bucket="models", VersioningConfiguration={"Status": "Suspended"}
    )
    result = audit(capsys, store, policy={"versioning": "suspended"})
    assert statuses(result, "models")["bucket.versioning"] == "pass"


def test_an_account_with_many_buckets_is_read_page_by_page(
    capsys: pytest.CaptureFixture[str], store: s3_store.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = store.client()
    for number in range(7):
        client.create_bucket(Bucket=f"many-{number}")
    monkeypatch.setattr(
        "ansible_collections.twinguard.hardening.plugins.module_utils._buckets.store_io._PAGE", 3
    )
    store.forget()
    result = audit(capsys, store, buckets=["many-*"])
    assert len(result["buckets"]) == 7
    assert store.front.asked["ListBuckets"] == 3


def documented_actions(title: str) -> list[str]:
    """The actions of the JSON policy under a heading of the role's README."""
    section = README.read_text(encoding="utf-8").split(f"### {title}", 1)[1]
    found = re.search(r"```json\n(.*?)```", section, re.DOTALL)
    assert found
    return [
        action for statement in json.loads(found[1])["Statement"] for action in statement["Action"]
    ]


def called(store: s3_store.Server) -> set[str]:
    return {PERMISSIONS[name] for _bucket, name in store.front.log} - {FREE}


def test_the_documented_policy_for_audits_allows_exactly_what_an_audit_calls(
    capsys: pytest.CaptureFixture[str], store: s3_store.Server
) -> None:
    store.client().put_bucket_policy(
        Bucket="models", Policy='{"Statement": [{"Sid": "x", "Effect": "Deny", "Principal": "*"}]}'
    )
    store.forget()
    audit(capsys, store, buckets=["models", "unknown", "*"])
    assert called(store) == set(documented_actions("For an audit"))


def test_the_documented_policy_for_enforcement_allows_exactly_what_the_guard_calls(
    capsys: pytest.CaptureFixture[str], store: s3_store.Server
) -> None:
    """Every way through the guard: everything on, then our statements and rules off again."""
    client = store.client()
    client.create_bucket(Bucket="logs")
    allow = {
        "Sid": "Logs",
        "Effect": "Allow",
        "Principal": {"Service": "logging.s3.amazonaws.com"},
        "Action": "s3:PutObject",
        "Resource": "arn:aws:s3:::logs/*",
    }
    client.put_bucket_policy(Bucket="logs", Policy=json.dumps({"Statement": [allow]}))
    client.put_bucket_acl(Bucket="models", ACL="public-read")
    client.create_bucket(Bucket="asked")
    opened = dict(allow, Principal="*", Condition={"IpAddress": {"aws:SourceIp": "192.0.2.1/32"}})
    client.put_bucket_policy(Bucket="asked", Policy=json.dumps({"Statement": [opened]}))
    store.forget()
    everything = {
        "acl": "private",
        "public_access_block": True,
        "encryption": {"algorithm": "AES256"},
        "deny_insecure_transport": True,
        "minimum_tls": "1.2",
        "versioning": "enabled",
        "logging": {"bucket": "logs"},
        "abort_incomplete_multipart_days": 7,
    }
    nothing = {
        "deny_insecure_transport": False,
        "minimum_tls": "none",
        "abort_incomplete_multipart_days": 0,
    }
    for policy in (everything, nothing):
        names = ["asked", "models", "logs", "unknown"]
        given = {**store.options(), "account_public_access_block": True, "policy": policy}
        result = run(capsys, s3_guard, buckets=names, **given)
        assert [one["name"] for one in result["failures"]] == ["unknown"]
    assert called(store) == set(documented_actions("For enforcement"))


def test_every_permission_is_known() -> None:
    every = {read.operation for read in READS.values()} | set(WRITES) | set(OTHERS)
    assert set(PERMISSIONS) == every
