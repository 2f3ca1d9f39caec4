# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ansible-test needs around it: a real tree, interpreters by plain names, and a pip it need not download.

Ours, because antsibull-nox runs ansible-test in containers only, and ansible-test alone takes a git-ignored tree as
empty.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import bootstrap
from workshop import BUILD, ROOT, VENV, run, tool_env

TREE = BUILD / "tree" / "ansible_collections" / "twinguard" / "hardening"
HOME = BUILD / "home"
PYTHONS = BUILD / "pythons"

# ansible-test makes a dozen environments and runs get-pip.py, which it would download from a host of its own, in each.
# This one leaves a pip behind that is uv: the same packages in a tenth of the processor time.
GET_PIP = """\
import pathlib
import sysconfig

place = pathlib.Path(sysconfig.get_path("purelib"), "pip")
place.mkdir(exist_ok=True)
(place / "__init__.py").touch()
(place / "__main__.py").write_text({main!r})
"""
PIP = """\
import os
import sys

command, *words = sys.argv[1:]
words = [word for word in words if word not in ("-y", "--disable-pip-version-check")]
os.environ.update({env!r})
if command == "install":
    # Compiled now, as pip does: a warning of the compiler would else be taken for one of the first test.
    words.append("--compile-bytecode")
os.execv({uv!r}, ["uv", "pip", command, "--quiet", "--python", sys.executable, *words])
"""


def copy_tree() -> Path:
    """Copy the checkout to where ansible-test finds it, and return that folder.

    It resolves links, so the collection must be a real tree; and it asks git for the files, so the tree must be a
    repository of its own: below an ignored folder of ours it would else test nothing and call that a success.
    """
    words = ["git", "ls-files", "-coz", "--exclude-standard"]
    listed = run(words, "list the files of the checkout", quiet=True)
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


def lowest_python() -> str:
    """Return the lowest Python of this machine on which the installed ansible-core can run modules."""
    script = "from ansible_test._util.target.common import constants as c; print(*{})"
    named = script.format("c.REMOTE_ONLY_PYTHON_VERSIONS, *c.CONTROLLER_PYTHON_VERSIONS")
    words = run([VENV / "bin" / "python", "-c", named], "ask ansible-test for Pythons", quiet=True)
    here = {path.name for path in [*PYTHONS.iterdir(), *(VENV / "bin").iterdir()]}
    usable = [word for word in words.split() if f"python{word}" in here]
    return min(usable, key=lambda word: int(word.partition(".")[2]))


def link_pythons() -> None:
    """Give each interpreter of this machine its plain name in one folder, where ansible-test looks first.

    Our own is found in the virtual environment; through a link elsewhere it would lose its packages.
    """
    shutil.rmtree(PYTHONS, ignore_errors=True)
    PYTHONS.mkdir(parents=True)
    for (major, minor), path in bootstrap.interpreters(VENV / "bin" / "uv", os.environ):
        name = f"python{major}.{minor}"
        if not (VENV / "bin" / name).exists():
            (PYTHONS / name).symlink_to(path)


def stand_in() -> str:
    """Return the get-pip.py for ansible-test, which hands no variable of ours on to it."""
    network = bootstrap.network_env(os.environ)
    env = {name: network[name] for name in network if name.startswith(("UV_", "SSL_"))}
    env.setdefault("UV_CACHE_DIR", str(Path.home() / ".cache" / "uv"))
    return GET_PIP.format(main=PIP.format(env=env, uv=str(VENV / "bin" / "uv")))


def environment() -> dict[str, str]:
    """Return the environment for ansible-test: a home of its own, so that the user's is left alone."""
    env = tool_env()
    link_pythons()
    cache = HOME / ".ansible" / "test" / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    where = "import ansible_test; print(ansible_test.__path__[0])"
    site = run([VENV / "bin" / "python", "-c", where], "find ansible-test", quiet=True).strip()
    source = (Path(site) / "_internal" / "python_requirements.py").read_text(encoding="utf-8")
    for version in re.findall(r"\bpip='([0-9.]+)'", source):
        (cache / f"get_pip_{version.replace('.', '_')}.py").write_text(stand_in(), "utf-8")
    env["HOME"] = str(HOME)
    shims = [folder for folder in env["PATH"].split(os.pathsep) if not folder.endswith("/shims")]
    env["PATH"] = os.pathsep.join([str(PYTHONS), *shims])
    # It would point every interpreter at our own packages.
    env.pop("PYTHONPATH", None)
    env.pop("ANSIBLE_COLLECTIONS_PATH", None)
    return env
