# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a commit is accepted, and the reason if not (pure).

First `examine()` looks at what the signature says about itself. Most faults show there, without any
program. The rest must be proven: the signature itself, and for a forge the merge.
"""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

from ..._trust.people import NAMESPACE_GIT, Key, Person, stamp
from ..._trust.ssh_keys import NotAKey, Signature, parse_signature
from .objects import Signed, shown
from .policy import Policy

GOOD = ("good", "excepted")
"""What is accepted; every other status is a refusal."""

FIXES = {
    "unsigned": "sign it: git commit --amend -S, or git rebase --exec 'git commit --amend --no-edit -S' BASE",
    "unknown_key": "sign with a key the server knows, or have this key added to the list of people",
    "wrong_person": "commit under your own address (git config user.email), then sign again",
    "expired": "sign again with a key that is valid today",
    "not_yet_valid": "wait until the key is valid, or sign again with another key",
    "revoked": "sign again with another key",
    "backdated": "set the clock, then sign again: git commit --amend --no-edit -S --reset-author",
    "future_dated": "set the clock, then sign again: git commit --amend --no-edit -S --reset-author",
    "bad_signature": "the content was changed after it was signed: sign it again",
    "wrong_namespace": "sign through git itself, with a key for the namespace git",
    "evil_merge": "make the merge yourself and sign it with your own key",
    "forge_commit": "commit or merge yourself and sign with your own key",
    "parent_unverified": "put the earlier commit right first",
    "foreign_root": "start from the repository's own history",
    "replaced": "delete it on the server: git update-ref -d refs/replace/ID",
    "grafted": "remove info/grafts and use a real history",
    "shallow": "use the whole history: git fetch --unshallow",
    "unsupported_format": "sign with SSH: git config gpg.format ssh",
    "malformed": "make the commit again with git itself",
    "missing": "send or fetch the whole history",
    "not_a_commit": "tag or push a commit",
    "wrong_tag_name": "make the tag again under its own name",
    "unverifiable": "put the server's programs right, nothing is wrong with the commit",
}
"""Every refusal, and what whoever made the commit can do about it."""


class Verdict(NamedTuple):
    """What is decided about one commit or tag. `reason` and `fix` are single safe lines.

    `principal` is the committer's address, `key` a fingerprint, `until` the moment from which on a
    good verdict has to be looked at again.
    """

    commit: str
    status: str
    signer: str = ""
    principal: str = ""
    key: str = ""
    reason: str = ""
    fix: str = ""
    kind: str = "commit"
    until: Optional[int] = None

    @property
    def accepted(self) -> bool:
        """Whether it may stay."""
        return self.status in GOOD

    def row(self) -> Dict[str, Any]:
        """As a row of a result."""
        row = {name: getattr(self, name) for name in ("commit", "kind", "status", "signer")}
        row.update({name: getattr(self, name) for name in ("principal", "key", "reason", "fix")})
        return row

    def line(self) -> str:
        """For whoever pushed."""
        return f"{self.kind} {self.commit[:12]}: {self.reason}. Fix: {self.fix}."


class Candidate(NamedTuple):
    """A signature that is acceptable if it is true."""

    signed: Signed
    person: Person
    key: Key
    signature: Optional[Signature]
    forge: bool
    seen_at: int
    until: Optional[int]
    openpgp: str = ""

    def with_key(self, key: Key, name: str) -> Verdict:
        """The verdict when the signature is true and turned out to be made with this key."""
        mine = self._replace(key=key, openpgp=name)
        return _validity(mine) or mine.verdict("good")

    def verdict(self, status: str, reason: str = "") -> Verdict:
        """The verdict, with all that is known about the signer."""
        return Verdict(
            self.signed.id,
            status,
            self.person.name,
            _text(self.signed.email),
            self.key.ssh.fingerprint if self.key.ssh else self.openpgp,
            reason,
            FIXES.get(status, ""),
            _kind(self.signed),
            self.until,
        )


class Times(NamedTuple):
    """When the server saw the commit: a time of its record, or now when there is none."""

    now: int
    recorded: Optional[int] = None

    @property
    def seen_at(self) -> int:
        """The moment at which the key had to be valid."""
        return self.now if self.recorded is None else self.recorded


def refusal(name: str, status: str, reason: str, kind: str = "commit") -> Verdict:
    """A verdict of which no signer is known."""
    return Verdict(name, status, reason=reason, fix=FIXES[status], kind=kind)


def exception(name: str, policy: Policy, kind: str = "commit") -> Optional[Verdict]:
    """The verdict of a commit that is accepted as an exception."""
    reason = policy.exceptions.get(name)
    return Verdict(name, "excepted", reason=reason, kind=kind) if reason else None


def examine(
    signed: Signed, policy: Policy, times: Times, parent_times: Sequence[int]
) -> Union[Verdict, Candidate]:
    """What must be proven for the commit to be accepted, or the verdict that refuses it.

    `parent_times` are the committer times of its parents.
    """
    if signed.format == "":
        return _refused(signed, "unsigned", "it has no signature")
    if signed.format == "ssh":
        found = _examine_ssh(signed, policy, times)
    elif signed.format == "openpgp" and policy.knows_openpgp:
        found = _examine_openpgp(signed, policy, times)
    else:
        reason = f"its signature is of a kind ({signed.format}) for which no keys are trusted here"
        found = _refused(signed, "unsupported_format", reason)
    if isinstance(found, Verdict):
        return found
    return _dates(found, policy, parent_times) or _forge(found) or found


def _examine_ssh(signed: Signed, policy: Policy, times: Times) -> Union[Verdict, Candidate]:
    try:
        signature = parse_signature(signed.signature or b"")
    except NotAKey as error:
        return _refused(signed, "bad_signature", f"its signature is damaged: {error}")
    owners = policy.owners(signature.key.line)
    fingerprint = signature.key.fingerprint
    if not owners:
        reason = f"it is signed with {signature.key.type} {fingerprint}, which nobody here has"
        return _refused(signed, "unknown_key", reason)._replace(key=fingerprint)
    mine = [one for one in owners if signed.email in one[0].principals]
    person, key, forge = (mine or owners)[0]
    found = Candidate(signed, person, key, signature, forge, times.seen_at, _until(key, times))
    if signature.namespace != NAMESPACE_GIT:
        return found.verdict(
            "wrong_namespace", f"its signature was made for '{signature.namespace}', not for git"
        )
    if key.namespaces and NAMESPACE_GIT not in key.namespaces:
        return found.verdict(
            "wrong_namespace",
            f"this key of {person.name} may sign {', '.join(key.namespaces)} only",
        )
    if not mine:
        return found.verdict("wrong_person", _not_theirs(signed, person))
    # A key can be entered twice, such as for two spans of time.
    verdicts = [_validity(found._replace(person=p, key=k, forge=f)) for p, k, f in mine]
    for number, verdict in enumerate(verdicts):
        if verdict is None:
            person, key, forge = mine[number]
            return found._replace(person=person, key=key, forge=forge, until=_until(key, times))
    return verdicts[0] or found


def _examine_openpgp(signed: Signed, policy: Policy, times: Times) -> Union[Verdict, Candidate]:
    """Who must have signed it: gpg says whether it was one of that person's keys."""
    for forge, group in ((False, policy.people), (True, policy.forges)):
        for person in group:
            keys = [key for key in person.keys if key.openpgp]
            if keys and signed.email in person.principals:
                # The key's own expiry is known to gpg alone, so the verdict is not kept.
                until = None if times.recorded is not None else times.now
                return Candidate(signed, person, keys[0], None, forge, times.seen_at, until)
    reason = f"nobody with an OpenPGP key commits as {_text(signed.email)}"
    return _refused(signed, "wrong_person", reason)


