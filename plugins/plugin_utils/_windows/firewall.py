# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of the firewall: which rules to create, change, replace, disable and remove, and in which order (pure).

The order keeps the controller connected after each step: allow rules come first, then the profiles, then the steps that
close something. Once the plan is applied to the host that was read, a second plan is empty.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Dict, List, Mapping, Sequence, Tuple

from ...module_utils._core.plan import Change
from .match import Match
from .reach import any_reached, reach
from .rules import ENUMS, can_change, described, differences, parameters, same, yaml
from .types import Firewall, FirewallPolicy, Management, Rule

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
_BLOCK_ALL = Rule(name="block everything", action="block")


@dataclass(frozen=True)
class Step:
    """One command of ``win_guard_apply``: its arguments, the ids of the rules it acts on, and the changes it makes.

    `serves` are the keys of changes of other steps that are not complete without this one.
    """

    do: str
    arguments: Mapping[str, Any]
    changes: Tuple[Change, ...]
    rules: Tuple[str, ...] = ()
    serves: Tuple[str, ...] = ()

    @property
    def keys(self) -> Tuple[str, ...]:
        """The keys of the changes that are not made when this step fails."""
        return tuple(change.key for change in self.changes) + self.serves

    def sent(self) -> Dict[str, Any]:
        """The step in the form that ``win_guard_apply`` takes."""
        return {"do": self.do, "with": dict(self.arguments), "rules": list(self.rules)}


def plan_firewall(match: Match, way: Management) -> List[Step]:
    """The steps that bring the host to the policy, in a safe order."""
    opening, closing = _rule_steps(match, way)
    return [*opening, *_profile_steps(match.policy, match.found), *closing]


# --- rules


def _rule_steps(match: Match, way: Management) -> Tuple[List[Step], List[Step]]:
    """The steps to take before the profiles are set, and those to take after."""
    created: List[Step] = []
    updated: List[Tuple[Rule, Step]] = []
    blocks: List[Step] = []
    turned: List[Step] = []
    replaced: List[Rule] = []
    for wanted, current, _duplicates in match.pairs:
        if current is not None and same(wanted, current):
            continue
        if current is None or not can_change(wanted, current):
            (created if wanted.action == "allow" else blocks).append(_new(wanted, current))
            replaced += [current] if current is not None else []
        elif wanted.action == "allow":
            updated.append((wanted, _set(wanted, current)))
        else:
            (blocks if current.action == "block" else turned).append(_set(wanted, current))
    after = match.after
    # An update may close what the rule let in before: rules that will let the controller in are updated first.
    updated.sort(key=lambda one: not _lets_in(one[0], after, way))
    updates = [step for _rule, step in updated]
    unblocked = _end(match, replaced, "block")
    closed = _end(match, replaced, "allow")
    if _open_under(after, (_BLOCK_ALL,), way):
        # The firewall will be off: once it is, no rule matters.
        return created, [*updates, *blocks, *turned, *unblocked, *closed]
    if _open_under(after, tuple(one for one in after.rules if one.action == "block"), way):
        # The profiles will let the controller in, so that no rule may close before they do.
        return [*created, *blocks, *unblocked], [*updates, *turned, *closed]
    # Block rules in their final form do not hit the controller. Those that are removed may hit it as soon as a profile
    # is turned on.
    return [*created, *updates, *blocks, *turned, *unblocked], closed


def _open_under(after: Firewall, rules: Tuple[Rule, ...], way: Management) -> bool:
    return reach(replace(after, rules=rules), way).reached


def _end(match: Match, replaced: Sequence[Rule], action: str) -> List[Step]:
    """The steps that end rules with this action: ours that are no longer wanted, and others by `unmanaged`."""
    others = [rule for rule in match.unmanaged if rule.action == action]
    removed = [rule for rule in match.unwanted if rule.action == action]
    succeeded = [rule for rule in replaced if rule.action == action]
    steps = []
    if others and match.policy.unmanaged.action == "disable":
        steps.append(_disable(others))
    else:
        removed += others
    if removed or succeeded:
        # A rule that is replaced shows as the change of its successor.
        changes = tuple(Change(rule_key(rule), described(rule), None) for rule in removed)
        ids = tuple(rule.id for rule in [*removed, *succeeded])
        serves = tuple(f"firewall rule {rule.name}" for rule in succeeded)
        steps.append(Step("remove_rules", {}, changes, ids, serves))
    return steps


def _lets_in(rule: Rule, after: Firewall, way: Management) -> bool:
    """Whether this rule lets the controller in on at least one path."""
    alone = tuple(one for one in after.rules if one.action == "block" or one.id == rule.id)
    return any_reached(replace(after, rules=alone), way)


def _new(rule: Rule, current: Rule | None) -> Step:
    """The step that creates a rule; attributes with Windows' default value are not sent."""
    names = differences(rule, Rule(rule.name, id=rule.id, group=rule.group))
    arguments = {"Name": rule.id, "DisplayName": rule.name, "Group": rule.group}
    # These are always sent, so that the rule does not depend on a default of Windows in what matters most.
    arguments.update(parameters(rule, {*names, "action", "direction", "enabled"}))
    return Step("new_rule", arguments, (_change(rule.name, current, rule),))


def _set(rule: Rule, current: Rule) -> Step:
    """The step that changes a rule: attributes that differ, and those that Windows needs together with them."""
    names = set(differences(rule, current))
    if names & {"local_ports", "remote_ports", "icmp_types"}:
        names.add("protocol")
    elif "protocol" in names:
        names |= {"local_ports", "remote_ports"} if rule.protocol in ("TCP", "UDP") else set()
    arguments = parameters(rule, names)
    if rule.name != current.name:
        arguments["NewDisplayName"] = rule.name
    return Step("set_rule", arguments, (_change(rule.name, current, rule),), (current.id,))


def _disable(rules: List[Rule]) -> Step:
    changes = tuple(
        Change(rule_key(rule), described(rule), described(replace(rule, enabled=False)))
        for rule in rules
    )
    return Step("disable_rules", {}, changes, tuple(rule.id for rule in rules))


def rule_key(rule: Rule) -> str:
    """The key of the change that removes or disables a rule."""
    return f"firewall rule {rule.name} [{rule.id}]"


def _change(name: str, before: Rule | None, after: Rule) -> Change:
    return Change(f"firewall rule {name}", described(before) if before else None, described(after))


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
    """Whether a setting of a profile is as wanted; the case of a path does not count."""
    if setting == "log_file":
        return wanted.casefold() == (current or "").casefold()
    return wanted == current
