# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The people of the git tests and their keys: who may sign, who may no longer, and whom nobody knows.

    git_lab.py DIRECTORY    makes the keys and the files about them, unless they are there

In the directory: a private key for each person and for `push`, the ssh login of all; people.json and forges.json as the
modules take them; naive_signers as one would write it by hand; reference_signers and reference_revoked for
git_reference.py.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, List

from git_pusher import PEOPLE

# What is said of a key beside what it is.
LIMITS: Dict[str, Dict[str, Any]] = {
    "carol": {"valid_after": "2025-01-01", "valid_before": "2026-01-01"},
    "dave": {"revoked": True},
    "erin": {"namespaces": ["file"]},
}
KNOWN = ("alice", "bob", "carol", "dave", "erin")
# The same in the words of OpenSSH; what is not named here has namespaces="git".
OPTIONS = {
    "carol": 'namespaces="git",valid-after="20250101Z",valid-before="20260101Z"',
    "erin": 'namespaces="file"',
}


def make(directory: Path) -> None:
    """Keys and files."""
    directory.mkdir(parents=True, exist_ok=True)
    for name in (*PEOPLE, "push"):
        if not (directory / name).exists():
            subprocess.run(
                [
                    "ssh-keygen",
                    "-q",
                    "-t",
                    "ed25519",
                    "-N",
                    "",
                    "-C",
                    name,
                    "-f",
                    str(directory / name),
                ],
                check=True,
            )
    write(directory / "people.json", json.dumps([person(directory, name) for name in KNOWN]))
    write(directory / "forges.json", json.dumps([person(directory, "forge")]))
    strict, naive = [], []
    for name in (*KNOWN, "forge"):
        options = OPTIONS.get(name, 'namespaces="git"')
        strict.append(f"{PEOPLE[name]} {options} {public(directory, name)}\n")
        loose = options.partition(",")[2] + " " if name == "carol" else ""
        naive.append(f"{PEOPLE[name]} {loose}{public(directory, name)}\n")
    write(directory / "reference_signers", "".join(strict))
    write(directory / "naive_signers", "".join(naive))
    write(directory / "reference_revoked", public(directory, "dave") + "\n")


def public(directory: Path, name: str) -> str:
    """The public key as one line."""
    return (directory / f"{name}.pub").read_text(encoding="utf-8").strip()


def person(directory: Path, name: str) -> Dict[str, Any]:
    """One item of the option `people`."""
    key = {"key": public(directory, name), **LIMITS.get(name, {})}
    return {"name": name.capitalize(), "principals": [PEOPLE[name]], "keys": [key]}


def people(directory: Path) -> List[Dict[str, Any]]:
    """The option `people`."""
    return [person(directory, name) for name in KNOWN]


def write(path: Path, text: str) -> None:
    """Only when it differs, so that a second call changes nothing."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    make(Path(sys.argv[1]))
