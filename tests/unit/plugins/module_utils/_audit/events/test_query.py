# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked for, what was expected, and what one event becomes."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.twinguard.hardening.plugins.module_utils._audit.events.access import (
    Evidence,
    findings,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._audit.events.join import (
    Joiner,
    needles,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._audit.events.query import (
    Tally,
    parse_query,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._audit.events.rows import moment
from ansible_collections.twinguard.hardening.plugins.module_utils._audit.events.syscalls import (
    operation,
    syscall_name,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._core.plan import ControlError
from ansible_collections.twinguard.hardening.tests.unit.support.audit_log import access

USERS = {0: "root", 998: "model", 1000: "alice"}
LOG = Evidence(files=1, no_audit="", oldest=b"1789999999.000:1", lost=False, malformed=0)


def tally(data: bytes, canaries: dict[bytes, int] | None = None, **params: Any) -> Tally:
    given = dict({"unexpected_only": False, "limit": 1000}, **params)
    query = parse_query(given, canaries or {})
    found = Tally(query, USERS.get)
    joiner = Joiner(needles(query.keys, "twinguard_"))
    for event in [*joiner.feed(data), *joiner.feed(b"", final=True)]:
        found.add(event)
    return found


def only(data: bytes, **params: Any) -> dict[str, Any]:
    (row,) = tally(data, **params).rows()
    return row


def serials(data: bytes, **params: Any) -> list[int]:
    return [row["serial"] for row in tally(data, **params).rows()]


def test_an_event_tells_who_did_what_to_which_file() -> None:
    row = only(access(7, b"/srv/models/a.bin", uid=1000, euid=0, auid=1000, ses=3))
    assert row["time"] == "2026-09-21T14:13:20.250Z"
    assert (row["serial"], row["rule_keys"], row["operation"], row["syscall"]) == (
        7,
        ["twinguard_models"],
        "read",
        "openat",
    )
    assert (row["user"], row["effective_user"], row["login_user"], row["session"]) == (
        "alice",
        "root",
        "alice",
        3,
    )
    assert (row["path"], row["path_exact"], row["inode"], row["device"], row["mode"]) == (
        "/srv/models/a.bin",
        True,
        70,
        "fe:00",
        "0100644",
    )
    assert (row["exe"], row["comm"], row["pid"], row["ppid"], row["proctitle"]) == (
        "/usr/bin/cat",
        "cat",
        11,
        10,
        "cat x",
    )
    assert (row["success"], row["exit"], row["incomplete"], row["unexpected"]) == (
        True,
        3,
        False,
        None,
    )


def test_nobody_logged_in_for_a_service() -> None:
    row = only(access(1))
    assert (row["auid"], row["login_user"], row["session"]) == (None, None, None)


@pytest.mark.parametrize(
    ("number", "arguments", "expected"),
    [
        (257, {"a2": "0"}, "read"),
        (257, {"a2": "80000"}, "read"),
        (257, {"a2": "1"}, "write"),
        (257, {"a2": "2"}, "write"),
        (257, {"a2": "200"}, "write"),
        (257, {"a2": "42"}, "write"),
        (257, {"a2": "200000"}, "other"),
        (2, {"a1": "0", "a2": "1"}, "read"),
        (2, {"a1": "241"}, "write"),
        (437, {}, "write"),
        (59, {}, "execute"),
        (90, {}, "attribute"),
        (188, {}, "attribute"),
        (191, {}, "read"),
        (82, {}, "rename"),
        (87, {}, "delete"),
        (86, {}, "link"),
        (83, {}, "create"),
        (1, {}, "other"),
    ],
)
def test_the_operation_comes_from_the_call_and_its_flags(
    number: int, arguments: dict[str, str], expected: str
) -> None:
    data = access(1, syscall=number, **arguments) + access(2, syscall=number, a0="1", **arguments)
    assert [row["operation"] for row in tally(data).rows()] == [expected, expected]


def test_reads_and_writes_of_one_process_are_told_apart() -> None:
    data = access(1, a2="0") + access(2, a2="1") + access(3, a2="0")
    assert [row["operation"] for row in tally(data).rows()] == ["read", "write", "read"]


def test_calls_of_other_machines_have_their_own_numbers() -> None:
    assert syscall_name(0xC000003E, 257) == "openat"
    assert syscall_name(0xC000003E, 257 | 0x40000000) == "openat"
    assert syscall_name(0x40000003, 295) == "openat"
    assert syscall_name(0xC00000B7, 56) == "openat"
    assert syscall_name(0x14, 1) == "syscall-1"
    assert operation("openat", None) == "write"


def test_openat2_tells_its_flags_in_a_record_of_its_own() -> None:
    first, rest = access(1, syscall=437).split(b"\n", 1)
    asked = b"type=OPENAT2 msg=audit(1790000000.250:%d): oflag=0%s mode=0 resolve=0x0\n"
    data = first + b"\n" + asked % (1, b"100000") + rest
    second, rest = access(2, syscall=437).split(b"\n", 1)
    data += second + b"\n" + asked % (2, b"1101") + rest
    assert [row["operation"] for row in tally(data).rows()] == ["read", "write"]


@pytest.mark.parametrize(
    ("name", "cwd", "path", "exact"),
    [
        (b"a.bin", b"/srv/models", "/srv/models/a.bin", True),
        (b"./a.bin", b"/srv/models", "/srv/models/a.bin", True),
        (b"/srv//models/./a.bin", b"/", "/srv/models/a.bin", True),
        (b"../models/a.bin", b"/srv/x", "/srv/x/../models/a.bin", False),
        (b"//srv/a", b"/", "/srv/a", True),
    ],
)
def test_relative_names_count_from_the_working_directory(
    name: bytes, cwd: bytes, path: str, exact: bool
) -> None:
    row = only(access(1, name, cwd=cwd))
    assert (row["path"], row["path_exact"]) == (path, exact)


def test_a_name_relative_to_another_directory_is_not_made_up() -> None:
    row = only(access(1, b"a.bin", cwd=b"/home", a0="5"))
    assert (row["path"], row["path_exact"]) == ("a.bin", False)


def test_a_call_on_an_open_file_has_no_path_but_an_inode() -> None:
    row = only(access(1, None, syscall=91))
    assert (row["path"], row["path_exact"], row["inode"], row["operation"]) == (
        None,
        False,
        70,
        "attribute",
    )


def test_a_name_that_is_no_text_keeps_its_bytes() -> None:
    row = only(access(1, b"/m/\xff\n"))
    assert (row["path"], row["path_hex"]) == ("/m/\\xff\n", b"/m/\xff\n".hex())


@pytest.mark.parametrize(
    "name",
    [
        b'/m/" key="x',
        b"/m/\ntype=SYSCALL msg=audit(1.000:1):",
        b"/m/ key=twinguard_x",
        b'/m/\x1dUID="root"',
    ],
)
def test_a_name_cannot_forge_anything(name: bytes) -> None:
    row = only(access(1, name, comm=name[:15], exe=name))
    assert (row["path"], row["exe"], row["uid"]) == (name.decode(), name.decode(), 998)
    assert row["rule_keys"] == ["twinguard_models"]


def test_names_of_the_moment_win_over_those_of_today() -> None:
    first, rest = access(1).split(b"\n", 1)
    row = only(first + b'\x1dARCH=x86_64 UID="gone" EUID="gone" AUID="unset"\n' + rest)
    assert (row["user"], row["effective_user"]) == ("gone", "gone")


def test_keys_are_whole_words() -> None:
    data = (
        access(1, key=b"twinguard_m")
        + access(2, key=b"twinguard_models")
        + access(3, key=b"twinguard_two\x01twinguard_m")
    )
    assert serials(data, keys=["twinguard_m"]) == [1, 3]
    assert serials(data) == [1, 2, 3]


def test_only_keys_of_ours_count_unless_asked_for_others() -> None:
    data = access(1, key=b"x_twinguard_models") + access(2, key=b"nginx")
    assert serials(data) == []
    assert serials(data, keys=["nginx"]) == [2]


def test_time_limits_include_their_ends() -> None:
    data = b"".join(access(n, seconds=1_790_000_000 + n) for n in range(5))
    assert serials(data, since="1790000001", until="2026-09-21T14:13:23Z") == [1, 2, 3]
    assert serials(data, since="2026-09-21T16:13:23.000+02:00") == [3, 4]


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"users": ["alice"]}, [2, 3]),
        ({"users": ["0"]}, [3]),
        ({"executables": ["/usr/bin/cp"]}, [2]),
        ({"operations": ["write"]}, [4]),
        ({"success": False}, [5]),
        ({"paths": ["/srv/models/a"]}, [1, 2, 3, 4]),
        ({"paths": ["/srv/models"]}, [1, 2, 3, 4, 5]),
        ({"paths": ["/srv/model"]}, []),
    ],
)
def test_filters_choose_events(params: dict[str, Any], expected: list[int]) -> None:
    a = b"/srv/models/a/x"
    data = access(1, a) + access(2, a, uid=1000, euid=1000, exe=b"/usr/bin/cp")
    data += access(3, a, auid=1000, uid=0, euid=0) + access(4, a, a2="1")
    data += access(5, b"/srv/models/ab", success="no", exit=-13)
    assert serials(data, **params) == expected


