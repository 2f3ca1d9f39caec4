# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A WinRM server on loopback that real clients talk to: shells, commands, and the faults that a test asks for.

What a command line does is decided by a backend; `winrm_commands.py` has two to choose from.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import socket
import ssl
import sys
import tempfile
import threading
import uuid
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Callable, Literal, Mapping, Sequence

from ansible_collections.twinguard.hardening.tests.windows import wsman
from ansible_collections.twinguard.hardening.tests.windows.tls import Tls
from ansible_collections.twinguard.hardening.tests.windows.winrm_auth import (
    SOAP,
    Gate,
    Login,
    Unreadable,
)
from ansible_collections.twinguard.hardening.tests.windows.winrm_commands import (
    Answer,
    Answering,
    Backend,
    Process,
    Running,
)
from ansible_collections.twinguard.hardening.tests.windows.wsman import Fault, Refused, Request

# All that a test needs comes from here.
__all__ = [
    "Answer",
    "Answering",
    "Backend",
    "Disturbance",
    "Process",
    "Record",
    "Running",
    "Server",
]
__all__ += ["ACCESS_DENIED", "CUT_AFTER", "CUT_BEFORE", "OPERATION_TIMEOUT", "QUOTA", "SHELL_GONE"]
__all__ += ["Fault", "Request"]


@dataclass(frozen=True)
class Disturbance:
    """What goes wrong with a request. `wait` comes first and goes with each of the others."""

    fault: Fault | None = None
    status: int | None = None
    cut: Literal["before", "after"] | None = None
    shell_gone: bool = False
    wait: float = 0.0


QUOTA = Disturbance(fault=wsman.QUOTA)
OPERATION_TIMEOUT = Disturbance(fault=wsman.TIMED_OUT)
ACCESS_DENIED = Disturbance(fault=wsman.ACCESS_DENIED)
SHELL_GONE = Disturbance(shell_gone=True)
CUT_BEFORE = Disturbance(cut="before")
CUT_AFTER = Disturbance(cut="after")


@dataclass(frozen=True)
class Record:
    """One HTTP request. Bytes are those of the bodies; status 0 means that the connection was cut."""

    number: int
    action: str
    status: int
    received: int
    sent: int
    shell: str = ""
    line_length: int | None = None
    fault: int | None = None


@dataclass
class _Command:
    running: Running
    console: bool
    fed: bool = False

    def end(self) -> None:
        self.running.output.abort()
        self.running.kill()


@dataclass
class _Shell:
    environment: Mapping[str, str]
    commands: dict[str, _Command] = field(default_factory=dict)

    def end(self) -> None:
        for command in list(self.commands.values()):
            command.end()


class Server:
    """The server. As a context manager it listens from entering to leaving; then everything it started is ended."""

    def __init__(
        self,
        backend: Backend,
        users: Mapping[str, str],
        *,
        tls: Tls | None = None,
        port: int = 0,
        schemes: Sequence[str] = ("basic", "ntlm"),
        log: Path | None = None,
        command_line_limit: int | None = 8191,
    ) -> None:
        """Bind the port; port 0 is any free one. The limit is that of cmd.exe, None lifts it."""
        self.requests: list[Record] = []
        self.hook: Callable[[Request], Disturbance | None] = lambda _request: None
        self._backend, self._log, self._limit = backend, log, command_line_limit
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._shells: dict[str, _Shell] = {}
        self._closing = threading.Event()
        self._folder = tempfile.TemporaryDirectory(prefix="winrm-server-")
        binding = tls.channel_binding() if tls else None
        self.gate = Gate(users, schemes, Path(self._folder.name), binding)
        self._http = _Http(("127.0.0.1", port), _Handler)
        self._http.owner = self
        if tls:
            # The handshake belongs into the connection's own thread, or one slow client would stop all.
            self._http.socket = tls.context().wrap_socket(
                self._http.socket, server_side=True, do_handshake_on_connect=False
            )
        self.port: int = self._http.server_address[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}/wsman"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,))

    def __enter__(self) -> Server:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._closing.set()
        self._http.shutdown()
        self._thread.join()
        for shell in list(self._shells.values()):
            shell.end()
        self._http.server_close()
        self._folder.cleanup()

    def count(self, what: str) -> int:
        """How often this came, this time included."""
        with self._lock:
            self._counts[what] += 1
            return self._counts[what]

    def record(self, record: Record) -> None:
        """Keep a request, before its answer leaves, so that the client never knows more than the list."""
        with self._lock:
            self.requests.append(record)
            if self._log:
                with open(self._log, "a", encoding="utf-8") as file:
                    file.write(json.dumps(dataclasses.asdict(record)) + "\n")

    def answer(self, message: bytes, record: Record) -> tuple[bytes, Record]:
        """The answer to a message and its completed record."""
        request, disturbance, fault = Request("Invalid", ""), Disturbance(), None
        try:
            request = wsman.parse(message)
            nth = self.count(request.action)
            request = dataclasses.replace(request, number=record.number, nth=nth)
            disturbance = self.hook(request) or disturbance
            body, status = self._disturbed(request, disturbance)
        except Refused as refusal:
            fault = refusal.fault
            body, status = wsman.faulted(fault, request.message_id), 500
        if disturbance.cut:
            body, status = b"", 0
        return body, dataclasses.replace(
            record,
            action=request.action,
            status=status,
            shell=request.shell,
            line_length=len(request.line) if request.action == "Command" else None,
            fault=fault.code if fault else None,
        )

    def _disturbed(self, request: Request, disturbance: Disturbance) -> tuple[bytes, int]:
        self._closing.wait(disturbance.wait)
        if disturbance.fault:
            raise Refused(disturbance.fault)
        if disturbance.status or disturbance.cut == "before":
            return b"", disturbance.status or 0
        if disturbance.shell_gone and request.shell in self._shells:
            self._shells.pop(request.shell).end()
        return self._carry_out(request), 200

    def _carry_out(self, request: Request) -> bytes:
        if request.action == "Create":
            name = str(uuid.uuid4()).upper()
            self._shells[name] = _Shell(request.environment)
            return wsman.created(request, name, self.url)
        shell = self._shells.get(request.shell)
        if shell is None:
            raise Refused(wsman.not_found("ShellId", request.shell))
        if request.action == "Delete":
            self._shells.pop(request.shell).end()
            return wsman.answered(request)
        if request.action == "Command":
            return self._start(request, shell)
        command = shell.commands.get(request.command)
        if command is None:
            raise Refused(wsman.not_found("CommandId", request.command))
        if request.action == "Send":
            return _send(request, command)
        if request.action == "Receive":
            return _receive(request, command)
        shell.commands.pop(request.command).end()
        return wsman.answered(request, "<rsp:SignalResponse/>")

    def _start(self, request: Request, shell: _Shell) -> bytes:
        by_cmd = not request.option("WINRS_SKIP_CMD_SHELL")
        if by_cmd and self._limit is not None and len(request.line) > self._limit:
            too_long = Answer(1, b"", b"The command line is too long.\r\n")
            running = Answering(lambda *_arguments: too_long)(request.line, shell.environment)
            running.send(b"", end=True)
        else:
            running = self._backend(request.line, shell.environment)
        name = str(uuid.uuid4()).upper()
        shell.commands[name] = _Command(running, request.option("WINRS_CONSOLEMODE_STDIN"))
        return wsman.started(request, name)


