# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commits and tags of git as data, from their raw bytes (pure).

Whoever pushes chooses these bytes. What two readers could read in two ways is refused here, even
where git itself is lenient: a commit with two signatures, a NUL, or a second address in a name.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from ..._core.error import HardeningError

LARGEST = 1024 * 1024
"""Bytes; a commit or tag above it is refused instead of read."""

FORMATS = {
    b"-----BEGIN SSH SIGNATURE-----": "ssh",
    b"-----BEGIN PGP SIGNATURE-----": "openpgp",
    b"-----BEGIN PGP MESSAGE-----": "openpgp",
    b"-----BEGIN SIGNED MESSAGE-----": "x509",
}
"""How each kind of signature begins."""

OBJECT_ID = re.compile(r"(?:[0-9a-f]{40}|[0-9a-f]{64})\Z")
_ID = re.compile(rb"(?:[0-9a-f]{40}|[0-9a-f]{64})\Z")
# One address and no more; git itself would take the first of several, other tools the last.
_PERSON = re.compile(rb"([^<>\n\0]*) <([^<>\n\0]*)> ([0-9]{1,15}) ([+-][0-9]{4})\Z")
_SIGNATURE_HEADERS = (b"gpgsig", b"gpgsig-sha256")
_ONCE = (b"tree", b"author", b"committer", b"encoding", b"object", b"type", b"tag", b"tagger")


class NotAnObject(HardeningError, ValueError):
    """Bytes that are not a commit or tag, or that can be read in two ways; the text gives the reason."""


class Signed(NamedTuple):
    """A commit or a tag. `email` and `time` are the committer's or the tagger's.

    `payload` is exactly what was signed. A commit has `parents`, a tag has a `target` of a `kind`
    and its own `name`.
    """

    id: str
    email: str
    time: int
    payload: bytes
    signature: Optional[bytes]
    tree: str = ""
    parents: Tuple[str, ...] = ()
    target: str = ""
    kind: str = ""
    name: str = ""

    @property
    def format(self) -> str:
        """'ssh', 'openpgp', 'x509', '' when unsigned, or 'unknown'."""
        if self.signature is None:
            return ""
        first = self.signature.split(b"\n", 1)[0].strip()
        return FORMATS.get(first, "unknown")


def object_id(kind: str, content: bytes, length: int) -> str:
    """The id that git gives to the content; the length, 40 or 64, tells which digest it uses."""
    head = f"{kind} {len(content)}".encode("ascii") + b"\0"
    if length == 64:
        return hashlib.sha256(head + content).hexdigest()
    # What git names objects by; nothing here trusts it more than git does.
    return _sha1(head + content).hexdigest()


def _sha1(data: bytes) -> Any:
    """SHA-1, also where it is switched off for security: from Python 3.9 on it can be marked as not for security."""
    try:
        return hashlib.sha1(data, usedforsecurity=False)  # type: ignore[call-arg,unused-ignore]
    except TypeError:
        return hashlib.sha1(data)  # noqa: S324


def shown(text: bytes, length: int = 100) -> str:
    """What a stranger wrote, safe for a terminal, a log and a single line."""
    return "".join(chr(byte) if 0x20 <= byte < 0x7F else "?" for byte in text[:length])


def parse_commit(name: str, content: bytes) -> Signed:
    """The commit with this id. Raises NotAnObject."""
    _check(name, "commit", content)
    headers, body = _headers(content)
    order = [key for key, _value, _raw in headers]
    parents = []
    for key, value, _raw in headers[1:]:
        if key != b"parent":
            break
        parents.append(_hex(value, "parent"))
    count = len(parents)
    if order[:1] + order[count + 1 : count + 3] != [b"tree", b"author", b"committer"]:
        raise NotAnObject("its headers are not in git's order")
    if b"parent" in order[count + 1 :]:
        raise NotAnObject("it names a parent in the wrong place")
    email, time = _person(headers[count + 2][1], "committer")
    _person(headers[count + 1][1], "author")
    wanted = _SIGNATURE_HEADERS[len(name) == 64]
    signature = [value for key, value, _raw in headers if key == wanted]
    payload = b"".join(raw for key, _value, raw in headers if key not in _SIGNATURE_HEADERS) + body
    return Signed(
        name,
        email,
        time,
        payload,
        signature[0] + b"\n" if signature else None,
        tree=_hex(headers[0][1], "tree"),
        parents=tuple(parents),
    )


