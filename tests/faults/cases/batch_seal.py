# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files are sealed: a manifest in the outbox means that all of its batch is there, and no plain text stays."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

from agent import Module, Places

from ansible_collections.twinguard.hardening.tests.unit.support.batch import Lab

image, hosts = None, 2

BATCH = "20261121T112000Z-0123456789abcdef"
# The id of a batch is random; with another one each time, no two runs would write the same files.
PROGRAM = f"""
from ansible_collections.twinguard.hardening.plugins.module_utils._batch import seal_state
seal_state.new_id = lambda now, chance: {BATCH!r}
from ansible_collections.twinguard.hardening.plugins.modules import batch_seal
batch_seal.main()
"""


class Case:
    """From an outbox with an older batch to one with a newer batch beside it."""

    spread = 3
    secrets = ("s3cr3t-value",)

    def __init__(self, work: str) -> None:
        self.work = Path(work)
        self.outbox, self.state = self.work / "outbox", self.work / "sender"
        self.watched = [str(self.outbox), str(self.state)]
        endings = ("data.enc", "index.enc", "key.cms", "manifest.json", "manifest.json.sig")
        # Encryption is random, and so are signature and state.
        self.volatile = (
            *(str(self.outbox / f"{BATCH}.{ending}") for ending in endings),
            str(self.state / "seal.json"),
        )
        self.places = Places(self.watched, work)

    def command(self) -> list[str]:
        return [sys.executable, str(self.work / "program.py"), str(self.work / "new.json")]

    def prepare(self) -> None:
        """Keys, files, and a first batch of other files."""
        lab = Lab(self.work)
        (self.work / "program.py").write_text(PROGRAM)
        self.module = Module("batch_seal", str(self.work), new=lab.seal_params())
        lab.fill({"a": b"old"})
        self.module.run()
        lab.fill({"a": b"s3cr3t-value" * 50, "b": bytes(5000)})
        self.places.keep()

    def reset(self) -> None:
        self.places.restore()

    def now(self) -> list[str]:
        """Right after the fault: each manifest tells the truth about the files beside it."""
        problems = []
        for manifest in self.outbox.glob("*.manifest.json"):
            for one in json.loads(manifest.read_text())["files"]:
                path = self.outbox / one["name"]
                content = path.read_bytes() if path.exists() else b""
                if hashlib.sha256(content).hexdigest() != one["sha256"]:
                    problems.append(f"{path.name} is not what its manifest says")
            if not manifest.with_name(manifest.name + ".sig").exists():
                problems.append(f"{manifest.name} has no signature")
        return problems

    def after(self) -> list[str]:
        """After the next run: the new batch is there, once, and there is nothing more to do."""
        found = len(list(self.outbox.glob("*.manifest.json")))
        problems = [] if found == 2 else [f"there are {found} batches instead of 2"]
        return problems + self.now() + self.module.settled()
