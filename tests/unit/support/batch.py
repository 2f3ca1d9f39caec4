# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A sender and a receiver in temporary directories, with the real openssl and ssh-keygen."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from ansible_collections.twinguard.hardening.plugins.module_utils._batch.open_io import open_batches
from ansible_collections.twinguard.hardening.plugins.module_utils._batch.seal_io import seal
from ansible_collections.twinguard.hardening.plugins.module_utils._batch.types import (
    NAMESPACE,
    Identity,
    OpenOptions,
    Outcome,
    Reason,
    Sealed,
    SealOptions,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._host.run_io import run

SENDER = "line1@plant.example"
NOW = 1_795_260_000
CONTENT = {"a.csv": b"1,2,3\n", "sub/b.bin": bytes(range(256)) * 40, "sub/empty": b""}


SETTLED_NS = 1_700_000_000 * 10**9
"""A time long ago, for files that nobody has touched lately."""


def statuses(outcomes: list[Outcome]) -> list[str]:
    """The status of each outcome."""
    return [one.status for one in outcomes]


def called(*argv: str, stdin: bytes = b"", cwd: Path | None = None) -> bytes:
    """Output of a program that must succeed."""
    done = subprocess.run(argv, input=stdin, capture_output=True, check=False, cwd=cwd)
    assert done.returncode == 0, (argv, done.stdout, done.stderr)
    return done.stdout


def make_recipient(directory: Path, name: str, kind: str = "ec") -> Identity:
    """A private key and a certificate of its own."""
    key, certificate = directory / f"{name}.key", directory / f"{name}.pem"
    how = ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"] if kind == "ec" else ["rsa:2048"]
    called(
        "openssl", "req", "-x509", "-newkey", *how, "-nodes", "-days", "3650",
        "-keyout", str(key), "-out", str(certificate), "-subj", f"/CN={name}",
    )  # fmt: skip
    key.chmod(0o600)
    return Identity(str(key), str(certificate))


def make_signer(directory: Path, name: str) -> str:
    """The path of a private SSH key; its public half lies beside it."""
    path = str(directory / name)
    called("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", path)
    return path


def public(key: str) -> str:
    """Type and blob of a signer's public key."""
    return " ".join(Path(key + ".pub").read_text().split()[:2])


def trusted(*pairs: tuple[str, str], more: str = "") -> bytes:
    """An allowed_signers file: principal and key file of each."""
    lines = [f'{name} namespaces="{NAMESPACE}"{more} {public(key)}\n' for name, key in pairs]
    return "".join(lines).encode()


@contextlib.contextmanager
def quick_directory() -> Iterator[Path]:
    """A directory in memory where there is one: batches are flushed to the disk again and again."""
    memory = "/dev/shm"
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as path:
        yield Path(path)


class Lab:
    """One sender, one receiver, and the zone between them."""

    def __init__(self, root: Path, kind: str = "ec") -> None:
        self.root = root
        for name in ("source", "outbox", "zone", "published", "quarantine", "keys"):
            (root / name).mkdir()
        self.source, self.outbox, self.zone = root / "source", root / "outbox", root / "zone"
        self.published, self.quarantine = root / "published", root / "quarantine"
        self.keys = root / "keys"
        self.signer = make_signer(self.keys, "signer")
        self.identity = make_recipient(self.keys, "receiver", kind)
        self.fill(CONTENT)
        self.sealing = SealOptions(
            sources=(str(self.source),),
            outbox=str(self.outbox),
            state_dir=str(root / "sender"),
            sender=SENDER,
            signing_key=self.signer,
            recipients=(self.identity.certificate,),
        )
        self.opening = OpenOptions(
            allowed_signers=trusted((SENDER, self.signer)),
            destination=str(self.published),
            quarantine=str(self.quarantine),
            state_dir=str(root / "receiver"),
            identities=(self.identity,),
        )

    def fill(self, content: dict[str, bytes]) -> None:
        """Other files in the source."""
        shutil.rmtree(self.source)
        self.source.mkdir()
        for name, data in content.items():
            path = self.source / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)

    def seal(self, now: int = NOW, check: bool = False, **changes: Any) -> Sealed:
        return seal(replace(self.sealing, **changes), now, run, check)

    def seal_params(self) -> dict[str, Any]:
        """The same options as `sealing`, as batch_seal takes them."""
        return {
            "sources": list(self.sealing.sources),
            "outbox": self.sealing.outbox,
            "state_dir": self.sealing.state_dir,
            "sender": self.sealing.sender,
            "signing_key": self.sealing.signing_key,
            "recipients": list(self.sealing.recipients),
        }

    def open_params(self) -> dict[str, Any]:
        """The same options as `opening`, as batch_open takes them."""
        keys = [{"key": public(self.signer), "namespaces": [NAMESPACE]}]
        return {
            "directory": str(self.zone),
            "destination": self.opening.destination,
            "quarantine": self.opening.quarantine,
            "state_dir": self.opening.state_dir,
            "people": [{"name": "Line 1", "principals": [SENDER], "keys": keys}],
            "identities": [
                {"key": one.key, "certificate": one.certificate} for one in self.opening.identities
            ],
        }

    def send(self) -> list[str]:
        """Bring what is in the outbox to the zone; the ids of the batches."""
        for path in sorted(self.outbox.iterdir()):
            shutil.move(str(path), self.zone / path.name)
        return sorted(path.name.split(".")[0] for path in self.zone.glob("*.manifest.json"))

    def open(self, now: int = NOW, check: bool = False, **changes: Any) -> list[Outcome]:
        return open_batches(str(self.zone), replace(self.opening, **changes), now, run, check)

    def batch(self, **changes: Any) -> str:
        """The id of a fresh batch that lies in the zone."""
        sealed = self.seal(force=True, **changes)
        self.send()
        return sealed.batch

    def contents(self, path: Path) -> dict[str, bytes]:
        """All files below a directory."""
        return {
            str(one.relative_to(path)): one.read_bytes()
            for one in sorted(path.rglob("*"))
            if one.is_file() and not one.is_symlink()
        }

    def nothing_published(self) -> bool:
        """No file of any name at or below the destination, and no hidden leftovers."""
        return os.listdir(self.published) == []

    def put(self, files: dict[str, bytes]) -> None:
        """These files in the zone, nothing published, nothing in quarantine or in the ledger."""
        for path in (self.zone, self.published, self.quarantine, Path(self.opening.state_dir)):
            shutil.rmtree(path, ignore_errors=True)
        for path in (self.zone, self.published, self.quarantine):
            path.mkdir()
        for name, content in files.items():
            (self.zone / name).write_bytes(content)

    def refused(self, reason: Reason, **changes: Any) -> Outcome:
        """The one batch is refused: by a look that changes nothing, and then for good."""
        before = sorted(os.listdir(self.zone))
        (looked,) = self.open(check=True, **changes)
        assert (looked.status, looked.reason) == ("refused", reason), looked
        assert sorted(os.listdir(self.zone)) == before
        (outcome,) = self.open(**changes)
        assert (outcome.status, outcome.reason) == ("quarantined", reason), outcome
        assert self.nothing_published()
        assert os.listdir(self.zone) == []
        assert f'"reason": "{reason.value}"' in (Path(outcome.path) / "reason.json").read_text()
        assert sorted({*os.listdir(outcome.path)} - {"reason.json"}) == before
        assert self.open() == []
        return outcome
