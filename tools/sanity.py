# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ansible-test needs around it: a real tree, interpreters by plain names, and a pip it need not download."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import bootstrap
from workshop import BUILD, ROOT, VENV, Problem, run, tool_env

TREE = BUILD / "tree" / "ansible_collections" / "twinguard" / "hardening"
HOME = BUILD / "home"
PYTHONS = BUILD / "pythons"
# Every version that ansible-test of a supported ansible-core can ask for.
VERSIONS = tuple((3, minor) for minor in range(8, 15))

# ansible-test downloads get-pip.py from a host of its own. The same end, from the interpreter and PyPI alone.
# ensurepip runs as a child because in-process it would wipe the environment that names the package index.
GET_PIP = """\
import subprocess
import sys

subprocess.check_call([sys.executable, "-m", "ensurepip"], stdout=subprocess.DEVNULL)
wanted = [word for word in sys.argv[1:] if word not in ("--no-setuptools", "--no-wheel")]
sys.exit(subprocess.call([sys.executable, "-m", "pip", "install", "--upgrade", *wanted]))
"""


def copy_tree() -> Path:
    """Copy the checkout to where ansible-test finds it, and return that folder.

    It resolves links, so the collection must be a real tree; and it asks git for the files, so the tree must be a
    repository of its own: below an ignored folder of ours it would else test nothing and call that a success.
    """
    listed = run(
        ["git", "ls-files", "-coz", "--exclude-standard"],
        "list the files of the checkout",
        quiet=True,
    )
    shutil.rmtree(TREE, ignore_errors=True)
    for name in filter(None, listed.split("\0")):
        source, target = ROOT / name, TREE / name
        # Deleted but not committed: git still lists it.
        if not source.is_symlink() and not source.exists():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target, follow_symlinks=False)
    run(["git", "init", "--quiet"], "make a repository of the tree", cwd=TREE, quiet=True)
    run(["git", "add", "--all"], "make a repository of the tree", cwd=TREE, quiet=True)
    return TREE


def supported_pythons() -> tuple[tuple[int, int], ...]:
    """Return every Python on which the installed ansible-core can run modules, lowest first."""
    names = "*c.REMOTE_ONLY_PYTHON_VERSIONS, *c.CONTROLLER_PYTHON_VERSIONS"
    script = f"from ansible_test._util.target.common import constants as c; print({names})"
    words = run(
        [VENV / "bin" / "python", "-c", script], "ask ansible-test for its interpreters", quiet=True
    ).split()
    return tuple(sorted((int(word.split(".")[0]), int(word.split(".")[1])) for word in words))


def controller_python() -> tuple[int, int]:
    """Return the Python version of the virtual environment."""
    found = bootstrap.ask(str(VENV / "bin" / "python"))
    if found is None:
        raise Problem(f"{VENV / 'bin' / 'python'} does not run; remove .venv and run `make setup`.")
    return found.version


def link_pythons() -> list[tuple[int, int]]:
    """Give each interpreter of this machine its plain name in one folder; return the versions, lowest first.

    ansible-test clears the variables that pyenv's stand-ins need, so only interpreters that answer without count.
    """
    shutil.rmtree(PYTHONS, ignore_errors=True)
    PYTHONS.mkdir(parents=True)
    # Our own is found in the virtual environment; through a link elsewhere it would lose its packages.
    own = controller_python()
    found: dict[tuple[int, int], str] = {}
    for program in bootstrap.candidates(os.environ, VERSIONS):
        answer = None if program.startswith(str(VENV)) else bootstrap.ask(program)
        if answer is not None and answer.version in VERSIONS and answer.version != own:
            found.setdefault(answer.version, answer.path)
    for version, path in found.items():
        (PYTHONS / "python{}.{}".format(*version)).symlink_to(path)
    return sorted([*found, own])


def environment() -> dict[str, str]:
    """Return the environment for ansible-test: a home of its own, so that the user's is left alone."""
    env = tool_env()
    cache = HOME / ".ansible" / "test" / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    site = run(
        [VENV / "bin" / "python", "-c", "import ansible_test; print(ansible_test.__path__[0])"],
        "find ansible-test",
        quiet=True,
    ).strip()
    source = (Path(site) / "_internal" / "python_requirements.py").read_text(encoding="utf-8")
    for version in re.findall(r"\bpip='([0-9.]+)'", source):
        (cache / f"get_pip_{version.replace('.', '_')}.py").write_text(GET_PIP, encoding="utf-8")
    for config in (".config/pip/pip.conf", ".pip/pip.conf"):
        theirs = Path.home() / config
        if theirs.exists():
            env.setdefault("PIP_CONFIG_FILE", str(theirs))
    env["HOME"] = str(HOME)
    shims = [folder for folder in env["PATH"].split(os.pathsep) if not folder.endswith("/shims")]
    env["PATH"] = os.pathsep.join([str(PYTHONS), *shims])
    # It would point every interpreter at our own packages.
    env.pop("PYTHONPATH", None)
    env.pop("ANSIBLE_COLLECTIONS_PATH", None)
    return env
