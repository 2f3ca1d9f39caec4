# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role does to its hosts: nothing twice, nothing by halves, and never green when it is not so."""

from __future__ import annotations

from typing import Any, Dict, List

import intake_lab
import lab
from intake_lab import ACCOUNT, BASE, RECEIVERS, SENDER

MODULES_MAX = 3
OVERRIDE = "/etc/ssh/sshd_config.d/00-aaa-other.conf"


def senders(**changes: Any) -> List[Dict[str, Any]]:
    """The senders of the scenario's policy, changed."""
    key = (lab.ROOT / ".build" / "molecule" / "intake" / SENDER / "login_key.pub").read_text(
        "ascii"
    )
    return [{"name": "plant-a", "keys": [key.strip()], "quota": "8M", "max_files": 60, **changes}]


def test_a_second_run_changes_nothing_starts_few_modules_and_proves_each_sender() -> None:
    run = intake_lab.converge().expect_success()
    assert run.changed == dict.fromkeys((*RECEIVERS, SENDER), 0)
    for name in (*RECEIVERS, SENDER):
        modules = [one for one in run.results[name] if "invocation" in one or "controls" in one]
        assert len(modules) <= MODULES_MAX
    for name in RECEIVERS:
        assert intake_lab.statuses(run, name) == {"service": "pass", ACCOUNT: "pass"}
        reasons = [one["reason"] for one in intake_lab.result(run, name)["controls"]]
        assert any("an upload worked; 18 other requests were refused" in one for one in reasons)
        # The probe leaves nothing behind.
        assert intake_lab.zone(name) == []
        assert lab.shell(name, "ls -d /run/twinguard-intake 2>/dev/null || true") == ""
    assert intake_lab.statuses(run, SENDER) == {"to-12": "pass", "to-13": "pass"}


def test_a_zone_that_another_file_of_sshd_opens_up_is_found_and_fails(receiver: str) -> None:
    """The other file comes first, and the first value counts: our own file is as it was."""
    forced = "ForceCommand internal-sftp -d /drop"
    lab.write(receiver, OVERRIDE, f"Match Group twinguard-senders\n    {forced}\nMatch all\n")
    lab.shell(receiver, "systemctl reload ssh")
    try:
        check = intake_lab.converge("--check", "--limit", receiver).expect_success()
        assert intake_lab.statuses(check, receiver)[ACCOUNT] == "fail"
        run = intake_lab.converge("--limit", receiver)
        run.expect_failure([receiver])
        assert "a sender can remove a file" in run.failure(receiver)
        assert "a sender can list the zone" in run.failure(receiver)
    finally:
        lab.shell(receiver, f"rm {OVERRIDE}; systemctl reload ssh")
    # What the probe could do it has cleared up, and the next run is green.
    assert intake_lab.zone(receiver) == []
    run = intake_lab.converge("--limit", receiver).expect_success()
    assert intake_lab.statuses(run, receiver)[ACCOUNT] == "pass"


def test_a_sender_that_is_taken_out_cannot_log_in_and_what_was_published_stays(
    restored: None,
) -> None:
    receiver = RECEIVERS[1]
    batch = intake_lab.seal(receiver, "stays\n")
    intake_lab.scp(receiver, batch)
    assert intake_lab.outcome(receiver, batch)["status"] == "published"
    run = intake_lab.converge("--limit", receiver, senders=[]).expect_success()
    assert run.changed[receiver] == 1
    said = lab.shell(
        SENDER,
        f"echo ls | sftp {intake_lab.options(receiver)} -b - {intake_lab.target(receiver)} 2>&1; echo $?",
    )
    assert said.splitlines()[-1] != "0"
    assert lab.shell(receiver, f"getent passwd {ACCOUNT} || echo none") == "none\n"
    assert intake_lab.published(receiver, batch) == "stays\n"
    modes = lab.shell(receiver, f"stat -c '%a %U' {BASE}/zones/{ACCOUNT}/drop")
    assert modes == "700 root\n"


def test_keys_are_exchanged_with_an_overlap(restored: None) -> None:
    """A batch for the old key is opened after the new one came, and no more once the old one is gone."""
    receiver = RECEIVERS[0]
    new = {"key": "/root/new.key", "certificate": "/root/new.pem"}
    old = {"key": "/root/identity.key", "certificate": "/root/identity.pem"}
    lab.shell(
        receiver,
        "openssl req -x509 -newkey rsa:3072 -nodes -subj /CN=new -days 30 -keyout /root/new.key"
        " -out /root/new.pem 2>/dev/null",
    )
    intake_lab.converge("--limit", receiver, identities=[new, old]).expect_success()
    first = intake_lab.seal(receiver, "sealed for the old key\n")
    intake_lab.scp(receiver, first)
    assert intake_lab.outcome(receiver, first)["status"] == "published"
    intake_lab.converge("--limit", receiver, identities=[new]).expect_success()
    second = intake_lab.seal(receiver, "sealed for a key that is gone\n")
    intake_lab.scp(receiver, second)
    found = intake_lab.outcome(receiver, second)
    assert (found["status"], found["reason"]) == ("quarantined", "wrong_recipient")


def test_what_cannot_be_is_refused_in_one_sentence_and_nothing_changes(receiver: str) -> None:
    before = lab.shell(receiver, "find /etc/ssh /etc/twinguard -type f -exec sha256sum {} + | sort")
    for changes, words in (
        ({"senders": senders(account="root")}, ["senders[0].account", "root"]),
        ({"senders": senders(account="daemon")}, ["daemon", "not made by this module"]),
        (
            {"identities": [{"key": "/root/no.key", "certificate": "/root/no.pem"}]},
            ["/root/no.key"],
        ),
    ):
        run = intake_lab.converge("--limit", receiver, **changes)
        run.expect_failure([receiver])
        sentence = run.failure(receiver)
        assert "\n" not in sentence
        assert not [word for word in words if word not in sentence], sentence
    after = lab.shell(receiver, "find /etc/ssh /etc/twinguard -type f -exec sha256sum {} + | sort")
    assert after == before
