# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What people commit is signed, and verifies for them alone."""

from __future__ import annotations

import lab
import signing_lab
from signing_lab import AGENT, HOSTS, SIGNERS, as_user, new_commit, said_to, verdict

MODULES_MAX = 6  # the playbook of the scenario has the role twice


def test_a_second_run_changes_nothing_and_starts_few_modules() -> None:
    run = signing_lab.converge().expect_success()
    assert run.changed == dict.fromkeys(HOSTS, 0)
    for name in HOSTS:
        modules = [one for one in run.results[name] if "invocation" in one or "controls" in one]
        assert len(modules) <= MODULES_MAX
        controls = signing_lab.result(run, name)["controls"]
        assert [one["status"] for one in controls] == ["pass"] * 5, controls
        assert [one["id"] for one in controls] == ["git.signers"] + ["git.signing"] * 4


def test_a_plain_commit_is_signed_and_counts_for_its_committer(host: str) -> None:
    place = new_commit(host, "alice")
    letter, signer, fingerprint, address = verdict(host, "alice", place)
    assert (letter, signer, address) == ("G", "alice@example.com", "alice@example.com")
    public = as_user(host, "alice", "ssh-keygen -lf ~/.ssh/id_signing.pub").split()[1]
    assert fingerprint == public
    as_user(host, "alice", f"cd {place} && git tag -m release v1 && git verify-tag v1")


def test_everybody_knows_whose_signatures_count(host: str) -> None:
    place = new_commit(host, "alice")
    bundle = "/tmp/of-alice.bundle"
    as_user(host, "alice", f"git -C {place} bundle create -q {bundle} HEAD && chmod a+r {bundle}")
    # Bob has never met Alice: the list is the one of the host.
    told = as_user(
        host,
        "bob",
        f"rm -rf check; git init -q check && git -C check fetch -q {bundle} HEAD"
        " && git -C check verify-commit FETCH_HEAD 2>&1",
    )
    lab.shell(host, f"rm {bundle}")
    assert 'Good "git" signature for alice@example.com' in told


def test_a_key_with_a_passphrase_signs_by_its_agent_and_not_without(host: str) -> None:
    place = new_commit(host, "bob", f"SSH_AUTH_SOCK={AGENT}")
    assert verdict(host, "bob", place)[:2] == ["G", "bob@example.com"]
    # Without the agent there is no commit at all: better than one without a signature.
    told = said_to(
        host,
        "bob",
        f"cd {place} && SSH_ASKPASS_REQUIRE=never git commit -qm y --allow-empty </dev/null",
    )
    assert told.endswith("code 128\n")
    assert as_user(host, "bob", f"git -C {place} log --format=%s") == "x\n"


def test_openpgp_signatures_verify(host: str) -> None:
    place = new_commit(host, "carol")
    letter, signer, _key, _address = verdict(host, "carol", place)
    assert (letter, signer) == ("G", "Carol <carol@example.com>")


def test_a_repository_signs_and_its_owners_other_repositories_do_not(host: str) -> None:
    as_user(host, "dave", "cd /srv/twin && git commit -qm x --allow-empty")
    assert verdict(host, "dave", "/srv/twin")[:2] == ["G", "dave@example.com"]
    who = "GIT_AUTHOR_NAME=D GIT_AUTHOR_EMAIL=d@x GIT_COMMITTER_NAME=D GIT_COMMITTER_EMAIL=d@x"
    assert verdict(host, "dave", new_commit(host, "dave", who))[0] == "N"


def test_files_belong_to_their_users_and_nothing_of_a_proof_is_left(host: str) -> None:
    owners = "stat -c %U:%a:%n /home/alice/.gitconfig /home/alice/.ssh /home/alice/.ssh/id_signing"
    assert lab.shell(host, owners).splitlines() == [
        "alice:644:/home/alice/.gitconfig",
        "alice:700:/home/alice/.ssh",
        "alice:600:/home/alice/.ssh/id_signing",
    ]
    assert lab.shell(host, f"stat -c %U:%a {SIGNERS}") == "root:644\n"
    assert lab.shell(host, "find /tmp /home /srv -name 'twinguard-git-*' -o -name '.tg-*'") == ""
    assert "proof" not in as_user(host, "dave", "git -C /srv/twin log --all --format=%s")


def test_drift_is_seen_by_check_mode_and_healed_by_a_run() -> None:
    drift = "git config --global --unset-all commit.gpgSign; git config --global gpg.format openpgp"
    for name in HOSTS:
        as_user(name, "alice", drift)
    run = signing_lab.once([signing_lab.identity("alice")], check=True).expect_success()
    for name in HOSTS:
        found = signing_lab.control(run, name)
        assert found["status"] == "fail"
        assert found["reason"] == "not as wanted: gpg.format, commit.gpgSign"
    run = signing_lab.once([signing_lab.identity("alice")]).expect_success()
    assert run.changed == dict.fromkeys(HOSTS, 1)
    for name in HOSTS:
        assert signing_lab.control(run, name)["status"] == "pass"


def test_comments_includes_and_other_peoples_settings_stay(host: str) -> None:
    own = "# mine\n[alias]\n\tst = status  # often\n[include]\n\tpath = ~/more\n"
    own += '[remote "x"]\n\tfetch = a\n\tfetch = b\n'
    lab.shell(host, "userdel -rf frank 2>/dev/null || true; useradd -m -s /bin/bash frank")
    as_user(host, "frank", "cat > .gitconfig; printf '[core]\\n\\teditor = vi\\n' > more", own)
    frank = {"user": "frank", "name": "F", "email": "f@x.org", "key": "~/.ssh/new", "create": True}
    run = signing_lab.once([frank], [host]).expect_success()
    assert signing_lab.control(run, host)["status"] == "pass"
    assert as_user(host, "frank", "cat .gitconfig").startswith(own)
    assert (
        as_user(host, "frank", "git config --get-all remote.x.fetch; git config core.editor")
        == "a\nb\nvi\n"
    )
