# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One run of ``win_guard`` on the controller: read, plan, refuse or apply, read back."""

from __future__ import annotations

import socket
import typing as t
from contextlib import contextmanager
from dataclasses import dataclass, field

from ansible.errors import AnsibleConnectionFailure, AnsibleError

from ...module_utils._core.error import HardeningError
from ...module_utils._core.plan import Change, Plan
from .defender import DefenderPolicy, plan_defender
from .firewall import Step, plan_firewall
from .match import Match, match_rules
from .reach import reach
from .state import listed, request, state_of
from .types import Firewall, FirewallPolicy, Management, State
from .verdict import (
    defender_trouble,
    failure_message,
    findings,
    firewall_trouble,
    no_administrator,
    shadowed_reason,
)

_ATTEMPTS = 3
_DEFAULT_PORTS = {"ssh": 22}

_HALF_DONE = (
    "was being changed. The steps are ordered so that it stays reachable after each of them: run the task again to "
    "complete them"
)
# Connection libraries raise their own exceptions. They are recognised by module name, since they need not be installed.
_CONNECTIONS = ("winrm", "pypsrp", "psrpcore", "requests", "httpx", "httpcore")

Execute = t.Callable[[str, t.Dict[str, t.Any]], t.Dict[str, t.Any]]


class Unread(HardeningError):
    """The host gave no usable answer; the text says what it gave."""


@dataclass(frozen=True)
class Reading:
    """One state that was read, and the firewall policy matched with it; None without a firewall policy."""

    state: State
    match: Match | None


@dataclass
class Outcome:
    """The result of a run: the last reading, the changes made or planned, why nothing was changed, and errors."""

    reading: Reading
    plan: Plan = field(default_factory=Plan)
    refused: str = ""
    errors: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Guard:
    """A policy for one host, and how the host is reached."""

    firewall: FirewallPolicy | None
    defender: DefenderPolicy | None
    way: Management

    def run(self, execute: Execute, check_mode: bool) -> Outcome:
        """Bring the host to the policy; `execute` runs one of our modules there.

        :raises Unread: when an answer cannot be understood.
        :raises AnsibleConnectionFailure: when the connection breaks.
        """
        asked = request(self.firewall, self.defender is not None, self.way)
        with connection_loss("was read; nothing was changed", begun=False):
            reading = self.reading(_parsed(execute("win_guard_read", asked)))
        for _unused in range(_ATTEMPTS):
            refused = self._refusal(reading)
            steps = [] if refused else self.steps(reading)
            plan = Plan(tuple(change for step in steps for change in step.changes))
            if check_mode or not steps:
                return Outcome(reading, plan, refused)
            sent = {
                "request": asked,
                "digest": reading.state.digest,
                "steps": [step.sent() for step in steps],
            }
            with connection_loss(_HALF_DONE):
                answer = execute("win_guard_apply", sent)
            reading = self.reading(_parsed(answer))
            report = answer["report"]
            if not report["stale"]:
                return self._proven(reading, plan, _errors(report, steps))
        raise Unread(
            f"something else changed its firewall or Defender during each of {_ATTEMPTS} attempts; nothing was changed "
            "by this task: find out what it is, and run the task again"
        )

    def reading(self, state: State) -> Reading:
        """The state with the firewall policy matched once, for all that follows."""
        if self.firewall is None:
            return Reading(state, None)
        return Reading(state, match_rules(self.firewall, state.firewall or Firewall()))

    def steps(self, reading: Reading) -> list[Step]:
        """The steps to take; none for a part that cannot be judged."""
        state = reading.state
        steps: list[Step] = []
        if reading.match and state.firewall and not firewall_trouble(state)[0]:
            steps += plan_firewall(reading.match, self.way)
        if self.defender and state.defender and not defender_trouble(state)[0]:
            steps += plan_defender(self.defender, state.defender)
        return steps

    def _refusal(self, reading: Reading) -> str:
        """Why nothing may be changed on this host; '' when it may."""
        state, match = reading.state, reading.match
        reason = no_administrator(state)
        if reason or match is None or not state.firewall or firewall_trouble(state)[0]:
            return reason
        for name, over in match.shadowed.items():
            return f"{shadowed_reason(name, over)}; nothing was changed: remove that rule, or leave {name!r} out"
        way = reach(match.after, self.way)
        return "" if way.reached else f"nothing was changed: {way.reason}"

    def _proven(self, reading: Reading, plan: Plan, errors: dict[str, str]) -> Outcome:
        """The plan reduced to the changes that were made."""
        left = {change.key: change for step in self.steps(reading) for change in step.changes}
        done = [_made(change, left.get(change.key)) for change in plan.changes]
        return Outcome(reading, Plan(tuple(done)), errors=errors)

    def result(self, outcome: Outcome, check_mode: bool) -> dict[str, t.Any]:
        """The result of the task."""
        reading = outcome.reading
        found = findings(reading.match, self.defender, reading.state, self.way, outcome.errors)
        result: dict[str, t.Any] = {
            "changed": outcome.plan.changed,
            "changes": outcome.plan.summary(),
            "diff": outcome.plan.diff(),
            "controls": found,
        }
        missing = failure_message(found)
        if outcome.refused:
            result.update(failed=True, changed=False, msg=outcome.refused)
        elif missing and not check_mode:
            result.update(failed=True, msg=missing)
        return result


