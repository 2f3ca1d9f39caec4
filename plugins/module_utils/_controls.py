# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalogue of controls and the one shape in which every module reports them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Iterable, Mapping

from ansible_collections.twinguard.hardening.plugins.module_utils._plan import ControlError

STATUSES = ("fail", "unknown", "pass", "not_applicable")
"""Every status, the one that needs attention first."""

SEVERITIES = ("critical", "high", "medium", "low")
"""Every severity, worst first."""


@dataclass(frozen=True)
class Reference:
    """One item of a public framework, such as ('NIST SP 800-53 Rev. 5', 'SC-8', '...')."""

    framework: str
    item: str
    title: str


@dataclass(frozen=True)
class Control:
    """One thing the collection promises, and why it matters."""

    id: str
    title: str
    severity: str
    references: tuple[Reference, ...]


def _atlas(item: str, title: str) -> Reference:
    return Reference("MITRE ATLAS", item, title)


def _nist(item: str, title: str) -> Reference:
    return Reference("NIST SP 800-53 Rev. 5", item, title)


def _cis_nginx(item: str, title: str) -> Reference:
    return Reference("CIS NGINX Benchmark v2.1.0", item, title)


def _cis_debian(item: str, title: str) -> Reference:
    return Reference("CIS Debian Linux 12 Benchmark v1.1.0", item, title)


_INFERENCE_ACCESS = _atlas("AML.T0040", "AI Model Inference API Access")
_EXFILTRATION = _atlas("AML.T0024", "Exfiltration via AI Inference API")
_DENIAL = _atlas("AML.T0029", "Denial of AI Service")
_COST = _atlas("AML.T0034", "Cost Harvesting")
_ACCOUNTS = _atlas("AML.T0012", "Valid Accounts")
_FULL_ACCESS = _atlas("AML.T0044", "Full AI Model Access")
_LOCAL_DATA = _atlas("AML.T0037", "Data from Local System")
_TAMPERING = _atlas("AML.T0018", "Manipulate AI Model")
_EVENT_LOGGING = _nist("AU-2", "Event Logging")
_RECORD_GENERATION = _nist("AU-12", "Audit Record Generation")
_PROTECTION = _nist("AU-9", "Protection of Audit Information")

_GATEWAY = (
    Control(
        "gateway.in_force",
        "The gateway serves exactly the configuration that was asked for",
        "critical",
        (
            _nist("CM-2", "Baseline Configuration"),
            _nist("CM-6", "Configuration Settings"),
            _nist("SI-7", "Software, Firmware, and Information Integrity"),
        ),
    ),
    Control(
        "gateway.tls",
        "Clients reach the model over current TLS only",
        "high",
        (
            _nist("SC-8", "Transmission Confidentiality and Integrity"),
            _nist("SC-13", "Cryptographic Protection"),
            _cis_nginx("4.1.4", "Ensure only modern TLS protocols are used"),
            _cis_nginx("4.1.5", "Disable weak ciphers"),
        ),
    ),
    Control(
        "gateway.unknown_host",
        "Requests for unknown host names are refused",
        "medium",
        (
            _nist("SC-7", "Boundary Protection"),
            _cis_nginx("2.4.2", "Ensure requests for unknown host names are rejected"),
        ),
    ),
    Control(
        "gateway.api_key",
        "The model answers only to a valid key of a known client",
        "critical",
        (
            _INFERENCE_ACCESS,
            _EXFILTRATION,
            _ACCOUNTS,
            _nist("AC-3", "Access Enforcement"),
            _nist("IA-5", "Authenticator Management"),
            _nist("IA-9", "Service Identification and Authentication"),
        ),
    ),
    Control(
        "gateway.rate_limit",
        "Each client is held to the request rate of its tier",
        "high",
        (
            _EXFILTRATION,
            _DENIAL,
            _COST,
            _nist("SC-5", "Denial-of-service Protection"),
        ),
    ),
    Control(
        "gateway.flood_limit",
        "Each address is held to a request rate before its key is looked at",
        "high",
        (
            _DENIAL,
            _ACCOUNTS,
            _nist("SC-5", "Denial-of-service Protection"),
            _nist("AC-7", "Unsuccessful Logon Attempts"),
            _cis_nginx("5.2.4", "Ensure the number of connections per IP address is limited"),
            _cis_nginx("5.2.5", "Ensure rate limits by IP address are set"),
        ),
    ),
    Control(
        "gateway.client_certificate",
        "Clients prove themselves with a certificate of the given authority",
        "high",
        (
            _INFERENCE_ACCESS,
            _nist("IA-2", "Identification and Authentication (Organizational Users)"),
            _nist("IA-9", "Service Identification and Authentication"),
        ),
    ),
    Control(
        "gateway.access_log",
        "Each request is logged with its client, route, status and limit, and without its key",
        "medium",
        (
            _EXFILTRATION,
            _nist("AU-2", "Event Logging"),
            _nist("AU-3", "Content of Audit Records"),
            _nist("AU-12", "Audit Record Generation"),
            _cis_nginx("3.1", "Ensure detailed logging is enabled"),
            _cis_nginx("3.2", "Ensure access logging is enabled"),
            _cis_nginx("3.4", "Ensure log files are rotated"),
        ),
    ),
)

