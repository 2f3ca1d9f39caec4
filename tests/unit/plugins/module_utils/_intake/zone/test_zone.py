# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The receiving side: bad policies are refused in one sentence, and its files say what sshd and systemd must do."""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.twinguard.hardening.plugins.module_utils._core.plan import (
    ControlError,
    Plan,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._intake.accounts import (
    COMMENT,
    HOME,
    SHELLS,
    Account,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._intake.zone import collect, state
from ansible_collections.twinguard.hardening.plugins.module_utils._intake.zone import (
    files as render,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._intake.zone import (
    sftp_wire as wire,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._intake.zone.spec import (
    ARGUMENT_SPEC,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._intake.zone.zone import (
    OWN_IDENTITY,
    SENDERS_GROUP,
    USER,
    parse_zone,
)
from ansible_collections.twinguard.hardening.tests.unit.support.intake import (
    BATCH,
    LOGIN,
    person,
    sender,
)


def params(**changes: Any) -> dict[str, Any]:
    defaults = {name: option.get("default") for name, option in ARGUMENT_SPEC.items()}
    return {**defaults, "senders": [sender()], "people": [person()], **changes}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"directory": "/srv"}, ["directory", "/srv"]),
        ({"directory": "srv/intake"}, ["directory", "absolute"]),
        ({"directory": "/srv/in take"}, ["directory"]),
        ({"directory": "/srv/../etc"}, ["directory"]),
        ({"senders": [sender(name="a b")]}, ["senders[0].name", "a b"]),
        ({"senders": [sender(account="root")]}, ["senders[0].account", "root"]),
        ({"senders": [sender(account="a" * 33)]}, ["senders[0].account"]),
        ({"senders": [sender(account="a\nb")]}, ["senders[0].account"]),
        ({"senders": [sender(keys=[])]}, ["senders[0].keys", "nobody could log in"]),
        ({"senders": [sender(keys=["nonsense"])]}, ["senders[0].keys[0]"]),
        ({"senders": [sender(quota="10 apples")]}, ["senders[0].quota", "apples"]),
        ({"senders": [sender(quota="1K")]}, ["senders[0].quota", "too small"]),
        ({"senders": [sender(max_files=-1)]}, ["senders[0].max_files"]),
        ({"senders": [sender(addresses=["plant.example"])]}, ["addresses[0]", "plant.example"]),
        (
            {"senders": [sender(), sender(account="b")]},
            ["senders[1].name", "another sender has the same name"],
        ),
        (
            {"senders": [sender(), sender(name="b")], "people": [person(), person("b")]},
            ["senders[1].keys", "plant-a"],
        ),
        ({"people": []}, ["people", "plant-a", "twinguard-batch"]),
        ({"people": [person(namespace="git")]}, ["people", "twinguard-batch"]),
        ({"people": [person("somebody-else")]}, ["people", "plant-a"]),
        (
            {"passphrase_file": "/p", "identities": [{"key": "/k", "certificate": "/c"}]},
            ["passphrase_file", "identities"],
        ),
        ({"identities": [{"key": "k", "certificate": "/c"}]}, ["identities[0].key"]),
        ({"validate": ["check"]}, ["validate[0]", "check"]),
        ({"validate": ["/bin/check", "a\nb"]}, ["validate[1]", "newline"]),
        ({"reader_group": "a:b"}, ["reader_group"]),
        ({"maximum_size": "0"}, ["maximum_size"]),
        ({"stale_hours": 0}, ["stale_hours"]),
        ({"time_limit": -5}, ["time_limit"]),
    ],
)
def test_an_invalid_policy_is_refused_in_one_sentence(
    changes: dict[str, Any], words: list[str]
) -> None:
    with pytest.raises(ControlError) as error:
        parse_zone(params(**changes))
    sentence = str(error.value)
    assert "\n" not in sentence
    assert not [word for word in words if word not in sentence], sentence


