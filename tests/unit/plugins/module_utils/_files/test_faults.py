# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One fault at each mutating call of a change: old or new at once, and new after the next run.

Each trial runs in a forked process whose os functions count their calls and fail at the k-th one (file_faults.py).
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Dict, Tuple

import pytest

from ansible_collections.twinguard.hardening.tests.unit.support.file_faults import (
    DONE,
    FAILED,
    FAULTS,
    KILL,
    KILLED,
    NO_FAULT,
    Fault,
    Forker,
    Trial,
)

SECRET_OLD = b"old-secret" * 20
Tree = Dict[str, Tuple[bytes, int, int, bool]]  # content, mode, owner, whether as old as before


class World:
    """A directory with old files, the wanted changes, and what both look like."""

    def __init__(self, base: Path, forker: Forker, hard_links: bool = True) -> None:
        self.forker = forker
        self.base, self.etc, self.state = base, base / "etc", str(base / "var" / "state")
        self.hard_links = hard_links
        self.make()
        self.old = self.tree()
        assert self.run()[0] == DONE
        self.new = self.tree()
        assert self.old.keys() & self.new.keys()
        self.reset()

    def make(self) -> None:
        (self.etc / "sub").mkdir(parents=True)
        self.etc.chmod(0o755)
        (self.etc / "sub").chmod(0o700)
        for name, content, mode in (
            ("plain", b"old" * 30, 0o644),
            ("secret", SECRET_OLD, 0o600),
            ("gone", b"goodbye", 0o640),
            ("sub/real", b"linked", 0o604),
        ):
            (self.etc / name).write_bytes(content)
            (self.etc / name).chmod(mode)
            os.utime(self.etc / name, ns=(5, 7))
        (self.etc / "link").symlink_to("sub/real")

    def reset(self) -> None:
        for name in ("etc", "var"):
            shutil.rmtree(self.base / name, ignore_errors=True)
        self.make()

    def tree(self) -> Tree:
        """Every name with content, mode and, for files that were old, the time."""
        found = {}
        for path in sorted(self.etc.rglob("*")):
            status = path.lstat()
            content = path.read_bytes() if stat.S_ISREG(status.st_mode) else b""
            old = stat.S_ISREG(status.st_mode) and status.st_mtime_ns == 7
            found[str(path.relative_to(self.etc))] = (content, status.st_mode, status.st_uid, old)
        return found

    def run(self, fault: Fault = NO_FAULT, k: int = 0, work: str = "change") -> tuple[int, str]:
        """Do the work in a new process, with a fault at its k-th mutating call."""
        return self.forker.run(Trial(str(self.base), work, fault, k, self.hard_links))

    def points(self, work: str = "change") -> int:
        """How many mutating calls undisturbed work makes."""
        status, count = self.run(work=work)
        assert status == DONE, count
        return int(count)

    def problems_now(self) -> Iterator[str]:
        """What is wrong at this instant, whatever happened to the run."""
        tree = self.tree()
        for name in self.old.keys() | self.new.keys():
            # The new directory is private until it has its owner.
            private = name == "new" and name in tree and tree[name][1] == stat.S_IFDIR | 0o700
            if tree.get(name) not in (self.old.get(name), self.new.get(name)) and not private:
                yield f"{name} is neither old nor new: {tree.get(name)}"
        for name, (content, mode, _uid, _old) in tree.items():
            if b"secret" in content and stat.S_IMODE(mode) != 0o600:
                yield f"{name} holds a secret with mode {stat.S_IMODE(mode):04o}"

    def problems_after_next_run(self) -> Iterator[str]:
        """What the next, undisturbed run leaves wrong."""
        status, message = self.run()
        if status != DONE:
            yield f"the next run fails: {message}"
        if self.tree() != self.new:
            yield f"the next run ends with {sorted(self.tree())}"
        if os.listdir(self.state):
            yield f"the state directory holds {os.listdir(self.state)}"


@pytest.fixture(scope="module")
def forker() -> Iterator[Forker]:
    made = Forker()
    yield made
    made.end()


@pytest.fixture(params=[True, False], ids=["hard links", "copies"])
def world(request: pytest.FixtureRequest, forker: Forker) -> Iterator[World]:
    # In memory where there is such a filesystem: thousands of fsync calls wear and block a real disk.
    memory = "/dev/shm"
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as base:
        yield World(Path(base), forker, hard_links=request.param)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_at_any_call_leaves_old_or_new_and_the_next_run_is_new(
    world: World, fault: Fault
) -> None:
    points = world.points()
    assert points > 40
    problems = []
    for k in range(1, points + 1):
        world.reset()
        status, message = world.run(fault, k)
        found = list(world.problems_now())
        if status not in ((KILLED,) if fault is KILL else (DONE, FAILED)):
            found.append(f"the run ended with status {status}: {message}")
        if status == DONE and world.tree() != world.new:
            found.append("the run reports success and the files are not the new ones")
        if status == FAILED:
            found += explained(world, message, fault)
        found += world.problems_after_next_run()
        problems += [f"call {k}: {problem}" for problem in found]
    assert not problems, "\n".join(problems)


def explained(world: World, message: str, fault: Fault) -> Iterator[str]:
    """What the error sentence says about the state must be so."""
    if f"({errno.errorcode[fault.number]})" not in message:
        yield f"the error does not name the cause: {message}"
    if message.endswith("nothing was changed") and world.tree() != world.old:
        yield f"it says that nothing was changed: {message}"
    if "new files are in place" in message and any(
        world.tree().get(n) != v for n, v in world.new.items()
    ):
        yield f"it says that the new files are in place: {message}"
    if "; " not in message and world.tree() != world.old:
        yield f"it does not say in which state the files are: {message}"


def test_taking_back_alone_leaves_exactly_old_or_exactly_new(world: World) -> None:
    problems = []
    for k in range(1, world.points() + 1):
        world.reset()
        assert world.run(KILL, k)[0] == KILLED
        assert world.run(work="recover")[0] == DONE
        if world.tree() not in (world.old, world.new):
            problems.append(f"call {k}: {sorted(world.tree())}")
        if os.listdir(world.state):
            problems.append(f"call {k}: the state directory holds {os.listdir(world.state)}")
    assert not problems, "\n".join(problems)


def test_a_run_that_is_killed_while_it_takes_back_an_earlier_one_is_taken_back_too(
    world: World,
) -> None:
    points = world.points()
    problems, trials = [], 0
    # Each pair of calls was tried once; the suite takes a spread of them.
    for k in range(points // 3, points, points // 6):
        world.reset()
        world.run(KILL, k)
        for again in range(1, world.points("recover") + 1):
            world.reset()
            assert world.run(KILL, k)[0] == KILLED
            assert world.run(KILL, again, "recover")[0] == KILLED
            trials += 1
            found = [*world.problems_now(), *world.problems_after_next_run()]
            problems += [f"calls {k} and {again}: {problem}" for problem in found]
    assert trials > 50
    assert not problems, "\n".join(problems)
