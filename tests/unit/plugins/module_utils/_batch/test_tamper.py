# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever is done to a batch on its way: not a byte of it is published, and the reason is the right one.

These are attacks by whoever can write into the zone. What a sender with a good key can do is in test_batch_hostile.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
from collections.abc import Callable, Iterator
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
    quick_directory,
)

FILES = (DATA, INDEX, KEY, MANIFEST, SIGNATURE)
# What a change to each file is called. All that the manifest says is covered by its signature.
CHANGED = {
    DATA: Reason.WRONG_DIGEST,
    INDEX: Reason.WRONG_DIGEST,
    KEY: Reason.WRONG_DIGEST,
    MANIFEST: Reason.BAD_SIGNATURE,
}


@pytest.fixture(scope="module")
def made() -> Iterator[tuple[Lab, str, dict[str, bytes]]]:
    """A sender, a receiver, and a good batch: its id and the content of its files."""
    with quick_directory() as root:
        lab = Lab(root)
        batch = lab.batch()
        yield lab, batch, lab.contents(lab.zone)


@pytest.fixture
def lab(made: tuple[Lab, str, dict[str, bytes]]) -> Lab:
    """The good batch in the zone, and nothing else anywhere."""
    made[0].put(made[2])
    return made[0]


@pytest.fixture
def batch(made: tuple[Lab, str, dict[str, bytes]]) -> str:
    return made[1]


def flip(path: Path, position: int, mask: int = 1) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= mask
    path.write_bytes(content)


def test_the_batch_is_good_when_nobody_touches_it(lab: Lab, batch: str) -> None:
    (outcome,) = lab.open()
    assert (outcome.status, outcome.reason, outcome.sender) == ("published", None, SENDER)
    assert lab.contents(lab.published / batch) == CONTENT
    assert os.listdir(lab.zone) == []


@pytest.mark.parametrize("ending", [DATA, INDEX, KEY, MANIFEST])
@pytest.mark.parametrize("where", [0.0, 0.02, 0.25, 0.5, 0.75, 0.97, 1.0])
def test_a_flipped_bit_in_any_region_of_any_file(
    lab: Lab, batch: str, ending: str, where: float
) -> None:
    path = lab.zone / (batch + ending)
    flip(path, min(int(path.stat().st_size * where), path.stat().st_size - 1))
    lab.refused(CHANGED[ending])


@pytest.mark.parametrize("line", range(6))
def test_a_flipped_bit_in_any_line_of_the_signature(lab: Lab, batch: str, line: int) -> None:
    path = lab.zone / (batch + SIGNATURE)
    lines = path.read_bytes().splitlines(keepends=True)
    assert len(lines) == 6
    flip(path, sum(map(len, lines[:line])) + min(40, len(lines[line]) - 2))
    (outcome,) = lab.open()
    assert outcome.status == "quarantined"
    # A flip in the key or the namespace makes it the signature of somebody, or for something, else.
    assert outcome.reason in (Reason.BAD_SIGNATURE, Reason.UNKNOWN_SIGNER, Reason.WRONG_NAMESPACE)
    assert lab.nothing_published()


def test_every_single_bit_of_the_signature_counts(lab: Lab, batch: str) -> None:
    path = lab.zone / (batch + SIGNATURE)
    content = path.read_bytes()
    for position in range(0, len(content), 7):
        changed = bytearray(content)
        changed[position] ^= 1 << (position % 8)
        path.write_bytes(changed)
        (outcome,) = lab.open(check=True)
        assert outcome.status == "refused", position
    path.write_bytes(content)
    assert [one.status for one in lab.open(check=True)] == ["verified"]


@pytest.mark.parametrize(
    "again", [lambda text: text + b"\n", lambda text: text.replace(b"\n", b"\r\n"), lambda text: b"\n" + text]
)  # fmt: skip
def test_a_signature_that_is_only_written_differently(
    lab: Lab, batch: str, again: Callable[[bytes], bytes]
) -> None:
    path = lab.zone / (batch + SIGNATURE)
    path.write_bytes(again(path.read_bytes()))
    lab.refused(Reason.BAD_SIGNATURE)


