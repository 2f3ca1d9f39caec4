# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What cannot sign fails in a sentence that says why, and leaves everything as it was."""

from __future__ import annotations

import secrets
from typing import Any, Dict, Iterator

import lab
import pytest
import signing_lab
from signing_lab import HOSTS, REVOKED, SIGNERS, as_user, files_of, identity

HEX = "0123456789ABCDEF0123"


def somebody(name: str, **more: Any) -> Dict[str, Any]:
    """An identity of one of the users that `SETUP` makes, each with a fault of its own."""
    return {"user": name, "name": name, "email": f"{name}@x.org", "key": "~/key", **more}


# What the run must say, by what is wrong. A user for each, so that one run is enough.
CASES: Dict[str, Dict[str, Any]] = {
    "the key has a passphrase and there is nobody to type it": identity("bob", agent_socket=None),
    "no agent holds the private key": somebody("lonely", key="~/key.pub"),
    "the key file /home/none/none does not exist": somebody("none", key="~/none"),
    "give it mode 0600": somebody("open"),
    "git has no name or email address": {"user": "nameless", "key": "~/key"},
    "does not hold this secret key": somebody("pgp", format="openpgp", key=HEX),
    "gpgsm is not installed": somebody("smime", format="x509", key=HEX),
    "later.inc has the last word": somebody("late"),
    "is longer than 107 bytes": somebody("faraway", format="openpgp", key=None, create=True),
    "the allowed signers have no entry": somebody("impostor", email="alice@example.com"),
}
SETUP = """
for user in lonely none open nameless pgp smime late impostor; do
    id $user >/dev/null 2>&1 || useradd -m -s /bin/bash $user
    cd /home/$user
    [ -e key.pub ] || runuser -u $user -- ssh-keygen -q -t ed25519 -N '' -f /home/$user/key
done
id faraway >/dev/null 2>&1 || useradd -m -d /home/$(printf %0110d 0) faraway
rm -f /home/lonely/key; chmod 644 /home/open/key
printf '[commit]\\n\\tgpgsign = true\\n[include]\\n\\tpath = later.inc\\n' > /home/late/.gitconfig
printf '[commit]\\n\\tgpgsign = false\\n' > /home/late/later.inc
printf '[gpg "ssh"]\\n\\tallowedSignersFile = %s\\n' /etc/twinguard/git/allowed_signers > /home/impostor/.gitconfig
chown late: /home/late/*.inc /home/late/.gitconfig; chown impostor: /home/impostor/.gitconfig
# The package gnupg brings it along.
mv /usr/bin/gpgsm /usr/bin/gpgsm.away
"""
CONFIGS = ("/home/*/.gitconfig", "/home/*/later.inc", "/home/*/.ssh", "/etc/twinguard")


@pytest.fixture(scope="module")
def runs() -> Dict[str, Any]:
    """What one run with all of them says, and the files before and after it."""
    before = {}
    for name in HOSTS:
        lab.shell(name, SETUP)
        before[name] = files_of(name, *CONFIGS)
    run = signing_lab.once(list(CASES.values())).expect_failure(HOSTS)
    told = {}
    for name in HOSTS:
        lab.shell(name, "mv /usr/bin/gpgsm.away /usr/bin/gpgsm")
        controls = signing_lab.result(run, name)["controls"]
        assert {one["status"] for one in controls} == {"fail"}
        told[name] = {one["resource"]: one["reason"] for one in controls}
    after = {name: files_of(name, *CONFIGS) for name in HOSTS}
    return {"told": told, "before": before, "after": after}


@pytest.mark.parametrize("words", list(CASES))
def test_the_reason_is_told(host: str, words: str, runs: Dict[str, Any]) -> None:
    sentence = runs["told"][host][f"user {CASES[words]['user']}"]
    assert words in sentence
    assert "\n" not in sentence


def test_after_all_those_failures_every_file_is_the_old_one(
    host: str, runs: Dict[str, Any]
) -> None:
    assert runs["after"][host] == runs["before"][host]


LINKS = """
for user in reader writer keeper; do
    id $user >/dev/null 2>&1 || useradd -m -s /bin/bash $user
    [ -e /home/$user/key ] || runuser -u $user -- ssh-keygen -q -t ed25519 -N '' -f /home/$user/key
done
printf '[user]\\n' > /root/.gitconfig; chmod 600 /root/.gitconfig; chmod 711 /root
ln -sfn /root/.gitconfig /home/reader/.gitconfig
ln -sfn /etc/gitconfig /home/writer/.gitconfig
ln -sfn /root/keys /home/keeper/.ssh
"""


