# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of the firewall: which rules to create, change, replace, disable and remove, and in which order (pure).

The order keeps the controller's way open at each moment: rules that let in come first, then the profiles, then what
closes. Applied to the host that was read, the plan leaves nothing to plan.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from string import ascii_lowercase
from typing import Any, Dict, List, Mapping, Tuple

from ...module_utils._core.plan import Change
from .reach import any_reached, covers, planned_settings, reach
from .rules import ENUMS, can_change, differences, parameters, portrait, same, yaml
from .state import id_of, ours
from .types import LOCAL, PROFILE_NAMES, Firewall, FirewallPolicy, Management, Rule

_PROFILE_PARAMETERS = {
    "enabled": "Enabled",
    "default_inbound": "DefaultInboundAction",
    "default_outbound": "DefaultOutboundAction",
    "allow_inbound_rules": "AllowInboundRules",
    "allow_local_rules": "AllowLocalFirewallRules",
    "notify_on_listen": "NotifyOnListen",
    "log_file": "LogFileName",
    "log_max_kilobytes": "LogMaxSizeKilobytes",
    "log_allowed": "LogAllowed",
    "log_blocked": "LogBlocked",
}
_WALL = Rule(name="a wall around everything", action="block")


@dataclass(frozen=True)
class Step:
    """One thing that ``win_guard_apply`` does: with which arguments, to which local rules, and what changes by it.

    `serves` are changes of other steps that are not complete without this one.
    """

    do: str
    arguments: Mapping[str, Any]
    changes: Tuple[Change, ...]
    rules: Tuple[str, ...] = ()
    serves: Tuple[str, ...] = ()

    @property
    def keys(self) -> Tuple[str, ...]:
        """The changes that do not come true when this step fails."""
        return tuple(change.key for change in self.changes) + self.serves

    def sent(self) -> Dict[str, Any]:
        """As the module takes it."""
        return {"do": self.do, "with": dict(self.arguments), "rules": list(self.rules)}


def plan_firewall(policy: FirewallPolicy, found: Firewall, way: Management) -> List[Step]:
    """The steps that bring the host to the policy, in a safe order."""
    opening, closing = _rule_steps(policy, found, way)
    return [*opening, *_profile_steps(policy, found), *closing]


# --- rules


def _rule_steps(
    policy: FirewallPolicy, found: Firewall, way: Management
) -> Tuple[List[Step], List[Step]]:
    """What comes before the profiles, and what comes after them."""
    created: List[Step] = []
    updated: List[Tuple[Rule, Step]] = []
    walls: List[Step] = []
    flips: List[Step] = []
    leaving = strays(policy, found)
    replaced: List[Rule] = []
    for wanted, current, spare in pairs(policy, found):
        leaving += spare
        if current is not None and same(wanted, current):
            continue
        if current is None or not can_change(wanted, current):
            (created if wanted.action == "allow" else walls).append(_new(wanted, current))
            replaced += [current] if current is not None else []
        elif wanted.action == "allow":
            updated.append((wanted, _set(wanted, current)))
        else:
            (walls if current.action == "block" else flips).append(_set(wanted, current))
    after = foreseen(policy, found)
    # An update may close what it had opened: those that the controller will come through go first.
    updated.sort(key=lambda one: not _lets_in(one[0], after, way))
    updates = [step for _rule, step in updated]
    unwalled = _leave(policy, found, leaving, replaced, "block")
    closed = _leave(policy, found, leaving, replaced, "allow")
    if _open_under(after, (_WALL,), way):
        # The firewall will be off: once it is, no rule matters.
        return created, [*updates, *walls, *flips, *unwalled, *closed]
    if _open_under(after, tuple(one for one in after.rules if one.action == "block"), way):
        # The profiles will let the controller in, so that no rule may close before they do.
        return [*created, *walls, *unwalled], [*updates, *flips, *closed]
    # Block rules in their final form do not hit the controller; those that go may, as soon as a profile is turned on.
    return [*created, *updates, *walls, *flips, *unwalled], closed


def _open_under(after: Firewall, rules: Tuple[Rule, ...], way: Management) -> bool:
    return reach(replace(after, rules=rules), way).reached


def _leave(
    policy: FirewallPolicy, found: Firewall, leaving: List[Rule], replaced: List[Rule], action: str
) -> List[Step]:
    """The steps that end rules with this action: ours that are no longer wanted, and others by `unmanaged`."""
    others = [rule for rule in unmanaged_rules(policy, found) if rule.action == action]
    removed = [rule for rule in leaving if rule.action == action]
    steps = []
    if others and policy.unmanaged.action == "disable":
        steps.append(_disable(others))
    else:
        removed += others
    succeeded = [rule for rule in replaced if rule.action == action]
    if removed or succeeded:
        # One that is replaced shows as the change of its successor.
        changes = tuple(Change(rule_key(rule), portrait(rule), None) for rule in removed)
        ids = tuple(rule.id for rule in [*removed, *succeeded])
        serves = tuple(f"firewall rule {rule.name}" for rule in succeeded)
        steps.append(Step("remove_rules", {}, changes, ids, serves))
    return steps


def _lets_in(rule: Rule, after: Firewall, way: Management) -> bool:
    """Whether this rule opens one of the ways of the controller."""
    alone = tuple(one for one in after.rules if one.action == "block" or one.id == rule.id)
    return any_reached(replace(after, rules=alone), way)


