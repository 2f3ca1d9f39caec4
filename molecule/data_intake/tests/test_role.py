# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role does to its hosts: idempotent, atomic, and never green without being in force."""

from __future__ import annotations

from typing import Any, Dict, List

import intake_lab
import lab
import pytest
from intake_lab import ACCOUNT, BASE, RECEIVERS, SENDER

MODULES_MAX = 3
OVERRIDE = "/etc/ssh/sshd_config.d/00-aaa-other.conf"
HOLD = "/run/systemd/system/twinguard-intake.service.d/hold.conf"
OLD = {"key": "/root/identity.key", "certificate": "/root/identity.pem"}
CONFIGURATION = "find /etc/ssh /etc/twinguard /etc/passwd -type f -exec sha256sum {} + | sort"


def senders(**changes: Any) -> List[Dict[str, Any]]:
    """The senders of the scenario's policy, changed."""
    path = lab.ROOT / ".build" / "molecule" / "intake" / SENDER / "login_key.pub"
    key = path.read_text("ascii").strip()
    return [{"name": "plant-a", "keys": [key], "quota": "8M", "max_files": 500, **changes}]


def made(name: str) -> Dict[str, str]:
    """A new identity, which every receiver has now."""
    new = {"key": f"/root/{name}.key", "certificate": f"/root/{name}.pem"}
    make = f"openssl req -x509 -newkey rsa:3072 -nodes -subj /CN={name} -days 30"
    for host in RECEIVERS:
        lab.shell(host, f"{make} -keyout {new['key']} -out {new['certificate']} 2>/dev/null")
    return new


def test_a_second_run_changes_nothing_starts_few_modules_and_proves_each_sender() -> None:
    run = intake_lab.converge().expect_success()
    assert run.changed == dict.fromkeys((*RECEIVERS, SENDER), 0)
    for name in (*RECEIVERS, SENDER):
        modules = [one for one in run.results[name] if "invocation" in one or "controls" in one]
        assert len(modules) <= MODULES_MAX
    for name in RECEIVERS:
        assert intake_lab.statuses(run, name) == {"service": "pass", ACCOUNT: "pass"}
        reasons = [one["reason"] for one in intake_lab.result(run, name)["controls"]]
        assert "an upload worked; 18 other requests were refused" in reasons
        # The probe leaves nothing behind.
        assert intake_lab.zone(name) == []
        assert lab.shell(name, "ls -d /run/twinguard-intake 2>/dev/null || true") == ""
    assert intake_lab.statuses(run, SENDER) == {"to-12": "pass", "to-13": "pass"}


def test_nothing_is_left_of_the_flat_layout_that_version_0_1_0_had_installed() -> None:
    inside = "ansible_collections/twinguard/hardening/plugins/module_utils/*.py"
    for host, program in ((RECEIVERS[0], "intake"), (RECEIVERS[1], "intake"), (SENDER, "send")):
        place = f"/usr/local/lib/twinguard/{program}/{inside}"
        assert lab.shell(host, f"basename -a {place}").split() == ["__init__.py"]


def test_a_zone_that_another_file_of_sshd_opens_up_is_found_and_fails() -> None:
    """The other file comes first, and the first value counts: our own file is as it was."""
    forced = "ForceCommand internal-sftp -d /drop"
    for host in RECEIVERS:
        lab.write(host, OVERRIDE, f"Match Group twinguard-senders\n    {forced}\nMatch all\n")
        lab.shell(host, "systemctl reload ssh")
    try:
        check = intake_lab.receive(check=True).expect_success()
        run = intake_lab.receive().expect_failure(RECEIVERS)
        for host in RECEIVERS:
            assert intake_lab.statuses(check, host)[ACCOUNT] == "fail"
            assert "a sender can remove a file" in run.failure(host)
            # Even so it cannot list the zone: the directory's own mode forbids that.
            assert "a sender can open it for reading" in run.failure(host)
            assert "a sender can list the zone" not in run.failure(host)
            # What the probe could do it has cleared up.
            assert intake_lab.zone(host) == []
    finally:
        for host in RECEIVERS:
            lab.shell(host, f"rm {OVERRIDE}; systemctl reload ssh")


