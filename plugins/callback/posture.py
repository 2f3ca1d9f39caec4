# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fleet report at the end of a run."""

from __future__ import annotations

DOCUMENTATION = r"""
name: posture
type: aggregate
short_description: Show the status of each control on each host
version_added: 0.1.0
author:
  - twinguard.hardening contributors (@twinguard)
description:
  - Collects the C(controls) that the modules of this collection return, and prints them as a table at the end.
  - For each host, control and resource the last report is shown. Hosts that could not be reached are listed.
  - The table holds what the tasks of this run found. With C(--check) that is what is in force, and nothing is changed.
requirements:
  - Enable it with E(ANSIBLE_CALLBACKS_ENABLED=twinguard.hardening.posture) or in C(ansible.cfg).
options:
  posture_json:
    description:
      - File on the controller for the same report as JSON. It is replaced as a whole and readable by its owner only.
      - Without it no file is written.
    type: path
    env:
      - name: TWINGUARD_POSTURE_JSON
    ini:
      - section: callback_posture
        key: posture_json
"""

import json
from datetime import datetime, timezone
from typing import Any

from ansible import constants
from ansible.plugins.callback import CallbackBase

from ..module_utils._files.transaction_io import FilesError, replace_file
from ..plugin_utils._report.posture import Posture

_COLORS = {
    "pass": "COLOR_OK",
    "fail": "COLOR_ERROR",
    "unknown": "COLOR_WARN",
    "not_applicable": "COLOR_SKIP",
}


class CallbackModule(CallbackBase):
    """Collects findings while the plays run, and prints them once."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "twinguard.hardening.posture"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self._posture = Posture()

    def v2_runner_on_ok(self, result: Any) -> None:
        """Collect; a loop arrives here as one result."""
        self._posture.add(result.host.get_name(), result.result)

    def v2_runner_on_failed(self, result: Any, **_options: Any) -> None:
        """Collect: a failed task returns the controls that are not in force."""
        self._posture.add(result.host.get_name(), result.result)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """Remember the host."""
        self._posture.lost(result.host.get_name())

    def v2_playbook_on_stats(self, _stats: Any) -> None:
        """Print the table and write the file."""
        lines = self._posture.lines()
        if lines:
            self._display.banner("POSTURE")
        for line in lines:
            color = getattr(constants, _COLORS[line.status]) if line.status else None
            self._display.display(line.text, color=color)
        path = self.get_option("posture_json")
        if path:
            self._write(path)

    def _write(self, path: str) -> None:
        document = self._posture.document(datetime.now(timezone.utc).isoformat(timespec="seconds"))
        content = json.dumps(document, indent=2, sort_keys=False, default=str) + "\n"
        try:
            replace_file(path, content.encode("utf-8", "backslashreplace"), 0o600)
        except FilesError as error:
            self._display.error(f"posture: the report could not be written: {error}")
