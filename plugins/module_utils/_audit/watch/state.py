# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The wanted and the present state of a host's audit, and the one plan between the two (pure)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Dict, FrozenSet, List, Mapping, Sequence, Tuple, Union

from ..._core.plan import Change, Plan
from ..kernel.rule_lines import render_file, render_line
from ..kernel.types import KEY_PREFIX, Field, Rule, Status
from .auditd_conf import merged
from .mounts import Mount, below
from .rearm import (
    HEADER,
    NAME,
    PATH_UNIT,
    RULES_PATH,
    SERVICE_UNIT,
    path_unit,
    rules_text,
    service_unit,
)
from .steps import Steps, after, listing, steps
from .watch import Watch, clusters, rules_of

LOCK_FILE = "/etc/audit/rules.d/zzz-twinguard-locked.rules"
BOOT_FILE = "/etc/audit/audit.rules"
CONF_FILE = "/etc/audit/auditd.conf"
SYSCTL_FILE = "/etc/sysctl.d/60-twinguard-audit.conf"
UNIT = f"{NAME}.path"
LOCKED = 2


@dataclass(frozen=True)
class Want:
    """What the task asks for, with everything about the host looked up."""

    params: Mapping[str, Any]
    watches: Tuple[Watch, ...]
    arches: Tuple[int, ...]

    @cached_property
    def by_watch(self) -> Tuple[Tuple[Rule, ...], ...]:
        """The wanted rules of each watch."""
        return tuple(rules_of(watch, self.arches) for watch in self.watches)

    @cached_property
    def clusters(self) -> Tuple[Tuple[int, ...], ...]:
        """The numbers of watches that lie in each other, together."""
        place = {id(watch): number for number, watch in enumerate(self.watches)}
        return tuple(tuple(place[id(one)] for one in group) for group in clusters(self.watches))

    @cached_property
    def groups(self) -> Tuple[Tuple[Rule, ...], ...]:
        """The wanted rules; order counts within each group."""
        return tuple(
            tuple(rule for number in group for rule in self.by_watch[number])
            for group in self.clusters
        )

    @cached_property
    def rules(self) -> Tuple[Rule, ...]:
        """All wanted rules in the order of the file."""
        return tuple(rule for rules in self.by_watch for rule in rules)

    @cached_property
    def lines(self) -> Tuple[str, ...]:
        """The lines of all wanted rules."""
        lines = _Lines()
        return tuple(lines.of(rule) for rule in self.rules)

    def grouped_lines(self) -> List[List[str]]:
        """The lines of the wanted rules; order counts within each group."""
        line = {id(rule): line for rule, line in zip(self.rules, self.lines)}
        return [[line[id(rule)] for rule in group] for group in self.groups]

    def files(
        self, conf: Union[str, None], auditctl: str
    ) -> List[Tuple[str, Union[bytes, None], int]]:
        """Path, content (None: it must not exist) and mode of each file that is managed."""
        rules, limit = self.rules, self.params["backlog_limit"]
        lines = render_file((), HEADER)
        lines += f"-b {limit}\n".encode() if limit is not None else b""
        wanted: List[Tuple[str, Union[bytes, None], int]] = [
            (self.params["rules_file"], lines + _encoded(self.lines), 0o640)
        ]
        if not rules and limit is None:
            wanted = [(self.params["rules_file"], None, 0o640)]
        if self.params["immutable"] is not None:
            lock = render_file((), HEADER) + b"-e 2\n" if self.params["immutable"] else None
            wanted.append((LOCK_FILE, lock, 0o640))
        settings = self.params["auditd"] or {}
        if any(value is not None for value in settings.values()):
            text = merged(conf or "", settings)
            wanted.append((CONF_FILE, text.encode("utf-8", "surrogateescape"), 0o640))
        if self.params["block_io_uring"] is not None:
            # The dash: the unit must not fail on a kernel that does not know the setting.
            line = f"# {HEADER}-kernel.io_uring_disabled = 2\n".encode()
            wanted.append((SYSCTL_FILE, line if self.params["block_io_uring"] else None, 0o644))
        units: List[Tuple[str, Union[bytes, None], int]] = [
            (RULES_PATH, None, 0o640),
            (SERVICE_UNIT, None, 0o644),
            (PATH_UNIT, None, 0o644),
        ]
        if self.params["rearm"] and self.watches:
            again = rules_text(self.grouped_lines())
            service = service_unit(self.watches, again, len(rules), auditctl)
            units = [
                (RULES_PATH, again, 0o640),
                (SERVICE_UNIT, service, 0o644),
                (PATH_UNIT, path_unit(self.watches), 0o644),
            ]
        return wanted + units


