# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of the model audit in containers share."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Iterator

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "tests" / "support"))

import audit_lab


@pytest.fixture(params=audit_lab.HOSTS)
def server(request: pytest.FixtureRequest) -> str:
    """Each model server in turn: Debian 12 with auditd 3.0, Debian 13 with auditd 4.0."""
    return str(request.param)


@pytest.fixture
def restored() -> Iterator[None]:
    """Puts the policy of the scenario back after a test that changes it."""
    yield
    audit_lab.apply().expect_success()
