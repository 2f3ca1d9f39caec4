# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a git server's pre-receive hook makes of a push (pure).

A push is a list of updates "old new ref". Which updates are about protected refs, which are refused
for what they are, and which commits have to be verified is decided here; the signatures are not.
Loaded at each push, so it imports little.
"""

from __future__ import annotations

import fnmatch
import re
from typing import Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from ..._core.error import HardeningError
from ..verify.policy import Accepted, render_accepted

NAME = "twinguard-git-guard"
"""Under which the hook writes to the journal."""

_SHOWN = 5  # refused commits that are named to the pusher; all are in the journal
_ID = re.compile(r"(?:[0-9a-f]{40}|[0-9a-f]{64})\Z")
# They change what other objects mean, for everyone who reads the repository.
_MEANING = ("refs/replace/",)


class HookError(HardeningError):
    """The hook cannot do its work; the push is refused with this sentence."""


class Update(NamedTuple):
    """One ref that the push changes. Ids of zeros stand for nothing."""

    old: str
    new: str
    ref: str

    @property
    def creates(self) -> bool:
        """Whether the ref is new."""
        return not self.old.strip("0")

    @property
    def deletes(self) -> bool:
        """Whether the ref goes."""
        return not self.new.strip("0")


class Refusal(NamedTuple):
    """Why an update is refused: its ref, what is at fault, the reason, and what the pusher can do."""

    ref: str
    subject: str
    status: str
    reason: str
    fix: str


class Guarded(NamedTuple):
    """What the policy says of one repository. `chain`: a hook of others that has a say as well."""

    path: str
    protected: Tuple[str, ...]
    pinned_root: Tuple[str, ...]
    state: str
    chain: str


def parse_updates(given: bytes) -> List[Update]:
    """The updates from the hook's standard input. HookError when git sent something else."""
    updates = []
    for line in given.decode("utf-8", "surrogateescape").splitlines():
        parts = line.split(" ", 2)
        if len(parts) != 3 or not _ID.match(parts[0]) or not _ID.match(parts[1]) or not parts[2]:
            raise HookError(f"git gave a line that is not an update: {shown(line)}")
        updates.append(Update(*parts))
    if not updates:
        raise HookError("git gave no update at all")
    return updates


def guarded(policy: Mapping[str, object], path: str) -> Guarded:
    """What the policy says of the repository at `path`. HookError when it says nothing."""
    repositories = policy.get("repositories")
    found = repositories.get(path) if isinstance(repositories, dict) else None
    if policy.get("version") != 1 or not isinstance(found, dict):
        raise HookError(f"the policy of this server does not name the repository {shown(path)}")
    return Guarded(
        path,
        tuple(str(one) for one in found["protected"]),
        tuple(str(one) for one in found["pinned_root"]),
        str(found["state"]),
        str(found["chain"]),
    )


def is_protected(ref: str, patterns: Sequence[str]) -> bool:
    """Whether one of the patterns covers the ref; '*' covers '/' as well."""
    return any(fnmatch.fnmatchcase(ref, pattern) for pattern in patterns)


def refuse_outright(updates: Sequence[Update], repository: Guarded) -> List[Refusal]:
    """What is refused whoever signed it."""
    refusals = []
    for one in updates:
        refusal = _refuse_meaning(one) or (
            _refuse_move(one) if is_protected(one.ref, repository.protected) else None
        )
        if refusal:
            refusals.append(refusal)
    return refusals


def _refuse_meaning(update: Update) -> Optional[Refusal]:
    if not update.ref.startswith("refs/"):
        return _refusal(update, "funny_ref", "its name does not begin with refs/", "push a branch")
    if update.ref.startswith(_MEANING) and not update.deletes:
        return _refusal(
            update,
            "replaced",
            "a replace ref makes one object stand for another, signed or not",
            f"leave it out: git push origin --delete {update.ref} if it is there already",
        )
    return None


