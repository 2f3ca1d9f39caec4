# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose commits are accepted in a repository, and when the server saw them (pure)."""

from __future__ import annotations

import hashlib
import re
from typing import Any, Dict, Iterable, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from ..._core.error import ControlError
from ..._trust.people import CLOCK_SKEW, Key, Person, parse_people
from .objects import OBJECT_ID

RULES = 1
"""Raised whenever the rules change, so that verdicts kept under older ones are not used."""

_ZERO = re.compile(r"0+\Z")


class Policy:
    """All that decides about a commit; nothing in it is changed once it is made.

    `forges` are services that merge for people (web interfaces): their keys count for clean merges
    only. History up to a pinned root is trusted without a look. `exceptions`: commit id -> reason.
    """

    def __init__(
        self,
        people: Sequence[Person],
        forges: Sequence[Person] = (),
        pinned_roots: Sequence[str] = (),
        exceptions: Optional[Mapping[str, str]] = None,
        clock_skew: int = CLOCK_SKEW,
    ) -> None:
        self.people = tuple(people)
        self.forges = tuple(forges)
        self.pinned_roots = tuple(pinned_roots)
        self.exceptions = dict(exceptions or {})
        self.clock_skew = clock_skew
        # Looked up for each commit of a history.
        self._owners: Dict[str, List[Tuple[Person, Key, bool]]] = {}
        for forge, group in ((False, self.people), (True, self.forges)):
            for person in group:
                for key in person.keys:
                    if key.ssh:
                        self._owners.setdefault(key.ssh.line, []).append((person, key, forge))
        everybody = (*self.people, *self.forges)
        self.knows_openpgp = any(key.openpgp for person in everybody for key in person.keys)

    def digest(self) -> str:
        """Changes whenever a verdict could change for another reason than the time."""
        rules = [RULES, self.people, self.forges, sorted(self.pinned_roots)]
        rules += [sorted(self.exceptions.items()), self.clock_skew]
        return hashlib.sha256(repr(rules).encode("utf-8", "surrogateescape")).hexdigest()

    def owners(self, line: str) -> List[Tuple[Person, Key, bool]]:
        """Who has the SSH key 'type base64': the person, the key, whether it is a forge."""
        return self._owners.get(line, [])


class Accepted(NamedTuple):
    """One accepted push, as the guard records it."""

    time: int
    ref: str
    old: str
    new: str
    repository: str = ""


def parse_policy(
    people: Sequence[Mapping[str, Any]],
    forges: Sequence[Mapping[str, Any]] = (),
    pinned_roots: Sequence[str] = (),
    exceptions: Sequence[Mapping[str, Any]] = (),
    clock_skew: Optional[int] = None,
) -> Policy:
    """The policy from options of modules or from a program's JSON file. Raises ControlError.

    `forges` have the shape of `people`; `exceptions` are [{commit: full id, reason: text}].
    """
    persons, services = parse_people(people), parse_people(forges, "forges")
    theirs = {key.ssh.line: one.name for one in services for key in one.keys if key.ssh}
    for person in persons:
        for key in person.keys:
            if key.ssh and key.ssh.line in theirs:
                raise ControlError(
                    "forges",
                    theirs[key.ssh.line],
                    f"its key is also a key of {person.name}",
                    "give the forge a key of its own, nobody may sign as a forge",
                )
    for root in pinned_roots:
        _check_id(root, "pinned_roots")
    skew = CLOCK_SKEW if clock_skew is None else clock_skew
    if skew < 0:
        raise ControlError("clock_skew", skew, "this is below zero", "use seconds such as 600")
    reasons = dict(_exception(item, number) for number, item in enumerate(exceptions))
    return Policy(tuple(persons), tuple(services), tuple(pinned_roots), reasons, skew)


def _check_id(value: Any, option: str) -> str:
    if not isinstance(value, str) or not OBJECT_ID.match(value):
        raise ControlError(option, value, "not a full commit id", "use the output of git rev-parse")
    return value


def _exception(item: Mapping[str, Any], number: int) -> Tuple[str, str]:
    reason = str(item.get("reason") or "").strip()
    commit = _check_id(item.get("commit"), f"exceptions[{number}].commit")
    if not reason:
        raise ControlError(
            f"exceptions[{number}].reason",
            item.get("reason"),
            "an exception needs a reason",
            "give the reason for accepting this commit",
        )
    return commit, reason


def render_accepted(push: Accepted) -> str:
    """The line of the record: time, repository, ref, old id, new id."""
    return f"{push.time} {push.repository} {push.ref} {push.old} {push.new}\n"


def parse_accepted(text: str) -> List[Accepted]:
    """The record in the order of time. A line that is not whole is left out: it proves nothing."""
    found = []
    for line in text.splitlines():
        words = line.split(" ")
        whole = len(words) >= 4 and words[0].isdigit()
        if whole and all(OBJECT_ID.match(word) for word in words[-2:]):
            # A path may hold spaces, a ref cannot.
            repository = " ".join(words[1:-3])
            found.append(Accepted(int(words[0]), words[-3], words[-2], words[-1], repository))
    return sorted(found, key=lambda push: push.time)


def seen_times(parents: Mapping[str, Sequence[str]], record: Iterable[Accepted]) -> Dict[str, int]:
    """When the server first accepted each commit; one it never recorded is left out.

    `parents` holds the commits to look at. What an old tip already held was there before its push.
    """
    times: Dict[str, int] = {}
    before: Dict[str, bool] = {}

    def walk(start: str) -> List[str]:
        reached, waiting = [], [start]
        while waiting:
            commit = waiting.pop()
            if commit in parents and commit not in times and commit not in before:
                before[commit] = True
                reached.append(commit)
                waiting.extend(parents[commit])
        return reached

    for push in sorted(record, key=lambda one: one.time):
        if not _ZERO.match(push.old):
            walk(push.old)
        for commit in walk(push.new):
            del before[commit]
            times[commit] = push.time
    return times
