# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run win_guard by a real ansible-playbook against a loopback host, and what the tests of it share."""

from __future__ import annotations

import atexit
import copy
import functools
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.twinguard.hardening.tests.support.forks import ANSIBLE as LOADED
from ansible_collections.twinguard.hardening.tests.support.forks import Forks, Run
from ansible_collections.twinguard.hardening.tests.windows.winrm_server import Record, Server

ROOT = Path(__file__).resolve().parents[2]
JSON = "ansible.posix.json"
USER, PASSWORD = "automation", "Wärme-und-Kälte-4711"
CONTROLLER, COLLEAGUE, VPN, STRANGER = "192.168.9.9", "192.168.9.8", "192.168.1.77", "203.0.113.5"
JUPYTER = {
    "name": "Jupyter from the VPN",
    "protocol": "tcp",
    "local_ports": ["8888"],
    "remote_addresses": ["192.168.1.0/24"],
}
ANSIBLE = {
    "name": "Ansible",
    "protocol": "tcp",
    "local_ports": ["5985"],
    "remote_addresses": [CONTROLLER],
}
POLICY: dict[str, Any] = {
    "profiles": {"all": {"enabled": True, "default_inbound": "block"}},
    "rules": [JUPYTER, ANSIBLE],
    "defender": {
        "real_time_protection": True,
        "cloud_reporting": "advanced",
        "sample_submission": "send_safe",
    },
    "controller_addresses": [CONTROLLER],
    "management_port": 5985,
}
"""What the user asked for, and the way in for Ansible."""

WINRM = {
    "DisplayName": "Windows Remote Management (HTTP-In)",
    "Group": "@FirewallAPI.dll,-30267",
    "Protocol": "TCP",
    "LocalPort": ["5985"],
    "Program": "System",
}


def careless() -> dict[str, Any]:
    """The world of a host as nobody should leave it, with somebody else connected as well."""
    open_ = {"Enabled": "False", "DefaultInboundAction": "Allow"}
    return {
        "profiles": {name: dict(open_) for name in ("Domain", "Private", "Public")},
        "rules": {"WINRM-HTTP-In": copy.deepcopy(WINRM)},
        "connections": [
            {
                "LocalAddress": "192.168.1.20",
                "LocalPort": 5985,
                "RemoteAddress": peer,
                "RemotePort": 50000,
                "State": "Established",
            }
            for peer in (CONTROLLER, COLLEAGUE)
        ],
        "addresses": [
            {
                "IPAddress": "192.168.1.20",
                "PrefixLength": 24,
                "InterfaceIndex": 7,
                "InterfaceAlias": "Ethernet",
            }
        ],
        "networks": [
            {
                "InterfaceIndex": 7,
                "InterfaceAlias": "Ethernet",
                "Name": "plant",
                "NetworkCategory": "Private",
            }
        ],
        "defender": {
            "preferences": {
                "DisableRealtimeMonitoring": True,
                "MAPSReporting": 0,
                "SubmitSamplesConsent": 0,
            }
        },
    }


@dataclass
class Played:
    """One run: exit code, the result of its only task, what was printed, and what went over the wire."""

    code: int
    result: dict[str, Any]
    output: str
    requests: list[Record] = field(default_factory=list)

    @property
    def actions(self) -> list[str]:
        """The requests by name, without those of the login."""
        return [one.action for one in self.requests if one.action != "Handshake"]

    @property
    def status(self) -> dict[str, str]:
        """Status of each control by id and resource."""
        return {
            f"{one['id'][8:]} {one['resource']}": one["status"] for one in self.result["controls"]
        }

    def reason(self, resource: str) -> str:
        """Why a control has its status."""
        (only,) = [one for one in self.result["controls"] if one["resource"] == resource]
        return str(only["reason"])


def variables(server: Server, **more: Any) -> dict[str, Any]:
    """How to reach the server, by Basic over HTTP unless told otherwise."""
    return {
        "ansible_host": "127.0.0.1",
        "ansible_port": server.port,
        "ansible_connection": "winrm",
        "ansible_winrm_scheme": "http",
        "ansible_winrm_transport": "basic",
        "ansible_user": USER,
        "ansible_password": PASSWORD,
        # A busy machine takes its time; a Receive that is asked again would be one more request.
        "ansible_winrm_operation_timeout_sec": 60,
        "ansible_winrm_read_timeout_sec": 90,
        **more,
    }


def _environment(callback: str) -> dict[str, str]:
    """Nothing that the caller set for his own Ansible, and this checkout as a collection."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")}
    return {
        **kept,
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".build" / "collections"),
        "ANSIBLE_HOME": str(ROOT / ".build" / "ansible"),
        "ANSIBLE_STDOUT_CALLBACK": callback,
        "ANSIBLE_NOCOLOR": "1",
    }


@functools.lru_cache(maxsize=None)
def _forks() -> Forks:
    made = Forks(LOADED, _environment(JSON))
    atexit.register(made.end)
    return made


def _run(words: list[str], folder: Path, callback: str, environment: dict[str, str]) -> Run:
    """Run ansible-playbook; with settings of its own it is started anew."""
    if callback == JSON and not environment:
        return _forks().run("ansible.cli.playbook", *words, cwd=folder)
    done = subprocess.run(
        [str(Path(sys.executable).parent / "ansible-playbook"), *words],
        env={**_environment(callback), **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    return Run(done.returncode, done.stdout, done.stderr)


def play(
    server: Server,
    options: dict[str, Any],
    *arguments: str,
    host: dict[str, Any] | None = None,
    module: str = "twinguard.hardening.win_guard",
    environment: dict[str, str] | None = None,
    callback: str = JSON,
) -> Played:
    """Run one task on the server's host."""
    before = len(server.requests)
    with tempfile.TemporaryDirectory() as folder:
        inventory, playbook = Path(folder, "hosts.json"), Path(folder, "play.json")
        hosts = {"win": variables(server, **(host or {}))}
        inventory.write_text(json.dumps({"all": {"hosts": hosts}}), "utf-8")
        task = {"name": "Guard", module: options}
        playbook.write_text(
            json.dumps([{"hosts": "win", "gather_facts": False, "tasks": [task]}]), "utf-8"
        )
        words = ["-i", str(inventory), str(playbook), *arguments]
        done = _run(words, Path(folder), callback, environment or {})
    result: dict[str, Any] = {}
    start = done.stdout.find("{\n")
    if callback == JSON and start >= 0:
        report, _end = json.JSONDecoder().raw_decode(done.stdout[start:])
        for task_ in report["plays"][0]["tasks"] if report["plays"] else []:
            result = task_["hosts"].get("win", result)
    return Played(
        done.returncode, result, done.stdout + done.stderr, list(server.requests[before:])
    )
