# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The errors that end a run with one sentence (pure)."""

from __future__ import annotations

from typing import Any, Dict

_SHOWN_LENGTH = 80


class Sentinel:
    """A marker with a readable name, compared by identity."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


SECRET = Sentinel("<secret>")
"""As the value of a ControlError: the option is wrong and its value must not be shown."""


class HardeningError(Exception):
    """What ends a run of this collection; its text is the one sentence that the user reads.

    `details()` are keys that the module returns beside that sentence.
    """

    def details(self) -> Dict[str, Any]:
        return {}


class ControlError(HardeningError, ValueError):
    """A policy that cannot be applied, in one line: option, value, problem and fix."""

    def __init__(self, option: str, value: object, problem: str, fix: str) -> None:
        self.option = option
        self.problem = problem
        self.fix = fix
        super().__init__(f"option '{option}' = {_shown(value)}: {problem}; {fix}")


def _shown(value: object) -> str:
    """The value on one line, cut at 80 characters; bytes and control characters are escaped."""
    text = "<secret>" if value is SECRET else repr(value)
    return text if len(text) <= _SHOWN_LENGTH else text[: _SHOWN_LENGTH - 3] + "..."
