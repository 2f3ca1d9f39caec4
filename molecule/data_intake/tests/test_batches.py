# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the sender's data to the receiver's published files, and what must never get there."""

from __future__ import annotations

import json
import secrets
import shlex

import intake_lab
import lab
from intake_lab import ACCOUNT, BASE, DROP, RECEIVERS, SENDER


def test_new_data_is_sealed_sent_verified_and_published_without_a_plain_copy(receiver: str) -> None:
    """By the path unit alone: the timer, which would find it within a minute, is stopped."""
    job = f"twinguard-send-to-{intake_lab.release(receiver)}"
    mark = f"plain-text-{secrets.token_hex(8)}"
    lab.shell(receiver, "systemctl stop twinguard-intake.timer")
    try:
        lab.shell(SENDER, f"echo {mark} > /srv/data/pumps.csv")
        lab.shell(SENDER, f"systemctl start {job}.service")
        output = lab.shell(SENDER, f"journalctl -u {job} -o cat --no-pager -n 20")
        batch = output.rsplit("sent batch ", 1)[1].split(":")[0]
        found = intake_lab.outcome(receiver, batch)
    finally:
        lab.shell(receiver, "systemctl start twinguard-intake.timer")
    assert (found["status"], found["sender"], found["reason"]) == ("published", "plant-a", None)
    path = f"{BASE}/published/{ACCOUNT}/{batch}"
    assert lab.shell(receiver, f"cat {path}/pumps.csv") == f"{mark}\n"
    assert f'"batch": "{batch}"' in lab.shell(receiver, "journalctl -u twinguard-intake -o cat")
    # Nothing is left in between, and the plain text is nowhere but where it came from and where it belongs.
    assert intake_lab.zone(receiver) == []
    assert not lab.shell(
        SENDER, f"ls /var/lib/twinguard-send/to-{intake_lab.release(receiver)}/outbox"
    )
    look = f"grep -rlF {mark} /dev/shm /etc /home /root /run /srv /tmp /var 2>/dev/null || true"
    assert lab.shell(SENDER, look).split() == ["/srv/data/pumps.csv"]
    assert lab.shell(receiver, look).split() == [f"{path}/pumps.csv"]
    # Unchanged data is not sent again.
    before = sent(job)
    lab.shell(SENDER, f"systemctl start {job}.service")
    assert sent(job) == before


def sent(job: str) -> int:
    """How many batches a job has sent."""
    return lab.shell(SENDER, f"journalctl -u {job} -o cat --no-pager").count("sent batch ")


def test_what_was_tampered_with_is_quarantined_with_its_reason_and_nothing_is_published() -> None:
    """One of each kind; the whole matrix is in the unit tests of batch_open."""
    receiver = RECEIVERS[1]
    cases = {
        "wrong_digest": "printf x | dd of=BATCH.data.enc bs=1 seek=100 conv=notrunc status=none",
        "wrong_size": "truncate -s -1 BATCH.data.enc",
        "bad_signature": "sed -i 's/plant-a/plant-b/' BATCH.manifest.json",
        "missing_file": "rm BATCH.index.enc",
    }
    batches = {}
    for reason, command in cases.items():
        batch = intake_lab.seal(receiver, f"{reason} in {receiver}\n")
        lab.shell(SENDER, "cd /root/out; " + command.replace("BATCH", batch))
        batches[reason] = batch
        intake_lab.scp(receiver, batch)
    stranger = lab.shell(
        SENDER,
        "test -f /root/stranger || ssh-keygen -q -t ed25519 -N '' -f /root/stranger; echo /root/stranger",
    ).strip()
    batches["unknown_signer"] = intake_lab.seal(receiver, "by a stranger\n", stranger)
    intake_lab.scp(receiver, batches["unknown_signer"])
    for reason, batch in batches.items():
        found = intake_lab.outcome(receiver, batch)
        assert (found["status"], found["reason"]) == ("quarantined", reason), found
        assert intake_lab.published(receiver, batch) is None
        assert batch in lab.shell(receiver, f"ls -R {BASE}/quarantine/{ACCOUNT}")


def test_a_replay_publishes_nothing_and_an_older_batch_is_refused() -> None:
    receiver = RECEIVERS[0]
    older = intake_lab.seal(receiver, "older\n")
    newer = intake_lab.seal(receiver, "newer\n")
    intake_lab.scp(receiver, newer)
    assert intake_lab.outcome(receiver, newer)["status"] == "published"
    intake_lab.scp(receiver, newer)
    assert intake_lab.outcome(receiver, newer, after=1)["status"] == "already"
    intake_lab.scp(receiver, older)
    found = intake_lab.outcome(receiver, older)
    assert (found["status"], found["reason"]) == ("quarantined", "old_sequence")
    # Even after somebody took the published files away.
    lab.shell(receiver, f"rm -r {BASE}/published/{ACCOUNT}/{newer}")
    intake_lab.scp(receiver, newer)
    assert intake_lab.outcome(receiver, newer, after=2)["status"] in ("already", "quarantined")
    assert intake_lab.published(receiver, newer) is None


