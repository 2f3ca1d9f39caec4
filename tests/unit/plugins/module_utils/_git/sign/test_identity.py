# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who signs with what, and what failures mean: decisions only."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.twinguard.hardening.plugins.module_utils._core.plan import ControlError
from ansible_collections.twinguard.hardening.plugins.module_utils._git.sign import (
    identity as signing,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._git.sign.reasons import explain
from ansible_collections.twinguard.hardening.plugins.module_utils._git.sign.spec import (
    ARGUMENT_SPEC,
)

OPTIONS = ARGUMENT_SPEC["identities"]["options"]
LINE = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILEhHBHmBXM1NDJUwTrzSjo+5EBO7gMaoxvBhXdAhSmm"


def item(**given: Any) -> dict[str, Any]:
    """One identity as Ansible hands it over."""
    defaults = {name: option.get("default") for name, option in OPTIONS.items()}
    return {**defaults, "user": "alice", "key": "~/.ssh/id", **given}


def one(**given: Any) -> signing.Identity:
    return signing.parse_identities([item(**given)])[0]


def test_what_is_not_given_is_left_alone() -> None:
    assert signing.desired(one(), "~/.ssh/id", None) == {
        "gpg.format": "ssh",
        "user.signingkey": "~/.ssh/id",
        "commit.gpgSign": "true",
        "tag.gpgSign": "true",
    }


def test_all_that_is_given_is_wanted() -> None:
    wanted = signing.desired(
        one(name="A", email="a@x.org", min_trust_level="fully", sign_tags=False), "k", ("/s", "/r")
    )
    assert wanted["gpg.ssh.allowedSignersFile"] == "/s"
    assert wanted["gpg.ssh.revocationFile"] == "/r"
    assert wanted["tag.gpgSign"] == "false"
    assert (wanted["user.name"], wanted["user.email"]) == ("A", "a@x.org")
    assert wanted["gpg.minTrustLevel"] == "fully"


def test_the_list_of_signers_is_for_ssh_alone() -> None:
    pgp = one(format="openpgp", key="0123456789ABCDEF")
    assert "gpg.ssh.allowedSignersFile" not in signing.desired(pgp, "k", ("/s", "/r"))


def test_identities_come_in_the_order_in_which_git_reads_their_files() -> None:
    scopes: list[dict[str, Any]] = [
        {"scope": "repository", "repository": "/srv/x"},
        {"scope": "user"},
        {"scope": "system", "user": None},
    ]
    found = signing.parse_identities([item(**scope) for scope in scopes])
    assert [entry.scope for entry in found] == ["system", "user", "repository"]
    assert [entry.resource for entry in found] == ["system", "user alice", "/srv/x"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"user": None}, "name the user"),
        ({"repository": "/x"}, "scope repository"),
        ({"scope": "repository", "user": None}, "give a path"),
        ({"scope": "repository", "repository": "x"}, "not absolute"),
        ({"key": None}, "neither a file nor a key"),
        ({"key": "id"}, "neither a file nor a key"),
        ({"key": "key::nonsense"}, "key::ssh-ed25519"),
        ({"key": "-----BEGIN OPENSSH PRIVATE KEY-----"}, "this is a private key"),
        ({"key": "~/a\nb"}, "control character"),
        ({"key": "key::" + LINE, "create": True}, "private file"),
        ({"key": "~/.ssh/id.pub", "create": True}, "private file"),
        ({"scope": "system", "create": True}, "private file"),
        ({"format": "openpgp"}, "not a fingerprint"),
        ({"format": "openpgp", "key": None}, "which key"),
        ({"format": "openpgp", "key": None, "create": True}, "owner"),
        ({"format": "x509", "key": "0123456789ABCDEF", "create": True}, "issued, not made"),
        ({"passphrase_file": "secret"}, "not absolute"),
        ({"agent_socket": "agent"}, "not absolute"),
        ({"agent_socket": "/" + "a" * 107}, "at most 107 bytes"),
        ({"email": "a b@x"}, "not an email address"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ControlError) as refused:
        one(**given)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)
    assert "OPENSSH" not in str(refused.value)