def test_an_invalid_policy_is_refused_in_one_sentence_and_nothing_changes() -> None:
    bad = {
        "root": ({"senders": senders(account="root")}, ["senders[0].account", "root"]),
        "account of others": ({"senders": senders(account="daemon")}, ["daemon", "not made by"]),
        "missing key": (
            {"identities": [{"key": "/root/no.key", "certificate": "/root/no.pem"}]},
            ["/root/no.key"],
        ),
        "directory of the system": ({"directory": "/srv"}, ["directory", "/srv"]),
    }
    before = {host: lab.shell(host, CONFIGURATION) for host in RECEIVERS}
    for changes, words in bad.values():
        run = intake_lab.refuse(**changes)
        for host in RECEIVERS:
            sentence = run.failure(host)
            assert "\n" not in sentence
            assert not [word for word in words if word not in sentence], sentence
    for host in RECEIVERS:
        assert lab.shell(host, CONFIGURATION) == before[host]


@pytest.mark.usefixtures("restored")
def test_keys_overlap_when_they_change_and_a_sender_that_is_taken_out_is_out() -> None:
    """A batch for the old key is opened when the new one is there, and no more once the old one is gone."""
    new = made("new")
    first = {}
    intake_lab.receive(identities=[new, OLD]).expect_success()
    for host in RECEIVERS:
        first[host] = intake_lab.seal(host, "sealed for the old key\n")
        intake_lab.scp(host, first[host])
        assert intake_lab.outcome(host, first[host])["status"] == "published"
    intake_lab.receive(identities=[new]).expect_success()
    for host in RECEIVERS:
        second = intake_lab.seal(host, "sealed for a key that is gone\n")
        intake_lab.scp(host, second)
        found = intake_lab.outcome(host, second)
        assert (found["status"], found["reason"]) == ("quarantined", "wrong_recipient")
    run = intake_lab.receive(senders=[]).expect_success()
    for host in RECEIVERS:
        assert run.changed[host] == 1
        session = f"echo pwd | sftp {intake_lab.options(host)} -b - {intake_lab.target(host)}"
        assert intake_lab.attempt(SENDER, session)[0] != 0
        assert lab.shell(host, f"getent passwd {ACCOUNT} || echo none") == "none\n"
        assert lab.shell(host, f"stat -c '%a %U' {intake_lab.DROP}") == "700 root\n"
        # What was published before is still there.
        path = f"{BASE}/published/{ACCOUNT}/{first[host]}/data.csv"
        assert lab.shell(host, f"cat {path}") == "sealed for the old key\n"


@pytest.mark.usefixtures("restored")
def test_a_change_is_not_judged_by_a_run_of_the_service_that_began_before_it() -> None:
    """The service has copied the old keys when the new policy arrives; its result says nothing about the new ones."""
    new = made("later")
    wait = f"until grep -q {new['key']} /etc/twinguard/intake/receiver.json; do sleep 0.1; done"
    for host in RECEIVERS:
        # It is the last step before the one that opens batches.
        lab.shell(host, f"mkdir -p {HOLD.rpartition('/')[0]}")
        lab.write(host, HOLD, f"[Service]\nExecStartPre=+/bin/sh -c '{wait}'\n")
        lab.shell(host, "systemctl daemon-reload")
        lab.shell(host, "systemctl start --no-block twinguard-intake.service")
    try:
        intake_lab.receive(identities=[new, OLD]).expect_success()
        for host in RECEIVERS:
            # It did wait, and failed in the end.
            output = lab.shell(host, "journalctl -u twinguard-intake.service -o cat")
            assert "identity-1.key: it does not exist" in output
    finally:
        for host in RECEIVERS:
            lab.shell(host, f"rm {HOLD}; systemctl daemon-reload")
