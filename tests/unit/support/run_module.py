# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a module in this process, as Ansible would call it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args

Result = tuple[int, dict[str, Any]]


def run_module(capsys: pytest.CaptureFixture[str], main: Callable[[], None], **args: Any) -> Result:
    """The exit code and the result of a module's `main`."""
    with patch_module_args(args), pytest.raises(SystemExit) as ended:
        main()
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    return int(str(ended.value.code)), result


def assert_one_sentence(found: Result, words: str) -> None:
    """The module has failed with a message of one line that contains these words."""
    code, result = found
    assert (code, result["failed"]) == (1, True)
    assert words in result["msg"]
    assert "\n" not in result["msg"]