def test_one_place_is_named_once() -> None:
    with pytest.raises(ControlError, match="named twice"):
        signing.parse_identities([item(), item(key="~/.ssh/other")])


def test_a_key_may_be_its_public_half_or_a_fingerprint() -> None:
    assert one(key="key::" + LINE).literal
    assert not one(key="/etc/ci/key").literal
    assert one(format="openpgp", key="0x0123456789abcdef!").key


def test_the_signature_is_taken_out_of_the_commit() -> None:
    raw = (
        b"tree t\nauthor A <a@x> 1 +0000\ncommitter A <a@x.org> 1 +0000\n"
        b"gpgsig L1\n L2\n  L3\nencoding x\n\nbody\n gpgsig no\n"
    )
    payload, signature = signing.split_signature(raw)
    assert signature == b"L1\nL2\n L3\n"
    assert payload == raw.replace(b"gpgsig L1\n L2\n  L3\n", b"")
    assert signing.committer(raw) == "a@x.org"
    assert signing.split_signature(payload) == (payload, b"")


def test_only_keys_that_can_sign_are_taken_from_the_keyring() -> None:
    colons = (
        "sec:e:255:22:A:1:2::u:::scSC:::+::ed25519:::0:\nfpr:::::::::EXPIRED:\n"
        "sec:u:255:22:B:1:::u:::cC:::+::ed25519:::0:\nfpr:::::::::CERTIFIES:\n"
        "sec:u:255:22:C:1:::u:::scSC:::+::ed25519:::0:\nfpr:::::::::GOOD:\nssb:u:::::::::::\nfpr:::::::::SUB:\n"
    )
    assert signing.secret_keys(colons) == ["GOOD"]


def test_gpg_names_the_key_that_signed() -> None:
    status = "[GNUPG:] NEWSIG\n[GNUPG:] VALIDSIG SUB 2026-01-01 1 0 4 0 22 8 00 PRIMARY\n"
    assert signing.valid_signature(status) == ("SUB", "PRIMARY")
    assert signing.valid_signature("[GNUPG:] ERRSIG X\n") == ("", "")


@pytest.mark.parametrize(
    ("said", "git", "old"),
    [
        ("git version 2.30.2", "ssh", True),
        ("git version 2.34.1", "ssh", False),
        ("?", "ssh", False),
    ],
)
def test_an_old_git_is_told_so(said: str, git: str, old: bool) -> None:
    assert bool(signing.too_old(one(format=git), signing.version(said))) is old


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        (
            'Load key "k": incorrect passphrase supplied to decrypt private key',
            "passphrase",
            "agent",
        ),
        ("gpg: signing failed: Inappropriate ioctl for device", "passphrase", "agent"),
        (
            'error: No private key found for "/tmp/.git_signing_key_tmpVmQFX2"?',
            "agent",
            "agent_socket",
        ),
        (
            "error: Couldn't load public key /k: No such file or directory?",
            "key",
            "key file /k does not exist",
        ),
        (
            "Permissions 0644 for '/k' are too open.\nNo private key found for \"/k\"",
            "mode",
            "0600",
        ),
        ("error: cannot run gpgsm: No such file or directory", "program", "gpgsm is not installed"),
        ("Author identity unknown\n\n*** Please tell me who you are.", "author", "name and email"),
        ("fatal: invalid value for 'gpg.format': 'ssh'", "version", "2.34"),
        ("unknown option -- Y", "version", "8.2"),
        (
            "gpg: can't connect to the agent: IPC connect call failed",
            "socket",
            "cannot reach its agent",
        ),
        ("No principal matched.", "trust", "allowed signers"),
        ("git took longer than 30 seconds", "time", "touch"),
        ("error: something new\nfatal: failed to write commit object", "other", "something new"),
        ("", "other", "gave no reason"),
    ],
)
def test_each_failure_has_its_sentence(said: str, kind: str, words: str) -> None:
    found, sentence = explain(said)
    assert found == kind
    assert words in sentence
    assert "\n" not in sentence
