# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever is done to a batch on its way: not a byte of it is published, and the reason is the right one.

These are attacks by anybody who can write into the zone. Those of a sender with a good key are in test_hostile.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from ansible_collections.twinguard.hardening.plugins.module_utils._batch.types import (
    DATA,
    INDEX,
    KEY,
    MANIFEST,
    SIGNATURE,
    Reason,
)
from ansible_collections.twinguard.hardening.tests.unit.support.batch import (
    CONTENT,
    NOW,
    SENDER,
    Lab,
)

FILES = (DATA, INDEX, KEY, MANIFEST, SIGNATURE)
# The reason for a change to each file. The signature covers everything in the manifest.
CHANGED = {
    DATA: Reason.WRONG_DIGEST,
    INDEX: Reason.WRONG_DIGEST,
    KEY: Reason.WRONG_DIGEST,
    MANIFEST: Reason.BAD_SIGNATURE,
}


def flip(path: Path, position: int, mask: int = 1) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= mask
    path.write_bytes(content)


def test_the_batch_is_good_when_nobody_touches_it(sent: Lab, batch: str) -> None:
    (outcome,) = sent.open()
    assert (outcome.status, outcome.reason, outcome.sender) == ("published", None, SENDER)
    assert sent.contents(sent.published / batch) == CONTENT
    assert os.listdir(sent.zone) == []


@pytest.mark.parametrize("ending", [DATA, INDEX, KEY, MANIFEST])
@pytest.mark.parametrize("where", [0.0, 0.02, 0.25, 0.5, 0.75, 0.97, 1.0])
def test_a_flipped_bit_in_any_region_of_any_file(
    sent: Lab, batch: str, ending: str, where: float
) -> None:
    path = sent.zone / (batch + ending)
    flip(path, min(int(path.stat().st_size * where), path.stat().st_size - 1))
    sent.refused(CHANGED[ending])


@pytest.mark.parametrize("line", range(6))
def test_a_flipped_bit_in_any_line_of_the_signature(sent: Lab, batch: str, line: int) -> None:
    path = sent.zone / (batch + SIGNATURE)
    lines = path.read_bytes().splitlines(keepends=True)
    assert len(lines) == 6
    flip(path, sum(map(len, lines[:line])) + min(40, len(lines[line]) - 2))
    (outcome,) = sent.open()
    assert outcome.status == "quarantined"
    # A flip in the key or the namespace makes it the signature of somebody, or for something, else.
    assert outcome.reason in (Reason.BAD_SIGNATURE, Reason.UNKNOWN_SIGNER, Reason.WRONG_NAMESPACE)
    assert sent.nothing_published()


def test_every_single_bit_of_the_signature_counts(sent: Lab, batch: str) -> None:
    path = sent.zone / (batch + SIGNATURE)
    content = path.read_bytes()
    for position in range(0, len(content), 7):
        changed = bytearray(content)
        changed[position] ^= 1 << (position % 8)
        path.write_bytes(changed)
        (outcome,) = sent.open(check=True)
        assert outcome.status == "refused", position
    path.write_bytes(content)
    assert [one.status for one in sent.open(check=True)] == ["verified"]


@pytest.mark.parametrize(
    "again", [lambda text: text + b"\n", lambda text: text.replace(b"\n", b"\r\n"), lambda text: b"\n" + text]
)  # fmt: skip
def test_a_signature_that_is_only_written_differently(
    sent: Lab, batch: str, again: Callable[[bytes], bytes]
) -> None:
    path = sent.zone / (batch + SIGNATURE)
    path.write_bytes(again(path.read_bytes()))
    sent.refused(Reason.BAD_SIGNATURE)


@pytest.mark.parametrize("ending", FILES)
def test_a_truncated_file(sent: Lab, batch: str, ending: str) -> None:
    path = sent.zone / (batch + ending)
    path.write_bytes(path.read_bytes()[:-1])
    sent.refused(Reason.BAD_SIGNATURE if "manifest" in ending else Reason.WRONG_SIZE)


@pytest.mark.parametrize("ending", FILES)
def test_an_emptied_file(sent: Lab, batch: str, ending: str) -> None:
    (sent.zone / (batch + ending)).write_bytes(b"")
    sent.refused(Reason.BAD_SIGNATURE if "manifest" in ending else Reason.WRONG_SIZE)


