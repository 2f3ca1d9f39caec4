# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Renders the collection's configuration templates on the controller."""

from __future__ import annotations

import typing as t
from pathlib import Path

import jinja2

from ...module_utils._core.plan import ControlError

MANAGED = "Managed by twinguard.hardening: do not edit, it is replaced as a whole."

# What a user's own template can raise: Jinja's errors, and Python's for a file or an expression.
_FAULTS = (jinja2.TemplateError, OSError, TypeError, ValueError, ArithmeticError, LookupError)


class Renderer:
    """Templates of one role; those in the user's own directory, if given, take precedence.

    Not Ansible's templar: the data are validated, must not be templated again, and must give the same bytes
    whatever the Jinja settings of the play are.
    """

    def __init__(self, built_in: Path, own: str = "") -> None:
        if own and not Path(own).is_dir():
            raise ControlError(
                "templates",
                own,
                "is not a directory on the controller",
                "give a directory with templates, or leave the option out",
            )
        directories = ([own] if own else []) + [str(built_in)]
        self._environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(directories),
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
            autoescape=False,
        )

    def render(self, template: str, data: t.Mapping[str, t.Any]) -> str:
        """Render ``<template>.j2``; ControlError if it is not a valid template or uses undefined data."""
        try:
            return self._environment.get_template(template + ".j2").render(data, managed=MANAGED)
        except _FAULTS as error:
            line = getattr(error, "lineno", None)
            raise ControlError(
                "templates",
                template + ".j2",
                (str(error) or type(error).__name__) + (f" (line {line})" if line else ""),
                "correct the template; the role's README lists the data it can use",
            ) from error
