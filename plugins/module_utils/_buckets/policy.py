# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The policy for all buckets: its options, the settings wanted of each bucket, and the exceptions (pure)."""

from __future__ import annotations

import datetime
import fnmatch
import re
from dataclasses import dataclass, fields, replace
from typing import Any, Iterable, Mapping, Sequence

from .._core.controls import CATALOGUE, finding, severity_rank
from .._core.plan import ControlError
from .posture import CONTROL_IDS, REMEDIES, Verdict
from .types import CONTROLS, ENFORCED, Wanted

BASELINE: Mapping[str, Any] = {
    "acl": "private",
    "ownership": ENFORCED,
    "public_access_block": True,
    "encryption": {},
    "deny_insecure_transport": True,
    "minimum_tls": "1.2",
    "versioning": "enabled",
    "logging": {},
    "abort_incomplete_multipart_days": 7,
}
"""The policy of an audit for settings that are not given; an empty dictionary accepts any value."""
PRESERVE = "preserve"
ACCOUNT = "bucket.account_public_access"
_NAMES = tuple(one.name for one in fields(Wanted))
_PATTERN = re.compile(r"[A-Za-z0-9._*?\[\]!-]{1,255}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")
_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_KEY = rf"({_UUID}|mrk-[0-9a-f]{{32}})"
_KMS = re.compile(
    rf"{_KEY}|alias/[A-Za-z0-9/_-]+|arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{{12}}:(key/{_KEY}|alias/[A-Za-z0-9/_-]+)"
)


@dataclass(frozen=True)
class Exemption:
    """A control that is not enforced on some buckets until a date, with the reason."""

    pattern: str
    control: str
    reason: str
    expires: datetime.date
    expired: bool

    def covers(self, bucket: str) -> bool:
        """Whether it applies to this bucket."""
        return fnmatch.fnmatchcase(bucket, self.pattern)


@dataclass(frozen=True)
class Guard:
    """The whole policy of one task."""

    patterns: tuple[str, ...]
    base: Mapping[str, Any]
    overrides: tuple[tuple[tuple[str, ...], Mapping[str, Any]], ...]
    exemptions: tuple[Exemption, ...]
    account: bool

    def wanted(self, bucket: str) -> Wanted:
        """The settings wanted of this bucket; a later override takes precedence."""
        made = dict(self.base)
        for patterns, given in self.overrides:
            if any(fnmatch.fnmatchcase(bucket, pattern) for pattern in patterns):
                made.update(given)
        if made.get("logging"):
            target = made["logging"]
            prefix = str(target.get("prefix") or "").replace("{bucket}", bucket)
            made["logging"] = {"bucket": target["bucket"], "prefix": prefix}
        if made.get("acl") and made.get("ownership") is None:
            made["ownership"] = ENFORCED
        if made.get("ownership") == PRESERVE:
            made["ownership"] = None
        return Wanted(**made)

    def exempted(self, bucket: str) -> tuple[Exemption, ...]:
        """The exceptions for this bucket, expired or not."""
        return tuple(
            one for one in self.exemptions if one.control != ACCOUNT and one.covers(bucket)
        )

    def account_exempted(self) -> tuple[Exemption, ...]:
        """The exceptions for the account as a whole."""
        return tuple(one for one in self.exemptions if one.control == ACCOUNT)

    def enforced(self, bucket: str, wanted: Wanted) -> tuple[str, ...]:
        """The settings that may be changed: those without an exception, even an expired one."""
        exempted = {one.control for one in self.exempted(bucket)}
        return tuple(name for name in wanted.settings() if CONTROLS[name] not in exempted)


def kept(wanted: Wanted, enforced: Sequence[str]) -> Wanted:
    """The policy without those settings that have an exception and that other settings depend on."""
    left = {name: None for name in ("acl", "public_access_block") if name not in enforced}
    return replace(wanted, **left)


