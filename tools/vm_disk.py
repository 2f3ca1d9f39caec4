# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the disk of a test machine: a small Debian with its own kernel, systemd, ssh and auditd.

Everything comes from Debian's package mirror. The tree is made by mmdebstrap and turned into a file system by
`mkfs.ext4 -d`, so that nothing is mounted and no loop device is needed.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Mapping, NamedTuple

import engine as engines
from image import LEFT_OUT, SUITES, Suite
from workshop import BUILD, Problem, install_packages, run, say

VMS = BUILD / "vm"
DISK_SIZE = 4 * 1024**3

# What the machine of a model server has, as far as Ansible and the audit need it.
PACKAGES = (
    *("systemd-sysv", "dbus", "udev", "kmod", "python3", "python3-apt", "sudo", "iproute2"),
    *("procps", "ca-certificates", "openssh-server", "auditd", "attr"),
    *("linux-image-cloud-amd64", "initramfs-tools", "zstd"),
)
# The cloud kernel has these as modules, so the initial file system must carry them; with nothing else it is 5 MB.
INITRAMFS = {
    "etc/initramfs-tools/conf.d/twinguard.conf": "MODULES=list\nCOMPRESS=zstd\n",
    "etc/initramfs-tools/modules": "virtio_pci\nvirtio_blk\nvirtio_net\next4\n",
}
# The address is the one qemu's own network expects, so that no DHCP is waited for.
FILES = {
    "etc/hostname": "tgm-audit-vm\n",
    "etc/hosts": "127.0.0.1 localhost\n127.0.1.1 tgm-audit-vm\n",
    "etc/fstab": "/dev/vda / ext4 defaults,noatime 0 1\n",
    "etc/resolv.conf": "nameserver 10.0.2.3\n",
    "etc/systemd/network/10-vm.network": (
        "[Match]\nName=e*\n[Network]\nAddress=10.0.2.15/24\nGateway=10.0.2.2\n"
        "LinkLocalAddressing=no\nIPv6AcceptRA=no\n"
    ),
    "etc/ssh/sshd_config.d/vm.conf": "UseDNS no\nMaxStartups 100\nMaxSessions 100\n",
    # A dying test machine must not wait 90 s for one of its services.
    "etc/systemd/system.conf.d/vm.conf": "[Manager]\nDefaultTimeoutStopSec=10s\n",
}
ENABLED = ("systemd-networkd", "ssh", "auditd")
# Nothing may wake up on its own while a test counts events.
MASKED = (
    *("apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "fstrim.timer"),
    *("e2scrub_all.timer", "e2scrub_reap.service", "getty@tty1.service"),
    *("systemd-networkd-wait-online.service", "systemd-timesyncd.service"),
)
PROGRAMS: Mapping[str, str] = {
    "qemu-system-x86_64": "qemu-system-x86",
    "mmdebstrap": "mmdebstrap",
    "mkfs.ext4": "e2fsprogs",
    "zstd": "zstd",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
}


class Disk(NamedTuple):
    """The files a machine boots from."""

    folder: Path

    @property
    def image(self) -> Path:
        """Return the raw disk with its one file system."""
        return self.folder / "disk.img"

    @property
    def kernel(self) -> Path:
        """Return the guest's kernel."""
        return self.folder / "vmlinuz"

    @property
    def initrd(self) -> Path:
        """Return the guest's initial file system."""
        return self.folder / "initrd.img"


def suite_of(release: str) -> Suite:
    """Return the Debian release of that number.

    :raises Problem: when there is none.
    """
    for suite in SUITES:
        if suite.release == release:
            return suite
    known = " and ".join(suite.release for suite in SUITES)
    raise Problem(f"There is no test machine with Debian {release}: the releases are {known}.")


def bootstrap_command(suite: Suite, overlay: str, tree: str, key: str) -> list[str]:
    """Return the mmdebstrap call that makes the tree; ``overlay`` holds INITRAMFS and FILES."""
    argv = ["mmdebstrap", "--variant=minbase"]
    argv += [f"--include={','.join(PACKAGES)}", "--skip=cleanup/apt/lists"]
    argv += [f"--dpkgopt=path-exclude={pattern}" for pattern in LEFT_OUT]
    # Before the kernel is installed, because its installation makes the initial file system.
    argv += [f'--essential-hook=cp -r {overlay}/initramfs/. "$1"']
    # Removed first: resolv.conf may be the builder's own, or a link.
    argv += [f'--customize-hook=rm -f "$1/etc/resolv.conf" && cp -r {overlay}/files/. "$1"']
    argv += [f'--customize-hook=install -D -m 600 {key} "$1/root/.ssh/authorized_keys"']
    for verb, units in (("enable", ENABLED), ("mask", MASKED)):
        argv += [f'--customize-hook=chroot "$1" systemctl {verb} {" ".join(units)} >/dev/null 2>&1']
    return [*argv, suite.name, tree]


def recipe(suite: Suite) -> str:
    """Return the digest of all that decides what is on the disk; equal digests need no new build."""
    parts = [*bootstrap_command(suite, "overlay", "tree", "key"), str(DISK_SIZE)]
    parts += [f"{path}\0{text}" for path, text in {**INITRAMFS, **FILES}.items()]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def missing_packages(found: Mapping[str, object]) -> list[str]:
    """Return the Debian packages of the programs that were not found."""
    return sorted({package for program, package in PROGRAMS.items() if not found.get(program)})


def ensure_programs() -> None:
    """Have the programs that build and run a machine; as root on Debian or Ubuntu they are installed.

    :raises Problem: elsewhere, with the packages that are missing.
    """
    # mkfs.ext4 lies in a directory that is not in everybody's path.
    path = f"{os.environ.get('PATH', os.defpath)}{os.pathsep}/usr/sbin{os.pathsep}/sbin"
    missing = missing_packages({name: shutil.which(name, path=path) for name in PROGRAMS})
    if not missing:
        return
    names = " ".join(missing)
    if os.geteuid() != 0 or not engines.look("docker").apt:
        raise Problem(
            f"The test machine needs the packages {names}: install them, then run this again."
        )
    install_packages(missing)


def make_key(key: Path) -> None:
    """Make the key that opens the machines of this disk and nothing else."""
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "twinguard test"]
    run([*command, "-f", str(key)], "make the test machines' key", quiet=True)


