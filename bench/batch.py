# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What sealing and opening cost: beside bare openssl and sha256sum, and beside one openssl for each file.

    batch.py [GIGABYTES [FILES [ROUNDS [DIRECTORY]]]]

One file of that size (4), so many small files (10000), so many times (3), in that directory (.build); it takes three
times the size on the disk.

Both sides are measured in turn, in one go, on the same disk; each side is measured twice: once as it is, and once with
all that it wrote flushed to the disk within the measured time, as ours always does. Nothing passes or fails by a time.
"""

from __future__ import annotations

import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / ".build" / "collections"))

from ansible_collections.twinguard.hardening.tests.unit.support.batch import (
    make_recipient,
    make_signer,
)

SEAL, OPEN, FLUSH = "openssl enc; sha256sum", "sha256sum; openssl enc -d", " and flush"
SAMPLE = 500  # of the small files for which openssl is really called; the rest is multiplied
CIPHER = ["-aes-256-ctr", "-pbkdf2", "-iter", "10000", "-md", "sha256", "-salt"]
# Run as a process of its own, so that the peak of memory is that of our code and of Python alone.
WORKER = """
import json, resource, sys, time
from ansible_collections.twinguard.hardening.plugins.module_utils._batch.open_io import open_batches
from ansible_collections.twinguard.hardening.plugins.module_utils._batch.seal_io import seal
from ansible_collections.twinguard.hardening.plugins.module_utils._batch.types import (
    Identity, OpenOptions, SealOptions)
from ansible_collections.twinguard.hardening.plugins.module_utils._host.run_io import run

what, root = sys.argv[1:]
now = int(time.time())
if what == "seal":
    assert seal(SealOptions((root + "/source",), root + "/zone", root + "/sender", "bench", root + "/ssh",
                            (root + "/receiver.pem",), force=True), now, run).changed
else:
    public = " ".join(open(root + "/ssh.pub").read().split()[:2])
    allowed = f'bench namespaces="twinguard-batch" {public}\\n'.encode()
    identity = Identity(root + "/receiver.key", root + "/receiver.pem")
    (found,) = open_batches(root + "/zone", OpenOptions(allowed, root + "/published", root + "/quarantine",
                            root + "/receiver", identities=(identity,)), now, run)
    assert found.status == "published", found
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


class Cost(NamedTuple):
    """Seconds by the clock, and of processors."""

    wall: float
    cpu: float


def main(gigabytes: float, files: int, rounds: int, directory: str) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(dir=directory) as name:
        root = Path(name)
        prepare(root)
        large(root, gigabytes, rounds)
        small(root, files)
    print(f"\nload at the end: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")


def prepare(root: Path) -> None:
    """Keys and directories."""
    for path in ("source", "zone", "published", "quarantine", "bare"):
        (root / path).mkdir()
    make_signer(root, "ssh")
    make_recipient(root, "receiver")
    (root / "password").write_text("0" * 64)


def large(root: Path, gigabytes: float, rounds: int) -> None:
    """One large file."""
    source, bare = root / "source" / "large.bin", root / "bare" / "large.enc"
    with source.open("wb") as stream:
        block = os.urandom(1 << 24)
        for _one in range(int(gigabytes * 64)):
            stream.write(block)
    os.sync()
    back = root / "bare" / "large.bin"
    enc = ["openssl", "enc", *CIPHER, "-pass", f"file:{root}/password"]

    def seal_bare(*flushed: str) -> None:
        called([*enc, "-e", "-in", str(source), "-out", str(bare)])
        called(["sha256sum", str(bare)])
        called([*flushed, str(bare)])

    def open_bare(*flushed: str) -> None:
        called(["sha256sum", str(bare)])
        called([*enc, "-d", "-in", str(bare), "-out", str(back)])
        called([*flushed, str(back)])

    rows: dict[str, list[Cost]] = {}
    memory: dict[str, int] = {}
    for number in range(rounds):
        print(f"    round {number + 1} of {rounds}", file=sys.stderr)
        for more, flush in (("", "true"), (FLUSH, "sync")):
            clean(root)
            note(rows, SEAL + more, partial(seal_bare, flush))
            note(rows, OPEN + more, partial(open_bare, flush))
        clean(root)
        note(rows, "batch_seal", lambda: memory.update(seal=worker(root, "seal")))
        note(rows, "batch_open", lambda: memory.update(open=worker(root, "open")))
    print(f"\nOne file of {gigabytes:g} GB, medians of {rounds}")
    middle = {name: median(costs) for name, costs in rows.items()}
    for name, cost in middle.items():
        print(f"  {name:<40} {cost.wall:8.2f} s by the clock {cost.cpu:8.2f} s of processors")
    for what, base in (("seal", SEAL), ("open", OPEN)):
        ours, bare_cost, flushed = (middle[one] for one in (f"batch_{what}", base, base + FLUSH))
        print(
            f"  batch_{what}: {ours.wall / bare_cost.wall:.2f}x the bare pipeline,"
            f" {ours.wall / flushed.wall:.2f}x with flushing on both sides,"
            f" {ours.cpu / bare_cost.cpu:.2f}x its processor time; {memory[what]} MB resident at most"
        )


def small(root: Path, files: int) -> None:
    """Many small files."""
    clean(root)
    shutil.rmtree(root / "source")
    for number in range(files):
        path = root / "source" / f"{number % 100:02}" / f"{number:06}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(1000))
    os.sync()
    sample = sorted((root / "source").rglob("*.csv"))[: min(SAMPLE, files)]
    enc = ["openssl", "enc", *CIPHER, "-pass", f"file:{root}/password"]

    def each() -> None:
        for path in sample:
            called([*enc, "-in", str(path), "-out", str(root / "bare" / path.name)])

    began = time.perf_counter()
    each()
    loop = (time.perf_counter() - began) * files / len(sample)
    memory = {}
    times = {}
    for what in ("seal", "open"):
        began = time.perf_counter()
        memory[what] = worker(root, what)
        times[what] = time.perf_counter() - began
    print(f"\n{files} files of 1000 bytes")
    print(f"  one openssl enc for each {loop:8.2f} s   (from {len(sample)} calls)")
    for what, seconds in times.items():
        print(
            f"  batch_{what}              {seconds:8.2f} s   {loop / seconds:.0f}x faster,"
            f" {memory[what]} MB resident at most"
        )


def worker(root: Path, what: str) -> int:
    """Seal or open in a process of its own; its peak of memory in MB."""
    env = {**os.environ, "PYTHONPATH": str(ROOT / ".build" / "collections")}
    return int(called([sys.executable, "-c", WORKER, what, str(root)], env))


def note(rows: dict[str, list[Cost]], name: str, act: Callable[[], object]) -> None:
    """Measure something that happens in other processes."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    act()
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    rows.setdefault(name, []).append(Cost(wall, cpu))


def median(costs: list[Cost]) -> Cost:
    """The median of each column."""
    walls, cpus = [one.wall for one in costs], [one.cpu for one in costs]
    return Cost(statistics.median(walls), statistics.median(cpus))


def clean(root: Path) -> None:
    """Nothing of an earlier measurement, on disk or on its way there."""
    for name in ("zone", "published", "bare"):
        shutil.rmtree(root / name)
        (root / name).mkdir()
    os.sync()


def called(argv: list[str], env: dict[str, str] | None = None) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=env)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(argv)[:200]}: {done.stdout}{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    given = sys.argv[1:]
    size, count, repeated, where = given + ["4", "10000", "3", str(ROOT / ".build")][len(given) :]
    main(float(size), int(count), int(repeated), where)
