# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each picture was drawn from the text beside it, and nobody has changed that since."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

PICTURES = Path(__file__).resolve().parents[2] / "docs" / "pictures"
TEXTS = sorted(PICTURES.glob("*.dot"))


def test_every_text_has_its_picture_and_every_picture_its_text() -> None:
    assert len(TEXTS) >= 3
    assert [path.stem for path in TEXTS] == sorted(path.stem for path in PICTURES.glob("*.svg"))


@pytest.mark.parametrize("text", TEXTS, ids=lambda path: path.name)
def test_a_picture_shows_its_text_as_it_is_today(text: Path) -> None:
    picture = text.with_suffix(".svg").read_text(encoding="utf-8")
    drawn_from = re.findall(r'<g id="sha256_([0-9a-f]{64})" class="graph"', picture)
    digest = hashlib.sha256(text.read_bytes()).hexdigest()
    assert drawn_from == [digest], f"{text.name} was changed: run `make pictures`"
