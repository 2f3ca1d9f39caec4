# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import shutil
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
    before = vm_disk.recipe(BOOKWORM, False)
    assert vm_disk.recipe(BOOKWORM, False) == before
    assert vm_disk.recipe(BOOKWORM, True) != before
    assert vm_disk.recipe(TRIXIE, False) != before
    monkeypatch.setattr(vm_disk, "FILES", {**vm_disk.FILES, "etc/motd": "hello\n"})
    with_motd = vm_disk.recipe(BOOKWORM, False)
    assert with_motd != before
    monkeypatch.setattr(vm_disk, "PACKAGES", (*vm_disk.PACKAGES, "vim-tiny"))
    assert vm_disk.recipe(BOOKWORM, False) not in (before, with_motd)


def test_the_initial_file_system_is_decided_before_the_kernel_makes_it():
    command = vm_disk.bootstrap_command(BOOKWORM, "/o", "/t", "/k.pub", False)
    hooks = [word for word in command if "/o/initramfs/" in word]
    assert hooks == ['--essential-hook=cp -r /o/initramfs/. "$1"']
    assert command[-2:] == ["bookworm", "/t"]
    assert "linux-image-cloud-amd64" in " ".join(command)


def test_a_disk_for_user_mode_has_no_kernel_of_its_own(tmp_path: Path):
    command = vm_disk.bootstrap_command(BOOKWORM, "/o", "/t", "/k.pub", True)
    assert "linux-image" not in " ".join(command)
    disk = Disk(tmp_path)
    assert disk.user_mode
    disk.kernel.touch()
    assert not disk.user_mode


def test_only_the_packages_of_missing_programs_are_asked_for():
    found = dict.fromkeys(vm_disk.PROGRAMS, "/usr/bin/x")
    assert vm_disk.missing_packages(found) == []
    assert vm_disk.missing_packages({**found, "ssh": None, "ssh-keygen": None}) == [
        "openssh-client"
    ]
    assert vm_disk.missing_packages({**found, "mkfs.ext4": None, "mmdebstrap": None}) == [
        "e2fsprogs",
        "mmdebstrap",
    ]


def test_without_root_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("vm_disk.shutil.which", lambda name, path: None)
    monkeypatch.setattr("vm_disk.os.geteuid", lambda: 1000)
    with pytest.raises(Problem) as problem:
        vm_disk.ensure_programs()
    assert str(problem.value) == (
        "The test machine needs the packages e2fsprogs mmdebstrap openssh-client qemu-system-x86: "
        "install them, then run this again."
    )


