# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real pushes over ssh to real servers: what git alone lets in, the guard refuses."""

from __future__ import annotations

import git_pusher
import git_server_lab as git_lab
import lab

MODULES_MAX = 3
REPOSITORIES = {"/srv/git/models.git", "/var/lib/gitolite3/repositories/models.git"}


def test_a_second_run_changes_nothing_starts_few_modules_and_proves_each_repository() -> None:
    run = git_lab.converge().expect_success()
    assert run.changed == dict.fromkeys(git_lab.SERVERS, 0)
    for server in git_lab.SERVERS:
        modules = [one for one in run.results[server] if "invocation" in one or "controls" in one]
        assert len(modules) <= MODULES_MAX
        assert git_lab.control(run, server) == dict.fromkeys(REPOSITORIES, "pass")


def test_nothing_is_left_of_the_flat_layout_that_version_0_1_0_had_installed(server: str) -> None:
    place = "/usr/local/lib/twinguard/git-guard"
    flat = f"{place}/ansible_collections/twinguard/hardening/plugins/module_utils/*.py"
    assert lab.shell(server, f"basename -a {flat}").split() == ["__init__.py"]


def test_every_bypass_gets_past_git_alone_and_not_past_the_guard(server: str) -> None:
    results = git_lab.everywhere("bypasses", "bypass")[server]
    assert {one["case"] for one in results} == set(git_pusher.BYPASSES)
    for one in results:
        assert all(ok for ok, _said in one["naive"]), one
        last, said = one["guarded"][-1]
        assert not last, one
        assert "twinguard: refused refs/heads/release/" in said, one


def test_what_is_refused_is_named_and_what_is_fine_gets_in(server: str) -> None:
    found = git_lab.everywhere("refusals", "refusals")[server]
    assert set(git_pusher.REFUSED) < set(found)
    for case, (ok, said) in found.items():
        assert ok == (case not in git_pusher.REFUSED), (case, said)
        if not ok:
            assert f"{git_pusher.REFUSED[case]}: " in said, (case, said)
            assert "fix: " in said, (case, said)


def test_pushes_at_random_end_as_an_independent_reference_says() -> None:
    """Fifty on both servers together."""
    found = git_lab.everywhere("mutations", "mutated", seed=11, count=25)
    results = [one for server in git_lab.SERVERS for one in found[server]]
    assert len(results) == 50
    for one in results:
        assert one["got"] == (not one["expected"]), one
    # Both kinds, so that agreeing means something.
    assert 10 < sum(one["got"] for one in results) < 40


def test_pushes_at_once_do_not_mix(server: str) -> None:
    found = git_lab.everywhere("concurrent", "race", clients=4)[server]
    assert all(found["own"]), found
    assert sum(found["shared"]) == 1
    assert found["value"] == found["tips"][found["shared"].index(True)]
    assert not found["unsigned"]
    lab.shell(
        server,
        "setpriv --reuid=git --regid=git --init-groups git -C /srv/git/models.git fsck --strict",
    )


def test_the_journal_names_who_pushed_what_and_why_it_was_refused(server: str) -> None:
    results = git_lab.everywhere("bypasses", "bypass")[server]
    assert results
    lines = [
        line
        for line in git_lab.journal(server).splitlines()
        if f"/bypass-{git_lab.RUN}-wrong_person " in line
    ]
    (refused,) = [line for line in lines if line.startswith("refused ")]
    assert "=wrong_person" in refused
    assert "repository=/srv/git/models.git" in refused
    assert f"pusher={lab.address_of(git_lab.CLIENT)} " in refused
    assert [line for line in lines if line.startswith("accepted ")]


def test_gitolite_is_guarded_and_keeps_its_own_rules(server: str) -> None:
    where = git_lab.gitolite(server)
    ok, said = git_lab.good_push(server, "allowed", where=where)
    assert ok, said
    ok, said = git_lab.good_push(server, "forbidden", where=where)
    assert not ok, said
    assert "DENIED by refs/heads/release/forbidden" in said
    bad = git_lab.done(git_lab.start("unsigned_push", server, "unsigned", where=where))
    assert not bad[0]
    assert "twinguard:" in bad[1]
    assert "unsigned: it has no signature" in bad[1]
    assert "pusher=admin " in git_lab.journal(server)
