# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which rules of ours the kernel must lose and get, so that it holds what is wanted in order (pure)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Collection, Dict, Sequence, Tuple

from ..kernel.rule_lines import canonical, show
from ..kernel.types import Rule

_LONG = re.compile(r" -S [^ ]{60,}")


@dataclass(frozen=True)
class Steps:
    """Rules to delete, as the kernel holds them, and then rules to add at the end, in this order."""

    delete: Tuple[Rule, ...] = ()
    add: Tuple[Rule, ...] = ()

    @property
    def needed(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.delete or self.add)


def steps(
    now: Sequence[Rule], groups: Sequence[Sequence[Rule]], anew: Collection[int] = ()
) -> Steps:
    """From the kernel's rules to the wanted ones; rules of others are not touched.

    Order counts within a group only. A new rule can only come last, so of each group the longest
    beginning that is there in order stays, and the rest is deleted and added. The groups with a
    number in `anew` are deleted and added as a whole: only that makes the kernel look at their paths again.
    """
    exact = {
        rule: (number, index)
        for number, group in enumerate(groups)
        for index, rule in enumerate(group)
    }
    same: Dict[Rule, Tuple[int, int]] = {}
    kept = [0] * len(groups)
    delete = []
    for rule in now:
        if not rule.ours:
            continue
        place = exact.get(rule)
        if place is None:
            # Made by another tool, perhaps; that is rare, and comparing by intent takes longer.
            same = same or {canonical(one): found for one, found in exact.items()}
            place = same.get(canonical(rule), (-1, -1))
        number, index = place
        if number >= 0 and number not in anew and index == kept[number]:
            kept[number] += 1
        else:
            delete.append(rule)
    add = [rule for number, group in enumerate(groups) for rule in group[kept[number] :]]
    return Steps(tuple(delete), tuple(add))


def brief(rule: Rule) -> str:
    """A rule for a sentence: the long list of system calls that a watch is for is left out."""
    return _LONG.sub("", show(rule))


def listing(rules: Sequence[Rule]) -> str:
    """Rules of ours as people read them, one on each line."""
    return "".join(show(rule) + "\n" for rule in rules if rule.ours)


def after(now: Sequence[Rule], todo: Steps) -> Tuple[Rule, ...]:
    """What the kernel holds once the steps are done."""
    gone = set(map(id, todo.delete))
    return tuple(rule for rule in now if id(rule) not in gone) + todo.add


def differences(now: Sequence[Rule], groups: Sequence[Sequence[Rule]]) -> Tuple[str, ...]:
    """What the kernel does not hold as wanted, in words; nothing when all is well."""
    todo = steps(now, groups)
    if not todo.needed:
        return ()
    missing = {canonical(rule) for rule in todo.add}
    found = []
    for rule in todo.delete:
        word = "out of order" if canonical(rule) in missing else "not asked for"
        found.append(f"{word}: {brief(rule)}")
    present = {canonical(rule) for rule in todo.delete}
    found += [f"missing: {brief(rule)}" for rule in todo.add if canonical(rule) not in present]
    return tuple(found)
