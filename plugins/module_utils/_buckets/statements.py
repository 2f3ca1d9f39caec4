# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bucket policies: our statements in the midst of others, and what a policy lets through (pure)."""

from __future__ import annotations

import json
from typing import Any, Mapping

from .._core.error import HardeningError

DENY_INSECURE = "TwinguardDenyInsecureTransport"
DENY_OLD_TLS = "TwinguardDenyOldTls"
SIDS = (DENY_INSECURE, DENY_OLD_TLS)
NO_MINIMUM = "none"
MAX_BYTES = 20480
_VERSION = "2012-10-17"


class PolicyError(HardeningError, ValueError):
    """A policy that cannot be read or changed without losing something."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise PolicyError("its policy names a key twice, so that one of both would be lost")
    return found


def parse(text: str | None) -> dict[str, Any] | None:
    """The policy as data; None where there is none. Raises PolicyError."""
    if text is None:
        return None
    try:
        document = json.loads(text, object_pairs_hook=_unique)
    except PolicyError:
        raise
    except ValueError as error:
        raise PolicyError(f"its policy is not JSON ({error})") from error
    if not isinstance(document, dict):
        raise PolicyError("its policy is not a JSON object")
    for statement in statements(document):
        if not isinstance(statement, dict):
            raise PolicyError("its policy holds a statement that is not a JSON object")
    return document


def statements(document: Mapping[str, Any] | None) -> list[Any]:
    """The statements; a single one may stand without a list."""
    found = (document or {}).get("Statement") or []
    return list(found) if isinstance(found, list) else [found]


def _own(bucket: str, partition: str, sid: str, condition: Mapping[str, Any]) -> dict[str, Any]:
    arn = f"arn:{partition}:s3:::{bucket}"
    return {
        "Sid": sid,
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [arn, arn + "/*"],
        "Condition": dict(condition),
    }


def own_statements(
    bucket: str, partition: str, insecure: bool | None, minimum: str | None
) -> dict[str, dict[str, Any] | None]:
    """Ours by Sid; None for one that shall go. What is not managed is not in it."""
    found: dict[str, dict[str, Any] | None] = {}
    if insecure is not None:
        bare = {"Bool": {"aws:SecureTransport": "false"}}
        found[DENY_INSECURE] = _own(bucket, partition, DENY_INSECURE, bare) if insecure else None
    if minimum is not None:
        old = {"NumericLessThan": {"s3:TlsVersion": minimum}}
        wanted = minimum != NO_MINIMUM
        found[DENY_OLD_TLS] = _own(bucket, partition, DENY_OLD_TLS, old) if wanted else None
    return found


def canonical(value: Any) -> Any:
    """One form for what a policy may say in several: stores hand lists of one back as the thing itself."""
    if isinstance(value, dict):
        if set(value) == {"AWS"} and value["AWS"] in ("*", ["*"]):
            return ["*"]
        return {key: canonical(one) for key, one in value.items()}
    if isinstance(value, list):
        made = [canonical(one) for one in value]
        flat = [one[0] if isinstance(one, list) and len(one) == 1 else one for one in made]
        return sorted(flat, key=lambda one: json.dumps(one, sort_keys=True))
    return [str(value).lower() if isinstance(value, bool) else str(value)]


def merge(
    document: Mapping[str, Any] | None, own: Mapping[str, dict[str, Any] | None]
) -> dict[str, Any] | None:
    """The policy with our statements as wanted and all others as they were; None for none at all."""
    left = dict(own)
    kept = []
    for statement in statements(document):
        sid = str(statement.get("Sid"))
        if sid not in own:
            kept.append(statement)
            continue
        wanted = left.pop(sid, None)  # a second one of the same Sid goes
        if wanted is not None:
            same = canonical(statement) == canonical(wanted)
            kept.append(statement if same else wanted)
    kept += [statement for statement in left.values() if statement is not None]
    if not kept:
        return None
    if document is not None and kept == statements(document):
        return dict(document)
    return {**(document or {"Version": _VERSION}), "Statement": kept}


def dump(document: Mapping[str, Any]) -> str:
    """The policy as it is sent. Raises PolicyError when it is longer than a store takes."""
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=False)
    size = len(text.encode("utf-8"))
    if size > MAX_BYTES:
        raise PolicyError(
            f"its policy would have {size} bytes with our statements, and {MAX_BYTES} are allowed"
        )
    return text


def _everyone(statement: Mapping[str, Any]) -> bool:
    principal = statement.get("Principal")
    return "*" in _texts(principal.get("AWS") if isinstance(principal, dict) else principal)


def _texts(value: Any) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list) else [str(value)]


def _denies_all(statement: Mapping[str, Any], bucket: str) -> bool:
    """Whether it denies everyone everything in the bucket, under its condition."""
    if statement.get("Effect") != "Deny" or not _everyone(statement):
        return False
    if not {"s3:*", "*"} & set(_texts(statement.get("Action"))):
        return False
    resources = set(_texts(statement.get("Resource")))
    names = {resource.split(":::", 1)[-1] for resource in resources}
    return "*" in resources or {bucket, bucket + "/*"} <= names or bucket + "*" in names


def _only_condition(statement: Mapping[str, Any], operator: str, key: str) -> str | None:
    """The value of the one condition that the statement has, if it is this one."""
    condition = statement.get("Condition")
    if not isinstance(condition, dict) or list(condition) != [operator]:
        return None
    inner = condition[operator]
    if not isinstance(inner, dict) or [name.lower() for name in inner] != [key.lower()]:
        return None
    values = canonical(next(iter(inner.values())))
    return str(values[0]) if len(values) == 1 else None


def transport(document: Mapping[str, Any] | None, bucket: str) -> tuple[bool, str | None]:
    """Whether plain HTTP is denied, and below which TLS version; whoever wrote the statements."""
    plain, minimum = False, None
    for statement in statements(document):
        if not _denies_all(statement, bucket):
            continue
        if _only_condition(statement, "Bool", "aws:SecureTransport") == "false":
            plain = True
        oldest = _only_condition(statement, "NumericLessThan", "s3:TlsVersion")
        if oldest is not None and (minimum is None or version(oldest) > version(minimum)):
            minimum = oldest
    return plain, minimum


def version(text: str) -> tuple[int, ...]:
    """A TLS version to compare; anything else counts as none."""
    parts = text.split(".")
    return tuple(int(part) for part in parts) if all(part.isdigit() for part in parts) else ()


def open_statements(document: Mapping[str, Any] | None, unconditional: bool = False) -> list[str]:
    """Statements that allow everyone something, or those that do so on no condition: their Sid or number.

    Conditions may close a statement again, such as one on an address. Only the store knows all of them.
    """
    return [
        str(statement.get("Sid") or f"number {number}")
        for number, statement in enumerate(statements(document), 1)
        if statement.get("Effect") == "Allow"
        and (_everyone(statement) or "NotPrincipal" in statement)
        and not (unconditional and statement.get("Condition"))
    ]
