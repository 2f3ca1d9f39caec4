# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs of ours that stay on a host: what they are made of, and how they run others (I/O).

They consist of files of module_utils in their own package, so that one source serves the module and
the program, and they run without Ansible. `_host/install_io.py` puts them onto a host. This file is
part of each of them: what it imports is paid for at each start.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Dict, Mapping, NamedTuple, Optional, Sequence, TextIO


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
