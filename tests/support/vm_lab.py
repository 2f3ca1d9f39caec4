# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The machines with kernels of their own as the behaviour tests of the audit see them.

The role is run by Molecule. The tests run the same modules with the same options, started directly on the machine: a
play takes five times as long.
"""

from __future__ import annotations

import atexit
import json
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Dict, List

import ansible
import yaml

from ansible_collections.twinguard.hardening.plugins.module_utils._audit.watch.spec import (
    ARGUMENT_SPEC,
)

ROOT = Path(__file__).resolve().parents[2]
SCENARIO = ROOT / "molecule" / "model_audit_vm"
ROLE = ROOT / "roles" / "model_audit"
PREFIX = "model_audit_"
PLACE = "/opt/twinguard-test"  # where the modules lie on a machine
COLLECTION = "ansible_collections/twinguard/hardening"
SERVER = "module_server.py"
UNIT = "twinguard-test"
PORT = 9009
LOG = "/var/log/audit/audit.log"
# Only ends what hangs: on a busy machine an emulated processor may need minutes for what else takes seconds.
SECONDS = 900
# Each machine and the Python that it has.
RELEASES = {"molecule-12": "3.11", "molecule-13": "3.13"}
_numbers = count(1)


@dataclass
class Result:
    """What a module returned."""

    data: Dict[str, Any]

    @property
    def changed(self) -> bool:
        """Whether it changed something, or would."""
        return bool(self.data.get("changed"))

    @property
    def failed(self) -> bool:
        """Whether it failed."""
        return bool(self.data.get("failed"))

    @property
    def said(self) -> str:
        """Its sentence, and every reason it gave."""
        reasons = [f"{one['resource']}: {one['reason']}" for one in self.data.get("controls", [])]
        return "\n".join([str(self.data.get("msg", "")), *reasons])

    def control(self, name: str, about: str = "") -> Dict[str, Any]:
        """The finding of that id whose resource begins so; it must be the only one."""
        found = [
            one
            for one in self.data["controls"]
            if one["id"] == name and one["resource"].startswith(about)
        ]
        assert len(found) == 1, (name, about, self.data["controls"])
        return dict(found[0])

    def status(self, name: str, about: str = "") -> str:
        """The status of that finding."""
        return str(self.control(name, about)["status"])

    def open(self) -> List[str]:
        """The findings that are not passed, as "id resource: reason"."""
        return [
            f"{one['id']} {one['resource']}: {one['status']}: {one['reason']}"
            for one in self.data["controls"]
            if one["status"] != "pass"
        ]


class Machine:
    """One machine."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._brought = self._serving = False
        # One connection for all commands. Not below the checkout: the path of a socket must be short.
        self._control = tempfile.mkdtemp(prefix="tgvm-")
        atexit.register(shutil.rmtree, self._control, ignore_errors=True)

    def _ssh(self, *more: str, multiplexed: bool = True) -> List[str]:
        argv = ["ssh", "-F", str(ROOT / ".build" / "vm" / self.name / "ssh_config")]
        if multiplexed:
            argv += ["-o", "ControlMaster=auto", "-o", "ControlPersist=120"]
            argv += ["-o", f"ControlPath={self._control}/socket"]
        return [*argv, *more[:-1], "tgm-audit-vm", *more[-1:]]

    # --- commands

    def attempt(self, command: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """Run a shell command as root; it may fail."""
        return subprocess.run(
            self._ssh(f"set -eu\n{command}"),
            input=given,
            capture_output=True,
            check=False,
            timeout=SECONDS,
        )

    def sh(self, command: str, given: bytes = b"") -> str:
        """Run a shell command as root and return its output; a failure fails the test with what it said."""
        done = self.attempt(command, given)
        out, err = (text.decode("utf-8", "replace") for text in (done.stdout, done.stderr))
        assert done.returncode == 0, (
            f"{self.name}: {command!r} gave {done.returncode}: {out[-2000:]}{err[-2000:]}"
        )
        return out

    def wait(self, command: str, seconds: float = 300) -> None:
        """Wait until a shell command ends with 0; the waiting is done on the machine."""
        loop = f"for i in $(seq {int(seconds * 5)}); do ({command}) && exit 0; sleep 0.2; done"
        done = self.attempt(f"set +e; {loop}; ({command})")
        assert done.returncode == 0, (
            f"{self.name}: {command!r} did not come true: {done.stderr.decode()}"
        )

    def reboot(self) -> None:
        """Boot anew, and wait until all services have started."""
        before = self.sh("cat /proc/sys/kernel/random/boot_id")
        subprocess.run(self._ssh("systemctl reboot"), capture_output=True, check=False)
        self._serving = False
        subprocess.run(self._ssh("-O", "exit", ""), capture_output=True, check=False)
        deadline = time.monotonic() + SECONDS
        ask = self._ssh("cat /proc/sys/kernel/random/boot_id", multiplexed=False)
        while time.monotonic() < deadline:
            done = subprocess.run(ask, capture_output=True, check=False)
            if done.returncode == 0 and done.stdout.decode() != before:
                self.sh("systemctl is-system-running --wait || true")
                return
            time.sleep(1)
        raise AssertionError(f"{self.name} did not come back from its reboot")

    # --- modules

    def module(
        self, name: str, options: Dict[str, Any], check: bool = False, may_fail: bool = False
    ) -> Result:
        """Run a module of the collection; a failure fails the test unless it may fail."""
        self._serve()
        given = {**options, "_ansible_check_mode": check, "_ansible_diff": True}
        file = f"{PLACE}/arguments-{next(_numbers)}.json"
        link = f"exec 3<>/dev/tcp/127.0.0.1/{PORT}; echo {name} {file} >&3; cat <&3"
        text = self.sh(
            f"umask 077; cat > {file}; {link}", json.dumps({"ANSIBLE_MODULE_ARGS": given}).encode()
        ).strip()
        assert text.startswith("{"), f"{name} said {text}"
        result = Result(json.loads(text))
        assert may_fail or not result.failed, result.said
        return result

    def watch(self, check: bool = False, may_fail: bool = False, **changes: Any) -> Result:
        """Run audit_watch as the role does, with these changes to the options of the scenario."""
        return self.module("audit_watch", {**options(), **changes}, check, may_fail)

    def _serve(self) -> None:
        if self._serving:
            return
        if not self._brought:
            # An earlier run of the tests may have left its own.
            self.sh(
                f"systemctl stop {UNIT} 2>/dev/null || true; "
                f"rm -rf {PLACE}; mkdir -p -m 700 {PLACE}; tar -xz -C {PLACE}",
                packed(RELEASES[self.name]),
            )
            self._brought = True
        self.sh(
            f"systemd-run --quiet --collect --unit {UNIT} -E LC_ALL=C.UTF-8 "
            f"--working-directory {PLACE} python3 -E {PLACE}/{SERVER} {PORT}"
        )
        self.wait(f"(: >/dev/tcp/127.0.0.1/{PORT}) 2>/dev/null")
        self._serving = True

    # --- records

    def now(self) -> str:
        """The machine's time, in seconds."""
        return self.sh("date +%s.%N").strip()

    def events(self, since: str, **more: Any) -> List[Dict[str, Any]]:
        """The rows of audit_events_info since then, without those of canaries."""
        found = self.module("audit_events_info", {"since": since, **more}).data
        assert not found["truncated"]
        return [row for row in found["events"] if not row["canary"]]

    def recorded(self, command: str, **more: Any) -> List[Dict[str, Any]]:
        """Run a command and return what was recorded of it under our keys.

        Records come in the order of their calls: when a later one is there, no more of the command will come.
        """
        mark = f"/srv/models/end-{uuid.uuid4().hex}"
        # The records are waited for on the machine: each command over ssh costs as much as a run of the module.
        wait = f"n=0; until grep -q {mark} {LOG}; do [ $((n += 1)) -lt 1500 ]; sleep 0.2; done"
        since = self.sh(
            f"date +%s.%N; sleep 0.01; ({command}) >/dev/null; mkdir {mark}; {wait}; rmdir {mark}"
        ).split()[0]
        rows = self.events(since, **more)
        ends = [row["exe"] for row in rows if row["path"] == mark]
        assert ends in (["/usr/bin/mkdir"], ["/usr/bin/mkdir", "/usr/bin/rmdir"]), rows
        return [row for row in rows if row["path"] != mark]


def packed(version: str) -> bytes:
    """The modules and all that they need, as a compressed archive, for a machine with this Python."""
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        unwanted = shutil.ignore_patterns("__pycache__", "powershell", "csharp")
        core = Path(str(ansible.__file__)).parent / "module_utils"
        shutil.copytree(core, place / "ansible" / "module_utils", ignore=unwanted)
        # Empty, as Ansible itself has it on a host; core's own needs more of core.
        (place / "ansible" / "__init__.py").touch()
        for name in ("modules", "module_utils"):
            shutil.copytree(
                ROOT / "plugins" / name, place / COLLECTION / "plugins" / name, ignore=unwanted
            )
        shutil.copy2(ROOT / "tests" / "support" / SERVER, place)
        # Where this machine has the same Python, the bytecode goes along: to compile takes ten times as long there.
        own = "{}.{}".format(*sys.version_info)
        python = sys.executable if own == version else shutil.which(f"python{version}")
        if python:
            subprocess.run([python, "-E", SERVER], cwd=place, capture_output=True, check=False)
        archive = ["tar", "-cz", "-C", scratch, "."]
        return subprocess.run(archive, stdout=subprocess.PIPE, check=True).stdout


def _yaml(path: Path) -> Dict[str, Any]:
    return dict(yaml.safe_load(path.read_text(encoding="utf-8")))


def policy() -> List[Dict[str, Any]]:
    """The watches of the scenario."""
    return list(_yaml(SCENARIO / "policy.yml")["model_audit_watches"])


def options() -> Dict[str, Any]:
    """The options that the role gives to audit_watch in this scenario, from its own files."""
    given = {**_yaml(ROLE / "defaults" / "main.yml"), **_yaml(SCENARIO / "policy.yml")}
    profiles = _yaml(ROLE / "vars" / "main.yml")["__model_audit_profiles"]
    named = {name[len(PREFIX) :]: value for name, value in given.items()}
    auditd = {**profiles[named["profile"]], **named["auditd"]}
    # The others tell the role what to install and report, not the module what to do.
    ours = {name: value for name, value in named.items() if name in ARGUMENT_SPEC}
    return {**ours, "auditd": auditd}
