# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module on real repositories: what was not verified never reaches the work tree."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from ansible.module_utils.testing import patch_module_args

from ansible_collections.twinguard.hardening.plugins.doc_fragments._people import ModuleDocFragment
from ansible_collections.twinguard.hardening.plugins.module_utils._git.deploy import (
    deploy_io as git_deploy_io,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._git.deploy.spec import (
    ARGUMENT_SPEC,
)
from ansible_collections.twinguard.hardening.plugins.modules import git_verified_checkout
from ansible_collections.twinguard.hardening.tests.unit.support.git_lab import NOW, Keys, Lab
from ansible_collections.twinguard.hardening.tests.unit.support.spec import documented, shape


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return Keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def lab(tmp_path: Path, keys: Keys, monkeypatch: pytest.MonkeyPatch) -> Lab:
    clock = SimpleNamespace(time=lambda: float(NOW))
    monkeypatch.setattr(git_deploy_io, "time", clock)
    monkeypatch.setenv("HOME", str(tmp_path))
    lab = Lab(tmp_path / "twin.git", keys)
    lab.git("symbolic-ref", "HEAD", "refs/heads/main")
    return lab


class Deploy:
    """Runs the module from the lab's repository into a work tree."""

    def __init__(self, lab: Lab, capsys: pytest.CaptureFixture[str], dest: Path) -> None:
        self.lab, self.capsys, self.dest = lab, capsys, dest

    def main(self, *files: str, by: str = "alice", after: str = "", **more: Any) -> str:
        """Put a commit onto main whose tree has these files, each with its name as content."""
        tree = self.lab.tree_of(**{name.replace(".", "_"): f"{name}\n" for name in files})
        commit = self.lab.commit(*([after] if after else []), by=by, tree=tree, **more)
        self.lab.git("update-ref", "refs/heads/main", commit)
        return commit

    def __call__(self, check: bool = False, **args: Any) -> dict[str, Any]:
        given = {"repo": str(self.lab.path), "dest": str(self.dest), **args}
        given.setdefault("people", [self.lab.keys.person("alice"), self.lab.keys.person("bob")])
        given["_ansible_check_mode"] = check
        with patch_module_args(given), pytest.raises(SystemExit) as ended:
            git_verified_checkout.main()
        result: dict[str, Any] = json.loads(self.capsys.readouterr().out)
        assert bool(ended.value.code) == bool(result.get("failed"))
        return result

    def files(self) -> dict[str, bytes]:
        """The work tree, byte for byte."""
        return {
            str(path.relative_to(self.dest)): path.read_bytes()
            for path in sorted(self.dest.rglob("*"))
            if path.is_file() and ".git" not in path.relative_to(self.dest).parts
        }

    def git(self, *words: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(self.dest), *words], capture_output=True, check=True, text=True
        )
        return done.stdout.strip()


