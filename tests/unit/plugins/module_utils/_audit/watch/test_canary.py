# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The canary: what it does to a tree, and what counts as having been seen."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Sequence

import pytest

from ansible_collections.twinguard.hardening.plugins.module_utils._audit.watch import (
    canary_io as audit_canary_io,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._audit.watch.canary import (
    PREFIX,
    RECORD_MAX,
    Access,
    Event,
    accesses,
    events,
    judge,
    recorded,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._audit.watch.canary_io import (
    Tail,
    run_canaries,
    who_we_are,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._audit.watch.watch import Target
from ansible_collections.twinguard.hardening.tests.unit.support.audit_host import (
    reader,
    target,
    want,
    watch,
)

NOBODY = (12345, "/usr/bin/nothing")


def operations(
    mounts: tuple[str, ...] = (),
    who: tuple[int, str] = NOBODY,
    kind: str = "directory",
    **changes: Any,
) -> list[str]:
    made = want(watch(**changes), targets={"/srv/models": target("/srv/models", kind)}).watches[0]
    return [access.operation for access in accesses(0, made, mounts, who)[0]]


@pytest.mark.parametrize(
    ("kind", "permissions", "operation"),
    [
        ("directory", "rwa", "create"),
        ("directory", "ra", "attribute"),
        ("directory", "r", "list"),
        ("directory", "x", "execute"),
        ("file", "rwa", "write"),
        ("file", "ax", "attribute"),
        ("file", "r", "read"),
    ],
)
def test_each_kind_of_watch_has_an_access_that_proves_it(
    kind: str, permissions: str, operation: str
) -> None:
    assert operations(kind=kind, permissions=permissions) == [operation]


def test_a_watch_with_allowed_readers_is_proven_for_reads_as_well() -> None:
    assert operations(allowed_readers=[reader("triton")]) == ["create", "list"]


def test_what_is_hidden_from_the_watch_when_we_do_it_proves_nothing() -> None:
    readers = [reader("990", "/opt/triton")]
    assert operations(allowed_readers=readers, who=(990, "/opt/triton-1")) == ["create"]
    assert operations(allowed_readers=readers, who=(990, "/usr/bin/python3")) == ["create", "list"]
    made = want(watch(permissions="r", allowed_readers=readers)).watches[0]
    assert accesses(0, made, (), (990, "/opt/triton-1"))[1].startswith("only reads are recorded")


def test_every_mount_below_is_proven_and_their_number_is_bounded() -> None:
    assert operations(("/srv/models/a", "/srv/models/b")) == ["create"] * 3
    many = tuple(f"/srv/models/{number}" for number in range(500))
    assert len(operations(many)) == 33


@pytest.mark.parametrize("kind", ["missing", "other"])
def test_where_nothing_can_be_done_the_reason_is_told(kind: str) -> None:
    targets = {"/srv/models": Target("/srv/models", kind)}
    made = want(watch(recursive=False), targets=targets).watches[0]
    found, why = accesses(0, made, (), NOBODY)
    assert found == ()
    assert "/srv/models" in why


def record(serial: int, pid: int, key: str, *names: tuple[str, str], tail: str = "") -> str:
    """The lines of one event, as auditd writes them."""
    head = f"msg=audit(1795246822.{serial:03d}:{serial}):"
    lines = [
        f"type=SYSCALL {head} syscall=257 success=yes ppid=1 pid={pid} auid=0 key={key}{tail}",
        f'type=CWD {head} cwd="/"',
    ]
    lines += [
        f"type=PATH {head} item={number} name={name} inode=5 dev=fe:00 nametype={part} cap_fp=0{tail}"
        for number, (name, part) in enumerate(names)
    ]
    return "".join(line + "\n" for line in lines)


def test_events_of_the_process_are_found_among_others_and_decoded() -> None:
    name = "/srv/mödels/.twinguard-canary-1"
    digits = name.encode().hex().upper()
    keys = b"other\x01twinguard_models".hex().upper()
    log = (
        record(1, 70, '"twinguard_models"', ('"/srv/models/x"', "CREATE"))
        + record(
            2,
            71,
            keys,
            ('"/srv/models/"', "PARENT"),
            (digits, "CREATE"),
            tail='\x1dUID="root" key="no"',
        )
        + "type=SYSCALL broken\n\x00\xff\n"
        + record(3, 71, "(null)", ("(null)", "NORMAL"))
    )
    found = events(log.encode("utf-8"), 71)
    assert [one.serial for one in found] == [2, 3]
    assert found[0].keys == ("other", "twinguard_models")
    assert found[0].names == (("/srv/models/", "PARENT"), (name, "CREATE"))
    assert (found[1].keys, found[1].names) == ((), ())
    assert found[0].time == pytest.approx(1795246822.002)


def test_records_of_two_events_may_come_mixed() -> None:
    lines = [
        record(n, 71, '"twinguard_models"', (f'"/a{n}"', "NORMAL")).splitlines() for n in (1, 2)
    ]
    mixed = "\n".join(line for pair in zip(*lines) for line in pair)
    assert [one.names[0][0] for one in events(mixed.encode(), 71)] == ["/a1", "/a2"]


def test_a_value_that_looks_like_a_field_deceives_nobody() -> None:
    forged = b'/x key="twinguard_models" pid=71 '.hex().upper()
    log = record(1, 70, '"other"', (forged, "CREATE"))
    assert events(log.encode(), 71) == []
    assert events(log.encode(), 70)[0].keys == ("other",)


WATCHES = want(watch(), watch("/etc/keys", key="twinguard_keys")).watches
KEYS = [one.key for one in WATCHES]
DONE = [
    Access(number, "create", f"{one.resolved}/{PREFIX}1", "list")
    for number, one in enumerate(WATCHES)
]


def event(number: int, key: str, part: str = "CREATE", path: str = "") -> Event:
    return Event(number, 1.0, (key,), ((path or DONE[number].path, part),))


def test_an_access_counts_as_seen_under_the_key_of_its_watch_alone() -> None:
    proof = judge(DONE, WATCHES, [event(0, KEYS[0]), event(1, KEYS[0])])
    assert proof.unseen == (DONE[1],)
    assert proof.stolen == {1: KEYS[0]}
    assert not proof.complete


def test_the_proof_is_complete_once_the_removals_are_known_too() -> None:
    made = [event(number, key) for number, key in enumerate(KEYS)]
    assert judge(DONE, WATCHES, made).unseen == ()
    assert not judge(DONE, WATCHES, made).complete
    gone = [event(number, key, "DELETE") for number, key in enumerate(KEYS)]
    assert judge(DONE, WATCHES, made + gone).complete


def test_a_removal_is_no_proof() -> None:
    gone = [event(number, key, "DELETE") for number, key in enumerate(KEYS)]
    assert judge(DONE, WATCHES, gone).unseen == tuple(DONE)


def test_where_nothing_could_be_created_the_other_access_counts() -> None:
    made = [event(number, key, "NORMAL", DONE[number].place) for number, key in enumerate(KEYS)]
    assert judge(DONE, WATCHES, made).complete


def test_the_record_of_canaries_is_bounded_and_ends_with_the_boot() -> None:
    found = [Event(number, number / 10, ("k",), ()) for number in range(3)]
    first = recorded(b"", "boot-1", 7, found)
    assert json.loads(first) == {
        "boot_id": "boot-1",
        "events": [[0, 0.0, 7], [1, 0.1, 7], [2, 0.2, 7]],
    }
    assert len(json.loads(recorded(first, "boot-1", 8, found))["events"]) == 6
    assert len(json.loads(recorded(first, "boot-2", 8, found))["events"]) == 3
    many = [Event(number, 0.0, (), ()) for number in range(RECORD_MAX + 5)]
    assert len(json.loads(recorded(first, "boot-1", 9, many))["events"]) == RECORD_MAX
    for broken in (b"{", b"[]", b'{"boot_id": "boot-1"}', b"null"):
        assert len(json.loads(recorded(broken, "boot-1", 8, found))["events"]) == 3


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "a.bin").write_bytes(b"weights")
    (tmp_path / "audit.log").write_bytes(b"old\n")
    return tmp_path


def test_a_canary_comes_and_goes_and_its_event_is_waited_for(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models, log = str(tree / "models"), tree / "audit.log"
    watches = want(watch(models)).watches
    todo = accesses(0, watches[0], (), NOBODY)[0]
    real = audit_canary_io._do_all

    def played(accesses: Sequence[Access]) -> list[tuple[int, int]]:
        """Plays the kernel and auditd as well; runs in the process of the canary."""
        refused = real(accesses)
        with log.open("a") as stream:
            for number, part in enumerate(("CREATE", "DELETE"), 100):
                name = f'"{accesses[0].path}"'
                stream.write(record(number, os.getpid(), '"twinguard_models"', (name, part)))
        return refused

    monkeypatch.setattr(audit_canary_io, "_do_all", played)
    canaries = run_canaries(todo, watches, str(log), 30)
    assert canaries.proof.complete
    assert [one.serial for one in canaries.events] == [100, 101]
    assert canaries.pid not in (0, os.getpid())
    assert os.listdir(models) == ["a.bin"]


def test_without_an_event_the_canary_is_not_seen_and_leaves_nothing(tree: Path) -> None:
    watches = want(watch(str(tree / "models"))).watches
    todo = accesses(0, watches[0], (), NOBODY)[0]
    canaries = run_canaries(todo, watches, str(tree / "audit.log"), 0.3)
    assert canaries.proof.unseen == tuple(todo)
    assert os.listdir(tree / "models") == ["a.bin"]


def test_what_a_killed_run_left_is_removed(tree: Path) -> None:
    watches = want(watch(str(tree / "models"))).watches
    todo = accesses(0, watches[0], (), NOBODY)[0]
    Path(todo[0].path).write_text("left over")
    assert not run_canaries(todo, watches, str(tree / "audit.log"), 0.3).refused
    assert os.listdir(tree / "models") == ["a.bin"]


def test_a_file_is_neither_changed_nor_touched(tree: Path) -> None:
    path = tree / "models" / "a.bin"
    os.utime(path, ns=(1, 2))
    before = path.stat()
    watches = want(watch(str(path)), targets={str(path): Target(str(path), "file", "1:1")}).watches
    todo = [Access(0, operation, str(path)) for operation in ("write", "read", "attribute")]
    run_canaries(todo, watches, str(tree / "audit.log"), 0.1)
    after = path.stat()
    assert path.read_bytes() == b"weights"
    assert (before.st_mtime_ns, before.st_ctime_ns, before.st_atime_ns) == (
        after.st_mtime_ns,
        after.st_ctime_ns,
        after.st_atime_ns,
    )


def test_where_nothing_can_be_created_the_reason_is_told(tree: Path) -> None:
    gone = Access(0, "create", str(tree / "gone" / f"{PREFIX}1"))
    canaries = run_canaries([gone], want(watch()).watches, str(tree / "audit.log"), 0.1)
    assert canaries.refused == {gone: os.strerror(2)}
    assert canaries.proof.unseen == ()


def test_a_canary_is_never_executed(tree: Path) -> None:
    access = Access(0, "execute", str(tree / "models" / f"{PREFIX}1"))
    canaries = run_canaries([access], want(watch()).watches, str(tree / "audit.log"), 0.1)
    assert canaries.refused == {}
    assert os.listdir(tree / "models") == ["a.bin"]


def test_the_log_is_followed_across_a_rotation(tree: Path) -> None:
    log = tree / "audit.log"
    tail = Tail(str(log))
    try:
        with log.open("a") as stream:
            stream.write("one\n")
            log.rename(tree / "audit.log.1")
            log.write_text("three\n")
            stream.write("two\n")
        assert tail.more() == b"one\ntwo\nthree\n"
        with log.open("a") as stream:
            stream.write("four\n")
        assert tail.more() == b"one\ntwo\nthree\nfour\n"
    finally:
        tail.close()


def test_we_know_who_we_are() -> None:
    uid, program = who_we_are()
    assert uid == os.getuid()
    assert os.path.isabs(program)
