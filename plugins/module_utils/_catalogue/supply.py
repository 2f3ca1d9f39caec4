# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controls of what comes in: code through git, data through batches (pure)."""

from __future__ import annotations

from .types import ACCOUNTS, POISONING, TAMPERING, THEFT, Control, nist

GIT_SIGNING = (
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
        "The list of who may sign names one person for each key, and no weak or expired key",
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
)

GIT_GUARD = (
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
)

GIT_HISTORY = (
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

INTAKE_SIDES = (
    Control(
        "intake.zone",
        "Senders can upload and nothing else, and only verified batches are published",
        "critical",
        (
            POISONING,
            nist("AC-3", "Access Enforcement"),
            nist("AC-6", "Least Privilege"),
            nist("SI-7", "Software, Firmware, and Information Integrity"),
            nist("SI-10", "Information Input Validation"),
        ),
    ),
    Control(
        "intake.sender",
        "Data leaves this host sealed, and only for the receiver that is known",
        "high",
        (
            THEFT,
            nist("SC-8", "Transmission Confidentiality and Integrity"),
            nist("SC-13", "Cryptographic Protection"),
            nist("SC-23", "Session Authenticity"),
        ),
    ),
)

INTAKE_BATCHES = (
    Control(
        "intake.seal",
        "Data for another place is encrypted for its receiver and signed by its sender",
        "high",
        (
            THEFT,
            nist("SC-8", "Transmission Confidentiality and Integrity"),
            nist("SC-13", "Cryptographic Protection"),
            nist("SC-28", "Protection of Information at Rest"),
        ),
    ),
    Control(
        "intake.open",
        "Only data that a known sender sealed, whole, new and unharmed, is published",
        "critical",
        (
            POISONING,
            nist("SI-7", "Software, Firmware, and Information Integrity"),
            nist("SI-10", "Information Input Validation"),
            nist("AU-10", "Non-repudiation"),
        ),
    ),
)
