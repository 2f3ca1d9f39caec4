# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a module in this process and gives its result."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args


def run(capsys: pytest.CaptureFixture[str], module: Any, **args: Any) -> dict[str, Any]:
    """The result of the module, with `rc`."""
    with patch_module_args(args), pytest.raises(SystemExit) as ended:
        module.main()
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    return {**result, "rc": int(str(ended.value.code))}


def statuses(result: dict[str, Any], bucket: str) -> dict[str, str]:
    """The status of each control of a bucket."""
    return {one["id"]: one["status"] for one in result["controls"] if one["resource"] == bucket}


def reason(result: dict[str, Any], bucket: str, control: str) -> str:
    """Why a control stands as it does."""
    (found,) = [
        one["reason"]
        for one in result["controls"]
        if (one["resource"], one["id"]) == (bucket, control)
    ]
    return str(found)
