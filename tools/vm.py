# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Test machines with a kernel of their own, without hardware help and reached on loopback only.

Ours, because Vagrant and its like need hardware help or images from elsewhere, and audit needs a kernel of its own.

    vm.py restore NAME [--release 12|13]   start NAME as new, with a disk that is built the first time: 1 to 3 minutes
    vm.py down [NAME ...]                  throw machines away; without a name: all of this checkout

Each is a name you choose (letters, digits, "-"), with systemd, sshd, python3, auditd (running) and nothing else. Debian
13 has an emulated processor (qemu). Debian 12 has its kernel as a program of this machine (user-mode Linux: one
processor, no 32-bit programs), which costs half; where that cannot be had it is emulated too, and a sentence says why.

Then it is called tgm-audit-vm in .build/vm/NAME/ssh_config, and console.log beside that is its console:

    ssh -F .build/vm/NAME/ssh_config tgm-audit-vm 'auditctl -s'
    ansible all -i tgm-audit-vm-NAME, -e ansible_ssh_common_args='-F .build/vm/NAME/ssh_config' -m ping

Ansible must call it tgm-audit-vm-NAME: it keeps connections by name and would take one machine for another.
"""

from __future__ import annotations

import argparse
import fcntl
import shutil
import signal
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, Sequence

import vm_disk
from image import SUITES
from vm_disk import VMS, Disk
from vm_qemu import HOST, Machine, machine, machines, start, stop, wait_until
from workshop import main, say

# On two slow cores that others use as well, a boot may need many minutes.
BOOT_SECONDS = 900.0
# Nothing may be half started when it is used.
READY = "test $(systemctl is-system-running --wait) = running && pgrep -x auditd"
# The modules of user-mode Linux are part of its package on this machine; the overlay file system is one of them.
MODULES = "mkdir -p /lib/modules && mount -t hostfs none /lib/modules -o /usr/lib/uml/modules"


@contextmanager
def locked(path: Path, waiting_for: str) -> Iterator[None]:
    """Let one process at a time do this."""
    VMS.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"Waiting for another process that {waiting_for} ...")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def up(release: str) -> Disk:
    """Have the release's disk, building it where it is not there."""
    suite = next(suite for suite in SUITES if suite.release == release)
    with locked(VMS / "lock", "builds a test machine"):
        vm_disk.ensure_programs()
        user_mode = vm_disk.ensure_user_mode(release)
        target = VMS / f"debian{release}-{vm_disk.recipe(suite, user_mode)}"
        if not target.is_dir():
            for old in [*VMS.glob(f"debian{release}-*"), *VMS.glob(f"new-debian{release}-*")]:
                shutil.rmtree(old)
            scratch = Path(tempfile.mkdtemp(prefix=f"new-debian{release}-", dir=VMS))
            vm_disk.build(suite, scratch, user_mode)
            # Only a whole one gets the name under which it is looked for.
            scratch.rename(target)
    return Disk(target)


def restore(name: str, release: str) -> Machine:
    """Start a machine as new; one of that name that runs is thrown away."""
    vm, disk = machine(name), up(release)
    with locked(VMS / f"{name}.lock", f"starts or ends the machine {name}"):
        began = time.monotonic()
        stop(vm)
        try:
            start(vm, disk)
            wait_until(vm, f"{MODULES} && {READY}" if disk.user_mode else READY, BOOT_SECONDS)
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


def _body(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("restore")
    one.add_argument("name")
    one.add_argument("--release", default="12", choices=[suite.release for suite in SUITES])
    commands.add_parser("down").add_argument("names", nargs="*")
    given = parser.parse_args(arguments)
    # A machine that was being started is thrown away on this signal too.
    signal.signal(signal.SIGTERM, lambda *_unused: sys.exit(143))
    if given.command == "restore":
        restore(given.name, given.release)
    else:
        down(given.names)
    return 0


if __name__ == "__main__":
    main(_body)
