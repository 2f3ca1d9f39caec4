# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What cannot sign fails in a sentence that says why, and leaves everything as it was."""

from __future__ import annotations

import secrets
from typing import Any, Dict, Iterator, List

import lab
import pytest
import signing_lab
from signing_lab import HOSTS, REVOKED, SIGNERS, as_user, files_of, identity

# What the run must say, by what is wrong; erin is set up for each of them by `broken`.
CASES: Dict[str, Dict[str, Any]] = {
    "the key has a passphrase and nobody to type it": identity("bob", agent_socket=None),
    "no agent that holds its private half": identity(
        "bob", key="~/.ssh/lonely.pub", agent_socket=None
    ),
    "there is no key file /home/erin/.ssh/none": {
        "user": "erin",
        "name": "E",
        "email": "e@x.org",
        "key": "~/.ssh/none",
    },
    "give it mode 0600": {"user": "erin", "name": "E", "email": "e@x.org", "key": "~/.ssh/open"},
    "git knows no name or address": {"user": "erin", "key": "~/.ssh/good"},
    "no such secret key": {
        "user": "erin",
        "name": "E",
        "email": "e@x.org",
        "format": "openpgp",
        "key": "0123456789ABCDEF",
    },
    "gpgsm is not installed": {
        "user": "erin",
        "name": "E",
        "email": "e@x.org",
        "format": "x509",
        "key": "0123456789ABCDEF0123",
    },
    "erin.inc has the last word": {
        "user": "grace",
        "name": "G",
        "email": "g@x.org",
        "key": "/home/grace/key",
    },
    "no entry of the allowed signers": {
        "user": "mallory",
        "name": "A",
        "email": "alice@example.com",
        "key": "~/key",
    },
}
SETUP = """
key() { [ -e $2.pub ] || runuser -u $1 -- ssh-keygen -q -t ed25519 -N '' -f $2; }
id grace >/dev/null 2>&1 || useradd -m -s /bin/bash grace
rm -f /home/erin/.gitconfig
install -d -o erin -g erin -m 700 /home/erin/.ssh
key erin /home/erin/.ssh/good; key erin /home/erin/.ssh/open; chmod 644 /home/erin/.ssh/open
key bob /home/bob/.ssh/lonely; rm -f /home/bob/.ssh/lonely
key grace /home/grace/key; key mallory /home/mallory/key
printf '[commit]\\n\\tgpgsign = true\\n[include]\\n\\tpath = erin.inc\\n' > /home/grace/.gitconfig
printf '[commit]\\n\\tgpgsign = false\\n' > /home/grace/erin.inc
printf '[gpg "ssh"]\\n\\tallowedSignersFile = %s\\n' /etc/twinguard/git/allowed_signers > /home/mallory/.gitconfig
chown grace: /home/grace/.gitconfig /home/grace/erin.inc; chown mallory: /home/mallory/.gitconfig
"""
CONFIGS = ("/home/*/.gitconfig", "/home/*/erin.inc", "/home/*/.ssh", "/etc/twinguard")


@pytest.fixture(scope="module")
def runs() -> Dict[str, Any]:
    """One run for each user's sake would take minutes: what is told comes from as few runs as can be."""
    before = {}
    for name in HOSTS:
        lab.shell(name, SETUP)
        before[name] = files_of(name, *CONFIGS)
        # The package gnupg brings it along.
        lab.shell(name, "mv /usr/bin/gpgsm /usr/bin/gpgsm.away")
    waves: List[List[str]] = []
    for words, one in CASES.items():
        wave = next((w for w in waves if one["user"] not in [CASES[x]["user"] for x in w]), None)
        if wave is None:
            waves.append([words])
        else:
            wave.append(words)
    told: Dict[str, Dict[str, str]] = {name: {} for name in HOSTS}
    for wave in waves:
        run = signing_lab.once([CASES[words] for words in wave]).expect_failure(HOSTS)
        for name in HOSTS:
            controls = signing_lab.result(run, name)["controls"]
            assert {one["status"] for one in controls} == {"fail"}
            by_user = {one["resource"]: one["reason"] for one in controls}
            told[name].update({words: by_user[f"user {CASES[words]['user']}"] for words in wave})
            assert signing_lab.result(run, name)["changed"] in (True, False)
    for name in HOSTS:
        lab.shell(name, "mv /usr/bin/gpgsm.away /usr/bin/gpgsm")
    after = {name: files_of(name, *CONFIGS) for name in HOSTS}
    return {"told": told, "before": before, "after": after}


@pytest.mark.parametrize("words", list(CASES))
def test_the_reason_is_told(host: str, words: str, runs: Dict[str, Any]) -> None:
    sentence = runs["told"][host][words]
    assert words in sentence
    assert "\n" not in sentence


def test_after_all_those_failures_every_file_is_the_old_one(
    host: str, runs: Dict[str, Any]
) -> None:
    assert runs["after"][host] == runs["before"][host]


def test_a_link_in_a_home_leads_root_nowhere() -> None:
    """Mallory points her settings at a file of root's, and at one that root alone may make."""
    for name in HOSTS:
        lab.shell(name, "printf '[user]\\n' > /root/.gitconfig; chmod 600 /root/.gitconfig")
        lab.shell(name, "chmod 711 /root; ln -sfn /root/.gitconfig /home/mallory/.gitconfig")
    one = {"user": "mallory", "name": "M", "email": "m@x.org", "key": "~/key"}
    try:
        run = signing_lab.once([one]).expect_failure(HOSTS)
        for name in HOSTS:
            assert "Permission denied" in run.failure(name) or "ermission" in run.failure(name)
            assert lab.shell(name, "cat /root/.gitconfig") == "[user]\n"
            lab.shell(name, "ln -sfn /etc/gitconfig /home/mallory/.gitconfig")
        run = signing_lab.once([one]).expect_failure(HOSTS)
        for name in HOSTS:
            assert lab.shell(name, "test -e /etc/gitconfig || echo none") == "none\n"
            lab.shell(name, "rm /home/mallory/.gitconfig; ln -sfn /root/keys /home/mallory/.ssh")
        made = {**one, "key": "~/.ssh/id", "create": True}
        run = signing_lab.once([made]).expect_failure(HOSTS)
        for name in HOSTS:
            assert lab.shell(name, "test -e /root/keys || echo none") == "none\n"
    finally:
        for name in HOSTS:
            lab.shell(
                name,
                "rm -rf /home/mallory/.gitconfig /home/mallory/.ssh /root/.gitconfig; chmod 700 /root",
            )


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
        assert "no entry of the allowed signers" in signing_lab.control(run, name)["reason"]
        assert public[name].split()[1] in lab.shell(name, f"cat {REVOKED}")
        controls = signing_lab.result(run, name)["controls"]
        signers = next(one for one in controls if one["id"] == "git.signers")
        assert signers["status"] == "fail"
        assert "has no key that is valid now" in signers["reason"]


def test_settings_of_the_system_are_proven_by_a_user(host: str) -> None:
    one = {"scope": "system", "user": "alice", "key": "~/.ssh/id_signing"}
    try:
        run = signing_lab.once([one], "--limit", host).expect_success()
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
