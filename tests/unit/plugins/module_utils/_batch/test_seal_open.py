# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Batches that are sealed and opened as they should be, with the real openssl and ssh-keygen."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ansible_collections.twinguard.hardening.plugins.module_utils._batch.types import (
    Reason,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._core.plan import ControlError
from ansible_collections.twinguard.hardening.plugins.module_utils._files.transaction_io import (
    FilesError,
)
from ansible_collections.twinguard.hardening.tests.unit.support.batch import (
    CONTENT,
    NOW,
    SENDER,
    Lab,
    make_recipient,
    make_signer,
    statuses,
    trusted,
)


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


def test_a_malformed_manifest_comes_after_all_others(lab: Lab) -> None:
    good = lab.batch()
    malformed = "20000101T000000Z-0000000000000000"
    (lab.zone / f"{malformed}.manifest.json").write_bytes(b"{}")
    outcomes = lab.open()
    assert [one.batch for one in outcomes] == [good, malformed]
    assert [one.reason for one in outcomes] == [None, Reason.MISSING_SIGNATURE]


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
    with pytest.raises(FilesError, match="lets others reach it"):
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
