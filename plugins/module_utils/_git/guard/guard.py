# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The wanted state of a git server whose repositories are guarded, and the verdict on a trial push (pure)."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from ..._core.plan import ControlError
from .hook import is_protected

PROGRAM = "git-guard"
ENTRY = "pre-receive"
KEPT = ".before-twinguard"
MARK = b"# Managed by Ansible (twinguard.hardening)"
"""In every hook of ours; another hook in its place is somebody else's."""
SETTINGS = {
    "deny_non_fast_forwards": "receive.denyNonFastForwards",
    "deny_deletes": "receive.denyDeletes",
}
_ID = re.compile(r"(?:[0-9a-f]{40}|[0-9a-f]{64})\Z")
_HOOK = re.compile(r"(?!/)(?:(?!\.\.?/)[A-Za-z0-9._-]+/)*[A-Za-z0-9._-]+\Z")
_BAD_REF = re.compile(r"[\x00-\x20\x7f~^:?\[\\]|\.\.|@\{|//|/\Z|\.lock\Z")


@dataclass(frozen=True)
class Found:
    """A repository as it is on the host. `hook`: where git looks for it; `kept`: one of others, put aside."""

    path: str
    uid: int
    gid: int
    hook: str
    present: Optional[bytes] = field(default=None, repr=False)
    present_mode: int = 0
    kept: Optional[bytes] = field(default=None, repr=False)
    kept_mode: int = 0


@dataclass(frozen=True)
class Repository:
    """What is wanted of one repository, in the order of the option."""

    path: str
    protected: Tuple[str, ...]
    pinned_root: Tuple[str, ...] = ()
    hook: str = ""
    settings: Mapping[str, bool] = field(default_factory=dict)


def repositories(
    given: Sequence[Mapping[str, Any]], option: str = "repositories"
) -> List[Repository]:
    """The option, checked. `path` is still what was given. ControlError."""
    wanted = []
    for number, item in enumerate(given):
        where = f"{option}[{number}]"
        path = str(item["path"])
        if not path.startswith("/") or path == "/" or "\n" in path or "\0" in path:
            raise ControlError(
                f"{where}.path", path, "not an absolute path", "name the bare repository"
            )
        wanted.append(
            Repository(
                path.rstrip("/"),
                tuple(_pattern(one, f"{where}.protected") for one in item["protected"]),
                tuple(
                    _commit(one, f"{where}.pinned_root") for one in item.get("pinned_root") or []
                ),
                _hook(str(item.get("hook") or ""), f"{where}.hook"),
                {
                    SETTINGS[name]: bool(item[name])
                    for name in SETTINGS
                    if item.get(name) is not None
                },
            )
        )
        if not wanted[-1].protected:
            raise ControlError(
                f"{where}.protected", [], "nothing would be guarded", "name refs/heads/main"
            )
    return wanted


def _pattern(given: Any, where: str) -> str:
    text = str(given)
    if not text.startswith("refs/") or _BAD_REF.search(text):
        raise ControlError(
            where, text, "not the full name of a ref", "write refs/heads/main or refs/tags/*"
        )
    return text


def _commit(given: Any, where: str) -> str:
    text = str(given).lower()
    if not _ID.match(text):
        raise ControlError(where, given, "not a full commit id", "use git rev-parse")
    return text


def _hook(given: str, where: str) -> str:
    if given and not _HOOK.match(given):
        raise ControlError(
            where,
            given,
            "not a path inside the repository",
            "write hooks/pre-receive.d/twinguard, for example",
        )
    return given


def once(paths: Sequence[str], option: str = "repositories") -> None:
    """ControlError when a repository is named twice."""
    for path in paths:
        if list(paths).count(path) > 1:
            raise ControlError(
                option, path, "two items name this repository", "give each repository one item"
            )


def state_of(path: str, state_dir: str) -> str:
    """The directory in which a repository's guard keeps its record and its cache."""
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", path.strip("/").rsplit("/", 1)[-1]).strip("-")
    digest = hashlib.sha256(path.encode("utf-8", "surrogateescape")).hexdigest()[:10]
    return f"{state_dir}/{name or 'repository'}-{digest}"


def chain_of(found: Found) -> str:
    """The path of a hook of others that runs after ours; "" when there is none."""
    kept = kept_after(found)
    return found.hook + KEPT if kept is not None and kept[1] & 0o111 else ""


def is_ours(content: Optional[bytes]) -> bool:
    """Whether a hook is one of ours, of whatever version."""
    return content is not None and MARK in content


def kept_after(found: Found) -> Optional[Tuple[bytes, int]]:
    """The wanted kept hook: one that stands where ours belongs, or the one kept before."""
    if found.present is not None and not is_ours(found.present):
        return found.present, found.present_mode
    return None if found.kept is None else (found.kept, found.kept_mode)


def policy(
    wanted: Sequence[Tuple[Repository, Found]], trust: Mapping[str, Any], state_dir: str
) -> bytes:
    """The file that the hook reads at each push."""
    named: Dict[str, Any] = {}
    for repository, found in wanted:
        named[found.path] = {
            "protected": list(repository.protected),
            "pinned_root": list(repository.pinned_root),
            "state": state_of(found.path, state_dir),
            "chain": chain_of(found),
            "hook": found.hook,
        }
    text = {"version": 1, "repositories": named, "trust": dict(trust)}
    return (json.dumps(text, indent=1, sort_keys=True) + "\n").encode("utf-8")


def guarded_before(content: Optional[bytes]) -> Dict[str, str]:
    """Repository -> its hook, of the policy of an earlier run; nothing when there was none."""
    try:
        text = json.loads(content or b"{}")
        return {path: str(one["hook"]) for path, one in text.get("repositories", {}).items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def trial_ref(protected: Sequence[str], refs: Sequence[str]) -> str:
    """The protected ref that the trial pushes to: one that is there, or one that could be."""
    branches = [one for one in protected if not one.startswith("refs/tags/")] or list(protected)
    there = [ref for ref in refs if is_protected(ref, branches) and ref.startswith("refs/heads/")]
    return min(there) if there else branches[0].replace("*", "twinguard-trial")


@dataclass(frozen=True)
class Trial:
    """How git took an unsigned commit. `refused`: the guard said so itself, about this commit."""

    refused: bool
    reason: str


def judge(code: int, output: str, ref: str, commit: str) -> Trial:
    """What a trial push proves: of the guard's words and git's "ng" lines. It could not have succeeded."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    ours = [line for line in lines if line.startswith("twinguard:")]
    named = [line for line in ours if commit[:12] in line and "unsigned" in line]
    declined = any(line.startswith("ng ") and "pre-receive" in line for line in lines)
    if code != 0 and declined and named and f"twinguard: refused {ref}" in ours:
        return Trial(True, "")
    if ours:
        refusal = " ".join(line.partition("twinguard:")[2].strip() for line in ours)
        return Trial(False, f"the guard does not refuse an unsigned commit as such: {refusal}")
    if declined:
        return Trial(False, "a hook refuses pushes, but it is not the guard that speaks")
    return Trial(
        False,
        "no hook refuses an unsigned commit; git itself stopped the trial: "
        + (lines[-1] if lines else "no reason given"),
    )
