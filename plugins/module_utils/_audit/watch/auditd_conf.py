# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""auditd.conf: what may be set in it, and how it is changed without losing what others wrote (pure)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Mapping, Tuple

from ..._core.plan import ControlError

_LINE = re.compile(r"^[ \t]*([A-Za-z_0-9]+)[ \t]*=[ \t]*(.*?)[ \t]*$")
_SPACE = re.compile(r"[0-9]+%?")
_WORD = re.compile(r"[A-Za-z0-9_.@+-]+")


@dataclass(frozen=True)
class Setting:
    """One setting: its type, its words if only some are allowed, its least and greatest number."""

    type: str = "str"
    choices: Tuple[str, ...] = ()
    least: int = 0
    most: int = 0

    def spec(self) -> dict[str, Any]:
        """As an option of the module."""
        spec: dict[str, Any] = {"type": self.type}
        if self.choices:
            spec["choices"] = list(self.choices)
        return spec


# What auditd can do by itself. 'exec' is left out: it would run a program as root that nobody has looked at.
_ANY = ("ignore", "syslog", "suspend", "single", "halt")
_WHEN_LOW = ("ignore", "syslog", "rotate", "email", "suspend", "single", "halt")
_WHEN_FULL = ("ignore", "syslog", "rotate", "suspend", "single", "halt")

SETTINGS: dict[str, Setting] = {
    "max_log_file": Setting("int", least=1, most=1 << 20),
    "num_logs": Setting("int", least=0, most=999),
    "max_log_file_action": Setting(choices=("ignore", "syslog", "suspend", "rotate", "keep_logs")),
    "space_left": Setting(),
    "space_left_action": Setting(choices=_WHEN_LOW),
    "admin_space_left": Setting(),
    "admin_space_left_action": Setting(choices=_WHEN_LOW),
    "disk_full_action": Setting(choices=_WHEN_FULL),
    "disk_error_action": Setting(choices=_ANY),
    "overflow_action": Setting(choices=_ANY),
    "flush": Setting(choices=("none", "incremental", "incremental_async", "data", "sync")),
    "freq": Setting("int", least=0, most=1 << 20),
    "log_group": Setting(),
    "log_format": Setting(choices=("raw", "enriched")),
    "name_format": Setting(choices=("none", "hostname", "fqd", "numeric", "user")),
    "name": Setting(),
    "priority_boost": Setting("int", least=0, most=20),
    "q_depth": Setting("int", least=1, most=99999),
    "action_mail_acct": Setting(),
}
"""Every setting that can be asked for, by its name in the file."""


def read(text: str) -> dict[str, str]:
    """The settings of a file by name in lower case; the last one counts, as for auditd."""
    found = {}
    for line in text.splitlines():
        match = _LINE.match(line)
        if match:
            found[match.group(1).lower()] = match.group(2)
    return found


def merged(text: str, asked: Mapping[str, Any]) -> str:
    """The file with these settings in it; None leaves one alone. Lines that already say so stay.

    Raises ControlError for a value that auditd would not take.
    """
    wanted = {name: _value(name, value) for name, value in asked.items() if value is not None}
    _check_order({**read(text), **wanted})
    lines = []
    left = dict(wanted)
    for line in text.splitlines():
        match = _LINE.match(line)
        name = match.group(1).lower() if match else ""
        if match is None or name not in wanted:
            lines.append(line)
        elif name in left:
            value = left.pop(name)
            same = match.group(2).lower() == value.lower()
            lines.append(line if same else f"{match.group(1)} = {value}")
    lines += [f"{name} = {value}" for name, value in sorted(left.items())]
    return "".join(line + "\n" for line in lines)


def _value(name: str, value: Any) -> str:
    setting, option = SETTINGS[name], f"auditd.{name}"
    if setting.type == "int":
        if not setting.least <= value <= setting.most:
            raise ControlError(
                option,
                value,
                "auditd does not take this number",
                f"give one of {setting.least} to {setting.most}",
            )
        return str(value)
    text = str(value)
    if setting.choices:
        # auditd reads them in any case; its own file has them in capitals.
        return text.upper()
    if name.endswith("space_left"):
        if not _SPACE.fullmatch(text) or not 0 < int(text.rstrip("%")) < (
            100 if text.endswith("%") else 1 << 31
        ):
            raise ControlError(
                option, value, "not a size", "give megabytes, or percent such as '10%'"
            )
    elif not _WORD.fullmatch(text):
        raise ControlError(
            option, value, "auditd reads one word here", "use letters, digits and . _ - only"
        )
    return text


def _check_order(settings: Mapping[str, str]) -> None:
    """Auditd refuses to start when the last warning comes before the first."""
    first, last = (settings.get(name, "") for name in ("space_left", "admin_space_left"))
    if not (_SPACE.fullmatch(first) and _SPACE.fullmatch(last)):
        return
    if first.endswith("%") == last.endswith("%") and int(last.rstrip("%")) >= int(
        first.rstrip("%")
    ):
        raise ControlError(
            "auditd.admin_space_left",
            last,
            f"auditd would not start, because it is not less than space_left ({first})",
            "give a smaller one, or a greater space_left",
        )


def log_path(text: str) -> str:
    """Where auditd writes; '' when it is set to write no log."""
    settings = read(text)
    writes = settings.get("write_logs", "yes").lower() != "no"
    if not writes or settings.get("log_format", "").lower() == "nolog":
        return ""
    return settings.get("log_file") or "/var/log/audit/audit.log"
