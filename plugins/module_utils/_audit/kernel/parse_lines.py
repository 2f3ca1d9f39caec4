# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines of audit rules, as people, auditctl -l and we write them, read into rules (pure)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Callable, Dict, FrozenSet, List, Tuple, Union

from .netlink import ACTIONS, FIELDS, FILTERS, TEXTS, AuditCodecError
from .syscall_sets import LETTERS, arches, call_numbers
from .types import Field, Rule

UNSET = 0xFFFFFFFF
"""The auid of a process that belongs to no login; -1 in the tools."""

_OPERATOR = re.compile(r"(&=|!=|<=|>=|&|=|<|>)")
_WORD = re.compile(r"\S+")
_SETTINGS = frozenset(
    _WORD.findall(
        "-D -b -e -f -r -i -c -s -t -q --backlog_wait_time --loginuid-immutable --reset-lost "
        "--reset_backlog_wait_time_actual"
    )
)
FILE_TYPES: Dict[str, int] = {
    "fifo": 0o010000,
    "character": 0o020000,
    "dir": 0o040000,
    "block": 0o060000,
    "file": 0o100000,
    "link": 0o120000,
    "socket": 0o140000,
}
# What field_compare compares, from number 1 on.
COMPARISONS = _WORD.findall(
    "uid=obj_uid gid=obj_gid euid=obj_uid egid=obj_gid auid=obj_uid suid=obj_uid sgid=obj_gid fsuid=obj_uid "
    "fsgid=obj_gid uid=auid uid=euid uid=fsuid uid=suid auid=fsuid auid=suid auid=euid euid=suid euid=fsuid "
    "suid=fsuid gid=egid gid=fsgid gid=sgid egid=fsgid egid=sgid sgid=fsgid"
)


@dataclass(frozen=True)
class ParsedFile:
    """A file of rules: `rules` in the order in which the kernel will try them, `settings` such as '-e 2',

    `problems` as line number and reason, `complete` whether its last line ends (auditctl 3 joins it to the
    next file otherwise).
    """

    rules: Tuple[Rule, ...]
    settings: Tuple[str, ...]
    problems: Tuple[Tuple[int, str], ...]
    complete: bool


def parse_file(
    data: bytes, machine: str = "x86_64", is_dir: Callable[[str], bool] = lambda _path: True
) -> ParsedFile:
    """What a file of rules.d says. ``machine`` is uname's; ``is_dir`` tells what '-w path' watches."""
    rules: List[Rule] = []
    settings: List[str] = []
    problems: List[Tuple[int, str]] = []
    for number, line in enumerate(data.decode("utf-8", "surrogateescape").split("\n"), 1):
        try:
            rule = parse_line(line, machine, is_dir)
        except AuditCodecError as error:
            problems.append((number, str(error)))
            continue
        if rule is None:
            settings += [line.strip(" ")] if _words(line) else []
        elif _words(line)[0] == "-A":
            rules.insert(0, rule)
        else:
            rules.append(rule)
    complete = data.endswith(b"\n") or not data
    return ParsedFile(tuple(rules), tuple(settings), tuple(problems), complete)


def parse_line(
    text: str, machine: str = "x86_64", is_dir: Callable[[str], bool] = lambda _path: True
) -> Union[Rule, None]:
    """The rule of a line; None for a comment, a blank line and a setting such as '-e 2'.

    Reads what render_line() writes, and what people write about files. Names of users, groups, errors,
    messages and of most other system calls are looked up nowhere, so they raise AuditCodecError.
    """
    words = _words(text)
    if not words or words[0] in _SETTINGS:
        return None
    draft = _Draft(machine)
    options = iter(words)
    for option in options:
        value = next(options, None)
        if value is None:
            raise AuditCodecError(f"'{option}' has no value")
        draft.take(option, value)
    return draft.rule(is_dir)


def _words(text: str) -> List[str]:
    if text.lstrip(" ").startswith("#"):
        return []
    if "\\" not in text:
        return [word for word in text.rstrip("\n").split(" ") if word]
    # Which spaces end a word is decided before the backslashes go.
    words = re.findall(r"(?:\\[\\ ]|[^ ])+", text.rstrip("\n"))
    return [re.sub(r"\\([\\ ])", r"\1", word) for word in words]


