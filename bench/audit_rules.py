# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run of audit_watch that changes nothing costs on a host with 500 watches, beside one `auditctl -l`.

    python3 bench/audit_rules.py [WATCHES] [ROUNDS] [RELEASE]

Starts a machine with its own kernel (tools/vm.py restore bench-audit), arms the watches on it, and times in turn:
auditctl -l as a process of its own, and all that the module reads and plans until it knows that nothing is to be done.
The machine is thrown away. It has no help of the hardware, so read the ratio and not the seconds.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from typing import Any, Callable

NAME = "bench-audit"
LIBRARY = "/root/bench"
COLLECTION = "ansible_collections/twinguard/hardening"
ON_HOST = "--on-host"


def on_host(watches: int, rounds: int) -> dict[str, Any]:
    """All measurements; runs on the machine."""
    # Here, because only the machine has them in its path.
    from ansible_collections.twinguard.hardening.plugins.module_utils._audit.watch import (  # noqa: PLC0415
        observe_io as audit_observe_io,
    )
    from ansible_collections.twinguard.hardening.plugins.module_utils._audit.watch import (  # noqa: PLC0415
        prove_io as audit_prove_io,
    )

    started: list[str] = []

    counting = False

    def count(event: str, arguments: Any) -> None:
        if counting and event == "subprocess.Popen":
            started.append(str(arguments[0]))

    sys.addaudithook(count)

    for number in range(watches):
        os.makedirs(f"/srv/models/m{number:04}", exist_ok=True)
    params = {
        "watches": [
            {
                "path": f"/srv/models/m{number:04}",
                "recursive": True,
                "permissions": "rwa",
                "key": "twinguard_models",
                "allowed_readers": [],
            }
            for number in range(watches)
        ],
        "rules_file": "/etc/audit/rules.d/zz-twinguard.rules",
        "auditd": {},
        "backlog_limit": None,
        "immutable": None,
        "rearm": False,
        "block_io_uring": None,
        "manage_service": True,
        "canary": False,
        "canary_timeout": 10,
    }

    def read_and_plan() -> bool:
        nonlocal counting
        counting = True
        host = audit_observe_io.Host(params)
        changed = bool(host.plan(host.observe()).plan.changed)
        counting = False
        return changed

    def listed() -> int:
        return subprocess.run(["auditctl", "-l"], stdout=subprocess.DEVNULL, check=True).returncode

    def python() -> int:
        return subprocess.run([sys.executable, "-c", "pass"], check=True).returncode

    begun = time.monotonic()
    audit_prove_io.enforce(audit_observe_io.Host(params), check=False)
    first = time.monotonic() - begun
    changed = read_and_plan()
    started.clear()
    plans, lists, starts = [], [], []
    for _round in range(rounds):
        plans.append(timed(read_and_plan))
        lists.append(timed(listed))
        starts.append(timed(python))
    text = subprocess.run(["auditctl", "-l"], capture_output=True, text=True, check=True).stdout
    return {
        "kernel": os.uname().release,
        "rules": len(text.splitlines()),
        "changed": changed,
        "first": first,
        "plans": plans,
        "lists": lists,
        "starts": starts,
        "processes": len(started) / rounds,
    }


def timed(work: Callable[[], object]) -> float:
    begun = time.monotonic()
    work()
    return time.monotonic() - begun


def shown(found: dict[str, Any], watches: int) -> str:
    """The measurements as a table."""
    plan, listed, start = (statistics.median(found[name]) for name in ("plans", "lists", "starts"))
    span = {name: f"{min(found[name]):.2f}..{max(found[name]):.2f}" for name in ("plans", "lists")}
    return "\n".join(
        [
            f"{watches} watches, {found['rules']} rules, kernel {found['kernel']}, load {os.getloadavg()[0]:.1f}",
            f"auditctl -l                     {listed:6.2f} s  ({span['lists']})",
            f"start of a Python process       {start:6.2f} s",
            f"read and plan, nothing to do    {plan:6.2f} s  ({span['plans']})",
            f"to auditctl -l                  {plan / listed:6.2f}",
            f"to auditctl -l and a start      {plan / (listed + start):6.2f}",
            f"processes started by it         {found['processes']:6.1f}",
            f"first run, which arms them all  {found['first']:6.2f} s",
        ]
        + (["NOT STEADY: there was still something to do"] if found["changed"] else [])
    )


def measured(root: str, watches: int, rounds: int, release: str) -> dict[str, Any]:
    """The measurements of a fresh machine."""
    tool = [sys.executable, os.path.join(root, "tools", "vm.py")]
    config = os.path.join(root, ".build", "vm", NAME, "ssh_config")
    ssh = ["ssh", "-F", config, "tgm-audit-vm"]
    utils = "plugins/module_utils"
    subprocess.run([*tool, "restore", NAME, "--release", release], check=True, stdout=sys.stderr)
    try:
        archive = subprocess.run(
            ["tar", "-C", root, "-cf", "-", "--exclude=__pycache__", utils, "bench/audit_rules.py"],
            capture_output=True,
            check=True,
        ).stdout
        place = f"{LIBRARY}/{COLLECTION}"
        unpack = f"mkdir -p {place} && tar -C {place} -xf -"
        subprocess.run([*ssh, unpack], input=archive, check=True)
        command = f"PYTHONPATH={LIBRARY} python3 {place}/bench/audit_rules.py {watches} {rounds} {ON_HOST}"
        done = subprocess.run([*ssh, command], stdout=subprocess.PIPE, check=True)
        return dict(json.loads(done.stdout))
    finally:
        subprocess.run([*tool, "down", NAME], check=True, stdout=sys.stderr)


def main(argv: list[str]) -> None:
    watches = int(argv[0]) if argv else 500
    rounds = int(argv[1]) if len(argv) > 1 else 7
    third = argv[2] if len(argv) > 2 else "12"
    if third == ON_HOST:
        print(json.dumps(on_host(watches, rounds)))
        return
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    print(shown(measured(root, watches, rounds, third), watches))


if __name__ == "__main__":
    main(sys.argv[1:])
