# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all behaviour tests of the gateway share."""

from __future__ import annotations

import os
import sys
import time
from contextlib import AbstractContextManager, contextmanager
from itertools import count
from pathlib import Path
from typing import Callable, Iterator

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "tests" / "support"))

import gateway_lab
import lab

GATEWAYS = gateway_lab.GATEWAYS
CLIENT = "tgm-client"
LEAST = 11  # requests while something is changed
_networks = count(1)


@pytest.fixture(params=GATEWAYS)
def gateway(request: pytest.FixtureRequest) -> str:
    """Each gateway in turn: Debian 12 with nginx 1.22, Debian 13 with nginx 1.26."""
    return str(request.param)


@pytest.fixture
def source() -> str:
    """An address that no other test, of an earlier run neither, comes from: its limits are untouched."""
    return f"127.{next(_networks)}.{os.getpid() % 255}.1"


@pytest.fixture
def restored() -> Iterator[None]:
    """Puts the policy of the scenario back after a test that changes it."""
    yield
    gateway_lab.apply().expect_success()


@pytest.fixture
def unbroken() -> Callable[[], AbstractContextManager[None]]:
    """A block during which a client asks every gateway all the time, and each answer must be good."""

    @contextmanager
    def block() -> Iterator[None]:
        request = lab.bearing(lab.key("watcher"))
        loads = {
            name: lab.load(name, [request], origin=CLIENT, rate=15, reuse=False, least=LEAST)
            for name in GATEWAYS
        }
        began = time.monotonic()
        try:
            yield
        finally:
            answers = {name: load.answers() for name, load in loads.items()}
        for name, results in answers.items():
            assert set(results.counts()) == {"200"}, (name, results.counts())
            assert len(results) >= LEAST, f"{name} was asked only {len(results)} times"
            # All containers of a machine have its clock: the first answer was there before the block began.
            assert results.results[0]["ended"] < began

    return block