_AUDIT = (
    Control(
        "audit.rules",
        "The kernel and the next boot hold exactly the watches that were asked for",
        "critical",
        (
            _FULL_ACCESS,
            _TAMPERING,
            _EVENT_LOGGING,
            _RECORD_GENERATION,
            _cis_debian("6.2.3.21", "Ensure the running and on disk configuration is the same"),
        ),
    ),
    Control(
        "audit.sight",
        "Nothing hides a watched model from its watch",
        "critical",
        (_FULL_ACCESS, _TAMPERING, _RECORD_GENERATION),
    ),
    Control(
        "audit.canary",
        "An access to the model was seen to reach the audit log",
        "high",
        (_FULL_ACCESS, _RECORD_GENERATION, _nist("CA-7", "Continuous Monitoring")),
    ),
    Control(
        "audit.daemon",
        "The audit daemon runs, starts at boot and loses no record",
        "high",
        (
            _RECORD_GENERATION,
            _nist("AU-4", "Audit Log Storage Capacity"),
            _nist("AU-5", "Response to Audit Logging Process Failures"),
            _cis_debian("6.2.1.2", "Ensure auditd service is enabled and active"),
            _cis_debian("6.2.1.4", "Ensure audit_backlog_limit is sufficient"),
        ),
    ),
    Control(
        "audit.coverage",
        "No process reads a model in a way that audit cannot record",
        "medium",
        (
            _LOCAL_DATA,
            _RECORD_GENERATION,
            _nist("AU-14", "Session Audit"),
            _cis_debian(
                "6.2.1.3", "Ensure auditing for processes that start prior to auditd is enabled"
            ),
        ),
    ),
    Control(
        "audit.locked",
        "The audit rules are locked until the next boot, or not, as was asked for",
        "medium",
        (_PROTECTION, _cis_debian("6.2.3.20", "Ensure the audit configuration is immutable")),
    ),
    Control(
        "audit.access",
        "Only expected users and programs touch the model files",
        "high",
        (
            _FULL_ACCESS,
            _LOCAL_DATA,
            _TAMPERING,
            _nist("AU-6", "Audit Record Review, Analysis, and Reporting"),
            _nist("SI-4", "System Monitoring"),
        ),
    ),
)

_COLLECTION = _atlas("AML.T0035", "AI Artifact Collection")
_POISONING = _atlas("AML.T0020", "Poison Training Data")
_THEFT = _atlas("AML.T0025", "Exfiltration via Cyber Means")


def _cis_aws(item: str, title: str) -> Reference:
    return Reference("CIS AWS Foundations Benchmark v3.0.0", item, title)


