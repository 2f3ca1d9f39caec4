# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The wanted rules matched with those on the host: one value that plan, lockout guard and findings share (pure)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from string import ascii_lowercase
from typing import Dict, List, Mapping, NamedTuple, Sequence, Tuple

from .reach import covers, planned_settings
from .rules import can_change, same
from .state import id_of, prefix_of
from .types import LOCAL, PROFILE_NAMES, Firewall, FirewallPolicy, Rule


class Pair(NamedTuple):
    """A wanted rule with its id, the rule of ours that implements it, and further rules of ours with its name."""

    wanted: Rule
    current: Rule | None
    duplicates: Tuple[Rule, ...]


@dataclass(frozen=True)
class Match:
    """A policy matched with the firewall that was read. It is made once for each state that is read.

    `unwanted` are rules of ours that the policy does not name, and duplicates of those it does. `unmanaged` are rules
    that are not ours and are to be disabled or removed. `after` is the firewall once the whole plan is applied, and
    `shadowed` the block rule that makes an allow rule of ours ineffective then, by the name of the allow rule.
    """

    policy: FirewallPolicy
    found: Firewall
    pairs: Tuple[Pair, ...]
    unwanted: Tuple[Rule, ...]
    unmanaged: Tuple[Rule, ...]
    after: Firewall
    shadowed: Mapping[str, Rule]


def match_rules(policy: FirewallPolicy, found: Firewall) -> Match:
    """Match the policy with the firewall that was read."""
    own = _owned(policy, found)
    ids = {rule.id for rule in own}
    others = [rule for rule in found.rules if rule.source != LOCAL or rule.id not in ids]
    unmanaged = _unmanaged(policy, others)
    pairs: Tuple[Pair, ...] = ()
    unwanted: List[Rule] = []
    if policy.rules is None:
        kept, rules = own, _without(policy, found.rules, unmanaged)
    else:
        pairs = _pairs(policy, found, own)
        names = {pair.wanted.name.casefold() for pair in pairs}
        unwanted = [rule for rule in own if rule.name.casefold() not in names]
        unwanted += [rule for pair in pairs for rule in pair.duplicates]
        kept = [pair.wanted for pair in pairs]
        rules = [*_without(policy, others, unmanaged), *kept]
    after = _after(policy, found, rules)
    return Match(
        policy,
        found,
        pairs,
        tuple(unwanted),
        tuple(unmanaged),
        after,
        _shadowed(kept, rules),
    )


def _owned(policy: FirewallPolicy, found: Firewall) -> List[Rule]:
    """The rules in our group, and those that were made by us and moved out of it. Never one of group policy."""
    group, prefix = policy.group.casefold(), prefix_of(policy.group)
    return [
        rule
        for rule in found.rules
        if rule.source == LOCAL and (rule.group.casefold() == group or rule.id.startswith(prefix))
    ]


def _pairs(policy: FirewallPolicy, found: Firewall, own: Sequence[Rule]) -> Tuple[Pair, ...]:
    by_name: Dict[str, List[Rule]] = {}
    for rule in own:
        by_name.setdefault(rule.name.casefold(), []).append(rule)
    taken = {rule.id for rule in found.rules if rule.source == LOCAL}
    result = []
    for wanted in policy.rules or ():
        candidates = by_name.get(wanted.name.casefold(), [])
        candidates = sorted(candidates, key=lambda rule: (not same(wanted, rule), rule.id))
        current = candidates[0] if candidates else None
        if current is not None and can_change(wanted, current):
            id_ = current.id
        else:
            turns = (id_of(policy.group, wanted.name, turn) for turn in ascii_lowercase)
            id_ = next(one for one in turns if one not in taken)
        result.append(Pair(replace(wanted, id=id_), current, tuple(candidates[1:])))
    return tuple(result)


def _unmanaged(policy: FirewallPolicy, others: Sequence[Rule]) -> List[Rule]:
    """Rules that are not ours and are to be disabled or removed; never those of group policy."""
    unmanaged = policy.unmanaged
    if unmanaged.action == "ignore":
        return []
    return [
        rule
        for rule in others
        if rule.source == LOCAL
        and rule.direction == unmanaged.direction
        and rule.profiles & unmanaged.profiles
        and (rule.enabled or unmanaged.action == "remove")
    ]


def _without(
    policy: FirewallPolicy, rules: Sequence[Rule], unmanaged: Sequence[Rule]
) -> List[Rule]:
    """The rules once those that are `unmanaged` are disabled or removed."""
    closed = {rule.id for rule in unmanaged}
    if policy.unmanaged.action == "remove":
        return [rule for rule in rules if rule.source != LOCAL or rule.id not in closed]
    return [
        replace(rule, enabled=False) if rule.source == LOCAL and rule.id in closed else rule
        for rule in rules
    ]


def _after(policy: FirewallPolicy, found: Firewall, rules: Sequence[Rule]) -> Firewall:
    active = {
        name: planned_settings(
            found.profiles.get(name, {}), found.active.get(name, {}), policy.profiles.get(name, {})
        )
        for name in PROFILE_NAMES
    }
    return replace(found, rules=tuple(rules), active=active)


def _shadowed(own: Sequence[Rule], rules: Sequence[Rule]) -> Dict[str, Rule]:
    blocks = [rule for rule in rules if rule.action == "block" and rule.enabled]
    found = {}
    for rule in own:
        if rule.action == "allow" and rule.enabled:
            over = next((block for block in blocks if covers(block, rule)), None)
            if over is not None:
                found[rule.name] = over
    return found
