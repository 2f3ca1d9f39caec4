# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How nginx runs, where systemd says it."""

from __future__ import annotations

import pytest

from ansible_collections.twinguard.hardening.plugins.module_utils._host import systemd_io
from ansible_collections.twinguard.hardening.plugins.module_utils._nginx.service_io import (
    service_state,
)

SHOWN = b"""MainPID=77
Id=nginx.service
LoadState=loaded
ActiveState=active
UnitFileState=enabled
"""


@pytest.mark.parametrize("name", ["nginx", "nginx.service", "another-name-of-it.service"])
def test_a_unit_is_found_by_each_of_its_names(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Systemd shows it under the whole name of its own; without this a reload would never be sent."""
    monkeypatch.setattr(systemd_io, "in_charge", lambda: True)
    monkeypatch.setattr(systemd_io, "call", lambda _argv: SHOWN)
    state = service_state(name, "/nowhere")
    assert (state.running, state.enabled, state.master_pid) == (True, True, 77)
