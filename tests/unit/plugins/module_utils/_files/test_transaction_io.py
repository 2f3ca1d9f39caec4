# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A set of file changes is all new or all old, and what a file had besides its content is kept."""

from __future__ import annotations

import errno
import os
import stat
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.twinguard.hardening.plugins.module_utils._files import steps_io as stage_io
from ansible_collections.twinguard.hardening.plugins.module_utils._files import (
    transaction_io as files,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._files.transaction_io import (
    Absent,
    DirSpec,
    FilesError,
    FileSpec,
    Transaction,
    Wanted,
    plan_files,
    replace_file,
    unfinished,
)

needs_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="only root can give files to another user"
)


@pytest.fixture
def state(tmp_path: Path) -> str:
    return str(tmp_path / "state" / "control")


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    path = tmp_path / "etc"
    path.mkdir(mode=0o755)
    path.chmod(0o755)
    return path


def put(path: Path, content: bytes = b"old", mode: int = 0o640) -> Path:
    path.write_bytes(content)
    path.chmod(mode)
    return path


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def apply(state: str, *wanted: Wanted) -> list[str]:
    """Stage, commit and confirm."""
    with Transaction(state, lock_wait=0) as files:
        changed = files.stage(wanted)
        files.commit()
        files.confirm()
    return changed


def tree(path: Path) -> dict[str, tuple[Any, ...]]:
    """All that a user could see of a directory, times of files included."""
    found = {}
    for name in sorted(path.rglob("*")):
        status = name.lstat()
        content = name.read_bytes() if stat.S_ISREG(status.st_mode) else b""
        times = status.st_mtime_ns if stat.S_ISREG(status.st_mode) else 0
        found[str(name.relative_to(path))] = (
            content,
            status.st_mode,
            status.st_uid,
            status.st_gid,
            times,
        )
    return found


def test_files_directories_and_removals_are_applied_together(etc: Path, state: str) -> None:
    put(etc / "a")
    put(etc / "gone")
    changed = apply(
        state,
        DirSpec(f"{etc}/d", 0o750),
        FileSpec(f"{etc}/d/new", b"new", 0o600),
        FileSpec(f"{etc}/a", b"changed"),
        Absent(f"{etc}/gone"),
    )
    assert changed == [f"{etc}/d", f"{etc}/d/new", f"{etc}/a", f"{etc}/gone"]
    assert (etc / "d" / "new").read_bytes() == b"new"
    assert (mode_of(etc / "d"), mode_of(etc / "d" / "new")) == (0o750, 0o600)
    assert (etc / "a").read_bytes() == b"changed"
    assert sorted(tree(etc)) == ["a", "d", "d/new"]
    assert os.listdir(state) == []


def test_a_second_run_changes_nothing_at_all(etc: Path, state: str) -> None:
    wanted = (
        DirSpec(f"{etc}/d", 0o750),
        FileSpec(f"{etc}/d/f", b"x", 0o600),
        Absent(f"{etc}/gone"),
    )
    apply(state, *wanted)
    before = {p: p.lstat() for p in (etc, etc / "d", etc / "d" / "f", Path(state))}
    assert apply(state, *wanted) == []
    for path, status in before.items():
        now = path.lstat()
        assert (now.st_ino, now.st_mtime_ns, now.st_ctime_ns) == (
            status.st_ino,
            status.st_mtime_ns,
            status.st_ctime_ns,
        )


def test_a_missing_mode_and_owner_are_those_of_the_old_file(etc: Path, state: str) -> None:
    put(etc / "a", mode=0o604)
    apply(state, FileSpec(f"{etc}/a", b"new"))
    assert mode_of(etc / "a") == 0o604


@needs_root
def test_owner_and_group_are_kept_or_set(etc: Path, state: str) -> None:
    put(etc / "kept")
    os.chown(etc / "kept", 1234, 2345)
    apply(
        state, FileSpec(f"{etc}/kept", b"new"), FileSpec(f"{etc}/set", b"new", owner=11, group=22)
    )
    assert ((etc / "kept").stat().st_uid, (etc / "kept").stat().st_gid) == (1234, 2345)
    assert ((etc / "set").stat().st_uid, (etc / "set").stat().st_gid) == (11, 22)


def test_a_new_file_without_a_mode_is_private(etc: Path, state: str) -> None:
    apply(state, FileSpec(f"{etc}/a", b"new"))
    assert mode_of(etc / "a") == 0o600


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o277])
def test_the_umask_does_not_matter(etc: Path, state: str, umask: int) -> None:
    before = os.umask(umask)
    try:
        apply(state, DirSpec(f"{etc}/d", 0o755), FileSpec(f"{etc}/d/f", b"x", 0o644))
    finally:
        os.umask(before)
    assert (mode_of(etc / "d"), mode_of(etc / "d" / "f")) == (0o755, 0o644)