def _write_overlay(folder: Path) -> None:
    for name, files in (("initramfs", INITRAMFS), ("files", FILES)):
        for path, text in files.items():
            target = folder / name / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")


def _bootstrap(command: list[str], log: Path) -> None:
    """Run mmdebstrap, showing each of its stages."""
    with log.open("wb") as file, subprocess.Popen(command, stderr=subprocess.PIPE) as made:
        assert made.stderr is not None
        for line in made.stderr:
            file.write(line)
            # It announces each of its stages once, ending in three dots.
            stage = re.match(rb"I: (.+)\.\.\.$", line.rstrip())
            if stage:
                say(f"    {stage[1].decode('utf-8', 'replace')}")
    if made.returncode:
        end = "\n".join(log.read_text("utf-8", "replace").splitlines()[-5:])
        raise Problem(
            f"Could not build the test machine: mmdebstrap ended with {made.returncode}; "
            f"the whole log is {log}. It ends:\n{end}"
        )


def build(suite: Suite, folder: Path) -> Disk:
    """Build the disk into an existing folder and return it."""
    if os.geteuid() != 0:
        raise Problem("Building the test machine's disk needs root, which owns the files on it.")
    began = time.monotonic()
    say(f"Building the disk of a Debian {suite.release} test machine, one to two minutes ...")
    disk = Disk(folder)
    with tempfile.TemporaryDirectory(prefix="twinguard-disk-") as scratch:
        overlay, tree = Path(scratch, "overlay"), Path(scratch, "tree")
        _write_overlay(overlay)
        make_key(folder / "id")
        command = bootstrap_command(suite, str(overlay), str(tree), str(folder / "id.pub"))
        _bootstrap(command, VMS / f"disk-debian{suite.release}.log")
        for link, target in (("vmlinuz", disk.kernel), ("initrd.img", disk.initrd)):
            # The links are absolute, and meant for the guest.
            inside = os.readlink(tree / link).lstrip("/")
            shutil.copyfile(tree / inside, target)
        with disk.image.open("wb") as image:
            image.truncate(DISK_SIZE)
        fast = "lazy_itable_init=1,lazy_journal_init=1"
        path = f"{os.environ.get('PATH', os.defpath)}{os.pathsep}/usr/sbin{os.pathsep}/sbin"
        mkfs = ["mkfs.ext4", "-q", "-F", "-E", fast, "-d", str(tree), str(disk.image)]
        run(mkfs, "make the file system", env={**os.environ, "PATH": path}, quiet=True)
    say(f"Built the disk in {time.monotonic() - began:.0f} s.")
    return disk
