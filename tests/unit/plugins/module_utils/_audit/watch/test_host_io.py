# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two that change our rules take turns."""

from __future__ import annotations

import fcntl
from pathlib import Path

import pytest

from ansible_collections.twinguard.hardening.plugins.module_utils._audit.watch.host_io import (
    turn,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._host.run_io import HostError


def free(path: Path) -> bool:
    """Whether somebody else could have the turn now."""
    with path.open() as other:
        try:
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


@pytest.mark.parametrize("make", [True, False], ids=["run", "check"])
def test_nobody_else_has_the_turn_meanwhile(tmp_path: Path, make: bool) -> None:
    path = tmp_path / "run" / "turn"
    path.parent.mkdir()
    path.touch()
    with turn(str(path), make):
        assert not free(path)
    assert free(path)


def test_a_turn_that_does_not_end_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "turn"
    with path.open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(HostError, match=f"still holds {path}"), turn(str(path), False, 0.1):
            pytest.fail("it was not waited for")


def test_a_check_makes_no_file(tmp_path: Path) -> None:
    path = tmp_path / "run" / "turn"
    with turn(str(path), make=False):
        pass
    assert not path.parent.exists()
    with turn(str(path), make=True):
        assert path.parent.stat().st_mode & 0o777 == 0o700
