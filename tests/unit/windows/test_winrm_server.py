# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The WinRM server of the tests, spoken to by the real pywinrm: logins, shells, commands, input and output."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Callable, Iterator, Mapping

import pytest
import requests
from winrm.exceptions import (
    InvalidCredentialsError,
    WinRMOperationTimeoutError,
    WinRMTransportError,
    WSManFaultError,
)
from winrm.protocol import Protocol

from ansible_collections.twinguard.hardening.tests.windows.tls import Tls, self_signed
from ansible_collections.twinguard.hardening.tests.windows.winrm_commands import (
    Answer,
    Answering,
    Backend,
    Process,
)
from ansible_collections.twinguard.hardening.tests.windows.winrm_server import Server

USERS = {"tester": "gehäim"}
Serve = Callable[..., Server]


@pytest.fixture
def tls(tmp_path: Path) -> Tls:
    """A certificate."""
    return self_signed(tmp_path)


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start servers; they are ended with the test."""
    servers: list[Server] = []

    def start(backend: Backend, users: Mapping[str, str] | None = None, **options: Any) -> Server:
        servers.append(Server(backend, USERS if users is None else users, **options).__enter__())
        return servers[-1]

    yield start
    for server in servers:
        server.__exit__()


def told(line: str, stdin: bytes, environment: Mapping[str, str]) -> Answer:
    """Answer with all that was given."""
    return Answer(0, stdin, f"{line}|{dict(environment)}".encode())


def client(server: Server, transport: Any = "basic", password: str = "gehäim", **more: Any) -> Any:
    """A pywinrm client that heeds nothing of its environment."""
    more = {"ca_trust_path": None, "proxy": None, **more}
    return Protocol(server.url, transport, "tester", password, **more)


def run(protocol: Any, line: str, *stdin: bytes, shell: str = "") -> tuple[str, str, int]:
    """Run a command as ansible-core does, and in a shell of its own unless one is given."""
    own = shell or protocol.open_shell(codepage=65001)
    command = protocol.run_command(own, line, console_mode_stdin=not stdin)
    for number, part in enumerate(stdin, 1):
        protocol.send_command_input(own, command, part, end=number == len(stdin))
    stdout, stderr, code = protocol.get_command_output(own, command)
    protocol.cleanup_command(own, command)
    if not shell:
        protocol.close_shell(own)
    return stdout.decode(), stderr.decode(), code


def python(program: str, **options: Any) -> Callable[..., Process]:
    """A backend that runs a Python program, whatever the command line."""
    return lambda _line, _environment: Process(popen(program), **options)


def popen(program: str) -> subprocess.Popen[bytes]:
    """A real process with pipes."""
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, "-c", program], stdin=pipe, stdout=pipe, stderr=pipe)


def actions(server: Server) -> list[str]:
    """What was asked for, in order."""
    return [record.action for record in server.requests]


# --- logins


@pytest.mark.parametrize("transport", ["basic", "ntlm"])
@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
def test_each_scheme_lets_the_right_password_in(
    serve: Serve, tls: Tls, transport: str, secure: bool
) -> None:
    server = serve(Answering(told), tls=tls if secure else None)
    protocol = client(server, transport, ca_trust_path=str(tls.certificate))
    assert run(protocol, "whoami", b"in") == ("in", "whoami|{}", 0)


@pytest.mark.parametrize("transport", ["basic", "ntlm"])
@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
def test_a_wrong_password_is_refused(serve: Serve, tls: Tls, transport: str, secure: bool) -> None:
    server = serve(Answering(told), tls=tls if secure else None)
    protocol = client(server, transport, "falsch", ca_trust_path=str(tls.certificate))
    with pytest.raises(InvalidCredentialsError):
        protocol.open_shell()
    assert {(record.action, record.status) for record in server.requests} == {("Handshake", 401)}


@pytest.mark.parametrize("transport", ["basic", "ntlm"])
def test_an_unknown_user_is_refused(serve: Serve, transport: str) -> None:
    server = serve(Answering(told), {"somebody": "gehäim"})
    with pytest.raises(InvalidCredentialsError):
        client(server, transport).open_shell()


@pytest.mark.parametrize(("offered", "used"), [("ntlm", "basic"), ("basic", "ntlm")])
def test_a_scheme_that_is_not_offered_lets_nobody_in(serve: Serve, offered: str, used: str) -> None:
    server = serve(Answering(told), schemes=(offered,))
    with pytest.raises(InvalidCredentialsError):
        client(server, used).open_shell()


def test_ntlm_on_http_shows_neither_command_nor_output(serve: Serve) -> None:
    server = serve(Answering(told))
    protocol = client(server, "ntlm", message_encryption="always")
    wire: list[bytes] = []
    session = protocol.transport.build_session()
    session.hooks["response"].append(
        lambda response, **_options: wire.extend([response.request.body, response.content])
    )
    assert run(protocol, "geheimnis", b"in")[1] == "geheimnis|{}"
    assert len(wire) == 12
    assert all(b"Encrypted Boundary" in body and b"Envelope" not in body for body in wire)


def test_an_encrypted_message_is_of_no_use_on_another_connection(serve: Serve) -> None:
    protocol = client(serve(Answering(told)), "ntlm")
    shell = protocol.open_shell()
    protocol.transport.session.close()
    with pytest.raises(WinRMTransportError) as error:
        protocol.run_command(shell, "whoami")
    assert error.value.code == 400


def test_on_https_an_ntlm_login_is_tied_to_the_certificate(serve: Serve, tls: Tls) -> None:
    server = serve(Answering(told), tls=tls)
    with pytest.raises(InvalidCredentialsError):
        client(server, "ntlm", ca_trust_path=str(tls.certificate), send_cbt=False).open_shell()


def test_a_client_that_does_not_trust_the_certificate_stops_nobody_else(
    serve: Serve, tls: Tls
) -> None:
    server = serve(Answering(told), tls=tls)
    with pytest.raises(requests.exceptions.SSLError):
        client(server).open_shell()
    assert run(client(server, ca_trust_path=str(tls.certificate)), "whoami")[2] == 0


def test_a_client_that_is_slow_to_speak_tls_stops_nobody_else(serve: Serve, tls: Tls) -> None:
    server = serve(Answering(told), tls=tls)
    with socket.create_connection(("127.0.0.1", server.port)):
        assert run(client(server, ca_trust_path=str(tls.certificate)), "whoami")[2] == 0


def test_the_handshake_is_recorded_too(serve: Serve) -> None:
    server = serve(Answering(told))
    run(client(server, "ntlm"), "whoami")
    handshake = [(each.action, each.status) for each in server.requests[:3]]
    assert handshake == [("Handshake", 401)] * 2 + [("Handshake", 200)]
    assert actions(server)[3:] == ["Create", "Command", "Receive", "Signal", "Delete"]


# --- commands


def test_utf8_passes_in_both_directions(serve: Serve) -> None:
    protocol = client(serve(Answering(told)))
    shell = protocol.open_shell(env_vars={"ÄRGER": "größe"}, codepage=65001)
    answer = run(protocol, "écho \u201c<&>\u201d", "日本\n".encode(), shell=shell)
    assert answer == ("日本\n", "écho \u201c<&>\u201d|{'ÄRGER': 'größe'}", 0)


def test_command_and_arguments_become_one_line(serve: Serve) -> None:
    server = serve(Answering(told))
    protocol = client(server)
    shell = protocol.open_shell()
    command = protocol.run_command(shell, "copy", ["a  b", '"c"'])
    assert protocol.get_command_output(shell, command)[1] == b'copy a  b "c"|{}'
    assert server.requests[1].line_length == len('copy a  b "c"')


def test_input_arrives_in_order_and_whole(serve: Serve) -> None:
    parts = [bytes([number]) * 100_000 for number in range(65, 70)]
    server = serve(Answering(told))
    assert run(client(server), "sort", *parts)[0] == b"".join(parts).decode()
    assert actions(server).count("Send") == 5


@pytest.mark.parametrize(
    ("code", "shown"), [(0, 0), (1, 1), (3010, 3010), (-1, 4294967295), (0xC0000005, 3221225477)]
)
def test_exit_codes_are_unsigned_as_on_windows(serve: Serve, code: int, shown: int) -> None:
    assert run(client(serve(Answering(lambda *_given: Answer(code)))), "exit")[2] == shown


@pytest.mark.parametrize("transport", ["basic", "ntlm"])
def test_output_larger_than_an_envelope_comes_in_several(serve: Serve, transport: str) -> None:
    stdout, stderr = b"o" * 400_000, b"e" * 150_000
    server = serve(Answering(lambda *_given: Answer(7, stdout, stderr)))
    assert run(client(server, transport), "dir") == (stdout.decode(), stderr.decode(), 7)
    answers = [record.sent for record in server.requests if record.action == "Receive"]
    # An encrypted answer is 258 bytes longer than the envelope in it.
    assert 150_000 < min(answers[:4]) < max(answers) <= 153_600 + 258


def test_a_long_command_is_asked_again_until_it_ends(serve: Serve) -> None:
    may_end = threading.Event()
    server = serve(Answering(lambda *_given: Answer(0, str(may_end.wait(60)).encode())))
    protocol = client(server, operation_timeout_sec=1, read_timeout_sec=50)
    shell = protocol.open_shell()
    command = protocol.run_command(shell, "wait")
    for _time in range(2):
        with pytest.raises(WinRMOperationTimeoutError):
            protocol.get_command_output_raw(shell, command)
    may_end.set()
    assert protocol.get_command_output(shell, command) == (b"True", b"", 0)
    faults = [record.fault for record in server.requests if record.action == "Receive"]
    assert (faults[:2], faults[-1]) == ([2150858793] * 2, None)


def test_output_of_a_process_comes_while_it_runs(serve: Serve) -> None:
    # One write, so that it cannot come in two pieces.
    program = "import os; os.write(1, b'ask\\n'); print(input()); exit(5)"
    protocol = client(serve(python(program)))
    shell = protocol.open_shell()
    command = protocol.run_command(shell, "ask", console_mode_stdin=False)
    assert protocol.get_command_output_raw(shell, command) == (b"ask\n", b"", -1, False)
    protocol.send_command_input(shell, command, b"answer\n", end=True)
    assert protocol.get_command_output(shell, command) == (b"answer\n", b"", 5)


def test_a_command_at_a_console_is_not_kept_waiting_for_input(serve: Serve) -> None:
    protocol = client(serve(python("import sys; print(sys.stdin.read() == '')")))
    assert run(protocol, "read") == ("True\n", "", 0)


def test_a_command_that_was_promised_input_waits_for_it(serve: Serve) -> None:
    protocol = client(serve(Answering(told)), operation_timeout_sec=1, read_timeout_sec=50)
    shell = protocol.open_shell()
    command = protocol.run_command(shell, "read", console_mode_stdin=False)
    with pytest.raises(WinRMOperationTimeoutError):
        protocol.get_command_output_raw(shell, command)
    protocol.send_command_input(shell, command, b"in", end=True)
    assert protocol.get_command_output(shell, command)[0] == b"in"


def test_late_standard_error_is_taken_from_its_file(serve: Serve, tmp_path: Path) -> None:
    late = tmp_path / "errors"
    program = f"print('out'); open({str(late)!r}, 'w').write('late')"
    assert run(client(serve(python(program, late_stderr=late))), "x") == ("out\n", "late", 0)


@pytest.mark.parametrize("backend", [Answering(told), python("")], ids=["function", "process"])
def test_input_after_the_end_finds_a_closed_pipe(serve: Serve, backend: Backend) -> None:
    protocol = client(serve(backend))
    shell = protocol.open_shell()
    command = protocol.run_command(shell, "x")
    protocol.get_command_output(shell, command)
    with pytest.raises(WSManFaultError) as error:
        protocol.send_command_input(shell, command, b"more")
    assert error.value.wsman_fault_code == 2147942632


def test_cmd_refuses_a_line_of_more_than_8191_characters(serve: Serve) -> None:
    server = serve(Answering(lambda line, *_given: Answer(0, str(len(line)).encode())))
    protocol = client(server)
    assert run(protocol, "x" * 8191) == ("8191", "", 0)
    assert run(protocol, "x" * 8192) == ("", "The command line is too long.\r\n", 1)
    shell = protocol.open_shell()
    without_cmd = protocol.run_command(shell, "x" * 8192, skip_cmd_shell=True)
    assert protocol.get_command_output(shell, without_cmd)[0] == b"8192"
    unlimited = serve(server._backend, command_line_limit=None)
    assert run(client(unlimited), "x" * 8192)[0] == "8192"


# --- shells


def test_unknown_shells_and_commands_are_not_found(serve: Serve) -> None:
    protocol = client(serve(Answering(told)))
    shell = protocol.open_shell()
    command = protocol.run_command(shell, "x")
    protocol.cleanup_command(shell, command)
    asks: list[Callable[[], object]] = [
        lambda: protocol.run_command("NO-SHELL", "x"),
        lambda: protocol.close_shell("NO-SHELL"),
        lambda: protocol.get_command_output(shell, command),
        lambda: protocol.cleanup_command(shell, command),
    ]
    for ask in asks:
        with pytest.raises(WSManFaultError, match="was not found on the server") as error:
            ask()
        assert error.value.wsman_fault_code == 2150858843
        assert error.value.fault_subcode == "w:InvalidSelectors"


@pytest.mark.parametrize("way", ["signal", "delete", "leave"])
def test_signal_delete_and_the_servers_end_kill_a_process(serve: Serve, way: str) -> None:
    process = popen("import time; time.sleep(600)")
    with Server(lambda *_given: Process(process), USERS) as server:
        protocol = client(server)
        shell = protocol.open_shell()
        command = protocol.run_command(shell, "sleep")
        if way == "signal":
            protocol.cleanup_command(shell, command)
        elif way == "delete":
            protocol.close_shell(shell)
        if way != "leave":
            assert process.wait(60) == -9
    assert process.wait(60) == -9


def test_who_waits_for_a_command_hears_that_its_shell_was_deleted(serve: Serve) -> None:
    began, may_end = threading.Event(), threading.Event()

    def wait(*_given: object) -> Answer:
        began.set()
        return Answer(0, str(may_end.wait(60)).encode())

    server = serve(Answering(wait))
    one, other = client(server), client(server)
    shell = one.open_shell()
    command, faults = one.run_command(shell, "wait"), []

    def receive() -> None:
        with pytest.raises(WSManFaultError) as error:
            one.get_command_output(shell, command)
        faults.append(error.value.wsman_fault_code)

    thread = threading.Thread(target=receive)
    thread.start()
    # It begins with the first Receive, which has found the shell by then.
    assert began.wait(60)
    other.close_shell(shell)
    thread.join(60)
    may_end.set()
    assert faults == [995]


@pytest.mark.parametrize("transport", ["basic", "ntlm"])
def test_two_clients_are_served_at_once(serve: Serve, transport: str) -> None:
    both = threading.Barrier(2, timeout=60)

    def meet(line: str, _stdin: bytes, _environment: Mapping[str, str]) -> Answer:
        both.wait()
        return Answer(0, line.encode())

    server = serve(Answering(meet))
    answers: dict[str, str] = {}

    def work(name: str) -> None:
        answers[name] = run(client(server, transport), name)[0]

    threads = [threading.Thread(target=work, args=(name,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert answers == {"one": "one", "two": "two"}


def test_the_log_has_a_line_for_each_request(serve: Serve, tmp_path: Path) -> None:
    server = serve(Answering(told), log=tmp_path / "wire.jsonl")
    run(client(server), "whoami")
    lines = (tmp_path / "wire.jsonl").read_text().splitlines()
    assert [json.loads(line)["action"] for line in lines] == actions(server)
    assert json.loads(lines[1])["line_length"] == len("whoami")


def test_nobody_listens_once_the_server_was_left() -> None:
    with Server(Answering(told), USERS) as server:
        protocol = client(server)
        protocol.open_shell()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port))
    with pytest.raises(requests.exceptions.ConnectionError):
        protocol.open_shell()
