# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pre-receive hook of a guarded repository: a program of its own, without Ansible (I/O).

Git starts it as whoever pushes, in the repository, with the pushed objects in quarantine and a line for
each update on standard input. It lets the push in only when it has come to that conclusion itself:
whatever goes wrong ends with a status that makes git refuse.
"""

from __future__ import annotations

import json
import os
import stat
import sys
import syslog
import time
from typing import Any, Dict, List, Sequence, Tuple

from ..._core.error import ControlError
from ..._host.run_io import ProgramError, run
from ..verify.policy import Accepted, parse_accepted, parse_policy
from ..verify.repository_io import QUARANTINE, Repository
from ..verify.verify_io import verify
from . import hook

# Who pushes, as the usual servers tell their hooks; the last one is all that plain ssh says.
_PUSHERS = ("GL_USER", "GL_USERNAME", "GITEA_PUSHER_NAME", "REMOTE_USER", "SSH_CONNECTION")


def main(arguments: Sequence[str]) -> int:
    """Run as git's pre-receive hook; the one argument is the path of the policy."""
    # All of it, before anything else: a writer that meets a closed pipe tells the pusher nothing useful.
    given = sys.stdin.buffer.read()
    push = Push()
    try:
        push.decide(given, arguments[0])
    # Everything, on purpose: whatever the fault, the push is refused and the reason is shown.
    except Exception as error:  # noqa: BLE001
        reason = str(error) or type(error).__name__
        if not isinstance(error, (ControlError, hook.HookError, ProgramError)):
            reason = f"{type(error).__name__}: {reason}"
        push.refusals.append(
            hook.Refusal(
                "the push", "the guard", "error", reason, "tell the administrator of this server"
            )
        )
    return push.end()


class Quarantined(Repository):
    """The repository of the push; knows what its last list of commits rests on."""

    edge: Tuple[str, ...] = ()

    def commits(self, new: Sequence[str], without: Sequence[str]) -> Tuple[List[str], List[str]]:
        """As it does, and keep the edge."""
        inside, edge = super().commits(new, without)
        self.edge = tuple(edge)
        return inside, edge


class Push:
    """One push, from what git says to the verdict."""

    def __init__(self) -> None:
        path = os.path.realpath(os.environ.get("GIT_DIR") or ".")
        given = {name: os.environ[name] for name in QUARANTINE if name in os.environ}
        self.place = Quarantined(path, given)
        self.now = int(time.time())
        self.updates: List[hook.Update] = []
        self.refusals: List[hook.Refusal] = []
        self.accepted = False
        self.output = b""

    def decide(self, given: bytes, policy_path: str) -> None:
        """Fills the refusals; without any the push is recorded and accepted."""
        self.updates = hook.parse_updates(given)
        policy = read_policy(policy_path)
        self.repository = repository = hook.guarded(policy, self.place.path)
        trust = policy["trust"]
        self.policy = parse_policy(
            trust["people"],
            trust["forges"],
            repository.pinned_root,
            trust["exceptions"],
            trust["clock_skew"],
        )
        self.updates = [one._replace(ref=real_ref(self.place, one.ref)) for one in self.updates]
        self.refusals = hook.refuse_outright(self.updates, repository)
        protected = [
            one
            for one in self.updates
            if hook.is_protected(one.ref, repository.protected) and not one.deletes
        ]
        if protected and not self.refusals:
            self.refusals = self.verify(protected)
        if not self.refusals and repository.chain:
            self.ask_others(given, repository.chain)
        if not self.refusals:
            if protected:
                lines = hook.record_of(protected, self.place.path, self.now)
                append(f"{repository.state}/accepted", lines)
            self.accepted = True

    def verify(self, protected: Sequence[hook.Update]) -> List[hook.Refusal]:
        """Why updates of protected refs are refused."""
        refusals = []
        for one in protected:
            refusal = hook.stale(one, value_of(self.place, one.ref))
            refusals += [refusal] if refusal else self.verdicts(one)
        return refusals

    def verdicts(self, update: hook.Update) -> List[hook.Refusal]:
        """What is wrong with the commits and tags of one update.

        An update: everything since its old value, and not since anything else in the repository, where
        unsigned commits may lie on other branches. A new ref: everything since the protected refs that
        the guard itself has let in, or else since the pinned root.
        """
        if update.creates:
            tips = accepted_tips(self.place, self.repository, self.record())
            found = self.judge(update, tips, [])
            apart = found and {one.status for one in found} <= {"foreign_root", "parent_unverified"}
            # A history that has nothing to do with the others counts if all of it is good.
            return self.judge(update, [], []) if apart and tips else found
        found = self.judge(update, [update.old], [])
        if not self.forward(update):
            return [hook.not_forward(update)]
        # Commits that came in by another protected ref are judged as of then: a key that has expired
        # since does not make them bad. That takes long to find out, so only when it matters.
        return found and self.judge(update, [update.old], self.record())

    def forward(self, update: hook.Update) -> bool:
        """Whether the old value is an ancestor of the new one."""
        # Most often it is the parent of a commit that was just listed, and there is nothing to ask.
        return update.old in self.place.edge or self.place.is_ancestor(update.old, update.new)

    def judge(
        self, update: hook.Update, without: Sequence[str], record: Sequence[Accepted]
    ) -> List[hook.Refusal]:
        """The verifier's refusals."""
        verdicts = verify(
            self.place,
            [update.new],
            without,
            self.policy,
            self.now,
            accepted=record,
            refs={update.new: update.ref},
        )
        found = [
            hook.Refusal(update.ref, one.commit, one.status, one.reason, one.fix)
            for one in verdicts
            if not one.accepted
        ]
        if any(one.kind == "tag" for one in verdicts) and not update.ref.startswith("refs/tags/"):
            found.append(hook.tag_on_branch(update))
        return found

    def record(self) -> List[Accepted]:
        """What the guard has let in so far."""
        try:
            with open(f"{self.repository.state}/accepted", "rb") as stream:
                return parse_accepted(stream.read().decode("utf-8", "surrogateescape"))
        except FileNotFoundError:
            return []

    def ask_others(self, given: bytes, chain: str) -> None:
        """Run the hook that was there before ours; it may still refuse."""
        done = run([chain], given, None)
        self.output = done.out + done.err
        if done.code != 0:
            self.refusals.append(
                hook.Refusal(
                    self.updates[0].ref,
                    os.path.basename(chain),
                    "declined",
                    f"this hook ended with {done.code}",
                    "see what it says above",
                )
            )

    def end(self) -> int:
        """Tell the pusher and the journal; the status for git."""
        accepted = self.accepted and not self.refusals
        sys.stdout.flush()
        sys.stderr.buffer.write(self.output)
        sys.stderr.write(hook.message(self.refusals))
        sys.stderr.flush()
        pusher = next((os.environ[name] for name in _PUSHERS if os.environ.get(name)), "")
        updates = self.updates or [hook.Update("", "", "")]
        syslog.openlog(hook.NAME, syslog.LOG_PID, syslog.LOG_AUTH)
        for line in hook.audit_lines(
            "accepted" if accepted else "refused", self.place.path, pusher, updates, self.refusals
        ):
            syslog.syslog(syslog.LOG_INFO if accepted else syslog.LOG_WARNING, line)
        return 0 if accepted else 1


