# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sending side: jobs that cannot be are refused, and only what is whole gets its name in the zone."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.twinguard.hardening.plugins.module_utils._core.plan import ControlError
from ansible_collections.twinguard.hardening.plugins.module_utils._host.run_io import Done
from ansible_collections.twinguard.hardening.plugins.module_utils._intake.sender import sender_io
from ansible_collections.twinguard.hardening.plugins.module_utils._intake.sender import (
    upload as send,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._intake.sender.job import (
    job_files,
    parse_jobs,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._intake.sender.spec import (
    ARGUMENT_SPEC,
)
from ansible_collections.twinguard.hardening.tests.unit.support.intake import (
    BATCH,
    HOST_KEY,
    PEM,
)

RECEIVER = {
    "host": "intake.example.com",
    "port": 22,
    "account": "intake-a",
    "host_keys": [HOST_KEY],
}


def job(**changes: Any) -> dict[str, Any]:
    options = ARGUMENT_SPEC["jobs"]["options"]
    defaults = {name: option.get("default") for name, option in options.items()}
    given = {"name": "pumps", "sources": ["/srv/data"], "sender": "plant-a", "recipients": [PEM]}
    return {**defaults, **given, "receiver": RECEIVER, **changes}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": "Pumps!"}, ["name", "Pumps!"]),
        ({"sources": []}, ["sources", "nothing"]),
        ({"sources": ["data"]}, ["sources[0]", "data"]),
        ({"sources": ["/srv/../etc"]}, ["sources[0]"]),
        ({"sender": "a b"}, ["sender", "a b"]),
        ({"recipients": []}, ["recipients", "passphrase_file"]),
        ({"passphrase_file": "/p"}, ["recipients", "not both"]),
        ({"recipients": ["-----BEGIN PRIVATE KEY-----"]}, ["recipients[0]"]),
        ({"receiver": {**RECEIVER, "host": "-oProxyCommand=x"}}, ["receiver.host"]),
        ({"receiver": {**RECEIVER, "host": "a b"}}, ["receiver.host"]),
        ({"receiver": {**RECEIVER, "port": 0}}, ["receiver.port"]),
        ({"receiver": {**RECEIVER, "account": "a@b"}}, ["receiver.account"]),
        ({"receiver": {**RECEIVER, "host_keys": []}}, ["host_keys", "any host"]),
        ({"receiver": {**RECEIVER, "host_keys": ["x"]}}, ["host_keys[0]"]),
        ({"schedule": "hourly\nUser=root"}, ["schedule"]),
        ({"memory_max": "lots"}, ["memory_max"]),
        ({"groups": ["a b"]}, ["groups"]),
        ({"signing_key": "key"}, ["signing_key"]),
    ],
)
def test_an_invalid_job_is_refused_in_one_sentence(
    changes: dict[str, Any], words: list[str]
) -> None:
    with pytest.raises(ControlError) as error:
        parse_jobs({"jobs": [job(**changes)]})
    sentence = str(error.value)
    assert "\n" not in sentence
    assert not [word for word in words if word not in sentence], sentence


def test_two_jobs_of_one_name_are_refused() -> None:
    with pytest.raises(ControlError, match="another job"):
        parse_jobs({"jobs": [job(), job()]})


def test_the_files_of_a_job_pin_the_receiver_and_name_no_secret() -> None:
    only = parse_jobs({"jobs": [job(recipients=[PEM, PEM], groups=["telemetry"])]})[0]
    files = job_files(only, "/lib")
    assert files["/etc/twinguard/sender/pumps/known_hosts"].decode() == (
        f"intake.example.com {HOST_KEY}\n"
    )
    config = json.loads(files["/etc/twinguard/sender/pumps/job.json"])
    assert len(config["recipients"]) == 2
    assert config["secrets"]["login_key"] == "/etc/twinguard/sender/pumps/login_key"
    service = files["/etc/systemd/system/twinguard-send-pumps.service"].decode()
    assert "SupplementaryGroups=telemetry\n" in service
    assert "OnCalendar=hourly\n" in files["/etc/systemd/system/twinguard-send-pumps.timer"].decode()
    on_demand = parse_jobs({"jobs": [job(schedule="")]})[0]
    assert not [path for path in job_files(on_demand, "/lib") if path.endswith(".timer")]


