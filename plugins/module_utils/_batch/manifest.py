# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The manifest of a batch: one form for each content, so that it is read strictly (pure).

It is JSON with one file on each line, in a form that sed can read when nothing else is there. Only what the signature
covers is in it: the exact files of the batch with their sizes and digests, and all that opening them needs.
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
"""Bytes of a manifest. It names at most three files and some recipients, whatever the batch holds."""

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
_LARGEST = 1 << 53  # what every reader of JSON still tells apart


@dataclass(frozen=True)
class Sum:
    """An encrypted file: its name in the directory, its size in bytes and its SHA-256 in hex."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What a manifest says. `recipients`: SHA-256 of their certificates; empty with a passphrase."""

    batch: str
    sequence: int
    sender: str
    recipients: Tuple[str, ...]
    created_at: int
    iterations: int
    files: Tuple[Sum, ...]

    def file(self, ending: str) -> Sum:
        """The file whose name ends so; there is always one of DATA and INDEX."""
        return next(one for one in self.files if one.name == self.batch + ending)


def expected_names(batch: str, wrapped: bool) -> List[str]:
    """The encrypted files that a batch has, in the order of the manifest."""
    return [batch + DATA, batch + INDEX] + ([batch + KEY] if wrapped else [])


def render(manifest: Manifest) -> bytes:
    """The one form of this manifest."""
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
    """Read the manifest of the batch with this id. Raises Refused for all but its one form."""
    if len(content) > LIMIT:
        raise _bad(f"it has more than {LIMIT} bytes")
    try:
        # Before anything is parsed: a deep nesting would exhaust the parser.
        if content.count(b"[") + content.count(b"{") > 16:
            raise _bad("it is nested or has too many parts")
        document = json.loads(content.decode("ascii"), object_pairs_hook=_without_doubles)
    except (ValueError, RecursionError) as error:
        raise _bad("it is not JSON in ASCII") from error
    manifest = _read(document)
    # The parameters first: a manifest that is well formed but weak shall be called weak.
    _check_encryption(document["encryption"], bool(manifest.recipients))
    if render(manifest) != content:
        raise _bad("it is not in the form that we write")
    if manifest.batch != batch:
        raise _bad(f"it is the manifest of {shown(manifest.batch)}, not of {batch}")
    return manifest


def _bad(detail: str) -> Refused:
    return Refused(Reason.BAD_MANIFEST, "the manifest cannot be used: " + detail)


def _without_doubles(pairs: List[Tuple[str, Any]]) -> Dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _bad("it gives a value twice")
    return found


def _read(document: Any) -> Manifest:
    """The fields, each with its type; the caller compares the whole form."""
    if not isinstance(document, dict) or tuple(document) != _FIELDS:
        raise _bad("it does not have exactly the fields " + ", ".join(_FIELDS))
    if document["format"] != FORMAT:
        raise _bad(f"its format is {shown(str(document['format']))}, not {FORMAT}")
    batch, sender = _text(document, "batch"), _text(document, "sender")
    if not is_batch(batch):
        raise _bad(f"the batch id {shown(batch)} is not of our form")
    if not is_sender(sender):
        raise _bad(f"the sender {shown(sender)} is not of our form")
    created = from_text(_text(document, "created_at"))
    if created is None:
        raise _bad("created_at is no time in UTC")
    recipients = _recipients(document["recipients"])
    encryption = document["encryption"]
    if not isinstance(encryption, dict):
        raise _bad("its encryption is no set of parameters")
    iterations = _number(encryption, "iterations")
    files = _sums(document["files"], batch, bool(recipients))
    sequence = _number(document, "sequence")
    return Manifest(batch, sequence, sender, recipients, created, iterations, files)


def _text(document: Dict[str, Any], name: str) -> str:
    value = document.get(name)
    if not isinstance(value, str):
        raise _bad(f"its {name} is no text")
    return value


def _number(document: Dict[str, Any], name: str) -> int:
    value = document.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < _LARGEST:
        raise _bad(f"its {name} is no number from 0 to 2^53")
    return value


def _recipients(value: Any) -> Tuple[str, ...]:
    if not isinstance(value, list) or len(value) > _MOST_RECIPIENTS:
        raise _bad(f"its recipients are no list of at most {_MOST_RECIPIENTS}")
    if not all(isinstance(one, str) and _SHA256.fullmatch(one) for one in value):
        raise _bad("a recipient is no SHA-256 of a certificate")
    if value != sorted(set(value)):
        raise _bad("its recipients are not in order, or one is there twice")
    return tuple(value)


def _sums(value: Any, batch: str, wrapped: bool) -> Tuple[Sum, ...]:
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise _bad("its files are no list of files")
    if [one.get("name") for one in value] != expected_names(batch, wrapped):
        raise _bad("it does not name exactly the files that a batch has")
    sums = []
    for one in value:
        sha256 = _text(one, "sha256")
        if not _SHA256.fullmatch(sha256):
            raise _bad(f"the digest of {one['name']} is no SHA-256")
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
            f"{found['iterations']} rounds of PBKDF2; {least} to {MAXIMUM_ITERATIONS} are accepted",
        )


def to_text(seconds: int) -> str:
    """A time of the manifest: 2026-11-21T11:22:33Z."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime(_TIME)


def from_text(text: str) -> Optional[int]:
    """Seconds since 1970 of such a time; None for anything else."""
    try:
        moment = datetime.strptime(text, _TIME).replace(tzinfo=timezone.utc)
    except ValueError:
        return None
    return int(moment.timestamp()) if moment.strftime(_TIME) == text else None
