# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Records that interleave, cross pieces, or never come."""

from __future__ import annotations

import random

import pytest

from ansible_collections.twinguard.hardening.plugins.module_utils._audit.events.join import (
    Event,
    Joiner,
    needles,
)
from ansible_collections.twinguard.hardening.tests.unit.support.audit_log import (
    access,
    call,
    lines,
    others,
    stamp,
)

AHEAD = 4096


def joined(data: bytes, size: int = 1 << 20, ahead: int = AHEAD) -> tuple[list[Event], Joiner]:
    joiner = Joiner(needles([], "twinguard_"), ahead=ahead)
    found: list[Event] = []
    for at in range(0, len(data), size):
        found += joiner.feed(data[at : at + size])
    found += joiner.feed(b"", final=True)
    return found, joiner


def own(event: Event) -> list[bytes]:
    return event.lines.split(b"\n")


def test_an_event_has_all_its_records() -> None:
    (event,), joiner = joined(access(1))
    assert event.state == "whole"
    assert own(event) == lines(1)
    assert joiner.malformed == 0


def test_events_of_others_are_left_out() -> None:
    found, _joiner = joined(access(1, key=b"other") + access(2) + access(3, key=None))
    assert [event.id for event in found] == [stamp(2).encode()]


@pytest.mark.parametrize("size", [1, 7, 100, 1000])
def test_pieces_of_any_size_give_the_same(size: int) -> None:
    data = b"".join(access(serial) + access(serial + 1, key=b"x") for serial in range(1, 20, 2))
    found, joiner = joined(data, size)
    assert [(e.id, own(e), e.state, e.position) for e in found] == [
        (e.id, own(e), e.state, e.position) for e in joined(data)[0]
    ]
    assert len(found) == 10
    assert joiner.position == len(data)


def test_events_that_interleave_are_told_apart() -> None:
    chance = random.Random(4)
    queues = [lines(serial, b"/srv/models/%d" % serial) for serial in range(12)]
    expected = {stamp(serial).encode(): list(queue) for serial, queue in enumerate(queues)}
    mixed = []
    while queues:
        queue = chance.choice(queues)
        mixed.append(queue.pop(0))
        queues = [one for one in queues if one]
    found, _joiner = joined(b"\n".join(mixed) + b"\n", 333, ahead=1 << 16)
    assert {event.id: own(event) for event in found} == expected
    assert {event.state for event in found} == {"whole"}


def test_a_serial_that_comes_again_after_a_boot_is_another_event() -> None:
    first, second = lines(5, b"/a", seconds=1_790_000_000), lines(5, b"/b", seconds=1_790_000_001)
    found, _joiner = joined(b"\n".join([first[0], *second[:3], *first[1:], second[3]]) + b"\n")
    assert [own(event) for event in found] == [first, second]


def test_nodes_with_the_same_serial_are_told_apart() -> None:
    one = [b"node=a " + line for line in lines(5, b"/a")]
    two = [b"node=b " + line for line in lines(5, b"/b")]
    found, _joiner = joined(b"\n".join([one[0], two[0], *two[1:], *one[1:]]) + b"\n")
    assert [event.lines[:7] for event in found] == [b"node=a ", b"node=b "]
    assert [event.state for event in found] == ["whole", "whole"]
    assert [own(event) for event in found] == [one, two]


def test_a_path_that_came_before_its_call_is_found() -> None:
    syscall, cwd, path, title = lines(1)
    found, _joiner = joined(b"\n".join([path, syscall, cwd, title]) + b"\n")
    assert [(event.state, path in own(event)) for event in found] == [("whole", True)]


def test_an_event_that_is_still_being_written_is_pending() -> None:
    data = b"\n".join(lines(1)[:3]) + b"\n"
    (event,), joiner = joined(data)
    assert (event.state, event.position, own(event)) == ("pending", 0, lines(1)[:3])
    assert joiner.malformed == 0


def test_a_last_line_without_its_end_is_not_taken() -> None:
    data = access(1)
    found, joiner = joined(data + call(stamp(2)))
    assert [event.id for event in found] == [stamp(1).encode()]
    assert joiner.position == len(data)


def test_an_event_whose_records_are_lost_is_cut() -> None:
    data = b"\n".join(lines(1)[:2]) + b"\n" + access(2, key=b"other") * 20
    found, _joiner = joined(data, 500)
    assert [event.state for event in found] == ["cut"]


