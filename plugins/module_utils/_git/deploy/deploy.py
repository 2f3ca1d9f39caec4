# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a work tree may go on to a newer commit, and how (pure)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Sequence, Tuple

from ..._core.controls import finding
from ..._core.plan import Change, ControlError, Plan
from ..verify.verdict import Verdict

CONTROL = "git.deploy"
_SHOWN = 5
_CONTROL = re.compile(r"[\x00-\x20\x7f]")
# What git itself refuses in the name of a branch, and what would be an option or a revision.
_NO_BRANCH = re.compile(r"(^[-/.])|[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|\.lock(/|$)|/\.|[/.]$")


@dataclass(frozen=True)
class Wanted:
    """The wanted branch and its place."""

    repo: str
    dest: str
    branch: str

    @property
    def ref(self) -> str:
        """The branch as the other side calls it."""
        return "refs/heads/" + self.branch


@dataclass(frozen=True)
class Present:
    """The work tree as it is. `head` is '' without a commit; `made` is False when there is no repository.

    `changed`: files that differ from the commit; `cut_short`: an earlier run of ours did not end.
    """

    made: bool = False
    head: str = ""
    branch: str = ""
    changed: Tuple[str, ...] = ()
    cut_short: bool = False


@dataclass(frozen=True)
class Tip:
    """The commit that the other side's branch is at, what there is to say of it, and how it lies to ours."""

    commit: str
    refused: Tuple[Verdict, ...] = ()
    accepted: int = 0
    forward: bool = True
    behind: bool = False


@dataclass(frozen=True)
class Decision:
    """What to do: 'nothing', 'make', 'forward', 'finish' or 'refuse', and the reason."""

    action: str
    reason: str

    @property
    def writes(self) -> bool:
        """Whether the work tree changes."""
        return self.action in ("make", "forward", "finish")


def check_options(params: Mapping[str, Any]) -> Wanted:
    """What is wanted. Raises ControlError."""
    repo, dest, branch = params["repo"], params["dest"], params["version"]
    if (
        not repo
        or repo.startswith("-")
        or _CONTROL.search(repo)
        or re.match(r"[A-Za-z0-9]+::", repo)
    ):
        raise ControlError("repo", repo, "not the address of a repository", "use a URL or a path")
    if not dest.startswith("/") or ".." in dest.split("/") or _CONTROL.sub("", dest) != dest:
        raise ControlError("dest", dest, "the path is not absolute or not plain", "begin with '/'")
    if branch.startswith("refs/heads/"):
        branch = branch[len("refs/heads/") :]
    if not branch or branch.startswith("refs/") or branch == "HEAD" or _NO_BRANCH.search(branch):
        raise ControlError(
            "version", params["version"], "not the name of a branch", "use a branch such as main"
        )
    for name in ("ssh_key_file", "known_hosts_file"):
        path = params[name] or "/"
        if not path.startswith("/") or re.search(r"[^\w@%+=:,./-]", path):
            raise ControlError(
                name, path, "the path is not absolute or not plain", "begin with '/'"
            )
    if params["timeout"] < 1:
        raise ControlError(
            "timeout",
            params["timeout"],
            "not a number of seconds above zero",
            "use seconds such as 300",
        )
    return Wanted(repo, dest.rstrip("/") or "/", branch)


def decide(wanted: Wanted, present: Present, tip: Tip) -> Decision:
    """What may be done. What was not verified is never done, whatever else is true."""
    short = tip.commit[:12]
    if tip.refused:
        return Decision("refuse", _refused(wanted, tip))
    if not present.made or not present.head:
        return Decision("make", f"{wanted.branch} is at {short}, and all of it is verified")
    if present.branch != wanted.branch:
        shown = present.branch or "no branch"
        return Decision("refuse", f"the work tree is on {shown} and not on {wanted.branch}")
    if not tip.forward:
        how = "went back to an older commit" if tip.behind else "has another history"
        return Decision(
            "refuse", f"{wanted.branch} {how}: {short} does not follow {present.head[:12]}"
        )
    if present.cut_short:
        return Decision("finish", f"an earlier run was cut short; {short} is verified")
    if present.changed:
        names = ", ".join(present.changed[:_SHOWN])
        more = len(present.changed) - _SHOWN
        return Decision(
            "refuse",
            "files were changed here: " + names + (f" and {more} more" if more > 0 else ""),
        )
    if present.head == tip.commit:
        return Decision("nothing", f"{short} and all before it is verified")
    return Decision("forward", f"{short} follows {present.head[:12]} and is verified")


def _refused(wanted: Wanted, tip: Tip) -> str:
    lines = [one.line() for one in tip.refused[:_SHOWN]]
    total = len(tip.refused) + tip.accepted
    head = f"{len(tip.refused)} of {total} commits of {wanted.branch} are not acceptable"
    return f"{head}, the work tree stays as it is: " + " ".join(lines)


def plan(wanted: Wanted, present: Present, tip: Tip, decision: Decision) -> Plan:
    """The change of the work tree, by its commit."""
    if not decision.writes:
        return Plan()
    before = f"commit {present.head}\n" if present.head else None
    if decision.action == "finish":
        before = f"commit {present.head}, cut short\n"
    return Plan((Change(wanted.dest, before, f"commit {tip.commit}\n"),))


def control(
    wanted: Wanted, status: str, reason: str, tip: str, verified: int
) -> List[Dict[str, Any]]:
    """The finding about the work tree."""
    evidence = {"branch": wanted.branch, "commit": tip, "verified": verified}
    return [finding(CONTROL, wanted.dest, status, reason, evidence)]


def rows(refused: Sequence[Verdict], limit: int = 100) -> List[Dict[str, Any]]:
    """What is refused, as rows of the result."""
    return [one.row() for one in refused[:limit]]
