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
from .firewall import Step, foreseen, plan_firewall, swallowed
from .reach import reach
from .state import listed, request, state_of
from .types import FirewallPolicy, Management, State
from .verdict import (
    dead_rule,
    defender_trouble,
    findings,
    firewall_trouble,
    no_administrator,
    sentence,
)

_ATTEMPTS = 3
_DEFAULT_PORTS = {"ssh": 22}

_HALF_DONE = (
    "was being changed; the steps are in an order that leaves it reachable wherever they end: run the task again to "
    "complete them"
)
# Libraries of connections raise exceptions of their own, which this collection need not have installed.
_CONNECTIONS = ("winrm", "pypsrp", "psrpcore", "requests", "httpx", "httpcore")

Execute = t.Callable[[str, t.Dict[str, t.Any]], t.Dict[str, t.Any]]


class Unread(HardeningError):
    """The host gave no answer that can be understood; the text says which one."""


@dataclass
class Outcome:
    """What became of a run."""

    state: State
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
        with told_of_breaks("was read; nothing was changed", begun=False):
            state = _understood(execute("win_guard_read", asked))
        for _unused in range(_ATTEMPTS):
            refused = self._refusal(state)
            steps = [] if refused else self.steps(state)
            plan = Plan(tuple(change for step in steps for change in step.changes))
            if check_mode or not steps:
                return Outcome(state, plan, refused)
            sent = {
                "request": asked,
                "digest": state.digest,
                "steps": [step.sent() for step in steps],
            }
            with told_of_breaks(_HALF_DONE):
                answer = execute("win_guard_apply", sent)
            state = _understood(answer)
            report = answer["report"]
            if not report["stale"]:
                return self._proven(state, plan, _errors(report, steps))
        raise Unread("its firewall or Defender is being changed by something else all the time")

    def steps(self, state: State) -> list[Step]:
        """What is to be done; nothing for a part that cannot be judged."""
        steps: list[Step] = []
        if self.firewall and state.firewall and not firewall_trouble(state)[0]:
            steps += plan_firewall(self.firewall, state.firewall, self.way)
        if self.defender and state.defender and not defender_trouble(state)[0]:
            steps += plan_defender(self.defender, state.defender)
        return steps

    def _refusal(self, state: State) -> str:
        """Why nothing may be changed on this host; '' when it may."""
        reason = no_administrator(state)
        if reason or not self.firewall or not state.firewall or firewall_trouble(state)[0]:
            return reason
        after = foreseen(self.firewall, state.firewall)
        for name, over in swallowed(self.firewall, after).items():
            return f"{dead_rule(name, over)}; nothing was changed: remove that rule, or leave {name!r} out"
        way = reach(after, self.way)
        return "" if way.reached else f"nothing was changed: {way.reason}"

    def _proven(self, state: State, plan: Plan, errors: dict[str, str]) -> Outcome:
        """The plan without what did not come true."""
        left = {change.key: change for step in self.steps(state) for change in step.changes}
        done = [_less(change, left.get(change.key)) for change in plan.changes]
        return Outcome(state, Plan(tuple(done)), errors=errors)

    def result(self, outcome: Outcome, check_mode: bool) -> dict[str, t.Any]:
        """As the task returns it."""
        found = findings(self.firewall, self.defender, outcome.state, self.way, outcome.errors)
        result: dict[str, t.Any] = {
            "changed": outcome.plan.changed,
            "changes": outcome.plan.summary(),
            "diff": outcome.plan.diff(),
            "controls": found,
        }
        missing = sentence(found)
        if outcome.refused:
            result.update(failed=True, changed=False, msg=outcome.refused)
        elif missing and not check_mode:
            result.update(failed=True, msg=missing)
        return result


@contextmanager
def told_of_breaks(state: str, begun: bool = True) -> t.Iterator[None]:
    """Say of any break of the connection, in one sentence, what state the host is left in.

    What a connection says of itself is left alone unless something was `begun` over it.

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
        said = " ".join(str(error).split()).rstrip(".")
        raise AnsibleConnectionFailure(
            f"The connection broke while the host {state}. ({said or type(error).__name__})"
        ) from error


def _less(change: Change, left: Change | None) -> Change:
    """The change as far as it came true; what is still to be done was not."""
    if left is None:
        return change
    return Change(change.key, change.before, left.before)


def _errors(report: t.Mapping[str, t.Any], steps: list[Step]) -> dict[str, str]:
    return {
        key: " ".join(str(one["error"]).split())
        for one in listed(report["failures"])
        for key in steps[int(one["step"])].keys
    }


def _understood(answer: t.Mapping[str, t.Any]) -> State:
    if answer.get("failed") or "state" not in answer:
        said = " ".join(
            str(answer[key]).strip()
            for key in ("msg", "module_stderr", "module_stdout")
            if answer.get(key)
        )
        raise Unread(said or "it gave no answer")
    try:
        return state_of(answer)
    except (KeyError, TypeError, ValueError) as error:
        raise Unread(f"its answer cannot be understood: {error!r}") from error


def way_in(connection: t.Any, transport: str, host: str) -> tuple[int | None, tuple[str, ...]]:
    """The port on which the connection comes in (None: it does not), and the controller's addresses towards it."""
    if transport not in ("winrm", "psrp", "ssh"):
        return None, ()
    port = connection.get_option("port") or _DEFAULT_PORTS.get(transport)
    return (int(port) if port else None), own_addresses(host)


def own_addresses(host: str) -> tuple[str, ...]:
    """The addresses from which this machine would reach a host; nothing is sent for that."""
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
            continue  # there is no way to this address from here
    return tuple(dict.fromkeys(found))
