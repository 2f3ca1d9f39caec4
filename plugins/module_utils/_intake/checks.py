# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of options that both sides of the intake have (pure). All of them raise ControlError."""

from __future__ import annotations

import re
from typing import Any

from .._core.error import ControlError
from .._trust.ssh_keys import NotAKey, PublicKey, parse_public_key

ACCOUNT = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
ACCOUNT_FORM = "1 to 32 lower case letters, digits, '-' and '_', not beginning with a digit or '-'"

# Paths are written into files of systemd, sshd and pam, where anything else would need quoting.
_PATH = re.compile(r"(/[A-Za-z0-9._-]+)+")


def match(pattern: re.Pattern[str], value: Any, option: str, problem: str, allowed: str) -> str:
    """The value as text, when all of it matches; otherwise the error says what is allowed."""
    text = str(value)
    if not pattern.fullmatch(text):
        raise ControlError(option, value, problem, f"use {allowed}")
    return text


def absolute_path(value: Any, option: str) -> str:
    """An absolute path that needs no quoting anywhere."""
    problem = "not an absolute path of plain characters"
    text = match(_PATH, value, option, problem, "letters, digits and ._- between slashes")
    if {".", ".."} & set(text.split("/")):
        raise ControlError(option, value, "it contains '.' or '..'", "write the full path")
    return text


def account_name(value: Any, option: str, kind: str = "account") -> str:
    """The name of an account or a group."""
    return match(ACCOUNT, value, option, f"not a valid name of an {kind}", ACCOUNT_FORM)


def public_key(line: str, option: str, source: str) -> PublicKey:
    """An SSH public key; `source` names the file whose line is expected."""
    try:
        return parse_public_key(line)
    except NotAKey as error:
        raise ControlError(option, line, str(error), f"give the line of {source}") from error
