# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Merge two commits again, to see whether a merge holds more than its parents (I/O)."""

from __future__ import annotations

import os
import tempfile
from typing import Optional

from .objects import OBJECT_ID
from .repository_io import GitFailure, Repository

# As a forge merges: no setting of the repository or the host counts.
_SETTINGS = ("merge.renames=true", "merge.directoryRenames=conflict", "diff.renameLimit=1000")


def merged_tree(place: Repository, ours: str, theirs: str) -> Optional[str]:
    """The tree that git makes of both, or None when they conflict. GitFailure; git 2.38 or newer.

    What git writes meanwhile lands in a directory of its own that is removed: the repository is only read.
    """
    environment = place.environment()
    objects = place.git("rev-parse", "--git-path", "objects").out.decode("utf-8").rstrip("\n")
    known = [environment.get("GIT_OBJECT_DIRECTORY") or os.path.join(os.getcwd(), objects)]
    others = environment.get("GIT_ALTERNATE_OBJECT_DIRECTORIES")
    with tempfile.TemporaryDirectory(prefix="twinguard-merge-") as scratch:
        alternates = ":".join(_quoted(path) for path in known)
        more = {
            "GIT_OBJECT_DIRECTORY": scratch,
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": alternates + (":" + others if others else ""),
        }
        words = [word for setting in _SETTINGS for word in ("-c", setting)]
        done = place.git(
            *words, "merge-tree", "--write-tree", ours, theirs, codes=(0, 1), more=more
        )
    first = done.out.decode("utf-8", "replace").split("\n", 1)[0]
    if not OBJECT_ID.match(first):
        raise GitFailure("git merge-tree gave no tree; it takes git 2.38 or newer")
    return first if done.code == 0 else None


def _quoted(path: str) -> str:
    """As git wants a directory in a list that is separated by colons."""
    return '"' + path.replace("\\", "\\\\").replace('"', '\\"') + '"'
