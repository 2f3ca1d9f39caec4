# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Batches that are sealed and opened as they should be, with the real openssl and ssh-keygen."""

from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.twinguard.hardening.plugins.module_utils import (
    _batch_disk_io,
    _batch_ledger,
    _batch_plan,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._batch_types import (
    Outcome,
    Reason,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._files import FilesError
from ansible_collections.twinguard.hardening.plugins.module_utils._plan import ControlError
from ansible_collections.twinguard.hardening.plugins.module_utils._program_io import ProgramError
from ansible_collections.twinguard.hardening.plugins.modules import batch_open
from ansible_collections.twinguard.hardening.tests.unit.support.batch import (
    CONTENT,
    NOW,
    SENDER,
    Lab,
    called,
    make_recipient,
    make_signer,
    quick_directory,
    trusted,
)

SETTLED_NS = 1_700_000_000 * 10**9


@pytest.fixture
def lab() -> Iterator[Lab]:
    with quick_directory() as root:
        yield Lab(root)


def statuses(outcomes: list[Outcome]) -> list[str]:
    return [one.status for one in outcomes]


@pytest.mark.parametrize("kind", ["ec", "rsa"])
def test_what_was_sealed_is_published_byte_for_byte(tmp_path: Path, kind: str) -> None:
    lab = Lab(tmp_path, kind)
    batch = lab.batch()
    assert statuses(lab.open()) == ["published"]
    assert lab.contents(lab.published / batch) == CONTENT
    assert (lab.published / batch).stat().st_mode & 0o7777 == 0o750
    assert (lab.published / batch / "sub").stat().st_mode & 0o7777 == 0o750
    assert (lab.published / batch / "a.csv").stat().st_mode & 0o7777 == 0o640
    assert os.listdir(lab.published) == [batch]


def test_names_of_every_kind_survive(lab: Lab) -> None:
    content = {
        "ünï çødé 数据.csv": b"1",
        " leading and trailing ": b"2",
        "-rf": b"3",
        "*?[a]": b"4",
        "$(touch x)`'\"": b"5",
        "x" * 255: b"6",
        "/".join(["d" * 100] * 9): b"7",
        "~root": b"8",
        "ü" * 120: b"9",
    }
    lab.fill(content)
    batch = lab.batch()
    assert statuses(lab.open()) == ["published"]
    assert lab.contents(lab.published / batch) == content


def test_a_large_file_goes_through_in_chunks(lab: Lab) -> None:
    content = {"large": os.urandom(5 * 1024 * 1024 + 17), "next": b"x"}
    lab.fill(content)
    batch = lab.batch()
    assert statuses(lab.open()) == ["published"]
    assert lab.contents(lab.published / batch) == content


def test_single_files_and_directories_make_one_batch(lab: Lab) -> None:
    single = lab.root / "single.txt"
    single.write_bytes(b"one")
    batch = lab.batch(sources=(str(single), str(lab.source)))
    assert statuses(lab.open()) == ["published"]
    assert lab.contents(lab.published / batch) == {**CONTENT, "single.txt": b"one"}


def test_verifying_alone_needs_no_key_and_changes_nothing(lab: Lab) -> None:
    lab.batch()
    before = lab.contents(lab.zone)
    assert statuses(lab.open(verify_only=True, identities=())) == ["verified"]
    assert lab.contents(lab.zone) == before
    assert lab.nothing_published()
    assert not Path(lab.opening.state_dir).exists()


def test_batches_are_opened_in_the_order_of_their_numbers(lab: Lab) -> None:
    made = [lab.seal(now=NOW + number, force=True).batch for number in (5, 3, 4)]
    lab.send()
    assert [one.batch for one in lab.open(now=NOW + 10)] == made


def test_numbers_rise_when_the_clock_goes_back_or_the_state_is_lost(lab: Lab) -> None:
    first = lab.seal()
    back = lab.seal(now=NOW - 1000, force=True)
    assert back.sequence == first.sequence + 1
    lost = lab.seal(now=NOW + 50, force=True, state_dir=str(lab.root / "other"))
    assert lost.sequence > back.sequence


def test_a_published_batch_that_is_kept_is_fine_at_every_further_run(lab: Lab) -> None:
    lab.batch()
    assert statuses(lab.open(remove=False)) == ["published"]
    assert statuses(lab.open(remove=False)) == ["already"]
    assert statuses(lab.open()) == ["already"]
    assert lab.open() == []


# --- sealing again or not


def test_unchanged_files_are_not_sealed_again(lab: Lab) -> None:
    first = lab.seal()
    again = lab.seal()
    assert (first.changed, again.changed) == (True, False)
    assert again.batch == first.batch
    assert len(os.listdir(lab.outbox)) == 5
    lab.send()
    assert lab.seal().changed is False


def test_files_that_nobody_touched_are_not_even_read(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As if the files had been there for long.
    monkeypatch.setattr(_batch_plan, "SETTLE_NS", -(10**18))
    lab.seal()
    monkeypatch.setattr(os, "readv", None)
    again = lab.seal()
    assert (again.changed, again.why) == (False, "no file was touched")


def test_touched_files_are_compared_by_content(lab: Lab) -> None:
    lab.seal()
    os.utime(lab.source / "a.csv", ns=(SETTLED_NS, SETTLED_NS))
    again = lab.seal()
    assert (again.changed, again.why) == (
        False,
        "files were touched, and their content is the same",
    )


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda lab: (lab.source / "a.csv").write_bytes(b"9,9,9\n"), "content"),
        (lambda lab: (lab.source / "a.csv").write_bytes(b"1,2,3,4\n"), "another size"),
        (lambda lab: (lab.source / "new").write_bytes(b""), "came, went"),
        (lambda lab: (lab.source / "a.csv").unlink(), "came, went"),
        (lambda lab: (lab.source / "a.csv").rename(lab.source / "b.csv"), "came, went"),
    ],
)
def test_any_change_is_sealed_and_check_mode_says_so(lab: Lab, change: object, why: str) -> None:
    first = lab.seal()
    assert callable(change)
    change(lab)
    foreseen, again = lab.seal(check=True), lab.seal()
    assert (foreseen.changed, again.changed) == (True, True)
    assert why in foreseen.why
    assert foreseen.why == again.why
    assert again.batch != first.batch


