# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel's rules are led to the wanted ones by the fewest steps, and those of others are not touched."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from ansible_collections.twinguard.hardening.plugins.module_utils._audit.kernel.types import Rule
from ansible_collections.twinguard.hardening.plugins.module_utils._audit.watch.steps import (
    Steps,
    brief,
    differences,
    listing,
    steps,
)
from ansible_collections.twinguard.hardening.tests.unit.support.audit_host import (
    obeyed,
    reader,
    rule,
    want,
    watch,
)

READERS = [reader("triton"), reader(executable="/opt/backup")]
WANT = want(
    watch("/srv/models", allowed_readers=READERS),
    watch("/srv/models/a", permissions="wa"),
    watch("/etc/keys", key="twinguard_keys"),
)
OTHERS = [
    rule("-w /etc/passwd -p wa -k identity"),
    rule("-a never,exit -F arch=b64 -F dir=/dev/shm"),
    rule("-a always,exit -F arch=b64 -S execve -k twinguardish"),
]


def test_an_empty_kernel_gets_all_rules_in_order() -> None:
    todo = steps(OTHERS, WANT.groups)
    assert todo.delete == ()
    assert not differences(obeyed(OTHERS, todo), WANT.groups)


def test_a_kernel_that_is_as_wanted_is_left_alone() -> None:
    todo = steps([*OTHERS, *WANT.rules], WANT.groups)
    assert not todo.needed
    assert todo == Steps()


def test_what_auditctl_4_made_of_the_same_lines_is_the_same() -> None:
    everything = [Rule(one.filter, one.action, one.fields, None, one.key) for one in WANT.rules]
    assert not steps(everything, WANT.groups).needed


def test_a_missing_rule_at_the_end_is_added_and_nothing_else() -> None:
    (last,) = [rules[-1] for rules in WANT.groups if len(rules) == 2]
    now = [one for one in WANT.rules if one != last]
    assert steps(now, WANT.groups) == Steps((), (last,))


def test_a_rule_of_ours_that_nobody_wants_goes() -> None:
    old = rule("-a always,exit -F arch=b64 -F dir=/old -F perm=r -F key=twinguard_old")
    assert steps([old, *WANT.rules], WANT.groups) == Steps((old,), ())
    assert differences([old, *WANT.rules], WANT.groups)[0].startswith("not asked for: ")


def test_an_exclusion_that_comes_too_late_is_out_of_order() -> None:
    group = max(WANT.groups, key=len)
    never = next(one for one in group if one.action == "never")
    now = [one for one in WANT.rules if one != never] + [never]
    found = differences(now, WANT.groups)
    assert any(one.startswith("out of order") for one in found)
    assert not differences(obeyed(now, steps(now, WANT.groups)), WANT.groups)


def test_the_order_of_watches_that_do_not_lie_in_each_other_is_free() -> None:
    now = [one for group in reversed(WANT.groups) for one in group]
    assert not steps(now, WANT.groups).needed


def test_arming_anew_deletes_a_whole_group_before_it_comes_back() -> None:
    todo = steps(WANT.rules, WANT.groups, {0})
    assert set(todo.delete) == set(todo.add) == set(WANT.groups[0])
    assert list(todo.add) == list(WANT.groups[0])


@pytest.mark.parametrize("seed", range(40))
def test_from_any_state_one_pass_is_enough_and_others_keep_their_order(seed: int) -> None:
    chance = random.Random(seed)
    stray = rule("-a always,exit -F arch=b64 -F dir=/old -F perm=r -F key=twinguard_old")
    now = [one for one in [*WANT.rules, stray] if chance.random() < 0.7] + OTHERS
    # The same rule once more, as auditctl 3 would have made it.
    now += [replace(now[0], syscalls=None)] if now[0].ours and chance.random() < 0.5 else []
    chance.shuffle(now)
    todo = steps(now, WANT.groups)
    then = list(obeyed(now, todo))
    assert [one for one in then if not one.ours] == [one for one in now if not one.ours]
    assert not steps(then, WANT.groups).needed
    assert not differences(then, WANT.groups)
    assert len([one for one in then if one.ours]) == len(WANT.rules)


def test_the_listing_shows_ours_alone_and_a_sentence_no_list_of_calls() -> None:
    text = listing([*OTHERS, *WANT.rules])
    assert len(text.splitlines()) == len(WANT.rules)
    assert "identity" not in text
    assert " -S " in text
    assert brief(WANT.rules[0]).startswith("-a always,exit -F arch=b64 -F dir=")
