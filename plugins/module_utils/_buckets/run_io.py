# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A whole run over all buckets: read, plan, apply, prove; or read and judge (I/O)."""

from __future__ import annotations

import datetime
import time
from dataclasses import dataclass, field
from typing import Any, Callable, Iterable, Mapping

from .._core.plan import Change, Plan
from . import plan as plans
from .policy import Exemption, Guard, findings, guard, kept
from .posture import Verdict, account_verdict, bucket_state, judge
from .store_io import S3Error, Store, each
from .types import (
    ABSENT,
    CONTROLS,
    DENIED,
    FAILED,
    FOUND,
    READS,
    UNSUPPORTED,
    Answer,
    Decision,
    Wanted,
)

_PAUSE = 0.2
_LONGEST_PAUSE = 3.0
_SHOWN_FAILURES = 3
_UNUSABLE = (AttributeError, KeyError, TypeError, ValueError)


@dataclass
class Outcome:
    """The result for one bucket."""

    bucket: str
    controls: list[dict[str, Any]]
    changes: list[Change] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)
    state: dict[str, Any] | None = None

    def shown(self) -> dict[str, Any]:
        """The form in which the module returns it."""
        settings = [change.key.rsplit(" ", 1)[-1] for change in self.changes]
        return {
            "name": self.bucket,
            "changes": settings,
            "applied": self.done,
            "problems": self.problems,
        }


