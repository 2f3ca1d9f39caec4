# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes audit logs, reads them as fast as ausearch does or not, and damages them.

    audit_log.py gen MEGABYTES SHARE PATH   a log; SHARE (0 to 1) of its events has our key
    audit_log.py compare [MEGABYTES]        time and memory of audit_events_info beside `ausearch --raw`
    audit_log.py fuzz [LINES]               so many damaged lines: no crash, and no value in the wrong event

Run it with .build/collections on PYTHONPATH. `compare` takes ausearch from PATH or from the variable AUSEARCH; where
there is none, it unpacks Debian's package into .build without installing it, since that would start the audit daemon.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time

from ansible_collections.twinguard.hardening.plugins.module_utils._audit.events.report_io import (
    report,
)
from ansible_collections.twinguard.hardening.tests.unit.support.audit_fuzz import (
    damage,
    make_log,
    misread,
)

KEY = "twinguard_models"
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def event(number: int, chance: random.Random, ours: bool) -> list[str]:
    """The records of one access, as a kernel and auditd 3 write them with log_format = ENRICHED."""
    stamp = f"{1_790_000_000 + number // 500}.{number % 500 * 2:03d}:{number + 100}"
    name = f"/srv/models/m{chance.randrange(500)}/weights-{chance.randrange(40):05d}.bin"
    uid, user = chance.choice([(0, "root"), (33, "www-data"), (998, "model"), (1000, "alice")])
    exe = chance.choice(["/usr/bin/python3.11", "/usr/bin/cat", "/usr/sbin/nginx", "/usr/bin/cp"])
    comm = exe.rsplit("/", 1)[1]
    key = f'"{KEY}"' if ours else chance.choice(["(null)", '"other"', '"time-change"'])
    flags = chance.choice(["0", "0", "80000", "241"])
    pid = 1000 + chance.randrange(30000)
    return [
        (
            f"type=SYSCALL msg=audit({stamp}): arch=c000003e syscall=257 success=yes exit=3 a0=ffffff9c"
            f" a1={chance.randrange(1 << 47):x} a2={flags} a3=0 items=1 ppid={pid - 1} pid={pid} auid=4294967295"
            f" uid={uid} gid={uid} euid={uid} suid={uid} fsuid={uid} egid={uid} sgid={uid} fsgid={uid} tty=(none)"
            f' ses=4294967295 comm="{comm}" exe="{exe}" subj=unconfined key={key}\x1dARCH=x86_64 SYSCALL=openat'
            f' AUID="unset" UID="{user}" GID="{user}" EUID="{user}" SUID="{user}" FSUID="{user}" EGID="{user}"'
            f' SGID="{user}" FSGID="{user}"'
        ),
        f'type=CWD msg=audit({stamp}): cwd="/srv"',
        (
            f'type=PATH msg=audit({stamp}): item=0 name="{name}" inode={chance.randrange(9**9)} dev=fe:00'
            " mode=0100644 ouid=0 ogid=0 rdev=00:00 nametype=NORMAL cap_fp=0 cap_fi=0 cap_fe=0 cap_fver=0"
            ' cap_frootid=0\x1dOUID="root" OGID="root"'
        ),
        f"type=PROCTITLE msg=audit({stamp}): proctitle={(comm + chr(0) + name).encode().hex().upper()}",
    ]


def generate(path: str, megabytes: float, share: float, seed: int = 1) -> None:
    """A log of that size; `share` of its events has our key, and some events interleave."""
    chance = random.Random(seed)  # noqa: S311 - a log that can be made again
    size, number = 0, 0
    held: list[str] = []
    with open(path, "w", encoding="ascii") as log:
        while size < megabytes * 1_000_000:
            lines = event(number, chance, chance.random() < share)
            number += 1
            if held:
                lines = [lines[0], held[0], *lines[1:3], *held[1:], *lines[3:]]
                held = []
            elif chance.random() < 0.01:
                held, lines = lines[2:], lines[:2]
            text = "\n".join(lines) + "\n"
            size += len(text)
            log.write(text)
        log.writelines(line + "\n" for line in held)


def read(path: str, expected: bool) -> None:
    """What a task of audit_events_info does, in this process."""
    names = ("keys", "since", "until", "checkpoint", "users", "executables", "paths", "operations")
    params = dict.fromkeys((*names, "success", "expected"))
    allowed = [{"user": "model", "executable": "/usr/sbin/nginx"}] if expected else None
    params.update(
        log_file=path, unexpected_only=False, limit=1000, canaries="/nowhere", expected=allowed
    )
    print(report(params, check_mode=True)["count"])


