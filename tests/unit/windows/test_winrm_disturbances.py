# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong on demand, as the real pywinrm sees it, and what the server makes of requests that are none."""

from __future__ import annotations

import contextlib
from typing import Any, Iterator, Mapping

import pytest
import requests
from winrm.exceptions import (
    WinRMOperationTimeoutError,
    WinRMTransportError,
    WSManFaultError,
)
from winrm.protocol import Protocol

from ansible_collections.twinguard.hardening.tests.windows import wsman
from ansible_collections.twinguard.hardening.tests.windows.winrm_server import (
    ACCESS_DENIED,
    CUT_AFTER,
    CUT_BEFORE,
    OPERATION_TIMEOUT,
    QUOTA,
    SHELL_GONE,
    Answer,
    Answering,
    Disturbance,
    Fault,
    Request,
    Server,
)


class Host:
    """A server that remembers the input of each call, and a client of it."""

    def __init__(self, server: Server, calls: list[bytes]) -> None:
        self.server = server
        self.calls = calls
        self.client: Any = self.new_client()

    def new_client(self, **timeouts: Any) -> Any:
        more: Any = {"ca_trust_path": None, "proxy": None, **timeouts}
        return Protocol(self.server.url, "basic", "tester", "geheim", **more)

    def disturb(self, action: str, disturbance: Disturbance, nth: int = 1) -> None:
        """Let one request go wrong."""
        self.server.hook = lambda request: (
            disturbance if (request.action, request.nth) == (action, nth) else None
        )

    def run(self) -> tuple[bytes, bytes, int]:
        """Run a command with input in a shell of its own."""
        shell = self.client.open_shell()
        command = self.client.run_command(shell, "x", console_mode_stdin=False)
        self.client.send_command_input(shell, command, b"in", end=True)
        output: tuple[bytes, bytes, int] = self.client.get_command_output(shell, command)
        self.client.cleanup_command(shell, command)
        self.client.close_shell(shell)
        return output


@pytest.fixture
def host() -> Iterator[Host]:
    calls: list[bytes] = []

    def answer(_line: str, stdin: bytes, _environment: Mapping[str, str]) -> Answer:
        calls.append(stdin)
        return Answer(0, b"out")

    with Server(Answering(answer), {"tester": "geheim"}) as server:
        yield Host(server, calls)


def test_the_hook_sees_each_request_before_it_is_carried_out(host: Host) -> None:
    seen: list[Request] = []
    host.server.hook = seen.append
    host.run()
    host.run()
    assert [(each.action, each.nth) for each in seen if each.action != "Receive"] == [
        (action, nth)
        for nth in (1, 2)
        for action in ("Create", "Command", "Send", "Signal", "Delete")
    ]
    assert [each.number for each in seen] == [each.number for each in host.server.requests]
    assert len({each.shell for each in seen if each.shell}) == 2
    assert [each.line for each in seen if each.action == "Command"] == ["x", "x"]


@pytest.mark.parametrize("action", ["Create", "Command", "Send", "Receive", "Signal", "Delete"])
def test_access_is_denied_to_any_action(host: Host, action: str) -> None:
    host.disturb(action, ACCESS_DENIED)
    with pytest.raises(WSManFaultError, match=r"Access is denied\.") as error:
        host.run()
    assert error.value.wsman_fault_code == 5
    assert [each.action for each in host.server.requests if each.status == 500] == [action]


def test_a_quota_fault_carries_its_code_as_a_wmi_error(host: Host) -> None:
    host.disturb("Command", QUOTA)
    with pytest.raises(WSManFaultError) as error:
        host.run()
    assert error.value.wmierror_code == 0x803381A6
    assert error.value.wsman_fault_code is None


def test_a_timeout_of_receive_is_asked_again_and_loses_nothing(host: Host) -> None:
    host.disturb("Receive", OPERATION_TIMEOUT)
    assert host.run() == (b"out", b"", 0)
    assert [each.fault for each in host.server.requests if each.fault] == [2150858793]


def test_a_timeout_of_another_action_reaches_the_caller(host: Host) -> None:
    host.disturb("Create", OPERATION_TIMEOUT)
    with pytest.raises(WinRMOperationTimeoutError):
        host.run()


def test_a_shell_that_is_gone_stays_gone(host: Host) -> None:
    shell = host.client.open_shell()
    host.disturb("Command", SHELL_GONE)
    for _time in range(2):
        with pytest.raises(WSManFaultError) as error:
            host.client.run_command(shell, "x")
        assert error.value.wsman_fault_code == 2150858843


