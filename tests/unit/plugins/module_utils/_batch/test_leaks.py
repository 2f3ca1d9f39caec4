# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Passwords and plain text while batches are sealed and opened: in no process's arguments, in no open file."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.twinguard.hardening.tests.unit.support.batch import NOW, Lab

WATCH = Path(__file__).resolve().parents[4] / "support" / "secret_watch.py"
# Other ones each time, so that two runs side by side do not see each other.
PASSPHRASE = f"passphrase-{secrets.token_hex(8)}-that-nobody-sees"
PASSWORD = secrets.token_hex(32)
PLAIN = "plain-text-8e1f that nobody sees"


class Watch:
    """secret_watch.py at work beside the block; `found` afterwards."""

    def __init__(self, *words: str) -> None:
        argv = [sys.executable, str(WATCH), *words]
        self.process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([PASSPHRASE, PASSWORD, PLAIN]) + "\n")
        self.process.stdin.flush()
        self.found: list[str] = []
        self.looked = 0

    def end(self) -> None:
        report: dict[str, Any] = json.loads(self.process.communicate(timeout=60)[0])
        self.found, self.looked = report["found"], report["looked"]


@pytest.fixture
def lab() -> Iterator[Lab]:
    """In a directory that everybody can look into, unlike those of pytest."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        lab = Lab(Path(name))
        lab.fill({"a.csv": (PLAIN.encode() + b"\n") * 1000, "b": os.urandom(3_000_000)})
        yield lab


def work(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seal and open, with a random password that is known here, and with a passphrase."""
    real = secrets.token_hex
    with monkeypatch.context() as patch:
        patch.setattr(secrets, "token_hex", lambda count: PASSWORD if count == 32 else real(count))
        lab.batch()
    assert [one.status for one in lab.open()] == ["published"]
    shared = lab.keys / "passphrase"
    shared.write_text(PASSPHRASE + "\n")
    shared.chmod(0o600)
    lab.batch(now=NOW + 1, recipients=(), passphrase_file=str(shared))
    opened = lab.open(now=NOW + 1, identities=(), passphrase_file=str(shared))
    assert [one.status for one in opened] == ["published"]


def test_no_process_shows_a_password(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    decoy = subprocess.Popen(["sleep", "60"], env={**os.environ, "DECOY": PASSPHRASE})
    try:
        watch = Watch("processes")
        work(lab, monkeypatch)
        watch.end()
    finally:
        decoy.kill()
        decoy.wait()
    # The decoy shows that whatever is there is found.
    assert watch.found == [f"environ of process {decoy.pid}"]
    assert watch.looked > 100


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can look as another user")
def test_no_other_user_finds_a_password_or_plain_text_on_the_disk(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    (lab.root / "decoys").mkdir()
    decoy = lab.root / "decoys" / "decoy"
    decoy.write_text(PLAIN)
    places = [lab.outbox, lab.zone, lab.published, lab.quarantine, lab.keys, decoy.parent]
    watch = Watch("files", *map(str, places), lab.sealing.state_dir, lab.opening.state_dir)
    work(lab, monkeypatch)
    watch.end()
    assert watch.found == [str(decoy)]
    assert watch.looked > 100