def test_a_path_that_is_not_certain_is_never_hidden_by_a_filter() -> None:
    data = access(1, b"../models/a", cwd=b"/srv/x") + access(2, b"a", a0="4") + access(3, b"/etc/x")
    assert serials(data, paths=["/srv/models"]) == [1, 2]


def expect(**entry: Any) -> dict[str, Any]:
    return {"expected": [entry]}


def unexpected(data: bytes, **params: Any) -> list[int]:
    return [row["serial"] for row in tally(data, **params).rows() if row["unexpected"]]


def test_who_is_not_on_the_list_is_unexpected() -> None:
    data = (
        access(1)
        + access(2, **dict.fromkeys(("uid", "euid", "fsuid"), 1000))
        + access(3, exe=b"/x")
    )
    assert unexpected(data, **expect(user="model")) == [2]
    assert unexpected(data, **expect(user="998")) == [2]
    assert unexpected(data, **expect(executable="/usr/bin/cat")) == [3]
    assert unexpected(data, **expect(user="model", executable="/usr/bin/cat")) == [2, 3]
    assert unexpected(data, expected=[]) == [1, 2, 3]
    assert unexpected(data) == []


@pytest.mark.parametrize("other", ["uid", "euid", "fsuid"])
def test_acting_in_the_name_of_an_expected_user_is_unexpected(other: str) -> None:
    data = access(1, **{other: 1000})
    assert unexpected(data, **expect(user="model")) == [1]
    assert unexpected(data, **expect(user="alice")) == [1]


