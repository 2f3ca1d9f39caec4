# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the programs of a host (I/O).

The one way in which modules start a program, and so do the programs of ours that stay on a host, which
run without Ansible (`install_io.py` puts them there). What this file imports is paid for at each of
their starts.
"""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from typing import Callable, Dict, Mapping, NamedTuple, Optional, Sequence, TextIO

from .._core.error import HardeningError

C_LOCALE = {"LC_ALL": "C", "LANGUAGE": "C"}
"""So that what programs print can be understood."""

_DIRECTORIES = ("/usr/sbin", "/sbin", "/usr/bin", "/bin")
_POLL_SECONDS = 0.05
_LINE_LENGTH = 200


class ProgramError(HardeningError):
    """A program that could not be put together, started or used."""


class HostError(HardeningError):
    """Something about the host that stops the run."""


class Done(NamedTuple):
    """How a process ended. A negative `code` is the signal that ended it."""

    code: int
    out: bytes
    err: bytes

    def text(self) -> str:
        """Its output; bytes that are not UTF-8 survive as surrogates."""
        return self.out.decode("utf-8", "surrogateescape")

    def complaint(self) -> str:
        """The last line of its errors, or of its output where there are none; safe to print."""
        return (
            last_line(self.err) or last_line(self.out) or f"it gave no reason (status {self.code})"
        )


Runner = Callable[..., Done]
"""`run`, or what a test puts in its place."""


def run(
    argv: Sequence[str],
    stdin: bytes = b"",
    env: Optional[Mapping[str, str]] = None,
    timeout: Optional[float] = None,
    cwd: Optional[str] = None,
    pass_fds: Sequence[int] = (),
) -> Done:
    """Run a program without a shell and wait for its end.

    `env` is its whole environment (None: ours, in the C locale). ProgramError when it cannot be started, or when it
    takes longer than `timeout` seconds; it is killed then.
    """
    try:
        # module.run_command is out of reach: these programs run where there is no Ansible.
        done = subprocess.run(  # pylint: disable=ansible-bad-function
            list(argv),
            input=stdin,
            capture_output=True,
            env={**os.environ, **C_LOCALE} if env is None else dict(env),
            timeout=timeout,
            cwd=cwd,
            pass_fds=tuple(pass_fds),
            check=False,
        )
    except OSError as error:
        # Also a write to its standard input that failed, so that the error's own name matters.
        name = errno.errorcode.get(error.errno or 0, str(error.errno))
        raise ProgramError(f"cannot start {argv[0]}: {error.strerror} ({name})") from error
    except subprocess.TimeoutExpired as error:
        raise ProgramError(f"{argv[0]} took longer than {timeout:g} seconds") from error
    return Done(done.returncode, done.stdout, done.stderr)


def program(name: str) -> str:
    """The path of a program; '' when it is not installed. The same on every run, whatever PATH says."""
    for directory in _DIRECTORIES:
        path = os.path.join(directory, name)
        if os.access(path, os.X_OK):
            return path
    return ""


def call(words: Sequence[str], stdin: bytes = b"") -> bytes:
    """The output of a program that must succeed. HostError with its own words otherwise."""
    path = program(words[0])
    if not path:
        raise HostError(f"{words[0]} is not installed on this host")
    done = run([path, *words[1:]], stdin)
    if done.code:
        raise HostError(f"{' '.join(words[:3])} failed: {done.complaint()}")
    return done.out


def last_line(output: bytes) -> str:
    """The last line that says something, in printable ASCII, at most 200 characters; '' for none."""
    lines = [line.strip() for line in output.decode("utf-8", "replace").splitlines()]
    text = next((line for line in reversed(lines) if line), "")
    return ascii(text)[1:-1][:_LINE_LENGTH]


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Ask until the condition holds or the seconds have passed; tell whether it holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def say(priority: int, text: str, stream: Optional[TextIO] = None) -> None:
    """One line for the journal, on standard output if no other stream is given.

    3 is an error, 4 a warning, 6 information, as systemd reads them.
    """
    out = sys.stdout if stream is None else stream
    out.write(f"<{priority}>{text}\n")
    out.flush()


def clean_environment(keep: Sequence[str] = ()) -> Dict[str, str]:
    """A small environment for programs: fixed path and locale, and what is named in `keep`."""
    fixed = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", **C_LOCALE}
    return {**{name: os.environ[name] for name in keep if name in os.environ}, **fixed}
