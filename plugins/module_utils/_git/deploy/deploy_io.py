# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fetch, verify, and only then touch the work tree (I/O).

What is fetched lies among the objects of the repository and under a ref of ours until it is verified;
in check mode in a repository of its own that is thrown away. Nothing of it runs: no hooks, no filters
or helpers of anybody's settings while files are written.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
import time
from typing import Any, Dict, Iterator, Mapping, Tuple

from ..._core.plan import ControlError
from ..._files.transaction_io import FilesError, read_file, replace_file
from ..._host.run_io import ProgramError, clean_environment, run
from ..verify.cache import Question, parse, render
from ..verify.objects import shown
from ..verify.policy import Policy, parse_policy
from ..verify.repository_io import GitFailure, Repository
from ..verify.verify_io import Work, verify
from . import deploy

_INCOMING = "refs/twinguard/incoming"
_UNDER_WAY = "refs/twinguard/under-way"
_KEPT = "twinguard-verified.json"
_LOCK = "twinguard.lock"
# By the environment, so that git's own errors name the command and not these.
_SETTINGS = {
    "GIT_CONFIG_COUNT": "2",
    "GIT_CONFIG_KEY_0": "core.fsmonitor",
    "GIT_CONFIG_VALUE_0": "false",
    "GIT_CONFIG_KEY_1": "core.sparseCheckout",
    "GIT_CONFIG_VALUE_1": "false",
}
_NOBODY = {"GIT_COMMITTER_NAME": "twinguard", "GIT_COMMITTER_EMAIL": "twinguard@localhost"}


def enforce(params: Mapping[str, Any], check: bool) -> Dict[str, Any]:
    """The result of the module; it has C(msg) when the work tree is not as wanted."""
    wanted = deploy.check_options(params)
    policy = parse_policy(
        params["people"],
        params["forges"],
        params["pinned_root"],
        params["exceptions"],
        params["clock_skew"],
    )
    place = _Place(wanted, params)
    place.look()
    with place.locked(not check), place.incoming(check) as repository:
        present = place.present()
        commit = place.fetch(repository)
        tip, work = _verified(place, repository, present, commit, policy, check)
        decision = deploy.decide(wanted, present, tip)
        plan = deploy.plan(wanted, present, tip, decision)
        if not check:
            place.git("update-ref", "-d", _INCOMING)
            if decision.writes:
                place.apply(present, commit, decision)
        status = "fail" if decision.action == "refuse" or (check and plan.changed) else "pass"
        reason = f"not there yet: {decision.reason}" if check and plan.changed else decision.reason
        result = {
            "changed": plan.changed,
            "diff": plan.diff(),
            "controls": deploy.control(wanted, status, reason, commit, tip.accepted),
            "before": present.head,
            "after": commit if decision.action != "refuse" else present.head,
            "action": decision.action,
            "commits": deploy.rows(tip.refused),
            "signatures_checked": work.signatures,
        }
    if decision.action == "refuse" and not check:
        result["msg"] = f"{wanted.dest}: {decision.reason}"
    return result


def _verified(
    place: _Place,
    repository: Repository,
    present: deploy.Present,
    commit: str,
    policy: Policy,
    check: bool,
) -> Tuple[deploy.Tip, Work]:
    """What the verifier says of all that the branch holds; nothing is verified twice under one policy."""
    now = int(time.time())
    question = Question(policy.digest(), ((place.wanted.ref, commit),), ())
    kept = parse(place.kept(), question, now)
    work = Work(known=kept.verdicts())
    # Asked each time: replaced objects and grafts change what is shown.
    verdicts = verify(repository, [], [], policy, now)
    accepted = sum((kept.counts or {}).values())
    if kept.counts is None or verdicts:
        verdicts = verify(repository, [commit], [], policy, now, work=work)
        accepted = sum(one.accepted for one in verdicts)
        if not check:
            place.keep(render(question, verdicts, work.own))
    refused = tuple(one for one in verdicts if not one.accepted)
    forward = not present.head or repository.is_ancestor(present.head, commit)
    behind = not forward and repository.is_ancestor(commit, present.head)
    return deploy.Tip(commit, refused, accepted, forward, behind), work


