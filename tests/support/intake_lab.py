# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sender and the receivers in behaviour tests: run the role, seal, upload by plain clients, read results."""

from __future__ import annotations

import json
import time
from typing import Any, Dict, List, Optional, Tuple

import lab
from role_task import RoleTask, run_module

SCENARIO = lab.ROOT / "molecule" / "data_intake"
RECEIVERS = ("tgm-intake-12", "tgm-intake-13")
SENDER = "tgm-intake-sender"
ACCOUNT = "intake-plant-a"
BASE = "/srv/twinguard-intake"
DROP = f"{BASE}/zones/{ACCOUNT}/drop"
LOG = "/var/log/twinguard-intake/batches.jsonl"
RECEIVING = RoleTask("data_intake", "data_intake", "intake_zone", "intake_receivers", "receive.yml")
WAIT = 60.0  # seconds for a service on a busy machine

# Seals by the installed program, into a directory of the test's own, as often as it is asked.
_SEAL = """
import json, sys, time
sys.path.insert(0, "/usr/local/lib/twinguard/send")
from ansible_collections.twinguard.hardening.plugins.module_utils._batch.seal_io import seal
from ansible_collections.twinguard.hardening.plugins.module_utils._batch.types import SealOptions
from ansible_collections.twinguard.hardening.plugins.module_utils._host.run_io import run
given = json.load(sys.stdin)
options = SealOptions(
    sources=(given["source"],), outbox="/root/out", state_dir="/root/seal-state-" + given["receiver"],
    sender="plant-a", signing_key=given["signing_key"], force=True,
    recipients=("/etc/twinguard/sender/to-%s/recipient-0.pem" % given["receiver"],),
)
print(seal(options, int(time.time()), run).batch)
"""


def converge(*arguments: str, **changes: Any) -> lab.Run:
    """Run the role on all hosts with the policy of the scenario and these changes to it, without the role's prefix."""
    variables = {f"intake_{name}": value for name, value in changes.items()}
    return lab.play(SCENARIO / "converge.yml", variables, *arguments)


def receive(check: bool = False, **changes: Any) -> lab.Run:
    """Have the policy with these changes put in force on the receivers, or foreseen in check mode."""
    variables = {f"intake_{name}": value for name, value in changes.items()}
    return RECEIVING.run(RECEIVERS, check, **variables)


def refuse(**changes: Any) -> lab.Run:
    """Give the module that makes zones a policy that it refuses on every receiver."""
    policy = RECEIVING.options()
    options = {name: policy[name] for name in ("senders", "people", "identities")}
    return run_module(RECEIVERS, "intake_zone", {**options, **changes}).expect_failure(RECEIVERS)


def result(run: lab.Run, host: str) -> Dict[str, Any]:
    """What the module returned on a host."""
    return next(one for one in reversed(run.results[host]) if "controls" in one)


def statuses(run: lab.Run, host: str) -> Dict[str, str]:
    """The status of each control by its resource."""
    return {one["resource"]: one["status"] for one in result(run, host)["controls"]}


def target(receiver: str) -> str:
    """The login at a receiver."""
    return f"{ACCOUNT}@{lab.address_of(receiver)}"


def release(receiver: str) -> str:
    """12 or 13, as the jobs are called."""
    return receiver.rsplit("-", 1)[1]


def options(receiver: str, key: str = "/root/login_key") -> str:
    """Options for a plain ssh, sftp or scp at the sender."""
    known = f"/etc/twinguard/sender/to-{release(receiver)}/known_hosts"
    return (
        f"-F none -oBatchMode=yes -oStrictHostKeyChecking=yes -oUserKnownHostsFile={known}"
        f" -oLogLevel=ERROR -oConnectTimeout=10 -i {key}"
    )


def attempt(host: str, command: str) -> Tuple[int, str]:
    """Exit code and output, errors included, of a shell command that may fail."""
    text = lab.shell(host, f"set +e\n{{ {command}; }} 2>&1 </dev/null\necho CODE $?")
    output, _mark, code = text.rpartition("CODE ")
    return int(code), output


def seal(receiver: str, content: str, signing_key: str = "/root/signing_key") -> str:
    """Seal one file at the sender for a receiver; the batch lies in /root/out. Returns its id."""
    lab.shell(SENDER, "mkdir -p /root/source && cat > /root/source/data.csv", stdin=content)
    given = {
        "source": "/root/source",
        "receiver": release(receiver),
        "signing_key": signing_key,
    }
    lab.shell(SENDER, "mkdir -p -m 700 /root/out && cat > /root/seal.py", stdin=_SEAL)
    return lab.shell(SENDER, "python3 /root/seal.py", stdin=json.dumps(given)).strip()


def scp(receiver: str, batch: str) -> None:
    """Upload a batch by one plain scp, which sends the files by their names."""
    lab.shell(
        SENDER, f"scp -q {options(receiver)} /root/out/{batch}.* {target(receiver)}: 2>/dev/null"
    )


def outcome(receiver: str, batch: str, after: int = 0) -> Dict[str, Any]:
    """The outcome of a batch: waits for its first line in the log, or for the one after `after` lines."""
    deadline = time.monotonic() + WAIT
    while time.monotonic() < deadline:
        lines = [one for one in log(receiver) if one["batch"] == batch]
        if len(lines) > after:
            return lines[after]
        time.sleep(0.3)
    journal = lab.shell(receiver, "journalctl -u twinguard-intake -n 30 --no-pager")
    raise AssertionError(f"{receiver}: the log has no line about {batch}; {journal}")


def log(receiver: str) -> List[Dict[str, Any]]:
    """All lines of the receiver's log."""
    text = lab.shell(receiver, f"cat {LOG} 2>/dev/null || true")
    return [json.loads(line) for line in text.splitlines()]


def published(receiver: str, batch: str) -> Optional[str]:
    """The content of the only file of a published batch; None when nothing was published."""
    path = f"{BASE}/published/{ACCOUNT}/{batch}"
    text = lab.shell(receiver, f"test -e {path} && cat {path}/data.csv || echo '<nothing>'")
    return None if text == "<nothing>\n" else text


def zone(receiver: str) -> List[str]:
    """The names in the drop directory."""
    return lab.shell(receiver, f"ls -A {DROP}").split()


def serve(receiver: str) -> None:
    """Run the service once from its beginning, and wait for its end.

    A run that the timer has begun may have looked before our files came: systemd would let us wait for that one.
    """
    unit = "twinguard-intake.service"
    over = f'while [ "$(systemctl is-active {unit})" = activating ]; do sleep 0.1; done'
    lab.shell(receiver, f"{over}; systemctl start {unit}")