def test_a_wrong_mode_alone_is_a_change(etc: Path, state: str) -> None:
    put(etc / "a", b"same", 0o644)
    assert apply(state, FileSpec(f"{etc}/a", b"same", 0o600)) == [f"{etc}/a"]
    assert mode_of(etc / "a") == 0o600


def test_the_mode_of_an_existing_directory_is_set_and_taken_back(etc: Path, state: str) -> None:
    (etc / "d").mkdir(mode=0o700)
    with Transaction(state) as files:
        files.stage([DirSpec(f"{etc}/d", 0o755)])
        assert mode_of(etc / "d") == 0o700
        files.commit()
        assert mode_of(etc / "d") == 0o755
    assert mode_of(etc / "d") == 0o700


def acl(user: int, permissions: int) -> bytes:
    """A POSIX ACL that lets one more user in, in the form of the kernel's extended attribute."""
    rows = [
        (1, 6, 0xFFFFFFFF),
        (2, permissions, user),
        (4, 4, 0xFFFFFFFF),
        (16, 6, 0xFFFFFFFF),
        (32, 0, 0xFFFFFFFF),
    ]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *row) for row in rows)


def test_the_access_list_of_a_file_is_kept(etc: Path, state: str) -> None:
    put(etc / "a")
    os.setxattr(etc / "a", "system.posix_acl_access", acl(1234, 6))
    before = os.getxattr(etc / "a", "system.posix_acl_access")
    apply(state, FileSpec(f"{etc}/a", b"new"))
    assert os.getxattr(etc / "a", "system.posix_acl_access") == before


def test_an_access_list_of_the_directory_does_not_open_a_file_that_had_none(
    etc: Path, state: str
) -> None:
    put(etc / "a", mode=0o640)
    os.setxattr(etc, "system.posix_acl_default", acl(1234, 6))
    apply(state, FileSpec(f"{etc}/a", b"new"))
    assert "system.posix_acl_access" not in os.listxattr(etc / "a")
    assert mode_of(etc / "a") == 0o640


@needs_root
def test_the_security_label_of_a_file_is_kept(etc: Path, state: str) -> None:
    put(etc / "a")
    os.setxattr(etc / "a", "security.selinux", b"system_u:object_r:httpd_config_t:s0\0")
    apply(state, FileSpec(f"{etc}/a", b"new"))
    assert os.getxattr(etc / "a", "security.selinux") == b"system_u:object_r:httpd_config_t:s0\0"


def test_a_trusted_link_stays_and_its_target_is_replaced(etc: Path, state: str) -> None:
    put(etc / "real")
    (etc / "link").symlink_to("real")
    apply(state, FileSpec(f"{etc}/link", b"new"))
    assert (etc / "link").is_symlink()
    assert (etc / "real").read_bytes() == b"new"


def test_a_dangling_trusted_link_gets_its_target(etc: Path, state: str) -> None:
    (etc / "link").symlink_to("real")
    apply(state, FileSpec(f"{etc}/link", b"new"))
    assert (etc / "real").read_bytes() == b"new"


def test_removing_a_link_leaves_what_it_points_at(etc: Path, state: str) -> None:
    put(etc / "real")
    (etc / "link").symlink_to("real")
    with Transaction(state) as files:
        files.stage([Absent(f"{etc}/link")])
        files.commit()
        assert not (etc / "link").is_symlink()
    assert os.readlink(etc / "link") == "real"
    apply(state, Absent(f"{etc}/link"))
    assert list(tree(etc)) == ["real"]


@pytest.mark.parametrize("planted", ["target", "directory"])
def test_a_planted_link_is_refused_and_nothing_outside_changes(
    etc: Path, state: str, tmp_path: Path, planted: str
) -> None:
    (tmp_path / "outside").mkdir()
    outside = put(tmp_path / "outside" / "f", b"precious")
    etc.chmod(0o777)
    if planted == "target":
        (etc / "f").symlink_to(outside)
        path = f"{etc}/f"
    else:
        (etc / "d").symlink_to(tmp_path / "outside")
        path = f"{etc}/d/f"
    with pytest.raises(
        FilesError, match="is a symbolic link that an unprivileged user can make or change"
    ):
        apply(state, FileSpec(path, b"evil"))
    assert outside.read_bytes() == b"precious"
    assert sorted(os.listdir(tmp_path / "outside")) == ["f"]


