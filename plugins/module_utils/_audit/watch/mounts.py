# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the table of mounts (/proc/self/mountinfo) means for a watch (pure)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Dict, Sequence, Set, Tuple

from .watch import inside

_OCTAL = re.compile(r"\\([0-7]{3})")
_MAGIC = {
    "ext2": 0xEF53,
    "ext3": 0xEF53,
    "ext4": 0xEF53,
    "xfs": 0x58465342,
    "btrfs": 0x9123683E,
    "tmpfs": 0x01021994,
    "overlay": 0x794C7630,
    "nfs": 0x6969,
    "nfs4": 0x6969,
    "zfs": 0x2FC12FC1,
    "fuse": 0x65735546,
    "squashfs": 0x73717368,
}


@dataclass(frozen=True)
class Mount:
    """One mount: where it is seen, what it is, and what it was made with."""

    number: int
    device: str
    point: str
    kind: str
    options: str


def parse(text: str) -> Tuple[Mount, ...]:
    """Every mount of the table, in its order; lines that are none are left out."""
    mounts = []
    for line in text.split("\n"):
        before, dash, rest = line.partition(" - ")
        words, more = before.split(" "), rest.split(" ")
        if dash and len(words) >= 6 and len(more) >= 3 and words[0].isdigit():
            # Octal escapes of the options are resolved later: an escaped comma is not a separator.
            mounts.append(Mount(int(words[0]), words[2], _plain(words[4]), more[0], more[2]))
    return tuple(mounts)


def _plain(text: str) -> str:
    return _OCTAL.sub(lambda match: chr(int(match.group(1), 8)), text)


def below(mounts: Sequence[Mount]) -> Dict[str, Tuple[str, ...]]:
    """The mount points below each directory that has any, in order."""
    found: Dict[str, Set[str]] = {}
    for point in {one.point for one in mounts} - {"/"}:
        above = point
        while above != "/":
            above = above.rpartition("/")[0] or "/"
            found.setdefault(above, set()).add(point)
    return {directory: tuple(sorted(points)) for directory, points in found.items()}


def filesystem(mounts: Sequence[Mount], path: str) -> str:
    """The kind of filesystem that a path is on; "" if the table does not say."""
    kind, longest = "", -1
    for one in mounts:
        # Of several mounts at one point the last is seen.
        if inside(path, one.point) and len(one.point) >= longest:
            kind, longest = one.kind, len(one.point)
    return kind


def magic(kind: str) -> int:
    """The number of a kind of filesystem, as rules name it; 0 if unknown."""
    return _MAGIC.get(kind, 0)


def overlays(mounts: Sequence[Mount], path: str) -> Tuple[Tuple[str, str], ...]:
    """(layer, merged point) of each overlay that shows files of this path under another name.

    Who reads them there is not seen by a watch on the layer.
    """
    found = {
        (layer, mount.point)
        for mount in mounts
        if mount.kind == "overlay" and not inside(path, mount.point)
        for layer in _layers(mount.options)
        if inside(layer, path) or inside(path, layer)
    }
    return tuple(sorted(found))


@lru_cache(maxsize=None)
def _layers(options: str) -> Tuple[str, ...]:
    layers: list[str] = []
    for option in re.split(r"(?<!\\),", options):
        name, _equals, value = option.partition("=")
        if name in ("lowerdir", "upperdir", "lowerdir+", "datadir+"):
            layers += [value] if name == "upperdir" else re.split(r"(?<!\\):+", value)
    plain = (re.sub(r"\\([:,\\])", r"\1", _plain(layer)) for layer in layers)
    return tuple(layer.rstrip("/") or "/" for layer in plain if layer.startswith("/"))
