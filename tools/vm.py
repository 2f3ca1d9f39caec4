# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Test machines with a kernel of their own: Debian under qemu, without hardware help, on loopback only.

    vm.py up [--release 12|13]             build the disk, boot it once and freeze it: 2 to 3 minutes, then never again
                                           until the recipe changes (the other commands do this by themselves)
    vm.py restore NAME [--release 12|13]   start machine NAME from the frozen state: a few seconds; a machine of that
                                           name that already runs is thrown away first, with all that was done to it
    vm.py ssh NAME [COMMAND ...]           run a command on it as root, or open a shell
    vm.py down [NAME ...]                  throw machines away; without a name: all of this checkout
    vm.py status                           list the machines of this checkout

Any number of machines can run at once; each is a name you choose (letters, digits, "-") and starts from the same frozen
Debian with systemd, sshd, python3, auditd (running) and nothing else. Two cores, 768 MB; about 1 s per command,
4 s per Ansible task. Nothing is ever written to the frozen disk.

After `vm.py restore NAME` the host is called tgm-audit-vm in .build/vm/NAME/ssh_config:

    ssh  -F .build/vm/NAME/ssh_config tgm-audit-vm 'auditctl -s'
    scp  -F .build/vm/NAME/ssh_config file tgm-audit-vm:/root/
    ansible all -i tgm-audit-vm-NAME, -e ansible_ssh_common_args='-F .build/vm/NAME/ssh_config' -m ping

Ansible must call it tgm-audit-vm-NAME: it keeps connections by name and would take one machine for another.
A reboot (`systemctl reboot`) takes about 30 s; the disk keeps what was written until `down` or the next `restore`.
The guest's console is .build/vm/NAME/serial.log.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shlex
import shutil
import signal
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, Sequence

import vm_disk
from vm_disk import VMS, Disk
from vm_qemu import (
    HARDWARE,
    HOST,
    KERNEL_ARGUMENTS,
    Machine,
    console,
    machine,
    machines,
    monitor,
    pid_of,
    ssh,
    start,
    state_of,
    stop,
    wait_for_ssh,
)
from workshop import Problem, main, run, say, wait_for

BOOT_SECONDS = 300.0
FREEZE_SECONDS = 180.0
# On two slow cores that others use as well, a restored machine may need half a minute.
RESTORE_SECONDS = 120.0


def frozen_name(release: str, qemu_version: str) -> str:
    """Return the folder of a release's frozen machine; it changes with all that makes it unusable."""
    recipe = vm_disk.recipe(vm_disk.suite_of(release))
    parts = "\0".join([recipe, KERNEL_ARGUMENTS, *HARDWARE, qemu_version])
    return f"debian{release}-{hashlib.sha256(parts.encode()).hexdigest()[:12]}"


@contextmanager
def locked(path: Path, waiting_for: str) -> Iterator[None]:
    """Let one process at a time do this."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"Waiting for another process that {waiting_for} ...")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def freeze(release: str, target: Path) -> None:
    """Build a disk, boot it, and keep disk and memory as they are then."""
    scratch = Path(tempfile.mkdtemp(prefix=f"new-debian{release}-", dir=VMS))
    vm = machine(f"freezer-{release}")
    stop(vm)
    try:
        disk = vm_disk.build(vm_disk.suite_of(release), scratch)
        began = time.monotonic()
        say("Booting it once ...")
        start(vm, disk, keep=True)
        wait_for_ssh(vm, BOOT_SECONDS)
        # Nothing may be half started in the frozen state, and what the guest's cache holds would only be ballast.
        settle = "systemctl is-system-running --wait >/run/up; grep -qx running /run/up && "
        settle += "pgrep -x auditd && sync && echo 3 > /proc/sys/vm/drop_caches"
        if not ssh(vm, settle, BOOT_SECONDS):
            raise Problem(
                f"Debian {release} booted, but not all of its services run.\n{console(vm)}"
            )
        say(f"Booted in {time.monotonic() - began:.0f} s; freezing it ...")
        monitor(vm, "stop")
        state = shlex.quote(str(scratch / "state.zst"))
        monitor(vm, "migrate", uri=f"exec:zstd -q -1 -f -o {state}")
        ends = ("completed", "failed", "cancelled")
        wait_for(lambda: monitor(vm, "query-migrate")["status"] in ends, FREEZE_SECONDS)
        status = monitor(vm, "query-migrate")["status"]
        if status != "completed":
            raise Problem(f"The machine could not be frozen: qemu calls the transfer {status}.")
        stop(vm)
        # Only a whole one gets the name under which it is looked for.
        scratch.rename(target)
    finally:
        stop(vm)
        shutil.rmtree(vm.folder, ignore_errors=True)
        shutil.rmtree(scratch, ignore_errors=True)


def up(release: str) -> Disk:
    """Have the release's frozen machine, making it where it is not there."""
    vm_disk.suite_of(release)
    vm_disk.ensure_programs()
    version = run(["qemu-system-x86_64", "--version"], "ask qemu its version", quiet=True)
    target = VMS / frozen_name(release, version)
    with locked(VMS / "lock", "builds a test machine"):
        if not target.is_dir():
            for old in [*VMS.glob(f"debian{release}-*"), *VMS.glob(f"new-debian{release}-*")]:
                shutil.rmtree(old)
            freeze(release, target)
    return Disk(target)