class _Lines:
    """Makes lines of rules that differ in little but their path, without making each from scratch."""

    _HOLE = "/@"

    def __init__(self) -> None:
        self._made: Dict[Tuple[Any, ...], str] = {}

    def of(self, rule: Rule) -> str:
        """The line of a rule of ours, whose path holds nothing that would be written in another way."""
        arch, place, *rest = rule.fields
        like = (arch, place.name, tuple(rest), rule.action, rule.key)
        line = self._made.get(like)
        if line is None:
            fields = (arch, Field(place.name, "=", self._HOLE), *rest)
            line = render_line(replace(rule, fields=fields))
            self._made[like] = line
        return line.replace(f"{place.name}={self._HOLE} ", f"{place.name}={place.value} ", 1)


@dataclass(frozen=True)
class Found:
    """The present state of the host, read once. Without audit (`no_audit` is the reason) only the files count.

    `identities`: directories held by watches, and what is mounted below them, with their inodes now;
    `armed` and `armed_mounts`: the same when the rules were last armed in this boot. `units`: the states
    that systemd gives for each unit; None where systemd is not in charge.
    """

    no_audit: str = ""
    status: Union[Status, None] = None
    rules: Tuple[Rule, ...] = ()
    boot: str = ""
    mounts: Tuple[Mount, ...] = ()
    identities: Mapping[str, str] = field(default_factory=dict)
    armed: Mapping[str, str] = field(default_factory=dict)
    armed_mounts: Mapping[str, str] = field(default_factory=dict)
    lost_before: int = 0
    blind: Tuple[str, ...] = ()
    io_uring: str = "open"
    units: Union[Mapping[str, Mapping[str, str]], None] = None
    augenrules: str = ""

    @cached_property
    def below(self) -> Mapping[str, Tuple[str, ...]]:
        """Mount points below each directory that has any."""
        return below(self.mounts)

    @property
    def locked(self) -> bool:
        """Whether the kernel takes no change until the next boot."""
        return self.status is not None and self.status.enabled == LOCKED

    def runs(self, unit: str) -> bool:
        """Whether a unit is active and will be after the next boot."""
        state = (self.units or {}).get(unit, {})
        enabled = state.get("UnitFileState", "") in (
            "enabled",
            "static",
            "enabled-runtime",
            "alias",
        )
        return self.active(unit) and enabled

    def active(self, unit: str) -> bool:
        """Whether a unit is active now."""
        return (self.units or {}).get(unit, {}).get("ActiveState") == "active"


def _encoded(lines: Sequence[str]) -> bytes:
    return "".join(line + "\n" for line in lines).encode("utf-8", "surrogateescape")


def stale(watch: Watch, found: Found) -> Union[str, None]:
    """The reason why a rule that the kernel lists no longer looks at this place; '' if it does, None if unknown."""
    before = found.armed.get(watch.anchor)
    if before is None:
        return None
    if before != found.identities.get(watch.anchor):
        return f"{watch.anchor} was replaced, or mounted over, since its watch was armed"
    if watch.tree:
        for point in found.below.get(watch.anchor, ()):
            if found.armed_mounts.get(point) != found.identities.get(point):
                return f"{point} was mounted since the watch around it was armed"
    return ""


def boot_problems(want: Want, found: Found) -> Tuple[str, ...]:
    """What the joined file, which is loaded at boot, does not say as wanted."""
    lines = [line.strip() for line in found.boot.splitlines()]
    have = [line for line in lines if KEY_PREFIX in line and not line.startswith("#")]
    wanted = list(want.lines)
    limit = want.params["backlog_limit"]
    problems = []
    if have != wanted:
        extra, lacking = len(set(have) - set(wanted)), len(set(wanted) - set(have))
        what = f"{lacking} rules are missing and {extra} are not asked for"
        problems.append(what if extra or lacking else "its rules are out of order or come twice")
    if limit is not None and f"-b {limit}" not in lines:
        problems.append(f"it does not set the backlog limit {limit}")
    if want.params["immutable"] and "-e 2" not in lines:
        problems.append("it does not lock the rules")
    if want.params["immutable"] is False and "-e 2" in lines:
        problems.append("it locks the rules")
    return tuple(problems)


