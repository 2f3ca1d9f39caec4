# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the collection as it would be published, install it elsewhere, and run Galaxy's own importer on it.

Building and checking are ansible-galaxy's and the importer's. Ours: that two builds are equal and hold nothing else.
"""

from __future__ import annotations

import hashlib
import shutil
import tarfile
from pathlib import Path
from typing import Callable, Iterable, Mapping, Sequence

from results import Counts, from_code
from workshop import BUILD, ROOT, VENV, tool_env

GALAXY = VENV / "bin" / "ansible-galaxy"
DIST = BUILD / "dist"
# What users of the collection get. A new top-level entry must be named here or in galaxy.yml's build_ignore.
WANTED = {"CHANGELOG.md", "CONTRIBUTING.md", "FILES.json", "LICENSE", "MANIFEST.json", "README.md"}
WANTED |= {"changelogs", "docs", "meta", "playbooks", "plugins", "roles"}

Runner = Callable[[Sequence[str], Mapping[str, str], Path], int]


def unwanted(names: Iterable[str]) -> list[str]:
    """Return the top-level entries of a built collection that no user of it needs."""
    return sorted({name.split("/")[0] for name in names} - WANTED)


def content(archive: Path) -> dict[str, tuple[int, str]]:
    """Return mode and digest of each file in an archive; times differ between two builds and count for nothing."""
    with tarfile.open(archive) as tar:
        result: dict[str, tuple[int, str]] = {}
        for member in tar.getmembers():
            file = tar.extractfile(member) if member.isfile() else None
            digest = hashlib.sha256(file.read() if file else b"").hexdigest()
            result[member.name] = (member.mode, digest)
    return result


def difference(one: Mapping[str, object], two: Mapping[str, object]) -> list[str]:
    """Return the names that are not the same in both builds."""
    return sorted(name for name in {*one, *two} if one.get(name) != two.get(name))


def _build(run: Runner, place: Path) -> Path | None:
    """Build into an empty folder; return the archive, None when there is none."""
    shutil.rmtree(place, ignore_errors=True)
    words = ["collection", "build", "--output-path", str(place), "--force"]
    run([str(GALAXY), *words], tool_env(), ROOT)
    return next(iter(place.glob("*.tar.gz")), None)


def _installs(run: Runner, archive: Path) -> Counts:
    """Install the archive into a bare folder and have Ansible list each of its modules from there."""
    place = BUILD / "installed"
    shutil.rmtree(place, ignore_errors=True)
    env = {**tool_env(), "ANSIBLE_COLLECTIONS_PATH": str(place)}
    command = [str(GALAXY), "collection", "install", str(archive), "--offline", "--force"]
    code = run([*command, "--collections-path", str(place)], env, BUILD)
    modules = sorted(path.stem for path in (ROOT / "plugins" / "modules").glob("*.py"))
    if code == 0 and modules:
        names = [f"twinguard.hardening.{module}" for module in modules]
        code = run([str(VENV / "bin" / "ansible-doc"), "--type", "module", *names], env, BUILD)
    return from_code("installing the built collection", code)


def check(run: Runner) -> Counts:
    """Run the checks; each is one test."""
    first, second = _build(run, DIST), _build(run, BUILD / "dist-again")
    if first is None or second is None:
        return Counts(failed=1, notes=("ansible-galaxy built nothing",))
    inside = content(first)
    extra, differing = ", ".join(unwanted(inside)), ", ".join(difference(inside, content(second)))
    counts = Counts(passed=1)
    for names, problem in (
        (extra, f"the built collection holds {extra}: name them in galaxy.yml's build_ignore"),
        (differing, f"two builds differ in {differing}"),
    ):
        counts = counts.plus(Counts(failed=1, notes=(problem,)) if names else Counts(passed=1))
    counts = counts.plus(_installs(run, first))
    # The importer leaves its result file in the working directory. What its ansible-lint finds is no failure there;
    # `make lint` has run it, strictly.
    importer = [str(VENV / "bin" / "python"), "-m", "galaxy_importer.main", str(first)]
    env = {**tool_env(), "GALAXY_IMPORTER_RUN_ANSIBLE_LINT": "false"}
    return counts.plus(from_code("galaxy-importer", run(importer, env, BUILD)))
