# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controls of the model gateway (pure)."""

from __future__ import annotations

from .types import (
    ACCOUNTS,
    COST,
    DENIAL,
    EXFILTRATION,
    INFERENCE_ACCESS,
    Control,
    cis_nginx,
    nist,
)

CONTROLS = (
    Control(
        "gateway.in_force",
        "The gateway serves exactly the wanted configuration",
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
        "Each address is held to a request rate before its key is checked",
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
        "Clients authenticate with a certificate of the given authority",
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
