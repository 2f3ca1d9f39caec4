# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings of a bucket, the operations that read and change them, and the types of answers (pure)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Mapping, NamedTuple, Optional

FOUND, ABSENT, DENIED, UNSUPPORTED, FAILED = "found", "absent", "denied", "unsupported", "failed"


class Read(NamedTuple):
    """How to read a setting: the operation, the permission it needs, and the error code if the setting is absent."""

    operation: str
    permission: str
    absent: str = ""


READS: Mapping[str, Read] = {
    "public_access_block": Read(
        "GetPublicAccessBlock",
        "s3:GetBucketPublicAccessBlock",
        "NoSuchPublicAccessBlockConfiguration",
    ),
    "acl": Read("GetBucketAcl", "s3:GetBucketAcl"),
    "ownership": Read(
        "GetBucketOwnershipControls",
        "s3:GetBucketOwnershipControls",
        "OwnershipControlsNotFoundError",
    ),
    "encryption": Read(
        "GetBucketEncryption",
        "s3:GetEncryptionConfiguration",
        "ServerSideEncryptionConfigurationNotFoundError",
    ),
    "policy": Read("GetBucketPolicy", "s3:GetBucketPolicy", "NoSuchBucketPolicy"),
    "policy_status": Read(
        "GetBucketPolicyStatus", "s3:GetBucketPolicyStatus", "NoSuchBucketPolicy"
    ),
    "versioning": Read("GetBucketVersioning", "s3:GetBucketVersioning"),
    "object_lock": Read(
        "GetObjectLockConfiguration",
        "s3:GetBucketObjectLockConfiguration",
        "ObjectLockConfigurationNotFoundError",
    ),
    "logging": Read("GetBucketLogging", "s3:GetBucketLogging"),
    "lifecycle": Read(
        "GetBucketLifecycleConfiguration",
        "s3:GetLifecycleConfiguration",
        "NoSuchLifecycleConfiguration",
    ),
}
"""Every setting, in the order in which it is read and changed."""

WRITES: Mapping[str, str] = {
    "PutPublicAccessBlock": "s3:PutBucketPublicAccessBlock",
    "PutBucketAcl": "s3:PutBucketAcl",
    "PutBucketOwnershipControls": "s3:PutBucketOwnershipControls",
    "PutBucketEncryption": "s3:PutEncryptionConfiguration",
    "PutBucketPolicy": "s3:PutBucketPolicy",
    "DeleteBucketPolicy": "s3:DeleteBucketPolicy",
    "PutBucketVersioning": "s3:PutBucketVersioning",
    "PutBucketLogging": "s3:PutBucketLogging",
    "PutBucketLifecycleConfiguration": "s3:PutLifecycleConfiguration",
    "DeleteBucketLifecycle": "s3:PutLifecycleConfiguration",
}
"""Each operation that changes a setting, and the permission it needs."""

OTHERS: Mapping[str, str] = {
    "ListBuckets": "s3:ListAllMyBuckets",
    "HeadBucket": "s3:ListBucket",
    "GetAccountPublicAccessBlock": "s3:GetAccountPublicAccessBlock",
    "PutAccountPublicAccessBlock": "s3:PutAccountPublicAccessBlock",
    "GetCallerIdentity": "sts:GetCallerIdentity",
}
"""Operations on the account and the permissions they need; GetCallerIdentity is always allowed."""

PERMISSIONS: Mapping[str, str] = {
    **{read.operation: read.permission for read in READS.values()},
    **WRITES,
    **OTHERS,
}

CONTROLS: Mapping[str, str] = {
    "public_access_block": "bucket.public_access",
    "acl": "bucket.acl",
    "ownership": "bucket.ownership",
    "encryption": "bucket.encryption",
    "policy": "bucket.transport",
    "versioning": "bucket.versioning",
    "logging": "bucket.logging",
    "lifecycle": "bucket.lifecycle",
}
"""The control of each setting; a setting that is not listed is only read."""

BLOCKS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
ENFORCED = "BucketOwnerEnforced"


@dataclass(frozen=True)
class Answer:
    """The result of reading or changing a setting; `reason` says why there is no value."""

    kind: str
    value: Any = None
    reason: str = ""

    @property
    def known(self) -> bool:
        """Whether the value in force is known; it may be that there is none."""
        return self.kind in (FOUND, ABSENT)


Answers = Mapping[str, Answer]


@dataclass(frozen=True)
class Wanted:
    """The policy for one bucket; None leaves a setting alone."""

    acl: Optional[str] = None
    ownership: Optional[str] = None
    public_access_block: Optional[bool] = None
    encryption: Optional[Mapping[str, Any]] = None
    deny_insecure_transport: Optional[bool] = None
    minimum_tls: Optional[str] = None
    versioning: Optional[str] = None
    logging: Optional[Mapping[str, Any]] = None
    abort_incomplete_multipart_days: Optional[int] = None

    def settings(self) -> tuple[str, ...]:
        """The settings in the policy, in their order."""
        given = {
            "public_access_block": self.public_access_block,
            "acl": self.acl,
            "ownership": self.ownership,
            "encryption": self.encryption,
            "policy": self.deny_insecure_transport
            if self.deny_insecure_transport is not None
            else self.minimum_tls,
            "versioning": self.versioning,
            "logging": self.logging,
            "lifecycle": self.abort_incomplete_multipart_days,
        }
        return tuple(name for name in READS if given.get(name) is not None)


@dataclass(frozen=True)
class Step:
    """One change of one setting: the operation, and the setting before and after it."""

    setting: str
    operation: str
    arguments: Mapping[str, Any] = field(repr=False)
    before: Any = None
    after: Any = None


@dataclass(frozen=True)
class Decision:
    """The steps for one bucket, and the settings that cannot be changed, each with the reason."""

    steps: tuple[Step, ...] = ()
    refusals: tuple[tuple[str, str], ...] = ()


def method(operation: str) -> str:
    """The name of the client's method for an operation: get_bucket_acl for GetBucketAcl."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", operation).lower()
