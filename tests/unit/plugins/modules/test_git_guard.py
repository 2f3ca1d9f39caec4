# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""git_guard on repositories of this machine: the real git pushes, ssh-keygen verifies, the installed hook decides."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Dict, List

import pytest

from ansible_collections.twinguard.hardening.tests.support.forks import Forks

SUPPORT = Path(__file__).resolve().parents[3] / "support"
sys.path.insert(0, str(SUPPORT))

import git_lab
import git_pusher

HERE = Path(__file__).resolve()
# ansible-test runs a copy that lies in a tree of collections; here it is a link to us.
INSIDE = [path.parent for path in HERE.parents if path.name == "ansible_collections"]
COLLECTIONS = INSIDE[0] if INSIDE else HERE.parents[4] / ".build" / "collections"
MODULE = "ansible_collections.twinguard.hardening.plugins.modules.git_guard"

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("ssh-keygen") or not shutil.which("git"),
    reason="the files of the guard belong to root, and git and ssh-keygen decide",
)


class Server:
    """Bare repositories, and the module that guards them."""

    def __init__(self, base: Path, keys: Path, forks: Forks) -> None:
        self.forks = forks
        self.base, self.keys = base, keys
        self.repository = base / "models.git"
        self.bare(self.repository)
        for mode in ("all", "u", "tip", "tree"):
            path = base / f"naive-{mode}.git"
            self.bare(path)
            shutil.copy(SUPPORT / "naive_hook.sh", path / "hooks" / "pre-receive")
            (path / "naive-mode").write_text(mode)
            (path / "naive-signers").write_text(str(self.keys / "naive_signers"))
        self.options: Dict[str, Any] = {
            "repositories": [
                {"path": str(self.repository), "protected": list(git_pusher.PROTECTED)}
            ],
            "people": git_lab.people(self.keys),
            "forges": [git_lab.person(self.keys, "forge")],
            "config_dir": str(base / "twinguard" / "etc"),
            "state_dir": str(base / "twinguard" / "var"),
            "lib_dir": str(base / "twinguard" / "lib"),
        }

    def bare(self, path: Path) -> None:
        subprocess.run(["git", "init", "-q", "--bare", "-b", "main", str(path)], check=True)

    def run(self, check: bool = False, **changes: Any) -> Dict[str, Any]:
        """The module's result; failed or not."""
        arguments = {**self.options, **changes, "_ansible_check_mode": check}
        given = json.dumps({"ANSIBLE_MODULE_ARGS": arguments})
        done = self.forks.run(MODULE, cwd=self.base, stdin=given)
        assert done.stdout, done.stderr
        return dict(json.loads(done.stdout.splitlines()[-1]))

    def guard(self, **changes: Any) -> Dict[str, Any]:
        result = self.run(**changes)
        assert not result.get("failed"), result["msg"]
        return result

    def pushes(self, name: str = "x", **more: Any) -> Dict[str, Any]:
        """The options of git_pusher."""
        return {
            "keys": str(self.keys),
            "guarded": str(self.repository),
            "naive": str(self.base / "naive-{mode}.git"),
            "work": str(self.base),
            "name": name,
            **more,
        }

    @property
    def hook(self) -> Path:
        return self.repository / "hooks" / "pre-receive"

    @property
    def policy(self) -> Path:
        return Path(self.options["config_dir"]) / "policy.json"

    def good_push(self, name: str) -> List[Any]:
        return git_pusher.good_push(self.pushes(name))


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    path = os.pathsep.join([str(COLLECTIONS), *sys.path])
    made = Forks([MODULE], {**os.environ, "PYTHONPATH": path})
    yield made
    made.end()


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("keys")
    git_lab.make(made)
    return made


@pytest.fixture
def server(tmp_path: Path, keys: Path, forks: Forks) -> Server:
    return Server(tmp_path, keys, forks)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, keys: Path, forks: Forks) -> Server:
    """One guarded server for the tests that change nothing of the guard."""
    made = Server(tmp_path_factory.mktemp("guarded"), keys, forks)
    made.guard()
    return made


