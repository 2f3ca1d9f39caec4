# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verify commits and tags of a repository against a policy (I/O).

The one verifier of the guard's hook, of the deployment and of the report. It needs git, ssh-keygen
and the standard library. All trust comes from the policy that is handed in: nothing in the
repository, its settings or its user's settings adds to it.
"""

from __future__ import annotations

from typing import Callable, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple, Union

from ..._trust.people import NAMESPACE_GIT, Key, Person, allowed_signers, stamp
from ..._trust.ssh_keys import Signature
from .objects import NotAnObject, Signed, parse_commit, parse_tag, shown
from .policy import Accepted, Policy, seen_times
from .repository_io import GitFailure, Repository
from .ssh_keygen_io import Check, check_all
from .verdict import Candidate, Times, Verdict, examine, exception, refusal, spread

_DEEPEST_TAG = 5


class Work:
    """What a run may build on, and what it did.

    `known`: verdicts of an earlier run under the same `policy.digest()`; they are not worked out
    again until their `until`. `own`: what each is worth by itself, whatever it builds on.
    `signatures` says how many were really checked, `kept` how many not.
    """

    def __init__(self, known: Optional[Mapping[str, Verdict]] = None) -> None:
        self.known: Mapping[str, Verdict] = known or {}
        self.own: Dict[str, Verdict] = {}
        self.signatures = self.merges = self.commits = self.kept = 0


class _Range:
    """What is looked at, and what is known about it so far."""

    def __init__(
        self, inside: List[str], edge: List[str], content: Dict[str, Tuple[str, bytes]]
    ) -> None:
        self.inside = inside
        self.inside_set = frozenset(inside)
        self.edge = edge
        self.content = content
        self.parsed: Dict[str, Signed] = {}
        self.faults: Dict[str, Verdict] = {}

    @property
    def parents(self) -> Dict[str, Tuple[str, ...]]:
        return {name: signed.parents for name, signed in self.parsed.items()}


def verify(
    repository: Union[str, Repository],
    new: Sequence[str],
    not_: Sequence[str],
    policy: Policy,
    seen_at: int,
    *,
    accepted: Iterable[Accepted] = (),
    refs: Optional[Mapping[str, Union[str, Sequence[str]]]] = None,
    work: Optional[Work] = None,
) -> List[Verdict]:
    """The verdict of each commit that `new` has and `not_` has not, parents first, then the tags.

    `new`, `not_`: full ids of commits or annotated tags; what `not_` and the pinned roots hold is
    trusted. With `not_` empty and roots pinned, each of `new` must descend from a root.
    `repository`: its path, or in a hook Repository(path, {name: value of each of QUARANTINE}).
    `seen_at`: now, by the server's clock; `accepted`: the server's record of earlier pushes.
    `refs`: id of a tag -> 'refs/tags/v1' or several, so that a tag cannot be put under another name.
    `work`: brings own verdicts of an earlier run, takes what was done.

    All is well when every verdict is `accepted` (an empty list included). Raises GitFailure or
    ProgramError when it cannot be known: that is a refusal, too.
    """
    work = work if work is not None else Work()
    place = Repository(repository) if isinstance(repository, str) else repository
    problems = _repository_problems(place)
    if not new:
        return problems
    roots, missing = _roots(place, policy)
    base = [*not_, *roots]
    inside, edge = place.commits(new, base)
    known = frozenset(inside)
    tips = [one for one in dict.fromkeys(new) if one not in known]
    found = _Range(inside, edge, place.objects([*tips, *inside, *edge]))
    tags, wrong = _tags(place, tips, found, refs or {})
    _parse(found, bool(base))
    if not not_ and policy.pinned_roots:
        tips = [one for one in new if one not in found.faults]
        for fault in _foreign(place, tips, roots, missing):
            judged = fault.commit in found.inside_set or fault.commit in [tag.id for tag in tags]
            found.faults[fault.commit] = fault
            problems += [] if judged else [fault]
    seen = seen_times(found.parents, accepted)
    answers = _judge(found, tags, policy, work, lambda name: Times(seen_at, seen.get(name)))
    candidates = [answer for answer in answers.values() if isinstance(answer, Candidate)]
    answers.update((verdict.commit, verdict) for verdict in _prove(place, candidates, work))
    verdicts = [answer for answer in answers.values() if isinstance(answer, Verdict)]
    work.commits = len(inside)
    work.own = {verdict.commit: verdict for verdict in verdicts}
    return problems + spread(verdicts, _all_parents(found, tags)) + wrong


def _all_parents(found: _Range, tags: Sequence[Signed]) -> Dict[str, Tuple[str, ...]]:
    return {**found.parents, **{tag.id: (tag.target,) for tag in tags}}


def _repository_problems(place: Repository) -> List[Verdict]:
    """What makes the repository show another history than the one that is verified."""
    problems = []
    for name in place.replacements():
        hidden = name[len("replace/") :] if name.startswith("replace/") else name
        problems.append(
            refusal(hidden, "replaced", "refs/replace makes git show another object for it")
        )
    for status, name in (("grafted", "info/grafts"), ("shallow", "shallow")):
        if place.has(name):
            problems.append(
                refusal("repository", status, f"the file {name} changes the history", "repository")
            )
    return problems


def _roots(place: Repository, policy: Policy) -> Tuple[List[str], List[str]]:
    """The pinned roots that the repository has, and those that it has not."""
    there = place.objects(policy.pinned_roots) if policy.pinned_roots else {}
    roots = [root for root in policy.pinned_roots if there.get(root, ("",))[0] == "commit"]
    return roots, [root for root in policy.pinned_roots if root not in roots]


def _foreign(
    place: Repository, new: Sequence[str], roots: Sequence[str], missing: Sequence[str]
) -> List[Verdict]:
    """Tips that do not descend from a pinned root: another project's history, or an older state."""
    problems = []
    for tip in new:
        if not any(place.is_ancestor(root, tip) for root in roots):
            wanted = " or ".join(root[:12] for root in [*roots, *missing])
            problems.append(
                refusal(tip, "foreign_root", f"its history does not hold the pinned root {wanted}")
            )
    return problems


