# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A sealed batch is opened: nothing of it, or all of it, is published, and once."""

from __future__ import annotations

import json
import time
from pathlib import Path

from agent import Module, Places

from ansible_collections.twinguard.hardening.tests.unit.support.batch import Lab

image, hosts = None, 2

CONTENT = {"a.csv": b"s3cr3t-value,2\n", "sub/b.bin": bytes(range(256)) * 8, "sub/deep/c": b""}
STAGING = ".tg-open-"


class Case:
    """From a batch in the zone to the same batch published, its files gone from the zone."""

    spread = 3
    secrets = ("s3cr3t-value",)

    def __init__(self, work: str) -> None:
        self.work = Path(work)
        self.zone, self.published = self.work / "zone", self.work / "published"
        self.quarantine, self.state = self.work / "quarantine", self.work / "receiver"
        self.watched = [
            str(path) for path in (self.zone, self.published, self.quarantine, self.state)
        ]
        # It holds the time of publication.
        self.volatile = (str(self.state / "ledger.json"),)
        self.places = Places(self.watched, work)

    def command(self) -> list[str]:
        return self.module.command()

    def prepare(self) -> None:
        """Keys, and a batch made by the module that seals."""
        lab = Lab(self.work)
        lab.fill(CONTENT)
        sealing = {**lab.seal_params(), "outbox": str(self.zone)}
        self.batch = Module("batch_seal", str(self.work), new=sealing).run()["batch"]
        # What is published is a secret here, so that a mode that is too wide would be seen.
        opening = {**lab.open_params(), "mode": "0600", "directory_mode": "0700"}
        self.module = Module("batch_open", str(self.work), new=opening)
        self.places.keep()

    def reset(self) -> None:
        self.places.restore()

    def now(self) -> list[str]:
        """Right after the fault: all of the batch is published, or nothing of it."""
        problems = []
        for path in self.published.iterdir():
            if path.name.startswith(STAGING):
                if path.stat().st_mode & 0o077:
                    problems.append("others can look into the staging directory")
            elif self.content() != CONTENT:
                problems.append("a part of the batch is published")
        if list(self.quarantine.iterdir()):
            problems.append("a good batch is in quarantine")
        return problems

    def after(self) -> list[str]:
        """After the next run: it is published whole, noted once, and the zone is empty."""
        problems = [] if self.content() == CONTENT else ["the batch is not published"]
        ledger = json.loads((self.state / "ledger.json").read_text())
        noted = [one["batch"] for one in ledger["published"]]
        if noted != [self.batch] or ledger["publishing"] is not None:
            problems.append(f"the ledger has {noted} and publishes {ledger['publishing']}")
        elif not 0 <= time.time() - ledger["published"][0]["at"] < 600:
            problems.append("the ledger has another time")
        return problems + self.module.settled()

    def content(self) -> dict[str, bytes]:
        """What is published of the batch."""
        root = self.published / self.batch
        return {
            str(one.relative_to(root)): one.read_bytes() for one in root.rglob("*") if one.is_file()
        }
