# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The posture of a bucket: what is in force, compared with the policy (pure)."""

from __future__ import annotations

from typing import Any, Callable, Mapping, NamedTuple, Optional, Tuple

from .answers import EVERYONE, PUBLIC_GROUPS
from .statements import NO_MINIMUM, PolicyError, open_statements
from .statements import parse as parse_policy
from .statements import transport as transport_of
from .statements import version as tls_version
from .types import BLOCKS, CONTROLS, ENFORCED, FAILED, READS, UNSUPPORTED, Answer, Answers, Wanted

NOT_READ = Answer(FAILED, reason="not read")
_NONE_ON = dict.fromkeys(BLOCKS, False)
_FLAG_WORDS = {
    "BlockPublicAcls": "new public ACLs",
    "IgnorePublicAcls": "existing public ACLs",
    "BlockPublicPolicy": "new public policies",
    "RestrictPublicBuckets": "access through a public policy",
}


class Verdict(NamedTuple):
    """The status of one control on one bucket."""

    control: str
    status: str
    reason: str
    evidence: Mapping[str, Any]


class Exposure(NamedTuple):
    """Whether a bucket is public (None: unknown), through which grants and statements, and what could not be read."""

    public: Optional[bool]
    through: Tuple[str, ...]
    unread: Tuple[str, ...]


REMEDIES = {
    "bucket.public_access": "block public access (public_access_block: true) or remove the public grant or statement",
    "bucket.acl": "set acl: private, which also disables ACLs unless ownership is given",
    "bucket.ownership": "set ownership: BucketOwnerEnforced",
    "bucket.encryption": "set encryption with the algorithm that this data requires",
    "bucket.transport": "set deny_insecure_transport: true and minimum_tls: '1.2'",
    "bucket.versioning": "set versioning: enabled",
    "bucket.logging": "set logging to a bucket whose policy lets logging.s3.amazonaws.com write",
    "bucket.lifecycle": "set abort_incomplete_multipart_days: 7",
    "bucket.account_public_access": "set account_public_access_block: true",
    "bucket.exception": "renew the exception with a new date and reason, or remove it and enforce the control",
}
"""The remedy for each control that fails, in terms of the options of s3_guard."""


def _flags(answer: Answer) -> Mapping[str, bool | None]:
    if answer.known:
        return answer.value or _NONE_ON
    # A store without this setting blocks nothing.
    unknown = False if answer.kind == UNSUPPORTED else None
    return dict.fromkeys(BLOCKS, unknown)


def effective_blocks(answers: Answers, account: Answer) -> dict[str, bool | None]:
    """Each block as it takes effect: on if bucket or account has it on; None if that is unknown."""
    both = [_flags(answers.get("public_access_block", NOT_READ)), _flags(account)]
    found: dict[str, bool | None] = {}
    for name in BLOCKS:
        values = [flags[name] for flags in both]
        found[name] = True if True in values else None if None in values else False
    return found


def public_grants(answers: Answers) -> list[str]:
    """Grants to everyone or to everyone with an AWS account, such as 'AllUsers READ'."""
    grants = answers.get("acl", NOT_READ).value or []
    return [
        f"{one['grantee']} {one['permission']}" for one in grants if one["grantee"] in PUBLIC_GROUPS
    ]


def acls_disabled(answers: Answers) -> bool:
    """Whether ACLs are disabled, so that only the owner and the policy grant rights."""
    return bool(answers.get("ownership", NOT_READ).value == ENFORCED)


def _public_policy(answers: Answers) -> bool | None:
    status, policy = answers.get("policy_status", NOT_READ), answers.get("policy", NOT_READ)
    if status.known:
        return bool(status.value)
    if not policy.known:
        return None
    try:
        document = parse_policy(policy.value)
    except PolicyError:
        return None
    # If the store does not say, only policies that are certainly public or private are judged.
    if open_statements(document, unconditional=True):
        return True
    return None if open_statements(document) else False


