# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which watches are asked for, and by which rules the kernel keeps them (pure)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, FrozenSet, Iterator, Mapping, Sequence, Tuple, Union

from ..._core.plan import ControlError
from ..kernel.syscall_sets import LETTERS, READ, watch_calls
from ..kernel.types import KEY_MAX, KEY_PREFIX, Field, Rule

_MASKS = dict(LETTERS)
_KEY = re.compile(r"[A-Za-z0-9_.-]+")
# What a file of rules, a unit of systemd or a shell could read in another way than it was meant.
_UNSAFE = re.compile("[\\x00-\\x20\\x7f\"'\\\\]")
_GLOB = re.compile(r"[*?\[]")
_PATH_MAX = 4000


@dataclass(frozen=True)
class Target:
    """What is at a path: its name without links, its kind and its identity.

    `kind`: directory, file, other, missing (its directory is there) or nowhere (not even that).
    `identity`: device and inode number as "dev:ino"; "" when nothing is there.
    """

    resolved: str
    kind: str
    identity: str = ""


@dataclass(frozen=True)
class Reader:
    """Who may read unrecorded; both parts must match where both are given."""

    uid: Union[int, None] = None
    executable: str = ""


@dataclass(frozen=True)
class Watch:
    """One watch, with everything looked up that the host had to be asked for."""

    path: str
    target: Target
    tree: bool
    mask: int
    key: str
    readers: Tuple[Reader, ...] = ()

    @property
    def resolved(self) -> str:
        """The path that the kernel gets."""
        return self.target.resolved

    @property
    def permissions(self) -> str:
        """The permissions as letters."""
        return "".join(letter for letter, mask in LETTERS if self.mask & mask)

    @property
    def anchor(self) -> str:
        """The directory whose inode the kernel holds on to: of a single file the one that it is in."""
        return self.resolved if self.tree else self.resolved.rpartition("/")[0] or "/"

    def contains(self, path: str) -> bool:
        """Whether a path is this one or below it."""
        return inside(path, self.resolved)


def inside(path: str, above: str) -> bool:
    """Whether a path is another one or below it."""
    return path == above or path.startswith(above.rstrip("/") + "/")


def check_options(params: Mapping[str, Any]) -> None:
    """Check all that follows from the options alone; raises ControlError."""
    for number, one in enumerate(params["watches"]):
        where = f"watches[{number}]"
        _check_path(f"{where}.path", one["path"])
        _check_permissions(f"{where}.permissions", one["permissions"])
        _check_key(f"{where}.key", one["key"])
        if one["allowed_readers"] and "r" not in one["permissions"]:
            raise ControlError(
                f"{where}.allowed_readers",
                one["allowed_readers"],
                f"reads are not recorded with the permissions '{one['permissions']}' anyway",
                "add 'r' to the permissions or leave the readers out",
            )
        for place, reader in enumerate(one["allowed_readers"]):
            _check_reader(f"{where}.allowed_readers[{place}]", reader)
    _check_rules_file(params["rules_file"])
    if params["backlog_limit"] is not None and not 64 <= params["backlog_limit"] <= 1 << 20:
        raise ControlError(
            "backlog_limit",
            params["backlog_limit"],
            "the kernel would lose records or its memory",
            "give a number of 64 to 1048576, such as 8192",
        )
    if not 1 <= params["canary_timeout"] <= 600:
        raise ControlError(
            "canary_timeout",
            params["canary_timeout"],
            "not a number of seconds above zero",
            "give 1 to 600 seconds",
        )


def _check_path(option: str, path: str) -> None:
    problem = ""
    if not path.startswith("/"):
        problem, fix = "the path is relative", "give an absolute path"
    elif _UNSAFE.search(path) or len(path.encode("utf-8", "surrogateescape")) > _PATH_MAX:
        problem = "a file of audit rules cannot hold its space, control character, quote or length"
        fix = "give another path, or watch the directory above it"
    elif _GLOB.search(path):
        problem, fix = (
            "the kernel takes no pattern, it would watch this very name",
            ("watch the directory"),
        )
    elif {".", ".."} & set(path.split("/")):
        problem, fix = "it goes through '.' or '..'", "give the path without them"
    elif not path.strip("/"):
        problem, fix = "everything would be recorded", "give the directory of the models"
    if problem:
        raise ControlError(option, path, problem, fix)


