# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of a batch by its manifest and the names of its files (pure).

They run before anything is decrypted, and raise Refused with one reason.
"""

from __future__ import annotations

from typing import Iterable, List, Optional, Sequence, Tuple

from .index import INDEX_LIMIT, SALT
from .manifest import Manifest, expected_names
from .names import batch_of, shown
from .types import INDEX, KEY, MANIFEST, SIGNATURE, Reason, Refused

CLOCK_SKEW = 300
"""Seconds by which the clocks of sender and receiver may differ."""

KEY_LIMIT = 131072
_OVERHEAD = 4096  # bytes of the archive for each file: headers with the longest name, and padding


def batches(present: Iterable[str]) -> Tuple[List[str], List[str]]:
    """The ids of the batches whose manifest is present, and the names of manifests without a batch id."""
    found = [name for name in sorted(present) if name.endswith(MANIFEST)]
    good = [batch_of(name) for name in found if batch_of(name)]
    bad = [name for name in found if not batch_of(name)]
    return good, bad


def belonging(present: Iterable[str], batch: str) -> List[str]:
    """All names that begin with a batch id, whether its manifest lists them or not."""
    return sorted(name for name in present if name.startswith(batch + "."))


def check_sender(manifest: Manifest, principals: Sequence[str], senders: Sequence[str]) -> None:
    """Whether the signer may sign for the sender, and the sender may send to this directory."""
    if manifest.sender not in principals:
        raise Refused(
            Reason.WRONG_SENDER,
            f"the sender is {manifest.sender}, but the signing key belongs to {', '.join(principals)}",
        )
    if senders and manifest.sender not in senders:
        raise Refused(
            Reason.WRONG_SENDER,
            f"{manifest.sender} may not send to this directory; allowed: {', '.join(senders)}",
        )


def check_time(manifest: Manifest, now: int, maximum_age: int) -> None:
    """Whether it was neither made in the future nor too long ago."""
    if manifest.created_at > now + CLOCK_SKEW:
        ahead = manifest.created_at - now
        raise Refused(
            Reason.FROM_THE_FUTURE,
            f"its creation time is {ahead} seconds in the future; check the clocks of both hosts",
        )
    if maximum_age and now - manifest.created_at > maximum_age:
        raise Refused(
            Reason.TOO_OLD,
            f"it was created {now - manifest.created_at} seconds ago; at most {maximum_age} are allowed",
        )


def choose(manifest: Manifest, fingerprints: Sequence[str], passphrase: bool) -> Optional[int]:
    """The number of our identity that the batch was sealed for; None for the passphrase."""
    if not manifest.recipients:
        if passphrase:
            return None
        raise Refused(
            Reason.WRONG_RECIPIENT,
            "it is sealed with a passphrase, and no passphrase_file is given here",
        )
    for number, fingerprint in enumerate(fingerprints):
        if fingerprint in manifest.recipients:
            return number
    raise Refused(
        Reason.WRONG_RECIPIENT, "it is not sealed for any of the certificates in identities"
    )


def check_set(present: Iterable[str], manifest: Manifest) -> None:
    """Whether exactly the files that the manifest lists are present."""
    batch = manifest.batch
    wanted = {*expected_names(batch, bool(manifest.recipients))}
    wanted |= {batch + MANIFEST, batch + SIGNATURE}
    found = set(belonging(present, batch))
    missing, extra = sorted(wanted - found), sorted(found - wanted)
    if missing:
        raise Refused(Reason.MISSING_FILE, f"{missing[0]} is missing")
    if extra:
        raise Refused(Reason.EXTRA_FILE, f"{shown(extra[0])} is not listed in the manifest")


def check_limits(manifest: Manifest, maximum_bytes: int, maximum_files: int) -> None:
    """Whether the batch is within the limits, by the sizes in the signed manifest."""
    for one in manifest.files:
        small = INDEX_LIMIT if one.name.endswith(INDEX) else KEY_LIMIT
        most = (
            small if one.name.endswith((INDEX, KEY)) else maximum_bytes + maximum_files * _OVERHEAD
        )
        if one.size > most:
            raise Refused(
                Reason.TOO_LARGE, f"{one.name} has {one.size} bytes; at most {most} are allowed"
            )
    if manifest.file(INDEX).size <= SALT:
        raise Refused(Reason.EMPTY_BATCH, "the batch contains no file")
