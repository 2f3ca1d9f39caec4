# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read an allowed_signers file that somebody else wrote (pure)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Dict, List, Optional, Sequence, Tuple

from .._core.plan import ControlError
from .people import Key, Person, moment
from .ssh_keys import TYPES, NotAKey, PublicKey, parse_public_key

_WORD = re.compile(r'(?:[^\s"]|"(?:[^"\\]|\\.)*")+')
_OPTION = re.compile(r'([A-Za-z-]+)(?:="((?:[^"\\]|\\.)*)")?(?:,|\Z)')
_PATTERN = re.compile(r"[*?!]")


@dataclass(frozen=True)
class Entry:
    """One line of an allowed_signers file, as it is written there. No namespaces mean all of them."""

    line: int
    principals: Tuple[str, ...]
    key: PublicKey
    namespaces: Tuple[str, ...] = ()
    valid_after: Optional[int] = None
    valid_before: Optional[int] = None
    cert_authority: bool = False


def parse_allowed_signers(content: bytes, option: str = "allowed_signers") -> List[Entry]:
    """The entries of the file. A line that OpenSSH would skip is an error here. Raises ControlError.

    A time without a Z counts as UTC; OpenSSH takes it for the local time of whoever reads it.
    """
    entries = []
    for number, line in enumerate(content.decode("utf-8", "surrogateescape").split("\n"), 1):
        text = line.strip()
        if text and not text.startswith("#"):
            try:
                entries.append(_entry(number, text))
            except (NotAKey, ValueError) as error:
                raise ControlError(
                    option, text, f"line {number} cannot be read: {error}", "correct the line"
                ) from error
    return entries


def _entry(number: int, text: str) -> Entry:
    first = _WORD.match(text)
    if not first:
        raise ValueError("it has no principals")
    principals = tuple(first.group().replace('"', "").split(","))
    rest = text[first.end() :].strip()
    options: Dict[str, str] = {}
    second = _WORD.match(rest)
    if second and second.group() not in TYPES:
        options = _options(second.group())
        rest = rest[second.end() :].strip()
    after, before = options.get("valid-after"), options.get("valid-before")
    return Entry(
        number,
        principals,
        parse_public_key(rest),
        tuple(options["namespaces"].split(",")) if "namespaces" in options else (),
        None if after is None else moment(after),
        None if before is None else moment(before),
        "cert-authority" in options,
    )


def _options(text: str) -> Dict[str, str]:
    found: Dict[str, str] = {}
    place = 0
    while place < len(text):
        part = _OPTION.match(text, place)
        name = part.group(1).lower() if part else ""
        if part is None or name in found:
            raise ValueError("its options are damaged")
        if name not in ("cert-authority", "namespaces", "valid-after", "valid-before"):
            raise ValueError(f"option '{name}' is unknown")
        found[name] = part.group(2) or ""
        place = part.end()
    return found


def people_of(entries: Sequence[Entry], option: str = "allowed_signers") -> List[Person]:
    """The people of a file: whoever has the same principals is one person. Raises ControlError."""
    people: Dict[Tuple[str, ...], List[Key]] = {}
    for entry in entries:
        if entry.cert_authority or any(_PATTERN.search(name) for name in entry.principals):
            raise ControlError(
                option,
                ",".join(entry.principals),
                f"line {entry.line} trusts by certificate or by pattern",
                "name each address and its key",
            )
        key = Key(
            entry.key,
            namespaces=entry.namespaces,
            valid_after=entry.valid_after,
            valid_before=entry.valid_before,
        )
        people.setdefault(entry.principals, []).append(key)
    return [Person(names[0], names, tuple(keys)) for names, keys in people.items()]