def test_a_link_in_a_home_leads_root_nowhere() -> None:
    """To a file of root's, to one that root alone may make, and for a key to root's own directory."""
    people = [
        somebody("reader"),
        somebody("writer"),
        somebody("keeper", key="~/.ssh/id", create=True),
    ]
    for name in HOSTS:
        lab.shell(name, LINKS)
    try:
        run = signing_lab.once(people).expect_failure(HOSTS)
        for name in HOSTS:
            controls = signing_lab.result(run, name)["controls"]
            assert [one["status"] for one in controls] == ["fail"] * 3, controls
            assert all("ermission denied" in one["reason"] for one in controls), controls
            assert lab.shell(name, "cat /root/.gitconfig") == "[user]\n"
            assert (
                lab.shell(name, "ls -d /etc/gitconfig /root/keys 2>&1 || true").count("No such")
                == 2
            )
    finally:
        for name in HOSTS:
            lab.shell(name, "rm -rf /root/.gitconfig /home/reader/.gitconfig; chmod 700 /root")


@pytest.fixture
def signers_kept() -> Iterator[None]:
    """Puts the list of who may sign back as it was."""
    both = f"{SIGNERS} {REVOKED}"
    for name in HOSTS:
        lab.shell(name, f"mkdir -p /root/kept && cp -a {both} /root/kept")
    yield
    for name in HOSTS:
        lab.shell(name, "cp -a /root/kept/* /etc/twinguard/git && rm -r /root/kept")


def test_a_revoked_key_counts_no_more_and_the_list_stays_in_force(signers_kept: None) -> None:
    public = {name: as_user(name, "alice", "cat .ssh/id_signing.pub").strip() for name in HOSTS}
    people = [
        {
            "name": f"Alice {number}",
            "principals": ["alice@example.com"],
            "keys": [{"key": line, "revoked": True}],
        }
        for number, line in enumerate(public.values())
    ]
    run = signing_lab.once([identity("alice")], people=people).expect_failure(HOSTS)
    for name in HOSTS:
        assert "the allowed signers have no entry" in signing_lab.control(run, name)["reason"]
        assert public[name].split()[1] in lab.shell(name, f"cat {REVOKED}")
        controls = signing_lab.result(run, name)["controls"]
        signers = next(one for one in controls if one["id"] == "git.signers")
        assert signers["status"] == "fail"
        assert "has no key that is valid now" in signers["reason"]


def test_settings_of_the_system_are_proven_by_a_user(host: str) -> None:
    one = {"scope": "system", "user": "alice", "key": "~/.ssh/id_signing"}
    try:
        run = signing_lab.once([one], [host]).expect_success()
        assert "alice@example.com" in signing_lab.control(run, host)["reason"]
        assert "signingkey = ~/.ssh/id_signing" in lab.shell(host, "cat /etc/gitconfig")
    finally:
        lab.shell(host, "rm -f /etc/gitconfig")


def test_no_run_shows_a_passphrase() -> None:
    """A key is made with it and proves itself with it, and nobody sees it: on the host, in the log, in the output."""
    secret = secrets.token_urlsafe(24)
    forms = lab.forms_of(secret)
    cursors = {}
    for name in HOSTS:
        lab.shell(name, "umask 077; cat > /root/erin.passphrase", stdin=secret + "\n")
        lab.shell(
            name,
            "cd /home/erin; rm -rf .ssh/id_pass* .gitconfig .gnupg; echo the run begins | systemd-cat",
        )
        last = lab.shell(name, "journalctl -n 0 --show-cursor")
        cursors[name] = last.strip().rpartition(" ")[2]
    erin = {
        "user": "erin",
        "name": "E",
        "email": "e@x.org",
        "key": "~/.ssh/id_pass",
        "create": True,
        "passphrase_file": "/root/erin.passphrase",
        "unattended": False,
    }
    watchers = [lab.Helper(at, "secret_watch.py", forms, "processes") for at in (*HOSTS, "")]
    # The second one has no name for its key, so that it is made as well.
    for one in (erin, {**erin, "format": "openpgp", "key": None}):
        run = lab.play(
            signing_lab.SCENARIO / "once.yml",
            {"identities": [one]},
            "-vvvv",
            "--diff",
            callback="ansible.builtin.default",
        )
        assert run.code == 0, run.story()
        lab.expect_hidden(run.stdout + run.stderr, forms, "output")
        assert ("only its owner can type" if one["key"] is None else "is signed by") in run.stdout
    for watcher in watchers:
        report = watcher.result()
        assert report["found"] == []
        assert report["sweeps"] > 10
    for name in HOSTS:
        log = lab.shell(name, f"journalctl --no-pager -o export --after-cursor='{cursors[name]}'")
        assert "git_signing" in log
        lab.expect_hidden(log, forms, "journal")
        search = "grep -rlaF -f /dev/stdin /etc /var /tmp /root /run /home /dev/shm || [ $? -le 2 ]"
        found = lab.shell(name, search, stdin="\n".join(forms) + "\n")
        assert found == "/root/erin.passphrase\n"
        # The key really wants it.
        refused = "ssh-keygen -y -P '' -f ~/.ssh/id_pass >/dev/null 2>&1 || echo refused"
        assert as_user(name, "erin", refused) == "refused\n"
        lab.shell(name, "rm /root/erin.passphrase")