def _send(request: Request, command: _Command) -> bytes:
    command.fed = True
    try:
        command.running.send(request.stdin, request.end)
    except BrokenPipeError as error:
        raise Refused(wsman.PIPE_CLOSING) from error
    return wsman.answered(request, "<rsp:SendResponse/>")


def _receive(request: Request, command: _Command) -> bytes:
    if command.console and not command.fed:
        # Nobody types at this console; a command that announced input waits for it instead.
        command.fed = True
        with contextlib.suppress(BrokenPipeError):
            command.running.send(b"", end=True)
    taken = command.running.output.take(wsman.room(request), request.timeout)
    return wsman.received(request, *taken)


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    owner: Server

    def server_close(self) -> None:
        """Close the connections, too, which clients like to keep."""
        super().server_close()
        for connection in list(self.connections):
            _shut(connection)

    def __init__(self, *arguments: Any) -> None:
        self.connections: set[socket.socket] = set()
        super().__init__(*arguments)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away, or does not trust our certificate, is nothing to tell about."""
        if not isinstance(sys.exc_info()[1], (ConnectionError, ssl.SSLError)):
            super().handle_error(request, client_address)


def _shut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body leave in one piece and at once, or each answer would wait for the client's late acknowledgement.
    wbufsize = -1
    disable_nagle_algorithm = True
    server: _Http

    def setup(self) -> None:
        super().setup()
        self.login = Login(self.server.owner.gate)
        self.server.connections.add(self.connection)

    def finish(self) -> None:
        self.server.connections.discard(self.connection)
        super().finish()

    def version_string(self) -> str:
        return "Microsoft-HTTPAPI/2.0"

    def log_message(self, format: str, *_arguments: Any) -> None:  # noqa: A002 - the name is http.server's
        pass

    def do_POST(self) -> None:
        """Let the client prove who it is, then carry out what it asks for."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        record = Record(self.server.owner.count("requests"), "Handshake", 200, len(body), 0)
        challenges = self.login.challenges(self.headers.get("Authorization", ""))
        if self.path != "/wsman":
            self._reply(dataclasses.replace(record, status=404))
        elif challenges:
            offers = [("WWW-Authenticate", challenge) for challenge in challenges]
            self._reply(dataclasses.replace(record, status=401), b"", offers)
        elif not body:
            self._reply(record)
        else:
            self._carry_out(record, body)

    def _carry_out(self, record: Record, body: bytes) -> None:
        try:
            kind = self.headers.get("Content-Type", "")
            message, encrypted = self.login.opened(kind, body)
        except Unreadable:
            self._reply(dataclasses.replace(record, status=400))
            return
        kind = SOAP
        answer, record = self.server.owner.answer(message, record)
        if answer and encrypted:
            kind, answer = self.login.sealed(answer)
        self._reply(record, answer, [("Content-Type", kind)] if answer else [])

    def _reply(
        self, record: Record, body: bytes = b"", headers: Sequence[tuple[str, str]] = ()
    ) -> None:
        self.server.owner.record(dataclasses.replace(record, sent=len(body)))
        if record.status == 0:
            self.close_connection = True
            _shut(self.connection)
            return
        self.send_response(record.status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
