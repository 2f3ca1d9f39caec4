# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Audit rules as lines of /etc/audit/rules.d, and when two rules mean the same (pure).

A line is written so that auditctl 3 and 4 both send the kernel the very bytes that build_rule() makes.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import FrozenSet, Iterable, List, Union

from .netlink import ACTIONS, FIELDS, FILTERS, TEXTS, AuditCodecError
from .parse_lines import COMPARISONS, FILE_TYPES, UNSET, ParsedFile, parse_file, parse_line
from .syscall_sets import LETTERS, arches, call_names, enough_calls
from .types import Field, Rule

# All that has to do with the text of rules.
__all__ = [
    "UNSET",
    "ParsedFile",
    "canonical",
    "parse_file",
    "parse_line",
    "render_file",
    "render_line",
    "show",
]

_ANYWHERE = ("exit", "entry", "io_uring")  # filters that look at the number of the call
_LINE_MAX = 8000
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_UNTIDY = re.compile(r"//|/\.|/$")


@lru_cache(maxsize=16384)
def canonical(rule: Rule) -> Rule:
    """The same rule for the same intent, whoever wrote it; to compare with, not to delete by.

    Fields are sorted. Calls that a permission makes pointless, and masks that a filter does not look at,
    are left out. A path loses doubled and trailing slashes, as in auditctl.
    """
    fields = {_plain(field) for field in rule.fields if field.name != "key"}
    return Rule(rule.filter, rule.action, tuple(sorted(fields)), _needed_calls(rule), rule.key)


def _plain(field: Field) -> Field:
    path = str(field.value)
    if field.name not in ("dir", "path") or not _UNTIDY.search(path):
        return field
    parts = [part for part in path.split("/") if part not in ("", ".")]
    return Field(field.name, field.op, "/" * path.startswith("/") + "/".join(parts))


def _needed_calls(rule: Rule) -> Union[FrozenSet[int], None]:
    if rule.filter not in _ANYWHERE:
        return None
    arch, perm = rule.field("arch"), rule.field("perm")
    if rule.syscalls is None or arch is None or perm is None or (arch.op, perm.op) != ("=", "="):
        return rule.syscalls
    enough = enough_calls(int(arch.value), int(perm.value), rule.syscalls)
    return None if enough else rule.syscalls


def show(rule: Rule) -> str:
    """A rule for people: the line if there is one, else the nearest to it. Never fails."""
    try:
        text = render_line(rule)
    except AuditCodecError:
        words = [f"-F {one.name}{one.op}{one.value}" for one in rule.fields if one.name != "key"]
        words += [f"-F key={rule.key}"] if rule.key else []
        text = " ".join([f"-a {rule.action},{rule.filter}", *words])
    # What a terminal or a JSON file cannot take, undecodable bytes among it, is spelled out.
    plain = (one if one.isprintable() else ascii(one)[1:-1] for one in text)
    return "".join(plain)


def render_line(rule: Rule) -> str:
    """The line that makes auditctl load the rule; AuditCodecError where no line can."""
    if rule.action not in ACTIONS or rule.filter not in FILTERS:
        raise AuditCodecError(f"{rule.action},{rule.filter} is not a list of rules")
    words = [f"-a {rule.action},{rule.filter}"]
    arch = rule.field("arch")
    calls = _calls_words(rule, arch)
    if arch is None:
        words += calls
    for field in rule.fields:
        if field.name == "key":
            continue  # auditctl puts it last wherever it stands
        words.append(_field_words(field))
        if field is arch:
            words += calls
    words += _key_words(rule.key)
    line = " ".join(words)
    if len(line.encode("utf-8", "surrogateescape")) > _LINE_MAX:
        raise AuditCodecError(f"a line longer than {_LINE_MAX} bytes cannot be loaded")
    return line


def _calls_words(rule: Rule, arch: Union[Field, None]) -> List[str]:
    if rule.filter not in _ANYWHERE:
        return []
    if rule.syscalls is None:
        # Said aloud, because auditctl 4 would make a shorter list of its own of perm=.
        return ["-S all"] if rule.filter == "exit" else []
    if not rule.syscalls:
        raise AuditCodecError("a rule for no system call at all cannot be written")
    native = rule.filter == "exit" and arch is not None and arch.op == "="
    return [_calls_word(int(arch.value) if arch is not None and native else 0, rule.syscalls)]


@lru_cache(maxsize=256)
def _calls_word(arch: int, calls: FrozenSet[int]) -> str:
    names = call_names(arch)
    return "-S " + ",".join(names.get(call, str(call)) for call in sorted(calls))


def _field_words(field: Field) -> str:
    number = FIELDS.get(field.name)
    if number is None:
        raise AuditCodecError(f"auditctl knows no field '{field.name}'")
    if field.name == "field_compare":
        return f"-C {_comparison(field)}"
    if number in TEXTS:
        return f"-F {field.name}{field.op}{_escaped(field.name, str(field.value))}"
    return f"-F {field.name}{field.op}{_value_word(field.name, int(field.value))}"


def _comparison(field: Field) -> str:
    index = int(field.value) - 1
    if not 0 <= index < len(COMPARISONS):
        raise AuditCodecError(f"comparison {field.value} is unknown")
    return COMPARISONS[index].replace("=", field.op)


def _value_word(name: str, value: int) -> str:
    if name == "arch":
        return _arch_word(value)
    if name == "perm":
        return _perm_word(value)
    if name == "filetype":
        return next((word for word, number in FILE_TYPES.items() if number == value), str(value))
    signed = value - (1 << 32) if value >> 31 else value
    return str(signed) if name == "exit" or value == UNSET else str(value)


def _perm_word(value: int) -> str:
    if not 0 < value < 16:
        raise AuditCodecError(f"the permissions {value:#x} cannot be written")
    return "".join(letter for letter, mask in LETTERS if value & mask)


def _arch_word(value: int) -> str:
    for native, *others in map(arches, ("x86_64", "aarch64", "ppc64le", "s390x")):
        if value == native:
            return "b64"
        if value in others:
            return "b32"
    return f"{value:#x}"


def _key_words(key: str) -> List[str]:
    if not key:
        return []
    keys = key.split("\x01")
    if len(keys) == 1:
        return [f"-F key={_escaped('key', key)}"]
    return [f"-k {_escaped('key', one)}" for one in keys]


def _escaped(name: str, text: str) -> str:
    """As auditctl reads it back: a space and a backslash after a backslash are themselves."""
    if not text or _CONTROL.search(text):
        raise AuditCodecError(
            f"the {name} {text!r} cannot be written in a file of audit rules: "
            "it is empty or holds a control character"
        )
    return text.replace("\\", "\\\\").replace(" ", "\\ ")


def render_file(rules: Iterable[Rule], header: str) -> bytes:
    """A whole file: the header as comments, then one line for each rule."""
    lines = [f"# {line}".rstrip() for line in header.splitlines()]
    lines += [render_line(rule) for rule in rules]
    return "".join(line + "\n" for line in lines).encode("utf-8", "surrogateescape")
