# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of OpenSSH's clients for logins with one key to one known host (pure)."""

from __future__ import annotations

from typing import List

_PINNED = (
    "BatchMode=yes",
    "StrictHostKeyChecking=yes",
    "GlobalKnownHostsFile=/dev/null",
    "UpdateHostKeys=no",
    "IdentitiesOnly=yes",
    "IdentityAgent=none",
    "PreferredAuthentications=publickey",
)


def pinned(known_hosts: str, alias: str, key: str, *more: str) -> List[str]:
    """Words that ignore every configuration file, and accept only the pinned host and this key.

    `alias` is the host's name in `known_hosts`; it does not depend on the port.
    """
    words = ["-F", "none"]
    own = (f"UserKnownHostsFile={known_hosts}", f"HostKeyAlias={alias}", f"IdentityFile={key}")
    for option in (*_PINNED, *own, *more):
        words += ["-o", option]
    return words
