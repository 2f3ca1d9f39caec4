# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who signed a batch, by the key named in the signature (pure).

ssh-keygen verifies every signature. This file finds the exact reason for a refusal, and refuses what ssh-keygen would
accept: an allowed_signers entry without a namespace, and a signature in a non-canonical encoding.
"""

from __future__ import annotations

import base64
import textwrap
from typing import List, Sequence, Set, Tuple

from .._trust.allowed_signers import Entry, parse_allowed_signers
from .._trust.ssh_keys import (
    ARMOR_BEGIN,
    ARMOR_END,
    NotAKey,
    PublicKey,
    Signature,
    parse_public_key,
    parse_signature,
)
from .types import NAMESPACE, Reason, Refused

SIGNATURE_LIMIT = 16384
_WIDTH = 70  # of a line of ssh-keygen's armour


def entries(allowed_signers: bytes) -> List[Entry]:
    """The senders' keys. Raises ControlError for a malformed file."""
    return parse_allowed_signers(allowed_signers)


def revoked_keys(revocations: bytes) -> Set[str]:
    """The blobs of the keys in a text revocation file; binary ones (KRL) are left to ssh-keygen."""
    found = set()
    for line in revocations.decode("utf-8", "replace").splitlines():
        try:
            found.add(parse_public_key(line).blob)
        except NotAKey:
            continue  # a comment, or part of a binary list
    return found


def signature(content: bytes) -> Signature:
    """The content of a signature file, not yet verified. Refused unless encoded exactly as ssh-keygen does."""
    try:
        parsed = parse_signature(content)
    except NotAKey as error:
        raise Refused(Reason.BAD_SIGNATURE, f"the signature is malformed: {error}") from error
    if _armour(content) != content:
        raise Refused(Reason.BAD_SIGNATURE, "the signature is not encoded as ssh-keygen writes it")
    return parsed


def _armour(content: bytes) -> bytes:
    text = b"".join(content.strip().split(b"\n")[1:-1])
    encoded = base64.b64encode(base64.b64decode(text)).decode("ascii")
    lines = "\n".join(textwrap.wrap(encoded, _WIDTH)).encode("ascii")
    return ARMOR_BEGIN + b"\n" + lines + b"\n" + ARMOR_END + b"\n"


def signers(
    found: Signature, allowed: Sequence[Entry], revoked: Set[str], now: int
) -> Tuple[str, ...]:
    """The principals for which the key of this signature may sign now, in this namespace.

    Raises Refused when there is none.
    """
    if found.namespace != NAMESPACE:
        raise Refused(
            Reason.WRONG_NAMESPACE,
            f"it was signed in the namespace {found.namespace}, not in {NAMESPACE}",
        )
    shown = found.key.fingerprint
    if found.key.blob in revoked:
        raise Refused(Reason.SIGNER_REVOKED, f"the key {shown} is revoked")
    known = [one for one in allowed if _same(one.key, found.key) and not one.cert_authority]
    if not known:
        raise Refused(Reason.UNKNOWN_SIGNER, f"no sender in people has the signing key {shown}")
    inside = [one for one in known if NAMESPACE in one.namespaces]
    if not inside:
        raise Refused(
            Reason.WRONG_NAMESPACE,
            f"the key {shown} is known, but not for the namespace {NAMESPACE}",
        )
    valid = [one for one in inside if _valid(one, now)]
    if not valid:
        raise Refused(
            Reason.SIGNER_EXPIRED, f"the key {shown} is not valid now (valid_after, valid_before)"
        )
    return tuple(dict.fromkeys(name for one in valid for name in one.principals))


def _same(one: PublicKey, other: PublicKey) -> bool:
    return one.blob == other.blob


def _valid(entry: Entry, now: int) -> bool:
    early = entry.valid_after is not None and now < entry.valid_after
    return not early and (entry.valid_before is None or now < entry.valid_before)
