# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A sender's keys, certificate and batch id, and a host on which nothing is installed."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

from ansible_collections.twinguard.hardening.plugins.module_utils._host import systemd_io
from ansible_collections.twinguard.hardening.tests.unit.support.run_module import (
    Result,
    assert_one_sentence,
)

HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1KsE2Qv3yRcTSgwfq0b2sFh5vSyPrVAWRKbYkD5b0l"
LOGIN = HOST_KEY + " login"
SIGNING = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKmYq0Y5l5QvVqZ0Vj0gCw8rXvY6p1J5Yl3b2bZ1s3xk signing"
PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
BATCH = "20261121T112233Z-9f86d081884c7d65"


def sender(**changes: Any) -> dict[str, Any]:
    """A sender as intake_zone takes it."""
    return {"name": "plant-a", "keys": [LOGIN], **changes}


def person(principal: str = "plant-a", namespace: str = "twinguard-batch") -> dict[str, Any]:
    """The person who signs for a sender."""
    keys = [{"key": SIGNING, "namespaces": [namespace]}]
    return {"name": principal, "principals": [principal], "keys": keys}


def bare_host(monkeypatch: pytest.MonkeyPatch, module_io: ModuleType) -> None:
    """No program is found and systemd does not run, so nothing is started on the machine of the tests."""
    monkeypatch.setattr(module_io, "program", lambda _name: "")
    monkeypatch.setattr(systemd_io, "units", lambda _names: {})


def assert_all_is_missing(found: Result) -> None:
    """Check mode on a clean host: there are changes to make, and no control passes."""
    code, result = found
    assert (code, result["changed"]) == (0, True)
    assert "pass" not in {one["status"] for one in result["controls"]}
    assert result["diff"]


def assert_programs_are_missing(found: Result) -> None:
    """A run on such a host says what to install."""
    assert_one_sentence(found, "is not installed on this host: install it first")
