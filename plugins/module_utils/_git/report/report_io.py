# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Audit the histories of repositories; keep what was found out for the next run (I/O)."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from ..._core.controls import finding
from ..._core.error import HardeningError
from ..._core.plan import ControlError
from ..._files.transaction_io import FilesError, read_file, replace_file
from ..verify.cache import Kept, Question, parse, render
from ..verify.objects import shown
from ..verify.policy import Accepted, parse_accepted
from ..verify.repository_io import GitFailure, Repository
from ..verify.verdict import Verdict, counts
from ..verify.verify_io import Work, verify
from .report import (
    CONTROL,
    Target,
    Tip,
    findings,
    guarded,
    is_pattern,
    matching,
    tag_names,
    targets,
)

_WRITABLE = stat.S_IWGRP | stat.S_IWOTH


def report(params: Mapping[str, Any], check_mode: bool) -> Dict[str, Any]:
    """The result of the module. ControlError, FilesError."""
    if params["limit"] < 0:
        raise ControlError("limit", params["limit"], "this is below zero", "use 0 for no rows")
    now = int(time.time())
    controls: List[Dict[str, Any]] = []
    repositories: List[Dict[str, Any]] = []
    rows: List[Dict[str, Any]] = []
    for target in _targets(params):
        try:
            found = _Audit(target, now, params["cache_dir"], params["all"]).run(not check_mode)
        except HardeningError as error:
            # One repository that cannot be read hides nothing about the others.
            controls.append(finding(CONTROL, target.path, "unknown", str(error)))
            repositories.append({"path": target.path, "error": str(error)})
            continue
        controls += found["controls"]
        repositories.append(found["summary"])
        rows += found["rows"]
    return {
        "changed": False,
        "controls": controls,
        "repositories": repositories,
        "commits": rows[: params["limit"]],
        "truncated": len(rows) > params["limit"],
        "verified": all(one["status"] in ("pass", "not_applicable") for one in controls),
    }


def _targets(params: Mapping[str, Any]) -> List[Target]:
    path = params["guard_policy"]
    if path:
        return guarded(_content(path, "guard_policy"), path)
    if not params["people"] and not params["allowed_signers"]:
        raise ControlError(
            "people", params["people"], "nobody is trusted", "name people or allowed_signers"
        )
    signers = params["allowed_signers"]
    return targets(params, _content(signers, "allowed_signers") if signers else None)


def _content(path: str, option: str) -> bytes:
    """A file that decides about trust: nobody else may have written it."""
    state = read_file(path)
    if state is None:
        raise ControlError(option, path, "the file does not exist", "name a file on this host")
    if state.uid not in (0, os.geteuid()) or state.mode & _WRITABLE:
        raise ControlError(
            option, path, "others than its reader can write it", "give it to root, with mode 0644"
        )
    return state.content


