# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controls of gateways, of audit and of buckets (pure)."""

from __future__ import annotations

from .types import (
    ACCOUNTS,
    COLLECTION,
    COST,
    DENIAL,
    EVENT_LOGGING,
    EXFILTRATION,
    FULL_ACCESS,
    INFERENCE_ACCESS,
    LOCAL_DATA,
    POISONING,
    PROTECTION,
    RECORD_GENERATION,
    TAMPERING,
    THEFT,
    Control,
    cis_aws,
    cis_debian,
    cis_nginx,
    nist,
)

GATEWAY = (
    Control(
        "gateway.in_force",
        "The gateway serves exactly the configuration that was asked for",
        "critical",
        (
            nist("CM-2", "Baseline Configuration"),
            nist("CM-6", "Configuration Settings"),
            nist("SI-7", "Software, Firmware, and Information Integrity"),
        ),
    ),
    Control(
        "gateway.tls",
        "Clients reach the model over current TLS only",
        "high",
        (
            nist("SC-8", "Transmission Confidentiality and Integrity"),
            nist("SC-13", "Cryptographic Protection"),
            cis_nginx("4.1.4", "Ensure only modern TLS protocols are used"),
            cis_nginx("4.1.5", "Disable weak ciphers"),
        ),
    ),
    Control(
        "gateway.unknown_host",
        "Requests for unknown host names are refused",
        "medium",
        (
            nist("SC-7", "Boundary Protection"),
            cis_nginx("2.4.2", "Ensure requests for unknown host names are rejected"),
        ),
    ),
    Control(
        "gateway.api_key",
        "The model answers only to a valid key of a known client",
        "critical",
        (
            INFERENCE_ACCESS,
            EXFILTRATION,
            ACCOUNTS,
            nist("AC-3", "Access Enforcement"),
            nist("IA-5", "Authenticator Management"),
            nist("IA-9", "Service Identification and Authentication"),
        ),
    ),
    Control(
        "gateway.rate_limit",
        "Each client is held to the request rate of its tier",
        "high",
        (
            EXFILTRATION,
            DENIAL,
            COST,
            nist("SC-5", "Denial-of-service Protection"),
        ),
    ),
    Control(
        "gateway.flood_limit",
        "Each address is held to a request rate before its key is looked at",
        "high",
        (
            DENIAL,
            ACCOUNTS,
            nist("SC-5", "Denial-of-service Protection"),
            nist("AC-7", "Unsuccessful Logon Attempts"),
            cis_nginx("5.2.4", "Ensure the number of connections per IP address is limited"),
            cis_nginx("5.2.5", "Ensure rate limits by IP address are set"),
        ),
    ),
    Control(
        "gateway.client_certificate",
        "Clients prove themselves with a certificate of the given authority",
        "high",
        (
            INFERENCE_ACCESS,
            nist("IA-2", "Identification and Authentication (Organizational Users)"),
            nist("IA-9", "Service Identification and Authentication"),
        ),
    ),
    Control(
        "gateway.access_log",
        "Each request is logged with its client, route, status and limit, and without its key",
        "medium",
        (
            EXFILTRATION,
            nist("AU-2", "Event Logging"),
            nist("AU-3", "Content of Audit Records"),
            nist("AU-12", "Audit Record Generation"),
            cis_nginx("3.1", "Ensure detailed logging is enabled"),
            cis_nginx("3.2", "Ensure access logging is enabled"),
            cis_nginx("3.4", "Ensure log files are rotated"),
        ),
    ),
)

AUDIT = (
    Control(
        "audit.rules",
        "The kernel and the next boot hold exactly the watches that were asked for",
        "critical",
        (
            FULL_ACCESS,
            TAMPERING,
            EVENT_LOGGING,
            RECORD_GENERATION,
            cis_debian("6.2.3.21", "Ensure the running and on disk configuration is the same"),
        ),
    ),
    Control(
        "audit.sight",
        "Nothing hides a watched model from its watch",
        "critical",
        (FULL_ACCESS, TAMPERING, RECORD_GENERATION),
    ),
    Control(
        "audit.canary",
        "An access to the model was seen to reach the audit log",
        "high",
        (FULL_ACCESS, RECORD_GENERATION, nist("CA-7", "Continuous Monitoring")),
    ),
    Control(
        "audit.daemon",
        "The audit daemon runs, starts at boot and loses no record",
        "high",
        (
            RECORD_GENERATION,
            nist("AU-4", "Audit Log Storage Capacity"),
            nist("AU-5", "Response to Audit Logging Process Failures"),
            cis_debian("6.2.1.2", "Ensure auditd service is enabled and active"),
            cis_debian("6.2.1.4", "Ensure audit_backlog_limit is sufficient"),
        ),
    ),
    Control(
        "audit.coverage",
        "No process reads a model in a way that audit cannot record",
        "medium",
        (
            LOCAL_DATA,
            RECORD_GENERATION,
            nist("AU-14", "Session Audit"),
            cis_debian(
                "6.2.1.3", "Ensure auditing for processes that start prior to auditd is enabled"
            ),
        ),
    ),
    Control(
        "audit.locked",
        "The audit rules are locked until the next boot, or not, as was asked for",
        "medium",
        (PROTECTION, cis_debian("6.2.3.20", "Ensure the audit configuration is immutable")),
    ),
    Control(
        "audit.access",
        "Only expected users and programs touch the model files",
        "high",
        (
            FULL_ACCESS,
            LOCAL_DATA,
            TAMPERING,
            nist("AU-6", "Audit Record Review, Analysis, and Reporting"),
            nist("SI-4", "System Monitoring"),
        ),
    ),
)


BUCKET = (
    Control(
        "bucket.public_access",
        "The public cannot reach the bucket, and cannot be let in",
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
        "The bucket's access control list grants nothing to anybody but its owner",
        "high",
        (
            COLLECTION,
            nist("AC-3", "Access Enforcement"),
            nist("AC-6", "Least Privilege"),
        ),
    ),
    Control(
        "bucket.ownership",
        "The bucket's owner owns every object, whoever wrote it",
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
        "Requests to the bucket are logged elsewhere",
        "medium",
        (
            COLLECTION,
            nist("AU-2", "Event Logging"),
            nist("AU-12", "Audit Record Generation"),
        ),
    ),
    Control(
        "bucket.lifecycle",
        "Unfinished uploads do not stay unseen",
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
