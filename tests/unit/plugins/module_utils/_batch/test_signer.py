# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A batch that is whole, from somebody who may not send it, or for somebody else: not a byte is published."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.twinguard.hardening.plugins.module_utils._batch.types import (
    MANIFEST,
    SIGNATURE,
    Reason,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._host.run_io import ProgramError
from ansible_collections.twinguard.hardening.tests.unit.support.batch import (
    SENDER,
    Lab,
    called,
    make_recipient,
    make_signer,
    public,
    quick_directory,
    trusted,
)
from ansible_collections.twinguard.hardening.tests.unit.support.batch_forge import sign


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


def resigned(lab: Lab, batch: str, key: str, namespace: str = "twinguard-batch") -> None:
    manifest = (lab.zone / (batch + MANIFEST)).read_bytes()
    (lab.zone / (batch + SIGNATURE)).write_bytes(sign(manifest, key, namespace))


def test_a_foreign_signer(lab: Lab, batch: str, tmp_path: Path) -> None:
    resigned(lab, batch, make_signer(tmp_path, "stranger"))
    lab.refused(Reason.UNKNOWN_SIGNER)


def test_a_signature_for_another_namespace(lab: Lab, batch: str) -> None:
    resigned(lab, batch, lab.signer, "git")
    lab.refused(Reason.WRONG_NAMESPACE)


def test_a_signer_who_may_sign_other_things_only(lab: Lab) -> None:
    only_git = f'{SENDER} namespaces="git" {public(lab.signer)}\n'.encode()
    lab.refused(Reason.WRONG_NAMESPACE, allowed_signers=only_git)


def test_a_signer_whose_entry_names_no_namespace_may_not_sign_everything(lab: Lab) -> None:
    anything = f"{SENDER} {public(lab.signer)}\n".encode()
    lab.refused(Reason.WRONG_NAMESPACE, allowed_signers=anything)


def test_a_known_person_who_signs_for_another_one(lab: Lab, batch: str, tmp_path: Path) -> None:
    key = make_signer(tmp_path, "colleague")
    resigned(lab, batch, key)
    people = trusted((SENDER, lab.signer), ("colleague@plant.example", key))
    lab.refused(Reason.WRONG_SENDER, allowed_signers=people)


def test_a_sender_who_may_not_send_to_this_place(lab: Lab) -> None:
    lab.refused(Reason.WRONG_SENDER, senders=("other@plant.example",))


def test_an_expired_signer(lab: Lab) -> None:
    past = trusted((SENDER, lab.signer), more=',valid-before="20261101000000Z"')
    lab.refused(Reason.SIGNER_EXPIRED, allowed_signers=past)


def test_a_signer_who_is_not_valid_yet(lab: Lab) -> None:
    future = trusted((SENDER, lab.signer), more=',valid-after="20270101000000Z"')
    lab.refused(Reason.SIGNER_EXPIRED, allowed_signers=future)


def test_a_revoked_signer(lab: Lab) -> None:
    revoked = (public(lab.signer) + "\n").encode()
    lab.refused(Reason.SIGNER_REVOKED, revocations=revoked)


def test_a_signer_revoked_by_a_list_that_only_ssh_keygen_can_read(lab: Lab, tmp_path: Path) -> None:
    krl = tmp_path / "krl"
    called("ssh-keygen", "-q", "-k", "-f", str(krl), lab.signer + ".pub")
    lab.refused(Reason.SIGNER_REVOKED, revocations=krl.read_bytes())


def test_a_list_that_ssh_keygen_cannot_read_is_no_fault_of_the_batch(lab: Lab) -> None:
    with pytest.raises(ProgramError, match="list of signers or revoked keys"):
        lab.open(revocations=b"rubbish\n")
    assert lab.nothing_published()
    assert os.listdir(lab.quarantine) == []
    assert [one.status for one in lab.open()] == ["published"]


def test_a_removed_sender(lab: Lab, tmp_path: Path) -> None:
    others = trusted(("other@plant.example", make_signer(tmp_path, "other")))
    lab.refused(Reason.UNKNOWN_SIGNER, allowed_signers=others)


def test_nobody_is_trusted_when_nobody_is_named(lab: Lab) -> None:
    lab.refused(Reason.UNKNOWN_SIGNER, allowed_signers=b"")


def test_a_batch_for_another_recipient(lab: Lab, tmp_path: Path) -> None:
    lab.refused(Reason.WRONG_RECIPIENT, identities=(make_recipient(tmp_path, "other"),))


def test_a_key_that_does_not_fit_its_certificate_is_no_fault_of_the_batch(
    lab: Lab, tmp_path: Path
) -> None:
    other = make_recipient(tmp_path, "other")
    wrong = replace(lab.identity, key=other.key)
    with pytest.raises(Exception, match="it is not the key of"):
        lab.open(identities=(wrong,))
    assert lab.nothing_published()
    assert [one.status for one in lab.open()] == ["published"]
