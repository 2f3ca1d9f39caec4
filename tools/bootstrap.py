# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the virtual environment from the lock, and show this checkout to Ansible as a collection.

Run again it does nothing as long as the lock, the interpreter and the wanted ansible-core are the same.

Environment: TWINGUARD_PYTHON names the interpreter to use; TWINGUARD_ANSIBLE_CORE (as in "2.20") asks for another
ansible-core than the locked one, for the CI matrix.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Iterable, Mapping, NamedTuple, Sequence

from workshop import BUILD, COLLECTIONS, ROOT, VENV, Problem, install_packages, main, run, say

LOCK = ROOT / "requirements.lock"
STAMP = VENV / "twinguard.stamp"
LOWEST = (3, 11)
# Best first. Newer ones than these are not tried unasked: the locked tools were not tested there.
KNOWN = ((3, 13), (3, 12), (3, 11))
PROBE = "import sys; print(sys.version_info[0], sys.version_info[1], sys.executable)"


class Interpreter(NamedTuple):
    """A Python that answered: its version and its own path, which may differ from the name it was called by."""

    version: tuple[int, int]
    path: str


def choose(found: Iterable[Interpreter]) -> Interpreter:
    """Return the interpreter to build on: the newest that is known to work, 3.11 at least.

    :raises Problem: when there is none.
    """
    usable = [one for one in found if one.version in KNOWN]
    if not usable:
        raise Problem(
            "No usable Python was found: 3.11, 3.12 or 3.13 is needed. "
            "Install one (Debian: `apt-get install python3 python3-venv`) or name it in TWINGUARD_PYTHON."
        )
    return max(usable, key=lambda one: one.version)


def candidates(env: Mapping[str, str], versions: Iterable[tuple[int, int]] = KNOWN) -> list[str]:
    """Return the programs worth asking, best first: those on the PATH, then those pyenv has put aside."""
    names = [f"python{major}.{minor}" for major, minor in versions] + ["python3"]
    on_path = [
        str(Path(folder) / name)
        for name in names
        for folder in env.get("PATH", os.defpath).split(os.pathsep)
        if os.access(Path(folder) / name, os.X_OK)
    ]
    pyenv = (
        Path(env.get("PYENV_ROOT", Path(env.get("HOME", "/nonexistent")) / ".pyenv")) / "versions"
    )
    aside = [str(path) for name in names[:-1] for path in sorted(pyenv.glob(f"*/bin/{name}"))]
    return list(dict.fromkeys(on_path + aside))


