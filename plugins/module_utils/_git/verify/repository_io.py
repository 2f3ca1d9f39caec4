# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read a repository of git as it is, whatever it or its user's settings would make of it (I/O)."""

from __future__ import annotations

import os
from typing import Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

from ..._core.error import HardeningError
from ..._host.run_io import Done, ProgramError, clean_environment, run
from .objects import shown

QUARANTINE = ("GIT_QUARANTINE_PATH", "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES")
"""What git tells a hook about the objects that are not in the repository yet."""

_AT_ONCE = 2000
_SETTINGS = ("-c", "safe.directory=*", "-c", "core.hooksPath=/dev/null")


class GitFailure(HardeningError):
    """Git could not do what was asked; one safe sentence. Nothing was verified then."""


class Repository:
    """A repository, bare or not. `quarantine` holds those of QUARANTINE that a hook was given."""

    def __init__(self, path: str, quarantine: Optional[Mapping[str, str]] = None) -> None:
        self.path = path
        self.quarantine = dict(quarantine or {})

    @property
    def git_dir(self) -> str:
        """The directory of git itself; in a work tree that is .git."""
        inside = os.path.join(self.path, ".git")
        return os.path.abspath(inside if os.path.exists(inside) else self.path)

    def environment(self) -> Dict[str, str]:
        """Ours for every command: no user, no system, no replacements, no network."""
        return {
            **clean_environment(),
            "GIT_DIR": self.git_dir,
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "HOME": "/nonexistent",
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_NO_LAZY_FETCH": "1",
            "GIT_ALLOW_PROTOCOL": "none",
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ATTR_NOSYSTEM": "1",
            **{name: value for name, value in self.quarantine.items() if name in QUARANTINE},
        }

    def git(
        self,
        *words: str,
        stdin: bytes = b"",
        codes: Sequence[int] = (0,),
        more: Optional[Mapping[str, str]] = None,
    ) -> Done:
        """Run a command of git. GitFailure when it ends with another code."""
        environment = {**self.environment(), **(more or {})}
        try:
            # In no work tree: its attributes would have a say in merges.
            done = run(["git", *_SETTINGS, *words], stdin, environment, cwd="/")
        except ProgramError as error:
            raise GitFailure(str(error)) from error
        if done.code not in codes:
            lines = done.err.strip().splitlines() or [b"it gave no reason"]
            raise GitFailure(f"git {words[0]} in {self.path} failed: {shown(lines[0], 200)}")
        return done

    def commits(self, new: Sequence[str], without: Sequence[str]) -> Tuple[List[str], List[str]]:
        """The commits that `new` has and `without` has not, parents first, and those they rest on."""
        lines = [*new, *("^" + one for one in without)]
        words = ("rev-list", "--topo-order", "--reverse", "--boundary", "--stdin")
        done = self.git(*words, stdin="".join(line + "\n" for line in lines).encode("ascii"))
        inside, edge = [], []
        for line in done.out.decode("ascii").split():
            if line.startswith("-"):
                edge.append(line[1:])
            else:
                inside.append(line)
        return inside, edge

    def objects(self, names: Iterable[str]) -> Dict[str, Tuple[str, bytes]]:
        """Type and content of each object; one that is not there is left out."""
        wanted = list(dict.fromkeys(names))
        found: Dict[str, Tuple[str, bytes]] = {}
        for start in range(0, len(wanted), _AT_ONCE):
            part = wanted[start : start + _AT_ONCE]
            stdin = "".join(name + "\n" for name in part).encode("ascii")
            found.update(_batch(self.git("cat-file", "--batch", stdin=stdin).out))
        return found

    def is_ancestor(self, old: str, new: str) -> bool:
        """Whether the history of `new` holds `old`."""
        return self.git("merge-base", "--is-ancestor", old, new, codes=(0, 1)).code == 0

    def replacements(self) -> List[str]:
        """The objects for which the repository shows others."""
        done = self.git("for-each-ref", "--format=%(refname:lstrip=2)", "refs/replace/")
        return done.out.decode("ascii", "replace").split()

    def has(self, name: str) -> bool:
        """Whether git keeps a file such as `shallow` or `info/grafts` that is not empty."""
        place = self.git_dir
        if os.path.isfile(place):
            place = self.git("rev-parse", "--absolute-git-dir").out.decode("utf-8").rstrip("\n")
        for directory in (place, _common(place)):
            try:
                if os.path.getsize(os.path.join(directory, name)) > 0:
                    return True
            except FileNotFoundError:
                continue
            except OSError as error:
                raise GitFailure(f"cannot read {name} of {self.path}: {error.strerror}") from error
        return False


def _common(git_dir: str) -> str:
    """Where work trees of one repository keep what they share."""
    try:
        with open(os.path.join(git_dir, "commondir"), encoding="utf-8") as file:
            return os.path.join(git_dir, file.read().strip())
    except FileNotFoundError:
        return git_dir


def _batch(data: bytes) -> Dict[str, Tuple[str, bytes]]:
    """What `git cat-file --batch` prints."""
    found: Dict[str, Tuple[str, bytes]] = {}
    place = 0
    while place < len(data):
        end = data.index(b"\n", place)
        words = data[place:end].decode("ascii", "replace").split(" ")
        place = end + 1
        if len(words) == 3 and words[2].isdigit():
            size = int(words[2])
            found[words[0]] = (words[1], data[place : place + size])
            place += size + 1
    return found
