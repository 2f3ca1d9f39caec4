# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The loop of both steps of the service over the zones of receiver.json (I/O)."""

from __future__ import annotations

import json
from typing import Any, Callable, Mapping

from ..._core.error import HardeningError
from ..._host.run_io import say

Settings = Mapping[str, Any]


def for_each_zone(path: str, work: Callable[[Settings, Settings], None]) -> int:
    """Call `work` with the settings and each zone; 1 when one of the zones failed.

    A zone that fails is reported to the journal and does not keep the others from their turn.
    """
    with open(path, encoding="utf-8") as stream:
        settings = json.load(stream)
    failed = 0
    for zone in settings["zones"]:
        try:
            work(settings, zone)
        except (HardeningError, OSError) as error:
            say(3, f"{zone['account']}: {error}")
            failed = 1
    return failed
