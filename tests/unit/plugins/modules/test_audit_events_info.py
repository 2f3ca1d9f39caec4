# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module, run in check mode and for real, twice each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.testing import patch_module_args

from ansible_collections.twinguard.hardening.plugins.module_utils._audit.events.spec import (
    ARGUMENT_SPEC,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._audit.kernel.netlink_io import (
    Kernel,
    NoAudit,
)
from ansible_collections.twinguard.hardening.plugins.modules import audit_events_info
from ansible_collections.twinguard.hardening.tests.unit.support.audit_log import access
from ansible_collections.twinguard.hardening.tests.unit.support.spec import documented, shape


def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, **args: Any) -> dict[str, Any]:
    """The result of the module."""
    given = dict(
        {"log_file": str(tmp_path / "audit.log"), "canaries": str(tmp_path / "canaries.json")},
        **args,
    )
    with patch_module_args(given), pytest.raises(SystemExit) as ended:
        audit_events_info.main()
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert bool(ended.value.code) == bool(result.get("failed"))
    return result


def test_the_documentation_and_the_specification_agree() -> None:
    assert shape(ARGUMENT_SPEC) == documented(
        yaml.safe_load(audit_events_info.DOCUMENTATION)["options"]
    )


def test_every_field_of_an_event_is_documented(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "audit.log").write_bytes(access(1))
    result = run(capsys, tmp_path)
    returned = yaml.safe_load(audit_events_info.RETURN)
    assert set(result) - {"invocation", "changed"} == set(returned)
    assert set(result["events"][0]) == set(returned["events"]["contains"])


def test_check_run_check_run_report_each_event_once(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "audit.log").write_bytes(access(1) + access(2))
    checkpoint = tmp_path / "reported.json"
    counts = []
    for check in (True, False, True, False):
        result = run(capsys, tmp_path, checkpoint=str(checkpoint), _ansible_check_mode=check)
        assert result["changed"] is False
        assert result["checkpoint"]["moved"] is not check
        counts.append((result["count"], result["checkpoint"]["state"]))
        assert checkpoint.exists() == (len(counts) > 1)
    assert counts == [(2, "new"), (2, "new"), (0, "continued"), (0, "continued")]
    assert checkpoint.stat().st_mode & 0o777 == 0o600


def test_a_damaged_checkpoint_is_said_and_everything_reported(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "audit.log").write_bytes(access(1))
    (tmp_path / "reported.json").write_bytes(b"{")
    result = run(
        capsys, tmp_path, checkpoint=str(tmp_path / "reported.json"), expected=[{"user": "998"}]
    )
    assert (result["count"], result["checkpoint"]["state"]) == (1, "damaged")
    assert [one["status"] for one in result["controls"]] == ["unknown"]
    result = run(
        capsys, tmp_path, checkpoint=str(tmp_path / "reported.json"), expected=[{"user": "998"}]
    )
    assert (result["count"], result["checkpoint"]["state"]) == (0, "continued")
    assert [one["status"] for one in result["controls"]] == ["pass"]


def test_who_is_not_expected_fails_the_control_and_not_the_run(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "audit.log").write_bytes(access(1) + access(2, exe=b"/usr/bin/cp"))
    result = run(capsys, tmp_path, expected=[{"executable": "/usr/bin/cat"}], unexpected_only=True)
    assert [event["exe"] for event in result["events"]] == ["/usr/bin/cp"]
    (control,) = result["controls"]
    assert (control["id"], control["resource"], control["status"]) == (
        "audit.access",
        "twinguard_models",
        "fail",
    )
    assert control["evidence"] == {"events": 1, "unexpected": 1}


def test_canaries_are_marked(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "audit.log").write_bytes(access(1) + access(2))
    (tmp_path / "canaries.json").write_text('{"boot_id": "x", "events": [[1, 1790000000.25, 11]]}')
    result = run(capsys, tmp_path, expected=[])
    assert [(row["canary"], row["unexpected"]) for row in result["events"]] == [
        (True, False),
        (False, True),
    ]
    assert (result["canary_count"], result["unexpected_count"]) == (1, 1)


def test_without_a_log_it_says_so(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused() -> None:
        raise NoAudit("this is a container")

    monkeypatch.setattr(Kernel, "open", refused)
    result = run(capsys, tmp_path, keys=["twinguard_a", "twinguard_b"], expected=[])
    assert result["events"] == []
    assert [(one["resource"], one["status"]) for one in result["controls"]] == [
        ("twinguard_a", "not_applicable"),
        ("twinguard_b", "not_applicable"),
    ]
    assert "this is a container" in result["controls"][0]["reason"]


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize(
    ("args", "start"),
    [
        ({"log_file": "audit.log"}, "option 'log_file' = "),
        ({"log_file": "/x/../audit.log"}, "option 'log_file' = "),
        ({"checkpoint": "/nowhere/at/all.json"}, "option 'checkpoint' = '/nowhere/at/all.json': "),
        ({"since": "noon"}, "option 'since' = 'noon': "),
    ],
)
def test_bad_input_fails_in_one_sentence(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    args: dict[str, Any],
    start: str,
    check: bool,
) -> None:
    result = run(capsys, tmp_path, _ansible_check_mode=check, **args)
    assert result["msg"].startswith(start)
    assert "\n" not in result["msg"]
    assert [one["status"] for one in result["controls"]] == ["unknown"]


def test_a_checkpoint_that_cannot_be_written_fails_the_run(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "audit.log").write_bytes(access(1))
    (tmp_path / "reported.json").mkdir()
    result = run(capsys, tmp_path, checkpoint=str(tmp_path / "reported.json"))
    assert result["failed"] is True
    assert "reported.json" in result["msg"]
