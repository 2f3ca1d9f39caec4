# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parses nginx's files and messages: directives, includes, versions, complaints (pure)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Callable, Iterator, Sequence

_TOKEN = re.compile(
    r"""
    (?P<space>\s+)
  | (?P<comment>\#[^\n]*)
  | (?P<quoted>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')
  | (?P<mark>[;{}])
  | (?P<word>(?:\\.|\$\{|[^\s;{}"'\\])(?:\\.|\$\{|[^\s;{\\])*)
  | (?P<stray>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_COMPLAINT = re.compile(
    r"^(?:nginx: |\d{4}/\d\d/\d\d \d\d:\d\d:\d\d )?\[(?P<level>emerg|alert|crit|error|warn)\] "
    r"(?:\d+#\d+: )?(?:\*\d+ )?(?P<text>.*?)(?: in (?P<file>/[^:\s]+):(?P<line>\d+))?$"
)
_DUMPED = re.compile(r"^# configuration file (?P<path>/.*):$", re.MULTILINE)
# nginx calls these warnings, yet after them a part of the policy is silently not served.
_HARMFUL_WARNINGS = (
    "conflicting server name",
    "has suspicious symbols",
    "protocol options redefined",
)


@dataclass(frozen=True)
class Directive:
    """One directive; ``start`` and ``end`` are offsets into the text, ``end`` after its ; or {."""

    name: str
    args: tuple[str, ...]
    depth: int
    line: int
    start: int
    end: int


@dataclass(frozen=True)
class Complaint:
    """One message of nginx about a problem, with file and line if it names them."""

    level: str
    text: str
    file: str | None
    line: int | None

    @property
    def sentence(self) -> str:
        """The complaint with its place in front."""
        return f"{self.file}:{self.line}: {self.text}" if self.file else self.text

    def as_dict(self) -> dict[str, object]:
        """For a module's result."""
        return {"level": self.level, "text": self.text, "file": self.file, "line": self.line}


def directives(text: str) -> Iterator[Directive]:
    """Every directive of one file, blocks included, in order; text that is not a directive is skipped."""
    words: list[str] = []
    start, line, depth = 0, 1, 0
    for token in _TOKEN.finditer(text):
        kind, value = token.lastgroup, token.group()
        if kind in ("word", "quoted", "stray"):
            if not words:
                start = token.start()
            words.append(value[1:-1] if kind == "quoted" else value)
        elif kind == "mark":
            if value in ";{" and words:
                yield Directive(words[0], tuple(words[1:]), depth, line, start, token.end())
            depth += {"{": 1, "}": -1, ";": 0}[value]
            words = []
        line += value.count("\n")


def rewrite_includes(text: str, expand: Callable[[str], Sequence[str] | None]) -> str:
    """The text with each include replaced by one include per file that ``expand(pattern)`` names.

    None from ``expand`` leaves the directive alone. Lines keep their numbers.
    """
    pieces, position = [], 0
    for one in directives(text):
        if one.name != "include" or len(one.args) != 1:
            continue
        files = expand(one.args[0])
        if files is None:
            continue
        pieces.append(text[position : one.start])
        pieces.append(" ".join(f'include "{file}";' for file in files))
        pieces.append("\n" * text.count("\n", one.start, one.end))
        position = one.end
    return "".join(pieces) + text[position:]


def main_setting(text: str, name: str) -> tuple[str, ...] | None:
    """The arguments of a directive at the top level (``pid``, ``user``, ``error_log``), None if absent."""
    for one in directives(text):
        if one.depth == 0 and one.name == name:
            return one.args
    return None


def complaints(output: str, level_at_least: str = "warn") -> list[Complaint]:
    """The messages of ``nginx -t`` or an error log about problems, in order, without duplicates."""
    levels = ("warn", "error", "crit", "alert", "emerg")
    wanted = levels[levels.index(level_at_least) :]
    found: dict[Complaint, None] = {}
    for line in output.splitlines():
        match = _COMPLAINT.match(line.strip())
        if match and match.group("level") in wanted:
            number = match.group("line")
            found[
                Complaint(
                    match.group("level"),
                    match.group("text"),
                    match.group("file"),
                    int(number) if number else None,
                )
            ] = None
    return list(found)


def blocking(found: Sequence[Complaint]) -> list[Complaint]:
    """The complaints that must stop a change: all errors, and warnings about parts that nginx ignores."""
    return [
        one
        for one in found
        if one.level != "warn" or any(part in one.text for part in _HARMFUL_WARNINGS)
    ]


def dumped_files(dump: str) -> list[str]:
    """The files that ``nginx -T`` read, in its order."""
    return [match.group("path") for match in _DUMPED.finditer(dump)]


def build_facts(output: str) -> dict[str, str]:
    """From ``nginx -V``: version, conf_path, pid_path, error_log_path, user, as far as it prints them."""
    facts = {}
    found = re.search(r"nginx version: \S+?/([0-9][0-9.]*)", output)
    if found:
        facts["version"] = found.group(1)
    for name in ("conf-path", "pid-path", "error-log-path", "user"):
        found = re.search(rf"--{name}=(\S+)", output)
        if found:
            facts[name.replace("-", "_")] = found.group(1)
    return facts


def version_tuple(text: str) -> tuple[int, ...]:
    """``1.22.1`` as numbers, for comparing."""
    return tuple(int(part) for part in text.split(".") if part.isdigit())


def applies(version: str, since: str | None, before: str | None) -> bool:
    """Whether a file meant for nginx from ``since`` up to but not including ``before`` is for this one."""
    number = version_tuple(version)
    return (not since or number >= version_tuple(since)) and (
        not before or number < version_tuple(before)
    )
