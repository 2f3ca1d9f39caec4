# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Break a module at its mutating system calls, where it runs: on this machine or in a container.

Usage: python3 agent.py CASE_FILE WORK_DIR SHARD SHARDS. Of all chosen points it takes those whose number gives SHARD
when divided by SHARDS, so that several agents share them. Standard library only, Python 3.9 or newer, needs strace.
Prints JSON lines: first {"points": N, "places": M, "chosen": K}, then one for each trial with its problems.

A point is a mutating system call in a watched directory; a place is the system call's name with the lines of our code
that lead to it (starter.py tells them). Every place gets its faults: KILL at the first, the middle and the last of its
calls; an error at the last of them, or also at the others if the case's `spread` says so (points.py).

A case is a file in tests/faults/cases. This file lies beside it, wherever it runs; so all of it can be:

    from agent import Module, Places                    # what a case need not write itself

    image, hosts = "twinguard/debian12:base", 1         # where it runs (None: this machine), on how many hosts

    class Case:
        spread = 3                                      # of three KILLs at a place one has an error, too (0: all)
        secrets, volatile = (), ()                      # what nobody else may read; files that differ each time
        watched = ["/etc/thing", "/var/lib/twinguard"]  # calls there are the points; each file is old or new

        def __init__(self, work):
            self.places = Places(self.watched, work)
            self.module = Module("thing_guard", work, old={"level": 1}, new={"level": 2})
            self.command = self.module.command

        def prepare(self):                              # once: install what it needs, make the old state, keep it
            self.module.run("old")
            self.places.keep()

        def reset(self):                                # before each trial
            self.places.restore()

        def now(self):                                  # what is wrong right after the fault
            return []

        def after(self):                                # what is wrong after the next run
            return self.module.settled()

A case whose state is not in files brings an `agent` of its own, with `prepare`, `points` and `trial`, and names its
`errors`: s3_guard.py does.
"""

from __future__ import annotations

import errno
import importlib.util
import json
import os
import re
import shutil
import stat
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from points import Point, places, trials
from runs import CALLS, LIMIT, Run, Starter, run
from starter import PLACE

__all__ = [
    "LIMIT",
    "Module",
    "Places",
    "Point",
    "Starter",
    "called",
    "different",
    "impatient",
    "run",
]

ERRORS = ("ENOSPC", "EIO", "EROFS")
ASKING = ("access", "faccessat")  # how the places show in a trace
ATTEMPTS = (
    60  # runs to hit one call: a module that polls hits the same count in about every third run
)

Tree = dict[str, tuple[str, int, int, int]]  # path -> (content or link target, mode, owner, group)


class Module:
    """A module of this collection, run by itself with arguments that have a name: "old" and "new"."""

    def __init__(self, name: str, work: str, **arguments: dict[str, Any]) -> None:
        self.name, self.work = name, Path(work)
        for wanted, given in arguments.items():
            text = json.dumps({"ANSIBLE_MODULE_ARGS": given})
            (self.work / f"{wanted}.json").write_text(text)

    def command(self, wanted: str = "new") -> list[str]:
        """The command line of one run."""
        module = f"ansible_collections.twinguard.hardening.plugins.modules.{self.name}"
        return [sys.executable, "-m", module, str(self.work / f"{wanted}.json")]

    def run(self, wanted: str = "new") -> dict[str, Any]:
        """The result of one undisturbed run; RuntimeError when it fails."""
        done = run(self.command(wanted), str(self.work))
        if done.status != 0 or done.result is None:
            raise RuntimeError(f"{self.name} ends with status {done.status}: {done.output}")
        return done.result

    def settled(self) -> list[str]:
        """For `after`: what is wrong when one more run changes something, or fails."""
        try:
            changed = self.run("new")["changed"]
        except RuntimeError as error:
            return [str(error)[-400:]]
        return ["the run after the next run changes something again"] if changed else []


class Places:
    """Directories that can be put back as they were."""

    def __init__(self, places: Iterable[str], work: str) -> None:
        self.copies = {place: Path(work, "old", place.lstrip("/")) for place in places}

    def keep(self) -> None:
        """Copy them; one that is not there will not be there again."""
        for place, copy in self.copies.items():
            if os.path.exists(place):
                copy.parent.mkdir(parents=True, exist_ok=True)
                called(["cp", "-a", place, str(copy)])

    def restore(self) -> None:
        """As they were when they were kept."""
        for place, copy in self.copies.items():
            shutil.rmtree(place, ignore_errors=True)
            if copy.exists():
                called(["cp", "-a", str(copy), place])


def called(command: list[str]) -> str:
    """The output of a command; RuntimeError with all it said when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stdout}{done.stderr}")
    return done.stdout


