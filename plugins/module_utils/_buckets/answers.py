# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Interprets the answers and errors of a store (pure)."""

from __future__ import annotations

from typing import Any, Callable, Mapping

from .types import ABSENT, BLOCKS, DENIED, FAILED, FOUND, READS, UNSUPPORTED, Answer

EVERYONE = {
    "http://acs.amazonaws.com/groups/global/AllUsers": "AllUsers",
    "http://acs.amazonaws.com/groups/global/AuthenticatedUsers": "AuthenticatedUsers",
}
LOG_DELIVERY = "LogDelivery"
OWNER = "owner"
PUBLIC_GROUPS = tuple(EVERYONE.values())

_GROUPS = {**EVERYONE, "http://acs.amazonaws.com/groups/s3/LogDelivery": LOG_DELIVERY}
_DENIED = {"AccessDenied", "AllAccessDisabled", "AccessDeniedException", "Forbidden", "403"}
_UNSUPPORTED = {"NotImplemented", "MethodNotAllowed", "NotSupported", "UnsupportedOperation"}
_UNSUPPORTED |= {"XNotImplemented", "UnknownOperationException", "405", "501"}
# Error codes of stores for settings that they do not have. Our requests contain nothing else that could be invalid.
_REFUSED = {"InvalidArgument", "InvalidRequest", "MalformedXML", "MissingContentLength"}
FATAL = {
    "InvalidAccessKeyId": "the store does not know the access key",
    "SignatureDoesNotMatch": "the secret key does not match the access key",
    "ExpiredToken": "the session token has expired",
    "ExpiredTokenException": "the session token has expired",
    "InvalidToken": "the session token is not valid",
    "InvalidClientTokenId": "the store does not know the access key",
    "UnrecognizedClientException": "the store does not know the access key",
    "AuthorizationHeaderMalformed": "the region is wrong for this endpoint",
    "RequestTimeTooSkewed": "the clock of the host that runs this module is wrong",
}
"""Errors that every further call would return too."""
NO_BUCKET = "NoSuchBucket"
ACCOUNT = "account"
UNEXPECTED = "unexpected"
"""An answer to another request. AWS never gives it; other stores do when they ignore request parameters."""


def meaning(operation: str, code: str, status: int, message: str, absent: str = "") -> Answer:
    """What an error means for the requested setting."""
    if absent and code == absent:
        return Answer(ABSENT)
    if code in _DENIED or status == 403:
        return Answer(DENIED, reason=f"access denied on {operation}")
    if code in _UNSUPPORTED or status in (405, 501):
        return Answer(
            UNSUPPORTED, reason=f"this store does not support {operation} ({status} {code})"
        )
    if code == NO_BUCKET:
        return Answer(FAILED, reason="the bucket does not exist")
    text = " ".join(f"{code}: {message}".split())
    return Answer(FAILED, reason=f"{operation} failed: {text}")


def without_setting(code: str, status: int, setting: str) -> bool:
    """Whether a store other than AWS does not have a setting at all, and did not just refuse our value."""
    if code in _DENIED or status == 403:
        return False
    if setting == ACCOUNT:
        # Stores without it read the address as that of an object, and give various answers.
        return 400 <= status < 500 and code != READS["public_access_block"].absent
    return code in _REFUSED and setting in ("ownership", "public_access_block", "encryption")


def value(setting: str, response: Mapping[str, Any]) -> Answer:
    """The setting in the store's answer, in the form that plan and verdicts use."""
    try:
        found = _VALUES[setting](response)
    except (KeyError, IndexError, TypeError) as error:
        operation = READS[setting].operation
        return Answer(
            UNEXPECTED, reason=f"the store gave an unexpected answer to {operation} ({error!r})"
        )
    return Answer(ABSENT) if found is None else Answer(FOUND, found)


def blocks(response: Mapping[str, Any]) -> dict[str, bool]:
    """The four public access blocks; one that is not mentioned is off."""
    given = response["PublicAccessBlockConfiguration"]
    return {name: bool(given.get(name)) for name in BLOCKS}


def _acl(response: Mapping[str, Any]) -> list[dict[str, str]]:
    owner = response.get("Owner", {}).get("ID")
    found = []
    for grant in response.get("Grants", []):
        grantee = grant.get("Grantee", {})
        if "URI" in grantee:
            who = _GROUPS.get(grantee["URI"], str(grantee["URI"]))
        else:
            name = str(grantee.get("ID") or grantee.get("EmailAddress"))
            who = OWNER if name == owner else f"account {name}"
        found.append({"grantee": who, "permission": str(grant["Permission"])})
    return sorted(found, key=lambda one: (one["grantee"], one["permission"]))


def _ownership(response: Mapping[str, Any]) -> str:
    return str(response["OwnershipControls"]["Rules"][0]["ObjectOwnership"])


def _encryption(response: Mapping[str, Any]) -> dict[str, Any] | None:
    rules = response["ServerSideEncryptionConfiguration"].get("Rules") or []
    return dict(rules[0]) if rules else None


def _policy(response: Mapping[str, Any]) -> str | None:
    return str(response["Policy"]) if response.get("Policy") else None


def _versioning(response: Mapping[str, Any]) -> dict[str, str]:
    return {
        "status": str(response.get("Status") or "Off"),
        "mfa_delete": str(response.get("MFADelete") or "Disabled"),
    }


def _object_lock(response: Mapping[str, Any]) -> dict[str, Any] | None:
    return response.get("ObjectLockConfiguration") or None


def _logging(response: Mapping[str, Any]) -> dict[str, Any] | None:
    return response.get("LoggingEnabled") or None


def _lifecycle(response: Mapping[str, Any]) -> dict[str, Any] | None:
    rules = response.get("Rules") or []
    minimum = response.get("TransitionDefaultMinimumObjectSize")
    return {"rules": list(rules), "minimum_size": minimum} if rules else None


_VALUES: Mapping[str, Callable[[Mapping[str, Any]], Any]] = {
    "public_access_block": blocks,
    "acl": _acl,
    "ownership": _ownership,
    "encryption": _encryption,
    "policy": _policy,
    "policy_status": lambda response: bool(response["PolicyStatus"]["IsPublic"]),
    "versioning": _versioning,
    "object_lock": _object_lock,
    "logging": _logging,
    "lifecycle": _lifecycle,
}
