# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Up to where a log has been reported, as text that survives rotation (pure)."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any, FrozenSet, Mapping, Sequence, Set, Tuple, Union

from .join import Event

MARK = 512
"""How many bytes before the place are compared, so that a new file with an old number is not taken for it."""


@dataclass(frozen=True)
class Checkpoint:
    """A place in a file that keeps its device and inode when it is rotated.

    `done`: events behind the place that were reported already; `pending`: ones that were not, because
    their last record was not there yet.
    """

    device: int
    inode: int
    offset: int
    mark: str
    done: FrozenSet[str] = frozenset()
    pending: FrozenSet[str] = frozenset()

    def render(self) -> bytes:
        """The content of the checkpoint's file."""
        values = {
            "version": 1,
            "device": self.device,
            "inode": self.inode,
            "offset": self.offset,
            "mark": self.mark,
            "done": sorted(self.done),
            "pending": sorted(self.pending),
        }
        return (json.dumps(values, sort_keys=True) + "\n").encode("ascii")


class Progress:
    """Tells which events are new, and from where the next run has to go on."""

    def __init__(self, old: Union[Checkpoint, None], keeping: bool) -> None:
        self.resume = -1  # where in the stream the first event begins that has to wait
        self.waiting = 0
        self._keeping = keeping
        self._done = old.done if old else frozenset()
        self._waited_for = old.pending if old else frozenset()
        self._again: Set[str] = set()
        self._pending: Set[str] = set()

    def takes(self, event: Event) -> bool:
        """Whether to report the event now.

        One whose end is not in the log yet waits for the next run, and no longer than that.
        """
        pending = event.state == "pending"
        if not pending and not self._done and self.resume < 0:
            return True
        name = event.id.decode("ascii")
        self.waiting += pending
        if pending and self._keeping and name not in self._waited_for:
            if self.resume < 0:
                self.resume = event.position
            self._pending.add(name)
            return False
        if self.resume >= 0:
            self._again.add(name)
        return name not in self._done

    def checkpoint(self, device: int, inode: int, offset: int, mark: str) -> Checkpoint:
        """To be kept for the next run."""
        # Behind the end of the log there is nothing that could be met again.
        done = self._again if self.resume >= 0 else frozenset()
        return Checkpoint(device, inode, offset, mark, frozenset(done), frozenset(self._pending))


def mark_of(before: bytes) -> str:
    """A digest of the bytes before a place."""
    return hashlib.sha256(before[-MARK:]).hexdigest()[:32]


def parse_checkpoint(content: bytes) -> Union[Checkpoint, None]:
    """What a checkpoint's file says; None when it is damaged."""
    try:
        values = json.loads(content)
        numbers = [values[name] for name in ("device", "inode", "offset")]
        sets = [frozenset(values[name]) for name in ("done", "pending")]
        if values["version"] != 1 or not isinstance(values["mark"], str):
            return None
    except (ValueError, KeyError, TypeError):
        return None
    if not all(isinstance(one, int) and one >= 0 for one in numbers):
        return None
    if not all(isinstance(one, str) for group in sets for one in group):
        return None
    device, inode, offset = numbers
    done, pending = sets
    return Checkpoint(device, inode, offset, values["mark"], done, pending)


def parse_canaries(content: bytes) -> Mapping[bytes, int]:
    """The process of each canary by its event; empty when the file is not as audit_watch writes it."""
    found = {}
    try:
        events: Sequence[Tuple[Any, Any, Any]] = json.loads(content)["events"]
        for serial, at, process in events:
            milliseconds = round(float(at) * 1000)
            event = "%d.%03d:%d" % (milliseconds // 1000, milliseconds % 1000, serial)
            found[event.encode("ascii")] = int(process)
    except (ValueError, KeyError, TypeError, OverflowError):
        return {}
    return found