def test_a_change_that_hides_behind_the_old_time_and_size_is_seen(lab: Lab) -> None:
    path = lab.source / "a.csv"
    os.utime(path, ns=(SETTLED_NS, SETTLED_NS))
    lab.seal()
    path.write_bytes(b"3,2,1\n")
    os.utime(path, ns=(SETTLED_NS, SETTLED_NS))
    assert lab.seal().changed is True


def test_other_recipients_are_a_reason_to_seal(lab: Lab) -> None:
    lab.seal()
    both = (lab.identity.certificate, make_recipient(lab.keys, "escrow").certificate)
    assert lab.seal(recipients=both).changed is True
    assert lab.seal(recipients=both[::-1]).changed is False


def test_check_mode_writes_nothing(lab: Lab) -> None:
    assert lab.seal(check=True).changed is True
    assert os.listdir(lab.outbox) == []
    assert not Path(lab.sealing.state_dir).exists()


def test_the_state_tells_nothing_about_the_data(lab: Lab) -> None:
    lab.seal()
    other = Lab(lab.root / "zone")  # another sender with the same data
    other.seal()
    digests = [
        set(
            re.findall(r'"([0-9a-f]{64})"', (Path(one.sealing.state_dir) / "seal.json").read_text())
        )
        for one in (lab, other)
    ]
    assert digests[0]
    assert not digests[0] & digests[1]
    for one in (lab, other):
        for path in Path(one.sealing.state_dir).iterdir():
            assert path.stat().st_mode & 0o777 == 0o600
            assert b"a.csv" not in path.read_bytes()


def test_what_is_on_the_way_tells_neither_names_nor_contents(lab: Lab) -> None:
    lab.fill({"plan-of-the-reactor.csv": b"plan of the reactor " * 100})
    lab.seal()
    everything = b"".join(lab.contents(lab.outbox).values())
    assert b"reactor" not in everything