def _refuse_move(update: Update) -> Optional[Refusal]:
    if update.deletes:
        return _refusal(
            update, "deletion", "it is protected and may not be deleted", "leave it where it is"
        )
    if update.ref.startswith("refs/tags/") and not update.creates:
        return _refusal(
            update,
            "moved_tag",
            "it is protected and may not be moved",
            "use a new name for the tag",
        )
    return None


def _refusal(update: Update, status: str, reason: str, fix: str) -> Refusal:
    return Refusal(update.ref, update.ref, status, reason, fix)


def stale(update: Update, current: str) -> Optional[Refusal]:
    """Refuses an update that starts from something else than the ref's value.

    The old id is what the client says. Git itself looks at it only after the hook.
    """
    before = current or "0" * len(update.old)
    if before == update.old:
        return None
    return _refusal(
        update, "stale", "somebody else has moved it meanwhile", "git fetch, then push again"
    )


def not_forward(update: Update) -> Refusal:
    """Refuses an update that would drop commits."""
    return _refusal(
        update,
        "non_fast_forward",
        f"the push would drop commits of a protected branch ({update.old[:12]} is not an ancestor)",
        "git fetch, rebase onto the branch, and push without --force",
    )


def tag_on_branch(update: Update) -> Refusal:
    """Refuses an annotated tag where a commit belongs."""
    return _refusal(update, "wrong_type", "it would be a tag, not a commit", "push a commit")


def is_id(text: str) -> bool:
    """Whether this is the full id of an object."""
    return bool(_ID.match(text))


def accepted_tips(record: Sequence[Accepted], tips: Mapping[str, str]) -> Tuple[str, ...]:
    """Of the current values of protected refs, those that the guard itself let in."""
    let_in = {(push.ref, push.new) for push in record}
    return tuple(sorted({tip for ref, tip in tips.items() if (ref, tip) in let_in}))


def record_of(updates: Sequence[Update], repository: str, seconds: int) -> bytes:
    """Lines of the record: when which update was let in."""
    pushes = [Accepted(seconds, one.ref, one.old, one.new, repository) for one in updates]
    return "".join(render_accepted(push) for push in pushes).encode("utf-8", "surrogateescape")


def message(refusals: Sequence[Refusal]) -> str:
    """What the pusher reads."""
    lines = []
    by_ref: Dict[str, List[Refusal]] = {}
    for one in refusals:
        by_ref.setdefault(one.ref, []).append(one)
    for ref, found in by_ref.items():
        lines.append(f"refused {shown(ref)}")
        for one in found[:_SHOWN]:
            subject = "" if one.subject == ref else f"{shown(one.subject)}: "
            lines.append(f"  {subject}{one.status}: {shown(one.reason)}")
            lines.append(f"    fix: {shown(one.fix)}")
        if len(found) > _SHOWN:
            lines.append(f"  and {len(found) - _SHOWN} more")
    return "".join(f"twinguard: {line}\n" for line in lines)


def audit_lines(
    verdict: str,
    repository: str,
    pusher: str,
    updates: Sequence[Update],
    refusals: Sequence[Refusal],
) -> List[str]:
    """What the journal keeps: a line for each update, with all that was at fault."""
    lines = []
    for one in updates:
        faults = [f"{each.subject}={each.status}" for each in refusals if each.ref == one.ref]
        fields = {
            "repository": repository,
            "ref": one.ref,
            "old": one.old,
            "new": one.new,
            "pusher": pusher or "unknown",
            "faults": ",".join(faults),
        }
        text = " ".join(f"{name}={shown(value)}" for name, value in fields.items() if value)
        lines.append(f"{verdict} {text}")
    return lines


def shown(text: str) -> str:
    """The text without anything that could steer a terminal or forge a line."""
    return "".join(
        one if one.isprintable() and one.isascii() else repr(one)[1:-1] for one in str(text)
    )
