# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who signed a batch, as far as that can be told without cryptography (pure).

ssh-keygen has the last word on every signature. What is here finds the right word for a refusal, and refuses on its
own what ssh-keygen would let pass: an entry without a namespace, and a signature written in another way.
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
    """The senders' keys. Raises ControlError for a file that cannot be read."""
    return parse_allowed_signers(allowed_signers)


def revoked_keys(revocations: bytes) -> Set[str]:
    """The blobs of the keys in a revocation file of text; ssh-keygen itself reads binary ones, too."""
    found = set()
    for line in revocations.decode("utf-8", "replace").splitlines():
        try:
            found.add(parse_public_key(line).blob)
        except NotAKey:
            continue  # a comment, or part of a binary list
    return found


def signature(content: bytes) -> Signature:
    """What a signature file claims. Refused unless it is written exactly as ssh-keygen writes it."""
    try:
        parsed = parse_signature(content)
    except NotAKey as error:
        raise Refused(Reason.BAD_SIGNATURE, f"the signature cannot be read: {error}") from error
    if _armour(content) != content:
        raise Refused(Reason.BAD_SIGNATURE, "the signature is not in the form of ssh-keygen")
    return parsed


def _armour(content: bytes) -> bytes:
    text = b"".join(content.strip().split(b"\n")[1:-1])
    encoded = base64.b64encode(base64.b64decode(text)).decode("ascii")
    lines = "\n".join(textwrap.wrap(encoded, _WIDTH)).encode("ascii")
    return ARMOR_BEGIN + b"\n" + lines + b"\n" + ARMOR_END + b"\n"


def signers(
    found: Signature, allowed: Sequence[Entry], revoked: Set[str], now: int
) -> Tuple[str, ...]:
    """The principals that the key of this signature may speak for now, in this namespace.

    Raises Refused with the reason why there is none.
    """
    if found.namespace != NAMESPACE:
        raise Refused(
            Reason.WRONG_NAMESPACE, f"it was signed for {found.namespace}, not for {NAMESPACE}"
        )
    shown = found.key.fingerprint
    if found.key.blob in revoked:
        raise Refused(Reason.SIGNER_REVOKED, f"the key {shown} is revoked")
    known = [one for one in allowed if _same(one.key, found.key) and not one.cert_authority]
    if not known:
        raise Refused(Reason.UNKNOWN_SIGNER, f"nobody who may send has the key {shown}")
    inside = [one for one in known if NAMESPACE in one.namespaces]
    if not inside:
        raise Refused(Reason.WRONG_NAMESPACE, f"the key {shown} is known, but not for {NAMESPACE}")
    valid = [one for one in inside if _valid(one, now)]
    if not valid:
        raise Refused(Reason.SIGNER_EXPIRED, f"the key {shown} is not valid at this time")
    return tuple(dict.fromkeys(name for one in valid for name in one.principals))


def _same(one: PublicKey, other: PublicKey) -> bool:
    return one.blob == other.blob


def _valid(entry: Entry, now: int) -> bool:
    early = entry.valid_after is not None and now < entry.valid_after
    return not early and (entry.valid_before is None or now < entry.valid_before)
