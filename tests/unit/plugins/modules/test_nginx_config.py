# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Without nginx the module says so: as a finding in check mode, as a failure otherwise."""

from __future__ import annotations

import json
import os
import shutil
from typing import Any

import pytest
import yaml
from ansible.module_utils.testing import patch_module_args

from ansible_collections.twinguard.hardening.plugins.module_utils._nginx.spec import ARGUMENT_SPEC
from ansible_collections.twinguard.hardening.plugins.modules import nginx_config
from ansible_collections.twinguard.hardening.tests.unit.support.spec import documented, shape

without_nginx = pytest.mark.skipif(
    shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin:/usr/local/sbin") is not None,
    reason="nginx is installed here, so this could change it; the Molecule scenario runs the module with nginx",
)
ARGS: dict[str, Any] = {
    "name": "demo",
    "files": [{"name": "server.conf", "content": "server {}\n"}],
    "secret_files": [{"name": "keys.conf", "content": "hunter2\n"}],
    "companions": [{"path": "/etc/logrotate.d/demo", "content": "daily\n"}],
}


def run(capsys: pytest.CaptureFixture[str], **args: Any) -> tuple[int, dict[str, Any]]:
    """Exit code and result of the module."""
    with patch_module_args(dict(ARGS, **args)), pytest.raises(SystemExit) as ended:
        nginx_config.main()
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    return int(str(ended.value.code)), result


def test_the_documentation_and_the_specification_agree() -> None:
    assert shape(ARGUMENT_SPEC) == documented(yaml.safe_load(nginx_config.DOCUMENTATION)["options"])


@without_nginx
def test_check_mode_without_nginx_would_change_and_fails_its_control(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, result = run(capsys, _ansible_check_mode=True)
    assert (code, result["changed"]) == (0, True)
    (control,) = result["controls"]
    assert (control["id"], control["resource"], control["status"]) == (
        "gateway.in_force",
        "demo",
        "fail",
    )
    assert "not installed" in control["reason"]
    assert len(result["diff"]) == 4
    assert "hunter2" not in json.dumps(result)


@without_nginx
def test_a_real_run_without_nginx_fails_in_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    code, result = run(capsys)
    assert (code, result["failed"]) == (1, True)
    assert result["msg"].startswith(
        "nginx is not installed on this host: install its package first"
    )
    assert [one["status"] for one in result["controls"]] == ["fail"]
    assert result["complaints"] == []
    assert "hunter2" not in json.dumps(result)


@without_nginx
@pytest.mark.parametrize("check", [True, False])
def test_absent_without_nginx_is_absent(capsys: pytest.CaptureFixture[str], check: bool) -> None:
    code, result = run(capsys, state="absent", _ansible_check_mode=check)
    assert (code, result["changed"]) == (0, False)
    assert [one["status"] for one in result["controls"]] == ["pass"]


@pytest.mark.parametrize("check", [True, False])
def test_a_bad_name_fails_in_one_sentence_before_anything_is_touched(
    capsys: pytest.CaptureFixture[str], check: bool
) -> None:
    code, result = run(capsys, name="../demo", _ansible_check_mode=check)
    assert (code, result["failed"]) == (1, True)
    assert result["msg"].startswith("option 'name' = '../demo': ") or result["msg"].startswith(
        "nginx is not installed"
    )
    assert "\n" not in result["msg"]


def test_an_unknown_probe_is_refused_by_its_specification(
    capsys: pytest.CaptureFixture[str],
) -> None:
    question = {
        "id": "q",
        "kind": "ping",
        "address": "127.0.0.1",
        "port": 1,
        "server_name": "x",
        "expect": ["y"],
    }
    code, result = run(capsys, probes=[question], _ansible_check_mode=True)
    assert (code, result["failed"]) == (1, True)
    assert "kind" in result["msg"]
    assert "hunter2" not in json.dumps(result)
