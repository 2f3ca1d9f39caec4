# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""win_guard over the wire: real ansible-playbook, real winrm connection and pywinrm, a loopback host.

Behind the server is the Python model of a host; tests/windows/test_win_guard.py has a real PowerShell there.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from ansible_collections.twinguard.hardening.tests.windows import host_world
from ansible_collections.twinguard.hardening.tests.windows.model_backend import (
    MODELLED,
    ModelBackend,
    current_digests,
)
from ansible_collections.twinguard.hardening.tests.windows.packet import Packet, admits
from ansible_collections.twinguard.hardening.tests.windows.plays import (
    ANSIBLE,
    CONTROLLER,
    JUPYTER,
    PASSWORD,
    POLICY,
    STRANGER,
    USER,
    VPN,
    Played,
    careless,
    play,
)
from ansible_collections.twinguard.hardening.tests.windows.tls import self_signed
from ansible_collections.twinguard.hardening.tests.windows.winrm_server import (
    ACCESS_DENIED,
    CUT_BEFORE,
    QUOTA,
    SHELL_GONE,
    Answering,
    Disturbance,
    Request,
    Server,
)

CONVERGED = ["Create", "Command", "Send", "Receive", "Receive", "Signal", "Delete"]


class Lab(NamedTuple):
    """A host: the server before it, what runs on it, and its world."""

    server: Server
    backend: ModelBackend
    path: Path

    @property
    def world(self) -> dict[str, Any]:
        return host_world.load(self.path)


def lab_in(folder: Path, **options: Any) -> Lab:
    path = folder / "world.json"
    host_world.save(path, host_world.complete(careless()))
    backend = ModelBackend(path)
    return Lab(Server(Answering(backend), {USER: PASSWORD}, **options), backend, path)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    made = lab_in(tmp_path)
    with made.server:
        yield made


def sentence(run: Played) -> str:
    """What the task failed with, which is one line."""
    message = str(run.result["msg"])
    assert "\n" not in message.strip()
    return message


def test_the_model_stands_for_the_scripts_as_they_are() -> None:
    # A script that was edited has to be told to host_scripts.py first, then here.
    assert current_digests() == MODELLED


def test_a_run_that_changes_costs_two_starts_and_one_that_does_not_costs_one(lab: Lab) -> None:
    first = play(lab.server, POLICY)
    assert first.result["changed"], first.output
    assert lab.backend.calls == ["win_guard_read", "win_guard_apply"]
    assert first.actions.count("Command") == 2
    assert admits(lab.world, Packet(VPN, 8888))
    assert admits(lab.world, Packet(CONTROLLER, 5985))
    assert not admits(lab.world, Packet(STRANGER, 8888))
    again = play(lab.server, POLICY)
    assert (again.code, again.result["changed"]) == (0, False)
    assert again.actions in (CONVERGED, [*CONVERGED[:4], *CONVERGED[5:]])


def test_fifty_rules_cost_no_more_requests_than_two(lab: Lab) -> None:
    many = [{**JUPYTER, "name": f"Rule {n}", "local_ports": [str(9000 + n)]} for n in range(49)]
    policy = {**POLICY, "rules": [ANSIBLE, *many]}
    first = play(lab.server, policy)
    assert len([one for one in first.result["changes"] if one.startswith("create")]) == 50
    again = play(lab.server, policy)
    assert (again.code, again.result["changed"]) == (0, False)
    assert len(again.actions) <= 8
    assert again.actions.count("Command") == 1


def test_check_mode_asks_once_and_changes_nothing(lab: Lab) -> None:
    before = lab.world
    checked = play(lab.server, POLICY, "--check", "--diff")
    assert (checked.code, checked.result["changed"]) == (0, True)
    assert lab.backend.calls == ["win_guard_read"]
    assert lab.world == before
    done = play(lab.server, POLICY, "--diff")
    assert done.result["diff"] == checked.result["diff"]


def test_names_arrive_as_they_were_written(lab: Lab) -> None:
    odd = {**JUPYTER, "name": "Zähler «日本» 🔧", "description": "für die Pumpe"}
    done = play(lab.server, {**POLICY, "rules": [odd, ANSIBLE]})
    assert done.code == 0, done.output
    assert {rule["DisplayName"] for rule in lab.world["rules"].values()} >= {"Zähler «日本» 🔧"}
    assert play(lab.server, {**POLICY, "rules": [odd, ANSIBLE]}).result["changed"] is False


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_ntlm_works_sealed_over_http_and_bound_to_the_certificate_over_https(
    tmp_path: Path, scheme: str
) -> None:
    tls = self_signed(tmp_path) if scheme == "https" else None
    made = lab_in(tmp_path, tls=tls, schemes=("ntlm",))
    host = {"ansible_winrm_scheme": scheme, "ansible_winrm_transport": "ntlm"}
    if tls:
        host["ansible_winrm_ca_trust_path"] = str(tls.certificate)
    with made.server:
        done = play(made.server, POLICY, host=host)
        assert done.result.get("changed"), done.output
        assert play(made.server, POLICY, host=host).actions[-1] == "Delete"