def parse_tag(name: str, content: bytes) -> Signed:
    """The annotated tag with this id. Raises NotAnObject."""
    _check(name, "tag", content)
    headers, body = _headers(content)
    values: Dict[bytes, bytes] = {key: value for key, value, _raw in headers}
    if [key for key, _value, _raw in headers] != [b"object", b"type", b"tag", b"tagger"]:
        raise NotAnObject("its headers are not those of a tag")
    email, time = _person(values[b"tagger"], "tagger")
    begin = _signature_start(body)
    signature = body[begin:] if begin is not None else None
    payload = content[: len(content) - len(signature)] if signature else content
    return Signed(
        name,
        email,
        time,
        payload,
        signature,
        target=_hex(values[b"object"], "object"),
        kind=shown(values[b"type"]),
        name=values[b"tag"].decode("utf-8", "replace"),
    )


def _check(name: str, kind: str, content: bytes) -> None:
    if len(content) > LARGEST:
        raise NotAnObject(f"it has {len(content)} bytes, more than {LARGEST}")
    if object_id(kind, content, len(name)) != name:
        raise NotAnObject("its content does not belong to its id")
    if b"\0" in content:
        raise NotAnObject("it contains a NUL byte, behind which some programs do not read")


def _headers(content: bytes) -> Tuple[List[Tuple[bytes, bytes, bytes]], bytes]:
    """Each header as (key, value with its folded lines joined, raw bytes), and all that follows."""
    head, blank, rest = content.partition(b"\n\n")
    if not blank:
        if not content.endswith(b"\n"):
            raise NotAnObject("its headers do not end")
        head, rest = content[:-1], b""
    found: List[Tuple[bytes, bytes, bytes]] = []
    for line in head.split(b"\n"):
        if line.startswith(b" "):
            if not found:
                raise NotAnObject("it begins with a folded line")
            key, value, raw = found[-1]
            found[-1] = (key, value + b"\n" + line[1:], raw + line + b"\n")
            continue
        key, space, value = line.partition(b" ")
        if not key or not space:
            raise NotAnObject("it has a header without a value")
        found.append((key, value, line + b"\n"))
    keys = [key for key, _value, _raw in found]
    for key in keys:
        alone = key in _ONCE or key.startswith(b"gpgsig")
        if alone and keys.count(key) > 1:
            raise NotAnObject(f"it has the header '{shown(key)}' twice")
        if key.startswith(b"gpgsig") and key not in _SIGNATURE_HEADERS:
            raise NotAnObject(f"its header '{shown(key)}' is unknown and would not be signed")
    return found, (b"\n" + rest if blank else b"")


def _person(value: bytes, role: str) -> Tuple[str, int]:
    found = _PERSON.match(value)
    if not found:
        raise NotAnObject(f"its {role} is not 'name <address> time zone' with one address")
    return found.group(2).decode("utf-8", "surrogateescape"), int(found.group(3))


def _hex(value: bytes, what: str) -> str:
    if not _ID.match(value):
        raise NotAnObject(f"its {what} is not an object id")
    return value.decode("ascii")


def _signature_start(body: bytes) -> Optional[int]:
    """Where git sees the signature of a tag: the last line that begins one."""
    place, found = 0, None
    for line in body.split(b"\n"):
        if line.startswith(tuple(FORMATS)):
            found = place
        place += len(line) + 1
    return found
