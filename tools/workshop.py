# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every tool of the workshop shares: places, messages, running programs.

The tools run on the system's own python3 (3.9 or newer) before anything is installed, so they use the standard
library only, and none of what is installed later.
"""

from __future__ import annotations

import fcntl
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Callable, Mapping, Sequence

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / ".build"
VENV = ROOT / ".venv"
COLLECTIONS = BUILD / "collections"


class Problem(Exception):
    """A sentence for the person at the terminal: what is wrong, and what cures it."""


def say(text: str) -> None:
    """Print one line of progress at once, also into a pipe."""
    print(text, flush=True)


def tool_env() -> dict[str, str]:
    """Return the environment in which the installed tools see this checkout and no other."""
    env = dict(os.environ)
    # Bytecode is kept: without it every start of Ansible compiles itself anew.
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    env.pop("PYTHONHOME", None)
    env["PATH"] = f"{VENV / 'bin'}{os.pathsep}{env.get('PATH', os.defpath)}"
    env["VIRTUAL_ENV"] = str(VENV)
    env["ANSIBLE_COLLECTIONS_PATH"] = str(COLLECTIONS)
    # The default is shared by all checkouts of a user: Molecule's state would collide, and a stale
    # install of another checkout would be found instead of this one.
    env["ANSIBLE_HOME"] = str(BUILD / "ansible")
    # Molecule warns about a top-level molecule/ unless it is told that this is meant.
    env.setdefault("MOLECULE_GLOB", "molecule/*/molecule.yml")
    # ansible-core refuses to start in a locale that is not UTF-8.
    if "UTF-8" not in env.get("LC_ALL", env.get("LANG", "")).upper():
        env["LC_ALL"] = "C.UTF-8"
    return env


def run(
    argv: Sequence[str | Path],
    doing: str,
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path = ROOT,
    quiet: bool = False,
) -> str:
    """Run a program and return its standard output when ``quiet``, else let it speak to the terminal.

    :param doing: what this is for, as in "install the Debian packages"; it stands in the error.
    :raises Problem: when the program is missing or ends with another code than 0.
    """
    words = [str(word) for word in argv]
    pipe = subprocess.PIPE if quiet else None
    try:
        done = subprocess.run(
            words, env=env, cwd=cwd, stdout=pipe, stderr=pipe, text=True, check=False
        )
    except OSError as error:
        raise Problem(f"Could not {doing}: {words[0]}: {error.strerror}.") from error
    if done.returncode != 0:
        tail = f"\n{(done.stdout + done.stderr).strip()}" if quiet else ""
        raise Problem(
            f"Could not {doing}: `{shlex.join(words)}` ended with code {done.returncode}.{tail}"
        )
    return done.stdout if quiet else ""


def install_packages(packages: Sequence[str]) -> None:
    """Install Debian packages on this machine; one caller at a time, since apt refuses a second one.

    :raises Problem: with apt's own words.
    """
    names = " ".join(packages)
    quiet_apt = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    command = ["apt-get", "install", "-y", "--no-install-recommends", *packages]
    BUILD.mkdir(exist_ok=True)
    with (BUILD / "apt.lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        say(f"Installing {names} ...")
        run(["apt-get", "update", "-qq"], "refresh the package lists", env=quiet_apt, quiet=True)
        run(command, f"install {names}", env=quiet_apt, quiet=True)


def wait_for(ready: Callable[[], bool], seconds: float, interval: float = 0.2) -> bool:
    """Ask ``ready`` until it says yes or ``seconds`` have passed; return its last answer."""
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            return False
        time.sleep(interval)
    return True


def main(body: Callable[[list[str]], int]) -> None:
    """Run a tool: a Problem is printed as a sentence, never as a traceback."""
    try:
        sys.exit(body(sys.argv[1:]))
    except Problem as problem:
        print(problem, file=sys.stderr, flush=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