@pytest.mark.parametrize("ending", FILES)
def test_an_extended_file(sent: Lab, batch: str, ending: str) -> None:
    path = sent.zone / (batch + ending)
    path.write_bytes(path.read_bytes() + b"x")
    sent.refused(Reason.BAD_SIGNATURE if "manifest" in ending else Reason.WRONG_SIZE)


@pytest.mark.parametrize(
    ("one", "other", "reason"),
    [
        (DATA, INDEX, Reason.WRONG_SIZE),
        (INDEX, KEY, Reason.WRONG_SIZE),
        (MANIFEST, SIGNATURE, Reason.BAD_SIGNATURE),
    ],
)
def test_swapped_files(sent: Lab, batch: str, one: str, other: str, reason: Reason) -> None:
    first, second = sent.zone / (batch + one), sent.zone / (batch + other)
    first.rename(sent.root / "swap")
    second.rename(first)
    (sent.root / "swap").rename(second)
    sent.refused(reason)


def test_data_of_another_batch_with_the_same_size(sent: Lab, batch: str) -> None:
    data = sent.zone / (batch + DATA)
    other = bytearray(data.read_bytes())
    other[8:] = os.urandom(len(other) - 8)
    data.write_bytes(other)
    sent.refused(Reason.WRONG_DIGEST)


@pytest.mark.parametrize("ending", [DATA, INDEX, KEY])
def test_a_missing_file(sent: Lab, batch: str, ending: str) -> None:
    (sent.zone / (batch + ending)).unlink()
    sent.refused(Reason.MISSING_FILE)


def test_a_stripped_signature(sent: Lab, batch: str) -> None:
    (sent.zone / (batch + SIGNATURE)).unlink()
    sent.refused(Reason.MISSING_SIGNATURE)


def test_without_its_manifest_a_batch_is_an_upload_that_goes_on(sent: Lab, batch: str) -> None:
    (sent.zone / (batch + MANIFEST)).unlink()
    assert sent.open() == []
    assert sent.nothing_published()
    assert len(os.listdir(sent.zone)) == 4


@pytest.mark.parametrize("name", [".data.enc.part", ".extra", ".reason.json", ".data.enc2"])
def test_an_extra_file(sent: Lab, batch: str, name: str) -> None:
    (sent.zone / (batch + name)).write_bytes(b"x")
    sent.refused(Reason.EXTRA_FILE)


def test_an_extra_file_whose_name_is_not_text(sent: Lab, batch: str) -> None:
    (sent.zone / os.fsdecode(os.fsencode(batch) + b".\xff\n")).write_bytes(b"x")
    assert "\n" not in sent.refused(Reason.EXTRA_FILE).detail