def control(result: Dict[str, Any], name: str = "git.guard") -> Dict[str, Any]:
    return next(dict(one) for one in result["controls"] if one["id"] == name)


# --- the module


def test_the_four_ways_to_run_it(server: Server) -> None:
    planned = server.run(check=True)
    assert planned["changed"]
    assert not server.hook.exists()
    assert control(planned)["status"] == "fail"
    done = server.guard()
    assert done["changed"]
    assert control(done)["status"] == "pass"
    assert done["diff"] == planned["diff"]
    assert not server.run(check=True)["changed"]
    assert control(server.run(check=True))["status"] == "pass"
    assert not server.guard()["changed"]


def test_an_installed_hook_with_the_flat_layout_of_0_1_0_is_upgraded_and_goes_on_guarding(
    server: Server,
) -> None:
    server.guard()
    program = server.base / "twinguard" / "lib" / "git-guard"
    shutil.rmtree(program)
    old = str(SUPPORT / "programs-0.1.0.tar.gz")
    subprocess.run(["tar", "-xzf", old, "-C", str(program.parent)], check=True)
    old_hook = (program / "pre-receive").read_text()
    old_hook = old_hook.replace("/usr/local/lib/twinguard/git-guard", str(program))
    server.hook.write_text(
        old_hook.replace("/etc/twinguard/git-guard/policy.json", str(server.policy))
    )
    flat = program / "ansible_collections" / "twinguard" / "hardening" / "plugins" / "module_utils"
    assert (flat / "_git_hook_io.py").is_file()
    # The old program works: this is an upgrade, not a repair.
    client = git_pusher.Client(server.pushes("old"))
    assert client.push(client.guarded, f"{client.base}:refs/heads/main").ok
    unsigned = client.commit([client.base], "alice", "")
    assert not client.push(client.guarded, f"{unsigned}:refs/heads/main").ok

    result = server.guard()
    assert result["changed"]
    assert control(result)["status"] == "pass"
    assert [path.name for path in flat.glob("*.py")] == ["__init__.py"]
    assert not list(flat.glob("__pycache__/_git*"))
    signed = client.commit([client.base], "alice", "alice")
    assert client.push(client.guarded, f"{signed}:refs/heads/main").ok
    again = client.push(client.guarded, f"{client.commit([signed], 'alice', '')}:refs/heads/main")
    assert not again.ok
    assert "twinguard: refused" in again.said
    assert not server.guard()["changed"]


def test_the_trial_leaves_nothing_in_the_repository(server: Server) -> None:
    server.guard()
    refs = subprocess.run(
        ["git", "-C", str(server.repository), "for-each-ref"], capture_output=True, check=True
    )
    assert refs.stdout == b""
    assert not [path for path in (server.repository / "objects").rglob("*") if path.is_file()]


def test_a_hook_of_others_is_kept_runs_after_ours_and_comes_back(server: Server) -> None:
    server.hook.write_text(
        "#!/bin/sh\nread old new ref\necho theirs $ref >&2\n[ $ref != refs/heads/no ]\n"
    )
    server.hook.chmod(0o750)
    theirs = server.hook.read_bytes()
    server.guard()
    client = git_pusher.Client(server.pushes())
    fine = client.push(client.guarded, f"{client.base}:refs/heads/main")
    assert fine.ok
    assert "theirs refs/heads/main" in fine.said
    refused = client.push(client.guarded, f"{client.base}:refs/heads/no")
    assert not refused.ok
    assert "declined" in refused.said
    bad = client.push(
        client.guarded, f"{client.commit([client.base], 'alice', '')}:refs/heads/main"
    )
    assert "theirs" not in bad.said
    assert not server.guard()["changed"]
    other = server.base / "other.git"
    server.bare(other)
    server.guard(repositories=[{"path": str(other)}])
    assert server.hook.read_bytes() == theirs
    assert stat.S_IMODE(server.hook.stat().st_mode) == 0o750
    assert not list(server.hook.parent.glob("*.before-twinguard"))