def test_an_entry_allows_its_operations_only() -> None:
    data = access(1) + access(2, a2="1") + access(3, syscall=90)
    assert unexpected(data, **expect(user="model", operations=["read"])) == [2, 3]
    assert unexpected(data, **expect(user="model")) == []


def test_an_entry_allows_its_paths_only() -> None:
    data = (
        access(1, b"/m/a/x")
        + access(2, b"/m/ab")
        + access(3, b"/m/a/../b")
        + access(4, b"x", a0="3")
    )
    assert unexpected(data, **expect(user="model", path="/m/a")) == [2, 3, 4]


def test_both_names_of_a_rename_must_be_expected() -> None:
    data = access(1, b"/m/a", b"/tmp/a", syscall=82) + access(2, b"/m/a", b"/m/b", syscall=82)
    assert unexpected(data, **expect(path="/m")) == [1]


def test_an_entry_allows_its_key_only() -> None:
    data = access(1) + access(2, key=b"twinguard_two")
    assert unexpected(data, **expect(key="twinguard_two")) == [1]


def test_only_unexpected_ones_can_be_asked_for() -> None:
    data = access(1) + access(2, exe=b"/x") + access(3)
    found = tally(data, unexpected_only=True, **expect(executable="/x"))
    assert ([row["serial"] for row in found.rows()], found.count) == ([1, 3], 2)


def test_a_canary_is_never_unexpected_and_nobody_else_is_one() -> None:
    event = b"1790000000.250:1"
    rows = tally(access(1) + access(2), {event: 11}, expected=[]).rows()
    assert [(row["canary"], row["unexpected"]) for row in rows] == [(True, False), (False, True)]
    rows = tally(access(1), {event: 12}, expected=[]).rows()
    assert [(row["canary"], row["unexpected"]) for row in rows] == [(False, True)]


def test_the_newest_are_returned_and_unexpected_ones_first() -> None:
    data = b"".join(access(n, exe=b"/x" if n in (2, 9) else b"/usr/bin/cat") for n in range(20))
    found = tally(data, limit=4, **expect(executable="/usr/bin/cat"))
    assert [row["serial"] for row in found.rows()] == [2, 9, 18, 19]
    assert (found.count, found.unexpected_count) == (20, 2)
    assert tally(data, limit=0).rows() == []


def test_the_summary_counts_all_of_them() -> None:
    data = access(1) + access(2) + access(3, a2="1", euid=1000)
    assert tally(data, limit=1).summary() == {
        "users": {"model": 2, "alice": 1},
        "executables": {"/usr/bin/cat": 3},
        "operations": {"read": 2, "write": 1},
    }


