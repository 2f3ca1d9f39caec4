# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Both steps of the service go through all zones, whichever of them fails."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ansible_collections.twinguard.hardening.plugins.module_utils._host.run_io import HostError
from ansible_collections.twinguard.hardening.plugins.module_utils._intake.zone import (
    collect_io,
    receive_io,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._intake.zone.service_io import (
    Settings,
    for_each_zone,
)


def config(tmp_path: Path, **settings: object) -> str:
    path = tmp_path / "receiver.json"
    path.write_text(json.dumps({"zones": [{"account": "a"}, {"account": "b"}], **settings}))
    return str(path)


@pytest.mark.parametrize("error", [HostError("it is full"), OSError(28, "it is full")])
def test_a_zone_that_fails_is_reported_and_the_next_one_has_its_turn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    seen = []

    def work(_settings: Settings, zone: Settings) -> None:
        seen.append(zone["account"])
        if zone["account"] == "a":
            raise error

    assert for_each_zone(config(tmp_path), work) == 1
    assert seen == ["a", "b"]
    out = capsys.readouterr().out
    assert out.startswith("<3>a: ")
    assert "it is full" in out
    assert len(out.splitlines()) == 1


def test_without_an_error_the_service_succeeds(tmp_path: Path) -> None:
    assert for_each_zone(config(tmp_path), lambda _settings, _zone: None) == 0


def test_both_steps_report_each_zone_that_does_not_exist(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = str(tmp_path / "nowhere")
    given = {"directory": nowhere, "user": "root", "stale_seconds": 1, "state_dir": nowhere}
    given |= {"allowed_signers": nowhere, "revocations": nowhere, "identities": 1}
    given |= {"passphrase": False, "validate": [], "validate_seconds": 1, "maximum_bytes": 1}
    given |= {"maximum_files": 1, "maximum_age": 0}
    zones = [{"account": one, "sender": "plant-a"} for one in ("a", "b")]
    monkeypatch.setenv("RUNTIME_DIRECTORY", nowhere)
    for step in (collect_io, receive_io):
        assert step.main([config(tmp_path, **{**given, "zones": zones})]) == 1
        lines = capsys.readouterr().out.splitlines()
        assert [line.split(":")[0] for line in lines] == ["<3>a", "<3>b"]
        assert all(nowhere in line for line in lines)
