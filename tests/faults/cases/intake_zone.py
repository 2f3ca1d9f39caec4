# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Data intake moves to another directory: sshd can start at any time, and nobody is let in by halves."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

from agent import Module, Places, called, impatient

image = "twinguard/debian13:base"
hosts = 2

DROP_IN = "/etc/ssh/sshd_config.d/00-twinguard-intake.conf"
PLACES = (
    "/etc/ssh/sshd_config.d",
    "/etc/security/limits.d",
    "/etc/systemd/system",
    "/etc/twinguard",
    "/srv",
    "/var/lib/twinguard",
)
LOGIN = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1KsE2Qv3yRcTSgwfq0b2sFh5vSyPrVAWRKbYkD5b0l login"
SIGNING = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKmYq0Y5l5QvVqZ0Vj0gCw8rXvY6p1J5Yl3b2bZ1s3xk signing"


class Case:
    """From one directory, quota and validity to others. The programs are the same, so they are not part of it."""

    # A trial takes seconds here: each place gets one error in turn.
    spread = 3
    secrets = ()
    volatile = ()

    def __init__(self, work: str) -> None:
        self.watched = list(PLACES)
        self.places = Places(PLACES, work)
        self.module = Module("intake_zone", work, old=arguments("old"), new=arguments("new"))
        self.command = self.module.command

    def prepare(self) -> None:
        """sshd, the old zone in force, and a copy of all that."""
        called(["apt-get", "install", "-y", "--no-install-recommends", "openssh-server"])
        impatient("twinguard-intake.path", "twinguard-intake.timer")
        self.module.run("old")
        # What is missing would be made by each run, so that the directories are not part of the change.
        self.module.run("new")
        self.module.run("old")
        self.places.keep()

    def reset(self) -> None:
        self.places.restore()
        called(["systemctl", "daemon-reload"])
        called(["systemctl", "reload", "ssh"])

    def now(self) -> list[str]:
        """Right after the fault: sshd could start, and its senders are locked into a directory that is there."""
        done = subprocess.run(["sshd", "-t"], capture_output=True, text=True, check=False)
        problems = [f"sshd -t fails after the fault: {done.stderr}"] if done.returncode else []
        if not os.path.exists(DROP_IN):
            return [*problems, "the senders are not locked in after the fault"]
        found = re.search(r"ChrootDirectory (\S+)/%u", Path(DROP_IN).read_text())
        if not found or not os.path.isdir(f"{found.group(1)}/intake-plant-a/drop"):
            problems.append("the senders are locked into a directory that is not there")
        return problems

    def after(self) -> list[str]:
        """After the next run: sshd does as the new files say, and one more run changes nothing."""
        words = ["sshd", "-T", "-C", "user=intake-plant-a,host=localhost,addr=127.0.0.1"]
        problems = [] if "/srv/intake-new/zones" in called(words) else ["sshd is not set up anew"]
        return problems + self.module.settled()


def arguments(wanted: str) -> dict[str, Any]:
    """The module's arguments."""
    new = wanted == "new"
    key = {"key": SIGNING, "namespaces": ["twinguard-batch"]}
    return {
        "directory": f"/srv/intake-{wanted}",
        "senders": [{"name": "plant-a", "keys": [LOGIN], "quota": "20M" if new else "10M"}],
        "people": [
            {
                "name": "Plant A",
                "principals": ["plant-a"],
                "keys": [{**key, "valid_before": "2040-01-01"} if new else key],
            }
        ],
        # What sshd does is asked by sshd -T here; the uploads are tried in molecule/data_intake.
        "probe": False,
    }