def test_two_sealings_of_the_same_data_have_nothing_in_common(lab: Lab) -> None:
    lab.seal()
    first = {name.split(".", 1)[1]: data for name, data in lab.contents(lab.outbox).items()}
    lab.send()
    lab.seal(force=True)
    second = {name.split(".", 1)[1]: data for name, data in lab.contents(lab.outbox).items()}
    assert first["data.enc"][8:] != second["data.enc"][8:]
    assert first["key.cms"] != second["key.cms"]


# --- what is refused before anything is made


@pytest.mark.parametrize(
    ("changes", "option"),
    [
        ({"sender": "a b"}, "sender"),
        ({"sender": ""}, "sender"),
        ({"sources": ()}, "sources"),
        ({"recipients": ()}, "recipients"),
        ({"passphrase_file": "/x"}, "recipients"),
        ({"iterations": 599_999}, "iterations"),
        ({"outbox": "relative"}, "path"),
        ({"outbox": "/a/../b"}, "path"),
    ],
)
def test_options_that_cannot_be_are_refused_in_one_sentence(
    lab: Lab, changes: dict[str, Any], option: str
) -> None:
    with pytest.raises(ControlError) as error:
        lab.seal(**changes)
    assert error.value.option == option
    assert "\n" not in str(error.value)
    assert os.listdir(lab.outbox) == []


@pytest.mark.parametrize("kind", ["symlink", "fifo", "newline", "bytes", "empty"])
def test_sources_that_cannot_be_carried_are_named(lab: Lab, kind: str) -> None:
    if kind == "symlink":
        (lab.source / "link").symlink_to("/etc/passwd")
    elif kind == "fifo":
        os.mkfifo(lab.source / "fifo")
    elif kind == "newline":
        (lab.source / "a\nb").write_bytes(b"")
    elif kind == "bytes":
        (lab.source / os.fsdecode(b"\xff")).write_bytes(b"")
    else:
        lab.fill({})
    with pytest.raises(FilesError) as error:
        lab.seal()
    assert str(error.value).isprintable()
    assert os.listdir(lab.outbox) == []


