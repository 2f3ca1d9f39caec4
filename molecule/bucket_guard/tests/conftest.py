# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of the bucket guard share."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Any, Dict, Iterator

import boto3
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "tests" / "support"))

import lab
from role_task import RoleTask

SCENARIO = lab.ROOT / "molecule" / "bucket_guard"
HOST = "tgm-buckets"
SECRET = "test-secret-of-molecule"


def port() -> int:
    """The port of the store; the inventory computes the same."""
    own = lab.container_of("").lstrip("-")
    return 20000 + int(hashlib.sha256(own.encode()).hexdigest()[:6], 16) % 20000


def converge(*arguments: str, **changes: Any) -> lab.Run:
    """Run the role with the policy of the scenario and these changes to it."""
    variables = {f"bucket_guard_{name}": value for name, value in changes.items()}
    done = lab.play(SCENARIO / "converge.yml", variables, *arguments)
    lab.expect_hidden(done.stdout + done.stderr, lab.forms_of(SECRET), "output of a play")
    return done


def apply(check: bool = False, **changes: Any) -> lab.Run:
    """Have the policy with these changes put in force, or foreseen in check mode, without a play."""
    variables = {f"bucket_guard_{name}": value for name, value in changes.items()}
    store = {"bucket_store_port": port()}
    task = RoleTask(
        "bucket_guard", "bucket_guard", "s3_guard", "bucket_guards", inventory=store, here=True
    )
    done = task.run([HOST], check, **variables)
    lab.expect_hidden(done.stdout, lab.forms_of(SECRET), "result of the task")
    return done


def result(run: lab.Run) -> Dict[str, Any]:
    """What the module said."""
    (only,) = [one for one in run.results[HOST] if "controls" in one]
    return only


def failing(run: lab.Run) -> Dict[str, str]:
    """The controls of this run that fail, and why."""
    return {
        f"{one['resource']} {one['id']}": one["reason"]
        for one in result(run)["controls"]
        if one["status"] in ("fail", "unknown")
    }


@pytest.fixture
def s3() -> Any:
    """A plain client of the store."""
    return boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{port()}",
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


@pytest.fixture
def restored() -> Iterator[None]:
    """Puts the policy of the scenario back after a test that changes the buckets."""
    yield
    apply().expect_success()
