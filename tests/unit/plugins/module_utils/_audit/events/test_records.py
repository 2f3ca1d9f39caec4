# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A line of the audit log, whatever a user put into it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.twinguard.hardening.plugins.module_utils._audit.events.records import (
    command_line,
    first_event,
    keys_of,
    number,
    parse_record,
    plain,
    shown,
)
from ansible_collections.twinguard.hardening.tests.unit.support.audit_log import call, stamp, value


def test_a_record_has_a_type_an_event_and_fields() -> None:
    record = parse_record(
        b'node=web1 type=PATH msg=audit(1790000000.250:7): item=0 name="/x" inode=5'
    )
    assert record is not None
    assert (record.type, record.id, record.node) == ("PATH", b"1790000000.250:7", b"web1")
    assert record.fields == {"item": b"0", "name": b'"/x"', "inode": b"5"}


def test_what_auditd_resolved_is_kept_apart_from_what_the_kernel_wrote() -> None:
    record = parse_record(b'type=SYSCALL msg=audit(1.000:1): uid=0 key="k"\x1dUID="root" KEY="no"')
    assert record is not None
    assert (record.fields["key"], record.names["UID"]) == (b'"k"', b'"root"')
    assert "UID" not in record.fields


def test_unknown_types_are_records_too() -> None:
    record = parse_record(b"type=UNKNOWN[1420] msg=audit(1.000:1): a=1")
    assert record is not None
    assert record.type == "UNKNOWN[1420]"


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"type=SYSCALL",
        b"type=SYSCALL msg=audit(1.000:1)",
        b"type=SYSCALL msg=audit(x:1): a=1",
        b" type=SYSCALL msg=audit(1.000:1): a=1",
        b"type=SYSCALL msg=audit(999999999999999.000:1): a=1",
        b'type=SYSCALL msg=audit(1.000:1): arch=c00type=DAEMON_START msg=audit(2.000:2): key="k"',
        b"type=SYSCALL msg=audit(1.000:1): uid=1 ses=type=SYSCALL ms\xff=audit(2.000:2): uid=2 key=1",
        b'type=CWD msg=audit(1.000:1): cwd="/atype=CWD mg=audit(2.000:2): cwd="/b"',
        b'type=SYSCALL msg=audit(1.000:1): comm="cat key="twinguard_x',
        b"\0\0\0\0",
    ],
)
def test_a_torn_line_or_two_in_one_are_no_record(line: bytes) -> None:
    assert parse_record(line) is None


@given(st.binary(max_size=80))
def test_no_name_can_add_or_change_a_field(name: bytes) -> None:
    line = call(stamp(1), comm=name, exe=name, key=b"other")
    record = parse_record(line)
    assert record is not None
    wanted = parse_record(call(stamp(1), comm=b"c", exe=b"e", key=b"other"))
    assert wanted is not None
    assert list(record.fields) == list(wanted.fields)
    assert keys_of(record.fields["key"]) == ["other"]
    assert (plain(record.fields["comm"]) or b"") == name


@given(st.binary(min_size=1))
def test_what_the_kernel_writes_is_read_back(name: bytes) -> None:
    assert plain(value(name)) == name


@pytest.mark.parametrize("nothing", [None, b"(null)", b"(none)", b"?", b""])
def test_nothing_is_none(nothing: bytes) -> None:
    assert plain(nothing) is None


def test_a_file_may_be_called_null() -> None:
    assert plain(b'"(null)"') == b"(null)"


def test_digits_in_quotes_are_a_name_and_no_code() -> None:
    assert plain(b'"4142"') == b"4142"
    assert plain(b"4142") == b"AB"


def test_bytes_that_are_no_text_are_shown_and_said_to_be_so() -> None:
    assert shown(b"a\xff") == ("a\\xff", False)
    assert shown("ü".encode()) == ("ü", True)


def test_a_command_line_has_blanks_between_its_words() -> None:
    assert command_line(b"6361740061206200") == "cat a b"


def test_several_keys_are_told_apart() -> None:
    assert keys_of(b"6F746865720174776F") == ["other", "two"]
    assert keys_of(b"(null)") == []


@pytest.mark.parametrize("text", [b"1_0", b"", b"x", b"9" * 5000])
def test_what_is_no_number_is_none(text: bytes) -> None:
    assert number(text) is None


def test_the_first_event_is_found_behind_a_torn_line() -> None:
    assert first_event(b"inode=5 dev\ntype=CWD msg=audit(1.000:2): cwd=\n") == b"1.000:2"
    assert first_event(b"") == b""
