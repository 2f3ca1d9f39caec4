# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets stay where they belong: no run shows one in its output, its processes or its files, however it ends.

What the journal of a host gets to see is tested in bucket_guard_stores, on a host that has one.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from conftest import HOST, SCENARIO, lab

INVOCATION = {"ANSIBLE_INJECT_INVOCATION": "1"}
ROLE = "arn:aws:iam::123456789012:role/guard"


def outcomes(secret: dict[str, str]) -> dict[str, tuple[dict[str, Any], list[str], int]]:
    """What is changed in the policy, the arguments and the wanted exit code, by the name of the outcome."""
    return {
        "nothing to do": ({}, [], 0),
        "a bucket changed": ({}, ["--diff"], 0),
        "a bucket would be changed": ({}, ["--check", "--diff"], 0),
        "a role assumed": ({"assume_role_arn": ROLE}, [], 0),
        "a bucket is missing": ({"buckets": ["twin-nowhere"]}, ["--diff"], 2),
        "the store is down": ({"endpoint_url": "http://127.0.0.1:9"}, [], 2),
        "refused: a value that is none": ({"policy": {"versioning": "maybe"}}, [], 2),
        "refused: keys beside a profile": ({"profile": "none"}, [], 2),
        "a secret that is no string": ({"secret_key": {"is": [secret["secret_key"]]}}, [], 0),
        "refused: the secret misplaced": ({"policy": {"secret": secret["secret_key"]}}, [], 2),
    }


@pytest.mark.parametrize(
    ("name", "verbosity"),
    [
        ("nothing to do", "-vvvv"),
        ("a bucket changed", ""),
        ("a bucket changed", "-vvvv"),
        ("a bucket would be changed", "-vvv"),
        ("a role assumed", "-vvvv"),
        ("a bucket is missing", "-vvvv"),
        ("the store is down", "-vvvv"),
        ("refused: a value that is none", "-vvvv"),
        ("refused: keys beside a profile", "-vvvv"),
        ("a secret that is no string", "-vvvv"),
        ("refused: the secret misplaced", "-vvvv"),
    ],
)
def test_no_run_shows_a_secret(
    s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, verbosity: str
) -> None:
    options = ("secret_key", "session_token", "assume_role_external_id")
    given = {option: secrets.token_urlsafe(30) for option in options}
    forms = [form for secret in given.values() for form in lab.forms_of(secret)]
    changes, arguments, code = outcomes(given)[name]
    if name.startswith("a bucket "):
        s3.delete_bucket_policy(Bucket="twin-telemetry")
    variables = {f"bucket_guard_{option}": value for option, value in {**given, **changes}.items()}
    # What is written while it runs is written here; and the newest Ansible shows a module's arguments only if asked.
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    with lab.watched(forms, ""):
        run = lab.play(
            SCENARIO / "converge.yml",
            variables,
            *arguments,
            *([verbosity] if verbosity else []),
            callback="ansible.builtin.default",
            environment=INVOCATION,
        )
    assert run.code == code, run.story()
    if code == 0 and verbosity:
        assert '"module_args": {' in run.stdout
    lab.expect_hidden(run.stdout + run.stderr, forms, f"output with {verbosity}")
    assert lab.left_in(tmp_path, forms) == []
    assert lab.left_in(lab.ROOT / ".build" / "ansible", forms) == []


@pytest.mark.parametrize("playbook", ["converge.yml", "report.yml"])
def test_the_result_of_a_run_holds_no_secret(s3: Any, playbook: str) -> None:
    s3.delete_bucket_policy(Bucket="twin-telemetry")
    given = {"secret_key": secrets.token_urlsafe(30), "session_token": secrets.token_urlsafe(30)}
    variables = {f"bucket_guard_{option}": value for option, value in given.items()}
    run = lab.play(SCENARIO / playbook, variables, "--diff", environment=INVOCATION)
    run.expect_success()
    assert any("controls" in one for one in run.results[HOST])
    forms = [form for secret in given.values() for form in lab.forms_of(secret)]
    lab.expect_hidden(json.dumps(run.results), forms, "JSON report")


def test_the_watch_sees_a_secret_in_a_command_line_and_in_an_environment() -> None:
    """What it does not find is worth something only if it would."""
    for where in ("cmdline", "environ"):
        secret = secrets.token_urlsafe(30)
        words = ["sleep 5; :", secret] if where == "cmdline" else ["sleep 5; :"]
        env = {**os.environ, "GIVEN": secret} if where == "environ" else None
        shown = subprocess.Popen(["sh", "-c", *words], env=env)
        try:
            report = lab.Helper("", "secret_watch.py", [secret], "processes").result()
        finally:
            shown.kill()
            shown.wait()
        assert [one for one in report["found"] if one.startswith(where)], report