def _check_permissions(option: str, letters: str) -> None:
    if not letters or set(letters) - set(_MASKS) or len(set(letters)) != len(letters):
        raise ControlError(
            option,
            letters,
            "each letter must be one of r, w, x and a, and none may come twice",
            "give for instance 'rwa'",
        )


def _check_key(option: str, key: str) -> None:
    size = len(key.encode("utf-8", "surrogateescape"))
    if not key.startswith(KEY_PREFIX) or len(key) == len(KEY_PREFIX):
        problem = f"it does not begin with '{KEY_PREFIX}' and a name"
    elif size > KEY_MAX:
        problem = f"it has {size} bytes and {KEY_MAX} are allowed"
    elif not _KEY.fullmatch(key):
        problem = "it holds a character that the tools would misread"
    else:
        return
    fix = f"give '{KEY_PREFIX}' and at most {KEY_MAX - len(KEY_PREFIX)} letters, digits and . _ -"
    raise ControlError(option, key, problem, fix)


def _check_reader(option: str, reader: Mapping[str, Any]) -> None:
    if not reader["user"] and not reader["executable"]:
        raise ControlError(
            option, dict(reader), "it names nobody", "give a user, an executable or both"
        )
    if reader["executable"]:
        _check_path(f"{option}.executable", reader["executable"])


def _check_rules_file(path: str) -> None:
    _check_path("rules_file", path)
    if not re.fullmatch(r"/etc/audit/rules\.d/[A-Za-z0-9_.-]+\.rules", path):
        raise ControlError(
            "rules_file",
            path,
            "nothing would load it at boot",
            "give a file in /etc/audit/rules.d whose name ends in .rules",
        )


def resolve_watches(
    params: Mapping[str, Any],
    targets: Mapping[str, Target],
    uids: Mapping[str, Union[int, None]],
    programs: Mapping[str, Target],
) -> Tuple[Watch, ...]:
    """The watches in the order of their rules: what lies deeper comes first, since the first match wins.

    `targets` by path, `uids` by user (None: there is no such user), `programs` by executable. Raises
    ControlError for what this host cannot watch and for watches that contradict each other.
    """
    watches = []
    for number, one in enumerate(params["watches"]):
        where, target = f"watches[{number}]", targets[one["path"]]
        _check_target(f"{where}.path", one, target)
        watches.append(
            Watch(
                one["path"],
                target,
                one["recursive"] and target.kind == "directory",
                sum(_MASKS[letter] for letter in one["permissions"]),
                one["key"],
                _readers(f"{where}.allowed_readers", one["allowed_readers"], uids, programs),
            )
        )
    _check_together(watches)
    # By components: "/a-b" must not come between "/a" and "/a/b".
    watches.sort(key=lambda one: one.resolved.split("/"))
    return tuple(sorted(watches, key=lambda one: -one.resolved.count("/")))


def _check_target(option: str, one: Mapping[str, Any], target: Target) -> None:
    if target.kind == "nowhere":
        parent = target.resolved.rpartition("/")[0] or "/"
        raise ControlError(
            option, one["path"], f"its directory {parent} does not exist", "create it first"
        )
    if target.kind == "missing" and one["recursive"]:
        raise ControlError(
            option,
            one["path"],
            "it does not exist",
            "create it first, or set recursive to false for a file that is still to come",
        )
    # A link may lead where the options alone could not.
    _check_path(option, target.resolved)


