# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of users, asked once for each number (I/O)."""

from __future__ import annotations

import pwd
from functools import lru_cache
from typing import Union


@lru_cache(maxsize=4096)
def user_name(uid: int) -> Union[str, None]:
    """The name of that user on this host; None when it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except (KeyError, OverflowError):
        return None
