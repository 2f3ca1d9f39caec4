# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stand-alone programs made of _program_io and _program_files_io."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Dict, List

import pytest

from ansible_collections.twinguard.hardening.plugins.module_utils import (
    _program_files_io as program_files_io,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._files import (
    Absent,
    DirSpec,
    FileSpec,
    Transaction,
    Wanted,
    plan_files,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._program_io import (
    PACKAGE,
    ProgramError,
    clean_environment,
    run,
    sources,
)

DIRECTORY = PACKAGE.replace(".", "/")


def files_of(lib: Path) -> List[Wanted]:
    """A program for this Python that belongs to whoever runs the tests."""
    made = program_files_io.program_files(
        "demo", {"start": "_plan"}, python=sys.executable, lib_dir=str(lib)
    )
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
    found = sources(["_git_hook"])
    assert {
        "ansible_collections/__init__.py",
        "ansible_collections/twinguard/__init__.py",
        "ansible_collections/twinguard/hardening/__init__.py",
        "ansible_collections/twinguard/hardening/plugins/__init__.py",
        f"{DIRECTORY}/__init__.py",
        f"{DIRECTORY}/_git_hook.py",
        f"{DIRECTORY}/_git_trust.py",  # which it imports
        f"{DIRECTORY}/_ssh_keys.py",  # which is imported by what it imports
    } <= set(found)
    assert f"{DIRECTORY}/_program_io.py" not in found
    assert b"def parse_updates" in found[f"{DIRECTORY}/_git_hook.py"]


def test_imports_of_whole_files_are_followed_too() -> None:
    assert f"{DIRECTORY}/_audit_rearm.py" in sources(["_audit_apply_io"])


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(ProgramError, match="_no_such_file"):
        sources(["_no_such_file"])


def in_an_archive(tmp_path: Path, files: Dict[str, bytes], script: str) -> str:
    """What a script prints that has `_program_io` and these files of ours in an archive, as Ansible sends them."""
    archive = tmp_path / "payload.zip"
    with zipfile.ZipFile(archive, "w") as out:
        for path, content in {**sources(["_program_io"]), **files}.items():
            out.writestr(path, content)
    before = f"import sys; sys.path.insert(0, {str(archive)!r})\n"
    before += f"from {PACKAGE}._program_io import sources, ProgramError\n"
    command = [sys.executable, "-I", "-c", before + script]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_the_sources_are_found_in_the_archive_that_ansible_sends(tmp_path: Path) -> None:
    path = f"{DIRECTORY}/_plan.py"
    printed = in_an_archive(
        tmp_path, sources(["_plan"]), f"print(len(sources(['_plan'])['{path}']))"
    )
    assert int(printed) == len(sources(["_plan"])[path])


def test_an_import_is_followed_wherever_in_a_file_it_stands(tmp_path: Path) -> None:
    one = f"import {PACKAGE}._{{}}\n"
    text = "try:\n    " + one.format("a") + "except ImportError:\n    " + one.format("b")
    text += "else:\n    " + one.format("c") + "finally:\n    " + one.format("d")
    text += "class Some:\n    def method(self):\n        with self:\n            " + one.format("e")
    text += "for _ in ():\n    if _:\n        pass\n    else:\n        " + one.format("f")
    files = {f"{DIRECTORY}/_{name}.py": b"" for name in "abcdef"}
    files[f"{DIRECTORY}/_all.py"] = text.encode()
    printed = in_an_archive(tmp_path, files, "print(*sources(['_all']))")
    assert set(files) <= set(printed.split())


def test_a_file_that_needs_ansible_is_refused(tmp_path: Path) -> None:
    files = {f"{DIRECTORY}/_all.py": b"def late():\n    from ansible.module_utils import basic\n"}
    script = "try:\n    sources(['_all'])\nexcept ProgramError as error:\n    print(error)"
    assert "_all imports Ansible" in in_an_archive(tmp_path, files, script)


def test_a_program_starts_without_ansible_and_from_its_bytecode(tmp_path: Path) -> None:
    lib = install(tmp_path)
    script = f"import sys; sys.path[:0] = [{str(lib)!r}]; import {PACKAGE}._plan"
    command = [sys.executable, "-ISv", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    source = lib / DIRECTORY / "_plan.py"
    cached = importlib.util.cache_from_source(str(source))
    assert f"{cached} matches {source}" in done.stderr


def test_the_entry_calls_main_with_its_arguments_and_ends_with_what_it_returns(
    tmp_path: Path,
) -> None:
    text = program_files_io.entry(sys.executable, str(tmp_path), "_made")
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
    cached = next(lib.rglob("_plan*.pyc"))
    whole = cached.read_bytes()
    cached.write_bytes(whole[:-20])
    assert plan_files(files_of(tmp_path / "lib")).changed
    install(tmp_path)
    assert not plan_files(files_of(tmp_path / "lib")).changed


def test_files_of_an_older_version_are_removed(tmp_path: Path) -> None:
    lib = install(tmp_path)
    (lib / DIRECTORY / "_old.py").write_text("")
    (lib / DIRECTORY / "__pycache__" / "_old.cpython-36.pyc").write_text("")
    gone = {one.path for one in files_of(tmp_path / "lib") if isinstance(one, Absent)}
    assert gone == {
        f"{lib}/{DIRECTORY}/_old.py",
        f"{lib}/{DIRECTORY}/__pycache__/_old.cpython-36.pyc",
    }


def test_a_process_gets_input_environment_and_directory_and_its_end_is_told(tmp_path: Path) -> None:
    env: Dict[str, str] = {**clean_environment(), "WHO": "me"}
    done = run(
        ["sh", "-c", 'cat; printf %s "$WHO" >&2; pwd; exit 3'], b"in ", env, 10, str(tmp_path)
    )
    assert done == (3, b"in " + os.fsencode(str(tmp_path)) + b"\n", b"me")
    assert run(["sh", "-c", "kill -9 $$"]).code == -9


def test_a_program_that_is_missing_or_too_slow_is_an_error() -> None:
    with pytest.raises(ProgramError, match="no-such-program"):
        run(["/no-such-program"])
    with pytest.raises(ProgramError, match="longer than"):
        run(["sleep", "30"], timeout=0.1)
