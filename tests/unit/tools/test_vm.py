# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Iterator

import pytest
import vm
import vm_disk
import vm_qemu
from image import SUITES
from vm_disk import Disk
from workshop import Problem, wait_for

BOOKWORM, TRIXIE = SUITES


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of machines that is not the checkout's own."""
    for module in (vm, vm_disk, vm_qemu):
        monkeypatch.setattr(module, "VMS", tmp_path)
    return tmp_path


@pytest.fixture
def pretender(place: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is no machine of ours."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as process:
        yield process
        process.kill()


def test_the_disk_is_built_anew_when_anything_on_it_changes(monkeypatch: pytest.MonkeyPatch):
    before = vm_disk.recipe(BOOKWORM)
    assert vm_disk.recipe(BOOKWORM) == before
    assert vm_disk.recipe(TRIXIE) != before
    monkeypatch.setattr(vm_disk, "FILES", {**vm_disk.FILES, "etc/motd": "hello\n"})
    with_motd = vm_disk.recipe(BOOKWORM)
    assert with_motd != before
    monkeypatch.setattr(vm_disk, "PACKAGES", (*vm_disk.PACKAGES, "vim-tiny"))
    assert vm_disk.recipe(BOOKWORM) not in (before, with_motd)


def test_a_frozen_machine_is_not_thawed_by_another_qemu_nor_on_other_hardware(
    monkeypatch: pytest.MonkeyPatch,
):
    before = vm.frozen_name("12", "QEMU emulator version 7.2.22")
    assert vm.frozen_name("12", "QEMU emulator version 7.2.22") == before
    assert vm.frozen_name("12", "QEMU emulator version 10.0.2") != before
    assert vm.frozen_name("13", "QEMU emulator version 7.2.22") != before
    monkeypatch.setattr(vm, "HARDWARE", (*vm_qemu.HARDWARE, "-device", "virtio-balloon"))
    assert vm.frozen_name("12", "QEMU emulator version 7.2.22") != before


def test_the_initial_file_system_is_decided_before_the_kernel_makes_it():
    command = vm_disk.bootstrap_command(BOOKWORM, "/o", "/t", "/k.pub")
    hooks = [word for word in command if "/o/initramfs/" in word]
    assert hooks == ['--essential-hook=cp -r /o/initramfs/. "$1"']
    assert command[-2:] == ["bookworm", "/t"]


def test_a_release_without_a_test_machine_is_refused_with_those_that_have_one():
    with pytest.raises(Problem, match="no test machine with Debian 11: the releases are 12 and 13"):
        vm_disk.suite_of("11")


def test_only_the_packages_of_missing_programs_are_asked_for():
    found = dict.fromkeys(vm_disk.PROGRAMS, "/usr/bin/x")
    assert vm_disk.missing_packages(found) == []
    assert vm_disk.missing_packages({**found, "ssh": None, "ssh-keygen": None}) == [
        "openssh-client"
    ]
    assert vm_disk.missing_packages({**found, "mkfs.ext4": None, "zstd": None}) == [
        "e2fsprogs",
        "zstd",
    ]


def test_without_root_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("vm_disk.shutil.which", lambda name, path: None)
    monkeypatch.setattr("vm_disk.os.geteuid", lambda: 1000)
    with pytest.raises(Problem) as problem:
        vm_disk.ensure_programs()
    assert str(problem.value) == (
        "The test machine needs the packages e2fsprogs mmdebstrap openssh-client qemu-system-x86 zstd: "
        "install them, then run this again."
    )


@pytest.mark.parametrize("name", ["", "..", "a/b", "-x", "a b", "debian12-0123", "x" * 60])
def test_a_name_that_is_no_folder_of_its_own_is_refused(name: str):
    with pytest.raises(Problem, match="A machine cannot be called"):
        vm_qemu.machine(name)


def test_two_checkouts_do_not_take_each_others_machines_for_their_own(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv("TG_ID", "one")
    mine = vm_qemu.machine("molecule").title
    monkeypatch.setenv("TG_ID", "two")
    assert vm_qemu.machine("molecule").title != mine


def test_the_machine_is_reached_on_loopback_only_and_does_not_write_to_the_frozen_disk():
    disk = Disk(Path("/b,uild"))
    thawed = vm_qemu.qemu_command(disk, "t", 2222, keep=False, state=Path("/b,uild/st ate.zst"))
    words = " ".join(thawed)
    assert "user,id=n0,hostfwd=tcp:127.0.0.1:2222-:22" in thawed
    assert words.count("hostfwd") == 1
    # A comma ends a value of this option unless it is doubled; the other is a shell command.
    assert "file=/b,,uild/disk.img,if=virtio,format=raw,cache=unsafe,snapshot=on" in thawed
    assert thawed[-2:] == ["-incoming", "exec:zstd -dcq '/b,uild/st ate.zst'"]
    kept = vm_qemu.qemu_command(disk, "t", 2222, keep=True, state=None)
    assert "snapshot" not in " ".join(kept)
    assert "-incoming" not in kept


@pytest.mark.skipif(shutil.which("ssh") is None, reason="ssh is not installed here yet")
def test_ssh_itself_reads_the_configuration_as_it_is_meant(tmp_path: Path):
    config = tmp_path / "ssh config"
    config.write_text(vm_qemu.ssh_config("one", 2345, Path("/b uild/id"), Path("/tmp/c")))
    for name in (vm_qemu.HOST, f"{vm_qemu.HOST}-one"):
        ask = ["ssh", "-F", str(config), "-G", name]
        said = subprocess.run(ask, capture_output=True, text=True, check=True).stdout.splitlines()
        for line in ("hostname 127.0.0.1", "port 2345", "user root", "identityfile /b uild/id"):
            assert line in said
    assert vm_qemu.setting(config.read_text(), "ControlPath") == "/tmp/c/%C"
    assert vm_qemu.setting(config.read_text(), "IdentityFile") == "/b uild/id"
    assert vm_qemu.setting(config.read_text(), "Compression") is None


def test_a_port_in_use_is_not_chosen_and_one_that_was_kept_is():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        busy = taken.getsockname()[1]
        assert vm_qemu.free_port(str(busy)) != busy
        free = vm_qemu.free_port(None)
        assert vm_qemu.free_port(str(free)) == free


def test_a_process_that_only_has_the_number_of_a_machine_is_not_ended(
    place: Path, pretender: subprocess.Popen[bytes]
):
    one = vm_qemu.machine("one")
    one.folder.mkdir()
    (one.folder / "qemu.pid").write_text(f"{pretender.pid}\n")
    assert vm_qemu.pid_of(one) is None
    assert vm_qemu.stop(one) is False
    assert pretender.poll() is None
    assert not (one.folder / "qemu.pid").exists()


def test_ending_a_machine_ends_its_process_and_forgets_how_to_reach_it(place: Path, capsys):
    one = vm_qemu.machine("one")
    one.folder.mkdir()
    control = place / "control"
    control.mkdir()
    one.ssh_config.write_text(vm_qemu.ssh_config("one", 1, place / "id", control))
    (one.folder / "serial.log").touch()
    sleep = "import sys, time; time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", sleep, one.title]) as process:
        try:
            (one.folder / "qemu.pid").write_text(f"{process.pid}\n")
            # The kernel shows a new process's arguments a moment after it has begun.
            assert wait_for(lambda: vm_qemu.pid_of(one) == process.pid, 30)
            vm.down([])
            assert process.wait(30) != 0
        finally:
            process.kill()
    assert not one.ssh_config.exists()
    assert not control.exists()
    assert "Test machines thrown away: one." in capsys.readouterr().out
    vm.down([])
    assert "none ran" in capsys.readouterr().out


