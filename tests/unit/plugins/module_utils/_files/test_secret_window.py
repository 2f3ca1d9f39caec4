# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Another user who looks all the time never gets to read a secret file."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Iterator

import pytest

from ansible_collections.twinguard.hardening.plugins.module_utils._files.transaction_io import (
    FileSpec,
    Transaction,
)

CREATIONS = 1000
NOBODY = 65534
READ, NOT_READ = 7, 0

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0, reason="only root can start a reader of another user"
)


@pytest.fixture
def base() -> Iterator[Path]:
    memory = "/dev/shm"
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as name:
        Path(name).chmod(0o755)
        (Path(name) / "etc").mkdir(mode=0o755)
        yield Path(name)


def spy(directory: str, stop: int) -> int:
    """Try to read every file that shows up, until told to stop."""
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    os.set_blocking(stop, False)
    while True:
        for name in os.listdir(directory):
            try:
                with open(f"{directory}/{name}", "rb") as stream:
                    if b"secret" in stream.read():
                        return READ
            except (FileNotFoundError, PermissionError):
                continue
        try:
            if not os.read(stop, 1):
                return NOT_READ
        except BlockingIOError:
            continue


def seen_while_writing(base: Path, mode: int) -> bool:
    """Whether the reader got hold of a secret during many creations."""
    stop, keep = os.pipe()
    child = os.fork()
    if child == 0:
        status = 99
        try:
            os.close(keep)
            status = spy(str(base / "etc"), stop)
        finally:
            os._exit(status)
    os.close(stop)
    for number in range(CREATIONS):
        with Transaction(str(base / "state")) as files:
            content = b"secret %d" % number
            files.stage([FileSpec(f"{base}/etc/key", content, mode)])
            files.commit()
            files.confirm()
        if number % 2:
            (base / "etc" / "key").unlink()
        if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            break
    os.close(keep)
    status = os.waitpid(child, 0)[1] >> 8
    assert status in (READ, NOT_READ), "the reader itself failed"
    return status == READ


def test_no_other_user_reads_a_secret_in_a_thousand_creations(base: Path) -> None:
    assert not seen_while_writing(base, 0o600)


def test_the_reader_does_see_what_is_open_to_all(base: Path) -> None:
    assert seen_while_writing(base, 0o644)
