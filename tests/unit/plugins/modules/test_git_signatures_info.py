# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module, run on real repositories: what it says, what it keeps, and whom it does not believe."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from ansible.module_utils.testing import patch_module_args

from ansible_collections.twinguard.hardening.plugins.doc_fragments._people import ModuleDocFragment
from ansible_collections.twinguard.hardening.plugins.module_utils._git.report import (
    report_io as git_audit_io,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._git.report.spec import (
    ARGUMENT_SPEC,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._git.verify import (
    ssh_keygen_io as git_spawn_io,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._trust.people import (
    allowed_signers,
)
from ansible_collections.twinguard.hardening.plugins.modules import git_signatures_info
from ansible_collections.twinguard.hardening.tests.unit.support.git_lab import NOW, Keys, Lab
from ansible_collections.twinguard.hardening.tests.unit.support.spec import documented, shape

ZERO = "0" * 40


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return Keys(tmp_path_factory.mktemp("keys"))


def clock(monkeypatch: pytest.MonkeyPatch, now: int) -> None:
    monkeypatch.setattr(git_audit_io, "time", SimpleNamespace(time=lambda: float(now)))


@pytest.fixture
def lab(tmp_path: Path, keys: Keys, monkeypatch: pytest.MonkeyPatch) -> Lab:
    clock(monkeypatch, NOW)
    lab = Lab(tmp_path / "models.git", keys)
    lab.git("symbolic-ref", "HEAD", "refs/heads/main")
    return lab


class Run:
    """Runs the module on a repository, by default with Alice and Bob and a cache."""

    def __init__(self, lab: Lab, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        self.lab, self.capsys = lab, capsys
        self.cache = tmp_path / "cache"

    def __call__(self, check: bool = False, **args: Any) -> dict[str, Any]:
        repository = {"path": str(self.lab.path), **args.pop("repository", {})}
        given = {"repositories": [repository], "cache_dir": str(self.cache), **args}
        if not {"people", "allowed_signers", "guard_policy"} & set(given):
            given["people"] = [self.lab.keys.person("alice"), self.lab.keys.person("bob")]
        given = {name: value for name, value in given.items() if value is not None}
        given["_ansible_check_mode"] = check
        with patch_module_args(given), pytest.raises(SystemExit) as ended:
            git_signatures_info.main()
        result: dict[str, Any] = json.loads(self.capsys.readouterr().out)
        assert bool(ended.value.code) == bool(result.get("failed"))
        return result


@pytest.fixture
def run(lab: Lab, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    return Run(lab, capsys, tmp_path)


def main(lab: Lab, commit: str) -> str:
    lab.git("update-ref", "refs/heads/main", commit)
    return commit


def statuses(result: dict[str, Any]) -> list[str]:
    return [one["status"] for one in result["controls"]]


def test_the_documentation_and_the_specification_agree() -> None:
    options = yaml.safe_load(git_signatures_info.DOCUMENTATION)["options"]
    fragment = yaml.safe_load(ModuleDocFragment.DOCUMENTATION)["options"]
    history = yaml.safe_load(ModuleDocFragment.HISTORY)["options"]
    assert shape(ARGUMENT_SPEC) == documented({**fragment, **history, **options})


def test_everything_that_is_returned_is_documented(lab: Lab, run: Run) -> None:
    main(lab, lab.commit(by=""))
    result = run()
    returned = yaml.safe_load(git_signatures_info.RETURN)
    assert set(result) - {"invocation", "changed"} == set(returned)
    assert set(result["commits"][0]) == set(returned["commits"]["contains"])
    assert set(result["repositories"][0]) <= set(returned["repositories"]["contains"])


def test_check_run_check_run_agree_and_only_a_run_keeps_anything(lab: Lab, run: Run) -> None:
    main(lab, lab.commit(lab.commit(by="bob")))
    seen = []
    for check in (True, False, True, False):
        result = run(check)
        assert (result["changed"], result["verified"], result["commits"]) == (False, True, [])
        assert statuses(result) == ["pass"]
        (one,) = result["repositories"]
        assert one["counts"] == {"good": 2}
        seen.append((one["signatures_checked"], one["from_cache"], run.cache.exists()))
    assert seen == [(2, False, False), (2, False, True), (0, True, True), (0, True, True)]


def test_a_refused_commit_fails_the_control_and_not_the_run(lab: Lab, run: Run) -> None:
    bad = lab.commit(lab.commit(), by="")
    main(lab, lab.commit(bad))
    result = run()
    assert result["verified"] is False
    (control,) = result["controls"]
    assert (control["id"], control["status"]) == ("git.history", "fail")
    assert bad[:12] in control["reason"]
    assert next((row["commit"], row["status"]) for row in result["commits"]) == (bad, "unsigned")
    assert result["repositories"][0]["counts"] == {
        "good": 1,
        "parent_unverified": 1,
        "unsigned": 1,
    }


def test_each_revision_has_its_own_finding(lab: Lab, run: Run) -> None:
    root = main(lab, lab.commit())
    lab.git("update-ref", "refs/heads/release/1", lab.commit(root))
    lab.git("update-ref", "refs/heads/release/2/x", lab.commit(root, by=""))
    lab.git("update-ref", "refs/tags/v1", lab.tag(root))
    result = run(
        repository={"revisions": ["refs/heads/main", "refs/heads/release/*", "refs/tags/*"]}
    )
    assert {one["resource"].rsplit(" ", 1)[1]: one["status"] for one in result["controls"]} == {
        "refs/heads/main": "pass",
        "refs/heads/release/1": "pass",
        "refs/heads/release/2/x": "fail",
        "refs/tags/v1": "pass",
    }


def test_a_tag_under_another_name_fails(lab: Lab, run: Run) -> None:
    root = main(lab, lab.commit())
    lab.git("update-ref", "refs/tags/v2", lab.tag(root, "v1"))
    result = run(repository={"revisions": ["refs/tags/*"]})
    assert result["commits"][0]["status"] == "wrong_tag_name"


def test_new_commits_cost_only_their_own_signatures(lab: Lab, run: Run) -> None:
    tip = main(lab, lab.commit(lab.commit()))
    run()
    main(lab, lab.commit(tip, by="bob"))
    result = run()
    assert result["repositories"][0]["signatures_checked"] == 1
    assert result["repositories"][0]["counts"] == {"good": 3}
    rows = run(all=True)
    assert rows["repositories"][0]["signatures_checked"] == 0
    assert [row["signer"] for row in rows["commits"]] == ["Alice", "Alice", "Bob"]


def test_another_policy_and_another_time_are_judged_anew(
    lab: Lab, run: Run, monkeypatch: Any
) -> None:
    main(lab, lab.commit())
    people = [lab.keys.person("alice", valid_before="2027-01-01")]
    assert statuses(run(people=people)) == ["pass"]
    assert run(people=people)["repositories"][0]["from_cache"] is True
    clock(monkeypatch, NOW + 365 * 86400)
    result = run(people=people)
    assert (statuses(result), result["commits"][0]["status"]) == (["fail"], "expired")
    clock(monkeypatch, NOW)
    assert statuses(run(people=[lab.keys.person("alice", revoked=True)])) == ["fail"]
    assert statuses(run(people=[lab.keys.person("bob")])) == ["fail"]


def test_replaced_objects_and_grafts_are_seen_although_everything_is_kept(
    lab: Lab, run: Run
) -> None:
    root = lab.commit()
    tip = main(lab, lab.commit(root))
    run()
    lab.git("update-ref", f"refs/replace/{root}", lab.commit())
    assert statuses(run()) == ["fail"]
    lab.git("update-ref", "-d", f"refs/replace/{root}")
    assert statuses(run()) == ["pass"]
    (lab.path / "info" / "grafts").write_text(f"{tip}\n")
    assert statuses(run()) == ["fail"]


def only(run: Run) -> Path:
    (path,) = run.cache.iterdir()
    return path


def test_a_cache_that_somebody_else_could_have_written_is_not_believed(lab: Lab, run: Run) -> None:
    main(lab, lab.commit())
    run()
    kept = only(run)
    assert kept.stat().st_mode & 0o777 == 0o600
    assert run.cache.stat().st_mode & 0o777 == 0o700

    def believed() -> bool:
        return bool(run(check=True)["repositories"][0]["from_cache"])

    assert believed()
    kept.chmod(0o666)
    assert not believed()
    kept.chmod(0o600)
    assert believed()
    if os.geteuid() == 0:
        os.chown(kept, 12345, -1)
        assert not believed()
        os.chown(kept, 0, -1)
    elsewhere = kept.with_name("elsewhere")
    kept.rename(elsewhere)
    kept.symlink_to(elsewhere)
    assert not believed()


def test_no_damage_to_the_cache_makes_a_bad_history_good(lab: Lab, run: Run) -> None:
    bad = main(lab, lab.commit(lab.commit(), by=""))
    run()
    text = only(run).read_bytes()
    head, rows = text.splitlines()
    for content in (
        b"",
        b"{",
        head,
        head + b"\n{",
        head + b"\n[[1]]\n",
        head.replace(b'"accepted": false', b'"accepted": 1') + b"\n" + rows,
        b"[]\n" + rows,
        text.replace(b'"version": 1', b'"version": 2'),
        text[: len(text) // 2],
    ):
        only(run).write_bytes(content)
        result = run(check=True)
        assert statuses(result) == ["fail"]
        assert result["commits"][0]["commit"] == bad


def test_a_cache_of_another_repository_vouches_for_nothing_here(
    lab: Lab, run: Run, tmp_path: Path
) -> None:
    main(lab, lab.commit())
    run()
    kept = only(run)
    other = Lab(tmp_path / "other.git", lab.keys)
    other.git("symbolic-ref", "HEAD", "refs/heads/main")
    main(other, other.commit(by=""))
    run.lab = other
    run()
    theirs = next(path for path in run.cache.iterdir() if path != kept)
    theirs.write_bytes(kept.read_bytes())
    assert statuses(run()) == ["fail"]


def test_since_trusts_what_came_before(lab: Lab, run: Run) -> None:
    old = lab.commit(by="")
    lab.git("update-ref", "refs/tags/v1", old)
    main(lab, lab.commit(old))
    assert statuses(run()) == ["fail"]
    result = run(repository={"since": "refs/tags/v1"})
    assert (statuses(result), result["repositories"][0]["counts"]) == (["pass"], {"good": 1})
    assert statuses(run(repository={"pinned_root": [old]})) == ["pass"]
    assert statuses(run(repository={"pinned_root": ["1" * 40]})) == ["fail"]


def test_the_record_says_when_the_server_saw_a_commit(lab: Lab, run: Run, tmp_path: Path) -> None:
    tip = main(lab, lab.commit(time=NOW - 40 * 86400))
    people = [lab.keys.person("alice", valid_before="2026-11-01")]
    assert statuses(run(people=people)) == ["fail"]
    record = tmp_path / "accepted"
    push = f"{NOW - 40 * 86400} {lab.path} refs/heads/main {ZERO} {tip}\n"
    record.write_text(push)
    repository = {"accepted": str(record)}
    assert statuses(run(people=people, repository=repository)) == ["pass"]
    run.cache = tmp_path / "new"
    record.write_text(push.replace("models.git", "other.git"))
    assert statuses(run(people=people, repository=repository)) == ["fail"]
    record.write_text(push)
    record.chmod(0o666)
    result = run(people=people, repository=repository)
    assert statuses(result) == ["unknown"]
    assert "others can write it" in result["controls"][0]["reason"]


def test_the_guards_own_policy_says_what_to_verify(lab: Lab, run: Run, tmp_path: Path) -> None:
    root = main(lab, lab.commit())
    lab.git("update-ref", "refs/heads/side", lab.commit(root, by=""))
    (tmp_path / "state").mkdir()
    policy = {
        "version": 1,
        "repositories": {
            str(lab.path): {
                "protected": ["refs/heads/main"],
                "pinned_root": [],
                "state": str(tmp_path / "state"),
                "chain": "",
            }
        },
        "trust": {
            "people": [lab.keys.person("alice")],
            "forges": [],
            "exceptions": [],
            "clock_skew": 600,
        },
    }
    file = tmp_path / "policy.json"
    file.write_text(json.dumps(policy))
    result = run(guard_policy=str(file), repositories=None)
    assert [one["resource"] for one in result["controls"]] == [f"{lab.path} refs/heads/main"]
    assert statuses(result) == ["pass"]
    file.chmod(0o666)
    assert "can write it" in run(guard_policy=str(file), repositories=None)["msg"]
    file.chmod(0o644)
    file.write_text("{}")
    result = run(guard_policy=str(file), repositories=None)
    assert "not a policy file of git_guard" in result["msg"]
    assert statuses(result) == ["unknown"]


def test_a_file_of_allowed_signers_serves_instead_of_people(
    lab: Lab, run: Run, tmp_path: Path
) -> None:
    main(lab, lab.commit(lab.commit(by="bob")))
    file = tmp_path / "allowed_signers"
    file.write_bytes(allowed_signers(lab.policy().people))
    assert statuses(run(allowed_signers=str(file))) == ["pass"]
    file.write_text(f"*@example.com {lab.keys.lines['alice']}\n")
    assert "by pattern" in run(allowed_signers=str(file))["msg"]
    assert "does not exist" in run(allowed_signers=str(tmp_path / "none"))["msg"]


def test_a_repository_without_commits_is_not_applicable(run: Run) -> None:
    result = run()
    assert statuses(result) == ["not_applicable"]
    assert result["verified"] is True


@pytest.mark.parametrize(
    ("repository", "reason"),
    [
        ({"path": "/nowhere/models.git"}, "/nowhere/models.git"),
        ({"revisions": ["refs/heads/none"]}, "has no revision refs/heads/none"),
        ({"since": "v9"}, "has no revision v9"),
    ],
)
def test_what_cannot_be_read_is_unknown_and_hides_nothing_else(
    lab: Lab, run: Run, repository: dict[str, Any], reason: str
) -> None:
    main(lab, lab.commit())
    good = {"path": str(lab.path)}
    result = run(repositories=[{**good, **repository}, good])
    assert statuses(result) == ["unknown", "pass"]
    assert reason in result["controls"][0]["reason"]
    assert result["verified"] is False


@pytest.mark.parametrize(
    ("args", "named"),
    [
        ({"people": []}, "'people'"),
        ({"repository": {"path": "models.git"}}, "'repositories[0].path'"),
        ({"repository": {"revisions": ["--all"]}}, "'repositories[0].revisions'"),
        ({"repository": {"revisions": ["a\nb"]}}, "'repositories[0].revisions'"),
        ({"repository": {"since": "a b"}}, "'repositories[0].revisions'"),
        ({"limit": -1}, "'limit'"),
        ({"clock_skew": -1}, "'clock_skew'"),
    ],
)
def test_bad_options_are_refused_by_name(run: Run, args: dict[str, Any], named: str) -> None:
    result = run(**args)
    assert result["failed"] is True
    assert named in result["msg"]
    assert statuses(result) == ["unknown"]


def test_a_program_that_is_missing_leaves_the_history_unknown(
    lab: Lab, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    main(lab, lab.commit())
    monkeypatch.setattr(git_spawn_io, "clean_environment", lambda: {"PATH": "/nowhere"})
    result = run()
    assert statuses(result) == ["unknown"]
    assert "ssh-keygen is not installed" in result["controls"][0]["reason"]


def test_rows_are_limited_and_say_so(lab: Lab, run: Run) -> None:
    main(lab, lab.commit(lab.commit(by=""), by=""))
    result = run(limit=1)
    assert (len(result["commits"]), result["truncated"]) == (1, True)
    assert run(limit=2)["truncated"] is False


def test_a_work_tree_of_another_user_is_read_without_asking_git_for_leave(
    lab: Lab, run: Run, tmp_path: Path
) -> None:
    """What git calls dubious ownership: the audit runs as root, the repository is git's."""
    if os.geteuid() != 0:
        pytest.skip("only root can give a repository away")
    tip = main(lab, lab.commit())
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", f"file://{lab.path}", str(clone)], check=True)
    for path in (clone, *clone.rglob("*")):
        os.chown(path, 12345, 12345, follow_symlinks=False)
    result = run(repository={"path": str(clone)}, all=True)
    assert [row["commit"] for row in result["commits"]] == [tip]
    assert statuses(result) == ["pass"]
