# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Damaged logs: nothing stops the reader, and nothing lands in the wrong event."""

from __future__ import annotations

import random

import pytest

from ansible_collections.twinguard.hardening.tests.unit.support.audit_fuzz import (
    damage,
    make_log,
    misread,
    render,
    slow_read,
)


@pytest.mark.parametrize("seed", range(4))
def test_damage_stays_where_it_is(seed: int) -> None:
    chance = random.Random(seed)
    clean = make_log(chance, 300)
    damaged, count = damage(chance, clean, 0.1)
    wrong, sound, _others = misread(clean, damaged, chance)
    assert not wrong, "\n".join(wrong)
    assert count > 100
    assert sound > 50


def test_the_slow_reader_finds_what_was_made() -> None:
    chance = random.Random(9)
    clean = make_log(chance, 50)
    ours = [
        line for line in clean if b"type=SYSCALL" in line.text and b'key="other"' not in line.text
    ]
    assert len(slow_read(render(clean))) == len(ours)
