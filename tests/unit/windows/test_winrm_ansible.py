# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The WinRM server of the tests, spoken to by ansible-core's own `winrm` connection plugin."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Mapping

import pytest

from ansible_collections.twinguard.hardening.tests.support.forks import ANSIBLE, Forks
from ansible_collections.twinguard.hardening.tests.windows.tls import self_signed
from ansible_collections.twinguard.hardening.tests.windows.winrm_server import (
    CUT_BEFORE,
    OPERATION_TIMEOUT,
    QUOTA,
    Answer,
    Answering,
    Disturbance,
    Server,
)

USERS = {"tester": "geheim"}


def script_of(line: str) -> str:
    """What `powershell -EncodedCommand` was given."""
    return base64.b64decode(line.split(" -EncodedCommand ")[1].split(maxsplit=1)[0]).decode(
        "utf-16-le"
    )


def powershell(line: str, stdin: bytes, _environment: Mapping[str, str]) -> Answer:
    """Show a script that came in the command line; to a module, which comes as input, answer like win_ping."""
    if not stdin:
        return Answer(3, f"größe: {script_of(line)}".encode(), b"no host")
    assert b"exec_wrapper" in stdin
    return Answer(0, json.dumps({"changed": False, "ping": f"{len(stdin)} bytes"}).encode())


@pytest.fixture(scope="module")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    home = tmp_path_factory.mktemp("home")
    made = Forks(
        ANSIBLE,
        {
            **{name: value for name, value in os.environ.items() if "proxy" not in name.lower()},
            "ANSIBLE_HOME": str(home / "ansible"),
            "ANSIBLE_NOCOLOR": "1",
            "HOME": str(home),
        },
    )
    yield made
    made.end()


def ansible(
    forks: Forks, tmp_path: Path, server: Server, module: str, arguments: str = "", **variables: Any
) -> tuple[int, dict[str, Any], str]:
    """Run one module; return the exit code, the result and everything that was printed."""
    host = {
        "ansible_connection": "winrm",
        "ansible_host": "127.0.0.1",
        "ansible_port": server.port,
        "ansible_user": "tester",
        "ansible_password": "geheim",
        "ansible_winrm_scheme": server.url.partition(":")[0],
        "ansible_winrm_transport": "basic",
        **variables,
    }
    inventory = tmp_path / "inventory.json"
    inventory.write_text(json.dumps({"all": {"hosts": {"win": host}}}), encoding="utf-8")
    words = ["win", "-i", str(inventory), "-m", module, "-a", arguments]
    run = forks.run("ansible.cli.adhoc", *words, cwd=tmp_path)
    _head, _arrow, text = run.stdout.partition("=> ")
    result = json.loads(text) if text.startswith("{") else {}
    return run.returncode, result, run.stdout + run.stderr


@pytest.mark.parametrize("transport", ["basic", "ntlm"])
@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
def test_raw_runs_over_each_scheme(
    forks: Forks, tmp_path: Path, transport: str, secure: bool
) -> None:
    tls = self_signed(tmp_path)
    variables = {
        "ansible_winrm_transport": transport,
        "ansible_winrm_ca_trust_path": str(tls.certificate),
    }
    with Server(Answering(powershell), USERS, tls=tls if secure else None) as server:
        code, _result, printed = ansible(forks, tmp_path, server, "raw", "Get-Größe", **variables)
    assert code == 2
    assert "rc=3" in printed
    assert "größe: Get-Größe" in printed
    assert "no host" in printed


def test_a_module_comes_as_input_and_its_answer_is_read(forks: Forks, tmp_path: Path) -> None:
    with Server(Answering(powershell), USERS) as server:
        code, result, printed = ansible(forks, tmp_path, server, "ansible.windows.win_ping")
    assert (code, result.get("changed")) == (0, False), printed
    assert result["ping"].endswith(" bytes")
    actions = [each.action for each in server.requests]
    assert actions == ["Create", "Command", "Send", "Receive", "Signal", "Delete"]


def test_a_wrong_password_makes_the_host_unreachable(forks: Forks, tmp_path: Path) -> None:
    with Server(Answering(powershell), USERS) as server:
        code, _result, printed = ansible(
            forks, tmp_path, server, "raw", "x", ansible_password="falsch"
        )
    assert code == 4
    assert "the specified credentials were rejected by the server" in printed


@pytest.mark.parametrize(
    ("action", "disturbance", "status", "creates"),
    [
        # The plugin makes a new shell for a new count of operations.
        ("Command", QUOTA, 0, 2),
        # It asks again.
        ("Receive", OPERATION_TIMEOUT, 0, 1),
        # It cannot know whether the command was started. The task fails; the host does not count as unreachable.
        ("Command", CUT_BEFORE, 2, 1),
    ],
    ids=["quota", "timeout", "cut"],
)
def test_the_plugin_meets_a_disturbance(
    forks: Forks, tmp_path: Path, action: str, disturbance: Disturbance, status: int, creates: int
) -> None:
    with Server(Answering(powershell), USERS) as server:
        server.hook = lambda request: (
            disturbance if (request.action, request.nth) == (action, 1) else None
        )
        code, _result, printed = ansible(forks, tmp_path, server, "ansible.windows.win_ping")
    assert code == status, printed
    assert [each.action for each in server.requests].count("Create") == creates
