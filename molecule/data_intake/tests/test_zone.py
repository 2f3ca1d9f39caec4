# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attacks on an upload-only zone with the real sftp, scp and ssh: an upload works, and nothing else does."""

from __future__ import annotations

import shlex
import time

import intake_lab
import lab
from intake_lab import ACCOUNT, BASE, DROP, SENDER

# What a sender may not do, each as the commands of one sftp session; "there" is a file that was uploaded before.
FORBIDDEN = {
    "list": "ls -la",
    "list the root": "ls /",
    "read": "get there /tmp/stolen",
    "read another path": "get /etc/passwd /tmp/stolen",
    "read beside the zone": "get ../drop/there /tmp/stolen",
    "overwrite": "put /root/b there",
    "append": "put -a /root/b there",
    "resume": "reput /root/b there",
    "remove": "rm there",
    "remove the zone": "rmdir .",
    "make a directory": "mkdir directory",
    "upload a directory": "put -R /root/dir directory",
    "symbolic link": "symlink /etc/shadow link",
    "hard link": "ln there hard",
    "change the mode": "chmod 777 there",
    "change the zone's mode": "chmod 777 .",
    "change the owner": "chown 0 there",
    "change the group": "chgrp 0 there",
    "keep times and mode": "put -p /root/b with-attributes",
    "rename over a file": "rename other there",
    "rename out of the zone": "rename there ../there",
    "upload out of the zone": "put /root/b ../b",
    "upload to the system": "put /root/b /etc/b",
    "copy": "cp there copied",
    "ask for free space": "df -h",
}
# Some of these leave a file that has no harm in it: the data is sent before the attributes.
HARMLESS = {"with-attributes"}


def sftp(receiver: str, commands: str) -> tuple[int, str]:
    """Exit code and output of one session."""
    words = f"sftp {intake_lab.options(receiver)} -b - {intake_lab.target(receiver)} 2>&1 || echo CODE $?"
    text = lab.shell(SENDER, words, stdin=commands)
    return int(text.rsplit("CODE ", 1)[1]) if "CODE " in text else 0, text


def test_an_upload_works_and_each_forbidden_operation_is_refused(receiver: str) -> None:
    lab.shell(SENDER, "cd /root; echo a > a; echo b > b; chmod 600 a; mkdir -p dir; echo c > dir/c")
    code, text = sftp(receiver, "put /root/a there\nput /root/b other\n")
    assert code == 0, text
    before = intake_lab.zone(receiver)
    assert sorted(before) == ["other", "there"]
    # All in one shell at the sender: a session each over one connection, and a line for each.
    shared = f"{intake_lab.options(receiver)} -oControlMaster=auto -oControlPath=/root/%C -oControlPersist=20"
    lines = []
    for name, commands in FORBIDDEN.items():
        session = f"printf '%s\\n' {shlex.quote(commands)} | sftp {shared} -b - "
        session += f"{intake_lab.target(receiver)} >/tmp/out 2>&1; code=$?; "
        session += "denied=$(grep -cE 'Permission denied|not found|No such file|does not support|Failure' /tmp/out); "
        session += "stolen=$(test -s /tmp/stolen && echo 1 || echo 0); "
        lines.append(session + f"echo {shlex.quote(name)}:$code:$denied:$stolen")
    answers = lab.shell(SENDER, "set +e\nrm -f /tmp/stolen\n" + "\n".join(lines)).splitlines()
    assert len(answers) == len(FORBIDDEN)
    allowed = []
    for line in answers:
        name, code_text, denied, stolen = line.rsplit(":", 3)
        # sftp ends with 0 after an `ls` that was refused: then it must at least have reported it.
        if stolen != "0" or (code_text == "0" and denied == "0"):
            allowed.append(line)
    assert not allowed
    after = set(intake_lab.zone(receiver)) - HARMLESS
    assert after == set(before)
    content = lab.shell(receiver, f"cat {DROP}/there {DROP}/other")
    assert content == "a\nb\n"
    # Whatever mode the client asks for, the sender itself can neither read nor change the file again.
    modes = lab.shell(receiver, f"stat -c '%a %U %h' {DROP}/there {DROP}/other").splitlines()
    assert modes == [f"0 {ACCOUNT} 1"] * 2
    lab.shell(receiver, f"rm -f {DROP}/*")


def test_scp_uploads_once_and_downloads_never(receiver: str) -> None:
    scp = f"scp {intake_lab.options(receiver)}"
    where = intake_lab.target(receiver)
    lab.shell(SENDER, f"echo one > /root/one; {scp} /root/one {where}:by-scp")
    assert lab.shell(receiver, f"cat {DROP}/by-scp") == "one\n"
    for attack in (
        f"{scp} /root/one {where}:by-scp",
        f"{scp} {where}:by-scp /tmp/stolen",
        f"{scp} -O /root/one {where}:legacy",
        f"{scp} -r /root/dir {where}:directory",
    ):
        code, _output = intake_lab.attempt(SENDER, f"timeout 20 {attack}")
        assert code != 0, attack
    assert intake_lab.zone(receiver) == ["by-scp"]
    lab.shell(receiver, f"rm -f {DROP}/*")