def pairs(policy: FirewallPolicy, found: Firewall) -> List[Tuple[Rule, Rule | None, List[Rule]]]:
    """Each wanted rule with its id, the rule of ours that stands for it, and further ones of the same name."""
    mine: Dict[str, List[Rule]] = {}
    for rule in found.rules:
        if ours(rule, policy.group):
            mine.setdefault(rule.name.casefold(), []).append(rule)
    taken = {rule.id for rule in found.rules if rule.source == LOCAL}
    result: List[Tuple[Rule, Rule | None, List[Rule]]] = []
    for wanted in policy.rules or ():
        twins = mine.get(wanted.name.casefold(), [])
        twins = sorted(twins, key=lambda rule: (not same(wanted, rule), rule.id))
        current = twins[0] if twins else None
        if current is not None and can_change(wanted, current):
            made = current.id
        else:
            turns = (id_of(policy.group, wanted.name, turn) for turn in ascii_lowercase)
            made = next(one for one in turns if one not in taken)
        result.append((replace(wanted, id=made), current, twins[1:]))
    return result


def strays(policy: FirewallPolicy, found: Firewall) -> List[Rule]:
    """Rules of ours that the policy no longer names."""
    if policy.rules is None:
        return []
    names = {rule.name.casefold() for rule in policy.rules}
    return [
        rule
        for rule in found.rules
        if ours(rule, policy.group) and rule.name.casefold() not in names
    ]


def unmanaged_rules(policy: FirewallPolicy, found: Firewall) -> List[Rule]:
    """Rules that are not ours and shall be disabled or removed; never those of group policy."""
    unmanaged = policy.unmanaged
    if unmanaged.action == "ignore":
        return []
    return [
        rule
        for rule in found.rules
        if rule.source == LOCAL
        and not ours(rule, policy.group)
        and rule.direction == unmanaged.direction
        and rule.profiles & unmanaged.profiles
        and (rule.enabled or unmanaged.action == "remove")
    ]


def _new(rule: Rule, current: Rule | None) -> Step:
    """All that does not go without saying."""
    said = differences(rule, Rule(rule.name, id=rule.id, group=rule.group))
    arguments = {"Name": rule.id, "DisplayName": rule.name, "Group": rule.group}
    # The action and the direction are said all the same: they are what a rule is about.
    arguments.update(parameters(rule, {*said, "action", "direction", "enabled"}))
    return Step("new_rule", arguments, (_change(rule.name, current, rule),))


def _set(rule: Rule, current: Rule) -> Step:
    """What differs, and what Windows reads together with it."""
    said = set(differences(rule, current))
    if said & {"local_ports", "remote_ports", "icmp_types"}:
        said.add("protocol")
    elif "protocol" in said:
        said |= {"local_ports", "remote_ports"} if rule.protocol in ("TCP", "UDP") else set()
    arguments = parameters(rule, said)
    if rule.name != current.name:
        arguments["NewDisplayName"] = rule.name
    return Step("set_rule", arguments, (_change(rule.name, current, rule),), (current.id,))


def _disable(rules: List[Rule]) -> Step:
    changes = tuple(
        Change(rule_key(rule), portrait(rule), portrait(replace(rule, enabled=False)))
        for rule in rules
    )
    return Step("disable_rules", {}, changes, tuple(rule.id for rule in rules))


def rule_key(rule: Rule) -> str:
    """The change by which a rule goes."""
    return f"firewall rule {rule.name} [{rule.id}]"


def _change(name: str, before: Rule | None, after: Rule) -> Change:
    return Change(f"firewall rule {name}", portrait(before) if before else None, portrait(after))


# --- profiles


def _profile_steps(policy: FirewallPolicy, found: Firewall) -> List[Step]:
    steps = []
    for name, wanted in policy.profiles.items():
        current = found.profiles.get(name, {})
        changed = {
            setting: value
            for setting, value in wanted.items()
            if not equal(setting, value, current.get(setting))
        }
        if not changed:
            continue
        before = {setting: current.get(setting, "") for setting in changed}
        change = Change(f"firewall profile {name}", yaml(before), yaml(changed))
        arguments = {
            _PROFILE_PARAMETERS[one]: ENUMS.get(changed[one], changed[one]) for one in changed
        }
        steps.append(Step("set_profile", {"Name": name.capitalize(), **arguments}, (change,)))
    return steps


def equal(setting: str, wanted: str, current: str | None) -> bool:
    """Whether a setting of a profile is as wanted; paths are equal in any case of their letters."""
    if setting == "log_file":
        return wanted.casefold() == (current or "").casefold()
    return wanted == current


# --- what will be


def foreseen(policy: FirewallPolicy, found: Firewall) -> Firewall:
    """The firewall as it will be once all steps are taken."""
    rules = list(found.rules)
    if policy.rules is not None:
        rules = [rule for rule in rules if not ours(rule, policy.group)]
        rules += [wanted for wanted, _current, _spare in pairs(policy, found)]
    closed = {rule.id for rule in unmanaged_rules(policy, found)}
    if policy.unmanaged.action == "remove":
        rules = [rule for rule in rules if rule.source != LOCAL or rule.id not in closed]
    else:
        rules = [
            replace(rule, enabled=False) if rule.source == LOCAL and rule.id in closed else rule
            for rule in rules
        ]
    active = {
        name: planned_settings(
            found.profiles.get(name, {}), found.active.get(name, {}), policy.profiles.get(name, {})
        )
        for name in PROFILE_NAMES
    }
    return replace(found, rules=tuple(rules), active=active)


def swallowed(policy: FirewallPolicy, after: Firewall) -> Dict[str, Rule]:
    """The block rule that makes a wanted allow rule dead, by the name of the latter."""
    wanted = {rule.id: rule for rule in after.rules if ours(rule, policy.group)}
    blocks = [rule for rule in after.rules if rule.action == "block" and rule.enabled]
    found = {}
    for rule in wanted.values():
        if rule.action == "allow" and rule.enabled:
            over = next((block for block in blocks if covers(block, rule)), None)
            if over is not None:
                found[rule.name] = over
    return found
