# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The conversation with the kernel: complete answers only, and its refusals in words."""

from __future__ import annotations

import errno
import socket
import struct
from typing import cast

import pytest

from ansible_collections.twinguard.hardening.plugins.module_utils._audit.kernel.netlink import (
    build_backlog_limit,
    build_enabled,
    build_equivalent,
    build_rule,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._audit.kernel.netlink_io import (
    AuditError,
    Kernel,
    NoAudit,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._audit.kernel.types import (
    Field,
    Rule,
    Status,
)
from ansible_collections.twinguard.hardening.tests.unit.support.audit_blobs import (
    ADD,
    DELETE,
    DONE,
    ERROR,
    GET,
    LIST,
    FakeKernel,
    message,
    padded,
)


def watch(path: str) -> Rule:
    fields = (Field("dir", "=", path), Field("perm", "=", 4))
    return Rule("exit", "always", fields, None, "twinguard_m")


RULES = [watch(f"/srv/{number}") for number in range(1000)]


def talking_to(fake: FakeKernel) -> Kernel:
    return Kernel(lambda: cast(socket.socket, fake.connected()), patience=5)


def test_the_rules_come_in_the_order_of_the_kernel_even_when_there_are_many():
    fake = FakeKernel(tuple(build_rule(rule) for rule in RULES))
    assert talking_to(fake).rules() == RULES
    assert talking_to(FakeKernel()).rules() == []


def test_the_status_is_told():
    assert talking_to(FakeKernel()).status() == Status(1, 1, 321, 0, 8192, 7, 2)


def test_a_rule_is_added_behind_or_before_the_others_and_deleted():
    fake = FakeKernel()
    kernel = talking_to(fake)
    kernel.add(RULES[0])
    kernel.add(RULES[1], first=True)
    assert fake.sent == [
        (ADD, padded(build_rule(RULES[0]))),
        (ADD, padded(build_rule(RULES[1], first=True))),
    ]
    kernel.delete(RULES[0])
    assert fake.sent[-1] == (DELETE, padded(build_rule(RULES[0])))
    assert len(kernel.rules()) == 1


def test_a_rule_that_is_there_already_and_one_that_is_not_are_told_as_such():
    kernel = talking_to(FakeKernel((build_rule(RULES[0]),)))
    with pytest.raises(AuditError, match="holds this rule already") as caught:
        kernel.add(RULES[0])
    assert caught.value.errno == errno.EEXIST
    with pytest.raises(AuditError, match="holds no such rule") as caught:
        kernel.delete(RULES[1])
    assert caught.value.errno == errno.ENOENT


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EPERM, "locked until the next boot"),
        (errno.EINVAL, "does not understand"),
        (errno.ENOENT, "does not exist"),
        (errno.ENOMEM, "the rule was not added"),
    ],
)
def test_a_refusal_says_what_failed_and_why(number, words):
    fake = FakeKernel()
    fake.fails = {ADD: number}
    with pytest.raises(AuditError, match=words) as caught:
        talking_to(fake).add(RULES[0])
    assert caught.value.errno == number
    assert str(caught.value).startswith("the rule was not added")


def test_settings_are_sent():
    fake = FakeKernel()
    kernel = talking_to(fake)
    kernel.set_enabled(2)
    kernel.set_backlog_limit(8192)
    kernel.make_equivalent("/srv", "/srv/mount")
    kernel.trim()
    assert [kind for kind, _body in fake.sent] == [1001, 1001, 1015, 1014]
    assert [body for _kind, body in fake.sent[:2]] == [build_enabled(2), build_backlog_limit(8192)]
    assert fake.sent[2][1].startswith(build_equivalent("/srv", "/srv/mount"))
    assert fake.sent[3][1] == b""


def test_answers_to_an_earlier_question_are_not_taken_for_ours():
    fake = FakeKernel((build_rule(RULES[0]),))
    stale = build_rule(RULES[9])
    fake.before = lambda kind, sequence: [
        message(LIST, sequence + 7, stale),
        message(DONE, sequence + 7, b""),
        message(ERROR, sequence + 7, struct.pack("=i", -errno.EPERM) + b"\0" * 16),
    ]
    assert talking_to(fake).rules() == [RULES[0]]


def test_a_message_of_another_process_is_not_believed():
    fake = FakeKernel((build_rule(RULES[0]),))
    fake.sender = 4242
    with pytest.raises(AuditError, match="did not answer") as caught:
        talking_to(fake).rules()
    assert caught.value.errno == errno.ETIMEDOUT


