# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules become the bytes that auditctl sends, and any bytes of the kernel become rules or one error."""

from __future__ import annotations

import random
import struct
from typing import Union

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.twinguard.hardening.plugins.module_utils._audit.kernel.netlink import (
    ACTIONS,
    FIELDS,
    FILTERS,
    OPERATORS,
    TEXTS,
    AuditCodecError,
    build_backlog_limit,
    build_enabled,
    build_equivalent,
    build_rule,
    parse_rule,
    parse_status,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._audit.kernel.syscall_sets import (
    I386,
    X86_64,
    watch_calls,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._audit.kernel.types import (
    Field,
    Rule,
    Status,
)
from ansible_collections.twinguard.hardening.tests.unit.support.audit_blobs import padded, recorded

SENT = recorded()
ADDED = [one for one in SENT if "type" not in one]
WATCH = (Field("arch", "=", X86_64), Field("dir", "=", "/srv/models"), Field("perm", "=", 14))


def name(one: dict[str, object]) -> str:
    argv = one.get("argv")
    return "+".join(one["by"]) + ":" + (" ".join(argv) if argv else str(one.get("line")))  # type: ignore[arg-type]


def bytes_of(rule: Rule, first: bool = False) -> bytes:
    return padded(build_rule(rule, first))


def blob_with(rule: Rule, position: int, value: int) -> bytes:
    """The rule's bytes with one word of its head changed."""
    blob = bytearray(build_rule(rule))
    struct.pack_into("=I", blob, 4 * position, value)
    return bytes(blob)


@pytest.mark.parametrize("one", ADDED, ids=name)
def test_a_rule_of_any_auditctl_comes_out_as_the_same_bytes(one):
    first = one.get("argv", [""])[0] == "-A"
    assert bytes_of(parse_rule(one["bytes"]), first) == one["bytes"]


@pytest.mark.parametrize("one", ADDED, ids=name)
def test_a_rule_is_read_the_same_from_the_kernel_which_clears_the_class_bits(one):
    listed = bytearray(one["bytes"])
    struct.pack_into("=H", listed, 12 + 254, 0)
    assert parse_rule(bytes(listed)) == parse_rule(one["bytes"])


def test_our_rule_is_the_bytes_that_both_auditctl_versions_send():
    rule = Rule("exit", "always", WATCH, None, "twinguard_m")
    lines = [one for one in ADDED if "-S all -F dir=/srv/models" in " ".join(one.get("argv", []))]
    same = [one for one in lines if one["bytes"] == bytes_of(rule)]
    assert [one["by"] for one in same] == [["3.0.9", "4.0.2"]]


def test_an_allowed_reader_is_the_bytes_that_both_auditctl_versions_send():
    fields = (
        Field("arch", "=", I386),
        Field("dir", "=", "/srv/models"),
        Field("perm", "=", 4),
        Field("uid", "=", 997),
        Field("exe", "=", "/usr/bin/cat"),
    )
    rule = Rule("exit", "never", fields, watch_calls(I386, 4), "twinguard_m")
    same = [one for one in ADDED if one["bytes"] == bytes_of(rule)]
    assert [one["by"] for one in same] == [["3.0.9", "4.0.2"]]


def test_a_watch_reads_as_its_fields_permissions_and_key():
    one = next(one for one in ADDED if one.get("argv", [""])[0] == "-w")
    assert parse_rule(one["bytes"]) == Rule(
        "exit",
        "always",
        (Field("dir", "=", "/srv/models"), Field("perm", "=", 14)),
        None,
        "twinguard_m",
    )


def test_numbers_are_unsigned_and_names_of_lists_and_operators_are_read():
    found = {(rule.filter, rule.action) for rule in (parse_rule(one["bytes"]) for one in ADDED)}
    assert found >= {
        ("exit", "never"),
        ("task", "never"),
        ("user", "always"),
        ("exclude", "always"),
        ("filesystem", "never"),
        ("io_uring", "always"),
    }
    rule = next(parse_rule(one["bytes"]) for one in ADDED if "exit=-EACCES" in one.get("argv", []))
    assert rule.field("exit") == Field("exit", "=", 0xFFFFFFF3)
    assert rule.field("auid") == Field("auid", "!=", 0xFFFFFFFF)


def test_a_mask_without_any_call_is_not_all_calls():
    rule = next(
        parse_rule(one["bytes"]) for one in ADDED if one.get("argv") == ["-a", "never,task"]
    )
    assert rule.syscalls == frozenset()


def test_one_missing_call_is_not_all_calls():
    rule = Rule("exit", "always", WATCH, frozenset(range(2032)) - {257}, "k")
    assert parse_rule(build_rule(rule)).syscalls == rule.syscalls
    assert (
        parse_rule(build_rule(Rule("exit", "always", WATCH, frozenset(range(2032))))).syscalls
        is None
    )


def test_several_keys_stay_joined():
    one = next(one for one in ADDED if "k2" in one.get("argv", []))
    assert parse_rule(one["bytes"]).key == "k1\x01k2"


def test_a_key_in_the_middle_stays_there_so_that_the_rule_can_be_deleted():
    fields = (Field("key", "=", "elsewhere"), *WATCH)
    blob = build_rule(Rule("exit", "always", fields, None, "elsewhere"))
    rule = parse_rule(blob)
    assert rule.key == "elsewhere"
    assert rule.fields == fields
    assert build_rule(rule) == blob


def test_an_undecodable_path_survives():
    rule = Rule(
        "exit", "always", (Field("dir", "=", "/srv/m\udcff\n'\" key=x"),), None, "twinguard_m"
    )
    assert b"/srv/m\xff\n'\" key=x" in build_rule(rule)
    assert parse_rule(build_rule(rule)) == rule


def test_a_field_of_a_newer_kernel_is_kept():
    blob = blob_with(Rule("exit", "always", (Field("uid", "=", 5),)), 67, 199)
    assert parse_rule(blob).fields == (Field("field_199", "=", 5),)
    assert build_rule(parse_rule(blob)) == blob


@pytest.mark.parametrize(
    ("position", "value", "problem"),
    [
        (0, 3, "filter number 0x3"),
        (1, 9, "action number 0x9"),
        (2, 65, "65 fields"),
        (2, 2**32 - 1, "fields"),
        (195, 7, "operator number 0x7"),
        (132, 2**31, "text of field 'dir' ends early"),
        (132, 0, "empty"),
        (132, 1, "belong to no field"),
        (259, 2**32 - 1, "should be 4294967295"),
        (259, 3, "should be 3"),
    ],
)
def test_a_broken_rule_is_refused_and_named(position, value, problem):
    blob = blob_with(Rule("exit", "always", WATCH), position, value)
    with pytest.raises(AuditCodecError, match=problem):
        parse_rule(blob)


def test_bytes_that_end_early_are_refused():
    whole = build_rule(Rule("exit", "always", WATCH, None, "twinguard_m"))
    for length in range(len(whole)):
        with pytest.raises(AuditCodecError):
            parse_rule(whole[:length])


def test_two_keys_and_a_nul_in_a_text_are_refused():
    key = Field("key", "=", "one")
    with pytest.raises(AuditCodecError, match="more than one key"):
        parse_rule(build_rule(Rule("exit", "always", (key, key), None, "one")))
    whole = build_rule(Rule("exit", "always", WATCH))
    with pytest.raises(AuditCodecError, match="NUL"):
        parse_rule(whole.replace(b"/srv/models", b"/srv\0models"))


@pytest.mark.parametrize(
    "rule",
    [
        Rule("nowhere", "always", ()),
        Rule("exit", "perhaps", ()),
        Rule("exit", "always", (Field("size", "=", 1),)),
        Rule("exit", "always", (Field("field_x", "=", 1),)),
        Rule("exit", "always", (Field("uid", "~", 1),)),
        Rule("exit", "always", (Field("uid", "=", -1),)),
        Rule("exit", "always", (Field("uid", "=", 2**32),)),
        Rule("exit", "always", (Field("uid", "=", "root"),)),
        Rule("exit", "always", (Field("dir", "=", 5),)),
        Rule("exit", "always", (Field("dir", "=", ""),)),
        Rule("exit", "always", (Field("dir", "=", "/a\0b"),)),
        Rule("exit", "always", (Field("dir", "=", "/\ud800"),)),
        Rule("exit", "always", (Field("dir", "=", "/" * 4097),)),
        Rule("exit", "always", (), None, "k" * 257),
        Rule("exit", "always", (), frozenset({2048})),
        Rule("exit", "always", (), frozenset({-1})),
        Rule("exit", "always", (Field("uid", "=", 1),) * 65),
        Rule("exit", "always", (Field("uid", "=", 1),) * 64, None, "k"),
    ],
    ids=repr,
)
def test_a_rule_that_the_kernel_has_no_words_for_is_not_sent(rule):
    with pytest.raises(AuditCodecError):
        build_rule(rule)


TEXT = st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"])
    | st.sampled_from("\udc80\udcff"),
    min_size=1,
    max_size=40,
)


def encodable(text: str) -> bool:
    # Undecodable bytes that would decode together come back as the character they spell.
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape") == text


def value_of(name: str) -> st.SearchStrategy[Union[int, str]]:
    return TEXT.filter(encodable) if FIELDS[name] in TEXTS else st.integers(0, 2**32 - 1)


@st.composite
def rules(draw: st.DrawFn) -> Rule:
    names = draw(st.lists(st.sampled_from(sorted(set(FIELDS) - {"key"})), max_size=20))
    fields = tuple(
        Field(name, draw(st.sampled_from(sorted(OPERATORS))), draw(value_of(name)))
        for name in names
    )
    return Rule(
        draw(st.sampled_from(sorted(FILTERS))),
        draw(st.sampled_from(sorted(ACTIONS))),
        fields,
        draw(st.none() | st.frozensets(st.integers(0, 2047), max_size=60)),
        draw(st.just("") | TEXT.filter(encodable)),
    )


@given(rules())
@settings(max_examples=200, deadline=None)
def test_every_rule_survives_the_way_to_the_kernel_and_back(rule):
    assert parse_rule(build_rule(rule)) == rule
    assert parse_rule(padded(build_rule(rule, first=True))) == rule


def test_mutated_rules_never_raise_anything_but_the_one_error():
    chance = random.Random(20261121)
    blobs = [one["bytes"] for one in ADDED]
    refused = 0
    for _round in range(2000):
        blob = bytearray(chance.choice(blobs))
        for _change in range(chance.randint(1, 6)):
            blob[chance.randrange(len(blob))] = chance.randrange(256)
        if chance.random() < 0.2:
            del blob[chance.randrange(len(blob)) :]
        try:
            rule = parse_rule(bytes(blob))
        except AuditCodecError:
            refused += 1
        else:
            assert parse_rule(build_rule(rule)) == rule
    assert 100 < refused < 1900, "the mutations are too harmless or too coarse to prove anything"


def test_the_status_is_read_from_old_and_new_kernels():
    words = (0x7F, 1, 1, 4242, 0, 8192, 3, 17)
    wanted = Status(1, 1, 4242, 0, 8192, 3, 17)
    assert parse_status(struct.pack("=8I", *words)) == wanted
    assert parse_status(struct.pack("=12I", *words, 0x7F, 0, 0, 9)) == wanted
    with pytest.raises(AuditCodecError, match="28 bytes"):
        parse_status(struct.pack("=7I", *words[:7]))


@pytest.mark.parametrize(
    ("argv", "built"),
    [
        (["-e", "1"], build_enabled(1)),
        (["-b", "8192"], build_backlog_limit(8192)),
        (["-q", "/srv/models/sub,/srv/models"], build_equivalent("/srv/models", "/srv/models/sub")),
    ],
)
def test_settings_are_the_bytes_that_auditctl_sends(argv, built):
    sent = [one["bytes"] for one in SENT if one.get("argv") == argv]
    assert sent == [padded(built)]
