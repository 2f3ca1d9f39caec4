# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The words of Linux audit: a rule, its fields, the kernel's status. No text, no bytes of any wire."""

from __future__ import annotations

from dataclasses import dataclass
from typing import FrozenSet, NamedTuple, Tuple, Union

KEY_PREFIX = "twinguard_"
"""Every rule of ours carries a key that begins so; rules without it are other people's."""

KEY_MAX = 31
"""The longest key, in bytes, that every version of the tools takes."""


class Field(NamedTuple):
    """One comparison of a rule: name ('dir', 'perm', 'uid'), operator ('=', '!=') and value.

    The value is an int where the kernel compares numbers ('arch' too: AUDIT_ARCH_*; 'perm' is a mask of
    1 execute, 2 write, 4 read, 8 attribute), else a str whose undecodable bytes are surrogates.
    """

    name: str
    op: str
    value: Union[int, str]


@dataclass(frozen=True)
class Rule:
    """One rule as the kernel holds it.

    `filter`: 'task', 'exit', 'user', 'exclude', 'filesystem', 'io_uring'; `action`: 'always', 'never'.
    `fields`: without the key, in the kernel's order. `syscalls`: numbers, or None for all of them.
    `key`: '' when it has none; several keys are joined as the kernel joins them (by byte 1).
    """

    filter: str
    action: str
    fields: Tuple[Field, ...]
    syscalls: Union[FrozenSet[int], None] = None
    key: str = ""

    @property
    def ours(self) -> bool:
        """Whether the collection made it."""
        return self.key.startswith(KEY_PREFIX)

    def field(self, name: str) -> Union[Field, None]:
        """The first field of that name."""
        return next((one for one in self.fields if one.name == name), None)


@dataclass(frozen=True)
class Status:
    """What the kernel says of its audit system (AUDIT_GET)."""

    enabled: int  # 0 off, 1 on, 2 on and locked until reboot
    failure: int  # 0 silent, 1 printk, 2 panic
    pid: int  # of the daemon that takes the records; 0 when there is none
    rate_limit: int  # records a second; 0 means without limit
    backlog_limit: int
    lost: int
    backlog: int