@pytest.fixture
def deploy(lab: Lab, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Deploy:
    return Deploy(lab, capsys, tmp_path / "app")


def status(result: dict[str, Any]) -> str:
    (control,) = result["controls"]
    assert control["id"] == "git.deploy"
    return str(control["status"])


def test_the_documentation_and_the_specification_agree() -> None:
    options = yaml.safe_load(git_verified_checkout.DOCUMENTATION)["options"]
    fragment = yaml.safe_load(ModuleDocFragment.DOCUMENTATION)["options"]
    options["people"] = {**fragment["people"], **options["people"]}
    history = yaml.safe_load(ModuleDocFragment.HISTORY)["options"]
    assert shape(ARGUMENT_SPEC) == documented({**options, **history})


def test_check_run_check_run_and_the_second_run_checks_no_signature(deploy: Deploy) -> None:
    commit = deploy.main("a", "b", after=deploy.main("a"))
    before = deploy(check=True)
    assert (before["changed"], before["action"], status(before)) == (True, "make", "fail")
    assert not deploy.dest.exists()
    done = deploy()
    assert (done["changed"], done["after"], status(done)) == (True, commit, "pass")
    assert deploy.files() == {"a": b"a\n", "b": b"b\n"}
    assert done["signatures_checked"] == 2
    for check in (True, False):
        again = deploy(check=check)
        assert (again["changed"], again["signatures_checked"]) == (False, 0)
        assert (again["action"], status(again)) == ("nothing", "pass")
    returned = yaml.safe_load(git_verified_checkout.RETURN)
    assert set(done) - {"invocation", "changed", "diff"} == set(returned)


def test_a_newer_commit_goes_forward_and_only_it_is_verified(deploy: Deploy) -> None:
    first = deploy.main("a")
    deploy()
    second = deploy.main("b", after=first, by="bob")
    told = deploy(check=True)
    assert (told["action"], told["changed"], told["before"]) == ("forward", True, first)
    assert deploy.git("rev-parse", "HEAD") == first
    done = deploy()
    assert (done["after"], done["signatures_checked"]) == (second, 1)
    assert deploy.files() == {"b": b"b\n"}
    assert deploy.git("status", "--porcelain", "--branch").startswith("## main")


@pytest.mark.parametrize("by", ["", "mallory"])
def test_what_is_not_verified_leaves_every_byte_as_it_is(deploy: Deploy, by: str) -> None:
    first = deploy.main("a")
    deploy()
    before = deploy.files()
    bad = deploy.main("a", "evil", after=first, by=by)
    for check in (True, False):
        refused = deploy(check=check)
        assert bool(refused.get("failed")) is not check
        assert (refused["action"], refused["changed"], status(refused)) == ("refuse", False, "fail")
        assert [one["commit"] for one in refused["commits"]] == [bad]
        assert deploy.files() == before
        assert deploy.git("rev-parse", "HEAD") == first
    assert "1 of 2 commits of main are not acceptable" in refused["msg"]


def test_an_unsigned_commit_below_a_signed_one_is_found(deploy: Deploy) -> None:
    first = deploy.main("a")
    deploy()
    hidden = deploy.main("a", "evil", after=first, by="")
    deploy.main("a", "evil", "nice", after=hidden)
    refused = deploy()
    assert refused["failed"]
    assert hidden in [one["commit"] for one in refused["commits"]]
    assert deploy.files() == {"a": b"a\n"}


with_core = pytest.mark.skipif(
    find_spec("ansible.modules") is None,
    reason="ansible-test shows its tests of modules only core's module_utils; `make unit` runs this",
)


def builtin_git(deploy: Deploy, dest: Path, tmp_path: Path) -> dict[str, Any]:
    """The same with ansible.builtin.git and its verify_commit."""
    signers = tmp_path / "signers"
    signers.write_text(f"alice@example.com {deploy.lab.keys.lines['alice']}\n")
    (tmp_path / ".gitconfig").write_text(f'[gpg "ssh"]\nallowedSignersFile = {signers}\n')
    args = {"repo": str(deploy.lab.path), "dest": str(dest), "version": "main"}
    (tmp_path / "args").write_text(
        json.dumps({"ANSIBLE_MODULE_ARGS": {**args, "verify_commit": True}})
    )
    done = subprocess.run(
        [sys.executable, "-m", "ansible.modules.git", str(tmp_path / "args")],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "HOME": str(tmp_path), "PYTHONPATH": ":".join(sys.path)},
    )
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


@with_core
def test_the_builtin_module_has_the_files_in_place_when_it_refuses(
    deploy: Deploy, tmp_path: Path
) -> None:
    """Why this module is there: what it does not do, the other one does."""
    dest = tmp_path / "builtin"
    first = deploy.main("a")
    assert not builtin_git(deploy, dest, tmp_path).get("failed")
    unsigned = deploy.main("a", "evil", after=first, by="")
    assert builtin_git(deploy, dest, tmp_path)["failed"]
    assert (dest / "evil").exists()
    deploy.main("a", "evil", "nice", after=unsigned)
    assert not builtin_git(deploy, dest, tmp_path).get(
        "failed"
    )  # the unsigned one is not looked at


def test_it_never_goes_back_nor_to_another_history(deploy: Deploy) -> None:
    first = deploy.main("a")
    deploy.main("b", after=first)
    deploy()
    deploy.lab.git("update-ref", "refs/heads/main", first)
    assert "went back to an older commit" in deploy()["msg"]
    deploy.main("c")
    assert "has another history" in deploy()["msg"]
    assert deploy.files() == {"b": b"b\n"}


def test_changed_files_are_refused_even_when_git_was_told_to_overlook_them(deploy: Deploy) -> None:
    first = deploy.main("a", "b")
    deploy()
    (deploy.dest / "a").write_text("mine\n")
    (deploy.dest / "new").write_text("untracked files are nobody's business\n")
    assert deploy()["msg"].endswith("files were changed here: a")
    deploy.git("update-index", "--assume-unchanged", "a")
    deploy.main("a", "c", after=first)
    assert deploy()["msg"].endswith("files were changed here: a")
    assert (deploy.dest / "a").read_text() == "mine\n"