def test_a_file_that_changes_while_it_is_sealed_stops_it(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = lab.source / "a.csv"
    real = os.readv

    def read(fd: int, buffers: object) -> int:
        path.write_bytes(b"9,9,9\n")
        return real(fd, buffers)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(os, "readv", read)
        with pytest.raises(FilesError, match="changed while it was sealed"):
            lab.seal()
    assert os.listdir(lab.outbox) == []
    assert lab.seal().changed is True


def test_a_signing_key_that_is_none_leaves_nothing_behind(lab: Lab) -> None:
    with pytest.raises(ProgramError, match="ssh-keygen failed"):
        lab.seal(signing_key=lab.identity.certificate)
    assert os.listdir(lab.outbox) == []


def test_a_recipient_without_a_certificate_is_named(lab: Lab) -> None:
    with pytest.raises(FilesError, match="exactly one certificate"):
        lab.seal(recipients=(lab.signer,))


# --- passphrase


def passphrase(lab: Lab, text: str = "a passphrase that is long enough", mode: int = 0o600) -> str:
    path = lab.keys / f"passphrase-{abs(hash(text))}"
    path.write_text(text + "\n")
    path.chmod(mode)
    return str(path)


def test_a_shared_passphrase_does_as_well(lab: Lab) -> None:
    shared = passphrase(lab)
    batch = lab.batch(recipients=(), passphrase_file=shared)
    assert len(os.listdir(lab.zone)) == 4
    assert '"iterations": 600000' in (lab.zone / f"{batch}.manifest.json").read_text()
    assert statuses(lab.open(identities=(), passphrase_file=shared)) == ["published"]
    assert lab.contents(lab.published / batch) == CONTENT


def test_another_passphrase_opens_nothing(lab: Lab) -> None:
    lab.batch(recipients=(), passphrase_file=passphrase(lab))
    wrong = passphrase(lab, "another one that is long enough")
    (outcome,) = lab.open(identities=(), passphrase_file=wrong)
    assert (outcome.status, outcome.reason) == ("quarantined", Reason.BAD_INDEX)
    assert lab.nothing_published()


def test_whoever_has_only_keys_cannot_open_a_batch_with_a_passphrase(lab: Lab) -> None:
    lab.batch(recipients=(), passphrase_file=passphrase(lab))
    (outcome,) = lab.open()
    assert outcome.reason == Reason.WRONG_RECIPIENT


def test_a_short_or_open_passphrase_is_refused_and_not_shown(lab: Lab) -> None:
    with pytest.raises(ControlError, match="20 to 1000 bytes") as short:
        lab.seal(recipients=(), passphrase_file=passphrase(lab, "hunter2"))
    assert "hunter2" not in str(short.value)
    with pytest.raises(FilesError, match="others can reach it"):
        lab.seal(recipients=(), passphrase_file=passphrase(lab, mode=0o644))


# --- keys come and go


def test_keys_are_exchanged_with_an_overlap(lab: Lab) -> None:
    old, new = lab.identity, make_recipient(lab.keys, "new")
    # 1. The receiver has both; senders still seal for the old one.
    first = lab.batch(recipients=(old.certificate,))
    assert [one.batch for one in lab.open(identities=(new, old))] == [first]
    # 2. Senders seal for both; receivers with either open it.
    second = lab.batch(now=NOW + 1, recipients=(old.certificate, new.certificate))
    assert [one.batch for one in lab.open(now=NOW + 1, identities=(new,))] == [second]
    # 3. Senders seal for the new one, and the old one opens nothing any more.
    third = lab.batch(now=NOW + 2, recipients=(new.certificate,))
    (outcome,) = lab.open(now=NOW + 2, identities=(old,), check=True)
    assert outcome.reason == Reason.WRONG_RECIPIENT
    assert [one.batch for one in lab.open(now=NOW + 2, identities=(new, old))] == [third]


def test_the_escrow_opens_what_the_receiver_opens(lab: Lab) -> None:
    escrow = make_recipient(lab.keys, "escrow", "rsa")
    batch = lab.batch(recipients=(lab.identity.certificate, escrow.certificate))
    elsewhere = lab.root / "escrow"
    elsewhere.mkdir()
    opened = lab.open(
        identities=(escrow,),
        destination=str(elsewhere),
        state_dir=str(lab.root / "escrow-state"),
        remove=False,
    )
    assert statuses(opened) == ["published"]
    assert lab.contents(elsewhere / batch) == CONTENT
    assert statuses(lab.open()) == ["published"]


def test_signing_keys_are_exchanged_with_an_overlap_and_a_sender_is_removed(lab: Lab) -> None:
    new = make_signer(lab.keys, "new-signer")
    both = trusted((SENDER, lab.signer), (SENDER, new))
    lab.batch()
    assert statuses(lab.open(allowed_signers=both)) == ["published"]
    lab.batch(now=NOW + 1, signing_key=new)
    assert statuses(lab.open(now=NOW + 1, allowed_signers=both)) == ["published"]
    lab.batch(now=NOW + 2)
    (outcome,) = lab.open(now=NOW + 2, allowed_signers=trusted((SENDER, new)))
    assert (outcome.status, outcome.reason) == ("quarantined", Reason.UNKNOWN_SIGNER)


# --- validation


def script(lab: Lab, text: str) -> tuple[str, ...]:
    path = lab.root / "validate"
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return (str(path), "an argument")


def test_a_validation_sees_the_data_before_anybody_else(lab: Lab) -> None:
    log = lab.root / "log"
    lab.batch()
    seen = script(lab, f'ls -d "$2" > {log}; ls {lab.published} >> {log}; cat "$2/a.csv" >> {log}')
    assert statuses(lab.open(validate=seen)) == ["published"]
    lines = log.read_text().splitlines()
    assert lines[0].startswith(f"{lab.published}/.tg-open-")
    assert lines[1:] == ["1,2,3"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("echo 'row 7 is out of range' >&2; exit 3", "row 7 is out of range"),
        ("kill -9 $$", "status -9"),
        ('echo changed >> "$2/a.csv"', "has changed the data"),
        ('rm "$2/a.csv"', "has changed the data"),
        ('touch "$2/more"', "has changed the data"),
        ("exec sleep 60", "took longer"),
    ],
)
def test_what_a_validation_refuses_is_not_published(lab: Lab, text: str, said: str) -> None:
    lab.batch()
    (outcome,) = lab.open(validate=script(lab, text), validate_seconds=1.0)
    assert (outcome.status, outcome.reason) == ("quarantined", Reason.REFUSED_BY_VALIDATION)
    assert said in outcome.detail
    assert lab.nothing_published()