def load(path: str, work: str) -> Any:
    """The Case of a case file; it may use the directory `work`."""
    spec = importlib.util.spec_from_file_location("fault_case", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Case(work)


class Agent:
    """Runs all trials of one case."""

    def __init__(self, case: Any, work: str) -> None:
        self.case, self.work = case, work
        self.trace = os.path.join(work, "trace")
        self.old: Tree = {}
        self.new: Tree = {}
        self.points: list[Point] = []

    def run(self, inject: str = "", traced: bool = False, placed: bool = False) -> Run:
        """Run the module once, with a fault, only traced, also with the places, or undisturbed."""
        tracer: list[str] = []
        if inject or traced:
            calls = ",".join([CALLS, *(f"?{call}" for call in ASKING if placed)])
            tracer = ["strace", "-y", "-s", "40", "-o", self.trace, "-e", "trace=" + calls]
            tracer += ["-e", "inject=" + inject] if inject else []
        return run(self.case.command(), self.work, tracer, placed)

    def calls(self) -> Iterator[Point]:
        """The mutating calls of the last traced run that touch the watched directories."""
        seen: Counter[str] = Counter()
        place = ""
        for line in Path(self.trace).read_text(errors="replace").splitlines():
            found = re.match(r"(\w+)\((.*)", line)
            if not found:
                continue
            call, rest = found.groups()
            if PLACE in rest:
                place = rest.partition(PLACE)[2].partition('"')[0]
            # Also a module's own calls of what tells the places.
            if call in ASKING:
                continue
            seen[call] += 1
            opens = call in ("openat", "open") and not re.search(r"O_CREAT|O_WRONLY|O_RDWR", rest)
            if not opens and any(directory in rest for directory in self.case.watched):
                yield Point(call, seen[call], rest[:120], place)

    def tree(self) -> Tree:
        """The watched directories, without the content of files that differs each time."""
        found = tree(self.case.watched)
        for path in self.case.volatile:
            if path in found:
                found[path] = ("volatile", *found[path][1:])
        return found

    def prepare(self) -> None:
        """Learn what old and new look like and where the faults go."""
        self.case.prepare()
        self.learn(placed=True)
        first = self.points
        self.learn()
        if [point.call for point in first] != [point.call for point in self.points]:
            raise SystemExit(
                "two undisturbed runs make different calls; faults would hit at random"
            )
        self.points = [
            point._replace(place=placed.place) for point, placed in zip(self.points, first)
        ]

    def learn(self, placed: bool = False) -> None:
        """One undisturbed run: the state before and after it, and its calls."""
        self.case.reset()
        self.old = self.tree()
        done = self.run(traced=True, placed=placed)
        self.new = self.tree()
        if done.status != 0 or self.old == self.new:
            raise SystemExit(f"an undisturbed run must succeed and change something: {done.output}")
        self.points = list(self.calls())

    def hit(self, index: int, fault: str) -> Run | None:
        """Reset and run with the fault at one point; None when it went elsewhere each time.

        A module that waits for a service looks more or less often, so the n-th call may be another one.
        """
        action = "signal=KILL" if fault == "KILL" else "error=" + fault
        for _unused in range(ATTEMPTS):
            point = self.points[index]
            self.case.reset()
            done = self.run(f"{point.call}:{action}:when={point.n}")
            if self.was_hit(point):
                return done
            self.learn()
        return None

    def trial(self, index: int, fault: str) -> list[str]:
        """Reset, run with the fault, look, run again, look."""
        done = self.hit(index, fault)
        if done is None:
            return [f"the fault did not hit the intended call in {ATTEMPTS} runs"]
        problems = list(self.now())
        problems += [] if fault == "KILL" else list(self.reported(done, fault))
        problems += self.case.now()
        again = self.run()
        if again.status != 0 or (again.result or {}).get("failed"):
            problems.append(f"the next run fails: {again.output[-400:]}")
        problems += different(self.new, self.tree())
        problems += self.case.after()
        return problems

    def was_hit(self, point: Point) -> bool:
        """Whether the n-th call of that name was, this time too, one on a watched directory."""
        return any((call, n) == (point.call, point.n) for call, n, *_rest in self.calls())

    def now(self) -> Iterator[str]:
        """Old or new, nothing between, and no secret in the open."""
        found = self.tree()
        for path, present in found.items():
            # Our temporary files, and what lies in a temporary directory of ours.
            if "/.tg-" not in path and "/journal" not in path:
                fits = present in (self.old.get(path), self.new.get(path))
                if not fits and present[1] != stat.S_IFDIR | 0o700:
                    yield f"{path} is neither old nor new: {present}"
            if any(secret in present[0] for secret in self.case.secrets) and present[1] & 0o077:
                yield f"{path} shows a secret to others: mode {present[1] & 0o7777:04o}"
        missing = self.old.keys() & self.new.keys() - found.keys()
        for path in sorted(missing):
            yield f"{path} is gone"

    def reported(self, done: Run, fault: str) -> Iterator[str]:
        """A run that met an error says so, or has done its work all the same."""
        result = done.result or {}
        if done.status == 0 and not result.get("failed"):
            for problem in different(self.new, self.tree()):
                yield "success is reported, but " + problem
        elif not result.get("failed"):
            yield f"no result was reported: {done.output[-400:]}"
        elif (
            f"({fault})" not in result["msg"]
            or os.strerror(getattr(errno, fault)) not in result["msg"]
        ):
            yield f"the message does not name {fault}: {result['msg']}"
        if "Traceback" in done.output:
            yield f"there is a traceback: {done.output[-400:]}"


def impatient(*units: str) -> None:
    """Have systemd refuse a second start within an hour: how fast trials follow each other is up to chance."""
    for unit in units:
        directory = Path("/run/systemd/system", unit + ".d")
        directory.mkdir(parents=True)
        Path(directory, "limit.conf").write_text(
            "[Unit]\nStartLimitIntervalSec=1h\nStartLimitBurst=1\n"
        )


def tree(places: list[str]) -> Tree:
    """Everything below the directories."""
    found: Tree = {}
    for place in places:
        for path in [Path(place), *sorted(Path(place).rglob("*"))]:
            if path.is_symlink() or path.exists():
                found[str(path)] = look(path)
    return found


def look(path: Path) -> tuple[str, int, int, int]:
    status = path.lstat()
    content = ""
    if stat.S_ISLNK(status.st_mode):
        content = os.readlink(path)
    elif stat.S_ISREG(status.st_mode):
        content = path.read_bytes().decode("latin-1")
    return content, status.st_mode, status.st_uid, status.st_gid


def different(wanted: Tree, present: Tree) -> list[str]:
    """Each path that is not as wanted."""
    return [
        f"{path} is {present.get(path, 'missing')}, not {wanted.get(path, 'absent')}"[:300]
        for path in sorted(wanted.keys() | present.keys())
        if wanted.get(path) != present.get(path)
    ]


def main(case_file: str, work: str, shard: str, shards: str) -> None:
    """Print what happened in each trial of one shard."""
    case = load(case_file, work)
    agent = getattr(case, "agent", None) or Agent(case, work)
    agent.prepare()
    points = list(agent.points)
    plan = trials(points, case.spread, getattr(case, "errors", ERRORS))
    chosen = sorted({index for index, _fault in plan})
    counts = {"points": len(points), "places": len(places(points)), "chosen": len(chosen)}
    print(json.dumps(counts), flush=True)
    mine = set(chosen[int(shard) :: int(shards)])
    for index, fault in plan:
        if index not in mine:
            continue
        call, n, shown, place = points[index]
        title = f"{fault} at {call} #{n} ({shown}) of {place.partition('<')[0] or 'the module'}"
        problems = agent.trial(index, fault)
        print(json.dumps({"fault": fault, "title": title, "problems": problems}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
