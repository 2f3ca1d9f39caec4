# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file transaction alone, behind a small program that behaves like a module."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

# Where it runs: None is this machine, else an image of ours that is started for the case.
image = None
# How many hosts share the trials.
hosts = 1

PROGRAM = """
import json, sys
from ansible_collections.twinguard.hardening.plugins.module_utils._files.transaction_io import (
    Absent, DirSpec, FilesError, FileSpec, Transaction)

args = json.load(open(sys.argv[1]))
etc = args["etc"]
wanted = [
    DirSpec(etc + "/new", 0o750),
    FileSpec(etc + "/new/key", args["secret"].encode(), 0o600, secret=True),
    FileSpec(etc + "/plain", b"new", 0o640),
    Absent(etc + "/gone"),
]
try:
    with Transaction(args["state"], lock_wait=0) as files:
        changed = files.stage(wanted)
        files.commit()
        files.confirm()
    print(json.dumps({"changed": bool(changed)}))
except FilesError as error:
    print(json.dumps({"failed": True, "msg": str(error)}))
    sys.exit(1)
"""


class Case:
    """One directory with a file to change, one to remove, and a new directory with a secret."""

    # Each chosen point gets KILL and one error in turn; tests/unit gives each point all of them.
    spread = 1
    secrets = ("s3cr3t-value",)
    # Files whose content differs each time, so that only their mode and owner are compared.
    volatile = ()

    def __init__(self, work: str) -> None:
        self.work = Path(work)
        self.etc, self.state = self.work / "etc", self.work / "var"
        self.watched = [str(self.etc), str(self.state)]

    def command(self) -> list[str]:
        return [sys.executable, str(self.work / "program.py"), str(self.work / "args.json")]

    def prepare(self) -> None:
        """Once, before all trials."""
        args = {"etc": str(self.etc), "state": str(self.state), "secret": self.secrets[0]}
        (self.work / "program.py").write_text(PROGRAM)
        (self.work / "args.json").write_text(json.dumps(args))

    def reset(self) -> None:
        """The old state, before each trial."""
        for path in (self.etc, self.state):
            shutil.rmtree(path, ignore_errors=True)
        self.state.mkdir(mode=0o700)
        self.etc.mkdir()
        (self.etc / "plain").write_text("old")
        (self.etc / "gone").write_text("bye")

    def now(self) -> list[str]:
        """What is wrong right after the fault, beside what the agent sees in the files."""
        return []

    def after(self) -> list[str]:
        """What is wrong after the next run, beside what the agent sees in the files."""
        return []