@contextmanager
def connection_loss(state: str, begun: bool = True) -> t.Iterator[None]:
    """If the connection breaks, say in one sentence which state the host is left in.

    Ansible's own connection failures pass unchanged unless an operation was `begun`.

    :raises AnsibleConnectionFailure: in place of what the connection raised.
    """
    try:
        yield
    except Exception as error:
        library = type(error).__module__.partition(".")[0]
        if isinstance(error, AnsibleConnectionFailure) and not begun:
            raise
        if not isinstance(error, (AnsibleError, OSError)) and library not in _CONNECTIONS:
            raise
        text = " ".join(str(error).split()).rstrip(".")
        raise AnsibleConnectionFailure(
            f"The connection broke while the host {state}. ({text or type(error).__name__})"
        ) from error


def _made(change: Change, left: Change | None) -> Change:
    """The part of the change that was made; what a new plan would still do was not."""
    if left is None:
        return change
    return Change(change.key, change.before, left.before)


def _errors(report: t.Mapping[str, t.Any], steps: list[Step]) -> dict[str, str]:
    return {
        key: " ".join(str(one["error"]).split())
        for one in listed(report["failures"])
        for key in steps[int(one["step"])].keys
    }


def _parsed(answer: t.Mapping[str, t.Any]) -> State:
    if answer.get("failed") or "state" not in answer:
        text = " ".join(
            str(answer[key]).strip()
            for key in ("msg", "module_stderr", "module_stdout")
            if answer.get(key)
        )
        raise Unread(text or "it gave no answer")
    try:
        return state_of(answer)
    except (KeyError, TypeError, ValueError) as error:
        raise Unread(f"its answer cannot be understood: {error!r}") from error


def way_in(connection: t.Any, transport: str, host: str) -> tuple[int | None, tuple[str, ...]]:
    """The port of the host that the connection uses (None: it uses none), and the controller's addresses towards it."""
    if transport not in ("winrm", "psrp", "ssh"):
        return None, ()
    port = connection.get_option("port") or _DEFAULT_PORTS.get(transport)
    return (int(port) if port else None), own_addresses(host)


def own_addresses(host: str) -> tuple[str, ...]:
    """The addresses from which this machine would reach a host; nothing is sent to find out."""
    found = []
    try:
        targets = socket.getaddrinfo(host, 9, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError):
        return ()
    for family, kind, protocol, _name, address in targets:
        try:
            with socket.socket(family, kind, protocol) as probe:
                probe.connect(address)
                found.append(str(probe.getsockname()[0]))
        except OSError:
            continue  # no route to this address from here
    return tuple(dict.fromkeys(found))
