# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A sender and a receiver for each test, or for each file one whose batch arrives anew for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ansible_collections.twinguard.hardening.tests.unit.support.batch import Lab, quick_directory


@pytest.fixture
def lab() -> Iterator[Lab]:
    """A sender and a receiver, without a batch."""
    with quick_directory() as root:
        yield Lab(root)


@pytest.fixture(scope="module")
def made() -> Iterator[tuple[Lab, str, dict[str, bytes]]]:
    """A sender, a receiver, and a good batch: its id and the content of its files."""
    with quick_directory() as root:
        lab = Lab(root)
        batch = lab.batch()
        yield lab, batch, lab.contents(lab.zone)


@pytest.fixture
def sent(made: tuple[Lab, str, dict[str, bytes]]) -> Lab:
    """The good batch in the zone, and nothing else anywhere."""
    made[0].put(made[2])
    return made[0]


@pytest.fixture
def batch(made: tuple[Lab, str, dict[str, bytes]]) -> str:
    """The id of the good batch."""
    return made[1]
