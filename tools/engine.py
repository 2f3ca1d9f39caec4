# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find a container engine that answers, or bring one up; stop it again only if this checkout started it.

Ours, because neither docker nor podman starts what is not there, and a run must not leave a daemon behind.

    engine.py          print the engine's program name once it answers
    engine.py sweep    remove the test containers that a run cut short left behind
    engine.py stop     stop the daemon that this checkout started, and nothing else

Environment: TWINGUARD_ENGINE=docker|podman uses that one and no other.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Mapping, NamedTuple

from workshop import BUILD, ROOT, Problem, install_packages, main, run, say, wait_for

PIDFILE = BUILD / "engine.pid"
LOG = BUILD / "engine.log"
KNOWN = ("docker", "podman")
START_SECONDS = 60.0
# The label "owner" of every container that a test starts is one of these with the checkout's id.
TEST_OWNERS = ("twinguard-molecule", "twinguard-faults", "twinguard-test")


class Host(NamedTuple):
    """What decides how an engine can be had here."""

    installed: tuple[str, ...]
    answering: tuple[str, ...]
    root: bool
    apt: bool
    dockerd: bool


def decide(host: Host, wanted: str | None) -> tuple[str, str]:
    """Return (what to do, with which engine); the first is "use", "start" or "install".

    :raises Problem: the one sentence that says what to install.
    """
    if wanted is not None and wanted not in KNOWN:
        raise Problem(f"TWINGUARD_ENGINE={wanted} is not known: give docker or podman.")
    for engine in (wanted,) if wanted else KNOWN:
        if engine in host.answering:
            return "use", engine
    if wanted != "podman" and host.root and host.dockerd:
        return "start", "docker"
    if wanted != "podman" and host.root and host.apt:
        return "install", "docker"
    name = wanted or "docker or podman"
    if wanted in host.installed or (wanted is None and host.installed):
        there = wanted or host.installed[0]
        cure = "start it, then run this again"
        raise Problem(f"{there} is installed but `{there} info` fails: {cure}.")
    cure = f"install {name} so that `{wanted or 'docker'} info` works for you"
    raise Problem(f"No container engine was found: {cure}.")


