# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands between a good batch and its publication: validation, other services, a sudden end. And by hand."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from ansible_collections.twinguard.hardening.plugins.module_utils._batch import (
    disk_io as batch_disk_io,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._batch import (
    ledger as batch_ledger,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._batch.types import (
    Outcome,
    Reason,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._files.transaction_io import (
    FilesError,
)
from ansible_collections.twinguard.hardening.plugins.modules import batch_open
from ansible_collections.twinguard.hardening.tests.unit.support.batch import (
    CONTENT,
    NOW,
    SENDER,
    Lab,
    called,
    statuses,
)

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
    ("text", "message"),
    [
        ("echo 'row 7 is out of range' >&2; exit 3", "row 7 is out of range"),
        ("kill -9 $$", "status -9"),
        ('echo changed >> "$2/a.csv"', "has changed the data"),
        ('rm "$2/a.csv"', "has changed the data"),
        ('touch "$2/more"', "has changed the data"),
        ("exec sleep 60", "took longer"),
    ],
)
def test_what_a_validation_refuses_is_not_published(lab: Lab, text: str, message: str) -> None:
    lab.batch()
    (outcome,) = lab.open(validate=script(lab, text), validate_seconds=1.0)
    assert (outcome.status, outcome.reason) == ("quarantined", Reason.REFUSED_BY_VALIDATION)
    assert message in outcome.detail
    assert lab.nothing_published()


def test_a_validation_that_is_missing_is_not_the_fault_of_the_batch(lab: Lab) -> None:
    lab.batch()
    with pytest.raises(FilesError, match="not executable"):
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
    real = batch_disk_io.write_private
    left = [count]

    def write_private(path: str, content: bytes) -> None:
        real(path, content)
        left[0] -= 1
        if left[0] == 0:
            raise FilesError(path, "write", OSError(errno.EIO, ""))

    return write_private


def test_a_ledger_that_was_written_although_that_failed_loses_no_batch(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = lab.batch()
    with monkeypatch.context() as patch:
        patch.setattr(batch_disk_io, "write_private", failing_after(1))
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
        patch.setattr(batch_ledger, "finish", None)
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
    content = data.read_bytes()
    data.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    called("rm", "-r", str(lab.zone / batch))
    done = subprocess.run(["sh", "-c", text], cwd=lab.zone, capture_output=True, check=False)
    assert done.returncode != 0
    assert not (lab.zone / batch).exists()
