# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A repository of the real git with commits of every kind, signed by the real ssh-keygen, for tests."""

from __future__ import annotations

import hashlib
import os
import subprocess
import zlib
from pathlib import Path
from typing import Any, Sequence

from ansible_collections.twinguard.hardening.plugins.module_utils._git.verify.policy import (
    Policy,
    parse_policy,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._git.verify.verdict import Verdict
from ansible_collections.twinguard.hardening.plugins.module_utils._git.verify.verify_io import (
    Work,
    verify,
)
from ansible_collections.twinguard.hardening.tests.unit.support.signing import (
    keygen,
    needs,
    ssh_sign,
)

NOW = 1_795_000_000
"""The server's clock in these tests: November 2026."""

NAMES = ("alice", "bob", "forge", "mallory")


class Keys:
    """Keys of some people, made once for many repositories."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.lines = {name: keygen(place / name) for name in NAMES}

    def person(self, name: str, **more: Any) -> dict[str, Any]:
        """An item of the option `people`."""
        return {
            "name": name.title(),
            "principals": [f"{name}@example.com"],
            "keys": [{"key": self.lines[name], **more}],
        }


class Lab:
    """One bare repository. Commits are written as raw objects, so that any fault can be made."""

    def __init__(self, path: Path, keys: Keys, object_format: str = "sha1") -> None:
        needs("git")
        self.path, self.keys, self.object_format = path, keys, object_format
        self.clock = NOW - 1_000_000
        subprocess.run(
            ["git", "init", "-q", "--bare", f"--object-format={object_format}", str(path)],
            check=True,
        )
        self.tree = self.tree_of(a="a\n")

    def git(self, *words: str, stdin: bytes = b"", check: bool = True, **env: str) -> str:
        """Run git as a person would, with no settings of whoever runs the tests."""
        fixed = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1", "LC_ALL": "C"}
        done = subprocess.run(
            ["git", "-C", str(self.path), *words],
            input=stdin,
            capture_output=True,
            check=check,
            env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", **fixed, **env},
        )
        return done.stdout.decode("utf-8", "replace").strip()

    def put(self, kind: str, content: bytes) -> str:
        """Write an object as it is, however wrong; a process of git for each would cost more than the tests."""
        data = f"{kind} {len(content)}\0".encode() + content
        name = hashlib.new(self.object_format, data).hexdigest()
        path = self.path / "objects" / name[:2] / name[2:]
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(zlib.compress(data))
        return name

    def tree_of(self, **files: str) -> str:
        """A tree with these files."""
        entries = (
            f"100644 {name}\0".encode() + bytes.fromhex(self.put("blob", text.encode()))
            for name, text in sorted(files.items())
        )
        return self.put("tree", b"".join(entries))

    def raw(self, *parents: str, email: str = "alice@example.com", **more: Any) -> bytes:
        """The bytes of an unsigned commit."""
        self.clock += 60
        time = more.get("time", self.clock)
        lines = [f"tree {more.get('tree', self.tree)}", *(f"parent {one}" for one in parents)]
        lines += [f"author Somebody <author@example.com> {time} +0000"]
        lines += [f"committer Somebody <{email}> {time} +0000"]
        return ("\n".join(lines) + f"\n\n{more.get('text', f'Change {self.clock}')}\n").encode()

    def signed(self, raw: bytes, by: str, namespace: str = "git", header: str = "") -> bytes:
        """The commit with its signature in its header."""
        armored = ssh_sign(self.keys.place / by, raw, namespace).strip().decode()
        header = header or ("gpgsig-sha256" if len(self.tree) == 64 else "gpgsig")
        head, body = raw.split(b"\n\n", 1)
        folded = armored.replace("\n", "\n ")
        return head + f"\n{header} {folded}\n\n".encode() + body

    def commit(self, *parents: str, by: str = "alice", **more: Any) -> str:
        """A commit signed by somebody (by="" leaves it unsigned); its committer is them, too."""
        namespace = more.pop("namespace", "git")
        more.setdefault("email", f"{by or 'alice'}@example.com")
        raw = self.raw(*parents, **more)
        return self.put("commit", self.signed(raw, by, namespace) if by else raw)

    def tag(self, target: str, name: str = "v1", by: str = "alice", **more: Any) -> str:
        """An annotated tag."""
        email = more.get("email", f"{by or 'alice'}@example.com")
        raw = (
            f"object {target}\ntype {more.get('kind', 'commit')}\ntag {name}\n"
            f"tagger Somebody <{email}> {self.clock} +0000\n\nRelease\n"
        ).encode()
        signature = ssh_sign(self.keys.place / by, raw) if by else b""
        return self.put("tag", raw + signature)

    def policy(self, **more: Any) -> Policy:
        """Alice and Bob, and a forge."""
        people = more.pop("people", [self.keys.person("alice"), self.keys.person("bob")])
        return parse_policy(people, more.pop("forges", [self.keys.person("forge")]), **more)

    def verdicts(
        self, new: Sequence[str] | str, not_: Sequence[str] = (), **more: Any
    ) -> dict[str, Verdict]:
        """The verdict of each object, by id."""
        policy = more.pop("policy", None) or self.policy()
        tips = [new] if isinstance(new, str) else list(new)
        found = verify(str(self.path), tips, list(not_), policy, more.pop("now", NOW), **more)
        return {one.commit: one for one in found}

    def status(self, tip: str, not_: Sequence[str] = (), **more: Any) -> str:
        """The status of the tip alone; 'trusted' when there was nothing to look at."""
        found = self.verdicts(tip, not_, **more)
        return found[tip].status if tip in found else "trusted"

    def believed(self, commit: str, signers: bytes) -> bool:
        """Whether plain `git verify-commit` lets it pass."""
        file = self.path / "believed"
        file.write_bytes(signers)
        done = subprocess.run(
            [
                *("git", "-C", str(self.path), "-c", f"gpg.ssh.allowedSignersFile={file}"),
                *("verify-commit", commit),
            ],
            capture_output=True,
            check=False,
        )
        return done.returncode == 0


__all__ = ["NOW", "Keys", "Lab", "Work"]
