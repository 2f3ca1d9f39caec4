# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The callback in real runs of ansible-playbook."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import ansible
import pytest

PLAYBOOK = """
- hosts: all
  gather_facts: false
  tasks:
    - name: Findings in a loop, one of them failed
      report:
        status: "{{ item }}"
      loop: [pass, fail]
      ignore_errors: true
"""

MODULE = """#!/usr/bin/python
from ansible.module_utils.basic import AnsibleModule
from ansible_collections.twinguard.hardening.plugins.module_utils._core.controls import finding

module = AnsibleModule({"status": {"type": "str"}})
status = module.params["status"]
found = finding("gateway.tls", "port-" + status, status, "because")
if status == "fail":
    module.fail_json(msg="TLS is not in force", controls=[found])
module.exit_json(controls=[found])
"""

INVENTORY = """
[all]
here ansible_connection=local
gone ansible_connection=ssh ansible_host=127.0.0.1 ansible_port=1 ansible_ssh_common_args='-o ConnectTimeout=2'

[all:vars]
ansible_python_interpreter={python}
"""


def collections_path() -> str:
    """Where this checkout is visible as a collection."""
    for entry in sys.path:
        if Path(entry, "ansible_collections", "twinguard", "hardening", "plugins").is_dir():
            return entry
    pytest.fail("the collection is not on sys.path")


def play(tmp_path: Path, **environment: str) -> str:
    """Run the playbook; its output."""
    (tmp_path / "library").mkdir(exist_ok=True)
    (tmp_path / "library" / "report.py").write_text(MODULE)
    (tmp_path / "play.yml").write_text(PLAYBOOK)
    (tmp_path / "hosts").write_text(INVENTORY.format(python=sys.executable))
    command = [sys.executable, "-m", "ansible.cli.playbook", "-i", "hosts", "play.yml"]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "LC_ALL": "C.UTF-8",
            # ansible-test has ansible-core on its path and not in its environment.
            "PYTHONPATH": str(Path(ansible.__file__).parents[1]),
            "ANSIBLE_COLLECTIONS_PATH": collections_path(),
            "ANSIBLE_NOCOLOR": "1",
            **environment,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert "PLAY RECAP" in done.stdout, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_a_run_ends_with_the_table_and_the_file_says_the_same(tmp_path: Path) -> None:
    target = tmp_path / "posture.json"
    output = play(
        tmp_path,
        ANSIBLE_CALLBACKS_ENABLED="twinguard.hardening.posture",
        TWINGUARD_POSTURE_JSON=str(target),
    )
    table = output[output.index("POSTURE") :].splitlines()
    assert "here | gateway.tls | port-fail | fail   | because" in table
    assert "here | gateway.tls | port-pass | pass   | because" in table
    assert "controls: 0 not_applicable, 1 pass, 0 unknown, 1 fail" in table
    assert any(line.startswith("gone: not reached in this run") for line in table)
    document = json.loads(target.read_text())
    assert [found["status"] for found in document["hosts"]["here"]] == ["fail", "pass"]
    assert document["unreachable"] == ["gone"]
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert sorted(os.listdir(tmp_path)) == [
        ".ansible",
        "hosts",
        "library",
        "play.yml",
        "posture.json",
    ]


def test_a_file_that_cannot_be_written_is_told_and_the_table_is_there(tmp_path: Path) -> None:
    output = play(
        tmp_path,
        ANSIBLE_CALLBACKS_ENABLED="twinguard.hardening.posture",
        TWINGUARD_POSTURE_JSON=str(tmp_path / "no" / "posture.json"),
    )
    assert "here | gateway.tls" in output
    assert "No such file or directory (ENOENT)" in " ".join(output.split())


def test_without_being_enabled_it_says_nothing(tmp_path: Path) -> None:
    assert "POSTURE" not in play(tmp_path)
