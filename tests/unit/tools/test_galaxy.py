# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import galaxy


def archive(path: Path, files: dict[str, str], when: int) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(text), when
            tar.addfile(info, io.BytesIO(text.encode()))
    return path


def test_what_no_user_needs_is_named_by_its_top_level_entry():
    names = ["plugins/modules/a.py", "README.md", ".build/x", "tests/unit/y.py", "tests"]
    assert galaxy.unwanted(names) == [".build", "tests"]


def test_two_builds_at_different_times_are_equal(tmp_path: Path):
    one = galaxy.content(archive(tmp_path / "1", {"a": "x", "b": "y"}, when=1))
    two = galaxy.content(archive(tmp_path / "2", {"b": "y", "a": "x"}, when=2))
    assert galaxy.difference(one, two) == []


def test_two_builds_that_differ_in_content_name_the_file(tmp_path: Path):
    one = galaxy.content(archive(tmp_path / "1", {"a": "x", "b": "y"}, when=1))
    two = galaxy.content(archive(tmp_path / "2", {"a": "x", "b": "z", "c": ""}, when=1))
    assert galaxy.difference(one, two) == ["b", "c"]