def guard(params: Mapping[str, Any], today: datetime.date, audit: bool = False) -> Guard:
    """The options as a Guard. Raises ControlError for options that contradict each other or cannot work."""
    base = _given(params.get("policy") or {}, "policy")
    if audit:
        base = {**BASELINE, **base}
    overrides = []
    for number, one in enumerate(params.get("overrides") or []):
        option = f"overrides[{number}]"
        patterns = tuple(_patterns(one["buckets"], option + ".buckets"))
        overrides.append((patterns, _given(one, option)))
    exemptions = tuple(_exemptions(params.get("exceptions") or [], today))
    account = bool(params.get("account_public_access_block"))
    if params.get("account_public_access_block") is False and not _account_excepted(exemptions):
        raise _open("account_public_access_block", ACCOUNT)
    made = Guard(
        tuple(_patterns(params["buckets"], "buckets")), base, tuple(overrides), exemptions, account
    )
    if not audit and not account and not base and not any(given for _who, given in overrides):
        raise ControlError("policy", {}, "no setting is given", "give at least one setting")
    _refuse_open(made)
    return made


def _account_excepted(exemptions: Iterable[Exemption]) -> bool:
    return any(one.control == ACCOUNT and not one.expired for one in exemptions)


def _open(option: str, control: str) -> ControlError:
    fix = f"leave the option out, or add an entry for {control} with reason and expires to 'exceptions'"
    return ControlError(option, False, "false needs an exception", fix)


def _refuse_open(made: Guard) -> None:
    """public_access_block: false needs an exemption: refuse it without one."""
    allowed = [one.pattern for one in made.exemptions if one.control == "bucket.public_access"]
    if made.base.get("public_access_block") is False and not set(made.patterns) <= set(allowed):
        raise _open("policy.public_access_block", "bucket.public_access")
    for number, (patterns, given) in enumerate(made.overrides):
        if given.get("public_access_block") is False and not set(patterns) <= set(allowed):
            raise _open(f"overrides[{number}].public_access_block", "bucket.public_access")


def _patterns(names: Sequence[str], option: str) -> list[str]:
    if not names:
        raise ControlError(
            option, names, "no bucket is given", "give names or patterns, '*' for all"
        )
    for name in names:
        if not _PATTERN.fullmatch(name):
            raise ControlError(
                option,
                name,
                "not a valid name or pattern of buckets",
                "give a name or a pattern such as models-*",
            )
    return list(dict.fromkeys(names))


def is_pattern(name: str) -> bool:
    """Whether the name is a pattern that can match several buckets."""
    return any(character in name for character in "*?[")


def common_prefix(patterns: Sequence[str]) -> str:
    """The common prefix of all patterns, so that the store lists no more buckets than needed."""
    literal = [re.split(r"[*?\[]", pattern)[0] for pattern in patterns]
    shortest, longest = min(literal), max(literal)
    length = 0
    for one, other in zip(shortest, longest):
        if one != other:
            break
        length += 1
    return shortest[:length]


def select(patterns: Sequence[str], names: Iterable[str]) -> list[str]:
    """The names that match a pattern, sorted."""
    return sorted(
        name
        for name in names
        if any(name == one or fnmatch.fnmatchcase(name, one) for one in patterns)
    )


def _given(options: Mapping[str, Any], where: str) -> dict[str, Any]:
    given = {name: options[name] for name in _NAMES if options.get(name) is not None}
    _check_encryption(given.get("encryption"), where + ".encryption")
    target = given.get("logging")
    if target is not None and not _NAME.fullmatch(target["bucket"]):
        raise ControlError(
            where + ".logging.bucket",
            target["bucket"],
            "not a valid bucket name",
            "give the name of the bucket that receives the logs",
        )
    days = given.get("abort_incomplete_multipart_days")
    if days is not None and not 0 <= days <= 3650:
        option = where + ".abort_incomplete_multipart_days"
        raise ControlError(option, days, "out of range", "give 0 to 3650 days")
    return given