def _thaw(vm: Machine, disk: Disk) -> None:
    start(vm, disk, state=disk.folder / "state.zst")
    waiting = ("", "inmigrate", "finish-migrate")
    wait_for(lambda: state_of(vm) not in waiting, RESTORE_SECONDS, 0.1)
    # It was frozen standing still.
    monitor(vm, "cont")
    wait_for_ssh(vm, RESTORE_SECONDS)
    # Its clock went on from where it was frozen.
    if not ssh(vm, f"date -s @{time.time():.0f}"):
        raise Problem(f"The clock of the machine {vm.name} could not be set.")


def restore(name: str, release: str) -> Machine:
    """Start a machine from the frozen state; one of that name that runs is thrown away."""
    vm, disk = machine(name), up(release)
    with locked(VMS / f"{name}.lock", f"starts or ends the machine {name}"):
        began = time.monotonic()
        stop(vm)
        try:
            _thaw(vm, disk)
        except BaseException:
            stop(vm)
            raise
    say(f"{name} is up after {time.monotonic() - began:.1f} s: ssh -F {vm.ssh_config} {HOST}")
    return vm


def down(names: Sequence[str]) -> None:
    """Throw the named machines away, or all."""
    ended = []
    for vm in [machine(name) for name in names] or machines():
        with locked(VMS / f"{vm.name}.lock", f"starts or ends the machine {vm.name}"):
            if stop(vm):
                ended.append(vm.name)
    say(f"Test machines thrown away: {', '.join(ended) or 'none, as none ran'}.")


def status() -> None:
    """List the machines."""
    for path in sorted(VMS.glob("debian*-*/state.zst")):
        say(f"{path.parent.name}  frozen, {path.stat().st_size / 1e6:.0f} MB of memory")
    for vm in machines():
        pid = pid_of(vm)
        say(f"{vm.name}  {f'runs as process {pid}, {vm.ssh_config}' if pid else 'does not run'}")


def _release(arguments: list[str]) -> tuple[list[str], str]:
    """Return the arguments without --release, and its value."""
    if "--release" not in arguments:
        return arguments, "12"
    at = arguments.index("--release")
    return arguments[:at] + arguments[at + 2 :], "".join(arguments[at + 1 : at + 2])


def _body(arguments: list[str]) -> int:
    command, rest = (arguments[0], arguments[1:]) if arguments else ("", [])
    # A machine that was being started is thrown away on this signal too.
    signal.signal(signal.SIGTERM, lambda *_unused: sys.exit(143))
    if command in ("-h", "--help", "help"):
        say((__doc__ or "").rstrip())
    elif command == "ssh" and rest:
        vm = machine(rest[0])
        if pid_of(vm) is None:
            raise Problem(f"The machine {vm.name} does not run: vm.py restore {vm.name}")
        os.execvp("ssh", ["ssh", "-F", str(vm.ssh_config), HOST, *rest[1:]])
    elif command == "down":
        down(rest)
    elif command == "status" and not rest:
        status()
    else:
        names, release = _release(rest)
        if command == "up" and not names:
            up(release)
        elif command == "restore" and len(names) == 1:
            restore(names[0], release)
        else:
            raise Problem(
                "Usage: vm.py up | restore NAME | ssh NAME [COMMAND] | down [NAME] | status"
            )
    return 0


if __name__ == "__main__":
    main(_body)