def read_policy(path: str) -> Dict[str, Any]:
    """The policy, which nobody but root (or whoever owns this program) may have written. HookError."""
    try:
        with open(path, "rb") as stream:
            about = os.fstat(stream.fileno())
            text = stream.read()
    except OSError as error:
        raise hook.HookError(f"cannot read {path}: {error.strerror}") from error
    if about.st_uid not in (0, os.stat(__file__).st_uid) or about.st_mode & (
        stat.S_IWGRP | stat.S_IWOTH
    ):
        raise hook.HookError(f"{path} could have been written by somebody else than root")
    try:
        policy = json.loads(text)
    except ValueError as error:
        raise hook.HookError(f"{path} is not a policy file of git_guard: {error}") from error
    if not isinstance(policy, dict):
        raise hook.HookError(f"{path} is not a policy file of git_guard")
    return policy


def real_ref(place: Repository, ref: str) -> str:
    """The ref that a push to this one changes: another one when it is symbolic."""
    if not os.path.isdir(f"{place.path}/reftable"):
        try:
            with open(os.path.join(place.path, ref), "rb") as stream:
                if not stream.read(4).startswith(b"ref:"):
                    return ref
        except OSError:
            return ref
    done = place.git("symbolic-ref", "-q", ref, codes=(0, 1))
    return done.out.decode("utf-8", "surrogateescape").strip() if done.code == 0 else ref


def value_of(place: Repository, ref: str) -> str:
    """The id that a ref has now; "" when it is not there."""
    try:
        with open(os.path.join(place.path, ref), encoding="ascii") as stream:
            text = stream.read().strip()
        if hook.is_id(text):
            return text
    except (OSError, ValueError):
        pass  # packed, or kept in another way: git knows
    return place.git("rev-parse", "-q", "--verify", ref, codes=(0, 1)).out.decode("ascii").strip()


def accepted_tips(
    place: Repository, repository: hook.Guarded, record: Sequence[Accepted]
) -> Tuple[str, ...]:
    """Of the protected refs' values, those that this guard has let in."""
    if not record:
        return ()
    # Patterns of ours match more than git's; so all refs are asked for.
    out = place.git("for-each-ref", "--format=%(objectname) %(refname)").out
    pairs = [line.split(" ", 1) for line in out.decode("utf-8", "surrogateescape").splitlines()]
    tips = {ref: tip for tip, ref in pairs if hook.is_protected(ref, repository.protected)}
    return hook.accepted_tips(record, tips)


def append(path: str, lines: bytes) -> None:
    """Add lines to a file in one write, so that two pushes at once do not mix them. HookError."""
    try:
        target = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            written = os.write(target, lines)
        finally:
            os.close(target)
    except OSError as error:
        raise hook.HookError(f"cannot record the push in {path}: {error.strerror}") from error
    if written != len(lines):
        raise hook.HookError(f"cannot record the push in {path}: the disk took only a part of it")
