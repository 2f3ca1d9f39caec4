# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controls of Windows hosts (pure)."""

from __future__ import annotations

from .types import COLLECTION, LOCAL_DATA, THEFT, Control, cis_windows, nist

_BOUNDARY = nist("SC-7", "Boundary Protection")
_DENY_BY_DEFAULT = nist("SC-7(5)", "Boundary Protection: Deny by Default, Allow by Exception")
_MALICIOUS_CODE = nist("SI-3", "Malicious Code Protection")
_LEAST_FUNCTION = nist("CM-7", "Least Functionality")

CONTROLS = (
    Control(
        "windows.firewall_profile",
        "The firewall is on and blocks connections that no rule allows",
        "critical",
        (
            _BOUNDARY,
            _DENY_BY_DEFAULT,
            cis_windows("9.1.1", "Ensure 'Domain: Firewall state' is set to 'On'"),
            cis_windows("9.2.1", "Ensure 'Private: Firewall state' is set to 'On'"),
            cis_windows("9.3.1", "Ensure 'Public: Firewall state' is set to 'On'"),
            cis_windows("9.1.2", "Ensure 'Domain: Inbound connections' is set to 'Block'"),
            cis_windows("9.2.2", "Ensure 'Private: Inbound connections' is set to 'Block'"),
            cis_windows("9.3.2", "Ensure 'Public: Inbound connections' is set to 'Block'"),
        ),
    ),
    Control(
        "windows.firewall_rule",
        "Each firewall rule of the policy is in place and enforced",
        "high",
        (COLLECTION, LOCAL_DATA, _BOUNDARY, nist("AC-4", "Information Flow Enforcement")),
    ),
    Control(
        "windows.unmanaged_rules",
        "No rule outside the policy opens the firewall",
        "high",
        (_DENY_BY_DEFAULT, _LEAST_FUNCTION),
    ),
    Control(
        "windows.management",
        "The host can still be managed under its own policy",
        "high",
        (nist("AC-17", "Remote Access"), nist("CP-2", "Contingency Plan")),
    ),
    Control(
        "windows.real_time_protection",
        "Files and programs are scanned when they are used",
        "critical",
        (_MALICIOUS_CODE,),
    ),
    Control(
        "windows.cloud_protection",
        "Defender checks unknown files with Microsoft's cloud",
        "medium",
        (_MALICIOUS_CODE, nist("SI-5", "Security Alerts, Advisories, and Directives")),
    ),
    Control(
        "windows.sample_submission",
        "Only files that may leave the host are sent away for analysis",
        "medium",
        (THEFT, _MALICIOUS_CODE, nist("AC-4", "Information Flow Enforcement")),
    ),
    Control(
        "windows.unwanted_software",
        "Potentially unwanted applications are blocked",
        "medium",
        (_MALICIOUS_CODE, _LEAST_FUNCTION),
    ),
    Control(
        "windows.network_protection",
        "Programs cannot reach known malicious addresses",
        "medium",
        (THEFT, _MALICIOUS_CODE, _BOUNDARY),
    ),
    Control(
        "windows.attack_surface",
        "Techniques that attackers commonly use are blocked",
        "high",
        (_MALICIOUS_CODE, _LEAST_FUNCTION),
    ),
    Control(
        "windows.exclusions",
        "Only the intended exclusions are exempt from scans",
        "high",
        (_MALICIOUS_CODE, nist("CM-6", "Configuration Settings")),
    ),
)
