# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of a control: what is there, what is wanted, and the difference as data.

C(changed), check mode, C(--diff) and the applied steps all come from one Plan, so they agree.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any, Collection, Mapping

from .error import SECRET, ControlError, Sentinel

__all__ = ["REMOVE", "SECRET", "Change", "ControlError", "Plan", "fingerprint", "plan_settings"]

REMOVE = Sentinel("REMOVE")
"""As a desired value: remove the setting."""


def fingerprint(value: str) -> str:
    """A short digest by which two secrets can be told apart without showing either."""
    return "sha256:" + hashlib.sha256(value.encode("utf-8", "surrogateescape")).hexdigest()[:12]


@dataclass(frozen=True)
class Change:
    """One document or setting that goes from `before` to `after`; None means it does not exist.

    The texts stay out of repr(), so that a traceback or a debug line cannot show a secret.
    """

    key: str
    before: str | None = field(repr=False)
    after: str | None = field(repr=False)
    secret: bool = False

    @property
    def action(self) -> str:
        """What happens to the key: 'create', 'update' or 'remove'."""
        if self.before is None:
            return "create"
        return "remove" if self.after is None else "update"

    def diff(self) -> dict[str, str]:
        """The change as Ansible's callbacks print it."""
        return {
            "before_header": self._header(self.before),
            "after_header": self._header(self.after),
            "before": self._document(self.before),
            "after": self._document(self.after),
        }

    def _header(self, document: str | None) -> str:
        return self.key if document is not None else self.key + " (absent)"

    def _document(self, document: str | None) -> str:
        if document is None:
            return ""
        return fingerprint(document) + "\n" if self.secret else document


@dataclass(frozen=True)
class Plan:
    """An ordered set of real changes; a Change that changes nothing is dropped."""

    changes: tuple[Change, ...] = ()

    def __post_init__(self) -> None:
        real = tuple(change for change in self.changes if change.before != change.after)
        object.__setattr__(self, "changes", real)

    @property
    def changed(self) -> bool:
        """Whether applying the plan would change anything."""
        return bool(self.changes)

    def diff(self) -> list[dict[str, str]]:
        """One entry for each change, secrets shown as fingerprints."""
        return [change.diff() for change in self.changes]

    def summary(self) -> list[str]:
        """Short sentences such as 'create X'."""
        return [f"{change.action} {change.key}" for change in self.changes]


def plan_settings(
    current: Mapping[str, Any], desired: Mapping[str, Any], secret: Collection[str] = ()
) -> Plan:
    """Plan named settings, sorted by name.

    A desired value of None leaves the setting alone and REMOVE removes it. Values must be
    expressible in JSON (TypeError otherwise). Names in `secret` are shown as fingerprints.
    """
    changes = []
    for key in sorted(desired):
        wanted = desired[key]
        if wanted is None:
            continue
        before = current.get(key)
        after = None if wanted is REMOVE else wanted
        if _canonical(before) != _canonical(after):
            changes.append(Change(key, _text(before), _text(after), key in secret))
    return Plan(tuple(changes))


def _canonical(value: Any) -> str:
    # JSON tells 1, True and "1" apart, which Python's == does not.
    return json.dumps(value, sort_keys=True)


def _text(value: Any) -> str | None:
    # JSON for everything, strings too: the diff of "1" -> 1 must show a difference.
    return None if value is None else json.dumps(value, sort_keys=True, ensure_ascii=False) + "\n"