@pytest.mark.parametrize("ending", FILES)
@pytest.mark.parametrize("kind", ["symlink", "fifo", "directory", "socket", "device"])
def test_a_name_that_is_not_a_regular_file(
    sent: Lab, batch: str, ending: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = sent.zone / (batch + ending)
    kept = sent.root / "kept"
    shutil.copy(path, kept)
    path.unlink()
    if kind == "symlink":
        path.symlink_to(kept)
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    elif kind == "socket":
        bound = socket.socket(socket.AF_UNIX)
        monkeypatch.chdir(sent.zone)  # the path of a socket must be short
        bound.bind(path.name)
        bound.close()
    else:
        try:
            os.mknod(path, 0o020644, os.makedev(1, 5))
        except PermissionError:
            pytest.skip("devices cannot be made here")
    sent.refused(Reason.NOT_A_FILE)


@pytest.mark.parametrize("ending", FILES)
def test_a_file_with_another_name_elsewhere(
    sent: Lab, batch: str, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "ansible_collections.twinguard.hardening.plugins.module_utils._batch.check_io._LINK_WAIT", 0
    )
    elsewhere = sent.root / f"linked{ending}"
    elsewhere.unlink(missing_ok=True)
    os.link(sent.zone / (batch + ending), elsewhere)
    sent.refused(Reason.HARD_LINK)


def edited(text: str) -> Callable[[Lab, str], None]:
    def edit(sent: Lab, batch: str) -> None:
        path = sent.zone / (batch + MANIFEST)
        pattern, value = text.split(" -> ")
        changed = re.sub(pattern, value, path.read_text(), count=1)
        assert changed != path.read_text()
        path.write_text(changed)

    return edit


@pytest.mark.parametrize(
    "edit",
    [
        '"sequence": [0-9]+ -> "sequence": 9999999999',
        '"sender": "[^"]*" -> "sender": "other@plant.example"',
        '"created_at": "[^"]*" -> "created_at": "2026-11-21T11:20:01Z"',
        '"iterations": [0-9]+ -> "iterations": 1',
        r'"recipients": \["[^"]*"\] -> "recipients": []',
        '"size": [0-9]+ -> "size": 1',
    ],
)
def test_an_edited_manifest(sent: Lab, batch: str, edit: str) -> None:
    edited(edit)(sent, batch)
    sent.refused(Reason.BAD_SIGNATURE)


def test_a_huge_manifest_is_not_even_read(sent: Lab, batch: str) -> None:
    with (sent.zone / (batch + MANIFEST)).open("r+b") as stream:
        stream.truncate(1 << 40)  # a hole, so it costs nothing but to whoever reads it
    sent.refused(Reason.BAD_MANIFEST)


def test_a_huge_signature_is_not_even_read(sent: Lab, batch: str) -> None:
    with (sent.zone / (batch + SIGNATURE)).open("r+b") as stream:
        stream.truncate(1 << 40)
    sent.refused(Reason.BAD_SIGNATURE)


def test_a_hole_in_place_of_the_data(sent: Lab, batch: str) -> None:
    with (sent.zone / (batch + DATA)).open("r+b") as stream:
        size = stream.seek(0, 2)
        stream.truncate(0)
        stream.truncate(size)
    sent.refused(Reason.WRONG_DIGEST)


def test_a_batch_from_the_future(sent: Lab) -> None:
    sent.refused(Reason.FROM_THE_FUTURE, now=NOW - 301)


def test_a_batch_that_is_too_old(sent: Lab) -> None:
    sent.refused(Reason.TOO_OLD, now=NOW + 3601, maximum_age=3600)


def test_a_replay_publishes_nothing_and_is_reported(
    sent: Lab, batch: str, made: tuple[Lab, str, dict[str, bytes]]
) -> None:
    assert [one.status for one in sent.open()] == ["published"]
    shutil.rmtree(sent.published / batch)  # somebody took it away, which changes nothing
    for name, content in made[2].items():
        (sent.zone / name).write_bytes(content)
    (outcome,) = sent.open()
    assert (outcome.status, outcome.reason) == ("already", Reason.REPLAY)
    assert sent.nothing_published()
    assert os.listdir(sent.zone) == []


def test_a_batch_with_an_older_number(sent: Lab, batch: str) -> None:
    newer = sent.batch(now=NOW + 60)
    kept = {path: path.read_bytes() for path in sent.zone.glob(batch + "*")}
    for path in kept:
        path.unlink()
    assert [one.batch for one in sent.open(now=NOW + 60)] == [newer]
    shutil.rmtree(sent.published / newer)
    for path, content in kept.items():
        path.write_bytes(content)
    sent.refused(Reason.OLD_SEQUENCE)


def test_a_batch_under_the_name_of_another_one(sent: Lab, batch: str) -> None:
    other = batch[:-4] + ("0000" if batch[-4:] != "0000" else "1111")
    for path in list(sent.zone.iterdir()):
        path.rename(sent.zone / path.name.replace(batch, other))
    sent.refused(Reason.BAD_MANIFEST)


@pytest.mark.parametrize("name", ["x", "../../etc", "20261121T112000Z", "", ".hidden"])
def test_a_manifest_that_is_called_otherwise_is_moved_away(
    sent: Lab, batch: str, name: str
) -> None:
    stray = sent.zone / (name.replace("/", "\\") + MANIFEST)
    shutil.copy(sent.zone / (batch + MANIFEST), stray)
    first, second = sent.open()
    assert (first.status, first.reason) == ("quarantined", Reason.BAD_MANIFEST)
    assert second.status == "published"
    assert os.listdir(sent.zone) == []


def test_a_place_that_is_taken_is_not_written_over(sent: Lab, batch: str) -> None:
    (sent.published / batch).mkdir()
    (sent.published / batch / "mine").write_bytes(b"mine")
    (outcome,) = sent.open()
    assert (outcome.status, outcome.reason) == ("quarantined", Reason.ID_TAKEN)
    assert sent.contents(sent.published) == {f"{batch}/mine": b"mine"}