def test_only_the_pinned_host_and_the_given_key_count() -> None:
    words = send.sftp_command(
        {"host": "2001:db8::1", "port": "2222", "account": "a"}, "/run/key", "/etc/known"
    )
    assert words[-1] == "a@[2001:db8::1]"
    for option in (
        "StrictHostKeyChecking=yes",
        "UserKnownHostsFile=/etc/known",
        "GlobalKnownHostsFile=/dev/null",
        "IdentitiesOnly=yes",
        "HostKeyAlias=2001:db8::1",
    ):
        assert option in words
    assert words[words.index("-F") + 1] == "none"
    # It would hide that the host key is another one.
    assert "-q" not in words


WRONG_KEY = (
    b"Host key for intake.example.com has changed and you have requested strict checking.\r\n"
    b"Host key verification failed.\r\nConnection closed\r\n"
)
REFUSED = b"intake-a@intake.example.com: Permission denied (publickey).\r\nConnection closed\r\n"


@pytest.mark.parametrize(
    ("code", "errors", "status", "words"),
    [
        (0, b"", "pass", "has the pinned host key"),
        (255, WRONG_KEY, "fail", "Host key verification failed."),
        (255, REFUSED, "unknown", "Permission denied (publickey)."),
        (255, b"Connection closed\r\n", "unknown", "Connection closed"),
    ],
)
def test_a_wrong_host_key_fails_and_a_refused_login_is_unknown(
    monkeypatch: pytest.MonkeyPatch, code: int, errors: bytes, status: str, words: str
) -> None:
    """The errors are those that OpenSSH 9.2 printed when these words were run against a real sshd."""
    monkeypatch.setattr(sender_io, "program", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(sender_io, "run", lambda *_words: Done(code, b"sftp> pwd\n", errors))
    host = sender_io.Host({"jobs": [job()], "verify": True, "send_now": False})
    found = host.log_in(host.jobs[0])
    assert found[0] == status
    assert words in found[1]


def test_a_batch_without_its_manifest_is_not_sent_and_the_manifest_goes_last() -> None:
    names = [f"{BATCH}{suffix}" for suffix in (".manifest.json", ".data.enc", ".manifest.json.sig")]
    other = BATCH.replace("9f", "aa")
    found = send.batches([*names, other + ".data.enc", ".tg-seal-0"])
    assert list(found) == [BATCH]
    assert found[BATCH][-1] == BATCH + ".manifest.json"
    assert len(found[BATCH]) == 3


def test_what_is_there_is_not_sent_again_and_what_is_other_is_named() -> None:
    output = (
        b"sftp> -ls -l a.data.enc\n"
        b"----------    ? 999      996          3088 Nov 21 11:22 a.data.enc\n"
        b"sftp> -ls -l a.key.cms\n"
        b"-rw-r-----    1 intake-a intake-a       12 Nov 21  2025 /drop/a.key.cms\n"
    )
    there = send.parse_sizes(output)
    assert there == {"a.data.enc": 3088, "a.key.cms": 12}
    sizes = [("a.data.enc", 3088), ("a.index.enc", 7), ("a.manifest.json", 1)]
    assert send.missing(sizes, there) == (["a.index.enc", "a.manifest.json"], None)
    assert send.missing([("a.key.cms", 13)], there)[1] == "a.key.cms"


def test_a_file_gets_its_name_only_when_all_of_it_is_there() -> None:
    lines = send.uploads("/out", ["a", "b"], "t0").decode().splitlines()
    assert lines == [
        "put /out/a a.part-t0",
        "rename a.part-t0 a",
        "put /out/b b.part-t0",
        "rename b.part-t0 b",
    ]


@pytest.mark.parametrize("manifest", [b"", b"[]", b"{", b'{"sequence": "7"}', b"\xff"])
def test_a_malformed_manifest_has_no_sequence(manifest: bytes) -> None:
    assert send.sequence(manifest) == -1


def test_the_sequence_is_read_from_the_manifest() -> None:
    assert send.sequence(b'{"sequence": 7}') == 7
