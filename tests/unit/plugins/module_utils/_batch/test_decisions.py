# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The decisions about batches: one form for each content, and no order of events that publishes twice."""

from __future__ import annotations

import io
import tarfile
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.twinguard.hardening.plugins.module_utils._batch import index as batch_index
from ansible_collections.twinguard.hardening.plugins.module_utils._batch import (
    ledger as batch_ledger,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._batch import (
    manifest as batch_manifest,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._batch import names as batch_names
from ansible_collections.twinguard.hardening.plugins.module_utils._batch import (
    report as batch_report,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._batch import (
    seal_state as batch_plan,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._batch import (
    signature as batch_trust,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._batch import (
    verdict as batch_verdict,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._batch.types import (
    Outcome,
    Reason,
    Refused,
    Sealed,
)

BATCH = "20261121T112000Z-0123456789abcdef"
OTHER = "20261121T112000Z-fedcba9876543210"
ENTRY = batch_ledger.Entry(BATCH, "a@x", 7, "0" * 64, 1_795_260_000, 2, 30, "/published")

letters = st.characters(
    codec="utf-8", exclude_categories=("Cc", "Cf", "Cs", "Zl", "Zp", "Cn", "Co")
)
parts = st.text(letters.filter(lambda one: one not in "/\\"), min_size=1, max_size=30)
good_names = (
    st.lists(parts, min_size=1, max_size=4)
    .map("/".join)
    .filter(lambda name: batch_names.problem(name) is None)
)
items = st.builds(
    batch_index.Item,
    good_names,
    st.integers(0, 1 << 45),
    st.binary(min_size=32, max_size=32).map(bytes.hex),
)
digests = st.binary(min_size=32, max_size=32).map(bytes.hex)


def test_a_batch_id_and_a_sender_have_one_form() -> None:
    assert batch_names.is_batch(BATCH)
    for wrong in (BATCH + "\n", BATCH.upper(), BATCH[:-1], "x" + BATCH, "", BATCH + "/.."):
        assert not batch_names.is_batch(wrong)
    assert batch_names.is_sender("line-1.press+a@plant.example")
    for wrong in ("", "*", "a b", "a\n", "-a", "a,b", "a/b", "x" * 65, "ä"):
        assert not batch_names.is_sender(wrong)


@given(st.lists(items, min_size=1, max_size=8, unique_by=lambda one: one.name))
def test_an_index_is_read_as_it_was_written(found: list[batch_index.Item]) -> None:
    found = sorted(found, key=lambda one: one.name)
    names = {one.name for one in found}
    if any(parent in names for name in names for parent in batch_names.parents(name)):
        with pytest.raises(Refused):
            batch_index.parse_index(batch_index.render_index(found), 100)
    else:
        assert batch_index.parse_index(batch_index.render_index(found), 100) == found


@given(good_names, st.binary(max_size=2000))
def test_every_tar_reads_our_archive(name: str, content: bytes) -> None:
    made = batch_index.header(name, len(content)) + content
    made += batch_index.padding(len(content)) + batch_index.END
    item = batch_index.Item(name, len(content), "0" * 64)
    assert len(made) == batch_index.archive_size([item])
    with tarfile.open(fileobj=io.BytesIO(made)) as archive:
        (member,) = archive.getmembers()
        assert (member.name, member.size, member.isreg()) == (name, len(content), True)
        stream = archive.extractfile(member)
        assert stream is not None
        assert stream.read() == content


def test_a_file_of_more_than_8_gib_has_its_size_in_the_archive() -> None:
    size = 9 << 30
    stream = io.BytesIO(batch_index.header("large", size) + bytes(1024))
    with tarfile.open(fileobj=stream) as archive:
        member = archive.next()
        assert member is not None
        assert (member.name, member.size) == ("large", size)


@given(
    st.integers(0, (1 << 53) - 1),
    st.lists(digests, unique=True, max_size=5).map(sorted),
    st.integers(0, 4_000_000_000),
    st.lists(st.tuples(st.integers(0, 1 << 50), digests), min_size=3, max_size=3),
)
def test_a_manifest_is_read_as_it_was_written(
    sequence: int, recipients: list[str], created: int, sums: list[tuple[int, str]]
) -> None:
    names = batch_manifest.expected_names(BATCH, bool(recipients))
    files = tuple(
        batch_manifest.Sum(name, size, digest) for name, (size, digest) in zip(names, sums)
    )
    rounds = 10_000 if recipients else 600_000
    made = batch_manifest.Manifest(
        BATCH, sequence, "a@x", tuple(recipients), created, rounds, files
    )
    content = batch_manifest.render(made)
    assert batch_manifest.parse(content, BATCH) == made
    with pytest.raises(Refused):
        batch_manifest.parse(content, OTHER)


# --- the ledger


def test_a_batch_is_published_once_whatever_is_sent_again() -> None:
    book = batch_ledger.Ledger()
    assert batch_ledger.decide(book, "a@x", BATCH, 7, "0" * 64) is None
    book = batch_ledger.finish(batch_ledger.begin(book, ENTRY))
    assert batch_ledger.decide(book, "a@x", BATCH, 7, "0" * 64) == ENTRY
    for sender, batch, sequence, manifest, reason in (
        ("a@x", BATCH, 8, "1" * 64, Reason.REPLAY),
        ("a@x", OTHER, 7, "1" * 64, Reason.OLD_SEQUENCE),
        ("a@x", OTHER, 6, "1" * 64, Reason.OLD_SEQUENCE),
        ("b@x", BATCH, 9, "1" * 64, Reason.ID_TAKEN),
        ("b@x", BATCH, 7, "0" * 64, Reason.ID_TAKEN),
    ):
        with pytest.raises(Refused) as error:
            batch_ledger.decide(book, sender, batch, sequence, manifest)
        assert error.value.reason == reason
    assert batch_ledger.decide(book, "a@x", OTHER, 8, "1" * 64) is None
    assert batch_ledger.decide(book, "b@x", OTHER, 1, "1" * 64) is None


def test_a_number_counts_from_the_moment_it_is_being_published() -> None:
    book = batch_ledger.begin(batch_ledger.Ledger(), ENTRY)
    with pytest.raises(Refused):
        batch_ledger.decide(book, "a@x", OTHER, 7, "1" * 64)
    with pytest.raises(batch_ledger.LedgerError):
        batch_ledger.begin(book, replace(ENTRY, batch=OTHER))


def test_old_batches_are_forgotten_by_name_and_refused_by_number() -> None:
    book = batch_ledger.Ledger()
    for number in range(batch_ledger.KEPT + 5):
        entry = replace(ENTRY, batch=f"20261121T112000Z-{number:016x}", sequence=number)
        book = batch_ledger.finish(batch_ledger.begin(book, entry))
    assert len(book.published) == batch_ledger.KEPT
    assert batch_ledger.parse(batch_ledger.render(book)) == book
    with pytest.raises(Refused) as error:
        batch_ledger.decide(book, "a@x", f"20261121T112000Z-{0:016x}", 0, "0" * 64)
    assert error.value.reason == Reason.OLD_SEQUENCE


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"null",
        b"\xff",
        b"[" * 100_000,
        batch_ledger.render(batch_ledger.Ledger())[:-2],
        batch_ledger.render(batch_ledger.Ledger()) + b" ",
        batch_ledger.render(batch_ledger.Ledger({"a": 1})).replace(b'"a": 1', b'"a": "1"'),
        batch_ledger.render(batch_ledger.Ledger(published=(replace(ENTRY, batch="x"),))),
    ],
)
def test_a_ledger_that_somebody_changed_stops_everything(content: bytes) -> None:
    with pytest.raises(batch_ledger.LedgerError):
        batch_ledger.parse(content)


# --- sealing again or not


def test_a_state_is_read_as_it_was_written_and_nothing_else_is() -> None:
    last = batch_plan.Last(BATCH, 7, "a", "b", "c", "d", 1, 2)
    state = batch_plan.begin(batch_plan.State(), last)
    assert batch_plan.parse(batch_plan.render(state)) == state
    assert batch_plan.finish(state) == batch_plan.State(7, last, None)
    assert batch_plan.discard(state).sequence == 7
    for content in (b"", b"{}", batch_plan.render(state) + b" "):
        with pytest.raises(batch_plan.StateError):
            batch_plan.parse(content)


def test_fresh_times_are_not_trusted() -> None:
    began = 10 * batch_plan.RACY_NS
    assert batch_plan.times_are_reliable([1, began - batch_plan.RACY_NS - 1], began)
    assert not batch_plan.times_are_reliable([1, began - batch_plan.RACY_NS], began)
    last = batch_plan.Last(BATCH, 7, "settings", "shape", "", "content", 1, 2)
    assert batch_plan.compare(last, "settings", "shape", "", False) == (None, "")


def test_keyed_digests_differ_with_the_key_and_with_where_a_part_ends() -> None:
    assert batch_plan.keyed_digest(b"1", ["a"]) != batch_plan.keyed_digest(b"2", ["a"])
    assert batch_plan.keyed_digest(b"1", ["ab", "c"]) != batch_plan.keyed_digest(b"1", ["a", "bc"])


# --- trust, verdict and report


def test_a_revocation_file_may_hold_comments_and_rubbish() -> None:
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1KsE2Qv3yRcTSgwfq0b2sFh5vSyPrVAWRKbYkD5b0l"
    found = batch_trust.revoked_keys(b"# x\n\xff\xff\n" + key.encode() + b" comment\n")
    assert found == {key.split()[1]}


def test_a_batch_is_known_by_its_manifest_alone() -> None:
    present = [f"{BATCH}.manifest.json", f"{OTHER}.data.enc", "x.manifest.json", "y"]
    assert batch_verdict.batches(present) == ([BATCH], ["x.manifest.json"])


@pytest.mark.parametrize(
    "content", [b"", b"{}", b'{"sequence": "1"}', b'{"sequence": -1}', b"[" * 9999, b"\xff", b"[]"]
)
def test_a_manifest_without_a_number_has_no_sequence(content: bytes) -> None:
    assert batch_manifest.unverified_sequence(content) is None
    assert batch_manifest.unverified_sequence(b'{"sequence": 5}') == 5


def test_a_refused_batch_is_not_a_change_with_verify_only() -> None:
    outcome = Outcome(BATCH, "refused", Reason.REPLAY, "seen before")
    params = {"directory": "/z", "destination": "/d", "quarantine": "/q", "batch": None}
    result = batch_report.open_result([outcome], {**params, "verify_only": True}, check=False)
    assert (result["changed"], result["diff"]) == (False, [])
    assert "replay" in result["msg"]
    assert result["controls"][0]["status"] == "fail"


def test_data_that_is_not_sealed_yet_does_not_pass() -> None:
    params = {"sender": "a@x", "outbox": "/o"}
    waiting = batch_report.seal_result(Sealed(True, "force is set"), params)
    assert (waiting["changed"], waiting["controls"][0]["status"]) == (True, "fail")
