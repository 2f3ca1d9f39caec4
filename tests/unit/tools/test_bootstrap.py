# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import sys
from pathlib import Path

import bootstrap
import pytest
from bootstrap import Interpreter
from workshop import Problem

ROOT = Path(__file__).resolve().parents[3]


def test_the_newest_known_python_wins_wherever_it_was_found():
    old, new = Interpreter((3, 11), "/a/python3"), Interpreter((3, 13), "/b/python3.13")
    assert bootstrap.choose([old, new]) == new


def test_a_python_newer_than_the_tested_ones_is_not_taken_unasked():
    known, unknown = Interpreter((3, 12), "/a"), Interpreter((3, 15), "/b")
    assert bootstrap.choose([unknown, known]) == known


def test_without_a_usable_python_one_sentence_says_what_to_install():
    with pytest.raises(Problem, match=r"3\.11, 3\.12 or 3\.13 is needed"):
        bootstrap.choose([Interpreter((3, 9), "/usr/bin/python3")])


UV = ROOT / ".venv" / "bin" / "uv"


def row(version: tuple[int, int], path: str, **more: str) -> dict[str, object]:
    """What uv tells of one interpreter, as far as it is read."""
    parts = {"major": version[0], "minor": version[1], "patch": 1}
    usual = {"implementation": "cpython", "variant": "default"}
    return {"version_parts": parts, "path": path, **usual, **more}


def test_the_first_of_each_version_is_listed_and_no_stand_in_of_pyenv_nor_our_own():
    rows = [
        row((3, 13), "/root/.pyenv/shims/python3.13"),
        row((3, 13), "/opt/python3.13t", variant="freethreaded"),
        row((3, 13), "/opt/pypy3.13", implementation="pypy"),
        row((3, 13), f"{ROOT}/.venv/bin/python"),
        row((3, 13), "/opt/python3.13"),
        row((3, 13), "/usr/bin/python3.13"),
        row((3, 11), "/usr/bin/python3"),
    ]
    assert bootstrap.listed(rows) == [
        Interpreter((3, 13), "/opt/python3.13"),
        Interpreter((3, 11), "/usr/bin/python3"),
    ]


def test_interpreters_on_the_path_and_those_put_aside_by_pyenv_are_found(tmp_path: Path):
    """uv asks them, so they are links to the Python that runs this test."""
    on_path, aside = tmp_path / "bin", tmp_path / "pyenv" / "versions" / "3.13.0" / "bin"
    here = Path(sys.executable).resolve()
    for folder in (on_path, aside):
        folder.mkdir(parents=True)
    env = {"PATH": str(on_path), "PYENV_ROOT": str(tmp_path / "pyenv")}
    assert bootstrap.interpreters(UV, env) == []
    for folder in (aside, on_path):
        (folder / here.name).symlink_to(here)
        assert bootstrap.interpreters(UV, env) == [(sys.version_info[:2], f"{folder / here.name}")]
        (folder / here.name).unlink()


def test_a_program_that_does_not_run_is_not_an_interpreter(tmp_path: Path):
    shim = tmp_path / "python3.13"
    shim.write_text("#!/bin/sh\nexit 127\n")
    shim.chmod(0o755)
    assert bootstrap.interpreters(UV, {"PATH": str(tmp_path)}) == []
    with pytest.raises(Problem, match=r"python3\.13 does not run"):
        bootstrap.named(UV, {"PATH": str(tmp_path)}, str(shim))


def test_the_python_the_user_named_is_refused_rather_than_replaced(tmp_path: Path):
    with pytest.raises(Problem, match="TWINGUARD_PYTHON=/nowhere/python does not run"):
        bootstrap.named(UV, {"PATH": os.environ["PATH"]}, "/nowhere/python")


def test_the_python_the_user_named_is_taken(tmp_path: Path):
    found = bootstrap.named(UV, {"PATH": str(tmp_path)}, sys.executable)
    assert found.version == sys.version_info[:2]


def test_a_named_python_below_the_lowest_is_refused(monkeypatch: pytest.MonkeyPatch):
    rows = [row((3, 10), "/real/python3.10")]
    monkeypatch.setattr(bootstrap, "_ask_uv", lambda *_words: rows)
    with pytest.raises(Problem, match=r"is Python 3\.10; 3\.11 is the lowest"):
        bootstrap.named(UV, {}, "python3.10")


def test_one_package_is_cut_from_the_lock_with_all_its_digests_and_nothing_else():
    wanted = "uv==1.0 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n"
    lock = f"{wanted}    # via x\nuvloop==2 \\\n    --hash=sha256:cc\n"
    assert bootstrap.pinned(lock, "uv") == wanted


def test_a_package_missing_from_the_lock_is_named():
    with pytest.raises(Problem, match="holds no uv"):
        bootstrap.pinned("uvloop==2\n", "uv")


def test_the_committed_lock_pins_both_supported_cores_and_names_no_index():
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert "ansible-core==2.19." in lock
    assert "ansible-core==2.21." in lock
    assert "://" not in lock
    assert "pytest-ansible" not in lock


def test_every_dependency_says_why_it_is_there():
    lines = (ROOT / "pyproject.toml").read_text(encoding="utf-8").splitlines()
    start = lines.index("dev = [") + 1
    body = lines[start : lines.index("]", start)]
    assert [line for line in body if line.strip().startswith('"')]
    unexplained = [
        line.strip()
        for above, line in zip(["", *body], body)
        if line.strip().startswith('"') and not above.strip().startswith("#")
    ]
    assert unexplained == []


def test_a_malformed_core_line_is_refused_before_anything_is_resolved():
    with pytest.raises(
        Problem, match=r"TWINGUARD_ANSIBLE_CORE=newest is not a release line such as 2\.20"
    ):
        bootstrap.requirements(Path("/nowhere/uv"), "newest")


def test_the_collection_is_shown_through_a_link_that_survives_moving_the_checkout(tmp_path: Path):
    bootstrap.show_collection(tmp_path)
    link = tmp_path / "ansible_collections" / "twinguard" / "hardening"
    assert not Path(link.readlink()).is_absolute()
    assert (link / "galaxy.yml").samefile(ROOT / "galaxy.yml")


def test_a_link_that_points_elsewhere_is_mended(tmp_path: Path):
    link = tmp_path / "ansible_collections" / "twinguard" / "hardening"
    link.parent.mkdir(parents=True)
    link.symlink_to("nowhere")
    bootstrap.show_collection(tmp_path)
    assert link.resolve() == ROOT
