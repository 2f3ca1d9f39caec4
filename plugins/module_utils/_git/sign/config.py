# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What git's configuration says, who says it, and what has to be set in one of its files (pure)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, List, Mapping, Sequence, Union

# git's own words for the three places that we write.
SCOPES = {"system": "system", "user": "global", "repository": "local"}
_BOOLEANS = ("commit.gpgsign", "tag.gpgsign")
_YES = ("true", "yes", "on", "1")
_NO = ("false", "no", "off", "0", "")
# What decides on signatures; the throw-away repository of a proof gets these from the real one.
_SIGNING = ("user.", "author.", "committer.", "gpg.")


@dataclass(frozen=True)
class Setting:
    """One line of git's configuration; a `value` of None is a key without '=', which means true."""

    scope: str
    origin: str
    key: str
    value: Union[str, None]

    @property
    def place(self) -> str:
        """The file that holds it, for a sentence."""
        kind, _colon, path = self.origin.partition(":")
        return path if kind == "file" else self.origin


@dataclass(frozen=True)
class Edit:
    """A key and the one value that it must have in the file."""

    key: str
    value: str


def parse(listing: bytes) -> List[Setting]:
    """The output of C(git config --list --show-scope --show-origin -z), in the order in which git reads it."""
    parts = listing.decode("utf-8", "surrogateescape").split("\0")
    found = []
    for start in range(0, len(parts) - 2, 3):
        scope, origin, entry = parts[start : start + 3]
        key, equals, value = entry.partition("\n")
        found.append(Setting(scope, origin, normal(key), value if equals else None))
    return found


def normal(key: str) -> str:
    """A key as git compares it: section and name in lower case, what is between them as it is."""
    section, _dot, rest = key.partition(".")
    between, _dot, name = rest.rpartition(".")
    return ".".join(part for part in (section.lower(), between, name.lower()) if part)


def effective(settings: Sequence[Setting], key: str) -> Union[Setting, None]:
    """The setting that git goes by: the last one of its key."""
    wanted = normal(key)
    return next((one for one in reversed(settings) if one.key == wanted), None)


def value_of(settings: Sequence[Setting], key: str) -> str:
    """The effective value; '' when there is none."""
    found = effective(settings, key)
    return (found.value or "") if found else ""


def same(key: str, found: Union[str, None], wanted: str) -> bool:
    """Whether git takes both values for the same."""
    if normal(key) in _BOOLEANS:
        return (found is None or found.lower() in _YES) == (wanted in _YES) and (
            found is None or found.lower() in _YES + _NO
        )
    return found == wanted


def edits(settings: Sequence[Setting], desired: Mapping[str, str], scope: str) -> List[Edit]:
    """What has to be set in the file of this scope, which may get it from a file it includes."""
    own = [one for one in settings if one.scope == SCOPES[scope]]
    needed = []
    for key, wanted in desired.items():
        found = effective(own, key)
        if found is None or not same(key, found.value, wanted):
            needed.append(Edit(key, wanted))
    return needed


def overridden(settings: Sequence[Setting], desired: Mapping[str, str]) -> List[str]:
    """A sentence for each setting that is not in force, and what is instead of it."""
    sentences = []
    for key, wanted in desired.items():
        found = effective(settings, key)
        if found is None:
            sentences.append(f"{key} is not set for git, though it is in the file")
        elif not same(key, found.value, wanted):
            sentences.append(
                f"{key} is '{found.value}' and not '{wanted}', because {found.place} has the last word"
            )
    return sentences


def signing_only(settings: Sequence[Setting]) -> Dict[str, Union[str, None]]:
    """The effective settings that decide on signatures."""
    return {
        one.key: one.value
        for one in settings
        if one.key.startswith(_SIGNING) or one.key in _BOOLEANS
    }


def render(settings: Mapping[str, Union[str, None]]) -> bytes:
    """The text of a configuration file with these settings."""
    lines = []
    for key, value in settings.items():
        section, _dot, rest = key.partition(".")
        between, _dot, name = rest.rpartition(".")
        lines.append(f"[{section} {_quoted(between)}]" if between else f"[{section}]")
        lines.append(f"\t{name}" if value is None else f"\t{name} = {_quoted(value)}")
    return "".join(line + "\n" for line in lines).encode("utf-8", "surrogateescape")


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + escaped.replace("\n", "\\n").replace("\t", "\\t") + '"'
