# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs of ours that stay on a host: what they are made of, and how they run others (I/O).

They consist of files of module_utils in their own package, so that one source serves the module and
the program, and they run without Ansible. `_program_files_io.py` puts them onto a host. This file is
part of each of them: what it imports is paid for at each start.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from typing import Any, Dict, Iterator, Mapping, NamedTuple, Optional, Sequence, TextIO, Tuple

PACKAGE = "ansible_collections.twinguard.hardening.plugins.module_utils"


class ProgramError(Exception):
    """A program that could not be put together or started; one sentence."""


class Done(NamedTuple):
    """How a process ended. A negative `code` is the signal that ended it."""

    code: int
    out: bytes
    err: bytes


def run(
    argv: Sequence[str],
    stdin: bytes = b"",
    env: Optional[Mapping[str, str]] = None,
    timeout: Optional[float] = None,
    cwd: Optional[str] = None,
    pass_fds: Sequence[int] = (),
) -> Done:
    """Run a program without a shell and wait for its end.

    `env` is its whole environment (None: ours). ProgramError when it cannot be started, or when it
    takes longer than `timeout` seconds; it is killed then.
    """
    try:
        # module.run_command is out of reach: these programs run where there is no Ansible.
        done = subprocess.run(  # pylint: disable=ansible-bad-function
            list(argv),
            input=stdin,
            capture_output=True,
            env=None if env is None else dict(env),
            timeout=timeout,
            cwd=cwd,
            pass_fds=tuple(pass_fds),
            check=False,
        )
    except OSError as error:
        raise ProgramError(f"cannot start {argv[0]}: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise ProgramError(f"{argv[0]} took longer than {timeout:g} seconds") from error
    return Done(done.returncode, done.stdout, done.stderr)


def say(priority: int, text: str, stream: Optional[TextIO] = None) -> None:
    """One line for the journal, on standard output if no other stream is given.

    3 is an error, 4 a warning, 6 information, as systemd reads them.
    """
    out = sys.stdout if stream is None else stream
    out.write(f"<{priority}>{text}\n")
    out.flush()


def clean_environment(keep: Sequence[str] = ()) -> Dict[str, str]:
    """A small environment for programs: fixed path and locale, and what is named in `keep`."""
    fixed = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL": "C", "LANGUAGE": "C"}
    return {**{name: os.environ[name] for name in keep if name in os.environ}, **fixed}


def sources(names: Sequence[str]) -> Dict[str, bytes]:
    """The named files of module_utils and all that they import of it: relative path -> content.

    The packages above them are in it as well. Inside a module of Ansible only files exist that the
    module imports, directly or not: import what you name. ProgramError when one is missing, or
    needs Ansible itself.
    """
    found: Dict[str, bytes] = {}
    waiting = list(names)
    directory = PACKAGE.replace(".", "/")
    while waiting:
        name = waiting.pop()
        path = f"{directory}/{name}.py"
        if path not in found:
            found[path], needed = _file(name)
            waiting.extend(needed)
    parts = directory.split("/")
    for depth in range(1, len(parts) + 1):
        found["/".join([*parts[:depth], "__init__.py"])] = b""
    return dict(sorted(found.items()))


@functools.lru_cache(maxsize=None)
def _file(name: str) -> Tuple[bytes, Tuple[str, ...]]:
    """The content of one file, and the names of those it imports. A module asks twice: before and after a change."""
    # Not at the top: a program that runs needs none of it, and the parser is slow to load.
    import ast  # noqa: PLC0415

    content = _source(name)
    needed = []
    for statement in _statements(ast.parse(content).body):
        if isinstance(statement, ast.ImportFrom):
            module = statement.module or ""
            imported = [f"{module}.{alias.name}" for alias in statement.names]
        elif isinstance(statement, ast.Import):
            imported = [alias.name for alias in statement.names]
        else:
            continue
        if any(one == "ansible" or one.startswith("ansible.") for one in imported):
            raise ProgramError(f"{name} imports Ansible, which a program does not have")
        # Both `from PACKAGE import _x` and `from PACKAGE._x import y` give PACKAGE._x first.
        needed += [
            one[len(PACKAGE) + 1 :].split(".")[0]
            for one in imported
            if one.startswith(PACKAGE + ".")
        ]
    return content, tuple(needed)


def _statements(body: Sequence[Any]) -> Iterator[Any]:
    """These statements and all within them, without their expressions, which are most of a tree."""
    for statement in body:
        yield statement
        for inner in ("body", "orelse", "finalbody", "handlers"):
            yield from _statements(getattr(statement, inner, ()))


def _source(name: str) -> bytes:
    import importlib.util  # noqa: PLC0415

    # As pkgutil.get_data does it, but of the module itself: its packages may have no loader.
    spec = importlib.util.find_spec(f"{PACKAGE}.{name}")
    reader = getattr(spec.loader, "get_data", None) if spec else None
    if spec is None or reader is None or not spec.origin:
        raise ProgramError(f"{PACKAGE}.{name} has no source here: import it where it is named")
    return bytes(reader(spec.origin))