def test_a_validation_that_is_missing_is_no_fault_of_the_batch(lab: Lab) -> None:
    lab.batch()
    with pytest.raises(FilesError, match="may not be run"):
        lab.open(validate=("/nowhere/validate",))
    assert lab.nothing_published()
    assert statuses(lab.open()) == ["published"]


# --- side by side


def test_two_services_at_once_publish_each_batch_once(lab: Lab) -> None:
    batches = [lab.batch(now=NOW + number) for number in range(4)]
    found: list[Outcome] = []
    threads = [
        threading.Thread(target=lambda: found.extend(lab.open(now=NOW + 10))) for _one in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    published = [one.batch for one in found if one.status == "published"]
    assert sorted(published) == sorted(batches)
    assert {one.status for one in found} <= {"published", "already"}
    assert sorted(os.listdir(lab.published)) == sorted(batches)


def test_a_second_service_that_cannot_wait_says_so(lab: Lab) -> None:
    import fcntl  # noqa: PLC0415

    state = Path(lab.opening.state_dir)
    state.mkdir(mode=0o700)
    held = os.open(state, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    lab.batch()
    with pytest.raises(FilesError, match="another run has held it"):
        lab.open(lock_wait=0.0)
    os.close(held)
    assert statuses(lab.open()) == ["published"]


# --- cut short


def failing_after(count: int) -> Callable[[str, bytes], None]:
    """Writes of the ledger that are done, the last of which says that it failed all the same."""
    real = _batch_disk_io.keep
    left = [count]

    def keep(path: str, content: bytes) -> None:
        real(path, content)
        left[0] -= 1
        if left[0] == 0:
            raise FilesError(path, "write", OSError(errno.EIO, ""))

    return keep


def test_a_ledger_that_was_written_although_that_failed_loses_no_batch(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = lab.batch()
    with monkeypatch.context() as patch:
        patch.setattr(_batch_disk_io, "keep", failing_after(1))
        with pytest.raises(FilesError, match="EIO"):
            lab.open()
    assert not (lab.published / batch).exists()
    assert statuses(lab.open()) == ["published", "already"]
    assert lab.contents(lab.published / batch) == CONTENT
    assert os.listdir(lab.published) == [batch]


def test_what_was_published_and_taken_away_before_it_was_noted_does_not_come_back(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = lab.batch()
    with monkeypatch.context() as patch:
        patch.setattr(_batch_ledger, "finish", None)
        with pytest.raises(TypeError):
            lab.open()
    assert lab.contents(lab.published / batch) == CONTENT
    shutil.rmtree(lab.published / batch)
    assert statuses(lab.open()) == ["published", "already"]
    assert lab.nothing_published()
    assert os.listdir(lab.zone) == []


# --- by hand


def test_a_batch_is_opened_by_hand_just_as_the_documentation_says(lab: Lab) -> None:
    lines = [line[4:] for line in batch_open.EXAMPLES.splitlines() if line.startswith("#   ")]
    assert len(lines) == 8
    assert yaml.safe_load(batch_open.EXAMPLES)
    batch = lab.batch()
    called("cp", lab.identity.key, str(lab.zone / "key.pem"))
    called("cp", lab.identity.certificate, str(lab.zone / "certificate.pem"))
    (lab.zone / "allowed_signers").write_bytes(lab.opening.allowed_signers)
    text = "\n".join(["set -eu", f"id={batch} sender={SENDER} rounds=10000", *lines])
    done = subprocess.run(["sh", "-c", text], cwd=lab.zone, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert lab.contents(lab.zone / batch) == CONTENT
    assert b"a.csv: OK" in done.stdout
    assert (lab.zone / "password").stat().st_mode & 0o777 == 0o600
    # And what was changed on the way stops it.
    data = lab.zone / f"{batch}.data.enc"
    data.write_bytes(data.read_bytes()[:-1] + b"x")
    called("rm", "-r", str(lab.zone / batch))
    done = subprocess.run(["sh", "-c", text], cwd=lab.zone, capture_output=True, check=False)
    assert done.returncode != 0
    assert not (lab.zone / batch).exists()