def _tags(
    place: Repository,
    tips: Sequence[str],
    found: _Range,
    refs: Mapping[str, Union[str, Sequence[str]]],
) -> Tuple[List[Signed], List[Verdict]]:
    """The annotated tags among the tips, the inner ones first, and the verdicts of impossible ones."""
    tags: List[Signed] = []
    wrong: List[Verdict] = []
    for tip in tips:
        chain: List[Signed] = []
        fault = _tag_chain(place, tip, found, chain)
        names = refs.get(tip, ())
        for ref in [names] if isinstance(names, str) else names:
            if fault is None and chain and ref != "refs/tags/" + chain[0].name:
                made = shown(chain[0].name.encode("utf-8", "replace"))
                where = shown(ref.encode("utf-8", "surrogateescape"))
                reason = f"it was made as the tag '{made}', not as {where}"
                fault = refusal(tip, "wrong_tag_name", reason, "tag")
        if fault is not None:
            found.faults[tip] = fault
            wrong.append(fault)
        else:
            tags += [tag for tag in reversed(chain) if tag.id not in {one.id for one in tags}]
    return tags, wrong


def _tag_chain(
    place: Repository, tip: str, found: _Range, chain: List[Signed]
) -> Optional[Verdict]:
    name = tip
    while len(chain) <= _DEEPEST_TAG:
        kind, content = found.content.get(name, ("", b""))
        if not kind:
            return refusal(tip, "missing", "it is not in the repository", "object")
        if kind == "commit":
            return None
        if kind != "tag":
            return refusal(tip, "not_a_commit", f"it leads to a {kind}", "object")
        try:
            chain.append(parse_tag(name, content))
        except NotAnObject as error:
            return refusal(tip, "malformed", f"this is not a valid tag: {error}", "tag")
        name = chain[-1].target
        if name not in found.content:
            found.content.update(place.objects([name]))
    return refusal(tip, "malformed", "it is a tag of a tag too many times", "tag")


