# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which rules of others keep events from a watch (pure).

The kernel heeds the first rule that matches. A rule of others that comes before ours can swallow an event
('never'), or record it under its own key, so that a search for ours does not find it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, List, Mapping, NamedTuple, Sequence, Tuple

from ..kernel.syscall_sets import watch_calls
from ..kernel.types import Field, Rule
from .mounts import magic
from .steps import brief
from .watch import Watch, inside

_SYSCALL, _PATH = 1300, 1302
# Fields that are weighed here; any other one narrows a rule to some processes or outcomes.
_WEIGHED = ("arch", "dir", "path", "perm", "key")


class Shadow(NamedTuple):
    """A rule that stands before a watch. `whole`: whoever does it, and in all of the watched place."""

    rule: Rule
    whole: bool
    sentence: str


@dataclass(frozen=True)
class Others:
    """The rules of others with their places, and the place of the first rule of ours for each path."""

    rules: Tuple[Tuple[int, Rule], ...]
    first: Mapping[str, int]

    @property
    def by_filesystem(self) -> bool:
        """Whether it matters on which kind of filesystem a watch is."""
        return any(rule.filter == "filesystem" for _number, rule in self.rules)


def others(rules: Sequence[Rule]) -> Others:
    """Sort the kernel's rules once for all watches."""
    first: Dict[str, int] = {}
    foreign = []
    for number, rule in enumerate(rules):
        if not rule.ours:
            foreign.append((number, rule))
        elif rule.filter == "exit":
            place = rule.field("dir") or rule.field("path")
            if place is not None:
                first.setdefault(str(place.value), number)
    return Others(tuple(foreign), first)


def shadows(foreign: Others, watch: Watch, arches: Sequence[int], filesystem: str) -> List[Shadow]:
    """Every rule of others that hides events from a watch or takes them under its own key."""
    found = []
    # A watch that the kernel does not hold yet would come after all of them.
    own = foreign.first.get(watch.resolved)
    for number, rule in foreign.rules:
        ahead = own is None or number < own
        if not _concerns(rule, watch, arches, filesystem, ahead):
            continue
        whole = all(_names(field) for field in rule.fields) and _around(rule, watch)
        never = rule.action == "never" or rule.filter == "exclude"
        what = "all" if whole and rule.syscalls is None else "some"
        effect = f"hides {what} events of" if never else f"takes {what} events under its key from"
        found.append(Shadow(rule, whole, f"the rule '{brief(rule)}' {effect} {watch.resolved}"))
    return found


def hides(shadow: Shadow) -> bool:
    """Whether events are lost to us: not recorded, or all of them under another key."""
    return shadow.whole or shadow.rule.action == "never" or shadow.rule.filter == "exclude"


def _names(field: Field) -> bool:
    return field.name in _WEIGHED and field.op == "="


def _concerns(
    rule: Rule, watch: Watch, arches: Sequence[int], filesystem: str, ahead: bool
) -> bool:
    if rule.filter == "task":
        return rule.action == "never"
    if rule.filter == "exclude":
        return _excludes(rule)
    if rule.filter == "filesystem":
        kind = rule.field("fstype")
        number = magic(filesystem)
        return rule.action == "never" and kind is not None and kind.value == number != 0
    return rule.filter == "exit" and ahead and _overlaps(rule, watch, arches)


def _excludes(rule: Rule) -> bool:
    """Whether such records are thrown away without which an event says nothing."""
    kinds = [field for field in rule.fields if field.name == "msgtype"]
    return all(_meets(one, _SYSCALL) or _meets(one, _PATH) for one in kinds)


def _meets(field: Field, number: int) -> bool:
    value = int(field.value)
    return {
        "=": number == value,
        "!=": number != value,
        "<": number < value,
        "<=": number <= value,
        ">": number > value,
        ">=": number >= value,
        "&": bool(number & value),
        "&=": number & value == value,
    }.get(field.op, True)


def _overlaps(rule: Rule, watch: Watch, arches: Sequence[int]) -> bool:
    mask, seen = watch.mask, list(arches)
    for field in rule.fields:
        if field.op != "=":
            continue
        if field.name in ("dir", "path"):
            place = _place(field)
            related = inside(watch.resolved, place) if field.name == "dir" else False
            if not related and not (
                watch.contains(place) if watch.tree else place == watch.resolved
            ):
                return False
        elif field.name == "perm":
            mask &= int(field.value)
        elif field.name == "arch":
            seen = [arch for arch in seen if arch == field.value]
    return bool(mask) and any(_calls_meet(rule, arch, mask) for arch in seen)


def _place(field: Field) -> str:
    return "/" + "/".join(part for part in str(field.value).split("/") if part not in ("", "."))


def _calls_meet(rule: Rule, arch: int, mask: int) -> bool:
    calls = watch_calls(arch, mask)
    return rule.syscalls is None or calls is None or bool(rule.syscalls & calls)


def _around(rule: Rule, watch: Watch) -> bool:
    """Whether the rule's place, if it names one, is all of the watch's."""
    place = rule.field("dir") or rule.field("path")
    if place is None:
        return True
    name = _place(place)
    return inside(watch.resolved, name) if place.name == "dir" else name == watch.resolved
