# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Another schedule, receiver and recipient for a sending job: its keys and its pin are whole at any time."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from agent import Module, Places, called, impatient

image = "twinguard/debian13:base"
hosts = 1

CONFIG = "/etc/twinguard/sender/pumps"
PLACES = ("/etc/systemd/system", "/etc/twinguard", "/var/lib/twinguard")
KEYS = {
    "old": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1KsE2Qv3yRcTSgwfq0b2sFh5vSyPrVAWRKbYkD5b0l",
    "new": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKmYq0Y5l5QvVqZ0Vj0gCw8rXvY6p1J5Yl3b2bZ1s3xk",
}
PEM = "-----BEGIN CERTIFICATE-----\n%s\n-----END CERTIFICATE-----\n"


class Case:
    """From one job to another one of the same name."""

    # A trial takes a second here: each place gets one error in turn.
    spread = 3
    secrets = ("-----BEGIN OPENSSH PRIVATE KEY-----",)
    volatile = ()

    def __init__(self, work: str) -> None:
        self.watched = list(PLACES)
        self.places = Places(PLACES, work)
        self.module = Module("intake_sender", work, old=arguments("old"), new=arguments("new"))
        self.command = self.module.command

    def prepare(self) -> None:
        """The client of OpenSSH, the old job with its keys, and a copy of all that."""
        called(["apt-get", "install", "-y", "--no-install-recommends", "openssh-client"])
        impatient("twinguard-send-pumps.timer")
        self.module.run("old")
        self.places.keep()

    def reset(self) -> None:
        self.places.restore()
        called(["systemctl", "daemon-reload"])

    def now(self) -> list[str]:
        """Right after the fault: the receiver is pinned to one key, and the job has its own keys."""
        pinned = Path(f"{CONFIG}/known_hosts").read_text().split(" ", 1)[1].strip()
        problems = [] if pinned in KEYS.values() else [f"the pin is {pinned!r} after the fault"]
        for name in ("login_key", "signing_key"):
            words = ["ssh-keygen", "-y", "-f", f"{CONFIG}/{name}"]
            done = subprocess.run(words, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                problems.append(f"{name} is not a key after the fault: {done.stderr}")
        return problems

    def after(self) -> list[str]:
        """After the next run: the timer ticks as the new job says, and one more run changes nothing."""
        ticks = called(["systemctl", "show", "-p", "TimersCalendar", "twinguard-send-pumps.timer"])
        problems = [] if "OnCalendar=*-*-* *:00:00" in ticks else [f"the timer has {ticks}"]
        return problems + self.module.settled()


def arguments(wanted: str) -> dict[str, Any]:
    """The module's arguments."""
    new = wanted == "new"
    receiver = {"host": "192.0.2.1", "account": "intake-plant-a", "host_keys": [KEYS[wanted]]}
    job = {
        "name": "pumps",
        "sources": ["/srv/data"],
        "sender": "plant-a",
        "receiver": receiver,
        "recipients": [PEM % "AAAA", PEM % "BBBB"] if new else [PEM % "AAAA"],
        "schedule": "hourly" if new else "daily",
    }
    # There is no receiver at that address.
    return {"jobs": [job], "verify": False}
