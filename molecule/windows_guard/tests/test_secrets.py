# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The password of a host stays where it belongs: no run shows it in its output, processes or files, however it ends.

On the host there is nothing to find it in: it travels in the login only, and what runs there never gets it.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from conftest import HOSTS, SCENARIO, SECRET, change, folder, lab, world

CLOSING = {"action": "remove", "direction": "inbound", "profiles": ["private"]}
OUTCOMES: dict[str, tuple[dict[str, Any], list[str], int]] = {
    "nothing to do": ({}, [], 0),
    "something changed": ({}, ["--diff"], 0),
    "something would be changed": ({}, ["--check", "--diff"], 0),
    "refused: a lockout": ({"rules": [], "unmanaged": CLOSING}, ["--diff"], 2),
    "refused: bad input": ({"rules": [{"name": "*"}]}, [], 2),
    "refused: a value that is none": ({"defender": {"cloud_reporting": "Adv"}}, [], 2),
    "did not stick": ({"defender": {"network_protection": "enabled"}}, [], 2),
}


def forms() -> list[str]:
    login = base64.b64encode(f"automation:{SECRET}".encode()).decode()
    return [*lab.forms_of(SECRET), login]


@pytest.mark.parametrize("verbosity", ["-vvvv"])
@pytest.mark.parametrize("name", list(OUTCOMES))
def test_no_run_shows_the_password(
    restored: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, verbosity: str
) -> None:
    changes, arguments, code = OUTCOMES[name]
    for host in HOSTS:
        state = world(host)
        if "changed" in name:
            state["defender"]["preferences"]["MAPSReporting"] = 0
        state["switches"]["ignored_preferences"] = ["EnableNetworkProtection"]
        change(host, state)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    with lab.watched(forms(), ""):
        run = lab.play(
            SCENARIO / "converge.yml",
            {f"windows_guard_{option}": value for option, value in changes.items()},
            *arguments,
            verbosity,
            callback="ansible.builtin.default",
            environment={"ANSIBLE_INJECT_INVOCATION": "1"},
        )
    assert run.code == code, run.story()
    lab.expect_hidden(run.stdout + run.stderr, forms(), f"output with {verbosity}")
    assert lab.left_in(tmp_path, forms()) == []
    assert lab.left_in(lab.ROOT / ".build" / "ansible", forms()) == []
    for host in HOSTS:
        # Its own configuration is where the simulated host keeps its accounts.
        assert lab.left_in(folder(host), forms()) == [str(folder(host) / "config.json")]


def test_a_wrong_password_is_not_shown_either(tmp_path: Path) -> None:
    wrong = secrets.token_urlsafe(30)
    run = lab.play(
        SCENARIO / "converge.yml",
        {"ansible_password": wrong},
        "-vvvv",
        callback="ansible.builtin.default",
    )
    assert run.code == 4, run.story()
    assert "credentials were rejected" in run.stdout + run.stderr
    lab.expect_hidden(run.stdout + run.stderr, lab.forms_of(wrong), "output")


def test_the_watch_would_see_a_password_in_a_command_line() -> None:
    """What it does not find is worth something only if it would."""
    secret = secrets.token_urlsafe(30)
    shown = subprocess.Popen(["sh", "-c", "sleep 5; :", secret], env=dict(os.environ))
    try:
        report = lab.Helper("", "secret_watch.py", [secret], "processes").result()
    finally:
        shown.kill()
        shown.wait()
    assert report["found"], json.dumps(report)
