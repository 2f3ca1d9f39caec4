# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When files are sealed, and when not, with the real openssl and ssh-keygen."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.twinguard.hardening.plugins.module_utils._batch import (
    seal_state as batch_plan,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._core.plan import ControlError
from ansible_collections.twinguard.hardening.plugins.module_utils._files.transaction_io import (
    FilesError,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._host.run_io import ProgramError
from ansible_collections.twinguard.hardening.tests.unit.support.batch import (
    SETTLED_NS,
    Lab,
    make_recipient,
)

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
    monkeypatch.setattr(batch_plan, "RACY_NS", -(10**18))
    lab.seal()
    monkeypatch.setattr(os, "readv", None)
    again = lab.seal()
    assert (again.changed, again.reason) == (False, "no file was touched")


def test_touched_files_are_compared_by_content(lab: Lab) -> None:
    lab.seal()
    os.utime(lab.source / "a.csv", ns=(SETTLED_NS, SETTLED_NS))
    again = lab.seal()
    assert (again.changed, again.reason) == (
        False,
        "files were touched, but their content is the same",
    )


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda lab: (lab.source / "a.csv").write_bytes(b"9,9,9\n"), "content"),
        (lambda lab: (lab.source / "a.csv").write_bytes(b"1,2,3,4\n"), "another size"),
        (lambda lab: (lab.source / "new").write_bytes(b""), "added or removed"),
        (lambda lab: (lab.source / "a.csv").unlink(), "added or removed"),
        (lambda lab: (lab.source / "a.csv").rename(lab.source / "b.csv"), "added or removed"),
    ],
)
def test_any_change_is_sealed_and_check_mode_says_so(lab: Lab, change: object, reason: str) -> None:
    first = lab.seal()
    assert callable(change)
    change(lab)
    foreseen, again = lab.seal(check=True), lab.seal()
    assert (foreseen.changed, again.changed) == (True, True)
    assert reason in foreseen.reason
    assert foreseen.reason == again.reason
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
def test_invalid_options_are_refused_in_one_sentence(
    lab: Lab, changes: dict[str, Any], option: str
) -> None:
    with pytest.raises(ControlError) as error:
        lab.seal(**changes)
    assert error.value.option == option
    assert "\n" not in str(error.value)
    assert os.listdir(lab.outbox) == []


@pytest.mark.parametrize("kind", ["symlink", "fifo", "newline", "bytes", "empty"])
def test_unsupported_sources_are_named(lab: Lab, kind: str) -> None:
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


def test_an_invalid_signing_key_leaves_nothing_behind(lab: Lab) -> None:
    with pytest.raises(ProgramError, match="ssh-keygen failed"):
        lab.seal(signing_key=lab.identity.certificate)
    assert os.listdir(lab.outbox) == []


def test_a_recipient_without_a_certificate_is_named(lab: Lab) -> None:
    with pytest.raises(FilesError, match="exactly one certificate"):
        lab.seal(recipients=(lab.signer,))