def run(argv: list[str]) -> tuple[float, float, int, str]:
    """Seconds on the clock and of processor time, peak memory in kB, and output."""
    with tempfile.TemporaryFile() as output:
        begin = time.perf_counter()
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.DEVNULL
        )
        _pid, status, used = os.wait4(process.pid, 0)
        took = time.perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            raise SystemExit(f"{argv} gave {process.returncode}; what it took means nothing")
        output.seek(0)
        return (
            took,
            used.ru_utime + used.ru_stime,
            used.ru_maxrss,
            output.read(200).decode("latin-1").strip(),
        )


def unpacked() -> str:
    """An ausearch out of Debian's package, unpacked beside what is built here; '' where apt cannot get it."""
    place = os.path.join(ROOT, ".build", "bench", "ausearch")
    programs = [os.path.join(place, *parts, "ausearch") for parts in (["sbin"], ["usr", "sbin"])]
    if not any(map(os.path.exists, programs)):
        os.makedirs(place, exist_ok=True)
        fetch = "apt-get download auditd libauparse0 && for one in *.deb; do dpkg-deb --extract $one .; done"
        done = subprocess.run(["sh", "-c", fetch], cwd=place, capture_output=True, check=False)
        if done.returncode != 0:
            return ""
    for name in ("lib", "usr/lib"):
        library = os.path.join(place, name, sysconfig.get_config_var("MULTIARCH") or "")
        if os.path.isdir(library):
            os.environ["LD_LIBRARY_PATH"] = library
    return next(filter(os.path.exists, programs), "")


def compare(megabytes: float, repetitions: int = 3) -> int:
    """Both readers in turn on the same logs; 0 when ausearch was there to compare with."""
    ausearch = os.environ.get("AUSEARCH") or shutil.which("ausearch") or unpacked()
    if not ausearch:
        print("There is no ausearch (package auditd) to compare with; name one in AUSEARCH.")
        return 1
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "audit.log")
        for share in (0.01, 0.5, 0.99):
            generate(path, megabytes, share)
            ours = [sys.executable, __file__, "read", path]
            commands = {
                "ausearch --raw": [
                    "sh",
                    "-c",
                    'exec "$0" -if "$1" --raw >/dev/null',
                    ausearch,
                    path,
                ],
                "ours": ours,
                "ours, with a list": [*ours, "--expected"],
            }
            times: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
            memory = dict.fromkeys(commands, 0)
            for _unused in range(repetitions):
                for name, argv in commands.items():
                    took, used, peak, told = run(argv)
                    times[name].append((used, took))
                    memory[name] = max(memory[name], peak)
            # Processor time: what else the machine does must not count.
            base = min(times["ausearch --raw"])[0]
            print(f"{megabytes:.0f} MB, {share:.0%} of the events ours ({told} events):")
            for name, taken in times.items():
                used, took = min(taken)
                print(
                    f"  {name:18} {used:6.2f} s of processor time, {took:6.2f} s on the clock,"
                    f" {base / used:5.2f} x its speed, {memory[name] / 1024:.0f} MB"
                )
    return 0


def fuzz(wanted: int) -> int:
    """Damage logs until so many lines were damaged; 0 when nothing was misread."""
    count = sound = others = seed = 0
    slowest = 0.0
    while count < wanted:
        chance = random.Random(seed)  # noqa: S311 - a log that can be made again
        clean = make_log(chance, 1000)
        damaged, lines = damage(chance, clean, chance.choice([0.05, 0.3, 0.8]))
        begin = time.perf_counter()
        wrong, good, hurt = misread(clean, damaged, chance)
        slowest = max(slowest, time.perf_counter() - begin)
        for one in wrong:
            print(f"seed {seed}: {one}")
        if wrong:
            return 1
        count, sound, others, seed = count + lines, sound + good, others + hurt, seed + 1
    print(
        f"{count} damaged lines in {seed} logs: {sound} sound events read as before, {others} damaged ones told"
        f" without a word of another, no crash; the slowest log took {slowest:.1f} s"
    )
    return 0


def main(argv: list[str]) -> int:
    """Run one of the commands."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    gen = commands.add_parser("gen")
    gen.add_argument("megabytes", type=float)
    gen.add_argument("share", type=float)
    gen.add_argument("path")
    commands.add_parser("compare").add_argument("megabytes", type=float, nargs="?", default=200)
    commands.add_parser("fuzz").add_argument("lines", type=int, nargs="?", default=100_000)
    reading = commands.add_parser("read")
    reading.add_argument("path")
    reading.add_argument("--expected", action="store_true")
    args = parser.parse_args(argv)
    if args.command == "compare":
        return compare(args.megabytes)
    if args.command == "fuzz":
        return fuzz(args.lines)
    if args.command == "read":
        read(args.path, args.expected)
    else:
        generate(args.path, args.megabytes, args.share)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
