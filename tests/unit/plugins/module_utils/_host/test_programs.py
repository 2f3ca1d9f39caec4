# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stand-alone programs: what install_io makes of modules."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Dict, List

import pytest

from ansible_collections.twinguard.hardening.plugins.module_utils._audit.watch import (
    apply_io as audit_apply_io,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._core import plan
from ansible_collections.twinguard.hardening.plugins.module_utils._files.transaction_io import (
    Absent,
    DirSpec,
    FileSpec,
    Transaction,
    Wanted,
    plan_files,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._git.guard import hook as git_hook
from ansible_collections.twinguard.hardening.plugins.module_utils._host import (
    install_io as program_files_io,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._host.install_io import (
    PACKAGE,
    entry,
    program_files,
    sources,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._host.run_io import (
    ProgramError,
    clean_environment,
    run,
)

DIRECTORY = PACKAGE.replace(".", "/")


def files_of(lib: Path) -> List[Wanted]:
    """A program for this Python that belongs to whoever runs the tests."""
    made = program_files("demo", {"start": plan}, python=sys.executable, lib_dir=str(lib))
    return [mine(one) for one in made]


def mine(one: Wanted) -> Wanted:
    if isinstance(one, FileSpec):
        return FileSpec(one.path, one.content, one.mode)
    return DirSpec(one.path, one.mode) if isinstance(one, DirSpec) else one


def install(base: Path) -> Path:
    with Transaction(str(base / "state")) as files:
        files.stage(files_of(base / "lib"))
        files.commit()
        files.confirm()
    return base / "lib" / "demo"


def test_the_sources_are_the_named_file_all_it_imports_and_the_packages() -> None:
    found = sources([git_hook])
    assert {
        "ansible_collections/__init__.py",
        "ansible_collections/twinguard/__init__.py",
        "ansible_collections/twinguard/hardening/__init__.py",
        "ansible_collections/twinguard/hardening/plugins/__init__.py",
        f"{DIRECTORY}/__init__.py",
        f"{DIRECTORY}/_git/guard/hook.py",
        f"{DIRECTORY}/_git/verify/policy.py",  # which it imports
        f"{DIRECTORY}/_trust/ssh_keys.py",  # which is imported by what it imports
    } <= set(found)
    assert f"{DIRECTORY}/_host/run_io.py" not in found
    assert b"def parse_updates" in found[f"{DIRECTORY}/_git/guard/hook.py"]


def test_imports_of_whole_files_are_followed_too() -> None:
    assert f"{DIRECTORY}/_audit/watch/rearm.py" in sources([audit_apply_io])


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(ProgramError, match="_no_such_file"):
        sources([ModuleType(f"{PACKAGE}._no_such_file")])


def in_an_archive(tmp_path: Path, files: Dict[str, bytes], *names: str) -> List[str]:
    """The paths that `sources` finds for these modules in an archive like Ansible's, or its error."""
    archive = tmp_path / "payload.zip"
    with zipfile.ZipFile(archive, "w") as out:
        for path, content in {**sources([program_files_io]), **files}.items():
            out.writestr(path, content)
    script = f"""
import importlib, sys
sys.path.insert(0, {str(archive)!r})
from {PACKAGE}._host.install_io import sources
from {PACKAGE}._host.run_io import ProgramError
try:
    print(*sources([importlib.import_module(f"{PACKAGE}.{{name}}") for name in {names!r}]), sep="\\n")
except ProgramError as error:
    print(error)
"""
    command = [sys.executable, "-I", "-c", script]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def in_package(name: str, text: str, *others: str) -> Dict[str, bytes]:
    """A module of ours with this text, empty others, and the packages above all of them."""
    files = {f"{DIRECTORY}/{one.replace('.', '/')}.py": b"" for one in others}
    files[f"{DIRECTORY}/{name.replace('.', '/')}.py"] = text.encode()
    packages = {f"{parent}/__init__.py": b"" for path in files for parent in Path(path).parents}
    return {
        **{path: text for path, text in packages.items() if path.startswith(DIRECTORY)},
        **files,
    }


def test_the_sources_are_found_in_the_archive_that_ansible_sends(tmp_path: Path) -> None:
    assert in_an_archive(tmp_path, sources([plan]), "_core.plan") == list(sources([plan]))


def test_an_import_is_followed_wherever_in_a_file_it_stands(tmp_path: Path) -> None:
    one = f"import {PACKAGE}._{{}}\n"
    text = "try:\n    " + one.format("a") + "except ImportError:\n    " + one.format("b")
    text += "else:\n    " + one.format("c") + "finally:\n    " + one.format("d")
    text += "class Some:\n    def method(self):\n        with self:\n            " + one.format("e")
    text += "for _ in ():\n    if _:\n        pass\n    else:\n        " + one.format("f")
    files = in_package("_all", text, "_a", "_b", "_c", "_d", "_e", "_f")
    assert set(files) <= set(in_an_archive(tmp_path, files, "_all"))


@pytest.mark.parametrize(
    ("statement", "needed"),
    [
        ("from .near import thing", "_one.inner.near"),
        ("from . import near", "_one.inner.near"),
        ("from .. import above as other", "_one.above"),
        ("from ..above import thing", "_one.above"),
        ("from ..._two.deep import leaf", "_two.deep.leaf"),
        ("from ..._two.deep.leaf import thing", "_two.deep.leaf"),
        ("from ... import _flat", "_flat"),
        ("from ..._flat import thing", "_flat"),
        (f"from {PACKAGE} import _flat", "_flat"),
        (f"from {PACKAGE}._two.deep import leaf", "_two.deep.leaf"),
        (f"import {PACKAGE}._two.deep.leaf", "_two.deep.leaf"),
    ],
)
def test_packages_and_relative_imports_are_followed(
    tmp_path: Path, statement: str, needed: str
) -> None:
    there = ["_one.inner.near", "_one.above", "_two.deep.leaf", "_flat"]
    # Below a function: these others are empty and have no `thing`.
    files = in_package("_one.inner.here", f"def late():\n    {statement}\n", *there)
    found = in_an_archive(tmp_path, files, "_one.inner.here")
    ours = [path for path in found if path in files and not path.endswith("/__init__.py")]
    wanted = {f"{DIRECTORY}/{one.replace('.', '/')}.py" for one in ("_one.inner.here", needed)}
    assert set(ours) == wanted
    parents = {f"{folder}/__init__.py" for path in wanted for folder in Path(path).parents}
    assert parents - {"./__init__.py"} <= set(found)


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("from ansible.module_utils import basic", "imports ansible.module_utils"),
        ("import ansible.module_utils.basic", "imports ansible.module_utils.basic"),
        ("from ...plugin_utils import _render", "imports .*plugin_utils"),
        ("from . import missing", "_one.missing has no source here"),
    ],
)
def test_a_file_that_needs_what_a_program_does_not_have_is_refused(
    tmp_path: Path, statement: str, named: str
) -> None:
    files = in_package("_one.here", f"def late():\n    {statement}\n")
    (line,) = in_an_archive(tmp_path, files, "_one.here")
    assert re.search(named, line)


def test_a_program_starts_without_ansible_and_from_its_bytecode(tmp_path: Path) -> None:
    lib = install(tmp_path)
    script = f"import sys; sys.path[:0] = [{str(lib)!r}]; import {PACKAGE}._core.plan"
    command = [sys.executable, "-ISv", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    source = lib / DIRECTORY / "_core/plan.py"
    cached = importlib.util.cache_from_source(str(source))
    assert f"{cached} matches {source}" in done.stderr


def test_the_entry_calls_main_with_its_arguments_and_ends_with_what_it_returns(
    tmp_path: Path,
) -> None:
    text = entry(sys.executable, str(tmp_path), ModuleType(f"{PACKAGE}._made"))
    place = tmp_path / DIRECTORY
    place.mkdir(parents=True)
    (place / "_made.py").write_text("def main(arguments):\n    print(arguments)\n    return 7\n")
    (tmp_path / "start").write_bytes(text)
    (tmp_path / "start").chmod(0o755)
    done = subprocess.run(
        [str(tmp_path / "start"), "a", "b c"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (7, "['a', 'b c']\n")


def test_a_second_run_changes_nothing_and_a_cut_bytecode_file_is_made_anew(tmp_path: Path) -> None:
    lib = install(tmp_path)
    assert not plan_files(files_of(tmp_path / "lib")).changed
    cached = next(lib.rglob("plan*.pyc"))
    whole = cached.read_bytes()
    cached.write_bytes(whole[:-20])
    assert plan_files(files_of(tmp_path / "lib")).changed
    install(tmp_path)
    assert not plan_files(files_of(tmp_path / "lib")).changed


def test_files_of_an_older_version_are_removed(tmp_path: Path) -> None:
    lib = install(tmp_path)
    (lib / DIRECTORY / "_old.py").write_text("")
    (lib / DIRECTORY / "__pycache__" / "_old.cpython-36.pyc").write_text("")
    package = lib / DIRECTORY / "_gone" / "inner" / "__pycache__"
    package.mkdir(parents=True)
    (package.parent / "_old.py").write_text("")
    (package / "_old.cpython-36.pyc").write_text("")
    gone = {one.path for one in files_of(tmp_path / "lib") if isinstance(one, Absent)}
    assert gone == {
        f"{lib}/{DIRECTORY}/_old.py",
        f"{lib}/{DIRECTORY}/__pycache__/_old.cpython-36.pyc",
        f"{package.parent}/_old.py",
        f"{package}/_old.cpython-36.pyc",
    }


def test_a_process_gets_input_environment_and_directory_and_its_end_is_told(tmp_path: Path) -> None:
    env: Dict[str, str] = {**clean_environment(), "WHO": "me"}
    done = run(
        ["sh", "-c", 'cat; printf %s "$WHO" >&2; pwd; exit 3'], b"in ", env, 10, str(tmp_path)
    )
    assert done == (3, b"in " + os.fsencode(str(tmp_path)) + b"\n", b"me")
    assert run(["sh", "-c", "kill -9 $$"]).code == -9


def test_a_program_that_is_missing_or_too_slow_is_an_error() -> None:
    with pytest.raises(ProgramError, match=r"start /no-such-program: No such file .*\(ENOENT\)"):
        run(["/no-such-program"])
    with pytest.raises(ProgramError, match="longer than"):
        run(["sleep", "30"], timeout=0.1)
