# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the disk of a test machine: a small Debian with systemd, ssh and auditd, and a kernel where it boots one.

Everything comes from Debian's package mirror. The tree is made by mmdebstrap and turned into a file system by
`mkfs.ext4 -d`, so that nothing is mounted and no loop device is needed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Mapping, NamedTuple

import engine as engines
from image import LEFT_OUT, Suite
from workshop import BUILD, Problem, install_packages, run, say

VMS = BUILD / "vm"
DISK_SIZE = 4 * 1024**3
# mkfs.ext4 lies in a directory that is not in everybody's path.
PATH = f"{os.environ.get('PATH', os.defpath)}{os.pathsep}/usr/sbin{os.pathsep}/sbin"

# What the machine of a model server has, as far as Ansible and the audit need it.
PACKAGES = (
    *("systemd-sysv", "dbus", "udev", "kmod", "python3", "python3-apt", "sudo", "iproute2"),
    *("procps", "ca-certificates", "openssh-server", "auditd", "attr"),
)
KERNEL = ("linux-image-cloud-amd64", "initramfs-tools", "zstd")
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
        "[Match]\nName=e* vec*\n[Network]\nAddress=10.0.2.15/24\nGateway=10.0.2.2\n"
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
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
}
# Linux as a program, and the release whose kernel it is: half the cost of an emulated processor.
USER_MODE, USER_MODE_RELEASE = "linux.uml", "12"


class Disk(NamedTuple):
    """The files a machine boots from: its disk, and its kernel and initial file system unless it runs in user mode."""

    folder: Path

    @property
    def image(self) -> Path:
        """Return the raw disk with its one file system."""
        return self.folder / "disk.img"

    @property
    def kernel(self) -> Path:
        """Return the guest's kernel; "initrd.img" is beside it."""
        return self.folder / "vmlinuz"

    @property
    def user_mode(self) -> bool:
        """Whether the kernel is a program of the host."""
        return not self.kernel.exists()


def bootstrap_command(
    suite: Suite, overlay: str, tree: str, key: str, user_mode: bool
) -> list[str]:
    """Return the mmdebstrap call that makes the tree; ``overlay`` holds INITRAMFS and FILES."""
    packages = PACKAGES if user_mode else (*PACKAGES, *KERNEL)
    argv = ["mmdebstrap", "--variant=minbase"]
    argv += [f"--include={','.join(packages)}"]
    argv += [f"--dpkgopt=path-exclude={pattern}" for pattern in LEFT_OUT]
    # Before the kernel is installed, because its installation makes the initial file system.
    argv += [f'--essential-hook=cp -r {overlay}/initramfs/. "$1"']
    # Removed first: resolv.conf may be the builder's own, or a link.
    # All services have units; with old scripts beside them, to enable one starts perl and takes three times as long.
    argv += ['--customize-hook=rm -f "$1/etc/resolv.conf" "$1"/etc/init.d/*']
    argv += [f'--customize-hook=cp -r {overlay}/files/. "$1"']
    argv += [f'--customize-hook=install -D -m 600 {key} "$1/root/.ssh/authorized_keys"']
    for verb, units in (("enable", ENABLED), ("mask", MASKED)):
        argv += [f'--customize-hook=chroot "$1" systemctl {verb} {" ".join(units)} >/dev/null 2>&1']
    return [*argv, suite.name, tree]


def recipe(suite: Suite, user_mode: bool) -> str:
    """Return the digest of all that decides what is on the disk; equal digests need no new build."""
    parts = [*bootstrap_command(suite, "overlay", "tree", "key", user_mode), str(DISK_SIZE)]
    parts += [f"{path}\0{text}" for path, text in {**INITRAMFS, **FILES}.items()]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def missing_packages(found: Mapping[str, object]) -> list[str]:
    """Return the Debian packages of the programs that were not found."""
    return sorted({package for program, package in PROGRAMS.items() if not found.get(program)})


def can_install() -> bool:
    """Whether the tools may install Debian packages here."""
    return os.geteuid() == 0 and engines.look("docker").apt


def ensure_programs() -> None:
    """Have the programs that build and run a machine; as root on Debian or Ubuntu they are installed.

    :raises Problem: elsewhere, with the packages that are missing.
    """
    missing = missing_packages({name: shutil.which(name, path=PATH) for name in PROGRAMS})
    if missing and not can_install():
        raise Problem(
            f"The test machine needs the packages {' '.join(missing)}: install them, then run this again."
        )
    if missing:
        install_packages(missing)


def ensure_user_mode(release: str) -> bool:
    """Have user-mode Linux where the release has it; else say why an emulated processor does its work."""
    if release != USER_MODE_RELEASE:
        return False
    try:
        if not shutil.which(USER_MODE) and can_install():
            install_packages(["user-mode-linux"])
        # Without a disk the kernel gives up when it looks for one; then all that it needs of this machine is there.
        with tempfile.TemporaryDirectory() as scratch:
            words = (
                f"mem=64M con=null con0=null,fd:1 root=none umid=probe uml_dir={scratch}/".split()
            )
            null, pipe = subprocess.DEVNULL, subprocess.PIPE
            tried = subprocess.run(
                [USER_MODE, *words], stdin=null, stdout=pipe, stderr=null, check=False, timeout=120
            )
        why = "" if b"VFS: " in tried.stdout else "it does not run on this machine"
    except FileNotFoundError:
        why = "the package user-mode-linux is not installed"
    except (OSError, Problem, subprocess.TimeoutExpired) as error:
        why = " ".join(str(error).split())[:200]
    if why:
        say(f"Debian {release} runs under qemu, at twice the cost, without user-mode Linux: {why}.")
    return not why


def build(suite: Suite, folder: Path, user_mode: bool) -> Disk:
    """Build the disk into an existing folder and return it."""
    if os.geteuid() != 0:
        raise Problem("Building the test machine's disk needs root, which owns the files on it.")
    began = time.monotonic()
    say(f"Building the disk of a Debian {suite.release} test machine, one to two minutes ...")
    disk = Disk(folder)
    with tempfile.TemporaryDirectory(prefix="twinguard-disk-") as scratch:
        overlay, tree = Path(scratch, "overlay"), Path(scratch, "tree")
        for name, files in (("initramfs", INITRAMFS), ("files", FILES)):
            for path, text in files.items():
                target = overlay / name / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(text, encoding="utf-8")
        # The key opens the machines of this disk and nothing else.
        key = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "twinguard test"]
        run([*key, "-f", folder / "id"], "make the test machines' key", quiet=True)
        command = bootstrap_command(
            suite, str(overlay), str(tree), str(folder / "id.pub"), user_mode
        )
        run(command, "build the test machine", quiet=True)
        for link in () if user_mode else ("vmlinuz", "initrd.img"):
            # The links are absolute, and meant for the guest.
            shutil.copyfile(tree / os.readlink(tree / link).lstrip("/"), folder / link)
        with disk.image.open("wb") as image:
            image.truncate(DISK_SIZE)
        fast = "lazy_itable_init=1,lazy_journal_init=1"
        mkfs = ["mkfs.ext4", "-q", "-F", "-E", fast, "-d", str(tree), str(disk.image)]
        run(mkfs, "make the file system", env={**os.environ, "PATH": PATH}, quiet=True)
    say(f"Built the disk in {time.monotonic() - began:.0f} s.")
    return disk