def answers(engine: str) -> bool:
    """Tell whether the engine is there and its daemon, if it has one, replies."""
    try:
        done = subprocess.run([engine, "info"], capture_output=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return False
    # The docker client ends with 0 even when the daemon is away.
    away = b"Cannot connect to the Docker daemon" in done.stdout + done.stderr
    return done.returncode == 0 and not away


def is_debian_like(os_release: str) -> bool:
    """Tell from the text of /etc/os-release whether packages come from Debian or Ubuntu."""
    fields = dict(line.split("=", 1) for line in os_release.splitlines() if "=" in line)
    ids = f"{fields.get('ID', '')} {fields.get('ID_LIKE', '')}".replace('"', "").split()
    return "debian" in ids or "ubuntu" in ids


def look(wanted: str | None) -> Host:
    """Look at this machine; engines that were not asked for are not woken."""
    asked = [wanted] if wanted in KNOWN else list(KNOWN)
    installed = tuple(engine for engine in asked if shutil.which(engine))
    # The first that answers is enough: asking podman may set up storage nobody wants.
    answering = next(((engine,) for engine in installed if answers(engine)), ())
    release = Path("/etc/os-release")
    apt = (
        shutil.which("apt-get") is not None
        and release.exists()
        and is_debian_like(release.read_text("utf-8"))
    )
    return Host(installed, answering, os.geteuid() == 0, apt, shutil.which("dockerd") is not None)


def install() -> None:
    """Install Docker from the distribution."""
    # iptables is only recommended by docker.io, yet its bridge network does not come up without.
    install_packages(["docker.io", "iptables", "ca-certificates"])


def start() -> None:
    """Start dockerd: through systemd where it runs, else as our own process, remembered in a pidfile.

    :raises Problem: with the end of the daemon's log, when it does not answer in time.
    """
    if Path("/run/systemd/system").is_dir():
        say("Starting docker.service ...")
        run(["systemctl", "start", "docker.service"], "start docker.service", quiet=True)
        ours = None
    else:
        say("Starting dockerd ...")
        BUILD.mkdir(exist_ok=True)
        with LOG.open("wb") as log:
            # A session of its own: neither Ctrl-C nor the end of this command may take the daemon along.
            ours = subprocess.Popen(
                ["dockerd"],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        PIDFILE.write_text(f"{ours.pid}\n", encoding="ascii")

    def gone() -> bool:
        return ours is not None and ours.poll() is not None

    wait_for(lambda: gone() or answers("docker"), START_SECONDS)
    if gone() or not answers("docker"):
        end = "\n".join(LOG.read_text("utf-8", "replace").splitlines()[-5:]) if LOG.exists() else ""
        stop()
        raise Problem(
            f"dockerd was started but did not answer within {START_SECONDS:.0f} s.\n{end}".rstrip()
        )


def ensure(env: Mapping[str, str]) -> str:
    """Return the name of an engine that answers, installing and starting one where this is possible."""
    wanted = env.get("TWINGUARD_ENGINE") or None
    action, engine = decide(look(wanted), wanted)
    if action == "install":
        install()
        action = "use" if answers(engine) else "start"
    if action == "start":
        start()
    return engine


def checkout_id(env: Mapping[str, str]) -> str:
    """Return what tells this checkout's test containers from another's; molecule/inventory computes the same."""
    return env.get("TG_ID") or hashlib.sha256(str(ROOT).encode()).hexdigest()[:6]


def left_behind(listing: str, checkout: str) -> list[str]:
    """Return the ids of this checkout's test containers from lines of "id owner".

    The demo's and other checkouts' containers are left alone.
    """
    owners = {f"{kind}-{checkout}" for kind in TEST_OWNERS}
    pairs = (line.split(maxsplit=1) for line in listing.splitlines())
    return [pair[0] for pair in pairs if len(pair) == 2 and pair[1] in owners]


def sweep() -> int:
    """Remove test containers; return how many there were."""
    engine = next(iter(look(os.environ.get("TWINGUARD_ENGINE") or None).answering), None)
    if engine is None:
        return 0
    listing = [engine, "ps", "--all", "--format", '{{.ID}} {{.Label "owner"}}']
    ids = left_behind(run(listing, "list the containers", quiet=True), checkout_id(os.environ))
    if ids:
        run([engine, "rm", "--force", "--volumes", *ids], "remove the test containers", quiet=True)
    return len(ids)


def environment(engine: str) -> dict[str, str]:
    """Return the variable by which the inventories and tests know the engine."""
    return {"TWINGUARD_ENGINE": engine}


def our_pid() -> int | None:
    """Return the process id of the daemon this checkout started; None when there is none any more.

    The pid alone proves nothing after a reboot, so the process must also be a dockerd, and not one that has ended and
    only waits for its parent.
    """
    try:
        pid = int(PIDFILE.read_text(encoding="ascii"))
        _number, name, state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").split()[:3]
    except FileNotFoundError:
        return None
    return pid if name == "(dockerd)" and state != "Z" else None


def stop() -> bool:
    """Stop the daemon this checkout started; return whether there was one."""
    pid = our_pid()
    if pid is not None:
        os.kill(pid, signal.SIGTERM)
        if not wait_for(lambda: our_pid() is None, 30.0):
            raise Problem(
                f"dockerd (process {pid}) did not end within 30 s of SIGTERM; look at {LOG}."
            )
    PIDFILE.unlink(missing_ok=True)
    return pid is not None


def _body(arguments: list[str]) -> int:
    if arguments == ["stop"]:
        say("The container engine was stopped." if stop() else "No container engine of ours runs.")
    elif arguments == ["sweep"]:
        say(f"{sweep()} test containers had been left behind.")
    elif arguments:
        raise Problem("Usage: engine.py [sweep|stop]")
    else:
        say(ensure(os.environ))
    return 0


if __name__ == "__main__":
    main(_body)