def test_qemu_that_does_not_start_is_told_in_its_own_words(
    place: Path, monkeypatch: pytest.MonkeyPatch
):
    broken = place / "qemu-system-x86_64"
    broken.write_text("#!/bin/sh\necho 'Could not set up host forwarding rule' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{place}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(
        Problem, match=r"did not start the machine one: Could not set up host forwarding rule"
    ):
        vm_qemu.start(vm_qemu.machine("one"), Disk(place))
    assert not vm_qemu.machine("one").ssh_config.exists()


def test_a_machine_that_fails_to_come_up_leaves_no_process(
    place: Path, monkeypatch: pytest.MonkeyPatch
):
    one = vm_qemu.machine("one")
    program = "import sys, time; time.sleep(600)"
    started: list[subprocess.Popen[bytes]] = []

    def start(machine: vm_qemu.Machine, *_unused: object, **_more: object) -> None:
        machine.folder.mkdir()
        (machine.folder / "serial.log").write_text("Kernel panic - not syncing\n")
        process = subprocess.Popen([sys.executable, "-c", program, machine.title])
        started.append(process)
        (machine.folder / "qemu.pid").write_text(str(process.pid))
        assert wait_for(lambda: vm_qemu.pid_of(machine) == process.pid, 30)

    monkeypatch.setattr(vm, "up", lambda release: Disk(place))
    monkeypatch.setattr(vm, "start", start)
    monkeypatch.setattr(vm, "state_of", lambda machine: "running")
    monkeypatch.setattr(vm, "monitor", lambda *words: None)
    monkeypatch.setattr(vm, "RESTORE_SECONDS", 0.0)
    monkeypatch.setattr(vm_qemu, "ssh", lambda *words: False)
    with pytest.raises(Problem, match=r"nobody could log in.*\n.*Kernel panic"):
        vm.restore("one", "12")
    assert started[0].wait(30) != 0
    assert vm_qemu.pid_of(one) is None


@pytest.mark.parametrize(
    "words", [[], ["up", "x"], ["restore"], ["restore", "a", "b"], ["status", "x"], ["ssh"]]
)
def test_words_that_mean_nothing_are_answered_with_the_usage(words: list[str]):
    with pytest.raises(Problem, match=r"^Usage: vm\.py up"):
        vm._body(words)


def test_the_release_is_taken_out_of_the_words_wherever_it_stands():
    assert vm._release(["--release", "13", "one"]) == (["one"], "13")
    assert vm._release(["one", "--release", "13"]) == (["one"], "13")
    assert vm._release(["one"]) == (["one"], "12")
    assert vm._release(["one", "--release"]) == (["one"], "")


def test_the_help_names_every_command_and_the_host(capsys):
    assert vm._body(["--help"]) == 0
    said = capsys.readouterr().out
    for word in ("up", "restore NAME", "ssh NAME", "down", "status", f"-i {vm_qemu.HOST}-NAME,"):
        assert word in said