def exposure(answers: Answers, account: Answer) -> Exposure:
    """Whether the bucket is public, all settings taken together."""
    flags = effective_blocks(answers, account)
    through, unread = [], []

    acl = answers.get("acl", NOT_READ)
    harmless = flags["IgnorePublicAcls"] or acls_disabled(answers) or acl.kind == UNSUPPORTED
    if not harmless and not acl.known:
        unread.append(acl.reason)
    elif not harmless and public_grants(answers):
        through.append("ACL: " + ", ".join(public_grants(answers)))

    opened = False if flags["RestrictPublicBuckets"] else _public_policy(answers)
    if opened is None:
        unread.append(answers.get("policy_status", NOT_READ).reason)
    elif opened:
        through.append("policy: " + ", ".join(_named(answers)))

    if through and None in (flags["IgnorePublicAcls"], flags["RestrictPublicBuckets"]):
        # Something would let the public in, and a block that might prevent it could not be read.
        unread += [one.reason for one in (answers.get("public_access_block", NOT_READ), account)]
        return Exposure(None, tuple(through), tuple(filter(None, unread)))
    public = True if through else None if unread else False
    return Exposure(public, tuple(through), tuple(filter(None, unread)))


def _named(answers: Answers) -> list[str]:
    policy = answers.get("policy", NOT_READ)
    try:
        return open_statements(parse_policy(policy.value)) or ["public, says the store"]
    except PolicyError:
        return ["public, says the store"]


def _unread(control: str, answer: Answer) -> Verdict | None:
    if answer.known:
        return None
    status = "not_applicable" if answer.kind == UNSUPPORTED else "unknown"
    return Verdict(control, status, answer.reason, {})


def _public_access(answers: Answers, _wanted: Wanted, account: Answer, _bucket: str) -> Verdict:
    control, flags = "bucket.public_access", effective_blocks(answers, account)
    found = exposure(answers, account)
    evidence = {"public": found.public, "effective_block": flags}
    if found.public:
        reason = "the public has access through " + "; ".join(found.through)
        return Verdict(control, "fail", reason, {**evidence, "through": list(found.through)})
    if all(flags.values()):
        return Verdict(
            control, "pass", "not public, and all four public access blocks are on", evidence
        )
    own = answers.get("public_access_block", NOT_READ)
    if own.kind == UNSUPPORTED:
        return Verdict(control, "not_applicable", own.reason, evidence)
    if None in flags.values():
        reason = "; ".join(one.reason for one in (own, account) if not one.known)
        return Verdict(control, "unknown", reason, evidence)
    missing = ", ".join(_FLAG_WORDS[name] for name in BLOCKS if not flags[name])
    return Verdict(control, "fail", f"no public access block is on for {missing}", evidence)


def _acl(answers: Answers, _wanted: Wanted, _account: Answer, _bucket: str) -> Verdict:
    control, answer = "bucket.acl", answers.get("acl", NOT_READ)
    if acls_disabled(answers):
        return Verdict(control, "pass", "ACLs are disabled, so only the owner has rights", {})
    if not answer.known:
        return _unread(control, answer) or Verdict(control, "unknown", answer.reason, {})
    evidence = {"grants": answer.value}
    grants = public_grants(answers)
    if grants:
        meaning = "; ".join(f"{name} is {_GROUP_WORDS[name]}" for name in _groups(grants))
        return Verdict(control, "fail", f"the ACL grants {', '.join(grants)} ({meaning})", evidence)
    others = [one for one in answer.value if one["grantee"] != "owner"]
    if others:
        names = ", ".join(f"{one['grantee']} {one['permission']}" for one in others)
        return Verdict(
            control, "fail", f"the ACL grants rights to others than the owner: {names}", evidence
        )
    return Verdict(control, "pass", "the ACL grants rights to the owner only", evidence)


_GROUP_WORDS = {
    "AllUsers": "everyone",
    "AuthenticatedUsers": "everyone with any AWS account",
}


def _groups(grants: list[str]) -> list[str]:
    return [name for name in EVERYONE.values() if any(one.startswith(name) for one in grants)]