@pytest.mark.parametrize("kind", ["FIFO", "directory"])
def test_what_is_not_a_file_is_refused_whether_written_or_removed(
    etc: Path, state: str, kind: str
) -> None:
    (os.mkfifo if kind == "FIFO" else os.mkdir)(etc / "x")
    for wanted in (FileSpec(f"{etc}/x", b"new"), Absent(f"{etc}/x")):
        with pytest.raises(FilesError, match=f"it is a {kind}, not a file"):
            apply(state, wanted)
    assert list(tree(etc)) == ["x"]


def test_a_file_in_the_place_of_a_wanted_directory_is_refused(etc: Path, state: str) -> None:
    put(etc / "x")
    with pytest.raises(FilesError, match=r"cannot make .*x: it is a file already"):
        apply(state, DirSpec(f"{etc}/x"))


def test_other_hard_links_keep_the_old_content_and_it_is_noted(etc: Path, state: str) -> None:
    put(etc / "a")
    os.link(etc / "a", etc / "b")
    with Transaction(state) as files:
        files.stage([FileSpec(f"{etc}/a", b"new")])
        files.commit()
        files.confirm()
    assert files.notes == [f"{etc}/a has other hard links; they keep the old content"]
    assert ((etc / "a").read_bytes(), (etc / "b").read_bytes()) == (b"new", b"old")


def test_a_missing_directory_is_named(etc: Path, state: str) -> None:
    with pytest.raises(
        FilesError, match=r"cannot reach .*/no/f: No such file or directory \(ENOENT\)"
    ):
        apply(state, FileSpec(f"{etc}/no/f", b"x"))


def test_one_file_asked_for_twice_is_refused_even_through_a_link(etc: Path, state: str) -> None:
    put(etc / "a")
    (etc / "link").symlink_to("a")
    with pytest.raises(FilesError, match="in the list twice"):
        apply(state, FileSpec(f"{etc}/a", b"1"), FileSpec(f"{etc}/link", b"2"))


def test_a_secret_that_everyone_may_read_is_refused() -> None:
    with pytest.raises(FilesError, match="mode 0644 gives everyone access to a secret"):
        FileSpec("/x", b"key", 0o644, secret=True)


def test_a_name_of_255_bytes_works(etc: Path, state: str) -> None:
    name = "ü" * 127 + "x"
    apply(state, FileSpec(f"{etc}/{name}", b"1"))
    apply(state, FileSpec(f"{etc}/{name}", b"2"))
    assert list(tree(etc)) == [name]


@settings(max_examples=30)
@given(st.binary(max_size=2000), st.binary(max_size=2000))
def test_any_bytes_are_written_and_any_bytes_are_restored(old: bytes, new: bytes) -> None:
    import tempfile  # noqa: PLC0415 - tmp_path is not renewed for each example

    with tempfile.TemporaryDirectory() as base:
        target, state = Path(base, "f"), base + "/state"
        put(target, old)
        with Transaction(state) as files:
            files.stage([FileSpec(str(target), new)])
            files.commit()
            assert target.read_bytes() == new
        assert target.read_bytes() == old
        apply(state, FileSpec(str(target), new))
        assert target.read_bytes() == new


