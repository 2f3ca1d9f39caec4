# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""OpenSSH public keys and signatures as data: parse, name, judge their strength (pure).

Nothing here verifies a signature: that is ssh-keygen's work. This says which key and namespace a
signature names, so that unknown keys are refused before any program is started for them.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from typing import List, NamedTuple, Optional, Tuple

from .._core.error import HardeningError

RSA_BITS = 3072
"""RSA keys below this are weak (NIST SP 800-57: 128 bits of strength)."""

TYPES = (
    "ssh-ed25519",
    "sk-ssh-ed25519@openssh.com",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "ssh-rsa",
    "ssh-dss",
)
"""The types of keys that are read. DSA is read so that it can be reported as weak."""

ARMOR_BEGIN = b"-----BEGIN SSH SIGNATURE-----"
ARMOR_END = b"-----END SSH SIGNATURE-----"

_COMMENT = re.compile(r"[^\x20-\x7e\u00a0-\U0010ffff]+")
_SIGNATURE_VERSION = 1
_LARGEST_SIGNATURE = 64 * 1024


class NotAKey(HardeningError, ValueError):
    """What should be a key or a signature is not one; the text says why."""


class PublicKey(NamedTuple):
    """One public key: its type, its blob in base64, and the comment behind it."""

    type: str
    blob: str
    comment: str = ""

    @property
    def line(self) -> str:
        """Type and blob, as in an authorized_keys file, without the comment."""
        return self.type + " " + self.blob

    @property
    def fingerprint(self) -> str:
        """The name by which ssh-keygen shows it: SHA256:..."""
        return fingerprint(base64.b64decode(self.blob))


class Signature(NamedTuple):
    """What an SSH signature says about itself. `armored` is the text that ssh-keygen reads."""

    key: PublicKey
    namespace: str
    hash: str
    armored: bytes


def fingerprint(blob: bytes) -> str:
    """The SHA256 fingerprint of a key's blob."""
    digest = base64.b64encode(hashlib.sha256(blob).digest())
    return "SHA256:" + digest.decode("ascii").rstrip("=")


def parse_public_key(line: str) -> PublicKey:
    """The key in one line `type base64 [comment]`. Raises NotAKey."""
    words = line.strip().split(None, 2)
    if "\n" in line.strip() or len(words) < 2:
        raise NotAKey("not a single line of the form 'type base64 comment'")
    if "PRIVATE KEY" in line:
        raise NotAKey("this is a private key")
    if words[0].endswith("-cert-v01@openssh.com"):
        raise NotAKey("certificates are not supported")
    if words[0] not in TYPES:
        raise NotAKey(f"'{words[0]}' is not a known key type")
    comment = _COMMENT.sub(" ", words[2]).strip() if len(words) == 3 else ""
    return PublicKey(words[0], _checked_blob(words[0], words[1]), comment)


def _checked_blob(kind: str, text: str) -> str:
    try:
        blob = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise NotAKey("its base64 is damaged") from error
    inside, rest = _string(blob)
    if inside != kind.encode("ascii") or not rest:
        raise NotAKey(f"its content is not of type {kind}")
    while rest:
        _field, rest = _string(rest)
    # Encoded anew: one key has one text, whatever padding bits the given one has.
    return base64.b64encode(blob).decode("ascii")


def _string(data: bytes) -> Tuple[bytes, bytes]:
    """The first length-prefixed string, and what follows it."""
    length = int.from_bytes(data[:4], "big")
    if len(data) < 4 or len(data) - 4 < length:
        raise NotAKey("it is cut off")
    return data[4 : 4 + length], data[4 + length :]


def weakness(key: PublicKey) -> Optional[str]:
    """Why the key should not be used any more, or None."""
    if key.type == "ssh-dss":
        return "DSA keys are too weak and OpenSSH no longer supports them"
    if key.type == "ssh-rsa":
        _kind, rest = _string(base64.b64decode(key.blob))
        _exponent, rest = _string(rest)
        modulus, _rest = _string(rest)
        bits = int.from_bytes(modulus, "big").bit_length()
        if bits < RSA_BITS:
            return f"RSA with {bits} bits is too short, {RSA_BITS} is the least"
    return None


def parse_signature(armored: bytes) -> Signature:
    """What an armoured SSH signature says about itself. Raises NotAKey."""
    if len(armored) > _LARGEST_SIGNATURE:
        raise NotAKey("the signature is too large")
    lines = armored.strip().split(b"\n")
    if lines[0].strip() != ARMOR_BEGIN or lines[-1].strip() != ARMOR_END:
        raise NotAKey("the signature's armour is incomplete")
    try:
        data = base64.b64decode(b"".join(line.strip() for line in lines[1:-1]), validate=True)
    except binascii.Error as error:
        raise NotAKey("the signature's base64 is damaged") from error
    if data[:6] != b"SSHSIG" or int.from_bytes(data[6:10], "big") != _SIGNATURE_VERSION:
        raise NotAKey("not an SSH signature of version 1")
    fields: List[bytes] = []
    rest = data[10:]
    for _number in range(5):
        field, rest = _string(rest)
        fields.append(field)
    if rest:
        raise NotAKey("there is data after the signature")
    blob, namespace, _reserved, hashed, _raw = fields
    kind, _rest = _string(blob)
    key = PublicKey(_ascii(kind), base64.b64encode(blob).decode("ascii"))
    return Signature(key, _ascii(namespace), _ascii(hashed), armored.strip() + b"\n")


def _ascii(data: bytes) -> str:
    """As text that is safe to show, whatever a stranger wrote there."""
    return "".join(chr(byte) if 0x20 < byte < 0x7F else "?" for byte in data[:100])
