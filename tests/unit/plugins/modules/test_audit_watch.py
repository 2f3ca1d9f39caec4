# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module as Ansible calls it, on a host whose kernel gives no audit and where nothing may change."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.testing import patch_module_args

from ansible_collections.twinguard.hardening.plugins.module_utils._audit.kernel.netlink_io import (
    Kernel,
    NoAudit,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._audit.watch import (
    observe_io as audit_observe_io,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._audit.watch.spec import (
    ARGUMENT_SPEC,
)
from ansible_collections.twinguard.hardening.plugins.modules import audit_watch
from ansible_collections.twinguard.hardening.tests.unit.support.spec import documented, shape

NONE = "this is a container"


@pytest.fixture(autouse=True)
def _no_audit(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine of the tests may have audit, and its rules are nobody's business here."""

    def refuse() -> None:
        raise NoAudit(NONE)

    monkeypatch.setattr(Kernel, "open", refuse)


def run(
    capsys: pytest.CaptureFixture[str], *watches: dict[str, Any], **args: Any
) -> tuple[int, dict[str, Any]]:
    """Exit code and result of the module."""
    with patch_module_args({"watches": list(watches), **args}), pytest.raises(SystemExit) as ended:
        audit_watch.main()
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    return int(str(ended.value.code)), result


def test_the_documentation_and_the_specification_agree() -> None:
    assert shape(ARGUMENT_SPEC) == documented(yaml.safe_load(audit_watch.DOCUMENTATION)["options"])


def test_without_audit_check_mode_shows_the_files_and_no_control_is_green(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    watch = {
        "path": str(tmp_path),
        "key": "twinguard_models",
        "allowed_readers": [{"user": "root", "executable": "/bin/sh"}],
    }
    code, result = run(capsys, watch, backlog_limit=4096, _ansible_check_mode=True)
    assert (code, result["changed"]) == (0, True)
    assert {one["status"] for one in result["controls"]} == {"not_applicable"}
    assert all(NONE in one["reason"] for one in result["controls"])
    shown = {one["after_header"]: one["after"] for one in result["diff"]}
    rules = shown["/etc/audit/rules.d/zz-twinguard.rules"]
    assert "-b 4096\n" in rules
    assert rules.count(f"-F dir={os.path.realpath(tmp_path)} ") == len(rules.splitlines()) - 2
    assert result["watches"][0]["armed"] is None
    assert (result["kernel"], result["reboot_required"], result["lost"]) == ({}, False, 0)


def test_where_auditd_is_not_installed_a_run_fails_in_one_sentence(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_observe_io, "program", lambda _name: "")
    code, result = run(capsys, {"path": str(tmp_path), "key": "twinguard_models"})
    assert (code, result["failed"]) == (1, True)
    assert result["msg"] == "auditd is not installed on this host: install its package first"
    assert [one["status"] for one in result["controls"]] == ["fail"]


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize(
    ("watch", "words"),
    [
        ({"path": "srv/models"}, "option 'watches[0].path' = 'srv/models': the path is relative"),
        ({"path": "/srv/../etc"}, "option 'watches[0].path' = '/srv/../etc'"),
        ({"path": "/"}, "option 'watches[0].path' = '/'"),
        ({"path": "$HOME"}, "option 'watches[0].path' = '$HOME'"),
        ({"path": "/no/such/directory"}, "its directory /no/such does not exist"),
        ({"path": "/no-such-directory"}, "it does not exist; create it first"),
        ({"permissions": "rwz"}, "option 'watches[0].permissions' = 'rwz'"),
        ({"key": "models"}, "option 'watches[0].key' = 'models'"),
        ({"key": "twinguard_" + "k" * 22}, "it has 32 bytes and 31 are allowed"),
        ({"allowed_readers": [{}]}, "option 'watches[0].allowed_readers[0]'"),
        ({"allowed_readers": [{"user": "no-such-user"}]}, "this host has no such user"),
        ({"allowed_readers": [{"executable": "/no/such"}]}, "this host has no such program"),
    ],
    ids=str,
)
def test_a_bad_watch_fails_in_one_sentence_before_anything_is_touched(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    watch: dict[str, Any],
    words: str,
    check: bool,
) -> None:
    good = {"path": str(tmp_path), "key": "twinguard_models"}
    code, result = run(capsys, {**good, **watch}, _ansible_check_mode=check)
    assert (code, result["failed"]) == (1, True)
    assert words in result["msg"]
    assert "\n" not in result["msg"]


def test_watches_that_contradict_each_other_are_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    link = tmp_path / "link"
    (tmp_path / "models").mkdir()
    link.symlink_to(tmp_path / "models")
    watches = [
        {"path": str(path), "key": "twinguard_models"} for path in (tmp_path / "models", link)
    ]
    code, result = run(capsys, *watches)
    assert code == 1
    assert "the same directory as" in result["msg"]


def test_settings_of_auditd_are_checked_by_name_and_value(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    good = {"path": str(tmp_path), "key": "twinguard_models"}
    for auditd, words in (
        ({"max_log_flie": 8}, ["auditd.max_log_flie"]),
        ({"disk_full_action": "explode"}, ["disk_full_action", "explode"]),
        ({"num_logs": 5000}, ["option 'auditd.num_logs' = 5000"]),
    ):
        code, result = run(capsys, good, auditd=auditd, _ansible_check_mode=True)
        assert code == 1
        assert not [word for word in words if word not in result["msg"]]
