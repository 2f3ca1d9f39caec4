# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the base images of test and demo hosts: a Debian that boots systemd, ready for Ansible.

    image.py             build what is missing or was built by another recipe
    image.py --rebuild   build all anew, with today's packages
    image.py --remove    remove them from an engine that answers

Ours, because public images do not boot systemd and a registry may be out of reach: as root on Debian or Ubuntu the
image is made from the package mirror by mmdebstrap. Where that cannot be had it is built on the registry's plain
Debian. TWINGUARD_IMAGE names a ready systemd image in a registry to use instead; "{release}" in it becomes 12 or 13.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
import subprocess
import time
from typing import Mapping, NamedTuple

import engine as engines
from workshop import BUILD, Problem, install_packages, main, run, say

LABEL = "twinguard.recipe"
NAME = "localhost/twinguard/debian{release}:base"


class Suite(NamedTuple):
    """A Debian release that the tests run on."""

    release: str
    name: str


SUITES = (Suite("12", "bookworm"), Suite("13", "trixie"))

# systemd and what Ansible needs; then what the roles and tests call, so that a test run needs little network.
PACKAGES = (
    *("systemd-sysv", "dbus", "python3", "python3-apt", "sudo", "iproute2", "procps"),
    *("ca-certificates", "openssl", "curl", "strace", "logrotate"),
)
# Only downloaded: the role itself must install it, and it does so without waiting for the network.
PREFETCHED = (
    *("nginx", "nginx-light", "auditd", "git", "openssh-server", "openssh-client"),
    *("gitolite3", "gnupg", "gpgsm"),
)
LEFT_OUT = ("/usr/share/man/*", "/usr/share/locale/*", "/usr/share/doc/*")
# Run in the finished tree. Audit belongs to the host's kernel: in a container its services can only fail.
# The machine id is left empty so that each container gets its own.
FINISH = (
    "systemctl mask auditd.service audit-rules.service",
    "truncate -s 0 /etc/machine-id",
    "apt-get clean",
    f"apt-get install -y --download-only --no-install-recommends {' '.join(PREFETCHED)}",
)


def image_name(suite: Suite, engine: str) -> str:
    """Return the image's name; Docker keeps it without the "localhost/" that podman puts before local names."""
    name = NAME.format(release=suite.release)
    return name if engine == "podman" else name.partition("/")[2]


def bootstrap_command(suite: Suite) -> list[str]:
    """Return the mmdebstrap call that writes the suite's file system as a tar stream."""
    argv = ["mmdebstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}"]
    # The lists stay: their fresh date would else make a cached `apt: update_cache` find no package at all.
    argv += ["--skip=cleanup/apt/lists", "--skip=cleanup/apt/cache"]
    argv += [f"--dpkgopt=path-exclude={pattern}" for pattern in LEFT_OUT]
    argv += [f'--customize-hook=chroot "$1" {command} >/dev/null 2>&1' for command in FINISH]
    return [*argv, suite.name, "-"]


def containerfile(suite: Suite) -> str:
    """Return the same recipe as a Containerfile on the registry's plain Debian."""
    install = f"apt-get install -y --no-install-recommends {' '.join(PACKAGES)}"
    steps = " && ".join(["apt-get update", install, *FINISH])
    base = f"docker.io/library/debian:{suite.name}-slim"
    # The slim image's hook would delete the downloaded packages and lists again.
    unhook = "rm -f /etc/apt/apt.conf.d/docker-clean"
    return f'FROM {base}\nENV container=docker\nRUN {unhook} && {steps}\nCMD ["/sbin/init"]\n'


def recipe(suite: Suite, registry_image: str | None) -> str:
    """Return the digest of all that decides what is in the image; equal digests need no new build."""
    text = registry_image or "\n".join([*bootstrap_command(suite), containerfile(suite)])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def recipe_of(engine: str, image: str) -> str:
    """Return the digest an existing image was built by; empty when there is none."""
    label = f'{{{{index .Config.Labels "{LABEL}"}}}}'
    argv = [engine, "image", "inspect", "--format", label, image]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def registry_name(env: Mapping[str, str], suite: Suite) -> str | None:
    """Return the registry image the user asked for, if any."""
    asked = env.get("TWINGUARD_IMAGE")
    return asked.replace("{release}", suite.release) if asked else None


