# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an audit of signed commits costs, beside a loop of `git verify-commit` and `git log --format=%G?`.

    python3 bench/git_history.py [COMMITS] [SAMPLE]

Makes a repository with COMMITS signed commits (2000) of three people, and verifies it: by git over the SAMPLE newest
ones (300, multiplied for the table; as many as COMMITS measures all), then by git_signatures_info the first time,
again, and after one more commit. All in one run on one machine: read the ratios. The processors' time is the steadier
one; on the wall the first audit also wins by using all processors, if nothing else does.
"""

from __future__ import annotations

import hashlib
import os
import resource
import subprocess
import sys
import tempfile
import time
import zlib
from typing import Any, Callable

from ansible_collections.twinguard.hardening.plugins.module_utils._git.report import (
    report_io as git_audit_io,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._trust.people import (
    allowed_signers,
    parse_people,
)

PEOPLE = ("alice", "bob", "carol")
TYPES = {"commit": 1, "tree": 2, "blob": 3}


class Made:
    """A repository of signed commits, written as one pack."""

    def __init__(self, place: str) -> None:
        self.place = place
        self.path = os.path.join(place, "models.git")
        self.lines = {name: self._key(name) for name in PEOPLE}
        people = [
            {"name": name, "principals": [f"{name}@example.com"], "keys": [{"key": line}]}
            for name, line in self.lines.items()
        ]
        self.people = people
        self.signers = os.path.join(place, "signers")
        with open(self.signers, "wb") as file:
            file.write(allowed_signers(parse_people(people)))
        subprocess.run(["git", "init", "-q", "--bare", "-b", "main", self.path], check=True)
        self.tip = ""
        self.clock = int(time.time()) - 10_000_000

    def _key(self, name: str) -> str:
        path = os.path.join(self.place, name)
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", path]
        subprocess.run(command, check=True)
        with open(path + ".pub", encoding="ascii") as file:
            return file.read().strip()

    def grow(self, count: int) -> None:
        """Add commits; each signature needs the id of the commit before."""
        blob = b"weights\n"
        tree = b"100644 model\0" + bytes.fromhex(name_of("blob", blob))
        objects = [("blob", blob), ("tree", tree)]
        for number in range(count):
            self.clock += 60
            raw = self._commit(name_of("tree", tree), PEOPLE[number % len(PEOPLE)])
            objects.append(("commit", raw))
            self.tip = name_of("commit", raw)
        command = ["git", "-C", self.path, "index-pack", "--stdin", "--fix-thin"]
        subprocess.run(command, input=pack(objects), check=True, stdout=subprocess.DEVNULL)
        subprocess.run(
            ["git", "-C", self.path, "update-ref", "refs/heads/main", self.tip], check=True
        )

    def _commit(self, tree: str, who: str) -> bytes:
        parent = f"parent {self.tip}\n" if self.tip else ""
        person = f"{who} <{who}@example.com> {self.clock} +0000"
        head = f"tree {tree}\n{parent}author {person}\ncommitter {person}\n".encode()
        body = f"\nStep {self.clock}\n".encode()
        signature = subprocess.run(
            ["ssh-keygen", "-q", "-Y", "sign", "-n", "git", "-f", os.path.join(self.place, who)],
            input=head + body,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=True,
        ).stdout
        return head + b"gpgsig " + signature.strip().replace(b"\n", b"\n ") + b"\n" + body

    def git(self, *words: str) -> bytes:
        """As a careful person would verify: with the file of allowed signers."""
        command = ["git", "-C", self.path, "-c", f"gpg.ssh.allowedSignersFile={self.signers}"]
        return subprocess.run([*command, *words], capture_output=True, check=True).stdout

    def audit(self) -> dict[str, Any]:
        """What git_signatures_info does, without the start of Ansible."""
        found = git_audit_io.report(
            {
                "repositories": [
                    {
                        "path": self.path,
                        "revisions": ["refs/heads/main"],
                        "since": None,
                        "pinned_root": [],
                        "accepted": None,
                    }
                ],
                "guard_policy": None,
                "people": self.people,
                "allowed_signers": None,
                "forges": [],
                "exceptions": [],
                "clock_skew": 600,
                "cache_dir": os.path.join(self.place, "cache"),
                "all": False,
                "limit": 1000,
            },
            False,
        )
        if not found["verified"]:
            raise SystemExit(f"NOT VERIFIED: {found['controls']}")
        return dict(found["repositories"][0])


def name_of(kind: str, content: bytes) -> str:
    return hashlib.sha1(f"{kind} {len(content)}\0".encode() + content).hexdigest()  # noqa: S324


def pack(objects: list[tuple[str, bytes]]) -> bytes:
    """A pack file of whole objects."""
    parts = [b"PACK" + (2).to_bytes(4, "big") + len(objects).to_bytes(4, "big")]
    for kind, content in objects:
        size = len(content)
        byte = TYPES[kind] << 4 | size & 15
        size >>= 4
        head = bytearray()
        while size:
            head.append(byte | 128)
            byte = size & 127
            size >>= 7
        head.append(byte)
        parts += [bytes(head), zlib.compress(content, 1)]
    data = b"".join(parts)
    return data + hashlib.sha1(data).digest()  # noqa: S324


def timed(work: Callable[[], Any]) -> tuple[float, float, Any]:
    """Seconds on the wall and of the processors, children included, and what came out."""
    begun, spent = time.monotonic(), processors()
    found = work()
    return time.monotonic() - begun, processors() - spent, found


def processors() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def main(argv: list[str]) -> None:
    commits = int(argv[0]) if argv else 2000
    sample = min(int(argv[1]) if len(argv) > 1 else 300, commits)
    with tempfile.TemporaryDirectory(prefix="tg-bench-") as place:
        made = Made(place)
        made.grow(commits)
        newest = made.git("rev-list", f"--max-count={sample}", "main").decode().split()
        whole = commits / sample

        def loop() -> None:
            for name in newest:
                made.git("verify-commit", name)

        rows = [("loop of git verify-commit", *timed(loop))]
        rows.append(
            (
                "git log --format=%G?",
                *timed(lambda: made.git("log", f"--max-count={sample}", "--format=%G?", "main")),
            )
        )
        if set(rows[1][3].split()) != {b"G"}:
            raise SystemExit("NOT VERIFIED by git log")
        rows = [(name, wall * whole, spent * whole, None) for name, wall, spent, _told in rows]
        rows.append(("git_signatures_info, first time", *timed(made.audit)))
        again = sorted((timed(made.audit) for _round in range(7)), key=lambda one: one[0])
        rows.append(("git_signatures_info, nothing new", *again[3]))
        made.grow(1)
        rows.append(("git_signatures_info, one more commit", *timed(made.audit)))
    checked = [told["signatures_checked"] for _name, _wall, _spent, told in rows if told]
    if checked != [commits, 0, 1]:
        raise SystemExit(f"NOT AS PROMISED: signatures checked {checked}")
    cores, load = len(os.sched_getaffinity(0)), os.getloadavg()[0]
    print(
        f"{commits} signed commits, {cores} processors, load {load:.1f}; git measured over {sample}"
    )
    print(f"{'':<38}{'wall s':>9}{'to loop':>9}{'CPU s':>9}{'to loop':>9}{'signatures':>12}")
    for name, wall, spent, told in rows:
        count = told["signatures_checked"] if told else commits
        walls, spents = rows[0][1] / wall, rows[0][2] / spent
        print(f"{name:<38}{wall:>9.3f}{walls:>8.1f}x{spent:>9.3f}{spents:>8.1f}x{count:>12}")


if __name__ == "__main__":
    main(sys.argv[1:])
