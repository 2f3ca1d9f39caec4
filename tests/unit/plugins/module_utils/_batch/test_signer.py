# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A batch that is whole, from somebody who may not send it, or for somebody else: not a byte is published."""

from __future__ import annotations

import os
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
    trusted,
)
from ansible_collections.twinguard.hardening.tests.unit.support.batch_forge import sign


def resigned(sent: Lab, batch: str, key: str, namespace: str = "twinguard-batch") -> None:
    manifest = (sent.zone / (batch + MANIFEST)).read_bytes()
    (sent.zone / (batch + SIGNATURE)).write_bytes(sign(manifest, key, namespace))


def test_a_foreign_signer(sent: Lab, batch: str, tmp_path: Path) -> None:
    resigned(sent, batch, make_signer(tmp_path, "stranger"))
    sent.refused(Reason.UNKNOWN_SIGNER)


def test_a_signature_for_another_namespace(sent: Lab, batch: str) -> None:
    resigned(sent, batch, sent.signer, "git")
    sent.refused(Reason.WRONG_NAMESPACE)


def test_a_signer_who_may_sign_other_things_only(sent: Lab) -> None:
    only_git = f'{SENDER} namespaces="git" {public(sent.signer)}\n'.encode()
    sent.refused(Reason.WRONG_NAMESPACE, allowed_signers=only_git)


def test_a_signer_whose_entry_names_no_namespace_may_not_sign_everything(sent: Lab) -> None:
    anything = f"{SENDER} {public(sent.signer)}\n".encode()
    sent.refused(Reason.WRONG_NAMESPACE, allowed_signers=anything)


def test_a_known_person_who_signs_for_another_one(sent: Lab, batch: str, tmp_path: Path) -> None:
    key = make_signer(tmp_path, "colleague")
    resigned(sent, batch, key)
    people = trusted((SENDER, sent.signer), ("colleague@plant.example", key))
    sent.refused(Reason.WRONG_SENDER, allowed_signers=people)


def test_a_sender_who_may_not_send_to_this_place(sent: Lab) -> None:
    sent.refused(Reason.WRONG_SENDER, senders=("other@plant.example",))


def test_an_expired_signer(sent: Lab) -> None:
    past = trusted((SENDER, sent.signer), more=',valid-before="20261101000000Z"')
    sent.refused(Reason.SIGNER_EXPIRED, allowed_signers=past)


def test_a_signer_who_is_not_valid_yet(sent: Lab) -> None:
    future = trusted((SENDER, sent.signer), more=',valid-after="20270101000000Z"')
    sent.refused(Reason.SIGNER_EXPIRED, allowed_signers=future)


def test_a_revoked_signer(sent: Lab) -> None:
    revoked = (public(sent.signer) + "\n").encode()
    sent.refused(Reason.SIGNER_REVOKED, revocations=revoked)


def test_a_signer_revoked_by_a_list_that_only_ssh_keygen_can_read(
    sent: Lab, tmp_path: Path
) -> None:
    krl = tmp_path / "krl"
    called("ssh-keygen", "-q", "-k", "-f", str(krl), sent.signer + ".pub")
    sent.refused(Reason.SIGNER_REVOKED, revocations=krl.read_bytes())


def test_a_list_that_ssh_keygen_cannot_read_is_not_the_fault_of_the_batch(sent: Lab) -> None:
    with pytest.raises(ProgramError, match="list of signers or revoked keys"):
        sent.open(revocations=b"rubbish\n")
    assert sent.nothing_published()
    assert os.listdir(sent.quarantine) == []
    assert [one.status for one in sent.open()] == ["published"]


def test_a_removed_sender(sent: Lab, tmp_path: Path) -> None:
    others = trusted(("other@plant.example", make_signer(tmp_path, "other")))
    sent.refused(Reason.UNKNOWN_SIGNER, allowed_signers=others)


def test_nobody_is_trusted_when_nobody_is_named(sent: Lab) -> None:
    sent.refused(Reason.UNKNOWN_SIGNER, allowed_signers=b"")


def test_a_batch_for_another_recipient(sent: Lab, tmp_path: Path) -> None:
    sent.refused(Reason.WRONG_RECIPIENT, identities=(make_recipient(tmp_path, "other"),))


def test_a_key_that_does_not_fit_its_certificate_is_not_the_fault_of_the_batch(
    sent: Lab, tmp_path: Path
) -> None:
    other = make_recipient(tmp_path, "other")
    wrong = replace(sent.identity, key=other.key)
    with pytest.raises(Exception, match="it is not the key of"):
        sent.open(identities=(wrong,))
    assert sent.nothing_published()
    assert [one.status for one in sent.open()] == ["published"]
