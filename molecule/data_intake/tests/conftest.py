# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of data intake share."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Iterator

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "tests" / "support"))

import intake_lab


@pytest.fixture(params=intake_lab.RECEIVERS)
def receiver(request: pytest.FixtureRequest) -> str:
    """Each receiver in turn: Debian 12 with OpenSSH 9.2, Debian 13 with OpenSSH 10.0."""
    return str(request.param)


@pytest.fixture
def restored() -> Iterator[None]:
    """Puts the receivers' policy of the scenario back after a test that changes it."""
    yield
    intake_lab.receive().expect_success()
