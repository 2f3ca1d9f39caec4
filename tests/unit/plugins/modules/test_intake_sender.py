# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module as Ansible calls it; what it does to a host is tested in molecule/data_intake."""

from __future__ import annotations

import pytest
import yaml

from ansible_collections.twinguard.hardening.plugins.module_utils._intake.sender import sender_io
from ansible_collections.twinguard.hardening.plugins.module_utils._intake.sender.spec import (
    ARGUMENT_SPEC,
)
from ansible_collections.twinguard.hardening.plugins.modules import intake_sender
from ansible_collections.twinguard.hardening.tests.unit.support.intake import (
    HOST_KEY,
    PEM,
    assert_all_is_missing,
    assert_programs_are_missing,
    bare_host,
)
from ansible_collections.twinguard.hardening.tests.unit.support.run_module import (
    assert_one_sentence,
    run_module,
)
from ansible_collections.twinguard.hardening.tests.unit.support.spec import documented, shape

JOB = {
    "name": "unit-test",
    "sources": ["/srv/data"],
    "sender": "plant-a",
    "receiver": {"host": "192.0.2.1", "account": "intake-a", "host_keys": [HOST_KEY]},
    "recipients": [PEM],
}
ARGS = {"jobs": [JOB]}


def test_the_documentation_and_the_specification_agree() -> None:
    options = yaml.safe_load(intake_sender.DOCUMENTATION)["options"]
    assert shape(ARGUMENT_SPEC) == documented(options)


def test_a_bad_option_ends_in_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    found = run_module(capsys, intake_sender.main, jobs=[{**JOB, "sources": ["data"]}])
    assert_one_sentence(found, "sources[0]")
    assert [(one["id"], one["status"]) for one in found[1]["controls"]] == [
        ("intake.sender", "fail")
    ]


def test_check_mode_shows_all_that_a_clean_host_lacks_and_is_not_green(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bare_host(monkeypatch, sender_io)
    assert_all_is_missing(run_module(capsys, intake_sender.main, **ARGS, _ansible_check_mode=True))


def test_a_host_without_the_programs_is_told_what_to_install(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bare_host(monkeypatch, sender_io)
    assert_programs_are_missing(run_module(capsys, intake_sender.main, **ARGS))