@pytest.mark.parametrize("keep", [0, 1, 2])
def test_a_list_that_ends_early_is_no_list(keep):
    fake = FakeKernel(tuple(build_rule(rule) for rule in RULES[:2]))
    whole = fake._answers
    fake._answers = lambda kind, sequence: whole(kind, sequence)[:keep]  # type: ignore[method-assign]
    with pytest.raises(AuditError, match="did not answer"):
        talking_to(fake).rules()


def test_a_list_without_its_receipt_is_waited_for():
    fake = FakeKernel((build_rule(RULES[0]),))
    fake.acknowledgements = False
    with pytest.raises(AuditError, match="did not answer"):
        talking_to(fake).rules()


def test_several_messages_in_one_datagram_are_all_read():
    fake = FakeKernel((build_rule(RULES[0]), build_rule(RULES[1])))
    whole = fake._answers
    fake._answers = lambda kind, sequence: [b"".join(whole(kind, sequence))]  # type: ignore[method-assign]
    assert talking_to(fake).rules() == RULES[:2]


def test_what_did_not_fit_is_asked_for_again_on_a_new_socket():
    fake = FakeKernel((build_rule(RULES[0]),))
    fake.full = 2
    assert talking_to(fake).rules() == [RULES[0]]
    assert fake.connections == 3
    fake.full = 9
    with pytest.raises(AuditError) as caught:
        talking_to(fake).rules()
    assert caught.value.errno == errno.ENOBUFS


def test_what_comes_after_a_loss_is_not_taken_for_the_whole():
    # The end of the first list is still on its way when the second question has been asked.
    fake = FakeKernel((build_rule(RULES[0]), build_rule(RULES[1])))
    fake.losses = [LIST]
    assert talking_to(fake).rules() == RULES[:2]
    assert fake.connections == 2


def test_a_change_is_never_sent_twice():
    fake = FakeKernel((build_rule(RULES[0]),))
    fake.full = 1
    with pytest.raises(AuditError):
        talking_to(fake).add(RULES[1])
    assert [kind for kind, _body in fake.sent] == [ADD]


def test_a_rule_that_cannot_be_read_fails_the_list_because_it_could_hide_the_others():
    broken = bytearray(build_rule(RULES[1]))
    struct.pack_into("=I", broken, 4, 9)
    fake = FakeKernel((build_rule(RULES[0]), bytes(broken)))
    with pytest.raises(AuditError, match="rule 2 of the kernel: action number 0x9"):
        talking_to(fake).rules()


@pytest.mark.parametrize(
    "datagram",
    [b"\x01\0\0\0" * 4, b"\xff" * 16, struct.pack("=IHHII", 18, ERROR, 0, 1, 0) + b"\0\0"],
)
def test_a_broken_answer_is_an_error_and_no_crash(datagram):
    fake = FakeKernel()
    fake.before = lambda kind, sequence: [datagram]
    with pytest.raises(AuditError, match=r"ends early|truncated netlink acknowledgement"):
        talking_to(fake).rules()


def test_a_cut_answer_is_an_error():
    fake = FakeKernel()
    fake.flags = int(socket.MSG_TRUNC)
    with pytest.raises(AuditError, match="too long"):
        talking_to(fake).rules()


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EPERM, "container"),
        (errno.ECONNREFUSED, "audit=0"),
        (errno.EPROTONOSUPPORT, "without audit"),
    ],
)
def test_a_kernel_without_audit_for_us_says_why(monkeypatch, number, words):
    fake = FakeKernel()
    fake.fails = {GET: number}
    monkeypatch.setattr(socket, "socket", lambda *_kind: fake)
    with pytest.raises(NoAudit, match=words) as caught:
        Kernel.open()
    assert words in caught.value.reason
    assert fake.closed


def test_another_failure_of_opening_is_not_taken_for_a_missing_audit(monkeypatch):
    fake = FakeKernel()
    fake.fails = {GET: errno.ENOMEM}
    monkeypatch.setattr(socket, "socket", lambda *_kind: fake)
    with pytest.raises(AuditError):
        Kernel.open()
    assert fake.closed


def test_this_very_kernel_answers_or_says_why_not():
    try:
        kernel = Kernel.open()
    except NoAudit as error:
        if not error.reason:
            pytest.fail("it did not say why")
        return
    with kernel:
        assert kernel.status().enabled in (0, 1, 2)
        assert all(isinstance(rule, Rule) for rule in kernel.rules())