def _parse(found: _Range, based: bool) -> None:
    """Read the commits; what is wrong with one before anybody asks for its signature is a fault."""
    reachable = set(found.inside) | set(found.edge)
    for name in [*found.edge, *found.inside]:
        kind, content = found.content.pop(name, ("", b""))
        if kind != "commit":
            found.faults[name] = refusal(name, "missing", "it is not in the repository")
            continue
        try:
            signed = found.parsed[name] = parse_commit(name, content)
        except NotAnObject as error:
            found.faults[name] = refusal(name, "malformed", f"this is not a valid commit: {error}")
            continue
        for parent in signed.parents:
            if name in found.inside_set and parent not in reachable:
                reason = f"its parent {parent[:12]} is hidden or missing"
                found.faults[name] = refusal(name, "missing", reason)
        if not signed.parents and based and name in found.inside_set:
            reason = "it begins a history of its own beside the one that is trusted"
            found.faults[name] = refusal(name, "foreign_root", reason)


def _judge(
    found: _Range,
    tags: Sequence[Signed],
    policy: Policy,
    work: Work,
    times: Callable[[str], Times],
) -> Dict[str, Union[Verdict, Candidate]]:
    """A verdict on each commit and tag by itself, or what is to be proven, parents first and tags last."""
    signed = {**found.parsed, **{tag.id: tag for tag in tags}}
    answers: Dict[str, Union[Verdict, Candidate]] = {}
    for name in [*found.inside, *(tag.id for tag in tags)]:
        when = times(name)
        ready = exception(name, policy) or found.faults.get(name)
        kept = None if ready else _usable(work.known.get(name), when.now)
        work.kept += kept is not None
        answers[name] = (
            ready or kept or examine(signed[name], policy, when, _parent_times(name, found))
        )
    return answers


def _parent_times(name: str, found: _Range) -> List[int]:
    parents = found.parsed[name].parents if name in found.parsed else ()
    return [found.parsed[one].time for one in parents if one in found.parsed]


def _usable(verdict: Optional[Verdict], now: int) -> Optional[Verdict]:
    if verdict is None or (verdict.until is not None and now >= verdict.until):
        return None
    return verdict


def _prove(place: Repository, candidates: Sequence[Candidate], work: Work) -> List[Verdict]:
    """Check the signatures, and what forges merged."""
    lines: Dict[Tuple[str, Key], bytes] = {}
    ssh = [(one, one.signature) for one in candidates if one.signature is not None]
    checks = (_check(one, signature, lines) for one, signature in ssh)
    verdicts = []
    work.signatures += len(candidates)
    for (one, _signature), answer in zip(ssh, check_all(checks) if ssh else ()):
        status = "good" if answer.good else "bad_signature" if answer.certain else "unverifiable"
        verdicts.append((one, one.verdict(status, answer.message)))
    pgp = [one for one in candidates if one.signature is None]
    if pgp:
        # Loaded only by those who use it: the hook starts at each push.
        from .gpg_io import check_openpgp  # noqa: PLC0415

        verdicts += check_openpgp(pgp)
    return [_merge(place, one, verdict, work) for one, verdict in verdicts]


def _check(one: Candidate, signature: Signature, lines: Dict[Tuple[str, Key], bytes]) -> Check:
    """What ssh-keygen has to confirm: this key of this person alone is to be believed."""
    at = (one.signed.email, one.key)
    if at not in lines:
        alone = Person(one.person.name, (one.signed.email,), (one.key,))
        lines[at] = allowed_signers([alone], zulu=False, revoked=True)
    return Check(
        lines[at],
        one.signed.email,
        NAMESPACE_GIT,
        signature.armored,
        one.signed.payload,
        stamp(one.seen_at, zulu=False),
    )


def _merge(place: Repository, one: Candidate, verdict: Verdict, work: Work) -> Verdict:
    """A forge's merge is good only when git makes the same tree of the same two parents."""
    if not one.forge or verdict.status != "good":
        return verdict
    from .merge_io import merged_tree  # noqa: PLC0415

    work.merges += 1
    try:
        tree = merged_tree(place, one.signed.parents[0], one.signed.parents[1])
    except GitFailure as error:
        return one.verdict(
            "unverifiable", f"the merge by {one.person.name} cannot be made again: {error}"
        )
    if tree is None:
        return one.verdict(
            "evil_merge", f"{one.person.name} signed it, but its parents conflict: somebody decided"
        )
    if tree != one.signed.tree:
        return one.verdict(
            "evil_merge",
            f"{one.person.name} signed it, but it is not what git makes of its parents",
        )
    return verdict
