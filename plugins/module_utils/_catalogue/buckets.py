# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controls of the bucket guard (pure)."""

from __future__ import annotations

from .types import (
    COLLECTION,
    POISONING,
    THEFT,
    Control,
    cis_aws,
    nist,
)

CONTROLS = (
    Control(
        "bucket.public_access",
        "The bucket is not public and cannot be made public",
        "critical",
        (
            COLLECTION,
            THEFT,
            POISONING,
            nist("AC-3", "Access Enforcement"),
            nist("AC-22", "Publicly Accessible Content"),
            nist("SC-7", "Boundary Protection"),
            cis_aws("2.1.4", "Ensure that S3 is configured with 'Block Public Access' enabled"),
        ),
    ),
    Control(
        "bucket.account_public_access",
        "The account blocks public access to all of its buckets",
        "critical",
        (
            THEFT,
            nist("AC-3", "Access Enforcement"),
            nist("SC-7", "Boundary Protection"),
            cis_aws("2.1.4", "Ensure that S3 is configured with 'Block Public Access' enabled"),
        ),
    ),
    Control(
        "bucket.acl",
        "The bucket's access control list grants rights to its owner only",
        "high",
        (
            COLLECTION,
            nist("AC-3", "Access Enforcement"),
            nist("AC-6", "Least Privilege"),
        ),
    ),
    Control(
        "bucket.ownership",
        "The bucket's owner owns every object, whichever account wrote it",
        "medium",
        (nist("AC-3", "Access Enforcement"), nist("AC-6", "Least Privilege")),
    ),
    Control(
        "bucket.encryption",
        "New objects are encrypted as the policy says",
        "high",
        (
            nist("SC-13", "Cryptographic Protection"),
            nist("SC-28", "Protection of Information at Rest"),
        ),
    ),
    Control(
        "bucket.transport",
        "The bucket refuses plain HTTP and old TLS",
        "high",
        (
            nist("SC-8", "Transmission Confidentiality and Integrity"),
            nist("SC-13", "Cryptographic Protection"),
            cis_aws("2.1.1", "Ensure S3 Bucket Policy is set to deny HTTP requests"),
        ),
    ),
    Control(
        "bucket.versioning",
        "Overwritten and deleted objects can be brought back",
        "medium",
        (
            POISONING,
            nist("CP-9", "System Backup"),
            nist("SI-12", "Information Management and Retention"),
        ),
    ),
    Control(
        "bucket.logging",
        "Requests to the bucket are logged in another bucket",
        "medium",
        (
            COLLECTION,
            nist("AU-2", "Event Logging"),
            nist("AU-12", "Audit Record Generation"),
        ),
    ),
    Control(
        "bucket.lifecycle",
        "Unfinished uploads are removed",
        "low",
        (nist("SI-12", "Information Management and Retention"),),
    ),
    Control(
        "bucket.exception",
        "Each exception has a reason and has not expired",
        "medium",
        (nist("CA-5", "Plan of Action and Milestones"), nist("CM-6", "Configuration Settings")),
    ),
)
