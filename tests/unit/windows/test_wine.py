# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from ansible_collections.twinguard.hardening.tests.windows import wine
from ansible_collections.twinguard.hardening.tests.windows.wine import Place, Problem


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder in which programs are found, so that a test decides which there are."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(f"{wine.__name__}.platform.machine", lambda: "x86_64")
    return folder


@pytest.fixture
def place(tmp_path: Path) -> Place:
    folder = tmp_path / "windows"
    folder.mkdir()
    return Place(folder)


def program(folder: Path, name: str, script: str = "exit 0") -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def package(path: Path, names: list[str]) -> None:
    with tarfile.open(path, "w:gz") as archive:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = len(name)
            archive.addfile(member, io.BytesIO(name.encode()))


def install(place: Place) -> None:
    """All that a call to ensure leaves behind, empty."""
    place.powershell.mkdir()
    (place.powershell / "powershell.exe").touch()
    (place.powershell / "origin").write_text(wine.DIGEST)
    place.prefix.mkdir()
    (place.prefix / "system.reg").touch()
    place.ready.write_text(wine.DIGEST)


def test_a_package_with_another_digest_is_refused_and_not_kept(programs: Path, place: Place):
    program(
        programs,
        "npm",
        'while [ "$1" != --pack-destination ]; do shift; done; echo evil > "$2/x.tgz"',
    )
    with pytest.raises(Problem, match=r"7\.6\.2 is not the pinned one: it is sha512-"):
        wine.ensure_powershell(place)
    assert list(place.folder.iterdir()) == []


def test_the_digest_is_that_of_the_file_as_npm_writes_it(tmp_path: Path):
    file = tmp_path / "file"
    file.write_bytes(b"abc")
    assert wine.digest_of(file) == (
        "sha512-3a81oZNherrMQXNJriBBMRLm+k6JqX6iCp7u5ktV05ohkpkqJ0/BqDa6PCOj/uu9RU1EI2Q86A4qmslPpUyknw=="
    )


def test_a_package_that_npm_cannot_have_is_told_in_its_words(programs: Path, place: Place):
    program(programs, "npm", "echo 'npm error code ENOTFOUND' >&2; echo more >&2; exit 1")
    with pytest.raises(Problem) as problem:
        wine.ensure_powershell(place)
    assert str(problem.value) == (
        "The npm package likecu-powershell-win10 7.6.2 could not be had: npm error code ENOTFOUND"
    )
    assert list(place.folder.iterdir()) == []


def test_without_npm_one_sentence_says_so(programs: Path, place: Place):
    with pytest.raises(Problem, match=r"^npm is missing, .* install npm\.$"):
        wine.ensure_powershell(place)


def test_without_apt_one_sentence_says_what_to_install(programs: Path):
    with pytest.raises(Problem, match=r"^Wine is missing and there is no apt to install it"):
        wine.ensure_wine()


def test_without_root_one_sentence_says_what_to_install(
    programs: Path, monkeypatch: pytest.MonkeyPatch
):
    program(programs, "apt-get")
    monkeypatch.setattr(f"{wine.__name__}.engines.is_debian_like", lambda text: True)
    monkeypatch.setattr(f"{wine.__name__}.os.geteuid", lambda: 1000)
    with pytest.raises(Problem, match=r"^Wine is missing and only root can install it"):
        wine.ensure_wine()


