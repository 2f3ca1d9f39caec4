# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A private place for one piece of work with git, and the programs that are run in it (I/O)."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from dataclasses import dataclass, field
from typing import Dict, Iterator, List, Mapping, Sequence, Tuple

from ..._host.account_io import Account
from ..._host.run_io import Done, ProgramError, Runner
from .config import Setting, parse
from .identity import SOCKET_ROOM
from .reasons import explain, last_words

_SECONDS = 120.0  # for one program; a key that waits for a touch must not hang the play
MAKING = 600.0  # for a key that is made: gpg first measures how fast a busy host is
_ASKPASS = "#!/bin/sh\nexec cat /proc/self/fd/{fd}\n"
# Nobody answers: what asks for a passphrase gets none.
_SILENT = {"SSH_ASKPASS": "/bin/false", "SSH_ASKPASS_REQUIRE": "force", "GIT_TERMINAL_PROMPT": "0"}


@dataclass(frozen=True)
class Workspace:
    """A private directory of the user we are, and how programs run there."""

    who: Account
    run: Runner
    place: str
    environment: Mapping[str, str] = field(repr=False)

    def call(
        self,
        *argv: str,
        cwd: str = "",
        stdin: bytes = b"",
        more: Mapping[str, str] | None = None,
        pass_fds: Sequence[int] = (),
        seconds: float = _SECONDS,
    ) -> Done:
        """Run a program as it is run for the user, in the private directory or elsewhere. ProgramError."""
        env = {**self.environment, **_SILENT, **(more or {})}
        return self.run(
            list(argv),
            stdin=stdin,
            env=env,
            timeout=seconds,
            cwd=cwd or self.place,
            pass_fds=tuple(pass_fds),
        )

    def must(self, *argv: str, **options: object) -> Done:
        """The same for what has to succeed."""
        done = self.call(*argv, **options)  # type: ignore[arg-type]
        if done.code != 0:
            raise ProgramError(f"{' '.join(argv[:2])} failed: {last_words(text_of(done.err))}")
        return done

    def settings(self, repository: str = "") -> List[Setting]:
        """Git's configuration as it is in force for the user, in a repository or outside of any."""
        listing = ("git", "config", "--list", "--show-scope", "--show-origin", "-z")
        return parse(self.must(*listing, cwd=repository).out)

    def file(self, name: str, content: bytes) -> str:
        """Put a file into the private directory; returns its path."""
        path = os.path.join(self.place, name)
        with open(path, "wb") as stream:
            stream.write(content)
        return path

    def explain(self, output: str) -> Tuple[str, str]:
        """The kind of failure that the output shows and a sentence about it, with what can be looked up here."""
        kind, sentence = explain(output)
        return kind, sentence + (self._socket_length() if kind == "socket" else "")

    def _socket_length(self) -> str:
        done = self.call("gpgconf", "--list-dirs", "agent-socket")
        path = text_of(done.out).strip()
        if done.code == 0 and len(path.encode()) > SOCKET_ROOM:
            return f": the path of its socket {path} is longer than {SOCKET_ROOM} bytes"
        return ""

    @contextlib.contextmanager
    def answering(self, passphrase: str) -> Iterator[Tuple[Dict[str, str], int]]:
        """Environment and descriptor with which a program gets this passphrase; it is in neither of both."""
        with secret_file(passphrase) as fd:
            script = self.file("askpass", _ASKPASS.format(fd=fd).encode())
            os.chmod(script, 0o700)
            yield {"SSH_ASKPASS": script, "SSH_ASKPASS_REQUIRE": "force", "DISPLAY": ":none"}, fd


@contextlib.contextmanager
def secret_file(secret: str) -> Iterator[int]:
    """A file in memory, without a name, that ends with the block."""
    fd = os.memfd_create("twinguard", 0)
    try:
        os.write(fd, secret.encode("utf-8", "surrogateescape") + b"\n")
        os.lseek(fd, 0, os.SEEK_SET)
        yield fd
    finally:
        os.close(fd)


@contextlib.contextmanager
def workspace(who: Account, run: Runner, agent_socket: str = "") -> Iterator[Workspace]:
    """A private directory for the block, of the user we are by now."""
    place = tempfile.mkdtemp(prefix="twinguard-git-", dir=_where(who))
    environment = {**who.environment(), "GIT_CEILING_DIRECTORIES": os.path.dirname(place)}
    if agent_socket:
        environment["SSH_AUTH_SOCK"] = agent_socket
    try:
        yield Workspace(who, run, place, environment)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _where(who: Account) -> str:
    """A directory in which programs may lie: hardened hosts mount /tmp without that."""
    for path in (tempfile.gettempdir(), who.home):
        with contextlib.suppress(OSError):
            if not os.statvfs(path).f_flag & os.ST_NOEXEC and os.access(path, os.W_OK):
                return path
    return tempfile.gettempdir()


def text_of(output: bytes) -> str:
    """What a program printed, fit for a sentence."""
    return output.decode("utf-8", "backslashreplace")