@dataclass(frozen=True)
class Actions:
    """Everything that a run would do. `plan` shows all of it."""

    plan: Plan
    files: Plan
    steps: Steps = field(default_factory=Steps)
    anew: FrozenSet[int] = frozenset()
    join: bool = False
    enable: bool = False
    backlog: Union[int, None] = None
    start: bool = False
    watch_units: bool = False
    io_uring: bool = False
    lock: bool = False
    reboot: bool = False


def plan(want: Want, found: Found, files: Plan, unfinished: bool = False) -> Actions:
    """What is to be done. `files` is the plan of the files; without audit it is all there is.

    `unfinished`: an earlier run was killed, and its files have to be taken back first.
    """
    touched = {change.key for change in files.changes}
    rules_d = any(key.startswith("/etc/audit/rules.d/") for key in touched)
    join = bool(found.augenrules) and not found.locked
    join = join and (rules_d or bool(boot_problems(want, found)))
    changes = list(files.changes)
    if unfinished:
        changes.append(Change("an earlier run", "cut short\n", "rolled back\n"))
    if join and not rules_d:
        changes.append(Change(BOOT_FILE, "differs from rules.d\n", "made anew by augenrules\n"))
    if found.status is None:
        return Actions(Plan(tuple(changes)), files, join=join)
    status, params, free = found.status, want.params, not found.locked
    anew = _anew(want, found) if free else frozenset()
    todo = steps(found.rules, want.groups, anew)
    limit = params["backlog_limit"]
    backlog = limit if limit not in (None, status.backlog_limit) else None
    systemd = found.units is not None
    rearming = systemd and bool(params["rearm"] and want.watches)
    running = bool(status.pid) and found.runs("auditd.service")
    actions = Actions(
        Plan(),
        files,
        todo if free else Steps(),
        anew,
        join,
        enable=free and status.enabled == 0,
        backlog=backlog if free else None,
        start=systemd and bool(params["manage_service"]) and not running,
        watch_units=rearming and not found.runs(UNIT),
        io_uring=params["block_io_uring"] is True and found.io_uring in ("0", "1"),
        lock=params["immutable"] is True and free,
        reboot=not free
        and (
            todo.needed
            or backlog is not None
            or params["immutable"] is False
            or any(stale(watch, found) for watch in want.watches)
        ),
    )
    changes += _live_changes(want, found, status, actions)
    return replace(actions, plan=Plan(tuple(changes)))


def _live_changes(want: Want, found: Found, status: Status, actions: Actions) -> List[Change]:
    """What changes besides files, as Ansible shows it."""
    changes: List[Change] = []
    if actions.steps.needed:
        changes += _rule_changes(want, found, actions.steps, actions.anew)
    stopped, running = "not running or not enabled\n", "running, enabled\n"
    for happens, name, before, now in (
        (actions.enable, "audit in the kernel", "enabled 0\n", "enabled 1\n"),
        (
            actions.backlog is not None,
            "backlog limit in the kernel",
            f"{status.backlog_limit}\n",
            f"{actions.backlog}\n",
        ),
        (actions.start, "auditd.service", stopped, running),
        (actions.watch_units, UNIT, stopped, running),
        (actions.io_uring, "kernel.io_uring_disabled", f"{found.io_uring}\n", "2\n"),
        (actions.lock, "lock of the audit rules", "open\n", "locked until the next boot\n"),
    ):
        if happens:
            changes.append(Change(name, before, now))
    return changes


def _anew(want: Want, found: Found) -> FrozenSet[int]:
    """Groups in which a place is no longer looked at. Without canaries, a doubt is enough."""
    numbers = set()
    for number, group in enumerate(want.clusters):
        reasons = [stale(want.watches[one], found) for one in group]
        if any(reasons) or (None in reasons and not want.params["canary"]):
            numbers.add(number)
    return frozenset(numbers)


def _rule_changes(want: Want, found: Found, todo: Steps, anew: FrozenSet[int]) -> Sequence[Change]:
    changes = [
        Change("audit rules in the kernel", listing(found.rules), listing(after(found.rules, todo)))
    ]
    for number, group in enumerate(want.clusters):
        for watch in (want.watches[one] for one in group if number in anew):
            now = found.identities.get(watch.anchor, "")
            before = found.armed.get(watch.anchor, "not known in this boot")
            if stale(watch, found) != "":
                changes.append(
                    Change(
                        f"{watch.resolved} (watch)",
                        f"inode {before}\n",
                        f"armed anew, inode {now}\n",
                    )
                )
    return changes
