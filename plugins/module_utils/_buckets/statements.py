# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bucket policies: merging our statements with others, and judging what a policy allows (pure)."""

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
    """A policy that cannot be parsed, or cannot be changed without losing part of it."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise PolicyError(
            "its policy has the same key twice, so changing it would lose one of the two values; fix it by hand"
        )
    return found


def parse(text: str | None) -> dict[str, Any] | None:
    """The parsed policy; None if the bucket has no policy. Raises PolicyError."""
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
            raise PolicyError("its policy contains a statement that is not a JSON object")
    return document


def statements(document: Mapping[str, Any] | None) -> list[Any]:
    """The statements as a list; a policy may have a single one without a list."""
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
    """Our statements by Sid; None for one to remove. A statement that is not managed is left out."""
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
    """A canonical form of a policy: stores return a list with one item as the item itself."""
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
    """The policy with our statements as wanted and all others unchanged; None if no statement is left."""
    left = dict(own)
    kept = []
    for statement in statements(document):
        sid = str(statement.get("Sid"))
        if sid not in own:
            kept.append(statement)
            continue
        wanted = left.pop(sid, None)  # a second one with the same Sid is dropped
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
    """The policy as text for the store. Raises PolicyError when it is too long."""
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=False)
    size = len(text.encode("utf-8"))
    if size > MAX_BYTES:
        raise PolicyError(
            f"its policy would have {size} bytes with our statements, but {MAX_BYTES} are allowed; shorten the policy"
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
    """The value of the statement's condition, if it has this one condition and no other."""
    condition = statement.get("Condition")
    if not isinstance(condition, dict) or list(condition) != [operator]:
        return None
    inner = condition[operator]
    if not isinstance(inner, dict) or [name.lower() for name in inner] != [key.lower()]:
        return None
    values = canonical(next(iter(inner.values())))
    return str(values[0]) if len(values) == 1 else None


def transport(document: Mapping[str, Any] | None, bucket: str) -> tuple[bool, str | None]:
    """Whether plain HTTP is denied, and the lowest TLS version that is not; statements of others count too."""
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
    """A TLS version for comparison; any other text is lower than all versions."""
    parts = text.split(".")
    return tuple(int(part) for part in parts) if all(part.isdigit() for part in parts) else ()


def open_statements(document: Mapping[str, Any] | None, unconditional: bool = False) -> list[str]:
    """Sids or numbers of statements that allow everyone something; with `unconditional` those without a condition.

    A condition, such as one on an address, may restrict a statement again. Only the store can evaluate all of them.
    """
    return [
        str(statement.get("Sid") or f"number {number}")
        for number, statement in enumerate(statements(document), 1)
        if statement.get("Effect") == "Allow"
        and (_everyone(statement) or "NotPrincipal" in statement)
        and not (unconditional and statement.get("Condition"))
    ]