class Run:
    """The policy of one task on one store."""

    def __init__(self, store: Store, wanted: Guard, workers: int, timeout: float = 0) -> None:
        self.store, self.guard = store, wanted
        self.workers = max(1, workers)
        self.timeout = timeout
        self._stopped: str | None = None
        self._regions: Mapping[str, str | None] = {}

    # --- enforcing

    def enforce(self, check_mode: bool) -> list[Outcome]:
        """Bring every bucket to the policy; a bucket that fails does not stop the others."""
        names, missing = self._found()
        outcomes = []
        if self.guard.account or self.guard.account_exempted():
            outcomes.append(self._account(check_mode))

        def work(bucket: str) -> Outcome:
            return self._guarded(bucket, check_mode)

        outcomes += [outcome for _name, outcome in each(names, work, self.workers)]
        return sorted([*outcomes, *missing], key=lambda one: one.bucket)

    def _found(self) -> tuple[list[str], list[Outcome]]:
        self._regions, missing = self.store.find(list(self.guard.patterns))
        return list(self._regions), [self._missing(*one) for one in sorted(missing.items())]

    def _missing(self, bucket: str, answer: Answer) -> Outcome:
        status = {ABSENT: "fail", UNSUPPORTED: "not_applicable"}.get(answer.kind, "unknown")
        wanted, exempted = self.guard.wanted(bucket), self.guard.exempted(bucket)
        verdicts = [Verdict(CONTROLS[one], status, answer.reason, {}) for one in wanted.settings()]
        return Outcome(
            bucket, findings(bucket, verdicts, exempted), problems={"bucket": answer.reason}
        )

    def _guarded(self, bucket: str, check_mode: bool) -> Outcome:
        wanted, exempted = self.guard.wanted(bucket), self.guard.exempted(bucket)
        outcome = Outcome(bucket, [])
        answers: dict[str, Answer] = {}
        try:
            if self._stopped is None:
                self._bring(outcome, wanted, answers, check_mode)
        except S3Error as error:
            self._stopped = str(error)
            outcome.problems["bucket"] = str(error)
            # Changes made before the error could not be proven.
            unproven = Answer(FAILED, reason=f"was set, but could not be read back: {error}")
            answers.update(dict.fromkeys(outcome.done, unproven))
        except _UNUSABLE as error:
            # An unusable answer about one bucket must not hide the results of the others.
            outcome.problems["bucket"] = f"the store gave an unusable answer: {error!r}"
            unread = Answer(FAILED, reason=outcome.problems["bucket"])
            answers.update(dict.fromkeys(READS, unread))
        if self._stopped is not None and not answers:
            outcome.problems["bucket"] = f"not tried: {self._stopped}"
            answers = dict.fromkeys(READS, Answer(FAILED, reason=self._stopped))
        verdicts = judge(bucket, answers, wanted, Answer(ABSENT))
        outcome.controls = findings(bucket, verdicts, exempted, outcome.problems)
        outcome.problems.update(_expired(exempted, outcome.controls))
        return outcome

    def _read(self, bucket: str, wanted: Wanted, answers: dict[str, Answer]) -> None:
        region = self._regions.get(bucket)
        for setting in plans.first_reads(wanted):
            answers[setting] = self.store.read(bucket, setting, region)
        if plans.needs_acl(wanted, answers):
            answers["acl"] = self.store.read(bucket, "acl", region)

    def _decide(
        self, bucket: str, wanted: Wanted, answers: dict[str, Answer], only: Iterable[str]
    ) -> Decision:
        policy, settings = kept(wanted, tuple(only)), tuple(only)
        decision = plans.decide(bucket, policy, answers, self.store.partition, settings)
        if plans.needs_policy_status(decision, answers):
            region = self._regions.get(bucket)
            answers["policy_status"] = self.store.read(bucket, "policy_status", region)
            decision = plans.decide(bucket, policy, answers, self.store.partition, settings)
        return decision

    def _bring(
        self, outcome: Outcome, wanted: Wanted, answers: dict[str, Answer], check_mode: bool
    ) -> None:
        bucket = outcome.bucket
        enforced = self.guard.enforced(bucket, wanted)
        self._read(bucket, wanted, answers)
        decision = self._decide(bucket, wanted, answers, enforced)
        outcome.problems.update(dict(decision.refusals))
        if check_mode:
            outcome.changes = [plans.change(bucket, step) for step in decision.steps]
            return
        tried = set()
        for step in decision.steps:
            if step.setting == "ownership" and "acl" in outcome.problems:
                outcome.problems["ownership"] = "not changed, because the ACL could not be changed"
                continue
            answer = self.store.write(bucket, step, self._regions.get(bucket))
            if answer.kind == FOUND:
                outcome.changes.append(plans.change(bucket, step))
                outcome.done.append(step.setting)
                tried.add(step.setting)
            elif answer.kind == UNSUPPORTED:
                answers[step.setting] = answer
            else:
                outcome.problems[step.setting] = answer.reason + plans.hint(step, wanted)
        if tried:
            self._prove(outcome, wanted, answers, tried)

    def _prove(
        self, outcome: Outcome, wanted: Wanted, answers: dict[str, Answer], changed: set[str]
    ) -> None:
        """Read the changed settings until they are in force or the timeout is over; a store may be slow."""
        bucket, pause = outcome.bucket, _PAUSE
        deadline = time.monotonic() + self.timeout
        region = self._regions.get(bucket)
        left = set(changed)
        while True:
            if "ownership" in left:
                left |= changed & {"acl"}
            for setting in sorted(left):
                answers[setting] = self.store.read(bucket, setting, region)
            again = plans.decide(
                bucket, kept(wanted, tuple(changed)), answers, self.store.partition, left
            )
            left = {step.setting for step in again.steps} | {
                name for name, _reason in again.refusals
            }
            if not left or time.monotonic() >= deadline:
                break
            time.sleep(min(pause, max(0.0, deadline - time.monotonic())))
            pause = min(pause * 2, _LONGEST_PAUSE)
        for setting in left:
            reason = f"was set, but is not in force after {self.timeout:g} s"
            if not answers[setting].known:
                reason = f"was set, but could not be read back: {answers[setting].reason}"
            outcome.problems[setting] = reason

    def _account(self, check_mode: bool) -> Outcome:
        number = self.store.know_account() or "account"
        exempted = self.guard.account_exempted()
        outcome = Outcome(number, [])
        answer = self.store.read_account()
        wanted = self.guard.account and not exempted and answer.known
        if wanted and answer.value != plans.ALL_ON:
            before = plans.pretty(answer.value)
            change = Change(
                f"account {number} public_access_block", before, plans.pretty(plans.ALL_ON)
            )
            outcome.changes = [change]
            if not check_mode:
                answer = self._block_account(outcome)
        elif self.guard.account and not exempted and answer.kind in (DENIED, FAILED):
            outcome.problems["account_public_access_block"] = answer.reason
        outcome.controls = _account_findings(number, answer, exempted)
        return outcome

    def _block_account(self, outcome: Outcome) -> Answer:
        written, deadline, pause = self.store.block_account(plans.ALL_ON), 0.0, _PAUSE
        if written.kind != FOUND:
            outcome.changes, outcome.problems["account_public_access_block"] = [], written.reason
            return self.store.read_account()
        outcome.done.append("public_access_block")
        deadline = time.monotonic() + self.timeout
        answer = self.store.read_account()
        while answer.value != plans.ALL_ON and time.monotonic() < deadline:
            time.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
            answer = self.store.read_account()
        if answer.value != plans.ALL_ON:
            reason = f"was set, but is not in force after {self.timeout:g} s"
            outcome.problems["account_public_access_block"] = reason
        return answer

    # --- auditing

    def audit(self) -> list[Outcome]:
        """Read every bucket and judge it."""
        number = self.store.know_account()
        account = self.store.read_account()
        names, missing = self._found()

        def work(bucket: str) -> Outcome:
            return self._audited(bucket, account)

        outcomes = [outcome for _name, outcome in each(names, work, self.workers)]
        exempted = self.guard.account_exempted()
        own = Outcome(
            number or "account", _account_findings(number or "account", account, exempted)
        )
        return [own, *sorted([*outcomes, *missing], key=lambda one: one.bucket)]

    def _audited(self, bucket: str, account: Answer) -> Outcome:
        wanted, exempted = self.guard.wanted(bucket), self.guard.exempted(bucket)
        answers: dict[str, Answer] = {}
        try:
            if self._stopped is None:
                self._read_all(bucket, answers)
        except S3Error as error:
            self._stopped = str(error)
        if self._stopped is not None:
            for name in READS:
                answers.setdefault(name, Answer(FAILED, reason=self._stopped))
        verdicts = judge(bucket, answers, wanted, account)
        found = findings(bucket, verdicts, exempted)
        state = bucket_state(bucket, self._regions.get(bucket), answers, account)
        problems = {"bucket": self._stopped} if self._stopped else {}
        return Outcome(bucket, found, problems=problems, state=state)

    def _read_all(self, bucket: str, answers: dict[str, Answer]) -> None:
        for setting in READS:
            if setting == "policy_status" and answers["policy"].kind == ABSENT:
                answers[setting] = Answer(ABSENT)  # without a policy there is no public policy
                continue
            answers[setting] = self.store.read(bucket, setting, self._regions.get(bucket))