class _Audit:
    """One repository."""

    def __init__(self, target: Target, now: int, cache_dir: Optional[str], every: bool) -> None:
        self.target, self.now, self.every = target, now, every
        self.place = Repository(target.path)
        name = hashlib.sha256(target.path.encode("utf-8", "surrogateescape")).hexdigest()[:16]
        self.directory = cache_dir
        self.cache = f"{cache_dir}/{name}.json" if cache_dir else ""

    def run(self, keep: bool) -> Dict[str, Any]:
        """Findings, a summary and rows. GitFailure, ProgramError, FilesError."""
        tips, since = self._tips()
        if not tips:
            reason = "it has no commits yet"
            control = finding(CONTROL, self.target.path, "not_applicable", reason)
            return self._result([control], [], {}, Work(), False)
        # Asked each time, whatever was found before: they change what everybody else sees.
        problems = verify(self.place, [], [], self.target.policy, self.now)
        pairs = tuple((tip.revision, tip.id) for tip in tips)
        question = Question(self.target.policy.digest(), pairs, tuple(since))
        kept = self._kept(question)
        if kept.counts is not None and not problems and not self.every:
            return self._result(findings(self.target.path, tips, []), [], kept.counts, Work(), True)
        work = Work(known=kept.verdicts())
        verdicts = verify(
            self.place,
            [tip.id for tip in tips],
            since,
            self.target.policy,
            self.now,
            accepted=self._record(),
            refs=tag_names(tips),
            work=work,
        )
        if keep and self.cache:
            self._keep(render(question, verdicts, work.own))
        refused = [one for one in verdicts if not one.accepted]
        controls = findings(self.target.path, tips, refused)
        shown_rows = verdicts if self.every else refused
        return self._result(controls, shown_rows, counts(verdicts), work, False)

    def _result(
        self,
        controls: List[Dict[str, Any]],
        rows: Sequence[Verdict],
        statuses: Mapping[str, int],
        work: Work,
        same: bool,
    ) -> Dict[str, Any]:
        summary = {
            "path": self.target.path,
            "count": sum(statuses.values()),
            "counts": dict(statuses),
            "signatures_checked": work.signatures,
            "from_cache": same,
        }
        shown = [{"repository": self.target.path, **one.row()} for one in rows]
        return {"controls": controls, "summary": summary, "rows": shown}

    def _tips(self) -> Tuple[List[Tip], List[str]]:
        """What the revisions stand for now, and what is trusted. GitFailure when one is not there."""
        names = [one for one in self.target.revisions if not is_pattern(one)]
        patterns = [one for one in self.target.revisions if is_pattern(one)]
        asked = [*names, *([self.target.since] if self.target.since else [])]
        refs = self._refs() if patterns or names == ["HEAD"] else {"": ""}
        if not refs:
            return [], []
        found = self._resolve(asked)
        tips = [Tip(name, found[name]) for name in names]
        tips += [tip for tip in matching(patterns, refs) if tip not in tips]
        return tips, [found[self.target.since]] if self.target.since else []

    def _refs(self) -> Dict[str, str]:
        out = self.place.git("for-each-ref", "--format=%(objectname) %(refname)").out
        lines = out.decode("utf-8", "surrogateescape").splitlines()
        return {line.split(" ", 1)[1]: line.split(" ", 1)[0] for line in lines}

    def _resolve(self, names: Sequence[str]) -> Dict[str, str]:
        if not names:
            return {}
        stdin = "".join(name + "\n" for name in names).encode("utf-8", "surrogateescape")
        out = self.place.git("cat-file", "--batch-check=%(objectname)", stdin=stdin).out
        lines = out.decode("utf-8", "surrogateescape").splitlines()
        for name, line in zip(names, lines):
            if " " in line:
                text = shown(name.encode("utf-8", "surrogateescape"))
                raise GitFailure(f"{self.target.path} has no revision {text}")
        return dict(zip(names, lines))

    def _record(self) -> List[Accepted]:
        """What the guard has let in; nothing when it keeps no record."""
        if not self.target.accepted:
            return []
        state = read_file(self.target.accepted)
        if state is None:
            return []
        owners = (0, os.geteuid(), os.stat(self.place.git_dir).st_uid)
        if state.mode & _WRITABLE or state.uid not in owners:
            raise GitFailure(f"{self.target.accepted} proves nothing: others can write it")
        return [
            push
            for push in parse_accepted(state.content.decode("utf-8", "surrogateescape"))
            if push.repository in ("", self.target.path)
        ]

    def _kept(self, question: Question) -> Kept:
        """The cache, unless somebody else could have written it."""
        if not self.cache:
            return Kept()
        try:
            number = os.open(self.cache, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            return Kept()
        with os.fdopen(number, "rb") as file:
            about = os.fstat(file.fileno())
            ours = about.st_uid == os.geteuid() and not about.st_mode & _WRITABLE
            if not ours or not stat.S_ISREG(about.st_mode):
                return Kept()
            return parse(file.read(), question, self.now)

    def _keep(self, content: bytes) -> None:
        try:
            os.makedirs(self.directory or "", mode=0o700, exist_ok=True)
        except OSError as error:
            raise FilesError(self.directory or "", "make the directory", error) from error
        replace_file(self.cache, content, 0o600)
