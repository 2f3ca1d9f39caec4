# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys and signatures of the real ssh-keygen, for tests."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path


def needs(*programs: str) -> None:
    """Fail with a sentence when a program is missing: a test that did not run is no green test."""
    missing = [name for name in programs if shutil.which(name) is None]
    assert not missing, f"install {' and '.join(missing)}: these tests use the real programs"


def keygen(path: Path, kind: str = "ed25519", bits: str = "") -> str:
    """Make a key without a passphrase; its public line."""
    needs("ssh-keygen")
    size = ["-b", bits] if bits else []
    subprocess.run(
        ["ssh-keygen", "-q", "-t", kind, *size, "-N", "", "-C", path.name, "-f", str(path)],
        check=True,
    )
    return path.with_name(path.name + ".pub").read_text(encoding="ascii").strip()


def ssh_sign(key: Path, payload: bytes, namespace: str = "git") -> bytes:
    """The armoured signature of the payload."""
    done = subprocess.run(
        ["ssh-keygen", "-q", "-Y", "sign", "-f", str(key), "-n", namespace],
        input=payload,
        capture_output=True,
        check=True,
    )
    return done.stdout
