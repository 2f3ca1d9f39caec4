# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of the git guard share."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "tests" / "support"))

import git_server_lab


@pytest.fixture(params=git_server_lab.SERVERS)
def server(request: pytest.FixtureRequest) -> str:
    """Each git server in turn: Debian 12 with git 2.39, Debian 13 with git 2.47."""
    return str(request.param)