def test_what_is_not_given_is_made_whole() -> None:
    zone = parse_zone(params())
    only = zone.senders[0]
    assert (only.account, only.quota, only.max_files) == ("intake-plant-a", 10 << 30, 1000)
    assert zone.identities == (OWN_IDENTITY,)
    assert zone.reader_group == USER
    assert zone.drop("x") == "/srv/twinguard-intake/zones/x/drop"


def test_with_a_passphrase_there_is_no_identity() -> None:
    zone = parse_zone(params(passphrase_file="/root/phrase"))
    assert zone.identities == ()
    config = json.loads(render.text_files(zone, "/lib")[render.CONFIG])
    assert config["secrets"] == {"passphrase": "/root/phrase"}


def test_no_word_is_cut_off_the_forced_command() -> None:
    """Sshd splits the command of internal-sftp into at most nine words and drops the rest in silence."""
    words = render.FORCED.split()
    assert len(words) <= 9
    assert words[-2] == "-p"
    allowed = set(words[-1].split(","))
    assert allowed == {
        *("open", "close", "write", "realpath", "stat", "lstat", "rename", "fsync", "limits")
    }


def test_all_that_sshd_must_do_is_written_and_asked_for() -> None:
    text = render.sshd_config(parse_zone(params()))
    lines = [line.strip() for line in text.splitlines()]
    assert lines[1] == f"Match Group {SENDERS_GROUP}"
    assert lines[-1] == "Match all"
    written = {line.split()[0].lower(): line.split(" ", 1)[1] for line in lines[2:-1]}
    assert written == render.effective(parse_zone(params()))


def test_keys_are_restricted_to_uploads_and_addresses() -> None:
    zone = parse_zone(params(senders=[sender(addresses=["192.0.2.7/24", "2001:db8::1"])]))
    text = render.text_files(zone, "/lib")[render.KEYS_DIR + "/intake-plant-a"].decode()
    assert text.splitlines()[1] == f'restrict,from="192.0.2.0/24,2001:db8::1/128" {LOGIN}'


def test_the_files_follow_the_senders() -> None:
    files = render.text_files(parse_zone(params()), "/lib")
    path_unit = files["/etc/systemd/system/twinguard-intake.path"].decode()
    assert "PathExistsGlob=/srv/twinguard-intake/zones/intake-plant-a/drop/*.manifest.json\n" in (
        path_unit
    )
    assert b"intake-plant-a hard fsize 10485760\n" in files[render.LIMITS_FILE]
    service = files["/etc/systemd/system/twinguard-intake.service"].decode()
    for line in ("User=twinguard-intake", "NoNewPrivileges=yes", "PrivateNetwork=yes"):
        assert line in service.splitlines()
    none = render.text_files(parse_zone(params(senders=[], people=[])), "/lib")
    assert b"zones/none" in none["/etc/systemd/system/twinguard-intake.path"]


# --- what is taken out of a zone, and when


def arrived(suffix: str, busy: bool = False, age: float = 0.0) -> collect.Arrived:
    return collect.Arrived(BATCH + suffix, busy, age)


def test_a_batch_is_announced_by_its_manifest_which_moves_last() -> None:
    names = [BATCH + suffix for suffix in (".manifest.json", ".data.enc", ".manifest.json.sig")]
    junk = ["a.manifest.json", BATCH + ".exe", BATCH + ".data.enc.part-00", "../x.manifest.json"]
    found = collect.announced([*names, *junk])
    assert list(found) == [BATCH]
    assert sorted(found[BATCH]) == sorted(names)
    assert found[BATCH][-1] == BATCH + ".manifest.json"
    assert collect.announced(names[1:]) == {}


