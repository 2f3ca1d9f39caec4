# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan for one bucket: the steps, in an order that a strict store accepts (pure)."""

from __future__ import annotations

import json
from typing import Any, Callable, Collection, Mapping

from .._core.error import HardeningError
from .._core.plan import Change
from .answers import LOG_DELIVERY, OWNER
from .posture import NOT_READ, abort_days, acls_disabled, encryption_of
from .statements import PolicyError, open_statements, own_statements
from .statements import dump as dump_policy
from .statements import merge as merge_policy
from .statements import parse as parse_policy
from .types import BLOCKS, ENFORCED, READS, UNSUPPORTED, Answers, Decision, Step, Wanted

ABORT_RULE = "TwinguardAbortIncompleteMultipart"
ALL_ON = dict.fromkeys(BLOCKS, True)
_PRIVATE = [{"grantee": OWNER, "permission": "FULL_CONTROL"}]


class Refusal(HardeningError, ValueError):
    """Why one setting must not or cannot be changed, in one sentence."""


def _public_access_block(_bucket: str, wanted: Wanted, answers: Answers, _arn: str) -> Step | None:
    found = answers["public_access_block"].value
    if not wanted.public_access_block or found == ALL_ON:
        return None
    arguments = {"PublicAccessBlockConfiguration": ALL_ON}
    return Step("public_access_block", "PutPublicAccessBlock", arguments, found, ALL_ON)


def _void(wanted: Wanted, answers: Answers) -> bool:
    """Whether the ACL has no effect, now and after the plan."""
    return acls_disabled(answers) and wanted.ownership in (None, ENFORCED)


def _not_private(wanted: Wanted, answers: Answers) -> bool:
    """Whether an ACL that has an effect, now or after the plan, grants rights to anyone but the owner."""
    acl = answers.get("acl", NOT_READ)
    return not _void(wanted, answers) and acl.known and acl.value != _PRIVATE


def _acl(_bucket: str, wanted: Wanted, answers: Answers, _arn: str) -> Step | None:
    if not _not_private(wanted, answers):
        return None
    found = answers["acl"].value
    if any(grant["grantee"] == LOG_DELIVERY for grant in found):
        raise Refusal(
            "its ACL lets S3 deliver access logs, and a private ACL would stop that; "
            "allow logging.s3.amazonaws.com in the bucket's policy and remove that grant first"
        )
    return Step("acl", "PutBucketAcl", {"ACL": "private"}, found, _PRIVATE)


def _ownership(_bucket: str, wanted: Wanted, answers: Answers, _arn: str) -> Step | None:
    found = answers["ownership"].value or "ObjectWriter"
    if wanted.ownership in (None, found):
        return None
    if wanted.ownership == ENFORCED and not wanted.acl and _not_private(wanted, answers):
        raise Refusal(
            "its ACL grants rights to others than the owner, and ACLs can be disabled only when it is private; "
            "set acl: private as well, or add an exception for bucket.ownership"
        )
    rules = {"Rules": [{"ObjectOwnership": wanted.ownership}]}
    arguments = {"OwnershipControls": rules}
    return Step("ownership", "PutBucketOwnershipControls", arguments, found, wanted.ownership)


def _encryption(_bucket: str, wanted: Wanted, answers: Answers, _arn: str) -> Step | None:
    rule, want = answers["encryption"].value or {}, wanted.encryption or {}
    found = encryption_of(rule)
    same_kind = want["algorithm"] == found["algorithm"]
    kept = found if same_kind else {"kms_key_id": None, "bucket_key": False}
    made = {
        "algorithm": want["algorithm"],
        "kms_key_id": want.get("kms_key_id") or kept["kms_key_id"],
        "bucket_key": kept["bucket_key"] if want.get("bucket_key") is None else want["bucket_key"],
    }
    if made == found:
        return None
    default = {"SSEAlgorithm": made["algorithm"]}
    if made["kms_key_id"]:
        default["KMSMasterKeyID"] = made["kms_key_id"]
    # Other parts of the rule, such as blocked encryption types, are not managed here.
    made_rule = {**rule, "ApplyServerSideEncryptionByDefault": default}
    made_rule["BucketKeyEnabled"] = made["bucket_key"]
    arguments = {"ServerSideEncryptionConfiguration": {"Rules": [made_rule]}}
    return Step("encryption", "PutBucketEncryption", arguments, found if rule else None, made)


def _policy(bucket: str, wanted: Wanted, answers: Answers, partition: str) -> Step | None:
    try:
        found = parse_policy(answers["policy"].value)
        own = own_statements(bucket, partition, wanted.deny_insecure_transport, wanted.minimum_tls)
        merged = merge_policy(found, own)
        if merged == found:
            return None
        if merged is None:
            return Step("policy", "DeleteBucketPolicy", {}, found, None)
        text = dump_policy(merged)
    except PolicyError as error:
        raise Refusal(str(error)) from error
    unconditional = open_statements(found, unconditional=True)
    public = unconditional or answers.get("policy_status", NOT_READ).value
    if public and _will_block(wanted, answers):
        names = ", ".join(unconditional or open_statements(found))
        raise Refusal(
            f"its policy is public ({names}), and a store that blocks public access accepts no public policy; "
            "remove that statement, or add an exception for bucket.public_access"
        )
    return Step("policy", "PutBucketPolicy", {"Policy": text}, found, merged)


def _will_block(wanted: Wanted, answers: Answers) -> bool:
    found = answers.get("public_access_block", NOT_READ).value or {}
    return bool(wanted.public_access_block or found.get("BlockPublicPolicy"))


