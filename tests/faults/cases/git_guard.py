# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Another policy for a guarded git server: unsigned pushes are refused all the time, before and after each fault."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

from agent import Module, Places, called

image = "twinguard/debian13:base"
hosts = 2

OLD, NEW = "/srv/git/old.git", "/srv/git/new.git"
PLACES = ("/etc/twinguard", "/var/lib/twinguard", "/srv/git")
WORK = "/root/faults-client"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKs6mIKytI9twPD4kOXD35SaQg8OVUdtDpDu3FeY2ZNc alice"


class Case:
    """From a server with one guarded repository to one with two, other people and a setting."""

    # A trial takes seconds here: each place gets one error in turn.
    spread = 3
    secrets = ()
    volatile = ()

    def __init__(self, work: str) -> None:
        self.watched = list(PLACES)
        self.places = Places(PLACES, work)
        self.module = Module("git_guard", work, old=arguments("old"), new=arguments("new"))
        self.command = self.module.command

    def prepare(self) -> None:
        """Git, two repositories, a client with an unsigned commit, the old guard, and a copy of all that."""
        called(["apt-get", "install", "-y", "--no-install-recommends", "git", "openssh-client"])
        for path in (OLD, NEW):
            called(["git", "init", "-q", "--bare", "-b", "main", path])
            # Without the samples there is less to copy before each trial.
            called(["find", f"{path}/hooks", "-name", "*.sample", "-delete"])
        theirs = Path(NEW, "hooks", "pre-receive")
        theirs.write_text("#!/bin/sh\nexit 0\n")
        theirs.chmod(0o755)
        called(["git", "init", "-q", "-b", "main", WORK])
        who = ["-c", "user.name=a", "-c", "user.email=alice@example.com"]
        called(["git", "-C", WORK, *who, "commit", "-q", "--allow-empty", "-m", "unsigned"])
        self.module.run("old")
        self.places.keep()

    def reset(self) -> None:
        self.places.restore()

    def now(self) -> list[str]:
        """Right after the fault: what was guarded before is guarded."""
        return let_in(OLD, "after the fault")

    def after(self) -> list[str]:
        """After the next run: both are guarded, the other hook is kept, one more run changes nothing."""
        problems = let_in(OLD, "after the next run") + let_in(NEW, "after the next run")
        kept = Path(NEW, "hooks", "pre-receive.before-twinguard")
        if not os.access(kept, os.X_OK):
            problems.append(f"{kept} is not kept")
        return problems + self.module.settled()


def arguments(wanted: str) -> dict[str, Any]:
    """The module's arguments."""
    person = {"name": wanted, "principals": ["alice@example.com"], "keys": [{"key": KEY}]}
    paths = (OLD, NEW) if wanted == "new" else (OLD,)
    deny = {"deny_deletes": True} if wanted == "new" else {}
    return {"repositories": [{"path": path, **deny} for path in paths], "people": [person]}


def let_in(path: str, when: str) -> list[str]:
    """What is wrong when an unsigned commit gets into a repository; it is taken out again."""
    push = ["git", "-C", WORK, "push", "-q", path, "main:refs/heads/main"]
    done = subprocess.run(push, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        called(["git", "-C", path, "update-ref", "-d", "refs/heads/main"])
        return [f"{path} takes an unsigned commit {when}"]
    return [] if "hook declined" in done.stderr else [f"{path} {when}: {done.stderr[-300:]}"]