def test_the_validation_command_refuses_poison_and_can_do_nothing_else(receiver: str) -> None:
    good = intake_lab.seal(receiver, "good\n")
    intake_lab.scp(receiver, good)
    assert intake_lab.outcome(receiver, good)["status"] == "published"
    poison = intake_lab.seal(receiver, "poison\n")
    intake_lab.scp(receiver, poison)
    slow = intake_lab.seal(receiver, "sleep\n")
    intake_lab.scp(receiver, slow)
    for batch in (poison, slow):
        found = intake_lab.outcome(receiver, batch)
        assert (found["status"], found["reason"]) == ("quarantined", "refused_by_validation"), found
        assert intake_lab.published(receiver, batch) is None
    text = lab.shell(receiver, "cat /var/log/twinguard-intake/sandbox.json")
    sandbox = json.loads(text)
    assert sandbox["uid"] == int(lab.shell(receiver, "id -u twinguard-intake"))
    assert (sandbox["writes"], sandbox["reads"]) == ([], [])
    assert sandbox["interfaces"] in ([], ["lo"])
    assert int(sandbox["capabilities"], 16) == 0
    assert (sandbox["no_new_privileges"], sandbox["seccomp"]) == ("1", "2")


def test_a_connection_that_was_cut_is_gone_on_with_where_it_was_cut() -> None:
    """The first file is complete and its name taken, the second was cut: only that one and the rest are sent."""
    receiver, job = RECEIVERS[0], "twinguard-send-to-12"
    lab.shell(receiver, "systemctl stop twinguard-intake.path twinguard-intake.timer ssh")
    try:
        lab.shell(SENDER, "head -c 3000000 /dev/urandom > /srv/data/large.bin")
        assert intake_lab.attempt(SENDER, f"systemctl start {job}")[0] != 0
        outbox = "/var/lib/twinguard-send/to-12/outbox"
        names = lab.shell(SENDER, f"ls {outbox}").split()
        manifest = next(name for name in names if name.endswith(".manifest.json"))
        batch = manifest[: -len(".manifest.json")]
        lab.shell(receiver, "systemctl start ssh")
        # What a cut leaves: a whole file under its name, and a part of another one under a name of its own.
        lab.shell(SENDER, f"head -c 1000000 {outbox}/{batch}.data.enc > /root/part")
        session = f"put {outbox}/{batch}.index.enc {batch}.index.enc\nput /root/part {batch}.data.enc.part-0\n"
        lab.shell(
            SENDER,
            f"sftp {intake_lab.options(receiver)} -b - {intake_lab.target(receiver)}",
            stdin=session,
        )
        before = lab.shell(receiver, f"stat -c %i {DROP}/{batch}.index.enc")
        lab.shell(SENDER, f"systemctl start {job}")
        assert lab.shell(receiver, f"stat -c %i {DROP}/{batch}.index.enc") == before
        output = lab.shell(SENDER, f"journalctl -u {job} -o cat --no-pager")
        assert f"sent batch {batch}: {len(names) - 1} of {len(names)} files now" in output
    finally:
        lab.shell(receiver, "systemctl start ssh twinguard-intake.timer twinguard-intake.path")
    assert intake_lab.outcome(receiver, batch)["status"] == "published"
    digest = "cd {}; sha256sum large.bin"
    here = lab.shell(SENDER, digest.format("/srv/data"))
    assert lab.shell(receiver, digest.format(f"{BASE}/published/{ACCOUNT}/{batch}")) == here
    lab.shell(SENDER, "rm /srv/data/large.bin")
    lab.shell(receiver, f"rm -f {DROP}/*")


def test_another_host_with_the_receivers_address_gets_nothing() -> None:
    receiver, job = RECEIVERS[1], "twinguard-send-to-13"
    known = "/etc/twinguard/sender/to-13/known_hosts"
    kept = lab.shell(SENDER, f"cat {known}")
    other = lab.shell(RECEIVERS[0], "cat /etc/ssh/ssh_host_ed25519_key.pub")
    lab.write(SENDER, known, f"{kept.split()[0]} {' '.join(other.split()[:2])}\n")
    try:
        lab.shell(SENDER, "echo new > /srv/data/new.csv")
        assert intake_lab.attempt(SENDER, f"systemctl start {job}")[0] != 0
        assert intake_lab.zone(receiver) == []
        output = lab.shell(SENDER, f"journalctl -u {job} -o cat --no-pager -n 5")
        assert "cannot reach" in output
        assert "Host key verification failed" in output
    finally:
        lab.write(SENDER, known, kept)
    lab.shell(SENDER, f"systemctl start {job}")
    output = lab.shell(SENDER, f"journalctl -u {job} -o cat --no-pager -n 10")
    batch = output.rsplit("sent batch ", 1)[1].split(":")[0]
    assert intake_lab.outcome(receiver, batch)["status"] == "published"


def test_the_keys_are_in_no_command_line_no_environment_and_no_file_of_others() -> None:
    receiver = RECEIVERS[0]
    secret = lab.shell(receiver, "sed -n 2p /root/identity.key").strip()
    processes = lab.Helper(receiver, "secret_watch.py", [secret], "processes")
    files = lab.Helper(
        receiver, "secret_watch.py", [secret], "files", "/etc", "/run", "/srv", "/var/log"
    )
    batch = intake_lab.seal(receiver, "watched\n")
    intake_lab.scp(receiver, batch)
    assert intake_lab.outcome(receiver, batch)["status"] == "published"
    for watch in (processes, files):
        seen = watch.result()
        assert seen["found"] == []
        assert seen["looked"] > 0
    # Nor is the copy that the service had still there.
    look = f"grep -rlF {shlex.quote(secret)} /run /tmp /var /etc 2>/dev/null || true"
    assert lab.shell(receiver, look) == ""