_BUCKET = (
    Control(
        "bucket.public_access",
        "The public cannot reach the bucket, and cannot be let in",
        "critical",
        (
            _COLLECTION,
            _THEFT,
            _POISONING,
            _nist("AC-3", "Access Enforcement"),
            _nist("AC-22", "Publicly Accessible Content"),
            _nist("SC-7", "Boundary Protection"),
            _cis_aws("2.1.4", "Ensure that S3 is configured with 'Block Public Access' enabled"),
        ),
    ),
    Control(
        "bucket.account_public_access",
        "The account blocks public access to all of its buckets",
        "critical",
        (
            _THEFT,
            _nist("AC-3", "Access Enforcement"),
            _nist("SC-7", "Boundary Protection"),
            _cis_aws("2.1.4", "Ensure that S3 is configured with 'Block Public Access' enabled"),
        ),
    ),
    Control(
        "bucket.acl",
        "The bucket's access control list grants nothing to anybody but its owner",
        "high",
        (
            _COLLECTION,
            _nist("AC-3", "Access Enforcement"),
            _nist("AC-6", "Least Privilege"),
        ),
    ),
    Control(
        "bucket.ownership",
        "The bucket's owner owns every object, whoever wrote it",
        "medium",
        (_nist("AC-3", "Access Enforcement"), _nist("AC-6", "Least Privilege")),
    ),
    Control(
        "bucket.encryption",
        "New objects are encrypted as the policy says",
        "high",
        (
            _nist("SC-13", "Cryptographic Protection"),
            _nist("SC-28", "Protection of Information at Rest"),
        ),
    ),
    Control(
        "bucket.transport",
        "The bucket refuses plain HTTP and old TLS",
        "high",
        (
            _nist("SC-8", "Transmission Confidentiality and Integrity"),
            _nist("SC-13", "Cryptographic Protection"),
            _cis_aws("2.1.1", "Ensure S3 Bucket Policy is set to deny HTTP requests"),
        ),
    ),
    Control(
        "bucket.versioning",
        "Overwritten and deleted objects can be brought back",
        "medium",
        (
            _POISONING,
            _nist("CP-9", "System Backup"),
            _nist("SI-12", "Information Management and Retention"),
        ),
    ),
    Control(
        "bucket.logging",
        "Requests to the bucket are logged elsewhere",
        "medium",
        (
            _COLLECTION,
            _nist("AU-2", "Event Logging"),
            _nist("AU-12", "Audit Record Generation"),
        ),
    ),
    Control(
        "bucket.lifecycle",
        "Unfinished uploads do not stay unseen",
        "low",
        (_nist("SI-12", "Information Management and Retention"),),
    ),
    Control(
        "bucket.exception",
        "Each exception has a reason and has not expired",
        "medium",
        (_nist("CA-5", "Plan of Action and Milestones"), _nist("CM-6", "Configuration Settings")),
    ),
)

_GIT_SIGNING = (
    Control(
        "git.signing",
        "Commits and tags are signed by the person who makes them",
        "high",
        (
            _nist("AU-10", "Non-repudiation"),
            _nist("SI-7", "Software, Firmware, and Information Integrity"),
            _nist("CM-14", "Signed Components"),
        ),
    ),
    Control(
        "git.signers",
        "The list of who may sign names one person for each key, and no weak or expired key",
        "medium",
        (
            _ACCOUNTS,
            _nist("IA-5", "Authenticator Management"),
            _nist("SC-12", "Cryptographic Key Establishment and Management"),
        ),
    ),
    Control(
        "git.deploy",
        "Only verified commits reach the work tree",
        "critical",
        (
            _nist("CM-5", "Access Restrictions for Change"),
            _nist("CM-14", "Signed Components"),
            _nist("SI-7", "Software, Firmware, and Information Integrity"),
        ),
    ),
)