@pytest.mark.parametrize(
    ("files", "ready"),
    [
        ([arrived(".manifest.json"), arrived(".manifest.json.sig")], True),
        ([arrived(".manifest.json"), arrived(".manifest.json.sig", busy=True)], False),
        ([arrived(".manifest.json", busy=True), arrived(".manifest.json.sig")], False),
        ([arrived(".manifest.json")], False),
        ([arrived(".manifest.json", age=61.0)], True),
        ([arrived(".manifest.json", age=61.0), arrived(".data.enc", busy=True)], False),
    ],
)
def test_a_batch_is_opened_when_nobody_writes_to_it_and_it_is_signed_or_late(
    files: list[collect.Arrived], ready: bool
) -> None:
    assert collect.complete(files) is ready


@pytest.mark.parametrize(
    ("used", "files", "is_full"), [(99, 9, False), (100, 1, True), (1, 10, True)]
)
def test_a_zone_is_full_by_bytes_or_by_files(used: int, files: int, is_full: bool) -> None:
    assert collect.full(used, files, {"quota": 100, "max_files": 10}) is is_full


# --- the probe


def packets(answers: list[tuple[int, int, int]]) -> bytes:
    """A server's version and then (kind, number, status)."""
    found = [struct.pack(">BI", 2, 3)]
    for kind, number, status in answers:
        more = (
            struct.pack(">III", status, 0, 0) if kind == wire.STATUS else struct.pack(">II", 4, 0)
        )
        found.append(struct.pack(">BI", kind, number) + more)
    return b"".join(struct.pack(">I", len(one)) + one for one in found)


def good(requests: list[wire.Request]) -> list[tuple[int, int, int]]:
    return [
        (wire.HANDLE, n, 0)
        if one.kind == wire.OPEN and one.expected == wire.OK
        else (wire.STATUS, n, 0 if one.expected == wire.OK else 3)
        for n, one in enumerate(requests)
    ]


def test_a_zone_that_answers_as_it_must_is_good() -> None:
    requests = wire.probe("t")
    wrong, refused = wire.evaluate(requests, wire.answers(packets(good(requests))))
    assert wrong == []
    assert refused == sum(one.expected == wire.REFUSED for one in requests) >= 15


def test_each_single_request_that_is_answered_otherwise_is_named() -> None:
    requests = wire.probe("t")
    for number, request in enumerate(requests):
        answers = good(requests)
        answers[number] = (wire.STATUS, number, 3 if request.expected == wire.OK else 0)
        wrong, _refused = wire.evaluate(requests, wire.answers(packets(answers)))
        assert len(wrong) == 1
        assert request.action in wrong[0]


def test_answers_that_are_missing_or_cut_are_not_a_refusal() -> None:
    requests = wire.probe("t")
    data = packets(good(requests))
    wrong, _refused = wire.evaluate(requests, wire.answers(data[:-3]))
    assert wrong == [f"sshd did not answer when a sender tried to {requests[-1].action}"]
    assert len(wire.evaluate(requests, wire.answers(b"This is not SFTP at all, sorry"))[0]) == len(
        requests
    )


def test_all_that_the_probe_makes_has_its_token_in_its_name() -> None:
    for request in wire.probe("t0k3n"):
        if request.kind in (wire.OPEN, wire.MKDIR, wire.SYMLINK, wire.RENAME):
            assert b"t0k3n" in request.payload


# --- the plan and the findings


def found(**changes: Any) -> state.Found:
    account = Account(990, 990, COMMENT, HOME, SHELLS[0], ())
    zone = parse_zone(params())
    active = {"ActiveState": "active", "UnitFileState": "enabled", "Result": "success"}
    units = dict.fromkeys(
        ("ssh.service", "twinguard-intake.path", "twinguard-intake.timer"), active
    )
    whole = state.Found(
        groups=(SENDERS_GROUP, USER),
        accounts={USER: account, "intake-plant-a": replace(account, groups=(SENDERS_GROUP,))},
        obsolete=(),
        identity=True,
        files=Plan(),
        unfinished=False,
        units=units,
        ssh_unit="ssh.service",
        ssh_current=True,
        settings={"intake-plant-a": render.effective(zone)},
    )
    return replace(whole, **changes)


