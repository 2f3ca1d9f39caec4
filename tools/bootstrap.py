# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the virtual environment from the lock, and show this checkout to Ansible as a collection.

Run again it does nothing as long as the lock, the interpreter and the wanted ansible-core are the same. uv finds the
interpreter, resolves and installs. Ours is what comes before it: uv itself, from the lock, on any Python.

Environment: TWINGUARD_PYTHON names the interpreter to use; TWINGUARD_ANSIBLE_CORE (as in "2.20") asks for another
ansible-core than the locked one, for the CI matrix.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any, Iterable, Mapping, NamedTuple, Sequence

from workshop import BUILD, COLLECTIONS, ROOT, VENV, Problem, install_packages, main, run, say

LOCK = ROOT / "requirements.lock"
STAMP = VENV / "twinguard.stamp"
# Best first. Newer ones than these are not tried unasked: the locked tools were not tested there.
KNOWN = ((3, 13), (3, 12), (3, 11))


class Interpreter(NamedTuple):
    """A Python of this machine: its version and its own path, which may differ from the name it was called by."""

    version: tuple[int, int]
    path: str


def _ask_uv(uv: Path, env: Mapping[str, str], *request: str) -> Any:
    """Return what uv tells of each Python on the PATH, or of the requested one."""
    words = [str(uv), "python", "list", "--only-installed", "--output-format", "json", *request]
    return json.loads(run(words, "look for Python", env=network_env(env), quiet=True) or "[]")


def listed(rows: Sequence[Mapping[str, Any]]) -> list[Interpreter]:
    """Return the interpreters that uv tells of, one for each version.

    pyenv's stand-ins answer only as long as pyenv's variables are set, and our own .venv is about to be made anew.
    """
    found: dict[tuple[int, int], Interpreter] = {}
    for one in rows:
        path, version = one["path"], (one["version_parts"]["major"], one["version_parts"]["minor"])
        usual = one["implementation"] == "cpython" and one["variant"] == "default"
        if usual and "/shims/" not in path and not path.startswith(f"{VENV}{os.sep}"):
            found.setdefault(version, Interpreter(version, path))
    return list(found.values())


def interpreters(uv: Path, env: Mapping[str, str]) -> list[Interpreter]:
    """Return the interpreters on the PATH and those that pyenv has put aside."""
    pyenv = Path(env.get("PYENV_ROOT") or Path(env.get("HOME", "/nonexistent")) / ".pyenv")
    folders = [env.get("PATH", os.defpath), *map(str, sorted(pyenv.glob("versions/*/bin")))]
    return listed(_ask_uv(uv, {**env, "PATH": os.pathsep.join(folders)}))


def named(uv: Path, env: Mapping[str, str], name: str) -> Interpreter:
    """Return the interpreter that the user named; it is taken or refused, never replaced by another.

    :raises Problem: when it does not run or is too old.
    """
    rows = _ask_uv(uv, env, name)
    if not rows:
        raise Problem(f"TWINGUARD_PYTHON={name} does not run; name a Python 3.11 or newer.")
    parts = rows[0]["version_parts"]
    version = (parts["major"], parts["minor"])
    if version < min(KNOWN):
        words = "{}.{}".format(*version)
        raise Problem(f"TWINGUARD_PYTHON={name} is Python {words}; 3.11 is the lowest.")
    return Interpreter(version, rows[0]["path"])


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


def _make_venv_for_uv(place: Path) -> None:
    """Make the small environment uv lives in; Debian ships ensurepip apart from python3."""
    python = sys.executable
    if not (importlib.util.find_spec("ensurepip") and importlib.util.find_spec("venv")):
        if os.geteuid() != 0 or shutil.which("apt-get") is None:
            raise Problem(
                f"{python} has no `venv`: install it (Debian: `apt-get install python3-venv`)."
            )
        install_packages(["python3-venv"])
        python = "/usr/bin/python3"
    run([python, "-m", "venv", "--clear", place], "make the environment of uv", quiet=True)


def install_uv() -> Path:
    """Return uv as the lock names it, installed from PyPI when it is not there yet."""
    wanted = pinned(LOCK.read_text(encoding="utf-8"), "uv")
    place = BUILD / "uv"
    program, stamp = place / "bin" / "uv", place / "uv.lock"
    if program.exists() and stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return program
    say("Installing uv ...")
    BUILD.mkdir(exist_ok=True)
    _make_venv_for_uv(place)
    requirement = place / "uv.txt"
    requirement.write_text(wanted, encoding="utf-8")
    words = "-m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r"
    run([place / "bin" / "python", *words.split(), requirement], "install uv from PyPI", quiet=True)
    requirement.replace(stamp)
    return program


def resolve(uv: Path, output: Path, core: str | None = None, extra: Sequence[str] = ()) -> None:
    """Write every exact version and digest to ``output``; what stands there already is kept where it still fits."""
    words = "pip compile --quiet --universal --generate-hashes --no-emit-index-url --group dev"
    argv: list[str | Path] = [uv, *words.split(), "--custom-compile-command", "make lock"]
    lowest = "3.11" if core in (None, "2.18", "2.19") else "3.12"
    if core is not None:
        constraint = BUILD / f"ansible-core-{core}.txt"
        constraint.write_text(f"ansible-core=={core}.*\n", encoding="utf-8")
        argv += ["--constraint", constraint]
    argv += ["--python-version", lowest, *extra, "-o", output]
    run(argv, "resolve the dependencies", env=network_env(os.environ), quiet=True)


def requirements(uv: Path, core: str | None) -> Path:
    """Return the file to install from: the lock, or one resolved from it for another ansible-core."""
    if core is None:
        return LOCK
    if not re.fullmatch(r"2\.\d+", core):
        raise Problem(f"TWINGUARD_ANSIBLE_CORE={core} is not a release line such as 2.20.")
    output = BUILD / f"requirements-{core}.lock"
    if not output.exists() or output.stat().st_mtime < LOCK.stat().st_mtime:
        say(f"Resolving for ansible-core {core} ...")
        shutil.copyfile(LOCK, output)
        resolve(uv, output, core)
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
    there = (VENV / "bin" / "python").exists() and STAMP.exists()
    if there and STAMP.read_text(encoding="utf-8") == state:
        return
    uv = install_uv()
    name = env.get("TWINGUARD_PYTHON")
    found = named(uv, env, name) if name else choose(interpreters(uv, env))
    source = requirements(uv, core)
    version = "{}.{}".format(*found.version)
    say(f"Making the virtual environment on Python {version} ({found.path}) ...")
    network = network_env(env)
    make = [
        str(uv),
        "venv",
        "--quiet",
        "--no-progress",
        "--clear",
        "--python",
        found.path,
        str(VENV),
    ]
    run(make, "make .venv", env=network)
    sync = [str(uv), "pip", "sync", "--quiet", "--no-progress", "--require-hashes", "--python"]
    run([*sync, VENV / "bin" / "python", source], "install the locked packages", env=network)
    STAMP.write_text(state, encoding="utf-8")
    told = run([VENV / "bin" / "ansible", "--version"], "start Ansible", env=network, quiet=True)
    say(f"Ready: {told.splitlines()[0]}.")


def _body(arguments: list[str]) -> int:
    if arguments[:1] == ["lock"]:
        resolve(install_uv(), LOCK, extra=arguments[1:])
    elif arguments:
        raise Problem("Usage: bootstrap.py [lock [--upgrade]]")
    else:
        setup(os.environ)
    return 0


if __name__ == "__main__":
    main(_body)
