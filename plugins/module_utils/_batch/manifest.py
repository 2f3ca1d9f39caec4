# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The manifest of a batch: one canonical form for each content, which is read strictly (pure).

It is JSON with one file on each line, so that sed can read it where nothing else is installed. It holds the exact files
of the batch with their sizes and digests, and all that opening them needs; the signature covers all of it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Dict, List, Optional, Tuple

from .names import is_batch, is_sender, shown
from .types import (
    DATA,
    INDEX,
    KEY,
    MAXIMUM_ITERATIONS,
    MINIMUM_PASSPHRASE_ITERATIONS,
    MINIMUM_RANDOM_ITERATIONS,
    Reason,
    Refused,
)

FORMAT = "twinguard-batch-1"
LIMIT = 65536
"""Most bytes of a manifest. It lists at most three files and some recipients, however large the batch is."""

CIPHER, KDF, DIGEST = "aes-256-ctr", "pbkdf2", "sha256"
_MOST_RECIPIENTS = 64
_FIELDS = (
    "format",
    "batch",
    "sequence",
    "sender",
    "recipients",
    "created_at",
    "encryption",
    "files",
)
_SHA256 = re.compile(r"[0-9a-f]{64}")
_TIME = "%Y-%m-%dT%H:%M:%SZ"
_LARGEST = 1 << 53  # the limit of exact integers in JSON readers


