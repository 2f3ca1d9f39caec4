# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the repositories of a git server, guard them as planned, prove it by a trial push (I/O)."""

from __future__ import annotations

import glob
import os
import shutil
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Dict, List, Mapping, Sequence, Tuple

from ..._core.controls import finding
from ..._core.error import HardeningError
from ..._core.plan import ControlError, Plan
from ..._files.transaction_io import (
    Absent,
    DirSpec,
    FilesError,
    FileSpec,
    Transaction,
    Wanted,
    plan_files,
    read_file,
    unfinished,
)
from ..._host.install_io import entry, program_files, readable
from ..._host.run_io import run
from ..._trust.people import allowed_signers, lint, revocations
from ..verify.policy import parse_policy

# Named so that Ansible sends it along: the program is made of it.
from . import guard, hook_io
from .trial_io import as_user, try_push

_WORKERS = 4
_TOOLS = ("git", "ssh-keygen")


class GuardError(HardeningError):
    """The server cannot be guarded; one sentence."""


class Server:
    """A git server, and the repositories that this run is about. ControlError for bad options."""

    def __init__(self, params: Mapping[str, Any], check_mode: bool) -> None:
        self.params = params
        self.check_mode = check_mode
        trust = {name: params[name] for name in ("people", "forges", "exceptions", "clock_skew")}
        self.policy = parse_policy(
            trust["people"],
            trust["forges"],
            (),
            trust["exceptions"],
            trust["clock_skew"],
        )
        self.trust = trust
        self.config_dir = str(params["config_dir"])
        self.state_dir = str(params["state_dir"])
        # Apart from what the repositories' owners must reach: its directory is for root alone.
        self.transaction = f"{self.state_dir}/transaction"
        self.program = f"{params['lib_dir']}/{guard.PROGRAM}"
        self.wanted = guard.repositories(params["repositories"])
        self.missing = [name for name in _TOOLS if shutil.which(name) is None]
        if not os.path.exists(str(params["python"])):
            raise ControlError(
                "python", params["python"], "it is not there", "name the host's own Python 3"
            )
        self.places = self._places()
        guard.once([path for _repository, path in self.places])

    def _places(self) -> List[Tuple[guard.Repository, str]]:
        places = []
        for number, repository in enumerate(self.wanted):
            paths = sorted(glob.glob(repository.path)) or [repository.path]
            bare = [os.path.realpath(path) for path in paths if _is_repository(path)]
            if not bare:
                raise ControlError(
                    f"repositories[{number}].path",
                    repository.path,
                    "not a bare repository",
                    "make it first: git init --bare",
                )
            places += [(repository, path) for path in bare]
        return places

    def observe(self) -> List[Tuple[guard.Repository, guard.Found]]:
        """Each repository as it is now."""
        with ThreadPoolExecutor(max_workers=_WORKERS) as pool:
            found = list(pool.map(lambda place: self._look(*place), self.places))
        return [(repository, one) for (repository, _path), one in zip(self.places, found)]

    def _look(self, repository: guard.Repository, path: str) -> guard.Found:
        about = os.stat(path)
        hooks = f"{path}/hooks"
        if "git" not in self.missing:
            hooks = self._hooks_path(path, about.st_uid, about.st_gid)
        place = f"{path}/{repository.hook}" if repository.hook else f"{hooks}/{guard.ENTRY}"
        present, kept = read_file(place), read_file(place + guard.KEPT)
        return guard.Found(
            path,
            about.st_uid,
            about.st_gid,
            place,
            present.content if present else None,
            present.mode if present else 0,
            kept.content if kept else None,
            kept.mode if kept else 0,
        )

    def _hooks_path(self, path: str, uid: int, gid: int) -> str:
        """The directory from which git takes the hooks of a repository, for its owner."""
        ask = ["git", f"--git-dir={path}", "config", "--show-origin", "--type=path"]
        done = as_user(uid, gid, [*ask, "--get", "core.hooksPath"])
        if done.code == 1 and not done.out:
            return f"{path}/hooks"
        if done.code != 0:
            raise GuardError(f"git cannot read the configuration of {path}: {done.complaint()}")
        origin, _tab, value = done.out.decode("utf-8", "surrogateescape").strip().partition("\t")
        hooks = os.path.normpath(os.path.join(path, value))
        if not hooks.startswith(path + "/"):
            raise ControlError(
                "repositories",
                path,
                f"core.hooksPath ({origin}) makes git run the hooks in {hooks}, not its own",
                "unset core.hooksPath there",
            )
        return hooks

    def specs(self, found: Sequence[Tuple[guard.Repository, guard.Found]]) -> List[Wanted]:
        """All files of the guard; the hooks last, so that they never run with half of the rest."""
        python = str(self.params["python"])
        policy = [f"{self.config_dir}/policy.json"]
        wanted = program_files(
            guard.PROGRAM, {guard.ENTRY: hook_io}, python, str(self.params["lib_dir"]), policy
        )
        wanted += _directories(self.config_dir)
        states = f"{self.state_dir}/repositories"
        people = (*self.policy.people, *self.policy.forges)
        for name, content in (
            ("allowed_signers", allowed_signers(people)),
            ("revoked_keys", revocations(people)),
            ("policy.json", guard.policy(found, self.trust, states)),
        ):
            wanted.append(FileSpec(f"{self.config_dir}/{name}", content, 0o644, 0, 0))
        wanted += _directories(states)
        for repository, one in found:
            wanted.append(DirSpec(guard.state_of(one.path, states), 0o700, one.uid, one.gid))
            wanted += self._settings(repository, one)
        text = entry(python, self.program, hook_io, policy)
        for _repository, one in found:
            wanted += _hook(one, text)
        old = read_file(f"{self.config_dir}/policy.json")
        now = {one.path for _repository, one in found}
        for path, hook in sorted(guard.guarded_before(old.content if old else None).items()):
            if path not in now:
                wanted += _unhook(hook)
        # Two of the places may lie in one directory, which must not be asked for twice.
        first = {one.path: one for one in reversed(wanted) if isinstance(one, DirSpec)}
        return [one for one in wanted if not isinstance(one, DirSpec) or first[one.path] is one]

    def _settings(self, repository: guard.Repository, found: guard.Found) -> List[Wanted]:
        """The repository's own configuration, as `git config` itself writes it."""
        if not repository.settings or "git" in self.missing:
            return []
        ask = ["git", f"--git-dir={found.path}", "config", "--type=bool", "--get"]
        changes = {}
        for name, value in sorted(repository.settings.items()):
            text = "true" if value else "false"
            current = as_user(found.uid, found.gid, [*ask, name]).out.decode().strip() or "false"
            if current != text:
                changes[name] = text
        state = read_file(f"{found.path}/config")
        if not changes or state is None:
            return []
        with tempfile.TemporaryDirectory() as work:
            copy = os.path.join(work, "config")
            with open(copy, "wb") as stream:
                stream.write(state.content)
            for name, text in changes.items():
                done = run(["git", "config", "--file", copy, "--replace-all", name, text])
                if done.code != 0:
                    raise GuardError(f"git cannot set {name} in {found.path}: {done.complaint()}")
            with open(copy, "rb") as stream:
                return [FileSpec(f"{found.path}/config", stream.read())]

    def plan(self, found: Sequence[Tuple[guard.Repository, guard.Found]]) -> Plan:
        """What is to be changed."""
        return plan_files(self.specs(found))

    def apply(self) -> List[Dict[str, Any]]:
        """Make it so, prove it; when it is not so then, the old files are back. Gives the findings."""
        if self.missing:
            raise GuardError(f"{' and '.join(self.missing)} must be installed first")
        with Transaction(self.transaction) as files:
            found = self.observe()
            files.stage(self.specs(found))
            files.commit()
            findings = self.prove(found)
            if all(one["status"] == "pass" for one in findings):
                files.confirm()
            # Else leaving the block puts the old files back: a guard that does not work helps nobody.
        return findings

    def signers(self) -> Dict[str, Any]:
        """What the list of people is worth."""
        faults = lint((*self.policy.people, *self.policy.forges), int(time.time()))
        evidence = {
            "people": len(self.policy.people),
            "forges": len(self.policy.forges),
            "faults": [{"code": one.code, "text": one.text} for one in faults],
        }
        reason = "; ".join(one.text for one in faults[:5])
        place = f"{self.config_dir}/allowed_signers"
        return finding("git.signers", place, "fail" if faults else "pass", reason, evidence)

    def prove(
        self, found: Sequence[Tuple[guard.Repository, guard.Found]], planned: bool = False
    ) -> List[Dict[str, Any]]:
        """A finding for each repository, by a trial push where a guard of ours stands."""

        def one(pair: Tuple[guard.Repository, guard.Found]) -> Dict[str, Any]:
            return self._prove(*pair, planned=planned)

        with ThreadPoolExecutor(max_workers=_WORKERS) as pool:
            return list(pool.map(one, found))

    def _prove(
        self, repository: guard.Repository, found: guard.Found, planned: bool
    ) -> Dict[str, Any]:
        chain = guard.chain_of(found)
        evidence = {"hook": found.hook, "protected": list(repository.protected), "chain": chain}
        if self.missing:
            reason = f"{' and '.join(self.missing)} is not installed"
            return finding("git.guard", found.path, "fail", reason, evidence)
        if planned and not guard.is_ours(found.present):
            return finding("git.guard", found.path, "fail", "no guard stands there", evidence)
        if not self.params["prove"]:
            reason = "prove is off: it was not tried whether an unsigned commit is refused"
            return finding("git.guard", found.path, "unknown", reason, evidence)
        trial = try_push(found.path, found.uid, found.gid, repository.protected, int(time.time()))
        status = "pass" if trial.refused else "fail"
        return finding("git.guard", found.path, status, trial.reason, evidence)


