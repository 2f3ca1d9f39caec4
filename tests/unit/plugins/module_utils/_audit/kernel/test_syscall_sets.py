# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The calls behind a permission are at least those that auditctl 4 takes, and what it misses is named."""

from __future__ import annotations

import pytest

from ansible_collections.twinguard.hardening.plugins.module_utils._audit.kernel.netlink import (
    parse_rule,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._audit.kernel.syscall_sets import (
    AARCH64,
    ARM,
    ATTRIBUTE,
    EXECUTE,
    I386,
    READ,
    WRITE,
    X86_64,
    arches,
    call_names,
    call_numbers,
    enough_calls,
    unseen_calls,
    watch_calls,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._audit.kernel.types import (
    Field,
    Rule,
)
from ansible_collections.twinguard.hardening.tests.unit.support.audit_blobs import recorded

ARCHES = {"x86_64": X86_64, "i386": I386, "aarch64": AARCH64, "arm": ARM}
EXPANDED = [
    parse_rule(one["bytes"])
    for one in recorded()
    if one["by"] == ["4.0.2"] and one.get("argv", [])[4:6] == ["-F", "dir=/srv/models"]
]


def perm_of(rule: Rule) -> tuple[int, int]:
    arch, perm = rule.field("arch"), rule.field("perm")
    assert arch is not None
    assert perm is not None
    return int(arch.value), int(perm.value)


def test_there_are_recorded_lists_of_both_architectures_and_all_permissions():
    assert {perm_of(rule) for rule in EXPANDED} == {
        (arch, perm)
        for arch in (X86_64, I386)
        for perm in (14, READ, WRITE, EXECUTE, ATTRIBUTE, 15)
    }


@pytest.mark.parametrize("rule", EXPANDED, ids=perm_of)
def test_the_list_of_auditctl_4_is_just_enough(rule):
    assert rule.syscalls
    assert enough_calls(*perm_of(rule), rule.syscalls)
    for call in rule.syscalls:
        assert not enough_calls(*perm_of(rule), rule.syscalls - {call})


@pytest.mark.parametrize("rule", EXPANDED, ids=perm_of)
def test_our_list_holds_the_list_of_auditctl_4_and_what_that_misses_is_named(rule):
    ours = watch_calls(*perm_of(rule))
    assert ours is not None
    assert rule.syscalls < ours
    numbers = call_numbers(perm_of(rule)[0])
    assert {numbers[name] for name in unseen_calls(rule)} == ours - rule.syscalls


def test_auditctl_4_misses_execveat_and_the_32_bit_twins():
    missed = {perm_of(rule): unseen_calls(rule) for rule in EXPANDED}
    assert missed[X86_64, EXECUTE] == {"execveat"}
    assert missed[I386, ATTRIBUTE] >= {"chown32", "fchown32", "lchown32", "fchmodat2"}
    assert missed[I386, WRITE] >= {"truncate64", "ftruncate64", "socketcall"}


def test_a_rule_for_all_calls_or_without_permissions_misses_nothing():
    perm, arch = Field("perm", "=", READ), Field("arch", "=", X86_64)
    none = frozenset({0})
    assert not unseen_calls(Rule("exit", "always", (arch, perm), None))
    assert not unseen_calls(Rule("exit", "always", (arch,), none))
    assert not unseen_calls(Rule("exit", "always", (perm,), none))
    assert not unseen_calls(Rule("exit", "always", (Field("arch", "=", 0xC0000015), perm), none))
    assert unseen_calls(Rule("exit", "always", (arch, perm), none))


@pytest.mark.parametrize("arch", ARCHES.values(), ids=ARCHES)
def test_every_architecture_has_the_calls_that_open_run_rename_and_remove(arch):
    numbers = call_numbers(arch)
    assert {"openat", "openat2", "execve", "execveat", "renameat2", "unlinkat", "fchmodat"} <= set(
        numbers
    )
    assert len(set(numbers.values())) == len(numbers)
    for perm, call in (
        (READ, "openat"),
        (WRITE, "openat"),
        (EXECUTE, "execve"),
        (ATTRIBUTE, "linkat"),
    ):
        calls = watch_calls(arch, perm)
        assert calls is not None
        assert numbers[call] in calls


def test_numbers_of_some_calls_are_those_of_the_kernel():
    # <asm/unistd.h> of each architecture.
    assert [call_numbers(arch)["openat"] for arch in ARCHES.values()] == [257, 295, 56, 322]
    assert [call_numbers(arch)["execve"] for arch in ARCHES.values()] == [59, 11, 221, 11]
    assert "open" not in call_numbers(AARCH64)
    assert {call_numbers(arch)["fchmodat2"] for arch in ARCHES.values()} == {452}


def test_a_name_that_auditctl_3_does_not_know_is_never_used():
    assert call_names(X86_64)[257] == "openat"
    assert 452 not in call_names(X86_64)
    assert set(call_names(X86_64).values()) < set(call_numbers(X86_64))


def test_an_unknown_architecture_has_no_lists():
    assert arches("x86_64") == (X86_64, I386)
    assert arches("vax") == ()
    assert watch_calls(0xC0000015, READ) is None
    assert not enough_calls(0xC0000015, READ, frozenset(range(2000)))
    assert call_names(0xC0000015) == {}
    assert call_numbers(0xC0000015) == {}
