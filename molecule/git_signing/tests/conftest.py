# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of git's signatures share."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "tests" / "support"))

import signing_lab


@pytest.fixture(params=signing_lab.HOSTS)
def host(request: pytest.FixtureRequest) -> str:
    """Each workstation in turn: Debian 12 with git 2.39, Debian 13 with git 2.47."""
    return str(request.param)
