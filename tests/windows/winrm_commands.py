# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs behind a WinRM server: a backend turns a command line into a running command.

`Answering` is a backend that calls a Python function; `Process` is a running command around a real process.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Callable, Mapping, Protocol

from ansible_collections.twinguard.hardening.tests.windows import wsman
from ansible_collections.twinguard.hardening.tests.windows.wsman import Refused

# Seconds, and how many of them at most.
_MOMENT = 0.1
_MOMENTS = 20


class Output:
    """What a command printed and its client has not fetched yet."""

    def __init__(self) -> None:
        """Nothing so far, and more may come."""
        self._changed = threading.Condition()
        self._stdout, self._stderr = bytearray(), bytearray()
        self._code: int | None = None
        self._aborted = False

    def put(self, stdout: bytes = b"", stderr: bytes = b"", code: int | None = None) -> None:
        """Add output; with an exit code it is the last."""
        with self._changed:
            self._stdout += stdout
            self._stderr += stderr
            self._code = code
            self._changed.notify_all()

    def abort(self) -> None:
        """Nobody will fetch the rest; whoever waits for it is told so."""
        with self._changed:
            self._aborted = True
            self._changed.notify_all()

    def take(self, room: int, seconds: float) -> tuple[bytes, bytes, int | None]:
        """Wait for output; the exit code comes with the last of it."""
        with self._changed:
            if not self._changed.wait_for(self._ready, seconds):
                raise Refused(wsman.TIMED_OUT)
            self._settle(room)
            if self._aborted:
                raise Refused(wsman.ABORTED)
            stdout = bytes(self._stdout[:room])
            stderr = bytes(self._stderr[: room - len(stdout)])
            del self._stdout[: len(stdout)], self._stderr[: len(stderr)]
            return stdout, stderr, None if self._stdout or self._stderr else self._code

    def _settle(self, room: int) -> None:
        """Give a program that is still writing a moment, or each of its writes would be an answer of its own."""
        for _unused in range(_MOMENTS):
            had = len(self._stdout) + len(self._stderr)
            if self._aborted or self._code is not None or had >= room:
                return
            self._changed.wait(_MOMENT)
            if len(self._stdout) + len(self._stderr) == had and self._code is None:
                return

    def _ready(self) -> bool:
        return bool(self._aborted or self._stdout or self._stderr or self._code is not None)


class Running(Protocol):
    """A command that was started."""

    output: Output

    def send(self, data: bytes, end: bool) -> None:
        """Give it input; BrokenPipeError if it takes none any more."""

    def kill(self) -> None:
        """End it, whatever it does; nothing happens if it has ended."""


# A command line and the environment of its shell become a running command.
Backend = Callable[[str, Mapping[str, str]], Running]


@dataclass(frozen=True)
class Answer:
    """What a command left behind."""

    code: int = 0
    stdout: bytes = b""
    stderr: bytes = b""


Function = Callable[[str, bytes, Mapping[str, str]], Answer]


@dataclass(frozen=True)
class Answering:
    """A backend: calls function(command line, input, environment) once the input has ended."""

    function: Function

    def __call__(self, line: str, environment: Mapping[str, str]) -> Running:
        """Start a command."""
        return _Call(self.function, line, environment)


class _Call:
    def __init__(self, function: Function, line: str, environment: Mapping[str, str]) -> None:
        self.output = Output()
        self._function, self._line, self._environment = function, line, environment
        self._input = bytearray()
        self._ended = False

    def send(self, data: bytes, end: bool) -> None:
        if self._ended:
            raise BrokenPipeError
        self._input += data
        self._ended = end
        if end:
            threading.Thread(target=self._answer, daemon=True).start()

    def _answer(self) -> None:
        answer = Answer(255, b"", b"The function that should answer failed.")
        try:
            answer = self._function(self._line, bytes(self._input), self._environment)
        finally:
            self.output.put(answer.stdout, answer.stderr, answer.code)

    def kill(self) -> None:
        # A function cannot be stopped from outside; its answer finds no reader.
        self._ended = True


class Process:
    """A real process with pipes. What stands in the file `late_stderr` at its end is taken for its stderr."""

    def __init__(self, process: subprocess.Popen[bytes], late_stderr: Path | None = None) -> None:
        """Begin to read what it prints."""
        self.output = Output()
        self._process = process
        self._late = late_stderr
        threading.Thread(target=self._watch, daemon=True).start()

    def send(self, data: bytes, end: bool) -> None:
        stdin = self._process.stdin
        if stdin is None or stdin.closed:
            raise BrokenPipeError
        try:
            stdin.write(data)
            stdin.flush()
        except ValueError as error:
            # It ended meanwhile, and whoever watches it closed the pipe.
            raise BrokenPipeError from error
        if end:
            stdin.close()

    def kill(self) -> None:
        if self._process.poll() is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            if os.getpgid(self._process.pid) == self._process.pid:
                # It was started in a session of its own, so that what it started ends, too.
                os.killpg(self._process.pid, signal.SIGKILL)
            else:
                self._process.kill()

    def _watch(self) -> None:
        readers = [
            threading.Thread(target=_pump, args=(stream, put), daemon=True)
            for stream, put in (
                (self._process.stdout, lambda data: self.output.put(stdout=data)),
                (self._process.stderr, lambda data: self.output.put(stderr=data)),
            )
            if stream is not None
        ]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
        code = self._process.wait()
        with contextlib.suppress(BrokenPipeError):
            if self._process.stdin is not None:
                self._process.stdin.close()
        late = self._late.read_bytes() if self._late and self._late.exists() else b""
        self.output.put(b"", late, code)


def _pump(stream: IO[bytes], put: Callable[[bytes], None]) -> None:
    with stream:
        while data := os.read(stream.fileno(), 32768):
            put(data)
