# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files are reached only through links that nobody unprivileged could have made."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

from ansible_collections.twinguard.hardening.plugins.module_utils._files.safe_path_io import (
    FilesError,
    locate,
    open_dir,
    read_file,
    remove_tree,
    scan,
)

if TYPE_CHECKING:
    from pathlib import Path

needs_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="only root can make files of another user"
)


def write(path: Path, content: bytes = b"x", mode: int = 0o644) -> Path:
    path.write_bytes(content)
    path.chmod(mode)
    return path


def open_to_others(directory: Path) -> Path:
    """A directory in which somebody else could replace any link."""
    directory.mkdir()
    directory.chmod(0o775)
    return directory


def test_a_file_is_read_with_its_bytes_mode_and_owner(tmp_path: Path) -> None:
    path = write(tmp_path / "f", b"\xff\x00latin-\xe9", 0o640)
    state = read_file(str(path))
    assert state is not None
    assert (state.content, state.mode, state.uid, state.link) == (
        b"\xff\x00latin-\xe9",
        0o640,
        os.geteuid(),
        False,
    )


def test_a_missing_file_and_a_missing_directory_read_as_none(tmp_path: Path) -> None:
    assert read_file(str(tmp_path / "nothing")) is None
    assert read_file(str(tmp_path / "no" / "such" / "dir")) is None


@pytest.mark.parametrize(
    "path", ["relative", "", "/a/../b", "/a/./b", "/a//b", "/", "/a/", "/a\0b"]
)
def test_a_path_that_is_not_plain_and_absolute_is_refused(path: str) -> None:
    with pytest.raises(FilesError, match="must be absolute"):
        locate(path)


def test_a_trusted_link_is_followed_and_said_so(tmp_path: Path) -> None:
    write(tmp_path / "real", b"content")
    (tmp_path / "link").symlink_to("real")
    state = read_file(str(tmp_path / "link"))
    assert state is not None
    assert (state.content, state.link) == (b"content", True)


def test_trusted_links_among_the_directories_are_followed(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    write(tmp_path / "a" / "b" / "f", b"deep")
    (tmp_path / "abs").symlink_to(tmp_path / "a")
    (tmp_path / "a" / "up").symlink_to("../abs/b/.")
    with locate(str(tmp_path / "abs" / "up" / "f")) as place:
        assert place.real_dir == os.path.realpath(tmp_path / "a" / "b")
    state = read_file(str(tmp_path / "abs" / "up" / "f"))
    assert state is not None
    assert state.content == b"deep"


def test_a_link_in_a_directory_that_others_may_write_is_not_followed(tmp_path: Path) -> None:
    shared = open_to_others(tmp_path / "shared")
    target = write(tmp_path / "target")
    (shared / "link").symlink_to(target)
    with pytest.raises(FilesError, match="is a symbolic link that an unprivileged user can make"):
        read_file(str(shared / "link"))


def test_a_directory_link_that_others_may_replace_is_not_followed(tmp_path: Path) -> None:
    shared = open_to_others(tmp_path / "shared")
    (tmp_path / "dir").mkdir()
    (shared / "link").symlink_to(tmp_path / "dir")
    with pytest.raises(FilesError, match="shared/link is a symbolic link"):
        locate(str(shared / "link" / "f"))
    with pytest.raises(FilesError, match="shared/link is a symbolic link"):
        open_dir(str(shared / "link"))


@needs_root
def test_a_link_of_another_user_is_not_followed_even_in_a_private_directory(tmp_path: Path) -> None:
    target = write(tmp_path / "target")
    (tmp_path / "link").symlink_to(target)
    os.chown(tmp_path / "link", 1000, 1000, follow_symlinks=False)
    with pytest.raises(FilesError, match="is a symbolic link"):
        read_file(str(tmp_path / "link"))


@needs_root
def test_a_link_in_the_directory_of_another_user_is_not_followed(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "link").symlink_to("/etc/hostname")
    os.chown(home, 1000, 1000)
    with pytest.raises(FilesError, match="is a symbolic link"):
        read_file(str(home / "link"))


def test_a_loop_of_links_ends_in_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(FilesError, match="ELOOP"):
        read_file(str(tmp_path / "a"))


def test_a_dangling_trusted_link_reads_as_none(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("nothing")
    assert read_file(str(tmp_path / "link")) is None


def test_what_is_not_a_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "sock"))
    (tmp_path / "dir").mkdir()
    for name, word in (("fifo", "FIFO"), ("sock", "socket"), ("dir", "directory")):
        with pytest.raises(FilesError, match=f"cannot read .*{name}: it is a {word}, not a file"):
            read_file(str(tmp_path / name))
    with pytest.raises(FilesError, match="it is a device"):
        read_file("/dev/null")


def test_a_file_in_the_place_of_a_directory_is_an_error(tmp_path: Path) -> None:
    write(tmp_path / "f")
    with pytest.raises(FilesError, match="ENOTDIR"):
        locate(str(tmp_path / "f" / "below"))


def test_an_error_is_one_printable_sentence_for_any_name(tmp_path: Path) -> None:
    name = os.fsdecode(b"\xff\xfe")
    with pytest.raises(FilesError) as caught:
        open_dir(str(tmp_path / name))
    assert str(caught.value).encode().endswith(b"No such file or directory (ENOENT)")


def test_a_scan_tells_kinds_without_following(tmp_path: Path) -> None:
    write(tmp_path / "f", b"four", 0o600)
    (tmp_path / "d").mkdir()
    (tmp_path / "l").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "p")
    found = scan(str(tmp_path))
    assert found is not None
    assert {name: entry.kind for name, entry in found.items()} == {
        "d": "directory",
        "f": "file",
        "l": "link",
        "p": "FIFO",
    }
    assert (found["f"].size, found["f"].mode) == (4, 0o600)
    assert scan(str(tmp_path / "missing")) is None


def test_a_removed_tree_takes_nothing_along_that_it_links_to(tmp_path: Path) -> None:
    outside = write(tmp_path / "outside", b"keep")
    (tmp_path / "other").mkdir()
    write(tmp_path / "other" / "keep")
    tree = tmp_path / "tree"
    (tree / "sub").mkdir(parents=True)
    write(tree / "sub" / "f")
    (tree / "link").symlink_to(outside)
    (tree / "sub" / "dirlink").symlink_to(tmp_path / "other")
    assert remove_tree(str(tree)) is True
    assert not tree.exists()
    assert outside.read_bytes() == b"keep"
    assert (tmp_path / "other" / "keep").exists()
    assert remove_tree(str(tree)) is False


def test_a_link_or_a_file_is_not_removed_as_a_tree(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    write(tmp_path / "file")
    for name in ("link", "file"):
        with pytest.raises(FilesError, match=f"it is a {name}, not a directory"):
            remove_tree(str(tmp_path / name))
    assert (tmp_path / "real").is_dir()


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    write(tmp_path / "f")
    (tmp_path / "l").symlink_to("f")
    (tmp_path / "loop").symlink_to("loop")
    before = len(os.listdir("/proc/self/fd"))
    for _unused in range(3):
        read_file(str(tmp_path / "l"))
        scan(str(tmp_path))
        scan(str(tmp_path / "missing"))
        for bad in ("loop", "f/below", "loop/below"):
            with pytest.raises(FilesError):
                read_file(str(tmp_path / bad))
    assert len(os.listdir("/proc/self/fd")) == before