def _refused(signed: Signed, status: str, reason: str) -> Verdict:
    found = refusal(signed.id, status, reason, _kind(signed))
    return found._replace(principal=_text(signed.email))


def _not_theirs(signed: Signed, person: Person) -> str:
    role = "committer" if signed.tree else "tagger"
    return (
        f"its {role} is {_text(signed.email)}, but the key belongs to {person.name} "
        f"({', '.join(person.principals)})"
    )


def _validity(found: Candidate) -> Optional[Verdict]:
    key, seen = found.key, found.seen_at
    who = f"the key of {found.person.name}"
    if key.revoked_at(seen):
        since = "" if key.revoked_since is None else f" since {stamp(key.revoked_since)}"
        return found.verdict("revoked", f"{who} is revoked{since}")
    if key.valid_before is not None and seen >= key.valid_before:
        return found.verdict("expired", f"{who} expired at {stamp(key.valid_before)}")
    if key.valid_after is not None and seen < key.valid_after:
        return found.verdict("not_yet_valid", f"{who} is valid from {stamp(key.valid_after)} on")
    return None


def _until(key: Key, times: Times) -> Optional[int]:
    """When a verdict of now can turn: not at all when the server's record says when it was seen."""
    if times.recorded is not None:
        return None
    ends = [end for end in (key.valid_before, key.revoked_since) if end is not None]
    return min(ends) if ends else None