def _check_encryption(wanted: Mapping[str, Any] | None, option: str) -> None:
    if wanted is None:
        return
    key, algorithm = wanted.get("kms_key_id"), wanted["algorithm"]
    if key and algorithm == "AES256":
        fix = "set algorithm to aws:kms, or leave kms_key_id out"
        raise ControlError(
            option + ".kms_key_id", key, "algorithm AES256 does not use a KMS key", fix
        )
    if key and not _KMS.fullmatch(key):
        fix = "give arn:aws:kms:<region>:<account>:key/<id>, a key id or alias/<name>"
        raise ControlError(option + ".kms_key_id", key, "not a KMS key", fix)
    if wanted.get("bucket_key") and algorithm != "aws:kms":
        fix = "set algorithm to aws:kms, or leave bucket_key out"
        raise ControlError(option + ".bucket_key", True, "only aws:kms has bucket keys", fix)


def _exemptions(given: Sequence[Mapping[str, Any]], today: datetime.date) -> Iterable[Exemption]:
    for number, one in enumerate(given):
        option = f"exceptions[{number}]"
        if one["control"] not in CONTROL_IDS:
            fix = "use one of " + ", ".join(CONTROL_IDS)
            raise ControlError(option + ".control", one["control"], "no such control", fix)
        if not one["reason"].strip():
            fix = "say in one sentence why the bucket may differ"
            raise ControlError(option + ".reason", one["reason"], "no reason is given", fix)
        try:
            expires = datetime.date.fromisoformat(one["expires"])
        except ValueError as error:
            fix = "write it as YYYY-MM-DD"
            raise ControlError(option + ".expires", one["expires"], "not a date", fix) from error
        (pattern,) = _patterns([one["bucket"]], option + ".bucket")
        yield Exemption(pattern, one["control"], one["reason"].strip(), expires, expires < today)


def findings(
    bucket: str,
    verdicts: Iterable[Verdict],
    exemptions: Sequence[Exemption],
    problems: Mapping[str, str] | None = None,
) -> list[dict[str, Any]]:
    """The findings from the verdicts, with errors and exceptions taken into account."""
    by_control = {CONTROLS.get(name, name): text for name, text in (problems or {}).items()}
    found = []
    for verdict in verdicts:
        valid = [one for one in exemptions if one.control == verdict.control and not one.expired]
        status, reason, evidence = verdict.status, verdict.reason, dict(verdict.evidence)
        problem = by_control.get(verdict.control)
        if valid and status != "pass":
            evidence["found"] = f"{status}: {reason}"
            status = "not_applicable"
            reason = f"exempt until {valid[0].expires.isoformat()}: {valid[0].reason}"
        elif problem and status != "pass":
            reason = f"{reason}; {problem}"
        found.append(finding(verdict.control, bucket, status, reason, evidence))
    return found + [_of_exemption(bucket, one) for one in exemptions]


def _of_exemption(bucket: str, one: Exemption) -> dict[str, Any]:
    day, evidence = one.expires.isoformat(), {"control": one.control, "pattern": one.pattern}
    if one.expired:
        reason = f"the exception for {one.control} expired on {day}: {one.reason}"
        return finding("bucket.exception", bucket, "fail", reason, evidence)
    reason = f"{one.control} is exempt until {day}: {one.reason}"
    return finding("bucket.exception", bucket, "pass", reason, evidence)


def advice(controls: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The controls that fail or are unknown, worst first, with a remedy for each."""
    rows = [
        {
            "bucket": one["resource"],
            "control": one["id"],
            "severity": CATALOGUE[one["id"]].severity,
            "status": one["status"],
            "reason": one["reason"],
            "remediation": REMEDIES[one["id"]],
        }
        for one in controls
        if one["status"] in ("fail", "unknown")
    ]
    return sorted(
        rows, key=lambda row: (severity_rank(row["severity"]), row["bucket"], row["control"])
    )