def _ownership(answers: Answers, wanted: Wanted, _account: Answer, _bucket: str) -> Verdict:
    answer = answers.get("ownership", NOT_READ)
    unread = _unread("bucket.ownership", answer)
    if unread:
        return unread
    found, want = answer.value or "ObjectWriter", wanted.ownership or ENFORCED
    good = found == want
    reason = f"{found}" if good else f"{found} and not {want}"
    return Verdict("bucket.ownership", "pass" if good else "fail", reason, {"ownership": found})


def encryption_of(rule: Mapping[str, Any] | None) -> dict[str, Any]:
    """Algorithm, key and use of a bucket key in the rule."""
    default = (rule or {}).get("ApplyServerSideEncryptionByDefault") or {}
    return {
        "algorithm": default.get("SSEAlgorithm"),
        "kms_key_id": default.get("KMSMasterKeyID"),
        "bucket_key": bool((rule or {}).get("BucketKeyEnabled")),
    }


def _encryption(answers: Answers, wanted: Wanted, _account: Answer, _bucket: str) -> Verdict:
    control, answer = "bucket.encryption", answers.get("encryption", NOT_READ)
    unread = _unread(control, answer)
    if unread:
        return unread
    found, want = encryption_of(answer.value), wanted.encryption or {}
    if not found["algorithm"]:
        return Verdict(control, "fail", "no default encryption", found)
    differs = [
        f"{name} is {found[name]} and not {want[name]}"
        for name in ("algorithm", "kms_key_id", "bucket_key")
        if want.get(name) is not None and want[name] != found[name]
    ]
    reason = "; ".join(differs) or f"{found['algorithm']}"
    return Verdict(control, "fail" if differs else "pass", reason, found)


def _transport(answers: Answers, wanted: Wanted, _account: Answer, bucket: str) -> Verdict:
    control, answer = "bucket.transport", answers.get("policy", NOT_READ)
    unread = _unread(control, answer)
    if unread:
        return unread
    try:
        plain, minimum = transport_of(parse_policy(answer.value), bucket)
    except PolicyError as error:
        return Verdict(control, "unknown", str(error), {})
    evidence = {"tls_only": plain, "minimum_tls": minimum}
    problems = [] if plain or not wanted.deny_insecure_transport else ["plain HTTP is not denied"]
    want = wanted.minimum_tls
    if want not in (None, NO_MINIMUM) and tls_version(minimum or "") < tls_version(str(want)):
        problems.append(f"TLS below {want} is not denied")
    denied = [
        *(["plain HTTP"] if plain else []),
        *([f"TLS below {minimum}"] if minimum else []),
    ]
    fine = f"{' and '.join(denied) or 'nothing'} is denied to everyone"
    reason = " and ".join(problems) or fine
    return Verdict(control, "fail" if problems else "pass", reason, evidence)


def _versioning(answers: Answers, wanted: Wanted, _account: Answer, _bucket: str) -> Verdict:
    answer = answers.get("versioning", NOT_READ)
    unread = _unread("bucket.versioning", answer)
    if unread:
        return unread
    found, want = answer.value, (wanted.versioning or "enabled").capitalize()
    good = found["status"] == want
    reason = f"versioning is {found['status'].lower()}"
    return Verdict("bucket.versioning", "pass" if good else "fail", reason, found)


def _logging(answers: Answers, wanted: Wanted, _account: Answer, bucket: str) -> Verdict:
    control, answer, want = "bucket.logging", answers.get("logging", NOT_READ), wanted.logging
    unread = _unread(control, answer)
    if unread:
        return unread
    found = answer.value or {}
    target = found.get("TargetBucket")
    evidence = {"bucket": target, "prefix": found.get("TargetPrefix")}
    if want and want.get("bucket") == bucket:
        reason = "this bucket receives the logs; logging its own requests into it would never end"
        return Verdict(control, "not_applicable", reason, evidence)
    if not target:
        return Verdict(control, "fail", "requests are not logged", evidence)
    if want and (target, evidence["prefix"] or "") != (want["bucket"], want["prefix"]):
        place = f"{want['bucket']}/{want['prefix']}"
        return Verdict(
            control, "fail", f"logs go to {target}/{evidence['prefix']} and not {place}", evidence
        )
    return Verdict(control, "pass", f"logs go to {target}/{evidence['prefix']}", evidence)