@pytest.mark.parametrize("ending", FILES)
def test_a_truncated_file(lab: Lab, batch: str, ending: str) -> None:
    path = lab.zone / (batch + ending)
    path.write_bytes(path.read_bytes()[:-1])
    lab.refused(Reason.BAD_SIGNATURE if "manifest" in ending else Reason.WRONG_SIZE)


@pytest.mark.parametrize("ending", FILES)
def test_an_emptied_file(lab: Lab, batch: str, ending: str) -> None:
    (lab.zone / (batch + ending)).write_bytes(b"")
    lab.refused(Reason.BAD_SIGNATURE if "manifest" in ending else Reason.WRONG_SIZE)


@pytest.mark.parametrize("ending", FILES)
def test_an_extended_file(lab: Lab, batch: str, ending: str) -> None:
    path = lab.zone / (batch + ending)
    path.write_bytes(path.read_bytes() + b"x")
    lab.refused(Reason.BAD_SIGNATURE if "manifest" in ending else Reason.WRONG_SIZE)


@pytest.mark.parametrize(
    ("one", "other", "reason"),
    [
        (DATA, INDEX, Reason.WRONG_SIZE),
        (INDEX, KEY, Reason.WRONG_SIZE),
        (MANIFEST, SIGNATURE, Reason.BAD_SIGNATURE),
    ],
)
def test_swapped_files(lab: Lab, batch: str, one: str, other: str, reason: Reason) -> None:
    first, second = lab.zone / (batch + one), lab.zone / (batch + other)
    first.rename(lab.root / "swap")
    second.rename(first)
    (lab.root / "swap").rename(second)
    lab.refused(reason)


def test_data_of_another_batch_with_the_same_size(lab: Lab, batch: str) -> None:
    data = lab.zone / (batch + DATA)
    other = bytearray(data.read_bytes())
    other[8:] = os.urandom(len(other) - 8)
    data.write_bytes(other)
    lab.refused(Reason.WRONG_DIGEST)


@pytest.mark.parametrize("ending", [DATA, INDEX, KEY])
def test_a_missing_file(lab: Lab, batch: str, ending: str) -> None:
    (lab.zone / (batch + ending)).unlink()
    lab.refused(Reason.MISSING_FILE)


def test_a_stripped_signature(lab: Lab, batch: str) -> None:
    (lab.zone / (batch + SIGNATURE)).unlink()
    lab.refused(Reason.MISSING_SIGNATURE)


def test_without_its_manifest_a_batch_is_an_upload_that_goes_on(lab: Lab, batch: str) -> None:
    (lab.zone / (batch + MANIFEST)).unlink()
    assert lab.open() == []
    assert lab.nothing_published()
    assert len(os.listdir(lab.zone)) == 4


@pytest.mark.parametrize("name", [".data.enc.part", ".extra", ".reason.json", ".data.enc2"])
def test_an_extra_file(lab: Lab, batch: str, name: str) -> None:
    (lab.zone / (batch + name)).write_bytes(b"x")
    lab.refused(Reason.EXTRA_FILE)


def test_an_extra_file_whose_name_is_no_text(lab: Lab, batch: str) -> None:
    (lab.zone / os.fsdecode(os.fsencode(batch) + b".\xff\n")).write_bytes(b"x")
    assert "\n" not in lab.refused(Reason.EXTRA_FILE).detail