def have_mmdebstrap() -> bool:
    """Tell whether mmdebstrap can be used here; as root on Debian or Ubuntu it is installed."""
    if shutil.which("mmdebstrap"):
        return True
    if not engines.look("docker").apt or os.geteuid() != 0:
        return False
    install_packages(["mmdebstrap", "debian-archive-keyring"])
    return True


def from_mirror(engine: str, suite: Suite, image: str, digest: str) -> None:
    """Build the image from Debian's package mirror, passing the tree straight into the engine."""
    log = BUILD / f"image-debian{suite.release}.log"
    take = [engine, "import", "--change", 'CMD ["/sbin/init"]', "--change", "ENV container=docker"]
    take += ["--change", f"LABEL {LABEL}={digest}", "-", image]
    pipe = subprocess.PIPE
    make = subprocess.Popen(bootstrap_command(suite), stdout=pipe, stderr=pipe)
    with log.open("wb") as file:
        load = subprocess.Popen(take, stdin=make.stdout, stdout=file, stderr=file)
        assert make.stdout is not None
        assert make.stderr is not None
        # Only the reader keeps it open, so that mmdebstrap notices when the engine gives up.
        make.stdout.close()
        for line in make.stderr:
            file.write(line)
            # mmdebstrap announces each of its stages once, ending in three dots.
            stage = re.match(rb"I: (.+)\.\.\.$", line.rstrip())
            if stage:
                say(f"    {stage[1].decode('utf-8', 'replace')}")
    made, loaded = make.wait(), load.wait()
    if made or loaded:
        end = "\n".join(log.read_text("utf-8", "replace").splitlines()[-5:])
        what = f"`{shlex.join(bootstrap_command(suite)[:1])}` ended with {made}, `{engine} import` with {loaded}"
        raise Problem(f"Could not build {image}: {what}; the whole log is {log}. It ends:\n{end}")


def from_registry(engine: str, base: str, image: str, digest: str) -> None:
    """Take a ready image from a registry under our name, labelled as what it is."""
    _build(engine, f"FROM {base}\n", image, digest, f"use {base}")


def _build(engine: str, text: str, image: str, digest: str, doing: str) -> None:
    """Run a Containerfile that needs no files of ours."""
    folder = BUILD / "containerfile"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "Containerfile").write_text(text, encoding="utf-8")
    argv = [engine, "build", "--tag", image, "--label", f"{LABEL}={digest}"]
    run([*argv, "--file", folder / "Containerfile", folder], doing)


def ensure(engine: str, env: Mapping[str, str], rebuild: bool = False) -> None:
    """Have every base image ready, building only what is not."""
    BUILD.mkdir(exist_ok=True)
    for suite in SUITES:
        image, base = image_name(suite, engine), registry_name(env, suite)
        digest = recipe(suite, base)
        if not rebuild and recipe_of(engine, image) == digest:
            continue
        began = time.monotonic()
        if base:
            from_registry(engine, base, image, digest)
        elif have_mmdebstrap():
            say(f"Building {image} from the Debian mirror, about a minute ...")
            from_mirror(engine, suite, image, digest)
        else:
            _build(engine, containerfile(suite), image, digest, f"build {image}")
        say(f"Built {image} in {time.monotonic() - began:.0f} s.")


def remove(env: Mapping[str, str]) -> None:
    """Remove the images; no engine is started for it."""
    for engine in engines.look(env.get("TWINGUARD_ENGINE") or None).answering:
        for suite in SUITES:
            image = image_name(suite, engine)
            if recipe_of(engine, image):
                run([engine, "image", "rm", image], f"remove {image}", quiet=True)
                say(f"Removed {image}.")


def _body(arguments: list[str]) -> int:
    if arguments == ["--remove"]:
        remove(os.environ)
        return 0
    if arguments not in ([], ["--rebuild"]):
        raise Problem("Usage: image.py [--rebuild|--remove]")
    ensure(engines.ensure(os.environ), os.environ, rebuild=bool(arguments))
    return 0


if __name__ == "__main__":
    main(_body)