def _expired(
    exempted: Iterable[Exemption], controls: Iterable[Mapping[str, Any]]
) -> dict[str, str]:
    expired = [one.control for one in exempted if one.expired]
    return {
        f"exception for {name}": one["reason"]
        for one in controls
        for name in expired
        if one["id"] == "bucket.exception" and one["evidence"]["control"] == name
    }


def _account_findings(
    number: str, answer: Answer, exempted: tuple[Exemption, ...]
) -> list[dict[str, Any]]:
    return findings(number, [account_verdict(answer)], exempted)


def with_store(
    module: Any, work: Callable[[Run, bool], dict[str, Any]], audit: bool = False
) -> dict[str, Any]:
    """Open the store for the module's policy and do the work; return its result and the number of calls."""
    params = module.params
    today = datetime.datetime.now(datetime.timezone.utc).date()
    wanted = guard(params, today, audit=audit)
    store = Store(params)
    run = Run(store, wanted, params["max_workers"], params.get("proof_timeout", 0))
    return {**work(run, module.check_mode), "calls": dict(sorted(store.calls.items()))}


def plan_of(outcomes: Iterable[Outcome]) -> Plan:
    """All changes that were made, or in check mode would be."""
    return Plan(tuple(change for outcome in outcomes for change in outcome.changes))


def failure_message(outcomes: list[Outcome]) -> str | None:
    """What went wrong, in one sentence; None if nothing did."""
    failed = [outcome for outcome in outcomes if outcome.problems]
    if not failed:
        return None
    shown = [
        f"{one.bucket}: " + ", ".join(f"{name}: {reason}" for name, reason in one.problems.items())
        for one in failed[:_SHOWN_FAILURES]
    ]
    more = f"; and {len(failed) - len(shown)} more" if len(failed) > len(shown) else ""
    return f"{len(failed)} of {len(outcomes)} are not as wanted: {'; '.join(shown)}{more}"