def test_a_fault_of_ones_own_is_passed_on(host: Host) -> None:
    host.disturb("Send", Disturbance(fault=Fault(170, "The resource is <in> use.")))
    with pytest.raises(WSManFaultError, match="The resource is <in> use") as error:
        host.run()
    assert error.value.wsman_fault_code == 170
    assert host.calls == []


def test_a_plain_http_status_has_no_envelope(host: Host) -> None:
    host.disturb("Command", Disturbance(status=503))
    with pytest.raises(WinRMTransportError) as error:
        host.run()
    assert error.value.code == 503
    assert host.server.requests[-1].sent == 0


@pytest.mark.parametrize(("cut", "carried_out"), [(CUT_BEFORE, []), (CUT_AFTER, [b"in"])])
def test_a_cut_loses_the_request_or_only_its_answer(
    host: Host, cut: Disturbance, carried_out: list[bytes]
) -> None:
    host.disturb("Send", cut)
    with pytest.raises(requests.exceptions.ConnectionError):
        host.run()
    assert host.server.requests[-1].status == 0
    shell = host.server.requests[1].shell
    # What the command got is told by the command that is still there, or by its silence.
    if carried_out:
        command = next(iter(host.server._shells[shell].commands))
        assert host.client.get_command_output(shell, command)[0] == b"out"
    assert host.calls == carried_out


def test_a_wait_outlasts_the_clients_patience(host: Host) -> None:
    host.disturb("Create", Disturbance(wait=3600))
    host.client = host.new_client(read_timeout_sec=2, operation_timeout_sec=1)
    with pytest.raises(requests.exceptions.ReadTimeout):
        host.run()


def test_a_wait_alone_changes_nothing(host: Host) -> None:
    host.disturb("Command", Disturbance(wait=0.1))
    assert host.run() == (b"out", b"", 0)


def test_after_a_disturbance_the_next_run_is_as_ever(host: Host) -> None:
    host.disturb("Receive", CUT_BEFORE)
    with contextlib.suppress(requests.exceptions.ConnectionError):
        host.run()
    assert host.run() == (b"out", b"", 0)


# --- requests that are none


def post(server: Server, body: bytes, path: str = "", header: str = "") -> requests.Response:
    """Send a request as tester, or with this header instead of a login."""
    session = requests.Session()
    session.trust_env = False
    if header:
        return session.post(server.url, body, headers={"Authorization": header}, timeout=60)
    return session.post(server.url + path, body, auth=("tester", "geheim"), timeout=60)


def envelope(action: str, body: str) -> bytes:
    names = " ".join(f'xmlns:{prefix}="{uri}"' for prefix, uri in wsman.NAMES.items())
    return (
        f"<s:Envelope {names}><s:Header><a:Action>{action}</a:Action></s:Header>"
        f"<s:Body>{body}</s:Body></s:Envelope>"
    ).encode()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"no xml", 2150858817),
        (b"<Envelope/>", 2150858817),
        (envelope(f"{wsman.TRANSFER}/Get", ""), 2150858754),
        (
            envelope(f"{wsman.SHELL}/Send", "<rsp:Send><rsp:Stream>A</rsp:Stream></rsp:Send>"),
            2150858817,
        ),
    ],
)
def test_what_is_no_request_of_a_shell_is_a_fault(host: Host, body: bytes, code: int) -> None:
    response = post(host.server, body)
    assert response.status_code == 500
    assert f'Code="{code}"' in response.text
    assert host.server.requests[-1].fault == code


def test_other_paths_are_not_found(host: Host) -> None:
    assert post(host.server, b"x", "/other").status_code == 404


@pytest.mark.parametrize(
    "header", ["NTLM TlRMTVNTUAABAAAABoIIAA==", "NTLM !", "Basic A", "Other x"]
)
def test_a_header_that_proves_nothing_gets_the_offer_and_no_more(header: str) -> None:
    backend = Answering(lambda *_given: Answer())
    with Server(backend, {"tester": "geheim"}, schemes=("basic",)) as server:
        response = post(server, b"x", header=header)
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == 'Basic realm="WSMAN"'


@pytest.mark.parametrize(
    ("duration", "seconds"), [("PT20S", 20), ("PT1M0.5S", 60.5), ("PT2H", 7200), ("", 60)]
)
def test_timeouts_are_iso_durations(duration: str, seconds: float) -> None:
    header = f"<w:OperationTimeout>{duration}</w:OperationTimeout></s:Header>".encode()
    request = wsman.parse(envelope(f"{wsman.SHELL}/Receive", "").replace(b"</s:Header>", header))
    assert request.timeout == seconds
