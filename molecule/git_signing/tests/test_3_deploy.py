# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A deployment by the role, as the owner of the work tree: verified before anything is touched."""

from __future__ import annotations

import lab
import signing_lab
from signing_lab import HOSTS, as_user


def deploy(*arguments: str) -> lab.Run:
    """Run the role's deployment on both workstations."""
    keys = {name: as_user(name, "dave", "cat .ssh/id_signing.pub").strip() for name in HOSTS}
    variables = {"branch": "deploy", "dave_keys": keys}
    return lab.play(signing_lab.SCENARIO / "deploy.yml", variables, *arguments)


def commit(host: str, name: str, options: str = "") -> None:
    """Have dave put a file onto the branch."""
    as_user(
        host,
        "dave",
        f"cd /srv/twin && echo {name} > {name} && git add {name} && git commit -q {options} -m {name}",
    )


def test_only_what_dave_has_signed_is_deployed() -> None:
    for name in HOSTS:
        lab.shell(name, "rm -rf /home/dave/app")
        as_user(
            name, "dave", "cd /srv/twin && git checkout -q --orphan deploy; git rm -rfq . || true"
        )
        commit(name, "one")
    run = deploy().expect_success()
    assert run.changed == dict.fromkeys(HOSTS, 1)
    assert deploy().expect_success().changed == dict.fromkeys(HOSTS, 0)
    for name in HOSTS:
        assert lab.shell(name, "stat -c %U /home/dave/app/one") == "dave\n"
        commit(name, "evil", "--no-gpg-sign")
        commit(name, "nice")
        before = signing_lab.files_of(name, "/home/dave/app/*")
        assert "one" in before
    run = deploy().expect_failure(HOSTS)
    for name in HOSTS:
        assert "are not acceptable" in run.failure(name)
        assert lab.shell(name, "ls /home/dave/app") == "one\n"
    for name in HOSTS:
        as_user(
            name,
            "dave",
            "cd /srv/twin && git checkout -q -f main 2>/dev/null || git checkout -qf master || true",
        )
        as_user(name, "dave", "cd /srv/twin && git branch -qD deploy || true")