def test_a_hook_that_does_not_do_its_work_is_red_at_each_run_and_the_old_state_comes_back(
    server: Server,
) -> None:
    result = server.run(python="/bin/true")
    assert result["failed"]
    assert "no hook refuses an unsigned commit" in result["msg"]
    assert not server.hook.exists()
    server.guard()
    server.hook.chmod(0o644)
    assert control(server.run(check=True))["status"] == "fail"
    assert server.guard()["changed"]


def test_a_hook_that_was_exchanged_is_noticed_and_put_right(server: Server) -> None:
    server.guard()
    text = server.hook.read_text()
    server.hook.write_text(text.replace("sys.exit(main(", "sys.exit(0 * main("))
    found = control(server.run(check=True))
    assert found["status"] == "fail"
    assert server.guard()["changed"]
    assert server.hook.read_text() == text


def test_hooks_elsewhere_are_refused_with_the_file_that_says_so(server: Server) -> None:
    config = server.repository / "config"
    subprocess.run(
        ["git", "config", "--file", str(config), "core.hooksPath", "/opt/hooks"], check=True
    )
    result = server.run()
    assert result["failed"]
    for word in ("core.hooksPath", "/opt/hooks", str(server.repository)):
        assert word in result["msg"]
    assert not server.policy.exists()


def test_settings_of_git_are_written_as_git_does_and_others_stay(server: Server) -> None:
    config = server.repository / "config"
    config.write_text(config.read_text() + "# a note\n[receive]\n\tfsckObjects = true\n")
    wanted = [{**server.options["repositories"][0], "deny_deletes": True}]
    server.guard(repositories=wanted)
    text = config.read_text()
    assert "# a note" in text
    assert "fsckObjects = true" in text
    assert "denyDeletes = true" in text
    assert not server.guard(repositories=wanted)["changed"]


def test_a_pattern_takes_all_repositories_and_each_is_proven(server: Server) -> None:
    server.bare(server.base / "models-2.git")
    result = server.guard(repositories=[{"path": str(server.base / "models*.git")}])
    found = {
        one["resource"]: one["status"] for one in result["controls"] if one["id"] == "git.guard"
    }
    assert found == {str(server.base / f"{name}.git"): "pass" for name in ("models", "models-2")}


def test_a_repository_of_another_kind_of_ids_is_guarded_too(server: Server) -> None:
    path = server.base / "models-256.git"
    subprocess.run(["git", "init", "-q", "--bare", "--object-format=sha256", str(path)], check=True)
    result = server.guard(repositories=[{"path": str(path)}])
    assert control(result)["status"] == "pass"


def test_nothing_of_trust_can_be_written_by_others(server: Server) -> None:
    old = os.umask(0)
    try:
        server.guard()
    finally:
        os.umask(old)
    for path in [server.hook, *(server.base / "twinguard").rglob("*")]:
        about = path.lstat()
        assert about.st_uid == 0
        assert not about.st_mode & 0o022, path


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"repositories": [{"path": "srv/x.git"}]}, ["path", "srv/x.git"]),
        ({"repositories": [{"path": "/nowhere/x.git"}]}, ["path", "/nowhere/x.git"]),
        ({"protected": ["main"]}, ["protected", "'main'", "refs/heads/main"]),
        ({"protected": []}, ["protected", "nothing would be guarded"]),
        ({"pinned_root": ["abc"]}, ["pinned_root", "abc"]),
        ({"hook": "../elsewhere"}, ["hook", "../elsewhere"]),
        ({"people": [{"name": "A", "principals": ["a@*"], "keys": []}]}, ["principals", "a@*"]),
        ({"exceptions": [{"commit": "1" * 40, "reason": " "}]}, ["exceptions", "reason"]),
        ({"clock_skew": -1}, ["clock_skew", "-1"]),
        ({"python": "/no/python"}, ["python", "/no/python"]),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_bad_input_is_refused_in_one_sentence_and_nothing_changes(
    server: Server, changes: Dict[str, Any], words: List[str]
) -> None:
    options = dict(changes)
    inner = {
        name: options.pop(name) for name in ("protected", "pinned_root", "hook") if name in options
    }
    if inner:
        options["repositories"] = [{**server.options["repositories"][0], **inner}]
    result = server.run(**options)
    assert result["failed"]
    assert "\n" not in result["msg"]
    assert not [word for word in words if word not in result["msg"]], result["msg"]
    assert not (server.base / "twinguard").exists()


