# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run one test machine, under qemu or as user-mode Linux: start, reach and end it. `vm.py` decides when."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

import engine as engines
from vm_disk import USER_MODE, VMS, Disk
from workshop import Problem, wait_for

HOST = "tgm-audit-vm"
# A busy host makes the guest slow, so no unit is given up early; and nobody logs in on the console.
KERNEL_ARGUMENTS = (
    "root=/dev/{disk} rw console={console} loglevel=4 mitigations=off audit=1 "
    "systemd.mask=serial-getty@ttyS0.service systemd.default_timeout_start_sec=900"
)
HARDWARE = (
    *("-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "Nehalem", "-smp", "2"),
    *("-m", "768", "-nodefaults", "-no-user-config", "-display", "none"),
    *("-device", "virtio-net-pci,netdev=n0,romfile=", "-device", "virtio-rng-pci"),
)


class Machine(NamedTuple):
    """One machine: a folder with what belongs to it while it runs."""

    folder: Path
    title: str

    @property
    def name(self) -> str:
        """Return the name it was given."""
        return self.folder.name

    @property
    def ssh_config(self) -> Path:
        """Return how ssh finds it; there is one only while it runs."""
        return self.folder / "ssh_config"

    @property
    def console(self) -> Path:
        """Return what the guest, or what runs it, wrote to its console."""
        return self.folder / "console.log"


def machine(name: str) -> Machine:
    """Return the machine of that name, running or not.

    :raises Problem: for a name that cannot be one.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9-]{0,40}", name) or name.startswith("debian"):
        raise Problem(
            f"A machine cannot be called {name!r}: use letters, digits and -, and do not begin with debian."
        )
    return Machine(VMS / name, f"twinguard-vm-{engines.checkout_id(os.environ)}-{name}")


def machines() -> list[Machine]:
    """Return all machines that were ever started and not removed since."""
    return [machine(path.parent.name) for path in sorted(VMS.glob("*/console.log"))]


def qemu_command(disk: Disk, title: str, port: int) -> list[str]:
    """Return how a machine with an emulated processor is started; nothing it writes reaches the disk."""
    # qemu ends a value at a comma unless it is doubled.
    image = str(disk.image).replace(",", ",,")
    kernel = KERNEL_ARGUMENTS.format(disk="vda", console="ttyS0")
    argv = ["qemu-system-x86_64", "-name", title, *HARDWARE, "-serial", "stdio"]
    argv += ["-kernel", str(disk.kernel), "-initrd", str(disk.folder / "initrd.img")]
    argv += ["-drive", f"file={image},if=virtio,format=raw,cache=unsafe,snapshot=on"]
    argv += ["-append", kernel]
    return [*argv, "-netdev", f"user,id=n0,hostfwd=tcp:127.0.0.1:{port}-:22"]


def user_mode_commands(
    disk: Disk, title: str, port: int, wires: tuple[int, int]
) -> list[list[str]]:
    """Return how user-mode Linux is started, and the qemu that joins it to the port; ``wires`` are between them."""
    net = ["qemu-system-x86_64", "-name", title, "-machine", "none", "-display", "none"]
    for word in (
        f"user,id=n0,hostfwd=tcp:127.0.0.1:{port}-:22",
        f"dgram,id=n1,local.type=fd,local.str={wires[0]}",
        *(f"hubport,id=h{number},hubid=0,netdev=n{number}" for number in "01"),
    ):
        net += ["-netdev", word]
    # Relative to the machine's folder, as its arguments may hold neither a space nor a comma. It writes to "written".
    uml = [USER_MODE, f"umid={title}", "uml_dir=./", "mem=512M"]
    uml += [f"ubd0=written,../{disk.folder.name}/{disk.image.name}"]
    uml += [f"vec0:transport=fd,fd={wires[1]},vec=0", "con=null", "con0=null,fd:1"]
    return [[*uml, *KERNEL_ARGUMENTS.format(disk="ubda", console="tty0").split()], net]


def ssh_config(name: str, port: int, key: Path) -> str:
    """Return the text of the configuration by which ssh finds the machine."""
    lines = [
        # Ansible keeps its connections by the host's name, so two machines need two names.
        f"Host {HOST} {HOST}-{name}",
        *("  HostName 127.0.0.1", f"  Port {port}", "  User root"),
        *(f'  IdentityFile "{key}"', "  IdentitiesOnly yes", "  BatchMode yes"),
        # The host's key is made anew with each disk and seen only on loopback.
        *("  StrictHostKeyChecking no", "  UserKnownHostsFile /dev/null", "  LogLevel ERROR"),
        *("  ConnectTimeout 15", "  ServerAliveInterval 20"),
    ]
    return "\n".join(lines) + "\n"


def pids_of(vm: Machine) -> list[int]:
    """Return the machine's processes; a number alone proves nothing, so each must carry its title."""
    file, found = vm.folder / "pids", []
    for pid in file.read_text(encoding="ascii").split() if file.exists() else []:
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if vm.title.encode() in words or f"umid={vm.title}".encode() in words:
            found.append(int(pid))
    return found


def start(vm: Machine, disk: Disk) -> None:
    """Start the machine's processes and write how ssh reaches it."""
    vm.folder.mkdir(parents=True, exist_ok=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    wires = (one.fileno(), other.fileno())
    commands = [qemu_command(disk, vm.title, port)]
    if disk.user_mode:
        commands = user_mode_commands(disk, vm.title, port, wires)
    vm.ssh_config.write_text(ssh_config(vm.name, port, disk.folder / "id"), encoding="utf-8")
    pidfile = vm.folder / "pids"
    with one, other, vm.console.open("wb") as file, pidfile.open("w") as pids:
        for command in commands:
            # Sessions of their own: they outlive this command.
            process = subprocess.Popen(
                command,
                cwd=vm.folder,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
                pass_fds=wires,
            )
            print(process.pid, file=pids, flush=True)


def stop(vm: Machine) -> bool:
    """Throw the machine away; return whether it ran."""
    ran = bool(pids_of(vm))
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in pids_of(vm):
            os.kill(pid, number)
        if wait_for(lambda: not pids_of(vm), 10.0, 0.05):
            break
    shutil.rmtree(vm.folder, ignore_errors=True)
    return ran


def ssh(vm: Machine, command: str, seconds: float = 60.0) -> bool:
    """Tell whether a command works on the machine."""
    # Slow to answer is the rule while it starts; a lost connection would be waited for in vain.
    argv = ["ssh", "-F", str(vm.ssh_config), "-o", "ConnectTimeout=5", HOST, command]
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=seconds
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def wait_until(vm: Machine, ready: str, seconds: float) -> None:
    """Wait until one can log in and this command ends well; a Problem tells the end of the console if not."""
    began, started = time.monotonic(), (vm.folder / "pids").read_text("ascii").split()

    def runs() -> bool:
        # User-mode Linux begins by executing itself anew, and has no arguments for a moment.
        return wait_for(lambda: len(pids_of(vm)) == len(started), 2.0)

    wait_for(lambda: not runs() or ssh(vm, "true", 20.0), seconds, 1.0)
    if runs() and ssh(vm, ready, max(20.0, began + seconds - time.monotonic())):
        return
    why = f"it was not ready within {seconds:.0f} s" if runs() else "it ended"
    end = "\n".join(vm.console.read_text("utf-8", "replace").splitlines()[-8:])
    raise Problem(f"The machine {vm.name} did not come up: {why}. Its console ends:\n{end}")