def test_a_flood_of_names_cannot_fill_the_memory() -> None:
    found = tally(b"".join(access(n, exe=b"/x/%d" % n) for n in range(9000)), limit=10)
    summary = found.summary()
    assert sum(summary["executables"].values()) == found.count == 9000
    assert len(summary["executables"]) < 5000
    assert summary["executables"]["(others)"] > 4000


def test_a_record_without_its_users_is_counted_as_malformed() -> None:
    found = tally(access(1, uid=None))
    assert (found.count, found.malformed) == (0, 1)


@pytest.mark.parametrize(
    ("params", "start"),
    [
        ({"since": "yesterday"}, "option 'since' = 'yesterday': "),
        ({"since": "2026-11-21T06:00:00"}, "option 'since' = '2026-11-21T06:00:00': "),
        ({"since": "2026-13-21T06:00:00Z"}, "option 'since' = "),
        ({"since": "20", "until": "10"}, "option 'until' = '10': "),
        ({"limit": -1}, "option 'limit' = -1: "),
        ({"unexpected_only": True}, "option 'unexpected_only' = True: "),
        ({"keys": ["x" * 32]}, "option 'keys' = "),
        ({"keys": [""]}, "option 'keys' = '': "),
        ({"paths": ["srv"]}, "option 'paths' = 'srv': "),
        ({"paths": ["/srv/../x"]}, "option 'paths' = "),
        ({"executables": ["cat"]}, "option 'executables' = 'cat': "),
        ({"expected": [{}]}, "option 'expected' = {}: "),
        ({"expected": [{"operations": ["read"]}]}, "option 'expected' = "),
        ({"expected": [{"path": "x"}]}, "option 'expected.path' = 'x': "),
    ],
)
def test_bad_input_is_refused_in_one_sentence(params: dict[str, Any], start: str) -> None:
    with pytest.raises(ControlError) as error:
        tally(b"", **params)
    assert str(error.value).startswith(start)
    assert "\n" not in str(error.value)


def verdict(data: bytes, evidence: Evidence = LOG, **params: Any) -> tuple[str, str]:
    found = tally(data, **params)
    found.summary()
    (control,) = findings(found.query, found, evidence)
    assert control["id"] == "audit.access"
    return control["status"], control["reason"]


def test_the_control_passes_when_everything_was_expected() -> None:
    assert verdict(access(1), **expect(user="model")) == ("pass", "")
    assert verdict(b"", expected=[]) == ("pass", "")


def test_the_control_fails_when_something_was_not() -> None:
    status, reason = verdict(access(1) + access(2), expected=[])
    assert status == "fail"
    assert "2 accesses" in reason


def test_without_a_list_the_control_does_not_apply() -> None:
    assert verdict(access(1))[0] == "not_applicable"


@pytest.mark.parametrize(
    ("evidence", "params", "status", "word"),
    [
        (Evidence(0, "", b"", False, 0), {}, "unknown", "no audit log"),
        (Evidence(0, "a container", b"", False, 0), {}, "not_applicable", "a container"),
        (Evidence(1, "", b"", False, 0), {}, "unknown", "no record"),
        (Evidence(1, "", b"5.000:1", True, 0), {}, "unknown", "rotated"),
        (Evidence(1, "", b"5.000:1", False, 3), {}, "unknown", "3 records"),
        (Evidence(1, "", b"5.000:1", False, 0), {"since": "4"}, "unknown", "go back"),
        (Evidence(1, "", b"5.000:1", False, 0), {"users": ["root"]}, "unknown", "part"),
        (Evidence(1, "", b"5.000:1", False, 0), {"since": "5"}, "pass", ""),
    ],
)
def test_what_the_log_cannot_tell_is_not_green(
    evidence: Evidence, params: dict[str, Any], status: str, word: str
) -> None:
    found = verdict(b"", evidence, expected=[], **params)
    assert found[0] == status
    assert word in found[1]


def test_each_key_has_its_own_verdict() -> None:
    found = tally(access(1) + access(2, key=b"twinguard_b"), **expect(key="twinguard_b"))
    found.summary()
    statuses = {one["resource"]: one["status"] for one in findings(found.query, found, LOG)}
    assert statuses == {"twinguard_models": "fail", "twinguard_b": "pass"}


def test_moments_are_in_utc_to_the_millisecond() -> None:
    assert moment(b"0.007:1") == "1970-01-01T00:00:00.007Z"
    assert moment(b"99999999999.999:1").startswith("5138-")