class _Place:
    """The work tree and its repository."""

    def __init__(self, wanted: deploy.Wanted, params: Mapping[str, Any]) -> None:
        self.wanted = wanted
        self.params = params
        self.own = Repository(wanted.dest)
        self.git_dir = os.path.join(wanted.dest, ".git")
        self.made = False

    def look(self) -> None:
        """Refuse what is not ours to change. ControlError."""
        dest = self.wanted.dest
        above = os.path.dirname(dest)
        if not os.path.isdir(above):
            raise ControlError("dest", dest, f"{above} does not exist", "make the directory first")
        if not os.path.lexists(dest):
            return
        about = os.lstat(dest)
        if not stat.S_ISDIR(about.st_mode):
            raise ControlError(
                "dest", dest, "not a directory", "name a directory that is not a symbolic link"
            )
        if about.st_uid != os.geteuid():
            # What lies in there decides what git does: nobody may do that for somebody else.
            raise ControlError(
                "dest",
                dest,
                "it belongs to another user",
                "run the task as its owner (become_user)",
            )
        self.made = os.path.lexists(self.git_dir)
        if not self.made and os.listdir(dest):
            raise ControlError(
                "dest",
                dest,
                "it holds files and is not a work tree of git",
                "name an empty directory",
            )
        if self.made and not os.path.isdir(self.git_dir):
            raise ControlError("dest", dest, "it is a linked work tree", "name one of its own")

    def git(self, *words: str, codes: Tuple[int, ...] = (0,)) -> bytes:
        """Git in the work tree, with nobody's settings and no hooks."""
        more = {"GIT_WORK_TREE": self.wanted.dest, **_NOBODY, **_SETTINGS}
        return self.own.git(*words, codes=codes, more=more).out

    def present(self) -> deploy.Present:
        """The work tree as it is."""
        if not self.made:
            return deploy.Present()
        head = (
            self.git("rev-parse", "--verify", "-q", "HEAD^{commit}", codes=(0, 1)).decode().strip()
        )
        branch = self.git("symbolic-ref", "-q", "HEAD", codes=(0, 1)).decode("utf-8", "replace")
        under_way = self.git("for-each-ref", "--format=%(objectname)", _UNDER_WAY).strip()
        return deploy.Present(
            True,
            head,
            branch.strip()[len("refs/heads/") :],
            self._changed() if head else (),
            bool(under_way),
        )

    def _changed(self) -> Tuple[str, ...]:
        """Files that differ from the commit, also those that the index is set to overlook."""
        flags = self.git("ls-files", "-v", "-z").split(b"\0")
        overlooked = [one[2:] for one in flags if one[:1].islower() or one[:1] == b"S"]
        listed = self.git("status", "--porcelain=v1", "-z", "--untracked-files=no", "--no-renames")
        changed = [one[3:] for one in listed.split(b"\0") if one]
        return tuple(shown(name, 80) for name in [*changed, *overlooked])

    @contextlib.contextmanager
    def locked(self, writes: bool) -> Iterator[None]:
        """One run at a time; a work tree that is still to come is made here."""
        if not writes:
            yield
            return
        if not self.made:
            self._make()
        fd = os.open(
            os.path.join(self.git_dir, _LOCK), os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o600
        )
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    def _make(self) -> None:
        dest = self.wanted.dest
        try:
            os.makedirs(dest, mode=0o755, exist_ok=True)
        except OSError as error:
            raise FilesError(dest, "make", error) from error
        self._init(dest)
        self.made = True

    def _init(self, path: str, *more: str) -> None:
        environment = Repository(path).environment()
        del environment["GIT_DIR"]
        done = run(["git", "init", "-q", "--template=", *more, path], env=environment)
        if done.code != 0:
            raise GitFailure(f"git init in {path} failed: {shown(done.err, 200)}")

    @contextlib.contextmanager
    def incoming(self, check: bool) -> Iterator[Repository]:
        """Where what is fetched goes: among our objects, or in check mode beside them."""
        if not check:
            yield self.own
            return
        place = tempfile.mkdtemp(prefix="twinguard-git-")
        try:
            self._init(place, "--bare")
            if self.made:
                with open(os.path.join(place, "objects", "info", "alternates"), "w") as file:
                    file.write(os.path.join(self.git_dir, "objects") + "\n")
            yield Repository(place)
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def fetch(self, repository: Repository) -> str:
        """Get the branch; returns its commit. The settings that count are those of whoever we are."""
        settings = [
            "-c",
            "fetch.fsckObjects=true",
            "-c",
            "safe.directory=*",
            "-c",
            "gc.autoDetach=false",
        ]
        settings += ["-c", "core.hooksPath=/dev/null", "-c", "protocol.ext.allow=never"]
        words = ["--no-tags", "--no-recurse-submodules", "--no-write-fetch-head", "--quiet"]
        ref = f"+{self.wanted.ref}:{_INCOMING}"
        try:
            done = run(
                ["git", *settings, "fetch", *words, "--", self.wanted.repo, ref],
                env=self._network(repository),
                timeout=float(self.params["timeout"]),
                cwd="/",
            )
        except ProgramError as error:
            raise GitFailure(f"cannot fetch from {self.wanted.repo}: {error}") from error
        if done.code != 0:
            lines = [line for line in done.err.splitlines() if line.strip()] or [b"no reason given"]
            complaint = next((line for line in lines if line.startswith(b"fatal")), lines[-1])
            raise GitFailure(f"cannot fetch {self.wanted.branch}: {shown(complaint, 200)}")
        return repository.git("rev-parse", "--verify", _INCOMING).out.decode("ascii").strip()

    def _network(self, repository: Repository) -> Dict[str, str]:
        environment = clean_environment(("HOME", "SSH_AUTH_SOCK", "https_proxy", "http_proxy"))
        command = ["ssh", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes"]
        if self.params["ssh_key_file"]:
            command += ["-i", self.params["ssh_key_file"], "-o", "IdentitiesOnly=yes"]
        if self.params["known_hosts_file"]:
            command += ["-o", "UserKnownHostsFile=" + self.params["known_hosts_file"]]
        more = {
            "GIT_DIR": repository.git_dir,
            "GIT_SSH_COMMAND": " ".join(command),
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_NO_REPLACE_OBJECTS": "1",
        }
        return {**environment, **more}

    def apply(self, present: deploy.Present, commit: str, decision: deploy.Decision) -> None:
        """Bring the work tree to the commit, and see that it is there. GitFailure."""
        if present.cut_short:
            self._unlock()
        # From here on differences are ours: the next run may finish what this one cannot.
        self.git("update-ref", _UNDER_WAY, commit)
        if decision.action == "make":
            self.git("symbolic-ref", "HEAD", self.wanted.ref)
        if decision.action == "forward":
            try:
                self.git("merge", "--ff-only", "--quiet", commit)
            except GitFailure as error:
                self.git("update-ref", "-d", _UNDER_WAY)
                raise GitFailure(
                    f"{error}; nothing was touched, move away the files that are in no commit"
                ) from error
        else:
            self.git("reset", "--hard", "--quiet", commit)
        found = self.present()
        if found.head != commit or found.changed:
            raise GitFailure(f"{self.wanted.dest} is not at {commit[:12]} though git says so")
        self.git("update-ref", "-d", _UNDER_WAY)

    def _unlock(self) -> None:
        """Remove what a killed git left: we hold the lock under which we run it."""
        names = ["index.lock", "HEAD.lock", f"refs/heads/{self.wanted.branch}.lock"]
        for name in [*names, f"{_UNDER_WAY}.lock", "ORIG_HEAD.lock"]:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(self.git_dir, name))

    def kept(self) -> bytes:
        """What was verified before; nothing when somebody else could have written it."""
        found = read_file(os.path.join(self.git_dir, _KEPT)) if self.made else None
        ours = found is not None and found.uid == os.geteuid() and not found.mode & 0o022
        return found.content if found is not None and ours else b""

    def keep(self, content: bytes) -> None:
        """Remember it for the next run."""
        replace_file(os.path.join(self.git_dir, _KEPT), content, 0o600)