def _versioning(_bucket: str, wanted: Wanted, answers: Answers, _arn: str) -> Step | None:
    found, want = answers["versioning"].value, str(wanted.versioning).capitalize()
    if found["status"] == want:
        return None
    if found["mfa_delete"] == "Enabled":
        raise Refusal(
            "its versioning is protected by MFA delete; change it by hand with the MFA device"
        )
    arguments = {"VersioningConfiguration": {"Status": want}}
    return Step("versioning", "PutBucketVersioning", arguments, found["status"], want)


def _logging(bucket: str, wanted: Wanted, answers: Answers, _arn: str) -> Step | None:
    found, want = answers["logging"].value, wanted.logging or {}
    if want["bucket"] == bucket:
        return None
    target = {"TargetBucket": want["bucket"], "TargetPrefix": want["prefix"]}
    kept = found if found and found.get("TargetBucket") == want["bucket"] else {}
    made = {**kept, **target}
    if made == found:
        return None
    arguments = {"BucketLoggingStatus": {"LoggingEnabled": made}}
    return Step("logging", "PutBucketLogging", arguments, found, made)


def _lifecycle(_bucket: str, wanted: Wanted, answers: Answers, _arn: str) -> Step | None:
    found, days = answers["lifecycle"].value, wanted.abort_incomplete_multipart_days
    rules = list((found or {}).get("rules", []))
    others = [rule for rule in rules if rule.get("ID") != ABORT_RULE]
    ours = [rule for rule in rules if rule.get("ID") == ABORT_RULE]
    if not days:
        made = others
    elif ours and abort_days({"rules": ours}) == days:
        return None
    else:
        # A store accepts either the old form of rules or the new one, not both.
        old_form = any("Filter" not in rule and "Prefix" in rule for rule in others)
        scope = {"Prefix": ""} if old_form else {"Filter": {"Prefix": ""}}
        abort = {"AbortIncompleteMultipartUpload": {"DaysAfterInitiation": days}}
        made = [*others, {"ID": ABORT_RULE, "Status": "Enabled", **scope, **abort}]
    if made == rules:
        return None
    if not made:
        return Step("lifecycle", "DeleteBucketLifecycle", {}, rules, None)
    arguments: dict[str, Any] = {"LifecycleConfiguration": {"Rules": made}}
    if found and found.get("minimum_size"):
        arguments["TransitionDefaultMinimumObjectSize"] = found["minimum_size"]
    return Step("lifecycle", "PutBucketLifecycleConfiguration", arguments, rules or None, made)


_PLANNERS: Mapping[str, Callable[[str, Wanted, Answers, str], Step | None]] = {
    "public_access_block": _public_access_block,
    "acl": _acl,
    "ownership": _ownership,
    "encryption": _encryption,
    "policy": _policy,
    "versioning": _versioning,
    "logging": _logging,
    "lifecycle": _lifecycle,
}


def decide(
    bucket: str,
    wanted: Wanted,
    answers: Answers,
    partition: str = "aws",
    only: Collection[str] | None = None,
) -> Decision:
    """The steps that bring the bucket to the policy, in order; none when it is as wanted."""
    steps, refusals = [], []
    for setting in wanted.settings():
        if only is not None and setting not in only:
            continue
        unread = _unread(setting, wanted, answers)
        if unread is not None:
            refusals += [(setting, unread)] if unread else []
            continue
        try:
            step = _PLANNERS[setting](bucket, wanted, answers, partition)
        except Refusal as refusal:
            refusals.append((setting, str(refusal)))
            continue
        steps += [step] if step else []
    if acls_disabled(answers) and not _void(wanted, answers):
        # Stores accept an ACL only once ACLs are enabled.
        steps.sort(key=lambda step: step.setting == "acl")
    return Decision(tuple(steps), tuple(refusals))


def _unread(setting: str, wanted: Wanted, answers: Answers) -> str | None:
    """Why nothing can be planned: '' if the store does not have the setting; None if it was read."""
    if setting == "acl" and _void(wanted, answers):
        return None
    answer = answers.get(setting, NOT_READ)
    if answer.kind == UNSUPPORTED:
        return ""
    return None if answer.known else f"not changed, because it could not be read: {answer.reason}"


def first_reads(wanted: Wanted) -> list[str]:
    """The settings to read first; the ACL depends on the ownership and is read after it."""
    settings = set(wanted.settings())
    if "acl" in settings:
        settings.add("ownership")
    return [name for name in READS if name in settings and name != "acl"]


def needs_acl(wanted: Wanted, answers: Answers) -> bool:
    """Whether to read the ACL: it has no effect where ownership is enforced, and reading it costs a request."""
    asked = {"acl", "ownership"} & set(wanted.settings())
    return bool(asked) and not _void(wanted, answers)


def needs_policy_status(decision: Decision, answers: Answers) -> bool:
    """Whether to ask the store if the policy is public: it is to be written, and only its conditions restrict it."""
    if "PutBucketPolicy" not in [step.operation for step in decision.steps]:
        return False
    return bool(open_statements(parse_policy(answers["policy"].value)))


def hint(step: Step, wanted: Wanted) -> str:
    """A possible cause, other than a missing permission, why the store refused a step."""
    if step.operation != "PutBucketPolicy" or not step.before or not wanted.public_access_block:
        return ""
    return "; the store may consider the policy public, and it refuses public policies while public access is blocked"


def change(bucket: str, step: Step) -> Change:
    """The step in the form that plan and diff show."""
    return Change(f"s3://{bucket} {step.setting}", pretty(step.before), pretty(step.after))


def pretty(value: Any) -> str | None:
    """A value in the form that plans and diffs show."""
    if value is None:
        return None
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, default=str) + "\n"