class _Draft:
    """A rule while the options of its line come in."""

    def __init__(self, machine: str) -> None:
        self._arches = arches(machine)
        self._list: Tuple[str, str] = ("", "")
        self._fields: List[Field] = []
        self._calls: Union[FrozenSet[int], None] = frozenset()
        self._asked = False
        self._keys: List[str] = []
        self._watch = ""
        self._perm = 15

    def take(self, option: str, value: str) -> None:
        """One option and its value."""
        if option in ("-a", "-A"):
            self._list = _list_of(value)
        elif option == "-w":
            self._watch = value
        elif option == "-p":
            self._perm = _perm_of(value)
        elif option == "-k":
            self._keys.append(value)
        elif option == "-S":
            self._take_calls(value)
        elif option == "-F":
            self._take_field(value)
        elif option == "-C":
            self._fields.append(_compared(value))
        else:
            raise AuditCodecError(f"'{option}' is not an option of a rule")

    def _take_calls(self, value: str) -> None:
        self._asked = True
        arch = next((int(one.value) for one in self._fields if one.name == "arch"), 0)
        calls = _calls_named(arch, value)
        self._calls = None if calls is None or self._calls is None else self._calls | calls

    def _take_field(self, value: str) -> None:
        name, operator, rest = _split(value)
        if name == "key":
            self._keys.append(rest)
        elif name not in FIELDS or name == "field_compare":
            raise AuditCodecError(f"the field '{name}' is unknown")
        elif FIELDS[name] in TEXTS:
            plain = rest.rstrip("/") or "/" if name == "dir" else rest
            self._fields.append(Field(name, operator, plain))
        else:
            self._fields.append(Field(name, operator, _number_of(name, rest, self._arches)))

    def rule(self, is_dir: Callable[[str], bool]) -> Rule:
        """What the options amount to."""
        key = "\x01".join(self._keys)
        if self._watch:
            if self._list != ("", "") or self._fields or self._asked:
                raise AuditCodecError("'-w' cannot stand beside '-a', '-F' or '-S'")
            path = self._watch.rstrip("/") or "/"
            watch = Field("dir" if is_dir(path) else "path", "=", path)
            return Rule("exit", "always", (watch, Field("perm", "=", self._perm)), None, key)
        if self._list == ("", ""):
            raise AuditCodecError("the line has neither '-a' nor '-w'")
        calls = self._calls if self._asked or self._list[0] == "task" else None
        return Rule(self._list[0], self._list[1], tuple(self._fields), calls, key)


@lru_cache(maxsize=256)
def _calls_named(arch: int, words: str) -> Union[FrozenSet[int], None]:
    numbers = call_numbers(arch)
    found = set()
    for word in words.split(","):
        if word == "all":
            return None
        if not word.isdigit() and word not in numbers:
            raise AuditCodecError(f"the system call '{word}' is not known here")
        found.add(int(word) if word.isdigit() else numbers[word])
    return frozenset(found)


def _list_of(value: str) -> Tuple[str, str]:
    one, _comma, other = value.partition(",")
    for name, action in ((one, other), (other, one)):
        if name in FILTERS and action in ACTIONS:
            return name, action
    raise AuditCodecError(f"'{value}' names no list and action")


def _split(value: str) -> Tuple[str, str, str]:
    parts = _OPERATOR.split(value, 1)
    if len(parts) != 3 or not parts[2]:
        raise AuditCodecError(f"'{value}' is not a comparison")
    return parts[0], parts[1], parts[2]


def _compared(value: str) -> Field:
    left, operator, right = _split(value)
    for pair in (f"{left}={right}", f"{right}={left}"):
        if pair in COMPARISONS and operator in ("=", "!="):
            return Field("field_compare", operator, COMPARISONS.index(pair) + 1)
    raise AuditCodecError(f"'{value}' compares nothing that can be compared")


def _perm_of(letters: str) -> int:
    masks = dict(LETTERS)
    if not set(letters) <= set(masks):
        raise AuditCodecError(f"the permissions '{letters}' are not made of r, w, x and a")
    return sum(masks[letter] for letter in set(letters))


def _number_of(name: str, word: str, own: Tuple[int, ...]) -> int:
    if name == "perm":
        return _perm_of(word)
    if name == "arch" and word in ("b64", "b32"):
        found = [arch for arch in own if bool(arch & 0x80000000) == (word == "b64")]
        if not found:
            raise AuditCodecError(f"this machine has no architecture '{word}'")
        return found[0]
    if name == "filetype" and word in FILE_TYPES:
        return FILE_TYPES[word]
    if word == "unset":
        return UNSET
    try:
        number = int(word, 0)
    except ValueError as error:
        raise AuditCodecError(f"the value '{word}' of '{name}' is not a number") from error
    if not -(1 << 31) <= number < 1 << 32:
        raise AuditCodecError(f"the value '{word}' of '{name}' has more than 32 bits")
    return number & 0xFFFFFFFF
