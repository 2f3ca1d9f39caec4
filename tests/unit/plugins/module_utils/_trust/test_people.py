# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The people who may sign: what is refused, what the trust files say, and that ssh-keygen agrees."""

from __future__ import annotations

import base64
import os
import subprocess
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.twinguard.hardening.plugins.module_utils._core.plan import ControlError
from ansible_collections.twinguard.hardening.plugins.module_utils._trust.allowed_signers import (
    parse_allowed_signers,
    people_of,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._trust.people import (
    Person,
    allowed_signers,
    lint,
    moment,
    parse_people,
    revocations,
    stamp,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._trust.spec import PEOPLE
from ansible_collections.twinguard.hardening.plugins.module_utils._trust.ssh_keys import (
    NotAKey,
    parse_public_key,
    parse_signature,
    weakness,
)
from ansible_collections.twinguard.hardening.tests.unit.support.signing import keygen, ssh_sign

NOW = moment("2026-11-21")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Public key lines by name."""
    place = tmp_path_factory.mktemp("keys")
    made = {name: keygen(place / name) for name in ("alice", "bob")}
    made["ecdsa"] = keygen(place / "ecdsa", "ecdsa", "256")
    made["place"] = str(place)
    return made


def one(key: Any, name: str = "Alice", **more: Any) -> dict[str, Any]:
    item = {"key": key, **more}
    return {"name": name, "principals": [f"{name.lower()}@example.com"], "keys": [item]}


def codes(people: list[Person]) -> list[str]:
    return [fault.code for fault in lint(people, NOW)]


def test_the_file_always_names_a_namespace_and_gives_times_in_utc(keys: dict[str, str]) -> None:
    people = parse_people(
        [one(keys["alice"], valid_after="2026-01-01", valid_before="2027-01-01T01:00:00+01:00")]
    )
    assert allowed_signers(people).decode() == (
        'alice@example.com namespaces="git",valid-after="20260101000000Z",'
        f'valid-before="20270101000000Z" {keys["alice"]}\n'
    )


def test_the_order_of_the_people_changes_no_byte(keys: dict[str, str]) -> None:
    people = parse_people([one(keys["alice"]), one(keys["bob"], "Bob")])
    assert allowed_signers(people) == allowed_signers(people[::-1])
    assert allowed_signers(people).count(b"\n") == 2


def test_what_is_written_is_read_back_as_the_same_people(keys: dict[str, str]) -> None:
    given = one(keys["alice"], namespaces=["git", "twinguard-batch"], valid_before="2027-01-01")
    given["principals"].append("alice@work.example")
    people = parse_people([given])
    entries = parse_allowed_signers(b"# trust\n\n" + allowed_signers(people))
    again = people_of(entries)
    assert again[0].principals == people[0].principals
    assert again[0].keys == people[0].keys


def test_ssh_keygen_accepts_and_refuses_by_the_files(keys: dict[str, str], tmp_path: Path) -> None:
    people = parse_people([one(keys["alice"], valid_before="2026-06-01")])
    (tmp_path / "signers").write_bytes(allowed_signers(people))
    (tmp_path / "none").write_bytes(revocations(people))
    revoked = parse_people([one(keys["alice"], revoked=True)])
    (tmp_path / "revoked").write_bytes(revocations(revoked))
    (tmp_path / "sig").write_bytes(ssh_sign(Path(keys["place"], "alice"), b"hello"))

    def verifies(when: str, revocation: str) -> bool:
        command = ["ssh-keygen", "-Y", "verify", "-I", "alice@example.com", "-n", "git"]
        files = ["-f", "signers", "-s", "sig", "-r", revocation, "-Overify-time=" + when]
        done = subprocess.run(
            command + files, input=b"hello", cwd=tmp_path, capture_output=True, check=False
        )
        return done.returncode == 0

    assert verifies("20260531235959Z", "none")
    assert not verifies("20260601000001Z", "none")
    assert not verifies("20260531235959Z", "revoked")


def test_a_time_without_a_z_is_for_old_programs_that_run_in_utc(keys: dict[str, str]) -> None:
    people = parse_people([one(keys["alice"], valid_before="2026-06-01")])
    assert b'valid-before="20260601000000"' in allowed_signers(people, zulu=False)


def test_a_revoked_key_is_in_the_revocations_and_not_among_the_signers(
    keys: dict[str, str],
) -> None:
    people = parse_people(
        [one(keys["alice"], revoked=True), one(keys["bob"], "Bob", revoked_since="2026-05-01")]
    )
    assert allowed_signers(people) == b""
    assert revocations(people).count(b"\n") == 2
    # The verifier needs the second one, for what was recorded before the key was revoked.
    assert allowed_signers(people, revoked=True).startswith(b"bob@example.com ")
    bob = people[1].keys[0]
    assert bob.revoked_at(moment("2026-05-01"))
    assert not bob.revoked_at(moment("2026-05-01") - 1)
    assert people[0].keys[0].revoked_at(0)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"name": ""}, "people[0].name"),
        ({"name": "A\nB"}, "people[0].name"),
        ({"principals": []}, "people[0].principals"),
        ({"principals": ["*@example.com"]}, "people[0].principals"),
        ({"principals": ["a@b,c@d"]}, "people[0].principals"),
        ({"principals": ["!a@b"]}, "people[0].principals"),
        ({"principals": ["#a"]}, "people[0].principals"),
        ({"principals": ["a b"]}, "people[0].principals"),
        ({"principals": ["a@b\n"]}, "people[0].principals"),
        ({"principals": ['a"b']}, "people[0].principals"),
        ({"mail": "a@b"}, "people[0].mail"),
        ({"keys": [{}]}, "people[0].keys[0]"),
        ({"keys": [{"key": "ssh-ed25519 AAAA", "openpgp": "x"}]}, "people[0].keys[0]"),
        ({"keys": [{"key": "ssh-ed25519 AAAA"}]}, "people[0].keys[0].key"),
        ({"keys": [{"key": "ssh-ed448 AAAA"}]}, "people[0].keys[0].key"),
        ({"keys": [{"key": "-----BEGIN OPENSSH PRIVATE KEY-----\nx"}]}, "people[0].keys[0].key"),
        ({"keys": [{"openpgp": "0xDEADBEEF"}]}, "people[0].keys[0].openpgp"),
        ({"keys": ["ssh-ed25519 AAAA"]}, "people[0].keys[0]"),
    ],
)
def test_bad_people_are_refused_by_name(
    change: dict[str, Any], named: str, keys: dict[str, str]
) -> None:
    with pytest.raises(ControlError) as caught:
        parse_people([{**one(keys["alice"]), **change}])
    assert caught.value.option == named
    assert str(caught.value).count("\n") == 0


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("namespaces", []),
        ("namespaces", ["*"]),
        ("namespaces", ["git,file"]),
        ("valid_after", "yesterday"),
        ("valid_after", "2026-13-01"),
        ("valid_before", "2025-12-31"),
        ("revoked", "no"),
        ("revoked_since", "soon"),
        ("expires", "2026-01-01"),
    ],
)
def test_bad_options_of_a_key_are_refused_by_name(
    option: str, value: Any, keys: dict[str, str]
) -> None:
    with pytest.raises(ControlError) as caught:
        parse_people([one(keys["alice"], **{"valid_after": "2026-01-01", option: value})], "who")
    assert caught.value.option == f"who[0].keys[0].{option}"


def test_a_private_key_pasted_by_mistake_is_not_repeated() -> None:
    with pytest.raises(ControlError) as caught:
        parse_people([one("-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk")])
    assert "b3Bl" not in str(caught.value)


def test_one_name_stands_for_one_person(keys: dict[str, str]) -> None:
    with pytest.raises(ControlError, match="two people have this name"):
        parse_people([one(keys["alice"]), one(keys["bob"])])


def test_a_key_of_two_people_is_found(keys: dict[str, str]) -> None:
    assert codes(parse_people([one(keys["alice"]), one(keys["alice"], "Bob")])) == [
        "shared_key",
        "shared_key",
    ]


def test_an_expired_key_is_found_and_that_nothing_is_left(keys: dict[str, str]) -> None:
    assert codes(parse_people([one(keys["alice"], valid_before="2026-11-21")])) == [
        "expired",
        "no_key",
    ]


def test_weak_keys_are_found_and_good_ones_are_not(keys: dict[str, str], tmp_path: Path) -> None:
    weak, strong = (keygen(tmp_path / bits, "rsa", bits) for bits in ("2048", "3072"))
    assert codes(parse_people([one(weak)])) == ["weak_key"]
    good = {"alice": keys["alice"], "ecdsa": keys["ecdsa"], "rsa": strong}
    assert codes(parse_people([one(key, name) for name, key in good.items()])) == []
    dsa = "ssh-dss AAAAB3NzaC1kc3MAAAABBw=="
    assert "DSA" in str(weakness(parse_public_key(dsa)))


def test_a_line_without_a_namespace_is_found(keys: dict[str, str]) -> None:
    people = people_of(parse_allowed_signers(f"alice@example.com {keys['alice']}\n".encode()))
    assert codes(people) == ["no_namespace"]


@pytest.mark.parametrize(
    "line",
    [
        "alice@example.com",
        "alice@example.com ssh-ed25519 AAAA",
        'alice@example.com namespaces="git KEY',
        'alice@example.com from="*" KEY',
        'alice@example.com namespaces="git",namespaces="file" KEY',
        'alice@example.com valid-after="soon" KEY',
        "*@example.com KEY",
        "a@example.com,!b@example.com KEY",
        "alice@example.com cert-authority KEY",
    ],
)
def test_a_line_that_trusts_unclearly_is_refused(line: str, keys: dict[str, str]) -> None:
    with pytest.raises(ControlError):
        people_of(parse_allowed_signers(line.replace("KEY", keys["alice"]).encode()))


def test_quoted_principals_and_local_times_are_read(keys: dict[str, str]) -> None:
    line = f'"a@b,c@d" valid-after="20260101",namespaces="git,file" {keys["alice"]}'
    (entry,) = parse_allowed_signers(line.encode())
    assert entry.principals == ("a@b", "c@d")
    assert entry.namespaces == ("git", "file")
    assert entry.valid_after == moment("2026-01-01")


def test_all_ways_to_write_a_moment_agree() -> None:
    given = ["2026-01-31", "20260131", "2026-01-31T00:00:00Z", "20260131000000Z", date(2026, 1, 31)]
    given += ["2026-01-31 01:00:00+01:00", "202601310000"]
    assert {moment(one) for one in given} == {1769817600}
    assert stamp(1769817600) == "20260131000000Z"
    assert stamp(253402300800 - 1, zulu=False) == "99991231235959"


def test_the_blob_of_a_key_has_one_text(keys: dict[str, str]) -> None:
    # The last characters before the padding carry bits that decoders ignore.
    key = parse_public_key(keys["ecdsa"])
    sloppy = key.blob.rstrip("=")
    other = sloppy[:-1] + chr(ord(sloppy[-1]) + 1) + "=" * (len(key.blob) - len(sloppy))
    if key.blob.endswith("="):
        assert parse_public_key(f"{key.type} {other}").blob == key.blob
    with pytest.raises(NotAKey):
        parse_public_key(f"ssh-ed25519 {key.blob}")


def test_a_signature_says_its_key_and_namespace(keys: dict[str, str]) -> None:
    armored = ssh_sign(Path(keys["place"], "alice"), b"hello", "file")
    found = parse_signature(armored)
    assert found.key.line in keys["alice"]
    assert found.namespace == "file"
    shown = subprocess.run(
        ["ssh-keygen", "-lf", os.path.join(keys["place"], "alice.pub")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.key.fingerprint in shown.stdout


def test_damaged_signatures_are_refused_and_never_crash(keys: dict[str, str]) -> None:
    armored = ssh_sign(Path(keys["place"], "alice"), b"hello")
    parse_signature(armored)
    lines = armored.splitlines(keepends=True)
    for broken in (b"", armored[:-10], b"".join(lines[1:]), lines[0] + lines[-1]):
        with pytest.raises(NotAKey):
            parse_signature(broken)
    with pytest.raises(NotAKey):
        parse_signature(b"".join([lines[0], b"A" * 90000, b"\n", lines[-1]]))
    data = base64.b64decode(b"".join(lines[1:-1]))
    for other in (
        data + b"x",
        b"x" + data,
        data[:-1],
        data.replace(b"SSHSIG\0\0\0\x01", b"SSHSIG\0\0\0\x02"),
    ):
        with pytest.raises(NotAKey):
            parse_signature(lines[0] + base64.b64encode(other) + b"\n" + lines[-1])
    for place in range(len(lines[0]), len(armored) - len(lines[-1])):
        damaged = armored[:place] + b"!" + armored[place + 1 :]
        with pytest.raises(NotAKey):
            parse_signature(damaged)


def test_the_option_of_the_modules_has_what_is_parsed(keys: dict[str, str]) -> None:
    every = dict.fromkeys(PEOPLE["options"]["keys"]["options"])
    given = {**one(keys["alice"]), "keys": [{**every, "key": keys["alice"], "revoked": False}]}
    assert set(given) == set(PEOPLE["options"])
    assert parse_people([given])[0].name == "Alice"