def _dates(found: Candidate, policy: Policy, parent_times: Sequence[int]) -> Optional[Verdict]:
    """The committer's date proves nothing, but a false one shows that somebody wanted it to."""
    time, skew, key = found.signed.time, policy.clock_skew, found.key
    if time > found.seen_at + skew:
        return found.verdict("future_dated", f"it is dated {_moment(time)}, in the future")
    if key.valid_after is not None and time < key.valid_after - skew:
        return found.verdict("backdated", f"it is dated {_moment(time)}, before its key was valid")
    # A parent may itself be dated in the future when it is trusted as an exception.
    parent = min(max(parent_times, default=0), found.seen_at)
    if time < parent - skew:
        return found.verdict(
            "backdated", f"it is dated {_moment(time)}, its parent later: {_moment(parent)}"
        )
    return None


def _moment(time: int) -> str:
    return stamp(time) if time < 253402300800 else f"{time} seconds after 1970"


def _forge(found: Candidate) -> Optional[Verdict]:
    if not found.forge or len(found.signed.parents) == 2:
        return None
    what = f"a merge of {len(found.signed.parents)}" if found.signed.parents[1:] else "no merge"
    return found.verdict(
        "forge_commit",
        f"{found.person.name} may sign merges of two commits only, and this is {what}",
    )


def spread(verdicts: Sequence[Verdict], parents: Mapping[str, Sequence[str]]) -> List[Verdict]:
    """The verdicts, where a good commit on a bad one is not good. They come parents first."""
    bad: Dict[str, Tuple[str, str]] = {}
    result = []
    for verdict in verdicts:
        judged = verdict
        if not verdict.accepted:
            bad[verdict.commit] = (verdict.commit, verdict.status)
        else:
            for parent in parents.get(verdict.commit, ()):
                if parent in bad:
                    bad[verdict.commit] = bad[parent]
                    first, status = bad[parent]
                    judged = verdict._replace(
                        status="parent_unverified",
                        reason=f"it builds on {first[:12]}, which is refused ({status})",
                        fix=FIXES["parent_unverified"],
                    )
                    break
        result.append(judged)
    return result


def counts(verdicts: Sequence[Verdict]) -> Dict[str, int]:
    """How many verdicts have each status."""
    found: Dict[str, int] = {}
    for verdict in verdicts:
        found[verdict.status] = found.get(verdict.status, 0) + 1
    return dict(sorted(found.items()))


def _kind(signed: Signed) -> str:
    return "commit" if signed.tree else "tag"


def _text(email: str) -> str:
    return shown(email.encode("utf-8", "surrogateescape"))