def abort_days(lifecycle: Mapping[str, Any] | None) -> int | None:
    """After how many days unfinished uploads are removed in the whole bucket."""
    found = []
    for rule in (lifecycle or {}).get("rules", []):
        days = (rule.get("AbortIncompleteMultipartUpload") or {}).get("DaysAfterInitiation")
        scope = rule.get("Filter") or {"Prefix": rule.get("Prefix") or ""}
        whole = scope in ({}, {"Prefix": ""})
        if days and whole and rule.get("Status") == "Enabled":
            found.append(int(days))
    return min(found) if found else None


def _lifecycle(answers: Answers, wanted: Wanted, _account: Answer, _bucket: str) -> Verdict:
    control, answer = "bucket.lifecycle", answers.get("lifecycle", NOT_READ)
    unread = _unread(control, answer)
    if unread:
        return unread
    days, want = abort_days(answer.value), wanted.abort_incomplete_multipart_days
    evidence = {"abort_incomplete_multipart_days": days}
    if want == 0:
        return Verdict(control, "pass", "unfinished uploads are left alone, as wanted", evidence)
    if days is None:
        return Verdict(control, "fail", "unfinished uploads are never removed", evidence)
    if want is not None and days > want:
        return Verdict(
            control, "fail", f"unfinished uploads are removed only after {days} days", evidence
        )
    return Verdict(control, "pass", f"unfinished uploads are removed after {days} days", evidence)


_JUDGES: Mapping[str, Callable[[Answers, Wanted, Answer, str], Verdict]] = {
    "public_access_block": _public_access,
    "acl": _acl,
    "ownership": _ownership,
    "encryption": _encryption,
    "policy": _transport,
    "versioning": _versioning,
    "logging": _logging,
    "lifecycle": _lifecycle,
}


def judge(bucket: str, answers: Answers, wanted: Wanted, account: Answer) -> list[Verdict]:
    """A verdict for each setting in the policy, in the order of the settings."""
    settings = wanted.settings()
    return [_JUDGES[name](answers, wanted, account, bucket) for name in READS if name in settings]


def account_verdict(account: Answer) -> Verdict:
    """The verdict on the account's own public access block."""
    control = "bucket.account_public_access"
    unread = _unread(control, account)
    if unread:
        return unread
    flags = account.value or _NONE_ON
    off = ", ".join(_FLAG_WORDS[name] for name in BLOCKS if not flags[name])
    if off:
        return Verdict(control, "fail", f"the account does not block {off}", flags)
    return Verdict(control, "pass", "the account blocks public access to all of its buckets", flags)


def bucket_state(
    bucket: str, region: str | None, answers: Answers, account: Answer
) -> dict[str, Any]:
    """The state of a bucket as plain values, with the reason for each setting that could not be read."""
    found = exposure(answers, account)
    shown: dict[str, Any] = {
        "name": bucket,
        "region": region,
        "public": found.public,
        "public_through": list(found.through),
        "unread": {name: answer.reason for name, answer in answers.items() if not answer.known},
    }
    for name in READS:
        answer = answers.get(name, NOT_READ)
        if name not in ("policy", "policy_status", "encryption"):
            shown[name] = answer.value
    shown["effective_public_access_block"] = effective_blocks(answers, account)
    shown["policy_is_public"] = answers.get("policy_status", NOT_READ).value or False
    shown["encryption"] = encryption_of(answers.get("encryption", NOT_READ).value)
    try:
        plain, minimum = transport_of(parse_policy(answers.get("policy", NOT_READ).value), bucket)
    except PolicyError:
        plain, minimum = False, None
    shown["tls_only"], shown["minimum_tls"] = plain, minimum
    return shown


CONTROL_IDS = tuple(dict.fromkeys([*CONTROLS.values(), "bucket.account_public_access"]))
"""The controls for which an exception can be given."""
