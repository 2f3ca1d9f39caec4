# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is decided about a batch from its manifest and the names beside it (pure).

All of it comes before anything is decrypted, and raises Refused with one reason.
"""

from __future__ import annotations

import json
from typing import Iterable, List, Optional, Sequence, Tuple

from .index import INDEX_LIMIT, SALT
from .manifest import Manifest, expected_names
from .names import is_batch, shown
from .types import INDEX, KEY, MANIFEST, SIGNATURE, Reason, Refused

CLOCKS_DIFFER = 300
"""Seconds that the clocks of sender and receiver may differ."""

KEY_LIMIT = 131072
_OVERHEAD = 4096  # bytes of the archive for each file: headers with the longest name, and padding
_BROKEN = 1 << 62  # a manifest that cannot be read has its turn after all others


def batches(present: Iterable[str]) -> Tuple[List[str], List[str]]:
    """The ids of the batches whose manifest is there, and manifests with a name that is none of ours."""
    found = [name for name in sorted(present) if name.endswith(MANIFEST)]
    good = [name[: -len(MANIFEST)] for name in found if is_batch(name[: -len(MANIFEST)])]
    bad = [name for name in found if not is_batch(name[: -len(MANIFEST)])]
    return good, bad


def belonging(present: Iterable[str], batch: str) -> List[str]:
    """All names that belong to a batch, or pretend to."""
    return sorted(name for name in present if name.startswith(batch + "."))


def claimed_sequence(manifest: bytes) -> int:
    """The number that a manifest claims, to open batches in their order. Nothing is trusted for it."""
    try:
        value = json.loads(manifest.decode("ascii"))["sequence"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return _BROKEN
    return value if isinstance(value, int) and 0 <= value < _BROKEN else _BROKEN


def check_sender(manifest: Manifest, principals: Sequence[str], senders: Sequence[str]) -> None:
    """Whether the signer may speak for the sender, and the sender may send here."""
    if manifest.sender not in principals:
        raise Refused(
            Reason.WRONG_SENDER,
            f"it is from {manifest.sender}, and signed by a key of {', '.join(principals)}",
        )
    if senders and manifest.sender not in senders:
        raise Refused(Reason.WRONG_SENDER, f"{manifest.sender} may not send to this place")


def check_time(manifest: Manifest, now: int, maximum_age: int) -> None:
    """Whether it was made at a time that can be."""
    if manifest.created_at > now + CLOCKS_DIFFER:
        ahead = manifest.created_at - now
        raise Refused(Reason.FROM_THE_FUTURE, f"it was made {ahead} seconds from now")
    if maximum_age and now - manifest.created_at > maximum_age:
        raise Refused(
            Reason.TOO_OLD,
            f"it was made {now - manifest.created_at} seconds ago; {maximum_age} are allowed",
        )


def choose(manifest: Manifest, fingerprints: Sequence[str], passphrase: bool) -> Optional[int]:
    """Which of our identities the batch was sealed for; None for the passphrase."""
    if not manifest.recipients:
        if passphrase:
            return None
        raise Refused(Reason.WRONG_RECIPIENT, "it is sealed with a passphrase; there is none here")
    for number, fingerprint in enumerate(fingerprints):
        if fingerprint in manifest.recipients:
            return number
    raise Refused(Reason.WRONG_RECIPIENT, "it is not sealed for any certificate of ours")


def check_set(present: Iterable[str], manifest: Manifest) -> None:
    """Whether the files beside the manifest are exactly those that it names."""
    batch = manifest.batch
    wanted = {*expected_names(batch, bool(manifest.recipients))}
    wanted |= {batch + MANIFEST, batch + SIGNATURE}
    found = set(belonging(present, batch))
    missing, extra = sorted(wanted - found), sorted(found - wanted)
    if missing:
        raise Refused(Reason.MISSING_FILE, f"{missing[0]} is missing")
    if extra:
        raise Refused(Reason.EXTRA_FILE, f"{shown(extra[0])} is not in the manifest")


def check_limits(manifest: Manifest, maximum_bytes: int, maximum_files: int) -> None:
    """Whether the batch is within our limits, by the sizes of the signed manifest."""
    for one in manifest.files:
        small = INDEX_LIMIT if one.name.endswith(INDEX) else KEY_LIMIT
        most = (
            small if one.name.endswith((INDEX, KEY)) else maximum_bytes + maximum_files * _OVERHEAD
        )
        if one.size > most:
            raise Refused(Reason.TOO_LARGE, f"{one.name} has {one.size} bytes; {most} are allowed")
    if manifest.file(INDEX).size <= SALT:
        raise Refused(Reason.EMPTY_BATCH, "the batch holds no file")