@pytest.fixture(params=["hard links", "copies"])
def backups(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some filesystems, and files of other users, cannot be linked to."""
    if request.param == "copies":

        def refuse(*_args: object, **_kwargs: object) -> None:
            raise OSError(errno.EPERM, "no hard links here")

        monkeypatch.setattr(os, "link", refuse)


@pytest.mark.usefixtures("backups")
@pytest.mark.parametrize("when", ["staged", "committed", "exception"])
def test_without_a_confirmation_everything_is_as_before(etc: Path, state: str, when: str) -> None:
    put(etc / "a", b"\xffold", 0o604)
    os.utime(etc / "a", ns=(1, 123456789))
    put(etc / "gone", b"here", 0o600)
    (etc / "target").symlink_to("a")
    (etc / "unused").symlink_to("a")
    (etc / "d").mkdir()
    before = tree(etc)
    wanted: list[Wanted] = [
        DirSpec(f"{etc}/new"),
        FileSpec(f"{etc}/new/f", b"1"),
        FileSpec(f"{etc}/target", b"2", 0o600),
        Absent(f"{etc}/gone"),
        Absent(f"{etc}/unused"),
        DirSpec(f"{etc}/d", 0o711),
    ]

    def run() -> None:
        with Transaction(state) as files:
            assert len(files.stage(wanted)) == 6
            if when == "staged":
                return
            files.commit()
            assert (etc / "new" / "f").read_bytes() == b"1"
            if when == "exception":
                raise SystemExit(3)

    if when == "exception":
        with pytest.raises(SystemExit):
            run()
    else:
        run()
    assert tree(etc) == before
    assert os.listdir(state) == []


def test_after_a_rollback_the_same_transaction_can_start_again(etc: Path, state: str) -> None:
    with Transaction(state) as files:
        for _unused in range(2):
            files.stage([DirSpec(f"{etc}/d"), FileSpec(f"{etc}/d/f", b"1")])
            files.commit()
            files.rollback()
            assert list(tree(etc)) == []
        files.stage([DirSpec(f"{etc}/d"), FileSpec(f"{etc}/d/f", b"1")])
        with pytest.raises(RuntimeError):
            files.stage([])
        files.commit()
        files.confirm()
    assert sorted(tree(etc)) == ["d", "d/f"]


def test_a_staged_file_can_be_looked_at_before_it_is_live(etc: Path, state: str) -> None:
    put(etc / "a")
    with Transaction(state) as files:
        files.stage([FileSpec(f"{etc}/a", b"new")])
        staged = files.staged_path(f"{etc}/a")
        assert staged is not None
        assert Path(staged).read_bytes() == b"new"
        assert (etc / "a").read_bytes() == b"old"
        assert files.staged_path(f"{etc}/other") is None


def test_a_directory_that_somebody_else_uses_meanwhile_is_not_removed(
    etc: Path, state: str
) -> None:
    with Transaction(state) as files:
        files.stage([DirSpec(f"{etc}/d"), FileSpec(f"{etc}/d/f", b"1")])
        files.commit()
        put(etc / "d" / "theirs")
    assert sorted(tree(etc)) == ["d", "d/theirs"]


def test_a_file_that_somebody_else_put_there_meanwhile_is_not_removed(
    etc: Path, state: str
) -> None:
    with Transaction(state) as files:
        files.stage([FileSpec(f"{etc}/f", b"ours")])
        files.commit()
        (etc / "f").unlink()
        put(etc / "f", b"theirs")
    assert (etc / "f").read_bytes() == b"theirs"


def test_an_inode_number_that_is_used_again_does_not_make_a_file_ours(
    etc: Path, state: str
) -> None:
    with Transaction(state) as files:
        files.stage([FileSpec(f"{etc}/f", b"ours")])
        files.commit()
        inode = (etc / "f").stat().st_ino
        (etc / "f").write_bytes(b"theirs")
        assert (etc / "f").stat().st_ino == inode
    assert (etc / "f").read_bytes() == b"theirs"


def test_stray_files_of_ours_are_swept_and_those_of_others_stay(etc: Path, state: str) -> None:
    ours = stage_io.temp_name("f", stage_io.mark_of(state))
    theirs = stage_io.temp_name("f", stage_io.mark_of(state + "2"))
    for name in (ours, theirs, ".tg-note~", "f~"):
        put(etc / name)
    os.symlink("f", etc / stage_io.temp_name("link", stage_io.mark_of(state)))
    apply(state, Absent(f"{etc}/nothing"))
    left = set(os.listdir(etc))
    assert ours not in left
    assert {theirs, ".tg-note~", "f~"} <= left
    assert len(left) == 4


def test_the_plan_of_files_says_what_a_run_would_do_and_does_nothing(etc: Path, state: str) -> None:
    put(etc / "a", b"old\n", 0o644)
    put(etc / "k", b"old-key", 0o600)
    put(etc / "gone", b"bye\n")
    before = tree(etc)
    wanted: list[Wanted] = [
        DirSpec(f"{etc}/d"),
        FileSpec(f"{etc}/d/f", b"1\n"),
        FileSpec(f"{etc}/a", b"new\xff\n", 0o600),
        FileSpec(f"{etc}/k", b"new-key", secret=True),
        Absent(f"{etc}/gone"),
    ]
    plan = plan_files(wanted)
    assert plan.summary() == [
        f"create {etc}/d/",
        f"create {etc}/d/f",
        f"update {etc}/a",
        f"update {etc}/a (mode and owner)",
        f"update {etc}/k",
        f"remove {etc}/gone",
    ]
    shown = str(plan.diff())
    assert "-key" not in shown
    assert "bye" in shown
    assert r"new\\xff" in shown
    assert tree(etc) == before
    apply(state, *wanted)
    assert not plan_files(wanted).changed


def test_a_second_run_waits_for_the_first_and_then_says_so(etc: Path, state: str) -> None:
    with Transaction(state):
        second = Transaction(state, lock_wait=0.2)
        with pytest.raises(
            FilesError, match=r"cannot lock .*: another run has held it for 0\.2 sec"
        ), second:
            pass
    assert apply(state, FileSpec(f"{etc}/a", b"x")) == [f"{etc}/a"]


def test_a_state_directory_that_others_may_write_is_refused(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    state.chmod(0o770)
    with pytest.raises(
        FilesError, match="must belong to us and be writable by nobody else"
    ), Transaction(str(state)):
        pass


def test_the_state_directory_and_its_parents_are_private(state: str) -> None:
    with Transaction(state):
        assert mode_of(Path(state)) == 0o700
        assert mode_of(Path(state).parent) == 0o700


def test_a_damaged_journal_is_an_error_that_says_what_to_do(state: str) -> None:
    with Transaction(state):
        pass
    Path(state, "journal").write_bytes(b'{"phase": ')
    assert unfinished(state)
    with pytest.raises(FilesError, match="it is damaged; look for backups named"), Transaction(
        state
    ):
        pass


def test_a_run_without_leftovers_is_not_unfinished(etc: Path, state: str) -> None:
    assert not unfinished(state)
    apply(state, FileSpec(f"{etc}/a", b"x"))
    assert not unfinished(state)


def test_no_descriptor_is_left_open(etc: Path, state: str) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for content in (b"1", b"2"):
        apply(state, DirSpec(f"{etc}/d"), FileSpec(f"{etc}/d/f", content), Absent(f"{etc}/x"))
        with pytest.raises(FilesError):
            apply(state, FileSpec(f"{etc}/d/g", b"x"), FileSpec(f"{etc}/no/f", b"x"))
        with Transaction(state) as files:
            for _unused in range(2):
                files.stage([DirSpec(f"{etc}/e"), FileSpec(f"{etc}/e/f", content)])
                files.commit()
                files.rollback()
    assert len(os.listdir("/proc/self/fd")) == before


WRITER = """
import sys
sys.path[:0] = sys.argv[3].split(":")
from ansible_collections.twinguard.hardening.plugins.module_utils._files.transaction_io import (
    FileSpec, Transaction, read_file
)
for i in range(20):
    with Transaction(sys.argv[1], lock_wait=60) as files:
        count = int(read_file(sys.argv[2] + "/0").content)
        files.stage([FileSpec(sys.argv[2] + "/%d" % n, str(count + 1).encode()) for n in range(3)])
        files.commit()
        files.confirm()
"""


def test_two_processes_at_once_lose_no_change(etc: Path, state: str) -> None:
    for name in "012":
        put(etc / name, b"0")
    command = [sys.executable, "-c", WRITER, state, str(etc), ":".join(sys.path)]
    writers = [subprocess.Popen(command) for _unused in range(2)]
    assert [writer.wait() for writer in writers] == [0, 0]
    assert [put_back.read_bytes() for put_back in sorted(etc.iterdir())] == [b"40", b"40", b"40"]


def test_all_that_modules_need_is_exported() -> None:
    assert set(files.__all__) <= set(dir(files))


def test_one_file_is_replaced_in_one_step(etc: Path) -> None:
    put(etc / "report", b"old", 0o644)
    replace_file(f"{etc}/report", b"new", 0o600)
    assert ((etc / "report").read_bytes(), mode_of(etc / "report")) == (b"new", 0o600)
    (etc / "dir").mkdir()
    with pytest.raises(FilesError, match=r"cannot write .*/dir: Is a directory \(EISDIR\)"):
        replace_file(f"{etc}/dir", b"new", 0o600)
    assert sorted(tree(etc)) == ["dir", "report"]


def test_a_file_is_private_when_it_appears_and_final_before_it_has_content(
    etc: Path, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, int]] = []
    really_open, really_write = os.open, os.write

    def spied_open(path: str, flags: int, *args: Any, **kwargs: Any) -> int:
        fd = really_open(path, flags, *args, **kwargs)
        if flags & os.O_CREAT and path.startswith(".tg-"):
            seen.append(("open", stat.S_IMODE(os.fstat(fd).st_mode)))
        return fd

    def spied_write(fd: int, content: bytes) -> int:
        if b"content" in bytes(content):
            seen.append(("write", stat.S_IMODE(os.fstat(fd).st_mode)))
        return really_write(fd, content)

    monkeypatch.setattr(os, "open", spied_open)
    monkeypatch.setattr(os, "write", spied_write)
    apply(state, FileSpec(f"{etc}/f", b"content", 0o640))
    assert seen == [("open", 0o600), ("write", 0o640)]
