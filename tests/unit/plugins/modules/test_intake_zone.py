# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module as Ansible calls it; what it does to a host is tested in molecule/data_intake."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from ansible.module_utils.testing import patch_module_args

from ansible_collections.twinguard.hardening.plugins.module_utils._host import systemd_io
from ansible_collections.twinguard.hardening.plugins.module_utils._intake.zone import zone_io
from ansible_collections.twinguard.hardening.plugins.module_utils._intake.zone.spec import (
    ARGUMENT_SPEC,
)
from ansible_collections.twinguard.hardening.plugins.modules import intake_zone
from ansible_collections.twinguard.hardening.tests.unit.support.spec import documented, shape

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1KsE2Qv3yRcTSgwfq0b2sFh5vSyPrVAWRKbYkD5b0l login"
SIGNING = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKmYq0Y5l5QvVqZ0Vj0gCw8rXvY6p1J5Yl3b2bZ1s3xk signing"
PERSON = {
    "name": "Plant A",
    "principals": ["plant-a"],
    "keys": [{"key": SIGNING, "namespaces": ["twinguard-batch"]}],
}
ARGS = {"senders": [{"name": "plant-a", "keys": [KEY]}], "people": [PERSON]}


def run(capsys: pytest.CaptureFixture[str], **args: Any) -> tuple[int, dict[str, Any]]:
    """Exit code and result of the module."""
    with patch_module_args(args), pytest.raises(SystemExit) as ended:
        intake_zone.main()
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    return int(str(ended.value.code)), result


def test_the_documentation_and_the_specification_agree() -> None:
    people = "people" in ARGUMENT_SPEC
    spec = {name: one for name, one in ARGUMENT_SPEC.items() if name != "people"}
    options = yaml.safe_load(intake_zone.DOCUMENTATION)["options"]
    assert options.pop("people", {}) == ({"required": True} if people else {})
    assert shape(spec) == documented(options)


def test_a_bad_option_ends_in_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    code, result = run(capsys, **{**ARGS, "directory": "/etc"})
    assert (code, result["failed"]) == (1, True)
    assert "directory" in result["msg"]
    assert "\n" not in result["msg"]
    assert [(one["id"], one["status"]) for one in result["controls"]] == [("intake.zone", "fail")]


def test_check_mode_shows_all_that_a_clean_host_lacks_and_is_not_green(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing may be started on the machine of the tests, and nothing is needed."""
    monkeypatch.setattr(zone_io, "program", lambda _name: "")
    monkeypatch.setattr(systemd_io, "units", lambda _names: {})
    code, result = run(capsys, **ARGS, _ansible_check_mode=True)
    assert (code, result["changed"]) == (0, True)
    assert "pass" not in {one["status"] for one in result["controls"]}
    assert result["diff"]


def test_a_host_without_the_programs_is_told_what_to_install(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zone_io, "program", lambda _name: "")
    monkeypatch.setattr(systemd_io, "units", lambda _names: {})
    code, result = run(capsys, **ARGS)
    assert (code, result["failed"]) == (1, True)
    assert "is not installed on this host: install it first" in result["msg"]
