# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""API keys of the model gateway: their strength, and the digests that are sent to the gateway (pure).

nginx's secure_link module compares MD5 digests, in about a microsecond and before the rate limits
run. The gateway holds per key a *handle* (its last six characters, to find the entry) and that digest.
A digest of a random key of at least 128 bits cannot be turned back into the key: that needs a
preimage, and the known weakness of MD5 is collisions, which do not help here.
"""

from __future__ import annotations

import base64
import hashlib
import math
import re
from dataclasses import dataclass
from datetime import date, datetime, time, timezone
from typing import Any, Mapping, Sequence

from ...module_utils._core.plan import SECRET, ControlError

HANDLE_LENGTH = 6
MINIMUM_BITS = 128
_KEY = re.compile(r"[A-Za-z0-9._~+/=-]{1,256}")
_KEY_HASH = re.compile(r"([A-Za-z0-9._~+/=-]{%d}):([A-Za-z0-9_-]{22})" % HANDLE_LENGTH)
# What a key is made of decides how much one of its characters can hold at the most.
_ALPHABETS = (
    (r"[0-9]+", 10),
    (r"[0-9a-f]+|[0-9A-F]+", 16),
    (r"[0-9a-z]+|[0-9A-Z]+", 36),
    (r"[0-9A-Za-z]+", 62),
)


@dataclass(frozen=True)
class Credential:
    """One key as the gateway stores it; ``not_after`` in seconds since 1970 (UTC), None = no expiry."""

    handle: str
    digest: str
    not_after: int | None

    @property
    def fingerprint(self) -> str:
        """Eight hex digits that identify the key in reports and reveal nothing about it."""
        return hashlib.sha256(self.digest.encode()).hexdigest()[:8]


def parse_credential(option: str, value: Mapping[str, Any]) -> Credential:
    """Parse one entry of ``clients[].keys``: ``key`` or ``key_hash``, and optionally ``not_after``."""
    key, key_hash = value.get("key"), value.get("key_hash")
    if (key is None) == (key_hash is None):
        raise ControlError(
            option,
            SECRET,
            "has both or neither of key and key_hash",
            "give exactly one of the two",
        )
    not_after = value.get("not_after")
    expiry = None if not_after is None else _expiry(option + ".not_after", not_after)
    if key_hash is not None:
        found = _KEY_HASH.fullmatch(str(key_hash))
        if not found:
            raise ControlError(
                option + ".key_hash",
                SECRET,
                "is not <last %d characters>:<MD5 in base64url>" % HANDLE_LENGTH,
                "make it with the command in the role's README, section Keys",
            )
        return Credential(found.group(1), found.group(2), expiry)
    text = str(key)
    _refuse_weak(option + ".key", text)
    return Credential(text[-HANDLE_LENGTH:], digest_of(text), expiry)


def digest_of(key: str) -> str:
    """The digest that nginx compares: MD5, base64url, no padding."""
    # FIPS controllers refuse a plain md5(). The docstring of this file says why MD5 is sufficient here.
    try:
        digest = hashlib.new("md5", key.encode(), usedforsecurity=False).digest()
    except TypeError:  # Python 3.8 does not have this argument
        digest = hashlib.new("md5", key.encode()).digest()  # noqa: S324
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def strength(key: str) -> int:
    """The maximum entropy, in bits, of a random key with this length and alphabet."""
    size = next((size for pattern, size in _ALPHABETS if re.fullmatch(pattern, key)), 64)
    return int(len(key) * math.log2(size))


def refuse_shared_keys(entries: Sequence[tuple[str, Credential]]) -> None:
    """Refuse entries with the same key, or with handles that differ only in case (nginx's map ignores case)."""
    seen: dict[str, tuple[str, Credential]] = {}
    for client, credential in entries:
        other = seen.setdefault(credential.handle.lower(), (client, credential))
        if other[1] is credential:
            continue
        if other[1].digest == credential.digest:
            problem = f"is the same key for '{other[0]}' and '{client}'"
        else:
            problem = "ends in the same %d characters for '%s' and '%s'" % (
                HANDLE_LENGTH,
                other[0],
                client,
            )
        raise ControlError("clients", SECRET, problem, "issue a new key for one of them")


def refuse_bare_keys(args: Mapping[str, Any]) -> None:
    """Refuse a key given as a bare string, before a type error could quote it."""
    fix = "write each as {key: ...} or {key_hash: ...}"
    clients = args.get("clients")
    for index, client in enumerate(clients if isinstance(clients, (list, tuple)) else ()):
        option = "clients[%d]" % index
        if not isinstance(client, Mapping):
            raise ControlError(
                option,
                SECRET,
                "is not a dictionary",
                "write it as {id: ..., tier: ..., keys: [...]}",
            )
        keys = client.get("keys", [])
        if not isinstance(keys, (list, tuple)) or not all(isinstance(one, Mapping) for one in keys):
            raise ControlError(option + ".keys", SECRET, "is not a list of dictionaries", fix)
    if clients is not None and not isinstance(clients, (list, tuple)):
        raise ControlError(
            "clients", SECRET, "is not a list", "write a list of {id: ..., tier: ..., keys: [...]}"
        )


def _refuse_weak(option: str, key: str) -> None:
    fix = "make one with: openssl rand -base64 32 | tr '+/' '-_' | tr -d ='\\n'"
    if not _KEY.fullmatch(key):
        raise ControlError(
            option,
            SECRET,
            "is empty, longer than 256 characters or has a character outside A-Z a-z 0-9 . _ ~ + / = -",
            fix,
        )
    if strength(key) < MINIMUM_BITS:
        raise ControlError(
            option,
            SECRET,
            "has at most %d bits of entropy, and %d are required" % (strength(key), MINIMUM_BITS),
            fix,
        )
    if len(set(key)) < 8:
        raise ControlError(
            option, SECRET, f"consists of only {len(set(key))} different characters", fix
        )


def _expiry(option: str, value: object) -> int:
    """A time with its zone, or a date, which counts until the end of that day in UTC."""
    text = str(value).strip()
    fix = "write 2027-06-30 (to the end of that day, UTC) or 2027-06-30T12:00:00Z"
    try:
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
            moment = datetime.combine(date.fromisoformat(text), time(23, 59, 59), timezone.utc)
        else:
            moment = datetime.fromisoformat(re.sub(r"[zZ]$", "+00:00", text))
    except ValueError:
        raise ControlError(option, value, "is not a date or a time", fix) from None
    if moment.tzinfo is None:
        raise ControlError(option, value, "has no time zone", fix)
    if moment.timestamp() < 0:
        raise ControlError(option, value, "is before 1970", fix)
    return int(moment.timestamp())