def test_a_repository_named_twice_is_refused(server: Server) -> None:
    item = server.options["repositories"][0]
    link = server.base / "link.git"
    link.symlink_to(server.repository)
    result = server.run(repositories=[item, {**item, "path": str(link)}])
    assert "two items name this repository" in result["msg"]


# --- the hook


def test_every_bypass_gets_past_git_alone_and_not_past_the_guard(guarded: Server) -> None:
    results = git_pusher.bypasses(guarded.pushes("bypass"))
    assert {one["case"] for one in results} == set(git_pusher.BYPASSES)
    for one in results:
        assert all(ok for ok, _said in one["naive"]), one
        last, said = one["guarded"][-1]
        assert not last, one
        assert "twinguard: refused refs/heads/release/" in said


def test_what_is_refused_is_named_and_what_is_fine_gets_in(guarded: Server) -> None:
    found = git_pusher.refusals(guarded.pushes("refusals"))
    for case, (ok, said) in found.items():
        if case in git_pusher.REFUSED:
            assert not ok, (case, said)
            assert git_pusher.REFUSED[case] in said, (case, said)
            assert "twinguard: " in said
            assert "fix: " in said
        else:
            assert ok, (case, said)


def test_pushes_at_random_end_as_the_reference_says(guarded: Server) -> None:
    results = git_pusher.mutations(guarded.pushes("mutated", seed=5, count=12))
    for one in results:
        assert one["got"] == (not one["expected"]), one
    verdicts = [one["got"] for one in results]
    assert 2 < sum(verdicts) < len(verdicts) - 2  # both kinds, so that agreeing means something


def test_pushes_at_once_do_not_mix(guarded: Server) -> None:
    found = git_pusher.concurrent(guarded.pushes("race", clients=5))
    assert all(found["own"])
    assert sum(found["shared"]) == 1
    assert found["value"] == found["tips"][found["shared"].index(True)]
    assert not found["unsigned"]
    subprocess.run(["git", "-C", str(guarded.repository), "fsck", "--strict"], check=True)


def test_a_change_of_trust_counts_at_the_next_push(server: Server) -> None:
    server.guard()
    assert server.good_push("one")[0]
    without = [one for one in server.options["people"] if one["name"] != "Alice"]
    server.guard(people=without)
    ok, said = server.good_push("two")
    assert not ok
    assert "unknown_key" in said


def test_the_record_tells_when_what_was_let_in(server: Server) -> None:
    server.guard()
    client = git_pusher.Client(server.pushes())
    client.push(client.guarded, f"{client.base}:refs/heads/main", f"{client.base}:refs/heads/side")
    client.push(client.guarded, f"{client.commit([client.base], 'bob', '')}:refs/heads/main")
    state = next((server.base / "twinguard" / "var" / "repositories").iterdir())
    (line,) = (state / "accepted").read_text().splitlines()
    words = line.split()
    assert words[1:] == [str(server.repository), "refs/heads/main", "0" * 40, client.base]
    assert stat.S_IMODE(state.stat().st_mode) == 0o700


