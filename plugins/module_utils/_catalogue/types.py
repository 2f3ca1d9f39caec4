# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The type of a control, and the public frameworks that controls refer to (pure)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Reference:
    """One item of a public framework, such as ('NIST SP 800-53 Rev. 5', 'SC-8', '...')."""

    framework: str
    item: str
    title: str


@dataclass(frozen=True)
class Control:
    """One control that the collection proves, with its severity and references."""

    id: str
    title: str
    severity: str
    references: tuple[Reference, ...]


def atlas(item: str, title: str) -> Reference:
    return Reference("MITRE ATLAS", item, title)


def nist(item: str, title: str) -> Reference:
    return Reference("NIST SP 800-53 Rev. 5", item, title)


def cis_nginx(item: str, title: str) -> Reference:
    return Reference("CIS NGINX Benchmark v2.1.0", item, title)


def cis_debian(item: str, title: str) -> Reference:
    return Reference("CIS Debian Linux 12 Benchmark v1.1.0", item, title)


def cis_aws(item: str, title: str) -> Reference:
    return Reference("CIS AWS Foundations Benchmark v3.0.0", item, title)


def cis_windows(item: str, title: str) -> Reference:
    return Reference("CIS Microsoft Windows Server 2022 Benchmark v3.0.0", item, title)


INFERENCE_ACCESS = atlas("AML.T0040", "AI Model Inference API Access")
EXFILTRATION = atlas("AML.T0024", "Exfiltration via AI Inference API")
DENIAL = atlas("AML.T0029", "Denial of AI Service")
COST = atlas("AML.T0034", "Cost Harvesting")
ACCOUNTS = atlas("AML.T0012", "Valid Accounts")
FULL_ACCESS = atlas("AML.T0044", "Full AI Model Access")
LOCAL_DATA = atlas("AML.T0037", "Data from Local System")
TAMPERING = atlas("AML.T0018", "Manipulate AI Model")
EVENT_LOGGING = nist("AU-2", "Event Logging")
RECORD_GENERATION = nist("AU-12", "Audit Record Generation")
PROTECTION = nist("AU-9", "Protection of Audit Information")
COLLECTION = atlas("AML.T0035", "AI Artifact Collection")
POISONING = atlas("AML.T0020", "Poison Training Data")
THEFT = atlas("AML.T0025", "Exfiltration via Cyber Means")
