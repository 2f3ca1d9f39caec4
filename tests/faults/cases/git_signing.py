# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may sign, and the settings of one who does: root's own, since only this very process is traced."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from agent import Module, Places, called

image = "twinguard/debian12:base"
hosts = 2

HOME = "/root"
KEY = f"{HOME}/.ssh/id"
OTHER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILEhHBHmBXM1NDJUwTrzSjo+5EBO7gMaoxvBhXdAhSmm"


class Case:
    """From a list of one person to one of two with a revoked key, and from one address to another."""

    # A trial has three runs with three proofs: each place gets one error in turn.
    spread = 3
    secrets = ("PRIVATE KEY",)
    volatile = ()

    def __init__(self, work: str) -> None:
        self.work = work
        self.watched = ["/etc/twinguard", HOME, "/var/lib/twinguard"]
        self.places = Places(self.watched, work)

    def command(self) -> list[str]:
        return self.module.command()

    def prepare(self) -> None:
        """git, a key, and the old state."""
        packages = ("git", "openssh-client")
        called(["apt-get", "install", "-y", "--no-install-recommends", *packages])
        called(["mkdir", "-p", "-m", "700", f"{HOME}/.ssh"])
        called(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", KEY])
        own = Path(f"{KEY}.pub").read_text().strip()
        # What a user has written must stay, whatever happens.
        Path(f"{HOME}/.gitconfig").write_text("# mine\n[alias]\n\tst = status\n")
        self.module = Module(
            "git_signing", self.work, old=arguments(own, "old"), new=arguments(own, "new")
        )
        self.module.run("old")
        self.places.keep()

    def reset(self) -> None:
        self.places.restore()

    def now(self) -> list[str]:
        """Right after the fault: the file is whole for git, and what is the user's is in it."""
        done = subprocess.run(
            ["git", "config", "--file", f"{HOME}/.gitconfig", "alias.st"],
            capture_output=True,
            text=True,
            check=False,
        )
        mine = done.stdout == "status\n" and Path(f"{HOME}/.gitconfig").read_text()[:6] == "# mine"
        return [] if mine else [f"the user's settings are {done.stdout + done.stderr!r}"]

    def after(self) -> list[str]:
        return self.now() + self.module.settled()


def arguments(own: str, wanted: str) -> dict[str, Any]:
    """The module's arguments."""
    new = wanted == "new"
    people = [{"name": "Root", "principals": [f"{wanted}@example.com"], "keys": [{"key": own}]}]
    other = {
        "name": "Other",
        "principals": ["o@example.com"],
        "keys": [{"key": OTHER, "revoked": True}],
    }
    return {
        "people": [*people, other] if new else people,
        "identities": [
            {
                "user": "root",
                "name": "Root",
                "email": f"{wanted}@example.com",
                "key": KEY,
                "sign_tags": new,
            }
        ],
    }