def test_a_missing_path_is_noticed() -> None:
    syscall, cwd, _path, title = lines(1)
    found, _joiner = joined(b"\n".join([syscall, cwd, title]) + b"\n")
    assert [event.state for event in found] == ["cut"]


def test_changes_of_rules_are_no_accesses() -> None:
    change = b'type=CONFIG_CHANGE msg=audit(1.000:1): auid=0 op=add_rule key="twinguard_models" list=4 res=1\n'
    found, joiner = joined(change)
    assert (found, joiner.malformed) == ([], 0)


def test_a_message_of_a_program_cannot_be_a_record() -> None:
    forged = b"type=USER msg=audit(1.000:1): pid=1 uid=0 msg='op=x " + call(stamp(2)) + b"'\n"
    found, joiner = joined(forged + access(3))
    assert [event.id for event in found] == [stamp(3).encode()]
    assert joiner.malformed == 0


def test_a_message_of_a_program_cannot_end_or_fill_an_event() -> None:
    syscall, cwd, path, title = lines(1)
    forged = b"type=USER msg=audit(1.000:1): msg='" + title + b" " + path + b"'"
    found, _joiner = joined(b"\n".join([syscall, forged, cwd, path, title]) + b"\n")
    assert [event.state for event in found] == ["whole"]
    assert found[0].lines.endswith(title)


def test_two_lines_in_one_are_counted_and_not_believed() -> None:
    torn = call(stamp(1), exe=b"/usr/bin/evil")[:60]
    _found, joiner = joined(torn + call(stamp(2)) + b"\n" + access(3))
    assert [event.id for event in _found] == [stamp(3).encode()]
    assert joiner.malformed == 1


def test_a_key_among_several_is_found() -> None:
    found, _joiner = joined(access(1, key=b"other\x01twinguard_two"))
    assert len(found) == 1


def test_a_call_in_another_form_is_understood() -> None:
    found, joiner = joined(access(1, per=400000, success=None, exit=None))
    assert len(found) == 1
    assert found[0].how.endswith(b"success=?")
    assert joiner.malformed == 0


def test_requests_of_io_uring_are_events() -> None:
    event = stamp(1)
    data = b"\n".join(
        [
            b"type=URINGOP msg=audit(%s): uring_op=18 success=yes exit=0 items=1 ppid=1 pid=2 uid=0 gid=0 euid=0"
            b' suid=0 fsuid=0 egid=0 sgid=0 fsgid=0 subj=x key="twinguard_u"' % event.encode(),
            *others(event, b"/srv/models/a")[:2],
        ]
    )
    found, joiner = joined(data + b"\n")
    assert [(one.how, one.state) for one in found] == [
        (b"arch=uring syscall=18 success=yes", "whole")
    ]
    assert joiner.malformed == 0


@pytest.mark.parametrize("filler", [b"x", b"\0", b'key="twinguard_models" '])
def test_an_endless_line_costs_no_memory_and_no_event_behind_it(filler: bytes) -> None:
    joiner = Joiner(needles([], "twinguard_"), ahead=AHEAD)
    long = filler * (1_000_000 // len(filler))
    for at in range(0, len(long), 65536):
        assert not list(joiner.feed(long[at : at + 65536]))
    found = list(joiner.feed(b"\n" + access(1) + access(2)))
    assert [event.id for event in found] == [stamp(1).encode(), stamp(2).encode()]
    assert joiner.malformed >= 1


def test_the_middle_of_an_endless_line_is_no_record() -> None:
    joiner = Joiner(needles([], "twinguard_"), ahead=AHEAD)
    assert not list(joiner.feed(b"x" * 300_000))
    assert not list(joiner.feed(b"x" * 10))
    found = list(joiner.feed(access(1) + access(2)))
    assert [event.id for event in found] == [stamp(2).encode()]


def test_a_huge_event_keeps_its_paths_and_drops_its_arguments() -> None:
    syscall, *rest = lines(1, syscall=59)
    arguments = b'type=EXECVE msg=audit(%s): argc=1 a0="%s"' % (stamp(1).encode(), b"x" * 3000)
    found, _joiner = joined(b"\n".join([syscall, arguments, arguments, *rest]) + b"\n")
    assert own(found[0]) == [syscall, *rest]
    assert found[0].state == "whole"


def test_needles_are_what_all_keys_have_in_common() -> None:
    assert needles(["twinguard_a", "twinguard_bc"], "") == [
        b'key="twinguard_',
        b"7477696E67756172645F",
    ]
    assert needles(["a", "b"], "") == [b" key="]
    assert needles(["a b"], "") == [b"612062"]