def test_an_exception_lets_one_commit_in_and_a_pinned_root_ends_the_search(server: Server) -> None:
    client = git_pusher.Client(server.pushes())
    bad = client.commit([client.base], "alice", "")
    good = client.commit([bad], "alice")
    server.guard()
    assert not client.push(client.guarded, f"{good}:refs/heads/main").ok
    server.guard(exceptions=[{"commit": bad, "reason": "made before we signed"}])
    assert client.push(client.guarded, f"{good}:refs/heads/main").ok
    item = {**server.options["repositories"][0], "pinned_root": [bad]}
    server.guard(repositories=[item])
    assert client.push(client.guarded, f"{good}:refs/heads/release/1").ok
    stranger = client.push(client.guarded, f"{client.base}:refs/tags/old")
    assert stranger.ok == ("foreign_root" not in stranger.said)


def test_a_symbolic_ref_counts_as_what_it_points_at(server: Server) -> None:
    server.guard()
    client = git_pusher.Client(server.pushes())
    bad = client.commit([client.base], "alice", "")
    git = [
        "git",
        "-C",
        str(server.repository),
        "symbolic-ref",
        "refs/heads/alias",
        "refs/heads/main",
    ]
    subprocess.run(git, check=True)
    # The first push would make main, the second would move it.
    assert not client.push(client.guarded, f"{bad}:refs/heads/alias").ok
    assert client.push(client.guarded, f"{client.base}:refs/heads/main").ok
    assert not client.push(client.guarded, f"{bad}:refs/heads/alias").ok


def break_policy(server: Server) -> None:
    server.policy.write_text(server.policy.read_text()[:-20])


def empty_policy(server: Server) -> None:
    server.policy.write_text("{}")


def lose_policy(server: Server) -> None:
    server.policy.unlink()


def open_policy(server: Server) -> None:
    server.policy.chmod(0o666)


def give_policy(server: Server) -> None:
    os.chown(server.policy, 65534, -1)


def lose_program(server: Server) -> None:
    shutil.rmtree(server.base / "twinguard" / "lib")


def break_program(server: Server) -> None:
    path = next((server.base / "twinguard" / "lib").rglob("_git/verify/verdict.py"))
    path.write_text(path.read_text().replace("def examine(", "def examine_(", 1))


def lose_record(server: Server) -> None:
    shutil.rmtree(server.base / "twinguard" / "var" / "repositories")


def lose_chain(server: Server) -> None:
    text = server.policy.read_text()
    server.policy.write_text(text.replace('"chain": ""', '"chain": "/no/such/hook"'))


def odd_trust(server: Server) -> None:
    policy = json.loads(server.policy.read_text())
    policy["trust"]["people"] = [{"name": 5}]
    server.policy.write_text(json.dumps(policy))


@pytest.mark.parametrize(
    "fault",
    [
        *(break_policy, empty_policy, lose_policy, open_policy, give_policy, lose_program),
        *(break_program, lose_record, lose_chain, odd_trust),
    ],
    ids=lambda fault: str(fault.__name__),
)
def test_whatever_breaks_the_push_is_refused_and_the_next_run_heals_it(
    server: Server, fault: Any
) -> None:
    server.guard()
    fault(server)
    ok, said = server.good_push("fault")
    assert not ok, said
    assert "pre-receive hook declined" in said
    server.guard()
    assert server.good_push("healed")[0]


def test_a_killed_hook_refuses(server: Server) -> None:
    server.guard()
    text = server.hook.read_text()
    server.hook.write_text(
        text.replace("sys.exit(main(", "import os; os.kill(os.getpid(), 9); sys.exit(main(")
    )
    assert not server.good_push("killed")[0]


def test_what_a_pusher_writes_cannot_steer_a_terminal_or_forge_a_line(server: Server) -> None:
    server.guard()
    client = git_pusher.Client(server.pushes())
    git_pusher.PEOPLE["odd"] = "x\x1b[31m@y"
    bad = client.commit([client.base], "odd", "alice")
    said = client.push(client.guarded, f"{bad}:refs/heads/main").said
    assert "wrong_person" in said
    assert "\x1b[31m" not in said
