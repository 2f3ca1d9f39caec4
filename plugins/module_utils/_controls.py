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


_INFERENCE_ACCESS = _atlas("AML.T0040", "AI Model Inference API Access")
_EXFILTRATION = _atlas("AML.T0024", "Exfiltration via AI Inference API")
_DENIAL = _atlas("AML.T0029", "Denial of AI Service")
_COST = _atlas("AML.T0034", "Cost Harvesting")
_ACCOUNTS = _atlas("AML.T0012", "Valid Accounts")

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

CATALOGUE: dict[str, Control] = {control.id: control for control in _GATEWAY}
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
