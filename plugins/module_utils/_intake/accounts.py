# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The accounts of both sides of the intake (pure)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Tuple

COMMENT = "twinguard data intake"
"""The comment that marks our accounts; others are never touched."""

HOME = "/nonexistent"
SHELLS = ("/usr/sbin/nologin", "/sbin/nologin")


@dataclass(frozen=True)
class Account:
    """An entry of passwd, and the supplementary groups."""

    uid: int
    gid: int
    comment: str
    home: str
    shell: str
    groups: Tuple[str, ...]
