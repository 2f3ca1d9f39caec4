# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names in a batch: what a batch, a sender and a file may be called (pure).

A name that passes is printable, means the same to tar, sha256sum and the kernel, and cannot lead out of its directory.
Both sides refuse every other name.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Iterable, Optional, Set

from .types import MANIFEST, Reason, Refused

_BATCH = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{16}")
_SENDER = re.compile(r"[A-Za-z0-9][A-Za-z0-9@._+-]{0,63}")
_LONGEST_NAME = 1024  # bytes, with all directories
_LONGEST_PART = 255  # bytes; what file systems take
_DEEPEST = 32
# Control, format (such as "write from right to left"), surrogate, line and paragraph separators.
_INVISIBLE = ("Cc", "Cf", "Cs", "Zl", "Zp")


def is_batch(text: str) -> bool:
    """Whether a text is a batch id, such as 20261121T112233Z-9f86d081884c7d65."""
    return _BATCH.fullmatch(text) is not None


def batch_of(name: str) -> str:
    """The id of the batch whose manifest has this file name; '' for every other name."""
    batch = name[: -len(MANIFEST)] if name.endswith(MANIFEST) else ""
    return batch if is_batch(batch) else ""


def is_sender(text: str) -> bool:
    """Whether a text can be a sender: one principal of an allowed_signers file, without wildcards."""
    return _SENDER.fullmatch(text) is not None


def problem(name: str) -> Optional[str]:
    """What is wrong with the relative name of a file in a batch; None when nothing is."""
    parts = name.split("/")
    try:
        encoded = [part.encode("utf-8") for part in parts]
    except UnicodeEncodeError:
        return "it is not UTF-8"
    if any(unicodedata.category(character) in _INVISIBLE for character in name):
        return "it contains an invisible character, such as a newline"
    if "\\" in name:
        return "it contains a backslash, which sha256sum escapes"
    if name.startswith("/"):
        return "it is an absolute path"
    if any(part in ("", ".", "..") for part in parts):
        return "it has an empty part, '.' or '..'"
    if any(part.startswith(".tg-") for part in parts):
        return "a part of it begins with '.tg-', which is reserved for this collection's own files"
    too_long = sum(map(len, encoded)) + len(parts) - 1 > _LONGEST_NAME
    if too_long or len(parts) > _DEEPEST or any(len(part) > _LONGEST_PART for part in encoded):
        return f"it is longer than {_LONGEST_NAME} bytes, {_LONGEST_PART} bytes in a part, or {_DEEPEST} parts"
    return None


def check_names(names: Iterable[str]) -> None:
    """Refuse an invalid name, a name given twice, and a file that is also a directory of another name."""
    files: Set[str] = set()
    directories: Set[str] = set()
    for name in names:
        wrong = problem(name)
        if wrong:
            raise Refused(Reason.BAD_NAME, f"the name {shown(name)}: {wrong}")
        if name in files:
            raise Refused(Reason.DUPLICATE_NAME, f"the name {shown(name)} is listed twice")
        files.add(name)
        directories.update(parents(name))
    both = sorted(files & directories)
    if both:
        raise Refused(
            Reason.DUPLICATE_NAME, f"{shown(both[0])} is listed both as a file and as a directory"
        )


def parents(name: str) -> Iterable[str]:
    """The directories of a name, the outermost first: a/b/c has a and a/b."""
    position = name.find("/")
    while position >= 0:
        yield name[:position]
        position = name.find("/", position + 1)


def shown(name: str) -> str:
    """A name in a form that is safe to print: escaped, at most 80 characters."""
    text = ascii(name)
    return text if len(text) <= 80 else text[:77] + "..."
