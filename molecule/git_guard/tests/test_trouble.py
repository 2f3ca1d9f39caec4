# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""When something goes wrong on the server, or midway: refused, never accepted, and whole again afterwards."""

from __future__ import annotations

import subprocess
from typing import Iterator

import git_server_lab as git_lab
import lab
import pytest

POLICY = "/etc/twinguard/git-guard/policy.json"
FAULTS = {
    "broken policy": f"cp -p {POLICY} /root/kept; truncate -s 100 {POLICY}",
    "policy that others could write": f"cp -p {POLICY} /root/kept; chmod 0666 {POLICY}",
    "policy that the owner made": f"cp -p {POLICY} /root/kept; chown git {POLICY}",
    "no program": "mv /usr/local/lib/twinguard/git-guard /root/kept",
    "no ssh-keygen": "mv /usr/bin/ssh-keygen /root/kept",
    "no place for the record": "mv /var/lib/twinguard/git-guard/repositories /root/kept",
}
BACK = {
    "no program": "mv /root/kept /usr/local/lib/twinguard/git-guard",
    "no ssh-keygen": "mv /root/kept /usr/bin/ssh-keygen",
    "no place for the record": "mv /root/kept /var/lib/twinguard/git-guard/repositories",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_guard_that_cannot_do_its_work_refuses(fault: str) -> None:
    server = git_lab.SERVERS[0]
    name = fault.replace(" ", "-")
    lab.shell(server, FAULTS[fault])
    try:
        ok, said = git_lab.good_push(server, name)
    finally:
        lab.shell(server, BACK.get(fault, f"mv /root/kept {POLICY}"))
    assert not ok, said
    assert "pre-receive hook declined" in said
    assert git_lab.good_push(server, name)[0]


def test_a_hook_that_is_killed_refuses(server: str) -> None:
    killer = (
        "n=0; while [ $n -lt 500 ]; do n=$((n + 1)); pid=$(pgrep -f 'IS[B] hooks/pre-receive') &&"
        " kill -9 $pid && echo killed && exit 0; sleep 0.02; done"
    )
    with subprocess.Popen(
        lab.exec_in(server, "sh", "-c", killer), stdout=subprocess.PIPE, text=True
    ) as process:
        ok, said = git_lab.done(
            git_lab.start("long_push", server, f"killed-{git_lab.RUN}", commits=40)
        )
        out, _none = process.communicate(timeout=60)
    assert "killed" in out
    assert not ok, said
    assert f"refs/heads/release/killed-{git_lab.RUN}" not in refs_of(server)


def test_a_client_that_dies_midway_leaves_all_or_nothing(server: str) -> None:
    name = f"cut-{git_lab.RUN}"
    found = git_lab.done(git_lab.start("cut_pushes", server, name, commits=15, tries=5))
    value = refs_of(server).get(f"refs/heads/release/{name}", "")
    assert value in ("", *found["tips"])
    assert git_lab.good_push(server, "after-cut")[0]
    lab.shell(
        server,
        "setpriv --reuid=git --regid=git --init-groups git -C /srv/git/models.git fsck --strict",
    )


def test_a_replace_ref_that_is_there_already_stops_pushes_until_it_is_gone(server: str) -> None:
    as_git = "setpriv --reuid=git --regid=git --init-groups git -C /srv/git/models.git"
    one = "refs/replace/" + "1" * 40
    lab.shell(server, f"{as_git} update-ref {one} $({as_git} rev-list --all -1)")
    try:
        ok, said = git_lab.good_push(server, "hidden")
    finally:
        lab.shell(server, f"{as_git} update-ref -d {one}")
    assert not ok
    assert "replaced" in said
    assert git_lab.good_push(server, "hidden")[0]


@pytest.fixture
def restored() -> Iterator[None]:
    """Puts the policy of the scenario back on the server that these tests change."""
    yield
    git_lab.apply(git_lab.SERVERS[1]).expect_success()


def test_who_is_no_longer_trusted_cannot_push_from_the_next_push_on(restored: None) -> None:
    server = git_lab.SERVERS[1]
    assert git_lab.good_push(server, "trusted")[0]
    everybody = "lookup('ansible.builtin.file', __keys ~ '/people.json') | from_json"
    others = "{{ " + everybody + " | rejectattr('name', 'eq', 'Alice') }}"
    git_lab.apply(server, people=others).expect_success()
    ok, said = git_lab.good_push(server, "no-longer-trusted")
    assert not ok
    assert "unknown_key" in said


def refs_of(server: str) -> dict[str, str]:
    """The refs of the guarded repository."""
    out = lab.shell(
        server, "git --git-dir=/srv/git/models.git -c safe.directory=* show-ref || true"
    )
    return {line.split()[1]: line.split()[0] for line in out.splitlines()}