def test_a_file_in_the_way_is_kept_and_the_next_run_is_no_surprise(deploy: Deploy) -> None:
    first = deploy.main("a")
    deploy()
    deploy.main("a", "b", after=first)
    (deploy.dest / "b").write_text("mine\n")
    for _again in range(2):
        assert "git merge in" in (told := deploy()["msg"])
        assert "move away" in told
        assert deploy.files() == {"a": b"a\n", "b": b"mine\n"}
    (deploy.dest / "b").unlink()
    assert deploy()["action"] == "forward"


def test_a_run_that_was_killed_is_finished(deploy: Deploy) -> None:
    first = deploy.main("a", "b")
    deploy()
    second = deploy.main("a", "c", after=first)
    # As a kill leaves it: the mark, git's lock, one file gone and one there already.
    deploy.git("fetch", "-q", str(deploy.lab.path), "main")
    deploy.git("update-ref", "refs/twinguard/under-way", second)
    (deploy.dest / "b").unlink()
    (deploy.dest / "c").write_text("c")
    (deploy.dest / ".git" / "index.lock").write_text("")
    told = deploy(check=True)
    assert (told["action"], told["changed"]) == ("finish", True)
    done = deploy()
    assert (done["action"], status(done)) == ("finish", "pass")
    assert deploy.files() == {"a": b"a\n", "c": b"c\n"}
    assert deploy()["changed"] is False


def test_a_key_that_is_revoked_fails_what_lies_there(deploy: Deploy) -> None:
    deploy.main("a")
    deploy()
    people = [deploy.lab.keys.person("alice", revoked=True), deploy.lab.keys.person("bob")]
    refused = deploy(people=people)
    assert refused["commits"][0]["status"] == "revoked"
    assert deploy.files() == {"a": b"a\n"}


def test_nothing_that_was_verified_is_believed_from_somebody_elses_file(deploy: Deploy) -> None:
    bad = deploy.main("a", by="mallory")
    assert deploy()["failed"]
    kept = deploy.dest / ".git" / "twinguard-verified.json"
    text = kept.read_text().replace('"accepted": false', '"accepted": true')
    kept.write_text(text)
    kept.chmod(0o666)
    refused = deploy()
    assert [one["commit"] for one in refused["commits"]] == [bad]


def test_no_hook_of_the_work_tree_runs(deploy: Deploy, tmp_path: Path) -> None:
    first = deploy.main("a")
    deploy()
    hooks = deploy.dest / ".git" / "hooks"
    hooks.mkdir(exist_ok=True)
    for name in ("post-merge", "post-checkout", "reference-transaction", "post-index-change"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch {tmp_path}/ran-{name}\n")
        (hooks / name).chmod(0o755)
    deploy.main("b", after=first)
    assert deploy()["action"] == "forward"
    assert not list(tmp_path.glob("ran-*"))


def test_a_replaced_object_is_refused(deploy: Deploy) -> None:
    first = deploy.main("a")
    deploy()
    deploy.git("update-ref", f"refs/replace/{first}", deploy.git("rev-parse", "HEAD"))
    assert "refs/replace" in deploy()["msg"]


def test_a_history_from_another_root_is_refused(deploy: Deploy) -> None:
    root = deploy.main("a", by="")
    deploy.main("b", after=root)
    assert deploy(pinned_root=[root])["action"] == "make"
    foreign = "1" * 40
    assert "pinned root" in deploy(pinned_root=[foreign])["msg"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"repo": "ext::sh -c id"}, "not the address"),
        ({"repo": "--upload-pack=id"}, "not the address"),
        ({"dest": "app"}, "not absolute"),
        ({"version": "-x"}, "not the name of a branch"),
        ({"version": "a..b"}, "not the name of a branch"),
        ({"version": "refs/tags/v1"}, "not the name of a branch"),
        ({"version": "none"}, "cannot fetch none"),
        ({"ssh_key_file": "/k; id"}, "not plain"),
        ({"timeout": 0}, "not a number of seconds"),
        ({"dest": "/nowhere/at/all"}, "make the directory first"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(
    deploy: Deploy, change: dict[str, Any], words: str
) -> None:
    deploy.main("a")
    refused = deploy(**change)
    assert refused["failed"]
    assert words in refused["msg"]
    assert "\n" not in refused["msg"]
    assert status(refused) == "fail"


def test_other_peoples_directories_are_left_alone(deploy: Deploy, tmp_path: Path) -> None:
    deploy.main("a")
    deploy.dest.mkdir()
    (deploy.dest / "precious").write_text("x")
    assert "holds files" in deploy()["msg"]
    link = tmp_path / "link"
    link.symlink_to(deploy.dest)
    assert "not a directory" in deploy(dest=str(link))["msg"]
