# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import engine
import pytest
from engine import Host
from workshop import Problem

NOTHING = Host(installed=(), answering=(), root=False, apt=False, dockerd=False)


def test_an_engine_that_answers_is_used_as_it_is():
    host = NOTHING._replace(
        installed=("podman",), answering=("podman",), root=True, apt=True, dockerd=True
    )
    assert engine.decide(host, None) == ("use", "podman")


def test_an_installed_daemon_is_started_as_root():
    assert engine.decide(
        NOTHING._replace(installed=("docker",), root=True, dockerd=True), None
    ) == ("start", "docker")


def test_on_debian_as_root_the_engine_is_installed_even_when_only_the_client_is_there():
    host = NOTHING._replace(installed=("docker",), root=True, apt=True)
    assert engine.decide(host, None) == ("install", "docker")


def test_the_engine_the_user_named_is_not_replaced_by_one_that_answers():
    host = NOTHING._replace(
        installed=("docker", "podman"), answering=("docker",), root=True, apt=True, dockerd=True
    )
    with pytest.raises(Problem, match="podman is installed but `podman info` fails"):
        engine.decide(host, "podman")


def test_without_root_one_sentence_says_what_to_install():
    with pytest.raises(Problem) as problem:
        engine.decide(NOTHING._replace(apt=True), None)
    assert str(problem.value) == (
        "No container engine was found: install docker or podman so that `docker info` works for you."
    )


def test_an_unknown_engine_is_refused_by_name():
    with pytest.raises(Problem, match="TWINGUARD_ENGINE=lxc is not known: give docker or podman"):
        engine.decide(NOTHING, "lxc")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ID=debian\n", True),
        ('ID=linuxmint\nID_LIKE="ubuntu debian"\n', True),
        ("ID=fedora\n", False),
        ("ID=arch\n", False),
        ('ID="rhel"\nID_LIKE="fedora"\n', False),
    ],
)
def test_debian_and_its_descendants_are_told_from_others(text: str, expected: bool):
    assert engine.is_debian_like(text) is expected


def test_a_pid_that_belongs_to_another_program_is_not_ours_to_stop(
    tmp_path, monkeypatch: pytest.MonkeyPatch
):
    pidfile = tmp_path / "engine.pid"
    pidfile.write_text("1\n")
    monkeypatch.setattr(engine, "PIDFILE", pidfile)
    assert engine.our_pid() is None
    assert engine.stop() is False
    assert not pidfile.exists()


def test_only_this_checkouts_test_containers_count_as_left_behind():
    listing = "a1 twinguard-molecule-abc123\nb2 twinguard-demo\nc3 twinguard-molecule-ffffff\nd4\n"
    assert engine.left_behind(listing, "abc123") == ["a1"]
