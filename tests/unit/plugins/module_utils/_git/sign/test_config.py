# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What git's configuration says, read as git itself prints it and written so that git reads the same."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Mapping, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.twinguard.hardening.plugins.module_utils._git.sign.config import (
    Edit,
    Setting,
    edits,
    effective,
    normal,
    overridden,
    parse,
    render,
    same,
    signing_only,
)
from ansible_collections.twinguard.hardening.tests.unit.support.signing import needs

LISTING = ("config", "--list", "--show-scope", "--show-origin", "-z")


def git(home: Path, *words: str) -> bytes:
    needs("git")
    env = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(home), "GIT_CONFIG_NOSYSTEM": "1"}
    return subprocess.run(
        ["git", *words], cwd=home, env=env, capture_output=True, check=True
    ).stdout


def of(*lines: Sequence[str]) -> list[Setting]:
    return [
        Setting(scope, "file:" + where, normal(key), value) for scope, where, key, value in lines
    ]


def test_git_prints_what_is_read(tmp_path: Path) -> None:
    (tmp_path / "more").write_text('[commit]\n\tgpgsign\n[url "a.B"]\n\tinsteadOf = "x\\ny"\n')
    (tmp_path / ".gitconfig").write_text("[user]\n\tName = A = b # c\n[include]\n\tpath = more\n")
    found = parse(git(tmp_path, *LISTING))
    shown = [(one.scope, one.place, one.key, one.value) for one in found]
    assert ("global", f"{tmp_path}/.gitconfig", "user.name", "A = b") in shown
    assert ("global", f"{tmp_path}/more", "commit.gpgsign", None) in shown
    assert ("global", f"{tmp_path}/more", "url.a.B.insteadof", "x\ny") in shown


def test_nothing_is_to_do_when_all_is_as_wanted() -> None:
    found = of(("global", "a", "gpg.format", "ssh"), ("global", "a", "commit.gpgSign", "yes"))
    desired = {"gpg.format": "ssh", "commit.gpgSign": "true"}
    assert edits(found, desired, "user") == []
    assert overridden(found, desired) == []


def test_an_empty_host_gets_everything() -> None:
    desired = {"gpg.format": "ssh", "commit.gpgSign": "true"}
    assert edits([], desired, "user") == [
        Edit("gpg.format", "ssh"),
        Edit("commit.gpgSign", "true"),
    ]
    assert len(overridden([], desired)) == 2


def test_what_another_place_says_does_not_count_for_ours() -> None:
    found = of(("system", "/etc/gitconfig", "gpg.format", "ssh"))
    assert edits(found, {"gpg.format": "ssh"}, "user") == [Edit("gpg.format", "ssh")]
    assert edits(found, {"gpg.format": "ssh"}, "system") == []


def test_the_last_word_counts_and_its_file_is_named() -> None:
    found = of(
        ("global", "/home/a/.gitconfig", "commit.gpgsign", "true"),
        ("global", "/home/a/work.inc", "commit.gpgsign", "false"),
    )
    (sentence,) = overridden(found, {"commit.gpgSign": "true"})
    assert "/home/a/work.inc has the last word" in sentence
    found_last = effective(found, "commit.GPGSIGN")
    assert found_last is not None
    assert found_last.value == "false"


@pytest.mark.parametrize(
    ("value", "wanted", "is_same"),
    [
        (None, "true", True),
        ("On", "true", True),
        ("1", "true", True),
        ("0", "false", True),
        ("", "false", True),
        ("maybe", "false", False),
        ("false", "true", False),
    ],
)
def test_git_knows_many_words_for_yes(value: str | None, wanted: str, is_same: bool) -> None:
    assert same("commit.gpgSign", value, wanted) is is_same
    assert same("user.name", value, wanted) is (value == wanted)


def test_only_what_decides_on_signatures_goes_into_the_proof() -> None:
    found = of(
        ("local", "c", "core.hooksPath", "/evil"),
        ("global", "g", "user.name", "old"),
        ("local", "c", "user.name", "new"),
        ("local", "c", "gpg.ssh.allowedSignersFile", "/x"),
    )
    assert signing_only(found) == {"user.name": "new", "gpg.ssh.allowedsignersfile": "/x"}


TEXT = st.text(st.characters(min_codepoint=9, max_codepoint=0x2FF, exclude_characters="\r\x0b\x0c"))


@settings(max_examples=25)  # each starts git
@given(
    st.dictionaries(st.sampled_from(["user.name", "gpg.x y.program", "a.B.c"]), TEXT, max_size=3)
)
def test_git_reads_what_is_rendered(
    tmp_path_factory: pytest.TempPathFactory, values: Mapping[str, str]
) -> None:
    clean = {
        key: value.translate({n: None for n in range(32) if n not in (9, 10)})
        for key, value in values.items()
    }
    home = tmp_path_factory.mktemp("home")
    (home / ".gitconfig").write_bytes(render(clean))
    found = {one.key: one.value for one in parse(git(home, *LISTING))}
    assert found == clean
