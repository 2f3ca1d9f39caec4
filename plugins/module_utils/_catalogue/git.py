# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controls of git signing, the git guard and the history of repositories (pure)."""

from __future__ import annotations

from .types import (
    ACCOUNTS,
    POISONING,
    TAMPERING,
    Control,
    nist,
)

CONTROLS = (
    Control(
        "git.signing",
        "Commits and tags are signed by the person who makes them",
        "high",
        (
            nist("AU-10", "Non-repudiation"),
            nist("SI-7", "Software, Firmware, and Information Integrity"),
            nist("CM-14", "Signed Components"),
        ),
    ),
    Control(
        "git.signers",
        "The list of signers has one person for each key, and no weak or expired key",
        "medium",
        (
            ACCOUNTS,
            nist("IA-5", "Authenticator Management"),
            nist("SC-12", "Cryptographic Key Establishment and Management"),
        ),
    ),
    Control(
        "git.deploy",
        "Only verified commits reach the work tree",
        "critical",
        (
            nist("CM-5", "Access Restrictions for Change"),
            nist("CM-14", "Signed Components"),
            nist("SI-7", "Software, Firmware, and Information Integrity"),
        ),
    ),
    Control(
        "git.guard",
        "The repository refuses commits that no known person has signed",
        "critical",
        (
            TAMPERING,
            POISONING,
            nist("CM-3", "Configuration Change Control"),
            nist("CM-5", "Access Restrictions for Change"),
            nist("CM-14", "Signed Components"),
            nist("SI-7", "Software, Firmware, and Information Integrity"),
        ),
    ),
    Control(
        "git.history",
        "Every commit of the history was signed by whoever committed it",
        "critical",
        (
            TAMPERING,
            POISONING,
            nist("AU-10", "Non-repudiation"),
            nist("CM-14", "Signed Components"),
            nist("SI-7", "Software, Firmware, and Information Integrity"),
            nist("SR-4", "Provenance"),
        ),
    ),
)
