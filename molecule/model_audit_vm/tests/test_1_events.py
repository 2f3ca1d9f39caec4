# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is done to the models is recorded, once, with who did it and by which program.

Debian 12 and 13 write their records by other versions of kernel and auditd, so what each call leaves, hostile names and
ausearch's answer are compared on both. Which calls a rule matches is decided by the rules and by code of the kernel
that is the same in both: one machine tells.
"""

from __future__ import annotations

import base64
import csv
import io
import struct
from typing import Any, Dict, List, Tuple

from vm_lab import Machine

MODEL = "/srv/models/pump/weights.bin"
AS_SERVER = "setpriv --reuid modelsrv --regid modelsrv --clear-groups"
Rows = List[Dict[str, Any]]


def short(rows: Rows) -> List[Tuple[Any, ...]]:
    return [(row["operation"], row["path"], row["exe"], row["user"]) for row in rows]


def test_each_way_to_touch_a_model_is_one_event_with_user_program_and_path(machine: Machine):
    new, newer = "/srv/models/pump/new.bin", "/srv/models/pump/newer.bin"
    rows = machine.recorded(
        f"cat {MODEL}; dd if=/dev/null of={MODEL} conv=notrunc 2>/dev/null; chmod 640 {MODEL}; "
        f"touch {new}; mv {new} {newer}; rm {newer}"
    )
    by_program = {row["exe"]: row for row in rows}
    assert short([by_program["/usr/bin/cat"]]) == [("read", MODEL, "/usr/bin/cat", "root")]
    assert short([by_program["/usr/bin/dd"]]) == [("write", MODEL, "/usr/bin/dd", "root")]
    assert short([by_program["/usr/bin/chmod"]]) == [("attribute", MODEL, "/usr/bin/chmod", "root")]
    assert {row["path"] for row in rows if row["exe"] == "/usr/bin/touch"} == {new}
    assert [row["operation"] for row in rows if row["exe"] == "/usr/bin/mv"] == ["rename"]
    assert {new, newer} <= {place["path"] for place in by_program["/usr/bin/mv"]["paths"]}
    assert short([by_program["/usr/bin/rm"]]) == [("delete", newer, "/usr/bin/rm", "root")]
    assert {row["login_user"] for row in rows} == {"root"}
    for program in ("cat", "dd", "chmod", "mv", "rm"):
        assert [row["exe"] for row in rows].count(f"/usr/bin/{program}") == 1, short(rows)
    inode = int(machine.sh(f"stat -c %i {MODEL}"))
    assert by_program["/usr/bin/cat"]["inode"] == inode
    assert all(row["success"] and row["rule_keys"] == ["twinguard_models"] for row in rows)


def test_a_refused_access_is_recorded_as_refused(old: Machine):
    old.sh(f"chmod 600 {MODEL}")
    rows = old.recorded(f"{AS_SERVER} head -c1 {MODEL} || true")
    old.sh(f"chmod 644 {MODEL}")
    assert [(row["exe"], row["user"], row["success"]) for row in rows] == [
        ("/usr/bin/head", "modelsrv", False)
    ]


def test_an_allowed_reader_is_not_recorded_and_its_writes_are(old: Machine):
    old.sh(f"chmod 666 {MODEL}")
    assert old.recorded(f"{AS_SERVER} cat {MODEL}") == []
    rows = old.recorded(
        # The program alone is not enough, nor is the user alone, and only reads are left out.
        f"cat {MODEL}; {AS_SERVER} head -c1 {MODEL}; {AS_SERVER} sh -c 'cat /dev/null >> {MODEL}'"
    )
    assert short(rows) == [
        ("read", MODEL, "/usr/bin/cat", "root"),
        ("read", MODEL, "/usr/bin/head", "modelsrv"),
        ("write", MODEL, "/usr/bin/dash", "modelsrv"),
    ]


def test_a_watched_link_watches_what_it_leads_to(old: Machine):
    rows = old.recorded("cat /srv/current/weights.bin; cat /srv/releases/1/weights.bin")
    assert [row["rule_keys"] for row in rows] == [["twinguard_current"]] * 2


def test_a_watched_file_stays_watched_when_it_is_replaced(old: Machine):
    conf = "/etc/twinguard-model.conf"
    rows = old.recorded(
        f"cat {conf}; echo port=2 > {conf}.new; mv {conf}.new {conf}; sh -c 'echo port=3 > {conf}'"
    )
    assert {tuple(row["rule_keys"]) for row in rows} == {("twinguard_conf",)}
    assert [row["exe"] for row in rows if row["operation"] == "write"] == ["/usr/bin/dash"]
    assert "/usr/bin/mv" in [row["exe"] for row in rows]
    assert "/usr/bin/cat" not in [row["exe"] for row in rows], "reads of it are not asked for"


HOSTILE = [
    b"two\nlines",
    b'a" key="twinguard_conf" b="',
    b"type=SYSCALL msg=audit(1.1:1): key=twinguard_conf",
    b"not-utf8-\xff\xfe",
    b"sp ace\ttab",
    b"\xc3\xbcmlaut",
    b"--",
    b"(null)",
]


def test_no_file_name_can_forge_a_record_or_hide_itself(machine: Machine):
    given = base64.b64encode(b"\0".join(HOSTILE)).decode()
    script = (
        "import base64, os; os.chdir('/srv/models'); "
        f"names = base64.b64decode('{given}').split(bytes(1)); "
        "[os.close(os.open(name, os.O_CREAT | os.O_WRONLY)) for name in names]; "
        "[os.unlink(name) for name in names]"
    )
    rows = [row for row in machine.recorded(f'python3 -c "{script}"') if row["exe"]]
    made = [row for row in rows if "/usr/bin/python3" in row["exe"]]
    assert len(made) == 2 * len(HOSTILE), short(rows)
    assert {tuple(row["rule_keys"]) for row in made} == {("twinguard_models",)}
    told = {
        bytes.fromhex(row["path_hex"]) if row["path_hex"] else row["path"].encode() for row in made
    }
    assert told == {b"/srv/models/" + name for name in HOSTILE}


def program_32_bit() -> bytes:
    """A 32-bit program that opens the file it is given to read, and ends with 0 if it could."""
    code = (
        b"\x5b\x5b\x5b"  # pop: argc, argv[0], argv[1] -> ebx
        b"\x31\xc9\x31\xd2"  # read only, no mode
        b"\x6a\x05\x58\xcd\x80"  # open
        b"\x31\xdb\x85\xc0\x79\x01\x43"  # ebx = 1 if it failed
        b"\x6a\x01\x58\xcd\x80"  # exit
    )
    base, size = 0x08048000, 84 + len(code)
    header = b"\x7fELF\x01\x01\x01" + bytes(9)
    header += struct.pack("<HHIIIIIHHHHHH", 2, 3, 1, base + 84, 52, 0, 0, 52, 32, 1, 0, 0, 0)
    return header + struct.pack("<IIIIIIII", 1, 0, base, base, size, size, 5, 4096) + code


def test_a_32_bit_program_is_recorded_like_any_other(new: Machine):
    new.sh("cat > /root/open32; chmod 755 /root/open32", program_32_bit())
    rows = new.recorded(f"/root/open32 {MODEL}")
    assert short(rows) == [("read", MODEL, "/root/open32", "root")]
    assert rows[0]["syscall"] == "open"


def test_a_service_that_no_login_started_is_recorded(old: Machine):
    rows = old.recorded(f"systemd-run --quiet --wait head -c1 {MODEL}")
    assert [(row["exe"], row["login_user"]) for row in rows] == [("/usr/bin/head", None)]


def test_only_readers_that_were_not_expected_are_called_so(old: Machine):
    rows = old.recorded(
        f"cat {MODEL}; head -c1 {MODEL}; touch {MODEL}",
        expected=[{"user": "root", "executable": "/usr/bin/cat"}],
    )
    told = {row["exe"]: row["unexpected"] for row in rows}
    assert told["/usr/bin/cat"] is False
    assert told["/usr/bin/head"] is True


def test_the_same_events_are_found_as_by_ausearch(machine: Machine):
    since = machine.now()
    machine.recorded(
        f"cat {MODEL}; chmod 644 {MODEL}; cat /srv/current/weights.bin; ls /srv/models"
    )
    ours = machine.module("audit_events_info", {"keys": ["twinguard_models"], "since": since})
    text = machine.sh(
        "ausearch --input-logs -k twinguard_models -w --format csv 2>/dev/null </dev/null"
    )
    rows = [row for row in csv.DictReader(io.StringIO(text)) if row["EVENT_KIND"] == "audit-rule"]
    told = {row["serial"]: row for row in ours.data["events"]}
    theirs = {int(row["SERIAL_NUM"]): row for row in rows}
    assert len(told) >= 4
    assert {serial for serial in theirs if serial >= min(told)} == set(told)
    for serial, row in told.items():
        assert row["exe"] == theirs[serial]["HOW"]
        assert row["success"] == (theirs[serial]["RESULT"] == "success")


def test_only_what_was_asked_for_is_recorded(old: Machine):
    rows = old.recorded("/opt/tools/run; cat /opt/tools/run; touch /opt/tools/run")
    assert [(row["exe"], row["rule_keys"]) for row in rows] == [
        ("/opt/tools/run", ["twinguard_tools"])
    ]
    assert rows[0]["operation"] == "execute"
