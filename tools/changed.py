# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Choose the checks for what a developer changed: `make test CHANGED=1`. CI runs all of them, always.

A file is concerned when it changed, or when it names one that is: by an import, or by the name that Ansible knows a
module, role or playbook by. Ours, because pytest's plugins for this see only what a test runs in its own process, and
nothing of roles, playbooks and hosts.
"""

from __future__ import annotations

import ast
import re
from typing import Iterator, Mapping, NamedTuple, Sequence

from workshop import ROOT, Problem, run

COLLECTION = "ansible_collections.twinguard.hardening."
# Whatever these say may concern every test.
ALL_TESTS = ("pyproject.toml", "requirements.lock", "tests/unit/conftest.py", "galaxy.yml")
ALL_SCENARIOS = ("molecule/default", "molecule/inventory", ".config/molecule/config.yml")
TEXT = (".py", ".yml", ".yaml", ".j2", ".ps1", ".psm1", ".sh", ".json")
_NAMED = re.compile(r'\btwinguard\.hardening\.(\w+)\b(?!\.)|\bModule\(\s*"(\w+)"')


class Chosen(NamedTuple):
    """The names of steps, the files of unit tests, and the fault cases."""

    steps: set[str]
    tests: list[str]
    cases: list[str]


def place_of(path: str) -> str:
    """Return what a file is a part of: a role or a scenario as a whole, else only itself."""
    parts = path.split("/")
    return "/".join(parts[:2]) if parts[0] in ("roles", "molecule") else path


def _imports(path: str, text: str) -> Iterator[str]:
    """Yield what a Python file imports or names in a string, as dotted names; ours from the collection's root."""
    folder = path.split("/")[:-1]
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom):
            above = folder[: len(folder) - node.level + 1] if node.level else []
            base = ".".join([*above, node.module or ""]).strip(".").removeprefix(COLLECTION)
            yield from (base, *(f"{base}.{one.name}" for one in node.names))
        elif isinstance(node, ast.Import):
            yield from (one.name.removeprefix(COLLECTION) for one in node.names)
        elif isinstance(node, ast.Constant) and str(node.value).startswith(COLLECTION):
            yield str(node.value).removeprefix(COLLECTION)


def users(files: Mapping[str, str]) -> dict[str, set[str]]:
    """Return for each place which places name it."""
    stems: dict[str, set[str]] = {}
    for path in files:
        stems.setdefault(path.rpartition("/")[2].partition(".")[0], set()).add(path)
    found: dict[str, set[str]] = {}
    for path, text in files.items():
        named = {
            one
            for names in _NAMED.findall(text)
            for one in stems.get(names[0] or names[1], ())
            if one.startswith(("plugins/", "playbooks/"))
        }
        named |= {f"roles/{names[0]}" for names in _NAMED.findall(text)}
        for name in _imports(path, text) if path.endswith(".py") else ():
            # Without a dot it is support code, on a path that a test sets.
            beside = stems.get(name, ()) if "." not in name else ()
            named |= {name.replace(".", "/") + ".py", *(one for one in beside if one[-3:] == ".py")}
        for one in named:
            found.setdefault(place_of(one), set()).add(place_of(path))
    return found


def concerned(changed: Sequence[str], files: Mapping[str, str]) -> set[str]:
    """Return the places that changed, and all that name one of them, directly or not."""
    named_by, found = users(files), {place_of(path) for path in changed}
    for path in changed:
        name = path.rpartition("/")[2]
        if not name.endswith((".py", ".yml", ".md")):
            found |= {place_of(one) for one, text in files.items() if name in text}
    new = list(found)
    while new:
        more = named_by.get(new.pop(), set()) - found
        found |= more
        new += more
    return found


def choose(changed: Sequence[str], files: Mapping[str, str]) -> Chosen:
    """Return the checks for changed files, some of which may be gone; ``files`` are the texts of those there are."""
    hit = concerned(changed, files)
    python = any(path.endswith(".py") for path in changed)
    yaml = any(path.endswith((".yml", ".yaml")) for path in changed)
    within = {path.partition("/")[0] for path in changed}
    tests = sorted(
        path for path in hit & files.keys() if re.match(r"tests/unit/.*\btest_\w+\.py", path)
    )
    if set(changed) & set(ALL_TESTS):
        tests = ["tests/unit"]
    elif within & {"plugins", "roles", "playbooks", "molecule", "tests", "docs"}:
        # These look at all of the tree and name no file.
        pictures = {"tests/unit/test_pictures.py"} if "docs" in within else set()
        tests = sorted({*tests, *pictures, "tests/unit/test_contract.py"})
    cases = [path for path in files if path.startswith("tests/faults/cases/")]
    if "tests/faults/test_faults.py" not in hit:
        cases = [path for path in cases if path in hit]
    scenarios = {place_of(path) for path in files if re.match(r"molecule/\w+/molecule\.yml", path)}
    if not hit & set(ALL_SCENARIOS):
        scenarios &= hit
    wanted = {
        "ruff format mypy": python,
        "yamllint": yaml,
        "ansible-lint": yaml or "plugins" in within,
        "changelog": "changelogs" in within,
        "docs": bool(within & {"plugins", "roles"}),
        "role-docs": "roles" in within,
        "site": "docs" in within or any(path.endswith(".md") for path in changed),
        "unit": bool(tests),
        "windows": any(path.startswith("tests/windows/test_") for path in hit),
        "faults": bool(cases),
    }
    steps = {step for names, is_wanted in wanted.items() if is_wanted for step in names.split()}
    steps |= {f"molecule-{place.partition('/')[2]}" for place in scenarios - {"molecule/default"}}
    return Chosen(steps, tests, sorted(path.rpartition("/")[2][:-3] for path in cases))


def _git(*words: str) -> list[str]:
    """Return what git lists, each name ended by a zero."""
    return [one for one in run(["git", *words], "ask git", quiet=True).split("\0") if one.strip()]


def look(env: Mapping[str, str]) -> tuple[str, Chosen]:
    """Return since when, and the checks for all that changed since then, committed or not.

    :raises Problem: in CI, and when nothing changed: no check at all is never a success.
    """
    if env.get("CI"):
        raise Problem(
            "CHANGED=1 is for developers and CI is set: leave CHANGED out to run all checks."
        )
    # That of a server comes last, and tells also what was committed to main here.
    mains = _git("for-each-ref", "--format=%(refname)%00", "refs/heads/main", "refs/remotes/*/main")
    bases = [_git("merge-base", "HEAD", main.strip()) for main in mains[-1:]]
    base = bases[0][0].strip() if bases else "HEAD"
    new = _git("ls-files", "-z", "--others", "--exclude-standard")
    changed = [*_git("diff", "-z", "--name-only", "--no-renames", base), *new]
    if not changed:
        raise Problem(f"Nothing has changed since {base[:12]}: there is nothing to check.")
    names = {*_git("ls-files", "-z"), *new}
    there = [ROOT / name for name in sorted(names) if name.endswith(TEXT)]
    files = {str(one.relative_to(ROOT)): one.read_text("utf-8") for one in there if one.is_file()}
    return base[:12], choose(changed, files)
