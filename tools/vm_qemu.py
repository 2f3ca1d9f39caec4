# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run one test machine under qemu: start, reach and end it. `vm.py` decides when."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import engine as engines
from vm_disk import VMS, Disk
from workshop import Problem, wait_for

HOST = "tgm-audit-vm"
KERNEL_ARGUMENTS = "root=/dev/vda rw console=ttyS0 loglevel=4 mitigations=off audit=1"
# All that must be equal in the machine that was frozen and the one that thaws.
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
    return [machine(path.parent.name) for path in sorted(VMS.glob("*/serial.log"))]


def qemu_command(disk: Disk, title: str, port: int, *, keep: bool, state: Path | None) -> list[str]:
    """Return how qemu is started; ``keep`` writes to the disk itself, ``state`` thaws a frozen machine."""
    # qemu ends a value at a comma unless it is doubled.
    image = str(disk.image).replace(",", ",,")
    drive = f"file={image},if=virtio,format=raw,cache=unsafe"
    argv = ["qemu-system-x86_64", "-name", title, *HARDWARE]
    argv += ["-kernel", str(disk.kernel), "-initrd", str(disk.initrd), "-append", KERNEL_ARGUMENTS]
    argv += ["-drive", drive if keep else f"{drive},snapshot=on"]
    argv += ["-netdev", f"user,id=n0,hostfwd=tcp:127.0.0.1:{port}-:22"]
    # Relative to the machine's folder: the path of a socket must not be longer than about 100 bytes.
    argv += ["-serial", "file:serial.log", "-pidfile", "qemu.pid"]
    argv += ["-qmp", "unix:monitor.sock,server=on,wait=off"]
    if state is not None:
        argv += ["-incoming", f"exec:zstd -dcq {shlex.quote(str(state))}"]
    return argv


def ssh_config(name: str, port: int, key: Path, control: Path) -> str:
    """Return the text of the configuration by which ssh finds the machine."""
    lines = [
        # Ansible keeps its connections by the host's name, so two machines need two names.
        f"Host {HOST} {HOST}-{name}",
        *("  HostName 127.0.0.1", f"  Port {port}", "  User root"),
        *(f'  IdentityFile "{key}"', "  IdentitiesOnly yes", "  BatchMode yes"),
        # The host's key is made anew with each disk and seen only on loopback.
        *("  StrictHostKeyChecking no", "  UserKnownHostsFile /dev/null", "  LogLevel ERROR"),
        *("  ConnectTimeout 15", "  ServerAliveInterval 20"),
        *("  ControlMaster auto", f"  ControlPath {control}/%C", "  ControlPersist 120"),
    ]
    return "\n".join(lines) + "\n"


def setting(text: str, name: str) -> str | None:
    """Return a setting's value from such a configuration."""
    found = re.search(rf"^\s+{name} (.+)$", text, re.MULTILINE)
    return found[1].strip('"') if found else None


def free_port(wish: str | None) -> int:
    """Return a free port on loopback, the wished-for one if it is free."""
    for port in (int(wish or 0), 0):
        with socket.socket() as probe:
            # As qemu does: connections that have just ended do not keep the port.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise Problem("No port is free on 127.0.0.1.")


def pid_of(vm: Machine) -> int | None:
    """Return the machine's process; a number alone proves nothing, so the process must carry its title."""
    try:
        pid = int((vm.folder / "qemu.pid").read_text(encoding="ascii"))
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return None
    return pid if vm.title.encode() in words else None


def monitor(vm: Machine, command: str, **arguments: Any) -> Any:
    """Have qemu do one command of its machine protocol and return the answer."""
    folder = os.open(vm.folder, os.O_RDONLY)
    try:
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(60)
            link.connect(f"/proc/self/fd/{folder}/monitor.sock")
            with link.makefile("rwb") as stream:
                stream.readline()
                answer: dict[str, Any] = {}
                for name, given in (("qmp_capabilities", {}), (command, arguments)):
                    stream.write(json.dumps({"execute": name, "arguments": given}).encode() + b"\n")
                    stream.flush()
                    # Events come in between.
                    answer = json.loads(stream.readline())
                    while "event" in answer:
                        answer = json.loads(stream.readline())
    finally:
        os.close(folder)
    if "error" in answer:
        raise Problem(f"The machine {vm.name} did not {command}: {answer['error']['desc']}.")
    return answer["return"]


