# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The log with its rotated files, read again and again from a checkpoint."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import pytest

from ansible_collections.twinguard.hardening.plugins.module_utils._audit.events.checkpoint import (
    Checkpoint,
    parse_canaries,
    parse_checkpoint,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._audit.events.join import (
    Joiner,
    needles,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._audit.events.log_io import (
    Reading,
    opened_log,
    read_log,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._audit.events.query import (
    Query,
    Tally,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._audit.events.report_io import (
    user_name,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._files.transaction_io import (
    FilesError,
)
from ansible_collections.twinguard.hardening.tests.unit.support.audit_log import access, lines


def read(
    path: Path, old: Checkpoint | None = None, keeping: bool = True
) -> tuple[list[int], Reading, Tally]:
    tally = Tally(Query(), user_name)
    with opened_log(str(path)) as files:
        reading = read_log(files, Joiner(needles([], "twinguard_")), tally, old, keeping)
    return [row["serial"] for row in tally.rows()], reading, tally


def kept(reading: Reading) -> Checkpoint:
    """As it comes back from its file."""
    assert reading.checkpoint is not None
    parsed = parse_checkpoint(reading.checkpoint.render())
    assert parsed == reading.checkpoint
    return parsed


def rotate(log: Path, keep: int = 9) -> None:
    """As auditd does it: the files keep their inodes."""
    for number in range(keep, 0, -1):
        older = log.with_name(f"audit.log.{number}")
        if number == keep:
            older.unlink(missing_ok=True)
        newer = log if number == 1 else log.with_name(f"audit.log.{number - 1}")
        if newer.exists():
            newer.rename(older)
    log.touch()


def append(log: Path, data: bytes) -> None:
    with log.open("ab") as file:
        file.write(data)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "audit.log"
    path.touch()
    return path


def test_rotated_files_are_read_oldest_first(log: Path) -> None:
    for number in range(1, 13):
        append(log, access(number))
        rotate(log, keep=20)
    append(log, access(13))
    append(log.with_name("audit.log.bak"), access(99))
    found, reading, _tally = read(log)
    assert found == list(range(1, 14))
    assert [os.path.basename(path) for path in reading.files][:2] == [
        "audit.log.12",
        "audit.log.11",
    ]


def test_an_event_that_crosses_a_rotation_is_whole(log: Path) -> None:
    first = lines(1)
    append(log, b"\n".join(first[:2]) + b"\n")
    rotate(log)
    append(log, b"\n".join(first[2:]) + b"\n" + access(2))
    found, _reading, tally = read(log)
    assert (found, tally.incomplete) == ([1, 2], 0)


def test_a_torn_line_at_the_end_of_a_rotated_file_spoils_nothing_behind_it(log: Path) -> None:
    append(log, access(1) + lines(2)[0][:-4])
    rotate(log)
    append(log, access(3))
    found, _reading, _tally = read(log)
    assert found == [1, 3]


def test_an_event_whose_begin_was_rotated_away_is_no_event(log: Path) -> None:
    append(log, b"\n".join(lines(1)[1:]) + b"\n" + access(2))
    found, reading, tally = read(log)
    assert (found, tally.incomplete, reading.malformed) == ([2], 0, 0)


def test_without_a_log_there_is_nothing(tmp_path: Path) -> None:
    found, reading, _tally = read(tmp_path / "none" / "audit.log")
    assert (found, reading.files, reading.checkpoint) == ([], [], None)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "audit.log")
    with pytest.raises(FilesError, match="not a regular file"):
        read(tmp_path / "audit.log")


def test_the_oldest_record_is_told(log: Path) -> None:
    append(log, access(1, key=b"x", seconds=5))
    rotate(log)
    append(log, access(2))
    assert read(log)[1].oldest == b"5.000:1"


def test_a_second_reading_tells_only_what_is_new(log: Path) -> None:
    append(log, access(1))
    found, reading, _tally = read(log)
    assert (found, reading.state) == ([1], "new")
    append(log, access(2))
    found, reading, _tally = read(log, kept(reading))
    assert (found, reading.state) == ([2], "continued")
    found, reading, _tally = read(log, kept(reading))
    assert (found, reading.state) == ([], "continued")


def test_the_checkpoint_follows_its_file_through_rotations(log: Path) -> None:
    append(log, access(1))
    _found, reading, _tally = read(log)
    append(log, access(2))
    rotate(log)
    append(log, access(3))
    rotate(log)
    found, reading, _tally = read(log, kept(reading))
    assert (found, reading.state) == ([2, 3], "continued")
    append(log, access(4))
    found, reading, _tally = read(log, kept(reading))
    assert (found, reading.state) == ([4], "continued")


def test_a_log_that_was_rotated_away_is_said_to_be_lost(log: Path) -> None:
    append(log, access(1))
    _found, reading, _tally = read(log)
    for number in range(2, 5):
        rotate(log, keep=2)
        append(log, access(number))
    found, reading, _tally = read(log, kept(reading))
    assert (found, reading.state) == ([2, 3, 4], "lost")


def test_a_new_file_with_an_old_number_is_not_taken_for_it(log: Path) -> None:
    append(log, access(1))
    _found, reading, _tally = read(log)
    log.write_bytes(access(2) + access(3))
    found, reading, _tally = read(log, kept(reading))
    assert (found, reading.state) == ([2, 3], "lost")


def test_a_pending_event_waits_for_its_end_and_nothing_is_told_twice(log: Path) -> None:
    first, second = lines(1), access(2)
    append(log, b"\n".join(first[:2]) + b"\n" + second)
    found, reading, _tally = read(log)
    assert (found, reading.pending) == ([2], 1)
    append(log, b"\n".join(first[2:]) + b"\n" + access(3))
    found, reading, tally = read(log, kept(reading))
    assert (found, tally.incomplete) == ([1, 3], 0)
    assert read(log, kept(reading))[0] == []


def test_a_pending_event_waits_once_only(log: Path) -> None:
    append(log, access(1) + b"\n".join(lines(2)[:2]) + b"\n" + access(3))
    found, reading, _tally = read(log)
    assert found == [1, 3]
    found, reading, tally = read(log, kept(reading))
    assert (found, tally.incomplete) == ([2], 1)
    append(log, access(4))
    assert read(log, kept(reading))[0] == [4]


def test_two_pending_events_are_told_once_each(log: Path) -> None:
    one, two = lines(1), lines(2)
    append(log, one[0] + b"\n" + access(5))
    found, reading, _tally = read(log)
    assert found == [5]
    append(log, two[0] + b"\n" + access(6))
    found, reading, _tally = read(log, kept(reading))
    assert found == [1, 6]
    append(log, b"\n".join(two[1:]) + b"\n")
    found, reading, _tally = read(log, kept(reading))
    assert found == [2]
    assert read(log, kept(reading))[0] == []


def test_without_a_checkpoint_a_pending_event_is_told_at_once(log: Path) -> None:
    append(log, lines(1)[0] + b"\n")
    found, _reading, tally = read(log, keeping=False)
    assert (found, tally.incomplete) == ([1], 1)


def test_a_half_written_line_is_read_when_it_is_whole(log: Path) -> None:
    data = access(1)
    append(log, data[:100])
    found, reading, _tally = read(log)
    assert found == []
    append(log, data[100:])
    assert read(log, kept(reading))[0] == [1]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"\xff",
        b"{}",
        b'{"version": 1}',
        b'{"version":1,"device":1,"inode":1,"offset":-1,"mark":"","done":[],"pending":[]}',
        b'{"version":1,"device":1,"inode":1,"offset":1,"mark":"","done":[1],"pending":[]}',
        b'{"version":2,"device":1,"inode":1,"offset":1,"mark":"","done":[],"pending":[]}',
    ],
)
def test_a_damaged_checkpoint_is_noticed(content: bytes) -> None:
    assert parse_checkpoint(content) is None


def test_canaries_are_known_by_event_and_process() -> None:
    assert parse_canaries(b'{"boot_id":"x","events":[[7, 1790000000.25, 11]]}') == {
        b"1790000000.250:7": 11
    }
    assert parse_canaries(b'{"events":[[1, 1795246285.072, 3]]}') == {b"1795246285.072:1": 3}
    assert parse_canaries(b"{") == {}
    assert parse_canaries(b'{"events": [[1]]}') == {}


def test_memory_does_not_grow_with_the_log(log: Path) -> None:
    def peak(megabytes: int) -> int:
        piece = b"".join(access(n, key=b"x" if n % 3 else b"twinguard_m") for n in range(1000))
        with log.open("wb") as file:
            for _unused in range(megabytes * 1_000_000 // len(piece)):
                file.write(piece)
        tracemalloc.start()
        read(log, keeping=False)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    small, big = peak(12), peak(36)
    assert big < small * 1.2
