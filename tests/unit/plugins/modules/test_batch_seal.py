# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module as Ansible calls it: four ways, and its message when it cannot seal."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from ansible_collections.twinguard.hardening.plugins.module_utils._batch.spec import SEAL_SPEC
from ansible_collections.twinguard.hardening.plugins.modules import batch_seal
from ansible_collections.twinguard.hardening.tests.unit.support.batch import (
    Lab,
    quick_directory,
)
from ansible_collections.twinguard.hardening.tests.unit.support.run_module import (
    assert_one_sentence,
    run_module,
)
from ansible_collections.twinguard.hardening.tests.unit.support.spec import documented, shape


@pytest.fixture
def lab() -> Iterator[Lab]:
    with quick_directory() as root:
        yield Lab(root)


def run(
    capsys: pytest.CaptureFixture[str], lab: Lab, check: bool = False, **args: Any
) -> tuple[int, dict[str, Any]]:
    """Exit code and result of the module."""
    given = {**lab.seal_params(), "_ansible_check_mode": check, **args}
    return run_module(capsys, batch_seal.main, **given)


def test_the_documentation_and_the_specification_agree() -> None:
    assert shape(SEAL_SPEC) == documented(yaml.safe_load(batch_seal.DOCUMENTATION)["options"])


def test_check_run_check_run(capsys: pytest.CaptureFixture[str], lab: Lab) -> None:
    results = [run(capsys, lab, check) for check in (True, False, True, False)]
    assert [code for code, _result in results] == [0, 0, 0, 0]
    foreseen, sealed, checked, again = (result for _code, result in results)
    assert [one["changed"] for one in (foreseen, sealed, checked, again)] == [
        True,
        True,
        False,
        False,
    ]
    assert foreseen["diff"] == sealed["diff"]
    assert checked["diff"] == again["diff"] == []
    statuses = [one["controls"][0]["status"] for one in (foreseen, sealed, checked, again)]
    assert statuses == ["fail", "pass", "pass", "pass"]
    assert foreseen["batch"] == ""
    assert sealed["batch"] == checked["batch"] == again["batch"]
    assert os.path.exists(sealed["manifest"])


def test_a_source_that_is_missing_fails_in_one_sentence(
    capsys: pytest.CaptureFixture[str], lab: Lab
) -> None:
    for check in (True, False):
        found = run(capsys, lab, check, sources=["/nowhere/at/all"])
        assert_one_sentence(found, "/nowhere/at/all")
        assert found[1]["controls"][0]["status"] == "fail"


def test_neither_recipients_nor_a_passphrase_is_refused(
    capsys: pytest.CaptureFixture[str], lab: Lab
) -> None:
    code, result = run(capsys, lab, recipients=[])
    assert code == 1
    assert result["msg"].startswith("option 'recipients' = []: ")