def _readers(
    option: str,
    asked: Sequence[Mapping[str, Any]],
    uids: Mapping[str, Union[int, None]],
    programs: Mapping[str, Target],
) -> Tuple[Reader, ...]:
    readers = set()
    for number, one in enumerate(asked):
        uid, program = None, ""
        if one["user"]:
            uid = uids[one["user"]]
            if uid is None:
                raise ControlError(
                    f"{option}[{number}].user",
                    one["user"],
                    "this host has no such user",
                    "create the user first, or give its number",
                )
        if one["executable"]:
            target = programs[one["executable"]]
            if target.kind != "file":
                raise ControlError(
                    f"{option}[{number}].executable",
                    one["executable"],
                    "this host has no such program",
                    "install it first",
                )
            program = target.resolved
        readers.add(Reader(uid, program))
    return tuple(
        sorted(readers, key=lambda one: (one.executable, -1 if one.uid is None else one.uid))
    )


def _check_together(watches: Sequence[Watch]) -> None:
    seen: dict[str, Watch] = {}
    for one in watches:
        for name in (one.resolved, one.target.identity):
            other = seen.get(name) if name else None
            if other is not None:
                raise ControlError(
                    "watches",
                    one.path,
                    f"it is the same {one.target.kind} as {other.path}, and the kernel would heed only "
                    "the first of the two watches",
                    "make one watch of them",
                )
        seen[one.resolved] = one
        if one.target.identity:
            seen[one.target.identity] = one
    # Looked up by what lies above, since every pair of many hundred watches would take seconds.
    reading = {one.resolved: one for one in watches if one.tree and one.mask & READ}
    for inner in (one for one in watches if one.readers):
        for above in _above(inner.resolved):
            outer = reading.get(above)
            if outer is not None and set(inner.readers) - set(outer.readers):
                raise ControlError(
                    "watches",
                    inner.path,
                    f"its allowed readers would hide reads from the watch on {outer.path} around it",
                    "allow the same readers there, or do not watch reads there",
                )


def _above(path: str) -> Iterator[str]:
    """The directories around an absolute path, nearest first, without the root."""
    path = path.rpartition("/")[0]
    while path:
        yield path
        path = path.rpartition("/")[0]


def rules_of(watch: Watch, arches: Sequence[int]) -> Tuple[Rule, ...]:
    """The rules of one watch, in the order in which the kernel must try them.

    An allowed reader is left out by a rule that hides nothing but reads in this very place. What is
    more than a read is recorded by a rule before it: opening a file to read and write is both.
    """
    rules = []
    for arch in arches:
        if not watch.readers:
            rules.append(_rule(watch, arch, "always", watch.mask))
            continue
        if watch.mask & ~READ:
            rules.append(_rule(watch, arch, "always", watch.mask & ~READ))
        rules += [_rule(watch, arch, "never", READ, _who(one)) for one in watch.readers]
        rules.append(_rule(watch, arch, "always", READ))
    return tuple(rules)


def _who(reader: Reader) -> Tuple[Field, ...]:
    who = []
    if reader.uid is not None:
        # Both: a program that runs with another's rights is not the user, and root that took the
        # user's rights for a moment is not either.
        who += [Field("uid", "=", reader.uid), Field("euid", "=", reader.uid)]
    if reader.executable:
        who.append(Field("exe", "=", reader.executable))
    return tuple(who)


def _rule(watch: Watch, arch: int, action: str, mask: int, who: Tuple[Field, ...] = ()) -> Rule:
    place = Field("dir" if watch.tree else "path", "=", watch.resolved)
    first, third, calls = _common(arch, mask)
    return Rule("exit", action, (first, place, third, *who), calls, watch.key)


@lru_cache(maxsize=None)
def _common(arch: int, mask: int) -> Tuple[Field, Field, Union[FrozenSet[int], None]]:
    """What all rules for the same calls share."""
    return Field("arch", "=", arch), Field("perm", "=", mask), watch_calls(arch, mask)


def clusters(watches: Sequence[Watch]) -> Tuple[Tuple[Watch, ...], ...]:
    """Watches that lie in each other, together, in their order; the order of any others is free."""
    groups: list[list[Watch]] = []
    top = ""
    for one in sorted(watches, key=lambda watch: watch.resolved.split("/")):
        if not groups or not inside(one.resolved, top):
            groups.append([])
            top = one.resolved
        groups[-1].append(one)
    place = {id(one): number for number, one in enumerate(watches)}
    return tuple(tuple(sorted(group, key=lambda one: place[id(one)])) for group in groups)