@pytest.mark.parametrize("ending", FILES)
@pytest.mark.parametrize("kind", ["symlink", "fifo", "directory", "socket", "device"])
def test_a_file_that_is_none(
    lab: Lab, batch: str, ending: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = lab.zone / (batch + ending)
    kept = lab.root / "kept"
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
        monkeypatch.chdir(lab.zone)  # the path of a socket must be short
        bound.bind(path.name)
        bound.close()
    else:
        try:
            os.mknod(path, 0o020644, os.makedev(1, 5))
        except PermissionError:
            pytest.skip("devices cannot be made here")
    lab.refused(Reason.NOT_A_FILE)


@pytest.mark.parametrize("ending", FILES)
def test_a_file_with_another_name_elsewhere(
    lab: Lab, batch: str, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "ansible_collections.twinguard.hardening.plugins.module_utils._batch.check_io._LINK_WAIT", 0
    )
    elsewhere = lab.root / f"linked{ending}"
    elsewhere.unlink(missing_ok=True)
    os.link(lab.zone / (batch + ending), elsewhere)
    lab.refused(Reason.HARD_LINK)


def edited(text: str) -> Callable[[Lab, str], None]:
    def edit(lab: Lab, batch: str) -> None:
        path = lab.zone / (batch + MANIFEST)
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
def test_an_edited_manifest(lab: Lab, batch: str, edit: str) -> None:
    edited(edit)(lab, batch)
    lab.refused(Reason.BAD_SIGNATURE)


def test_a_huge_manifest_is_not_even_read(lab: Lab, batch: str) -> None:
    with (lab.zone / (batch + MANIFEST)).open("r+b") as stream:
        stream.truncate(1 << 40)  # a hole, so it costs nothing but to whoever reads it
    lab.refused(Reason.BAD_MANIFEST)


def test_a_huge_signature_is_not_even_read(lab: Lab, batch: str) -> None:
    with (lab.zone / (batch + SIGNATURE)).open("r+b") as stream:
        stream.truncate(1 << 40)
    lab.refused(Reason.BAD_SIGNATURE)


def test_a_hole_in_place_of_the_data(lab: Lab, batch: str) -> None:
    with (lab.zone / (batch + DATA)).open("r+b") as stream:
        size = stream.seek(0, 2)
        stream.truncate(0)
        stream.truncate(size)
    lab.refused(Reason.WRONG_DIGEST)


def test_a_batch_from_the_future(lab: Lab) -> None:
    lab.refused(Reason.FROM_THE_FUTURE, now=NOW - 301)


def test_a_batch_that_is_too_old(lab: Lab) -> None:
    lab.refused(Reason.TOO_OLD, now=NOW + 3601, maximum_age=3600)


def test_a_replay_publishes_nothing_and_is_told(
    lab: Lab, batch: str, made: tuple[Lab, str, dict[str, bytes]]
) -> None:
    assert [one.status for one in lab.open()] == ["published"]
    shutil.rmtree(lab.published / batch)  # somebody took it away, which changes nothing
    for name, content in made[2].items():
        (lab.zone / name).write_bytes(content)
    (outcome,) = lab.open()
    assert (outcome.status, outcome.reason) == ("already", Reason.REPLAY)
    assert lab.nothing_published()
    assert os.listdir(lab.zone) == []


def test_a_batch_with_an_older_number(lab: Lab, batch: str) -> None:
    newer = lab.batch(now=NOW + 60)
    kept = {path: path.read_bytes() for path in lab.zone.glob(batch + "*")}
    for path in kept:
        path.unlink()
    assert [one.batch for one in lab.open(now=NOW + 60)] == [newer]
    shutil.rmtree(lab.published / newer)
    for path, content in kept.items():
        path.write_bytes(content)
    lab.refused(Reason.OLD_SEQUENCE)


def test_a_batch_under_the_name_of_another_one(lab: Lab, batch: str) -> None:
    other = batch[:-4] + ("0000" if batch[-4:] != "0000" else "1111")
    for path in list(lab.zone.iterdir()):
        path.rename(lab.zone / path.name.replace(batch, other))
    lab.refused(Reason.BAD_MANIFEST)


@pytest.mark.parametrize("name", ["x", "../../etc", "20261121T112000Z", "", ".hidden"])
def test_a_manifest_that_is_called_otherwise_is_moved_away(lab: Lab, batch: str, name: str) -> None:
    stray = lab.zone / (name.replace("/", "\\") + MANIFEST)
    shutil.copy(lab.zone / (batch + MANIFEST), stray)
    first, second = lab.open()
    assert (first.status, first.reason) == ("quarantined", Reason.BAD_MANIFEST)
    assert second.status == "published"
    assert os.listdir(lab.zone) == []


def test_a_place_that_is_taken_is_not_written_over(lab: Lab, batch: str) -> None:
    (lab.published / batch).mkdir()
    (lab.published / batch / "mine").write_bytes(b"mine")
    (outcome,) = lab.open()
    assert (outcome.status, outcome.reason) == ("quarantined", Reason.ID_TAKEN)
    assert lab.contents(lab.published) == {f"{batch}/mine": b"mine"}