def test_a_converged_host_has_nothing_to_change_and_is_green() -> None:
    zone = parse_zone(params())
    pending = state.plan(zone, found(), True)
    assert not pending.changed, pending.summary()
    controls = state.findings(
        zone, found(), pending, {"intake-plant-a": {"wrong": [], "refused": 18}}
    )
    assert [one["status"] for one in controls] == ["pass", "pass"]
    assert "18" in controls[1]["reason"]


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"groups": (USER,)}, f"group {SENDERS_GROUP}"),
        ({"accounts": {}}, "account intake-plant-a"),
        ({"obsolete": ("intake-old",)}, "account intake-old"),
        ({"identity": False}, "key and certificate of the receiver"),
        ({"unfinished": True}, "an earlier run"),
        ({"units": {}}, "twinguard-intake.path"),
        ({"ssh_current": False}, "sshd"),
    ],
)
def test_each_difference_is_planned_and_keeps_the_control_from_being_green(
    changes: dict[str, Any], key: str
) -> None:
    zone = parse_zone(params())
    has = found(**changes)
    pending = state.plan(zone, has, True)
    assert key in [one.key for one in pending.changes]
    assert "fail" in [one["status"] for one in state.findings(zone, has, pending, {})]


def test_a_shell_or_a_group_that_somebody_gave_a_sender_is_taken_back() -> None:
    zone = parse_zone(params())
    account = Account(990, 990, COMMENT, HOME, "/bin/bash", (SENDERS_GROUP, "sudo"))
    has = found(accounts={USER: found().accounts[USER], "intake-plant-a": account})
    changes = state.plan(zone, has, True).changes
    assert [one.key for one in changes] == ["account intake-plant-a"]
    assert "/bin/bash" in str(changes[0].before)
    assert "sudo" not in str(changes[0].after)


def test_an_account_of_somebody_else_is_never_taken_over() -> None:
    zone = parse_zone(params())
    assert state.foreign(zone, found()) == ""
    other = Account(1000, 1000, "Alice", "/home/alice", "/bin/bash", ())
    assert "intake-plant-a" in state.foreign(zone, found(accounts={"intake-plant-a": other}))


def test_sshd_that_does_otherwise_for_a_sender_fails_the_control() -> None:
    zone = parse_zone(params())
    settings = {**render.effective(zone), "forcecommand": "none"}
    has = found(settings={"intake-plant-a": settings})
    controls = state.findings(zone, has, state.plan(zone, has, True), {})
    assert controls[1]["status"] == "fail"
    assert "forcecommand" in controls[1]["reason"]


def test_a_probe_that_could_do_more_than_upload_fails_the_control() -> None:
    zone = parse_zone(params())
    probes = {"intake-plant-a": {"wrong": ["a sender can list the zone"], "refused": 17}}
    row = state.findings(zone, found(), Plan(), probes)[1]
    assert (row["status"], row["reason"]) == ("fail", "a sender can list the zone")


def test_a_full_zone_is_not_green() -> None:
    zone = parse_zone(params())
    has = found(closed=("intake-plant-a",))
    row = state.findings(zone, has, state.plan(zone, has, True), {})[1]
    assert (row["status"], "full" in row["reason"]) == ("unknown", True)


def test_sshd_whose_settings_cannot_be_read_is_unknown_and_a_service_that_failed_is_red() -> None:
    zone = parse_zone(params())
    has = found(settings={}, settings_error="sshd -T failed")
    assert state.findings(zone, has, Plan(), {})[1]["status"] == "unknown"
    units = {**found().units, "twinguard-intake.service": {"Result": "oom-kill"}}
    service = state.findings(zone, found(units=units), Plan(), {})[0]
    assert (service["status"], "oom-kill" in service["reason"]) == ("fail", True)
    assert "service" in state.failure_message([service])