def test_a_certificate_that_nobody_vouches_for_is_one_sentence(tmp_path: Path) -> None:
    made = lab_in(tmp_path, tls=self_signed(tmp_path))
    with made.server:
        done = play(made.server, POLICY, host={"ansible_winrm_scheme": "https"})
    assert done.code == 4
    assert done.result["unreachable"]
    assert "certificate verify failed" in sentence(done)
    assert made.backend.calls == []


def test_a_wrong_password_is_one_sentence_without_the_password(lab: Lab) -> None:
    wrong = "not-the-password-4711"
    done = play(lab.server, POLICY, "-vvv", host={"ansible_password": wrong})
    assert done.code == 4
    assert "the specified credentials were rejected by the server" in sentence(done)
    assert wrong not in done.output
    assert lab.backend.calls == []


def test_a_host_that_is_not_there_is_one_sentence(lab: Lab) -> None:
    with socket.socket() as taken:
        # Bound and not listening: a connection is refused.
        taken.bind(("127.0.0.1", 0))
        done = play(lab.server, POLICY, host={"ansible_port": taken.getsockname()[1]})
    assert done.code == 4
    assert "Connection refused" in sentence(done)


@pytest.mark.parametrize(
    "disturbance",
    [CUT_BEFORE, SHELL_GONE, ACCESS_DENIED, Disturbance(status=503)],
    ids=["cut", "rebooted", "denied", "busy"],
)
def test_a_connection_that_breaks_while_steps_are_taken_is_reported_and_completed_next_time(
    lab: Lab, disturbance: Disturbance
) -> None:
    commands = 0

    def hook(request: Request) -> Disturbance | None:
        nonlocal commands
        commands += request.action == "Command"
        return disturbance if request.action == "Receive" and commands == 2 else None

    lab.server.hook = hook
    broken = play(lab.server, POLICY)
    assert broken.code == 4
    assert "The connection broke while the host was being changed" in sentence(broken)
    assert "run the task again" in sentence(broken)
    assert admits(lab.world, Packet(CONTROLLER, 5985))
    lab.server.hook = lambda _request: None
    assert play(lab.server, POLICY).code == 0
    assert play(lab.server, POLICY).result["changed"] is False


def test_a_connection_that_breaks_while_the_host_is_read_says_that_nothing_was_changed(
    lab: Lab,
) -> None:
    lab.server.hook = lambda request: SHELL_GONE if request.action == "Receive" else None
    broken = play(lab.server, POLICY)
    assert broken.code == 4
    assert "while the host was read; nothing was changed" in sentence(broken)


def test_a_shell_that_is_denied_is_one_sentence(lab: Lab) -> None:
    lab.server.hook = lambda request: ACCESS_DENIED if request.action == "Create" else None
    done = play(lab.server, POLICY)
    assert done.code in (2, 4)
    assert "ccess is denied" in sentence(done)


def test_a_quota_that_is_used_up_costs_a_new_shell_and_nothing_else(lab: Lab) -> None:
    lab.server.hook = lambda request: (
        QUOTA if request.action == "Command" and request.nth == 1 else None
    )
    done = play(lab.server, POLICY)
    assert done.code == 0, done.output
    assert done.actions.count("Create") == 2


def test_a_policy_that_would_lock_the_controller_out_is_refused_over_the_wire(lab: Lab) -> None:
    world = careless()
    del world["rules"]["WINRM-HTTP-In"]
    host_world.save(lab.path, host_world.complete(world))
    done = play(lab.server, {**POLICY, "rules": [JUPYTER]})
    assert done.code == 2
    assert f"the controller ({CONTROLLER}) could no longer reach port 5985" in sentence(done)
    assert lab.backend.calls == ["win_guard_read"]


def test_the_port_of_the_connection_is_guarded_unless_another_one_is_named(lab: Lab) -> None:
    named = ("management_port", "controller_addresses")
    policy = {key: value for key, value in POLICY.items() if key not in named}
    done = play(lab.server, policy)
    assert f"the host shows no connection to its port {lab.server.port}" in sentence(done)


def test_bad_input_is_refused_without_a_connection(lab: Lab) -> None:
    done = play(lab.server, {**POLICY, "rules": [{**JUPYTER, "protocol": "any"}]})
    assert done.code == 2
    assert "option 'rules[0].local_ports' = ['8888']" in sentence(done)
    assert done.requests == []


def test_the_options_are_shown_as_they_were_given_and_the_password_never(lab: Lab) -> None:
    done = play(
        lab.server, POLICY, "-vvvv", "--diff",
        environment={"ANSIBLE_INJECT_INVOCATION": "1"}, callback="ansible.builtin.default",
    )  # fmt: skip
    assert done.code == 0, done.output
    for form in (PASSWORD, json.dumps(PASSWORD)[1:-1]):
        assert form not in done.output
