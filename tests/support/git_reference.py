# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a push is acceptable, found out slowly with plain commands of git and ssh-keygen.

Written from the description of the guard, not from its code, to be compared with it. Python 3.9 or newer.
"""

from __future__ import annotations

import fnmatch
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Dict, List, Sequence, Tuple

ZERO = "0" * 40
SKEW = 600


def decide(
    repository: str,
    updates: Sequence[Tuple[str, str, str]],
    refs: Dict[str, str],
    protected: Sequence[str],
    signers: str,
    revoked: str,
    forge: str,
) -> List[str]:
    """The faults of a push, one sentence each; it is acceptable without any.

    `updates` are (old, new, ref); `refs` is what the server holds, all of it let in by the guard. `signers` is a
    file of OpenSSH with everybody's key, `revoked` one with revoked keys, `forge` the address of the forge.
    """
    judge = _Judge(repository, signers, revoked, forge)
    faults = []
    for old, new, ref in updates:
        if not _covered(ref, protected):
            continue
        if new == ZERO:
            faults.append(f"{ref} would be deleted")
        elif old != ZERO and ref.startswith("refs/tags/"):
            faults.append(f"{ref} would be moved")
        elif old != ZERO and not judge.ancestor(old, new):
            faults.append(f"{ref} would lose commits")
        else:
            known = [value for name, value in refs.items() if _covered(name, protected)]
            base = [old] if old != ZERO else known
            faults += judge.tag(new, ref) + judge.commits(new, base, old != ZERO)
    return faults


def _covered(ref: str, protected: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(ref, one) for one in protected)


class _Judge:
    def __init__(self, repository: str, signers: str, revoked: str, forge: str) -> None:
        self.repository, self.signers, self.revoked, self.forge = (
            repository,
            signers,
            revoked,
            forge,
        )

    def git(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            ["git", "--no-replace-objects", "-C", self.repository, *words],
            capture_output=True,
            check=False,
        )

    def text(self, *words: str) -> str:
        done = self.git(*words)
        assert done.returncode == 0, (words, done.stderr)
        return done.stdout.decode().strip()

    def ancestor(self, old: str, new: str) -> bool:
        return self.git("merge-base", "--is-ancestor", old, new).returncode == 0

    def tag(self, name: str, ref: str) -> List[str]:
        """The faults of an annotated tag; none for a commit."""
        if self.text("cat-file", "-t", name) != "tag":
            return []
        content = self.git("cat-file", "tag", name).stdout
        start = content.find(b"-----BEGIN SSH SIGNATURE-----")
        fields = dict(
            line.split(b" ", 1) for line in content.split(b"\n\n")[0].splitlines() if b" " in line
        )
        if ref != "refs/tags/" + fields[b"tag"].decode():
            return [f"{name} was made under another name"]
        address = fields[b"tagger"].split(b"<")[1].split(b">")[0].decode()
        if start < 0:
            return [f"{name} is a tag without a signature"]
        fine = self.good(content[:start], content[start:], address)
        return [] if fine else [f"{name} is a tag with a bad signature"]

    def commits(self, new: str, base: Sequence[str], moves: bool) -> List[str]:
        """The faults of what is new; only a new ref may have a history that begins by itself."""
        faults = []
        for name in self.text("rev-list", new, *("^" + one for one in base)).split():
            fault = self.commit(name, moves)
            if fault:
                faults.append(f"{name} {fault}")
        return faults

    def commit(self, name: str, based: bool) -> str:
        content = self.git("cat-file", "commit", name).stdout
        head, _blank, message = content.partition(b"\n\n")
        kept, signature, inside = [], [], False
        for line in head.split(b"\n"):
            if line.startswith(b"gpgsig "):
                inside = True
                signature.append(line[len(b"gpgsig ") :])
            elif inside and line.startswith(b" "):
                signature.append(line[1:])
            else:
                inside = False
                kept.append(line)
        if not signature:
            return "has no signature"
        address = self.text("log", "-1", "--format=%ce", name)
        when = int(self.text("log", "-1", "--format=%ct", name))
        parents = self.text("log", "-1", "--format=%P", name).split()
        payload = b"\n".join(kept) + b"\n\n" + message
        if not self.good(payload, b"\n".join(signature) + b"\n", address):
            return "has no good signature by its committer"
        if based and not parents:
            return "begins another history"
        return self.dated(when, parents) or (
            self.merged(name, parents) if address == self.forge else ""
        )

    def dated(self, when: int, parents: Sequence[str]) -> str:
        if when > time.time() + SKEW:
            return "is from the future"
        before = [int(self.text("log", "-1", "--format=%ct", one)) for one in parents]
        late = min(max(before, default=0), int(time.time()))
        return "is older than its parents" if when < late - SKEW else ""

    def merged(self, name: str, parents: Sequence[str]) -> str:
        if len(parents) != 2:
            return "is by the forge and no merge of two"
        done = self.git("merge-tree", "--write-tree", *parents)
        if done.returncode != 0 or done.stdout.split()[0].decode() != self.text(
            "rev-parse", f"{name}^{{tree}}"
        ):
            return "is no clean merge"
        return ""

    def good(self, payload: bytes, signature: bytes, address: str) -> bool:
        """Whether this address may sign today, has signed this, for git, with a key that is not revoked."""
        with tempfile.TemporaryDirectory() as work:
            path = Path(work, "signature")
            path.write_bytes(signature)
            moment = time.strftime("%Y%m%d%H%M%SZ", time.gmtime())
            done = subprocess.run(
                [
                    *("ssh-keygen", "-Y", "verify", "-n", "git", "-I", address, "-f", self.signers),
                    *("-s", str(path), "-r", self.revoked, f"-Overify-time={moment}"),
                ],
                input=payload,
                capture_output=True,
                check=False,
            )
        return done.returncode == 0
