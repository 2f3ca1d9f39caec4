# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wanted rules matched with those of the host: once for each state that is read."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.twinguard.hardening.plugins.plugin_utils._windows import match, run_io
from ansible_collections.twinguard.hardening.plugins.plugin_utils._windows.run_io import Guard
from ansible_collections.twinguard.hardening.plugins.plugin_utils._windows.state import (
    id_of,
    prefix_of,
)
from ansible_collections.twinguard.hardening.plugins.plugin_utils._windows.types import (
    POLICY,
    Firewall,
    FirewallPolicy,
    Management,
    Rule,
    Unmanaged,
)
from ansible_collections.twinguard.hardening.tests.windows.host_model import Host
from ansible_collections.twinguard.hardening.tests.windows.host_scripts import run_script
from ansible_collections.twinguard.hardening.tests.windows.host_world import RULE

GROUP = "twinguard"
JUPYTER = Rule("Jupyter", protocol="TCP", local_ports=frozenset(["8888"]), group=GROUP)
PUBLIC = frozenset(["public"])


def matched(*rules: Rule, wanted: tuple[Rule, ...] | None = (JUPYTER,), **changes: Any) -> Any:
    policy = FirewallPolicy(GROUP, rules=wanted, **changes)
    return match.match_rules(policy, Firewall(rules=rules))


def test_a_rule_of_our_group_is_ours_in_any_case_and_one_that_left_it_is_ours_by_its_id() -> None:
    by_group = Rule("Old", group="TwinGuard", id="{1}")
    by_id = Rule("Moved", group="Other", id=prefix_of(GROUP) + "x")
    foreign = Rule("Share", group="Other", id="{2}")
    made = matched(by_group, by_id, foreign)
    assert made.unwanted == (by_group, by_id)
    assert [rule.name for rule in made.after.rules] == ["Share", "Jupyter"]


def test_a_rule_of_group_policy_is_never_ours() -> None:
    brought = Rule("Jupyter", group=GROUP, id="{1}", source=POLICY)
    made = matched(brought, unmanaged=Unmanaged("remove", "inbound", PUBLIC))
    assert (made.unwanted, made.unmanaged) == ((), ())
    assert made.pairs[0].current is None
    assert made.after.rules == (brought, made.pairs[0].wanted)


def test_of_several_rules_with_a_wanted_name_the_one_that_is_as_wanted_stays() -> None:
    changed = replace(JUPYTER, id="{1}", local_ports=frozenset(["80"]))
    equal = replace(JUPYTER, id="{2}", name="JUPYTER")
    twin = replace(JUPYTER, id="{3}")
    (pair,) = matched(changed, equal, twin).pairs
    assert (pair.current, pair.duplicates) == (twin, (changed, equal))
    assert pair.wanted.id == "{3}"


def test_a_rule_that_cannot_be_changed_is_replaced_under_the_next_id() -> None:
    moved = replace(JUPYTER, group="Other", id=id_of(GROUP, "Jupyter"))
    (pair,) = matched(moved).pairs
    assert pair.current == moved
    assert pair.wanted.id == id_of(GROUP, "Jupyter", "b")


def test_without_rules_ours_stay_and_one_that_is_shadowed_is_named() -> None:
    own, block = replace(JUPYTER, id="{1}"), Rule("Wall", action="block", id="{2}")
    made = matched(own, block, wanted=None)
    assert (made.pairs, made.unwanted) == ((), ())
    assert made.after.rules == (own, block)
    assert made.shadowed == {"Jupyter": block}
    assert not matched(own, replace(block, enabled=False), wanted=None).shadowed


@pytest.mark.parametrize(("action", "left"), [("disable", [False]), ("remove", [])])
def test_unmanaged_rules_are_disabled_or_removed_in_what_is_expected(
    action: str, left: list[bool]
) -> None:
    share, home = Rule("Share", id="{1}"), Rule("Home", id="{2}", profiles=frozenset(["private"]))
    made = matched(share, home, wanted=None, unmanaged=Unmanaged(action, "inbound", PUBLIC))
    assert made.unmanaged == (share,)
    assert [rule.enabled for rule in made.after.rules if rule.name == "Share"] == left
    assert home in made.after.rules


def test_each_state_that_is_read_is_matched_exactly_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    for module, name in ((run_io, "match_rules"), (match, "_owned"), (match, "_pairs")):
        real = getattr(module, name)

        def counted(*given: Any, _real: Any = real, _name: str = name) -> Any:
            calls.append(_name)
            return _real(*given)

        monkeypatch.setattr(module, name, counted)
    policy = FirewallPolicy(
        GROUP,
        {"public": {"enabled": "true"}},
        (JUPYTER,),
        Unmanaged("disable", "inbound", PUBLIC),
    )
    guard = Guard(policy, None, Management(guarded=False))
    shared = {**copy.deepcopy(RULE), "DisplayName": "Share", "Profile": "Public"}
    host = Host({"rules": {f"{{{number}}}": shared for number in range(20)}})
    # Check mode reads one state, the run that applies reads a second one, and the last run reads one.
    for check, states in ((True, 1), (False, 2), (False, 1)):
        calls.clear()
        outcome = guard.run(lambda name, given: run_script(host, name, given), check)
        found = guard.result(outcome, check)
        assert not found.get("failed")
        assert sorted(calls) == sorted(["match_rules", "_owned", "_pairs"] * states)
    assert not outcome.plan.changed
