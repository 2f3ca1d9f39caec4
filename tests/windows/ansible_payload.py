# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Ansible asks a Windows host to run: the module in the standard input of its wrapper."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any

# Between the bootstrap's own input and the manifest of the module.
SEPARATOR = b"\n\0\0\0\0\n"


class NoModule(ValueError):
    """The input holds no PowerShell module of Ansible."""


@dataclass(frozen=True)
class Call:
    """One module: its name, arguments, and the texts of itself and of what it needs, by file name."""

    name: str
    arguments: dict[str, Any]
    scripts: dict[str, bytes]

    @property
    def script(self) -> bytes:
        """The module's own text."""
        return next(text for name, text in self.scripts.items() if name.startswith(self.name + "."))


def module_call(stdin: bytes) -> Call:
    """The module that ansible-core 2.19 to 2.21 sends to its wrapper.

    :raises NoModule: for anything else.
    """
    _bootstrap, separator, manifest = stdin.partition(SEPARATOR)
    if not separator:
        raise NoModule("the input has no manifest")
    try:
        document = json.loads(manifest)
        scripts = {
            name: base64.b64decode(one["script"]) for name, one in document["scripts"].items()
        }
        (action,) = (one for one in document["actions"] if one["name"] == "module_wrapper.ps1")
        given = {one["Name"]: one["Value"] for one in action["params"]["Variables"]}
        file_name = action["params"]["Script"]
    except (KeyError, TypeError, ValueError) as error:
        raise NoModule(f"the manifest cannot be understood: {error!r}") from error
    return Call(file_name.rpartition(".")[0], dict(given["complex_args"]), scripts)
