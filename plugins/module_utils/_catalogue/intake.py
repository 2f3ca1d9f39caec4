# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controls of the data intake: its two sides, and batches (pure)."""

from __future__ import annotations

from .types import (
    POISONING,
    THEFT,
    Control,
    nist,
)

CONTROLS = (
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
        "Data leaves this host only sealed, and only for the known receiver",
        "high",
        (
            THEFT,
            nist("SC-8", "Transmission Confidentiality and Integrity"),
            nist("SC-13", "Cryptographic Protection"),
            nist("SC-23", "Session Authenticity"),
        ),
    ),
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
        "Only complete, new and unchanged data sealed by a known sender is published",
        "critical",
        (
            POISONING,
            nist("SI-7", "Software, Firmware, and Information Integrity"),
            nist("SI-10", "Information Input Validation"),
            nist("AU-10", "Non-repudiation"),
        ),
    ),
)