def test_there_is_no_shell_no_terminal_no_forwarding_and_no_password(receiver: str) -> None:
    ssh = f"timeout 15 ssh {intake_lab.options(receiver)}"
    where = intake_lab.target(receiver)
    for attack in ("id", "sh -c id", "cat /etc/passwd", "/usr/lib/openssh/sftp-server", ""):
        output = intake_lab.attempt(SENDER, f"{ssh} {where} {shlex.quote(attack)}")[1]
        assert "uid=" not in output
        assert "root:" not in output
    output = lab.shell(SENDER, f"{ssh} -tt {where} </dev/null 2>&1 || true")
    assert "PTY allocation request failed" in output
    output = lab.shell(SENDER, f"echo x | {ssh} -W 127.0.0.1:22 {where} 2>&1 || true")
    assert "SSH-2.0" not in output
    forward = f"{ssh} -oExitOnForwardFailure=yes -N -R 0:127.0.0.1:22 {where}"
    output = intake_lab.attempt(SENDER, forward)[1]
    assert "remote port forwarding failed" in output
    password = (
        "-oPreferredAuthentications=password,keyboard-interactive -oNumberOfPasswordPrompts=0"
    )
    output = lab.shell(SENDER, f"{ssh} {password} {where} 2>&1 || true")
    assert "Permission denied (publickey)" in output


def test_no_single_file_and_no_heap_of_them_grows_beyond_the_quota(receiver: str) -> None:
    code, text = sftp(receiver, "put /dev/zero endless\n")
    assert code != 0, text  # the kernel ends it at 8 MB
    lab.shell(SENDER, "head -c 5000000 /dev/zero > /root/five")
    used = int(lab.shell(receiver, f"du -sb {DROP} | cut -f 1"))
    assert used <= 8 * 1024 * 1024 + 65536
    sftp(receiver, "put /root/five a\nput /root/five b\n")
    intake_lab.serve(receiver)
    code, text = sftp(receiver, "put /root/a one-more\n")
    assert code != 0
    assert "Permission denied" in text
    assert "the zone is closed, it is full" in journal(receiver)
    # A converged run sees the same: it leaves the zone closed and is not red because of it.
    lab.shell(receiver, f"rm -f {DROP}/*")
    intake_lab.serve(receiver)
    code, text = sftp(receiver, "put /root/a one-more\n")
    assert code == 0, text
    lab.shell(receiver, f"rm -f {DROP}/*")


def test_stale_uploads_go_and_fresh_ones_stay(receiver: str) -> None:
    sftp(receiver, "put /root/a old.part-1\nput /root/a fresh.part-2\n")
    lab.shell(receiver, f"touch -d '25 hours ago' {DROP}/old.part-1")
    intake_lab.serve(receiver)
    assert intake_lab.zone(receiver) == ["fresh.part-2"]
    assert "removed the upload 'old.part-1': it is stale" in journal(receiver)
    lab.shell(receiver, f"rm -f {DROP}/*")


def test_a_file_that_is_still_being_written_is_not_opened(receiver: str) -> None:
    batch = intake_lab.seal(receiver, "slow\n")
    lab.shell(receiver, "systemctl stop twinguard-intake.path")
    try:
        intake_lab.scp(receiver, batch)
        # Somebody still has the data open for writing, as a sender with a slow line would.
        hold = f"exec 9>>{DROP}/{batch}.data.enc; echo $$ > /run/hold.pid; exec sleep 300"
        lab.shell(receiver, f"setsid sh -c {shlex.quote(hold)} >/dev/null 2>&1 </dev/null &")
        time.sleep(0.5)
        intake_lab.serve(receiver)
        assert intake_lab.published(receiver, batch) is None
        assert f"{batch}.data.enc" in lab.shell(receiver, f"ls {BASE}/arriving/{ACCOUNT}")
        assert not lab.shell(receiver, f"ls {BASE}/incoming/{ACCOUNT}")
        # By now the sender cannot reach it under any name.
        assert intake_lab.zone(receiver) == []
    finally:
        lab.shell(receiver, "kill $(cat /run/hold.pid); systemctl start twinguard-intake.path")
    intake_lab.serve(receiver)
    assert intake_lab.outcome(receiver, batch)["status"] == "published"


def journal(receiver: str) -> str:
    """The journal of the service."""
    return lab.shell(receiver, "journalctl -u twinguard-intake -o cat --no-pager -n 200")