def state_of(vm: Machine) -> str:
    """Return what qemu says of the machine; empty while it does not answer yet."""
    try:
        return str(monitor(vm, "query-status")["status"])
    except (OSError, ValueError):
        return ""


def start(vm: Machine, disk: Disk, *, keep: bool = False, state: Path | None = None) -> None:
    """Start qemu and write how ssh reaches the machine.

    :raises Problem: with qemu's own words when it does not run.
    """
    vm.folder.mkdir(parents=True, exist_ok=True)
    old = vm.folder / "port"
    port = free_port(old.read_text("ascii") if old.exists() else None)
    old.write_text(str(port), encoding="ascii")
    log = vm.folder / "qemu.log"
    command = qemu_command(disk, vm.title, port, keep=keep, state=state)
    with log.open("wb") as file:
        # A session of its own: it outlives this command.
        process = subprocess.Popen(
            command,
            cwd=vm.folder,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    try:
        wait_for(lambda: process.poll() is not None or state_of(vm) != "", 60.0, 0.1)
    finally:
        answers = process.poll() is None and state_of(vm) != ""
        if not answers:
            process.kill()
            process.wait()
    if not answers:
        words = log.read_text("utf-8", "replace").strip()
        raise Problem(f"qemu did not start the machine {vm.name}: {words or 'it said nothing'}")
    control = Path(tempfile.mkdtemp(prefix="tgvm-"))
    vm.ssh_config.write_text(
        ssh_config(vm.name, port, disk.folder / "id", control), encoding="utf-8"
    )


def stop(vm: Machine) -> bool:
    """Throw the machine away; return whether it ran."""
    if vm.ssh_config.exists():
        control = setting(vm.ssh_config.read_text("utf-8"), "ControlPath")
        leave = ["ssh", "-F", str(vm.ssh_config), "-O", "exit", HOST]
        subprocess.run(leave, capture_output=True, check=False)
        vm.ssh_config.unlink()
        if control:
            shutil.rmtree(Path(control).parent, ignore_errors=True)
    pid = pid_of(vm)
    if pid is not None:
        os.kill(pid, signal.SIGTERM)
        if not wait_for(lambda: pid_of(vm) is None, 10.0, 0.05):
            os.kill(pid, signal.SIGKILL)
            wait_for(lambda: pid_of(vm) is None, 10.0, 0.05)
    for name in ("qemu.pid", "monitor.sock", "serial.log"):
        (vm.folder / name).unlink(missing_ok=True)
    return pid is not None


def ssh(vm: Machine, command: str, seconds: float = 60.0) -> bool:
    """Tell whether a command works on the machine, over a connection of its own."""
    argv = ["ssh", "-F", str(vm.ssh_config), "-o", "ControlMaster=no", "-o", "ControlPath=none"]
    # Slow to answer is the rule while it starts; a lost connection would be waited for in vain.
    argv += ["-o", "ConnectTimeout=5", HOST, command]
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=seconds
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def console(vm: Machine) -> str:
    """Return the end of what the guest said on its console."""
    lines = (vm.folder / "serial.log").read_text("utf-8", "replace").splitlines()
    return "\n".join(lines[-8:])


def wait_for_ssh(vm: Machine, seconds: float) -> None:
    """Wait until one can log in.

    :raises Problem: with the end of the console when that does not happen in time.
    """
    wait_for(lambda: pid_of(vm) is None or ssh(vm, "true", 20.0), seconds)
    if pid_of(vm) is not None and ssh(vm, "true"):
        return
    why = "qemu ended" if pid_of(vm) is None else f"nobody could log in within {seconds:.0f} s"
    raise Problem(f"The machine {vm.name} did not come up: {why}.\n{console(vm)}")
