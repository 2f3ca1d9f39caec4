# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which uploaded files form a batch, when it is complete, and when a zone is full (pure)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, Iterable, List, Mapping, Optional, Tuple

from ..._batch.names import is_batch
from ..._batch.types import DATA, INDEX, KEY, MANIFEST, SIGNATURE

SUFFIXES = (SIGNATURE, MANIFEST, DATA, INDEX, KEY)
GRACE = 60.0
"""Seconds after the manifest in which the signature may still arrive: scp sends files in the order of names."""

OPEN_MODE, CLOSED_MODE = 0o730, 0o710
"""Modes of a drop directory: its sender can create files but not list it; when closed, neither."""


@dataclass(frozen=True)
class Arrived:
    """A file of a batch that was moved out of the zone. `age`: seconds since it was last written.

    `busy`: somebody still has it open for writing, or is renaming it.
    """

    name: str
    busy: bool
    age: float


def part_of(name: str) -> Optional[Tuple[str, str]]:
    """The batch id and the suffix of a file name; None for any other name."""
    for suffix in SUFFIXES:
        if name.endswith(suffix) and is_batch(name[: -len(suffix)]):
            return name[: -len(suffix)], suffix
    return None


def announced(names: Iterable[str]) -> Dict[str, List[str]]:
    """The batches whose manifest has arrived, with all their files; the manifest is last."""
    groups: Dict[str, List[str]] = {}
    for name in names:
        part = part_of(name)
        if part:
            groups.setdefault(part[0], []).append(name)
    return {
        batch: sorted(found, key=lambda name: (name.endswith(MANIFEST), name))
        for batch, found in sorted(groups.items())
        if batch + MANIFEST in found
    }


def complete(files: Iterable[Arrived]) -> bool:
    """Whether a batch can be opened: no file is busy, and the signature is there or overdue."""
    found = list(files)
    signed = any(one.name.endswith(SIGNATURE) for one in found)
    waited = all(one.age > GRACE for one in found if one.name.endswith(MANIFEST))
    return not any(one.busy for one in found) and (signed or waited)


def full(used: int, files: int, zone: Mapping[str, int]) -> bool:
    """Whether a zone has reached its quota, in bytes or in files."""
    return used >= zone["quota"] or files >= zone["max_files"]
