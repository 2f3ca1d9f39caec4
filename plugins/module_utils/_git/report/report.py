# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of an audit of histories, and its findings (pure)."""

from __future__ import annotations

import fnmatch
import json
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from ..._core.controls import finding
from ..._core.plan import ControlError
from ..._trust.allowed_signers import parse_allowed_signers, people_of
from ..verify.policy import Policy, parse_policy
from ..verify.verdict import Verdict

CONTROL = "git.history"
WHOLE = ("replaced", "grafted", "shallow")
"""Faults of a repository, by which none of its histories is what it seems."""

_SHOWN = 3


@dataclass(frozen=True)
class Target:
    """One repository: which revisions (names or patterns of refs), and on top of what."""

    path: str
    revisions: Tuple[str, ...]
    policy: Policy
    since: str = ""
    accepted: str = ""


@dataclass(frozen=True)
class Tip:
    """A revision and the object it stands for now."""

    revision: str
    id: str


def targets(params: Mapping[str, Any], signers: Optional[bytes]) -> List[Target]:
    """What the options name; `signers` is the content of the file of allowed_signers. ControlError."""
    common = {
        "people": params["people"] or [],
        "forges": params["forges"],
        "exceptions": params["exceptions"],
        "clock_skew": params["clock_skew"],
    }
    found = []
    for number, item in enumerate(params["repositories"] or []):
        where = f"repositories[{number}]"
        policy = parse_policy(pinned_roots=item["pinned_root"], **common)
        if signers is not None:
            people = tuple(people_of(parse_allowed_signers(signers)))
            policy = Policy(
                people, policy.forges, policy.pinned_roots, policy.exceptions, policy.clock_skew
            )
        for revision in [*item["revisions"], item["since"] or "HEAD"]:
            _check_revision(revision, where)
        found.append(
            Target(
                _absolute(item["path"], f"{where}.path"),
                tuple(item["revisions"]),
                policy,
                item["since"] or "",
                item["accepted"] or "",
            )
        )
    return found


def guarded(content: bytes, path: str) -> List[Target]:
    """What the guard of a git server protects, from its own policy. ControlError."""
    try:
        policy = json.loads(content)
        names = ("people", "forges", "exceptions", "clock_skew")
        common = {name: policy["trust"][name] for name in names}
        return [
            Target(
                place,
                tuple(one["protected"]),
                parse_policy(pinned_roots=one["pinned_root"], **common),
                accepted=f"{one['state']}/accepted",
            )
            for place, one in sorted(policy["repositories"].items())
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, ControlError):
            raise
        raise ControlError(
            "guard_policy",
            path,
            "not a policy file of git_guard",
            "run git_guard on this host first",
        ) from error


def _absolute(path: str, where: str) -> str:
    if not path.startswith("/") or "\n" in path or "\0" in path:
        raise ControlError(where, path, "not an absolute path", "name the repository's directory")
    return path.rstrip("/") or "/"


def _check_revision(revision: str, where: str) -> None:
    # One per line is how git is asked.
    if not revision or revision.startswith("-") or any(one in revision for one in "\n\0 "):
        raise ControlError(
            f"{where}.revisions", revision, "this names no revision", "name a ref or a commit"
        )


def matching(patterns: Sequence[str], refs: Mapping[str, str]) -> List[Tip]:
    """The refs that the patterns cover, as the guard reads them: '*' covers '/' as well."""
    return [
        Tip(ref, name)
        for ref, name in sorted(refs.items())
        if any(fnmatch.fnmatchcase(ref, pattern) for pattern in patterns)
    ]


def tag_names(tips: Sequence[Tip]) -> Dict[str, List[str]]:
    """Under which names each tag stands; one tag can stand under several."""
    names: Dict[str, List[str]] = {}
    for tip in tips:
        if tip.revision.startswith("refs/tags/"):
            names.setdefault(tip.id, []).append(tip.revision)
    return names


def is_pattern(revision: str) -> bool:
    """Whether a revision stands for refs that have to be looked up."""
    return revision.startswith("refs/") and any(one in revision for one in "*?[")


def findings(path: str, tips: Sequence[Tip], refused: Sequence[Verdict]) -> List[Dict[str, Any]]:
    """The control of each revision. One that rests on nothing refused passes."""
    whole = [one for one in refused if one.status in WHOLE]
    own = {one.commit: one for one in refused}
    entries = []
    for tip in tips:
        fault = whole[0] if whole else own.get(tip.id)
        evidence: Dict[str, Any] = {"commit": tip.id}
        if fault is not None:
            evidence["refused"] = len(refused)
            evidence["first"] = [one.line() for one in refused[:_SHOWN]]
        resource = f"{path} {tip.revision}"
        reason = f"{fault.kind} {fault.commit[:12]}: {fault.reason}" if fault else ""
        entries.append(finding(CONTROL, resource, "fail" if fault else "pass", reason, evidence))
    return entries