def enforce(params: Mapping[str, Any], check_mode: bool) -> Dict[str, Any]:
    """Guard the server, or say what would be done. "msg" in the result when it is not in force."""
    server = Server(params, check_mode)
    found = server.observe()
    plan = server.plan(found)
    pending = unfinished(server.transaction)
    result: Dict[str, Any] = {
        "changed": plan.changed or pending,
        "diff": readable(plan.diff()),
        "repositories": [one.path for _repository, one in found],
    }
    if check_mode or not (plan.changed or pending):
        result["controls"] = server.prove(found, planned=plan.changed)
        if check_mode:
            result["controls"].append(server.signers())
            return result
    else:
        result["controls"] = server.apply()
    bad = [one for one in result["controls"] if one["status"] == "fail"]
    result["controls"].append(server.signers())
    if bad:
        more = f" (and {len(bad) - 1} more)" if bad[1:] else ""
        result["msg"] = f"{bad[0]['resource']} is not guarded: {bad[0]['reason']}{more}"
        if plan.changed:
            result["msg"] += "; the old files are back in place"
            result["changed"] = False
    return result


def _is_repository(path: str) -> bool:
    return all(os.path.exists(os.path.join(path, name)) for name in ("HEAD", "objects", "config"))


def _directories(path: str) -> List[Wanted]:
    """The directory and those above it that are missing; the owners of repositories must get there."""
    wanted: List[Wanted] = [DirSpec(path, 0o755, 0, 0)]
    parent = os.path.dirname(path)
    while parent != "/" and (not os.path.isdir(parent) or "/twinguard" in parent):
        wanted.insert(0, DirSpec(parent, 0o755, 0, 0))
        parent = os.path.dirname(parent)
    return wanted


def _hook(found: guard.Found, text: bytes) -> List[Wanted]:
    """Ours in its place; one of others is kept beside it, and with it whoever owns it."""
    wanted: List[Wanted] = []
    folder = os.path.dirname(found.hook)
    if not os.path.isdir(folder):
        wanted.append(DirSpec(folder, 0o755, found.uid, found.gid))
    kept = guard.kept_after(found)
    if kept is not None:
        wanted.append(FileSpec(found.hook + guard.KEPT, kept[0], kept[1], found.uid, found.gid))
    wanted.append(FileSpec(found.hook, text, 0o755, 0, 0))
    return wanted


def _unhook(path: str) -> List[Wanted]:
    """A repository that is no longer ours to guard gets back what was there before."""
    try:
        present, kept = read_file(path), read_file(path + guard.KEPT)
    except FilesError:
        return []  # it is not a file any more, so it is not ours
    if present is None or not guard.is_ours(present.content):
        return []
    if kept is None:
        return [Absent(path)]
    return [FileSpec(path, kept.content, kept.mode, kept.uid, kept.gid), Absent(path + guard.KEPT)]