def pretend_user_mode(place: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Have a program called like user-mode Linux, and no other."""
    program = place / vm_disk.USER_MODE
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{place}{os.pathsep}/usr/bin{os.pathsep}/bin")


def test_user_mode_is_chosen_where_its_kernel_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
):
    pretend_user_mode(tmp_path, monkeypatch, "echo 'Kernel panic: VFS: no root'; exit 134")
    assert vm_disk.ensure_user_mode("12")
    assert not vm_disk.ensure_user_mode("13"), "its kernel is that of Debian 12"
    assert capsys.readouterr().out == ""


def test_where_user_mode_does_not_run_one_sentence_says_so_and_qemu_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
):
    pretend_user_mode(tmp_path, monkeypatch, "echo 'ptrace: Operation not permitted'; exit 1")
    assert not vm_disk.ensure_user_mode("12")
    assert capsys.readouterr().out == (
        "Debian 12 runs under qemu, at twice the cost, without user-mode Linux: "
        "it does not run on this machine.\n"
    )


def test_where_user_mode_is_not_installed_one_sentence_says_so_and_qemu_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("vm_disk.can_install", lambda: False)
    assert not vm_disk.ensure_user_mode("12")
    assert "the package user-mode-linux is not installed" in capsys.readouterr().out


def test_where_user_mode_cannot_be_installed_the_reason_is_told_and_qemu_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
):
    def refuse(packages: list[str]) -> None:
        raise Problem(f"Could not install {packages[0]}:\nE: no such package")

    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("vm_disk.can_install", lambda: True)
    monkeypatch.setattr("vm_disk.install_packages", refuse)
    assert not vm_disk.ensure_user_mode("12")
    assert "Could not install user-mode-linux: E: no such package" in capsys.readouterr().out


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


def test_a_machine_is_reached_on_loopback_only_and_does_not_write_to_its_disk():
    disk = Disk(Path("/b,uild"))
    command = vm_qemu.qemu_command(disk, "t", 2222)
    assert "user,id=n0,hostfwd=tcp:127.0.0.1:2222-:22" in command
    assert " ".join(command).count("hostfwd") == 1
    # A comma ends a value of this option unless it is doubled.
    assert "file=/b,,uild/disk.img,if=virtio,format=raw,cache=unsafe,snapshot=on" in command


def test_so_does_a_machine_in_user_mode():
    uml, net = vm_qemu.user_mode_commands(Disk(Path("/b,u ild/vm/debian12-0")), "t", 2222, (7, 8))
    assert "ubd0=written,../debian12-0/disk.img" in uml
    assert "vec0:transport=fd,fd=8,vec=0" in uml
    assert "dgram,id=n1,local.type=fd,local.str=7" in net
    assert "user,id=n0,hostfwd=tcp:127.0.0.1:2222-:22" in net
    assert " ".join(net).count("hostfwd") == 1


@pytest.mark.skipif(shutil.which("ssh") is None, reason="ssh is not installed here yet")
def test_ssh_itself_reads_the_configuration_as_it_is_meant(tmp_path: Path):
    config = tmp_path / "ssh config"
    config.write_text(vm_qemu.ssh_config("one", 2345, Path("/b uild/id")))
    for name in (vm_qemu.HOST, f"{vm_qemu.HOST}-one"):
        ask = ["ssh", "-F", str(config), "-G", name]
        said = subprocess.run(ask, capture_output=True, text=True, check=True).stdout.splitlines()
        for line in ("hostname 127.0.0.1", "port 2345", "user root", "identityfile /b uild/id"):
            assert line in said


def test_a_process_that_only_has_the_number_of_a_machine_is_not_ended(
    place: Path, pretender: subprocess.Popen[bytes]
):
    one = vm_qemu.machine("one")
    one.folder.mkdir()
    (one.folder / "pids").write_text(f"{pretender.pid}\n")
    assert vm_qemu.pids_of(one) == []
    assert vm_qemu.stop(one) is False
    assert pretender.poll() is None
    assert not one.folder.exists()


@pytest.mark.parametrize("word", ["{}", "umid={}"], ids=["qemu", "user mode"])
def test_ending_a_machine_ends_its_processes_and_forgets_how_to_reach_it(
    place: Path, capsys, word: str
):
    one = vm_qemu.machine("one")
    one.folder.mkdir()
    one.ssh_config.write_text(vm_qemu.ssh_config("one", 1, place / "id"))
    one.console.touch()
    sleep = "import sys, time; time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", sleep, word.format(one.title)]) as process:
        try:
            # One of its processes may have ended before; that does not hide the other.
            (one.folder / "pids").write_text(f"999999999\n{process.pid}\n")
            # The kernel shows a new process's arguments a moment after it has begun.
            assert wait_for(lambda: vm_qemu.pids_of(one) == [process.pid], 30)
            vm.down([])
            assert process.wait(30) != 0
        finally:
            process.kill()
    assert not one.folder.exists()
    assert "Test machines thrown away: one." in capsys.readouterr().out
    vm.down([])
    assert "none ran" in capsys.readouterr().out


def test_qemu_that_does_not_start_is_told_in_its_own_words(
    place: Path, monkeypatch: pytest.MonkeyPatch
):
    broken = place / "qemu-system-x86_64"
    broken.write_text("#!/bin/sh\necho 'Could not set up host forwarding rule' >&2\nexit 1\n")
    broken.chmod(0o755)
    disk = Disk(place)
    disk.kernel.touch()
    monkeypatch.setenv("PATH", f"{place}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(vm, "up", lambda release: disk)
    with pytest.raises(Problem, match=r"it ended\. .*\nCould not set up host forwarding rule"):
        vm.restore("one", "12")
    assert not vm_qemu.machine("one").ssh_config.exists()


def test_a_machine_that_fails_to_come_up_leaves_no_process(
    place: Path, monkeypatch: pytest.MonkeyPatch
):
    one = vm_qemu.machine("one")
    program = "import sys, time; time.sleep(600)"
    started: list[subprocess.Popen[bytes]] = []

    def start(machine: vm_qemu.Machine, _disk: Disk) -> None:
        machine.folder.mkdir()
        machine.console.write_text("Kernel panic - not syncing\n")
        process = subprocess.Popen([sys.executable, "-c", program, machine.title])
        started.append(process)
        (machine.folder / "pids").write_text(str(process.pid))
        assert wait_for(lambda: vm_qemu.pids_of(machine) == [process.pid], 30)

    monkeypatch.setattr(vm, "up", lambda release: Disk(place))
    monkeypatch.setattr(vm, "start", start)
    monkeypatch.setattr(vm, "BOOT_SECONDS", 0.0)
    monkeypatch.setattr(vm_qemu, "ssh", lambda *words: False)
    with pytest.raises(Problem, match=r"not ready within.*\n.*Kernel panic"):
        vm.restore("one", "12")
    assert started[0].wait(30) != 0
    assert vm_qemu.pids_of(one) == []


def test_a_machine_of_which_one_process_has_ended_is_not_waited_for(
    place: Path, monkeypatch: pytest.MonkeyPatch
):
    one = vm_qemu.machine("one")
    one.folder.mkdir()
    one.console.write_text("Kernel panic - not syncing\n")
    monkeypatch.setattr(vm_qemu, "ssh", lambda *words: False)
    sleep = "import sys, time; time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", sleep, one.title]) as network:
        try:
            (one.folder / "pids").write_text(f"999999999\n{network.pid}\n")
            assert wait_for(lambda: vm_qemu.pids_of(one) == [network.pid], 30)
            with pytest.raises(Problem, match="it ended"):
                vm_qemu.wait_until(one, "true", 600.0)
        finally:
            network.kill()


@pytest.mark.parametrize(
    "words", [[], ["up"], ["restore"], ["restore", "a", "b"], ["restore", "a", "--release", "11"]]
)
def test_words_that_mean_nothing_are_answered_with_the_usage(words: list[str], capsys):
    with pytest.raises(SystemExit) as ended:
        vm._body(words)
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("usage: ")


def test_the_help_names_every_command_and_the_host(capsys):
    with pytest.raises(SystemExit) as ended:
        vm._body(["--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    for word in ("restore NAME", "down", f"-i {vm_qemu.HOST}-NAME,"):
        assert word in said