@dataclass(frozen=True)
class Sum:
    """An encrypted file: its name in the directory, its size in bytes and its SHA-256 in hex."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """A parsed manifest. `recipients`: SHA-256 of their certificates; empty with a passphrase."""

    batch: str
    sequence: int
    sender: str
    recipients: Tuple[str, ...]
    created_at: int
    iterations: int
    files: Tuple[Sum, ...]

    def file(self, ending: str) -> Sum:
        """The file with this suffix; DATA and INDEX always exist."""
        return next(one for one in self.files if one.name == self.batch + ending)


def expected_names(batch: str, wrapped: bool) -> List[str]:
    """The encrypted files of a batch, in the order of the manifest."""
    return [batch + DATA, batch + INDEX] + ([batch + KEY] if wrapped else [])


def render(manifest: Manifest) -> bytes:
    """The canonical form of this manifest."""
    encryption = {
        "cipher": CIPHER,
        "kdf": KDF,
        "digest": DIGEST,
        "iterations": manifest.iterations,
        "secret": "wrapped" if manifest.recipients else "passphrase",
    }
    fields = (
        ("format", FORMAT),
        ("batch", manifest.batch),
        ("sequence", manifest.sequence),
        ("sender", manifest.sender),
        ("recipients", list(manifest.recipients)),
        ("created_at", to_text(manifest.created_at)),
        ("encryption", encryption),
    )
    lines = [f' "{name}": {json.dumps(value)},' for name, value in fields]
    files = [
        json.dumps({"name": one.name, "size": one.size, "sha256": one.sha256})
        for one in manifest.files
    ]
    lines.append(' "files": [')
    lines.append(",\n".join("  " + one for one in files))
    return ("{\n" + "\n".join(lines) + "\n ]\n}\n").encode("ascii")


def parse(content: bytes, batch: str) -> Manifest:
    """Read the manifest of the batch with this id. Raises Refused for everything but its canonical form."""
    if len(content) > LIMIT:
        raise _bad(f"it has more than {LIMIT} bytes")
    try:
        # Before anything is parsed, because deep nesting would exhaust the parser.
        if content.count(b"[") + content.count(b"{") > 16:
            raise _bad("it is nested too deeply or has too many parts")
        document = json.loads(content.decode("ascii"), object_pairs_hook=_without_doubles)
    except (ValueError, RecursionError) as error:
        raise _bad("it is not JSON in ASCII") from error
    manifest = _read(document)
    # The parameters first, so that a well-formed but weak manifest is reported as weak.
    _check_encryption(document["encryption"], bool(manifest.recipients))
    if render(manifest) != content:
        raise _bad("it is not in the canonical form")
    if manifest.batch != batch:
        raise _bad(f"it belongs to batch {shown(manifest.batch)}, not to {batch}")
    return manifest


def _bad(detail: str) -> Refused:
    return Refused(Reason.BAD_MANIFEST, "the manifest is invalid: " + detail)


def _without_doubles(pairs: List[Tuple[str, Any]]) -> Dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _bad("it has a field twice")
    return found


def _read(document: Any) -> Manifest:
    """The fields, each checked for its type; the caller compares the canonical form."""
    if not isinstance(document, dict) or tuple(document) != _FIELDS:
        raise _bad("it does not have exactly the fields " + ", ".join(_FIELDS))
    if document["format"] != FORMAT:
        raise _bad(f"its format is {shown(str(document['format']))}, not {FORMAT}")
    batch, sender = _text(document, "batch"), _text(document, "sender")
    if not is_batch(batch):
        raise _bad(f"{shown(batch)} is not a valid batch id")
    if not is_sender(sender):
        raise _bad(f"the sender {shown(sender)} is not a valid principal (no wildcards)")
    created = from_text(_text(document, "created_at"))
    if created is None:
        raise _bad("created_at is not a time in UTC such as 2026-11-21T11:22:33Z")
    recipients = _recipients(document["recipients"])
    encryption = document["encryption"]
    if not isinstance(encryption, dict):
        raise _bad("encryption is not an object")
    iterations = _number(encryption, "iterations")
    files = _sums(document["files"], batch, bool(recipients))
    sequence = _number(document, "sequence")
    return Manifest(batch, sequence, sender, recipients, created, iterations, files)


def _text(document: Dict[str, Any], name: str) -> str:
    value = document.get(name)
    if not isinstance(value, str):
        raise _bad(f"{name} is not a string")
    return value


def _number(document: Dict[str, Any], name: str) -> int:
    value = document.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < _LARGEST:
        raise _bad(f"{name} is not an integer from 0 to 2^53 - 1")
    return value


def _recipients(value: Any) -> Tuple[str, ...]:
    if not isinstance(value, list) or len(value) > _MOST_RECIPIENTS:
        raise _bad(f"recipients is not a list of at most {_MOST_RECIPIENTS}")
    if not all(isinstance(one, str) and _SHA256.fullmatch(one) for one in value):
        raise _bad("a recipient is not the SHA-256 of a certificate")
    if value != sorted(set(value)):
        raise _bad("recipients are not sorted, or one is listed twice")
    return tuple(value)


def _sums(value: Any, batch: str, wrapped: bool) -> Tuple[Sum, ...]:
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise _bad("files is not a list of objects")
    if [one.get("name") for one in value] != expected_names(batch, wrapped):
        raise _bad(
            "it does not list exactly the files of a batch: "
            + ", ".join(expected_names(batch, wrapped))
        )
    sums = []
    for one in value:
        sha256 = _text(one, "sha256")
        if not _SHA256.fullmatch(sha256):
            raise _bad(f"the sha256 of {one['name']} is not a SHA-256 in hex")
        sums.append(Sum(one["name"], _number(one, "size"), sha256))
    return tuple(sums)


def _check_encryption(found: Dict[str, Any], wrapped: bool) -> None:
    for name, wanted in (("cipher", CIPHER), ("kdf", KDF), ("digest", DIGEST)):
        if found.get(name) != wanted:
            raise Refused(
                Reason.WEAK_PARAMETERS,
                f"the {name} is {shown(str(found.get(name)))}; only {wanted} is accepted",
            )
    least = MINIMUM_RANDOM_ITERATIONS if wrapped else MINIMUM_PASSPHRASE_ITERATIONS
    if not least <= found["iterations"] <= MAXIMUM_ITERATIONS:
        raise Refused(
            Reason.WEAK_PARAMETERS,
            f"it has {found['iterations']} rounds of PBKDF2; {least} to {MAXIMUM_ITERATIONS} are accepted",
        )


def unverified_sequence(content: bytes) -> Optional[int]:
    """The sequence number in a manifest that nobody has verified, to sort batches by; None where there is none."""
    try:
        value = json.loads(content.decode("ascii"))["sequence"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return value if isinstance(value, int) and 0 <= value < 1 << 62 else None


def to_text(seconds: int) -> str:
    """A time as manifests and logs have it: 2026-11-21T11:22:33Z."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime(_TIME)


def from_text(text: str) -> Optional[int]:
    """Seconds since 1970 of such a time; None for anything else."""
    try:
        moment = datetime.strptime(text, _TIME).replace(tzinfo=timezone.utc)
    except ValueError:
        return None
    return int(moment.timestamp()) if moment.strftime(_TIME) == text else None
