# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controls of the model audit (pure)."""

from __future__ import annotations

from .types import (
    EVENT_LOGGING,
    FULL_ACCESS,
    LOCAL_DATA,
    PROTECTION,
    RECORD_GENERATION,
    TAMPERING,
    Control,
    cis_debian,
    nist,
)

CONTROLS = (
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
        "audit.visibility",
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