def ask(program: str) -> Interpreter | None:
    """Return what a program says it is; None when it does not run (a pyenv shim may end with code 127)."""
    try:
        done = subprocess.run(
            [program, "-c", PROBE], capture_output=True, text=True, check=False, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.fullmatch(r"(\d+) (\d+) (.+)", done.stdout.strip())
    if done.returncode != 0 or match is None:
        return None
    return Interpreter((int(match[1]), int(match[2])), match[3])


def interpreter(env: Mapping[str, str]) -> Interpreter:
    """Return the interpreter to use; the one the user named is taken or refused, never replaced."""
    named = env.get("TWINGUARD_PYTHON")
    if named is None:
        return choose(found for found in map(ask, candidates(env)) if found is not None)
    found = ask(shutil.which(named) or named)
    if found is None:
        raise Problem(f"TWINGUARD_PYTHON={named} does not run; name a Python 3.11 or newer.")
    if found.version < LOWEST:
        raise Problem(
            f"TWINGUARD_PYTHON={named} is Python {found.version[0]}.{found.version[1]}; 3.11 is the lowest."
        )
    return found


def pinned(lock: str, name: str) -> str:
    """Return the lines of one package in a lock text: its version and its digests.

    :raises Problem: when the lock does not hold it.
    """
    match = re.search(rf"^{re.escape(name)}==.*(?:\n[ \t]+--hash.*)*", lock, flags=re.MULTILINE)
    if match is None:
        raise Problem(f"requirements.lock holds no {name}; run `make lock`.")
    return f"{match[0]}\n"


def network_env(env: Mapping[str, str]) -> dict[str, str]:
    """Return the environment with pip's index and certificates also in the names that uv reads."""
    result = dict(env)
    for theirs, ours in (("PIP_INDEX_URL", "UV_DEFAULT_INDEX"), ("PIP_CERT", "SSL_CERT_FILE")):
        if theirs in env:
            result.setdefault(ours, env[theirs])
    # A pristine uv: an activated environment or a project file above must not redirect the install.
    result.pop("VIRTUAL_ENV", None)
    result["UV_NO_CONFIG"] = "1"
    result["UV_PYTHON_DOWNLOADS"] = "never"
    return result


def _make_venv_for_uv(python: str, place: Path) -> None:
    """Make the small environment uv lives in; Debian ships ensurepip apart from python3."""
    if (
        subprocess.run(
            [python, "-c", "import ensurepip, venv"], capture_output=True, check=False
        ).returncode
        != 0
    ):
        if os.geteuid() != 0 or shutil.which("apt-get") is None:
            raise Problem(
                f"{python} has no `venv`: install it (Debian: `apt-get install python3-venv`)."
            )
        install_packages(["python3-venv"])
        python = "/usr/bin/python3"
    run([python, "-m", "venv", "--clear", place], "make the environment of uv", quiet=True)


def uv(python: str) -> Path:
    """Return uv as the lock names it, installed from PyPI when it is not there yet."""
    wanted = pinned(LOCK.read_text(encoding="utf-8"), "uv")
    place = BUILD / "uv"
    program, stamp = place / "bin" / "uv", place / "uv.lock"
    if program.exists() and stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return program
    say("Installing uv ...")
    BUILD.mkdir(exist_ok=True)
    _make_venv_for_uv(python, place)
    requirement = place / "uv.txt"
    requirement.write_text(wanted, encoding="utf-8")
    install = ["install", "--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes"]
    run(
        [place / "bin" / "python", "-m", "pip", *install, "-r", requirement],
        "install uv from PyPI",
        quiet=True,
    )
    requirement.replace(stamp)
    return program


def resolve(
    program: Path, output: Path, core: str | None = None, extra: Sequence[str] = ()
) -> None:
    """Write every exact version and digest to ``output``; what stands there already is kept where it still fits."""
    argv: list[str | Path] = [
        program,
        "pip",
        "compile",
        "--quiet",
        "--universal",
        "--python-version",
        "3.11",
    ]
    argv += [
        "--generate-hashes",
        "--no-emit-index-url",
        "--custom-compile-command",
        "make lock",
        "--group",
        "dev",
    ]
    if core is not None:
        constraint = BUILD / f"ansible-core-{core}.txt"
        constraint.write_text(f"ansible-core=={core}.*\n", encoding="utf-8")
        at_least = "3.11" if core in ("2.18", "2.19") else "3.12"
        argv[argv.index("3.11")] = at_least
        argv += ["--constraint", constraint]
    run(
        [*argv, *extra, "-o", output],
        "resolve the dependencies",
        env=network_env(os.environ),
        quiet=True,
    )


def requirements(program: Path, core: str | None) -> Path:
    """Return the file to install from: the lock, or one resolved from it for another ansible-core."""
    if core is None:
        return LOCK
    if not re.fullmatch(r"2\.\d+", core):
        raise Problem(f"TWINGUARD_ANSIBLE_CORE={core} is not a release line such as 2.20.")
    output = BUILD / f"requirements-{core}.lock"
    if not output.exists() or output.stat().st_mtime < LOCK.stat().st_mtime:
        say(f"Resolving for ansible-core {core} ...")
        shutil.copyfile(LOCK, output)
        resolve(program, output, core)
    return output


def show_collection(collections: Path) -> None:
    """Make the checkout, whatever its folder is called, visible as ansible_collections.twinguard.hardening."""
    link = collections / "ansible_collections" / "twinguard" / "hardening"
    link.parent.mkdir(parents=True, exist_ok=True)
    target = os.path.relpath(ROOT, link.parent)
    if not link.is_symlink() or os.readlink(link) != target:
        link.unlink(missing_ok=True)
        link.symlink_to(target, target_is_directory=True)


def setup(env: Mapping[str, str]) -> None:
    """Make everything ready; a second call finds it so and does nothing."""
    show_collection(COLLECTIONS)
    core = env.get("TWINGUARD_ANSIBLE_CORE") or None
    # The stamp holds all that decides what is installed, so its equality proves that nothing is to be done.
    digest = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    state = "\n".join([digest, env.get("TWINGUARD_PYTHON", "newest"), core or "locked", ""])
    if (
        (VENV / "bin" / "python").exists()
        and STAMP.exists()
        and STAMP.read_text(encoding="utf-8") == state
    ):
        return
    found = interpreter(env)
    program = uv(sys.executable)
    source = requirements(program, core)
    say(
        f"Making the virtual environment on Python {found.version[0]}.{found.version[1]} ({found.path}) ..."
    )
    quiet = ["--quiet", "--no-progress"]
    network = network_env(env)
    run(
        [program, "venv", *quiet, "--clear", "--python", found.path, VENV],
        "make .venv",
        env=network,
    )
    sync: list[str | Path] = [
        "pip",
        "sync",
        *quiet,
        "--require-hashes",
        "--python",
        VENV / "bin" / "python",
        source,
    ]
    run([program, *sync], "install the locked packages", env=network)
    STAMP.write_text(state, encoding="utf-8")
    core_line = run(
        [VENV / "bin" / "ansible", "--version"], "start Ansible", env=network, quiet=True
    ).splitlines()[0]
    say(f"Ready: {core_line}.")


def _body(arguments: list[str]) -> int:
    if arguments[:1] == ["lock"]:
        resolve(uv(sys.executable), LOCK, extra=arguments[1:])
    elif arguments:
        raise Problem("Usage: bootstrap.py [lock [--upgrade]]")
    else:
        setup(os.environ)
    return 0


if __name__ == "__main__":
    main(_body)
