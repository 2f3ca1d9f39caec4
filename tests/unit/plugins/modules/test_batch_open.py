# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module as Ansible calls it: four ways, and its message when a batch is refused."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from ansible_collections.twinguard.hardening.plugins.module_utils._batch.spec import OPEN_SPEC
from ansible_collections.twinguard.hardening.plugins.module_utils._batch.types import Reason
from ansible_collections.twinguard.hardening.plugins.modules import batch_open
from ansible_collections.twinguard.hardening.tests.unit.support.batch import (
    CONTENT,
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
    given = {**lab.open_params(), "_ansible_check_mode": check, **args}
    return run_module(capsys, batch_open.main, **given)


def batch(lab: Lab) -> str:
    return lab.batch(now=int(time.time()))


def test_the_documentation_and_the_specification_agree() -> None:
    options = yaml.safe_load(batch_open.DOCUMENTATION)["options"]
    # The people are documented by a fragment of their own, which has a test of its own.
    options.pop("people")
    spec = {name: one for name, one in OPEN_SPEC.items() if name != "people"}
    assert shape(spec) == documented(options)


def test_every_reason_is_documented() -> None:
    notes = " ".join(yaml.safe_load(batch_open.DOCUMENTATION)["notes"])
    assert all(f"C({reason.value})" in notes for reason in Reason)


@pytest.mark.parametrize("remove", [True, False])
def test_check_run_check_run(capsys: pytest.CaptureFixture[str], lab: Lab, remove: bool) -> None:
    made = batch(lab)
    results = [run(capsys, lab, check, remove=remove) for check in (True, False, True, False)]
    assert [code for code, _result in results] == [0, 0, 0, 0]
    foreseen, opened, checked, again = (result for _code, result in results)
    assert [one["changed"] for one in (foreseen, opened, checked, again)] == [
        True,
        True,
        False,
        False,
    ]
    assert foreseen["diff"] == opened["diff"]
    assert [one["status"] for one in foreseen["batches"] + opened["batches"]] == [
        "verified",
        "published",
    ]
    assert {one["status"] for one in again["controls"]} == {"pass"}
    assert lab.contents(lab.published / made) == CONTENT


def test_one_batch_by_its_id(capsys: pytest.CaptureFixture[str], lab: Lab) -> None:
    first, second = batch(lab), batch(lab)
    code, result = run(capsys, lab, batch=second)
    assert (code, [one["batch"] for one in result["batches"]]) == (0, [second])
    code, result = run(capsys, lab, batch=second)
    assert (code, result["changed"], result["batches"][0]["status"]) == (0, False, "already")
    code, result = run(capsys, lab, batch="20261121T112000Z-0000000000000000")
    assert (code, result["failed"]) == (1, True)
    assert "does not contain batch" in result["msg"]
    # Its number is below that of the one that was asked for first.
    code, result = run(capsys, lab, batch=first)
    assert result["batches"][0]["reason"] == "old_sequence"


def test_a_refused_batch_fails_the_task_with_its_reason(
    capsys: pytest.CaptureFixture[str], lab: Lab
) -> None:
    made = batch(lab)
    path = lab.zone / f"{made}.data.enc"
    path.write_bytes(path.read_bytes() + b"x")
    code, result = run(capsys, lab, True)
    assert (code, result["changed"], result["controls"][0]["status"]) == (0, True, "fail")
    code, result = run(capsys, lab, verify_only=True)
    assert (code, result["changed"], result["failed"]) == (1, False, True)
    code, result = run(capsys, lab)
    assert (code, result["changed"], result["failed"]) == (1, True, True)
    assert result["msg"].startswith(f"batch {made} was refused: wrong_size: ")
    assert result["controls"][0]["reason"].startswith("wrong_size: ")
    assert lab.nothing_published()
    code, result = run(capsys, lab)
    assert (code, result["changed"]) == (0, False)


def test_a_directory_without_batches_is_fine(capsys: pytest.CaptureFixture[str], lab: Lab) -> None:
    code, result = run(capsys, lab)
    assert (code, result["changed"], result["batches"]) == (0, False, [])
    assert [one["status"] for one in result["controls"]] == ["pass"]


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ({"mode": "0666"}, "option 'mode'"),
        ({"mode": "rw"}, "option 'mode'"),
        ({"identities": []}, "option 'identities'"),
        ({"directory": "/nowhere"}, "/nowhere"),
        ({"destination": "/a/../b"}, "option 'path'"),
        ({"senders": ["*"]}, "option 'senders'"),
        ({"people": [{"name": "x", "principals": ["*"], "keys": []}]}, "principals"),
    ],
)
def test_bad_options_fail_in_one_sentence(
    capsys: pytest.CaptureFixture[str], lab: Lab, args: dict[str, Any], says: str
) -> None:
    assert_one_sentence(run(capsys, lab, **args), says)
    assert os.listdir(lab.published) == []


def test_a_validation_is_not_run_as_root(
    capsys: pytest.CaptureFixture[str], lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch(lab)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    code, result = run(capsys, lab, validate=["/bin/true"])
    assert code == 1
    assert "would run as root" in result["msg"]
    assert len(list(lab.zone.iterdir())) == 5