def test_another_processor_is_refused_by_name(programs: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(f"{wine.__name__}.platform.machine", lambda: "aarch64")
    with pytest.raises(Problem, match="needs an x86-64 machine; this is aarch64"):
        wine.ensure_wine()


def test_what_is_there_is_not_made_again(programs: Path, place: Place):
    for name in wine.PROGRAMS:
        program(programs, name, "exit 99")
    install(place)
    assert wine.ensure(place) == place.folder
    assert (place.prefix / "system.reg").exists()


@pytest.mark.parametrize("lost", ["ready", "prefix/system.reg", "pwsh/powershell.exe"])
def test_what_was_cut_short_is_not_taken_for_whole(programs: Path, place: Place, lost: str):
    for name in wine.PROGRAMS:
        program(programs, name)
    install(place)
    assert wine.is_ready(place)
    (place.folder / lost).unlink()
    assert not wine.is_ready(place)


def test_a_run_that_was_killed_is_made_good_by_the_next(programs: Path, place: Place):
    """Wine is a script here: the prefix is made by `wineboot`, and PowerShell tells its version."""
    install(place)
    place.ready.unlink()
    (place.prefix / "half").touch()
    (place.folder / "new-abc").mkdir()
    program(programs, "wineserver")
    program(programs, "wineboot", '/bin/mkdir "$WINEPREFIX" && : > "$WINEPREFIX/system.reg"')
    program(programs, "wine", f"echo {wine.VERSION}")
    wine.ensure(place)
    assert wine.is_ready(place)
    assert not (place.prefix / "half").exists()
    assert not (place.folder / "new-abc").exists()


def test_a_powershell_that_does_not_answer_is_not_called_ready(programs: Path, place: Place):
    install(place)
    place.ready.unlink()
    program(programs, "wineserver")
    program(programs, "wineboot", '/bin/mkdir "$WINEPREFIX"')
    program(programs, "wine", "exit 1")
    with pytest.raises(Problem, match="does not answer under Wine"):
        wine.ensure(place)
    assert not wine.is_ready(place)


def test_only_what_runs_is_unpacked_and_nothing_outside_the_folder(tmp_path: Path):
    names = ["pwsh.exe", "Modules/x.psd1", "ref/System.dll", "de/x.dll", "System.xml"]
    given = [f"package/pwsh/{name}" for name in names]
    given += ["package/package.json", "package/pwsh/../../evil", "/etc/evil"]
    package(tmp_path / "p.tgz", given)
    wine.unpack(tmp_path / "p.tgz", tmp_path / "out" / "pwsh")
    files = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    assert [str(path.relative_to(tmp_path)) for path in files] == [
        "out/pwsh/Modules/x.psd1",
        "out/pwsh/powershell.exe",
        "out/pwsh/pwsh.exe",
        "out/pwsh/ref/System.dll",
        "p.tgz",
    ]


def test_the_users_own_wine_is_neither_seen_nor_written(
    place: Place, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("WINEPREFIX", "/home/someone/.wine")
    monkeypatch.setenv("DISPLAY", ":0")
    env = wine.environment(place)
    assert env["WINEPREFIX"] == str(place.prefix)
    assert env["HOME"] == str(place.home)
    assert "DISPLAY" not in env


def test_down_ends_the_server_of_this_prefix_only(programs: Path, place: Place):
    place.prefix.mkdir()
    program(programs, "wineserver", f'echo "$WINEPREFIX $*" >> {place.folder}/calls')
    assert wine.end(place) is True
    calls = (place.folder / "calls").read_text().splitlines()
    assert calls == [f"{place.prefix} -k", f"{place.prefix} -w"]


def test_down_without_a_prefix_does_nothing(programs: Path, place: Place):
    program(programs, "wineserver", f": > {place.folder}/called")
    assert wine.end(place) is False
    assert not (place.folder / "called").exists()


def test_of_a_command_line_only_the_names_of_variables_stand_in_the_batch_file():
    text, variables = wine.batch('echo é %OS% 50% "a & b"')
    assert text == b"@chcp 65001 >nul\r\n@%TWINGUARD_0%%OS%%TWINGUARD_2%\r\n"
    assert variables == {"TWINGUARD_0": "echo é ", "TWINGUARD_2": ' 50%% "a & b"'}


def test_a_program_finds_a_terminal_and_clean_pipes(
    programs: Path, place: Place, monkeypatch: pytest.MonkeyPatch
):
    script = (
        '[ -t 2 ] && [ ! -t 0 ] && [ ! -t 1 ] && read line && echo "noise" >&2 && echo "<$line>"'
    )
    program(programs, "wine", script)
    with wine.start(place, "x", place.folder / "x.err") as process:
        said, _none = process.communicate(b"hello\n")
    assert (process.returncode, said) == (0, b"<hello>\n")


def test_a_missing_wine_is_no_traceback(programs: Path, place: Place):
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(Problem, match="Wine could not be started: No such file or directory"):
        wine.start(place, "x", place.folder / "x.err", stdin=subprocess.DEVNULL)
    assert len(os.listdir("/proc/self/fd")) == before
