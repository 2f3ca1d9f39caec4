# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The argument specifications of ``s3_guard`` and ``s3_guard_info`` (pure)."""

from __future__ import annotations

from typing import Any

CONNECTION_SPEC: dict[str, Any] = {
    "access_key": {
        "type": "str",
        "aliases": ["aws_access_key_id", "aws_access_key"],
        "no_log": False,
    },
    "secret_key": {
        "type": "str",
        "aliases": ["aws_secret_access_key", "aws_secret_key"],
        "no_log": True,
    },
    "session_token": {"type": "str", "aliases": ["aws_session_token"], "no_log": True},
    "profile": {"type": "str", "aliases": ["aws_profile"]},
    "region": {"type": "str", "aliases": ["aws_region"]},
    "endpoint_url": {"type": "str", "aliases": ["aws_endpoint_url"]},
    "aws_ca_bundle": {"type": "path"},
    "validate_certs": {"type": "bool", "default": True},
    "assume_role_arn": {"type": "str"},
    "assume_role_external_id": {"type": "str", "no_log": True},
    "max_workers": {"type": "int", "default": 16},
}
"""Options for the connection to the store, named as in amazon.aws."""

_POLICY: dict[str, Any] = {
    "acl": {"type": "str", "choices": ["private"]},
    "ownership": {
        "type": "str",
        "choices": ["BucketOwnerEnforced", "BucketOwnerPreferred", "ObjectWriter", "preserve"],
    },
    "public_access_block": {"type": "bool"},
    "encryption": {
        "type": "dict",
        "options": {
            "algorithm": {
                "type": "str",
                "choices": ["AES256", "aws:kms", "aws:kms:dsse"],
                "required": True,
            },
            "kms_key_id": {"type": "str", "no_log": False},
            "bucket_key": {"type": "bool", "no_log": False},
        },
    },
    "deny_insecure_transport": {"type": "bool"},
    "minimum_tls": {"type": "str", "choices": ["1.2", "1.3", "none"]},
    "versioning": {"type": "str", "choices": ["enabled", "suspended"]},
    "logging": {
        "type": "dict",
        "options": {
            "bucket": {"type": "str", "required": True},
            "prefix": {"type": "str", "default": "{bucket}/"},
        },
    },
    "abort_incomplete_multipart_days": {"type": "int"},
}
_EXCEPTIONS: dict[str, Any] = {
    "type": "list",
    "elements": "dict",
    "default": [],
    "options": {
        "bucket": {"type": "str", "required": True},
        "control": {"type": "str", "required": True},
        "reason": {"type": "str", "required": True},
        "expires": {"type": "str", "required": True},
    },
}
_BUCKETS: dict[str, Any] = {"type": "list", "elements": "str", "required": True}
_OVERRIDES: dict[str, Any] = {
    "type": "list",
    "elements": "dict",
    "default": [],
    "options": dict(_POLICY, buckets=_BUCKETS),
}

GUARD_SPEC: dict[str, Any] = {
    "buckets": _BUCKETS,
    "policy": {"type": "dict", "options": _POLICY},
    "overrides": _OVERRIDES,
    "account_public_access_block": {"type": "bool"},
    "exceptions": _EXCEPTIONS,
    "proof_timeout": {"type": "int", "default": 30},
    **CONNECTION_SPEC,
}
INFO_SPEC: dict[str, Any] = {
    "buckets": {"type": "list", "elements": "str", "default": ["*"]},
    "policy": {"type": "dict", "options": _POLICY},
    "overrides": _OVERRIDES,
    "exceptions": _EXCEPTIONS,
    **CONNECTION_SPEC,
}
EXCLUSIVE = [["profile", "access_key"], ["profile", "secret_key"], ["profile", "session_token"]]
TOGETHER = [["access_key", "secret_key"]]
