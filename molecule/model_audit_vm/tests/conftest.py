# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all behaviour tests of the watches share."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT / "tests" / "support"), str(ROOT / ".build" / "collections")]

from vm_lab import RELEASES, Machine

_machines = {name: Machine(name) for name in RELEASES}


@pytest.fixture(params=RELEASES)
def machine(request: pytest.FixtureRequest) -> Machine:
    """Each machine in turn: Debian 12 with audit 3.0, Debian 13 with audit 4.0."""
    return _machines[str(request.param)]


@pytest.fixture
def old() -> Machine:
    """The machine with Debian 12, the cheaper one, for what is the same on both."""
    return _machines["molecule-12"]


@pytest.fixture
def new() -> Machine:
    """The machine with Debian 13, whose processor also runs 32-bit programs."""
    return _machines["molecule-13"]


@pytest.fixture
def both() -> list[Machine]:
    """All machines, for what takes long and can be done on all at once."""
    return list(_machines.values())