_GIT_GUARD = (
    Control(
        "git.guard",
        "The repository refuses commits that no known person has signed",
        "critical",
        (
            _TAMPERING,
            _POISONING,
            _nist("CM-3", "Configuration Change Control"),
            _nist("CM-5", "Access Restrictions for Change"),
            _nist("CM-14", "Signed Components"),
            _nist("SI-7", "Software, Firmware, and Information Integrity"),
        ),
    ),
)

_GIT_HISTORY = (
    Control(
        "git.history",
        "Every commit of the history was signed by whoever committed it",
        "critical",
        (
            _TAMPERING,
            _POISONING,
            _nist("AU-10", "Non-repudiation"),
            _nist("CM-14", "Signed Components"),
            _nist("SI-7", "Software, Firmware, and Information Integrity"),
            _nist("SR-4", "Provenance"),
        ),
    ),
)

_INTAKE_SIDES = (
    Control(
        "intake.zone",
        "Senders can upload and nothing else, and only verified batches are published",
        "critical",
        (
            _POISONING,
            _nist("AC-3", "Access Enforcement"),
            _nist("AC-6", "Least Privilege"),
            _nist("SI-7", "Software, Firmware, and Information Integrity"),
            _nist("SI-10", "Information Input Validation"),
        ),
    ),
    Control(
        "intake.sender",
        "Data leaves this host sealed, and only for the receiver that is known",
        "high",
        (
            _THEFT,
            _nist("SC-8", "Transmission Confidentiality and Integrity"),
            _nist("SC-13", "Cryptographic Protection"),
            _nist("SC-23", "Session Authenticity"),
        ),
    ),
)

_INTAKE_BATCHES = (
    Control(
        "intake.seal",
        "Data for another place is encrypted for its receiver and signed by its sender",
        "high",
        (
            _THEFT,
            _nist("SC-8", "Transmission Confidentiality and Integrity"),
            _nist("SC-13", "Cryptographic Protection"),
            _nist("SC-28", "Protection of Information at Rest"),
        ),
    ),
    Control(
        "intake.open",
        "Only data that a known sender sealed, whole, new and unharmed, is published",
        "critical",
        (
            _POISONING,
            _nist("SI-7", "Software, Firmware, and Information Integrity"),
            _nist("SI-10", "Information Input Validation"),
            _nist("AU-10", "Non-repudiation"),
        ),
    ),
)

CATALOGUE: dict[str, Control] = {
    control.id: control
    for controls in (
        _GATEWAY,
        _AUDIT,
        _BUCKET,
        _GIT_SIGNING,
        _GIT_GUARD,
        _GIT_HISTORY,
        _INTAKE_SIDES,
        _INTAKE_BATCHES,
    )
    for control in controls
}
"""Every control by its id."""


def finding(
    control_id: str,
    resource: str,
    status: str,
    reason: str = "",
    evidence: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """One entry of the `controls` list that every module returns.

    A status other than 'pass' needs a reason. Raises ControlError for an unknown id, an unknown
    status or a missing reason.
    """
    if control_id not in CATALOGUE:
        known = ", ".join(sorted(CATALOGUE))
        raise ControlError("id", control_id, "no such control", "use one of " + known)
    if status not in STATUSES:
        raise ControlError("status", status, "no such status", "use one of " + ", ".join(STATUSES))
    if status != "pass" and not reason:
        raise ControlError(
            "reason", reason, f"a status of {status} needs a reason", "say why in one sentence"
        )
    return {
        "id": control_id,
        "resource": resource,
        "status": status,
        "reason": reason,
        "evidence": dict(evidence or {}),
    }


def counts(findings: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """How many findings have each status; every status is present, in the order of STATUSES."""
    totals = dict.fromkeys(STATUSES, 0)
    for entry in findings:
        totals[entry["status"]] += 1
    return totals


def severity_rank(severity: str) -> int:
    """0 for the worst severity; sorts findings. Raises ControlError for an unknown one."""
    if severity not in SEVERITIES:
        raise ControlError(
            "severity", severity, "no such severity", "use one of " + ", ".join(SEVERITIES)
        )
    return SEVERITIES.index(severity)
