# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of the Windows guard share."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Dict, Iterator, List

import pytest

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests" / "support"))
sys.path.insert(0, str(ROOT / "tests" / "windows"))

import lab

SCENARIO = lab.ROOT / "molecule" / "windows_guard"
HOSTS = ["tgm-win-basic", "tgm-win-ntlm", "tgm-win-tls"]
SECRET = "test-secret-of-windows"


def folder(host: str) -> Path:
    """Where a host keeps its world; the inventory computes the same."""
    return lab.ROOT / ".build" / "molecule" / lab.container_of(host)


def world(host: str) -> Dict[str, Any]:
    """The state of a host."""
    loaded: Dict[str, Any] = json.loads((folder(host) / "world.json").read_text("utf-8"))
    return loaded


def change(host: str, state: Dict[str, Any]) -> None:
    """Somebody does something to a host."""
    staged = folder(host) / "world.json.new"
    staged.write_text(json.dumps(state), "utf-8")
    staged.replace(folder(host) / "world.json")


def wire(host: str) -> List[Dict[str, Any]]:
    """The requests that a host has got so far."""
    lines = (folder(host) / "wire.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def converge(*arguments: str, **changes: Any) -> lab.Run:
    """Run the role with the policy of the scenario and these changes to it."""
    variables = {f"windows_guard_{name}": value for name, value in changes.items()}
    done = lab.play(SCENARIO / "converge.yml", variables, *arguments)
    lab.expect_hidden(done.stdout + done.stderr, lab.forms_of(SECRET), "output of a play")
    return done


def result(run: lab.Run, host: str) -> Dict[str, Any]:
    """What the module said of a host."""
    (only,) = [one for one in run.results[host] if "controls" in one]
    return only


def failing(run: lab.Run, host: str) -> Dict[str, str]:
    """The controls of a host that fail or are unknown, and why."""
    return {
        f"{one['id'][8:]} {one['resource']}": one["reason"]
        for one in result(run, host)["controls"]
        if one["status"] in ("fail", "unknown")
    }


@pytest.fixture
def restored() -> Iterator[None]:
    """Puts the hosts back after a test that changes them."""
    kept = {host: world(host) for host in HOSTS}
    yield
    for host, state in kept.items():
        change(host, state)
