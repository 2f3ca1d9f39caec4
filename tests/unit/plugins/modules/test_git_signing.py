# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module with the real git and ssh-keygen, in a home of its own; other users are molecule's part."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.testing import patch_module_args

from ansible_collections.twinguard.hardening.plugins.doc_fragments._people import ModuleDocFragment
from ansible_collections.twinguard.hardening.plugins.module_utils._git.sign import (
    sign_io as git_signing_io,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._git.sign.spec import (
    ARGUMENT_SPEC,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._host import account_io
from ansible_collections.twinguard.hardening.plugins.module_utils._host import run_io as program_io
from ansible_collections.twinguard.hardening.plugins.module_utils._host.account_io import Account
from ansible_collections.twinguard.hardening.plugins.module_utils._host.run_io import (
    Done,
    ProgramError,
)
from ansible_collections.twinguard.hardening.plugins.modules import git_signing
from ansible_collections.twinguard.hardening.tests.unit.support.signing import keygen, needs
from ansible_collections.twinguard.hardening.tests.unit.support.spec import documented, shape

ALICE = {"user": "tester", "name": "Alice", "email": "alice@example.com", "key": "~/.ssh/id"}


class Home:
    """A user's home, and the module run for that user."""

    def __init__(self, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
        needs("git", "ssh-keygen")
        self.place, self.capsys = place, capsys
        self.config = place / ".gitconfig"
        place.mkdir()

    def __call__(
        self, *identities: dict[str, Any], check: bool = False, **args: Any
    ) -> dict[str, Any]:
        given = {"identities": list(identities), "_ansible_check_mode": check, **args}
        files = {
            "allowed_signers_file": str(self.place / "trust" / "signers"),
            "revocation_file": str(self.place / "trust" / "revoked"),
        }
        with patch_module_args({**files, **given}), pytest.raises(SystemExit) as ended:
            git_signing.main()
        result: dict[str, Any] = json.loads(self.capsys.readouterr().out)
        assert bool(ended.value.code) == bool(result.get("failed"))
        return result

    def key(self) -> str:
        (self.place / ".ssh").mkdir(exist_ok=True)
        return keygen(self.place / ".ssh" / "id")

    def git(self, *words: str) -> str:
        env = {"PATH": os.environ["PATH"], "HOME": str(self.place), "LC_ALL": "C"}
        done = subprocess.run(
            ["git", *words], cwd=self.place, env=env, capture_output=True, text=True, check=True
        )
        return done.stdout

    def files(self) -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in self.place.rglob("*") if path.is_file()}


@pytest.fixture
def home(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Home:
    place = tmp_path / "home"
    who = Account("tester", os.geteuid(), os.getegid(), str(place))
    monkeypatch.setattr(git_signing_io, "account", lambda _name, _option: who)
    monkeypatch.setattr(git_signing_io, "account_of", lambda _uid, _option: who)
    monkeypatch.setattr(account_io, "_STATE_OF_ROOT", str(tmp_path / "state"))
    return Home(place, capsys)


def person(line: str, **more: Any) -> dict[str, Any]:
    return {"name": "Alice", "principals": ["alice@example.com"], "keys": [{"key": line, **more}]}


def statuses(result: dict[str, Any]) -> dict[str, str]:
    return {one["id"]: one["status"] for one in result["controls"]}


def test_the_documentation_and_the_specification_agree() -> None:
    options = yaml.safe_load(git_signing.DOCUMENTATION)["options"]
    fragment = yaml.safe_load(ModuleDocFragment.DOCUMENTATION)["options"]
    options["people"] = {**fragment["people"], **options["people"]}
    assert shape(ARGUMENT_SPEC) == documented(options)


def test_check_run_check_run_with_a_key_that_is_made(home: Home) -> None:
    one = {**ALICE, "create": True}
    told = home(one, check=True)
    assert (told["changed"], statuses(told)) == (True, {"git.signing": "fail"})
    assert home.files() == {}
    done = home(one)
    assert (done["changed"], statuses(done)) == (True, {"git.signing": "pass"})
    assert [change["after_header"] for change in done["diff"]] == [
        change["after_header"] for change in told["diff"]
    ]
    assert "PRIVATE" not in json.dumps(done)
    before = home.files()
    for check in (True, False):
        again = home(one, check=check)
        assert (again["changed"], again["diff"]) == (False, [])
        assert statuses(again) == {"git.signing": "pass"}
    assert home.files() == before
    returned = yaml.safe_load(git_signing.RETURN)
    assert set(done) - {"invocation", "changed", "diff"} == set(returned)
    assert set(done["identities"][0]) == set(returned["identities"]["contains"])


def test_the_list_of_people_is_written_and_decides(home: Home) -> None:
    line = home.key()
    told = home(ALICE, people=[person(line)], check=True)
    assert statuses(told) == {"git.signers": "fail", "git.signing": "fail"}
    done = home(ALICE, people=[person(line)])
    assert statuses(done) == {"git.signers": "pass", "git.signing": "pass"}
    assert home(ALICE, people=[person(line)])["changed"] is False
    revoked = home(ALICE, people=[person(line, revoked=True)])
    assert "allowed signers" in revoked["msg"]
    assert statuses(revoked) == {"git.signers": "fail", "git.signing": "fail"}
    assert line.split()[1] in (home.place / "trust" / "revoked").read_text()


def test_somebody_elses_entry_does_not_do_for_the_committer(home: Home, tmp_path: Path) -> None:
    """git itself takes the signature: the key is in the list, for another address."""
    line = home.key()
    bob = {**person(line), "principals": ["bob@example.com"]}
    refused = home(ALICE, people=[bob])
    assert "does not count for alice@example.com" in refused["msg"]


def test_a_setting_that_something_overrides_is_named_and_nothing_stays(home: Home) -> None:
    home.key()
    (home.place / "later").write_text("[commit]\n\tgpgsign = off\n")
    home.config.write_text("# mine\n[commit]\n[include]\n\tpath = later\n")
    before = home.files()
    refused = home(ALICE)
    assert f"{home.place}/later has the last word" in refused["msg"]
    assert home.files() == before


def test_a_key_that_cannot_sign_leaves_the_settings_as_they_are(home: Home) -> None:
    home.key()
    home.config.write_text("[user]\n\tname = old ; mine\n")
    home.config.chmod(0o640)
    (home.place / ".ssh" / "id").chmod(0o644)
    refused = home(ALICE)
    assert "give it mode 0600" in refused["msg"]
    assert home.config.read_text() == "[user]\n\tname = old ; mine\n"
    assert home.config.stat().st_mode & 0o777 == 0o640


def test_comments_and_other_values_stay(home: Home) -> None:
    home.key()
    old = '# mine\n[remote "x"]\n\tfetch = a\n\tfetch = b\n[alias]\n\tst = status # often\n'
    home.config.write_text(old)
    assert statuses(home(ALICE)) == {"git.signing": "pass"}
    assert home.config.read_text().startswith(old)


def test_the_other_place_of_settings_is_used_where_git_uses_it(home: Home) -> None:
    home.key()
    other = home.place / ".config" / "git" / "config"
    other.parent.mkdir(parents=True)
    other.write_text("[user]\n\tname = x\n")
    home(ALICE)
    assert "signingkey" in other.read_text()
    assert not home.config.exists()


def test_a_link_of_the_owners_own_is_followed(home: Home) -> None:
    home.key()
    (home.place / "dotfiles").mkdir()
    (home.place / "dotfiles" / "git").write_text("[alias]\n\tst = status\n")
    home.config.symlink_to("dotfiles/git")
    assert statuses(home(ALICE)) == {"git.signing": "pass"}
    assert home.config.is_symlink()
    assert "signingkey" in (home.place / "dotfiles" / "git").read_text()


def test_a_repository_signs_with_what_is_in_force_there_alone(home: Home) -> None:
    home.key()
    where = home.place / "twin"
    home.git("init", "-q", str(where))
    (where / ".git" / "hooks").mkdir(exist_ok=True)
    hook = where / ".git" / "hooks" / "commit-msg"
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    one = {**ALICE, "user": None, "scope": "repository", "repository": str(where)}
    assert statuses(home(one)) == {"git.signing": "pass"}
    assert not home.config.exists()
    assert home.git("-C", str(where), "count-objects").startswith("0 objects")
    (where / ".git" / "config").write_text("[core]\n")
    assert home(one)["changed"] is True


def test_one_identity_that_cannot_does_not_keep_the_others_from_it(home: Home) -> None:
    home.key()
    where = home.place / "twin"
    home.git("init", "-q", str(where))
    other = {"scope": "repository", "repository": str(where), "key": "/no/such/key"}
    refused = home(ALICE, other)
    assert [one["status"] for one in refused["identities"]] == ["pass", "fail"]
    assert "the key file /no/such/key does not exist" in refused["msg"]
    assert "signingkey" in home.config.read_text()


def test_no_hook_of_the_user_runs_in_the_proof(home: Home, tmp_path: Path) -> None:
    home.key()
    hook = tmp_path / "hooks" / "pre-commit"
    hook.parent.mkdir()
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    hook.chmod(0o755)
    home.config.write_text(f"[core]\n\thooksPath = {hook.parent}\n")
    assert statuses(home(ALICE)) == {"git.signing": "pass"}
    assert not (tmp_path / "ran").exists()


def test_without_a_proof_nothing_is_called_proven(home: Home) -> None:
    home.key()
    assert statuses(home({**ALICE, "prove": False})) == {"git.signing": "unknown"}


def test_a_passphrase_protects_the_key_and_only_a_person_goes_without_an_agent(
    home: Home, tmp_path: Path
) -> None:
    secret = tmp_path / "passphrase"
    secret.write_text("correct horse\n")
    one = {**ALICE, "create": True, "passphrase_file": str(secret)}
    refused = home(one)
    assert "others can read it" in refused["msg"]
    secret.chmod(0o600)
    refused = home(one)
    assert "the key has a passphrase and there is nobody to type it" in refused["msg"]
    assert (home.place / ".ssh" / "id").stat().st_mode & 0o777 == 0o600
    assert not home.config.exists()
    done = home({**one, "unattended": False})
    assert statuses(done) == {"git.signing": "pass"}
    assert "correct horse" not in json.dumps(done)
    secret.write_text("four\n")
    short = home(one)["msg"]
    assert "fewer than 5" in short
    assert "four" not in short


def test_without_git_check_mode_tells_what_would_be_and_a_run_says_what_is_missing(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing(argv: list[str], **_more: Any) -> Done:
        raise ProgramError(f"cannot start {argv[0]}: No such file or directory")

    monkeypatch.setattr(git_signing, "run", nothing)
    told = home({**ALICE, "create": True}, people=[], check=True)
    assert told["changed"] is True
    assert "signingkey" in told["diff"][-1]["after"]
    assert "cannot start git" in home({**ALICE, "create": True})["msg"]
    assert not home.config.exists()


def test_an_old_git_is_refused_before_anything_is_changed(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def old(argv: list[str], **more: Any) -> Done:
        said = Done(0, b"git version 2.30.2\n", b"")
        return said if argv == ["git", "version"] else program_io.run(argv, **more)

    monkeypatch.setattr(git_signing, "run", old)
    assert "it takes 2.34" in home({**ALICE, "create": True})["msg"]
    assert home.files() == {}


def test_nothing_to_do_is_a_mistake(home: Home) -> None:
    assert "there is nothing to do" in home()["msg"]
