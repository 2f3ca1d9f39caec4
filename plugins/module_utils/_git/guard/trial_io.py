# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Push an unsigned commit to a repository as its owner, and hear who refuses it (I/O).

It goes to C(git receive-pack), as a push over ssh does: git itself decides which hook runs, in which
environment, with the new objects in quarantine. Were no hook to refuse it, nothing would change either:
the push is atomic and asks for a second ref, below the first one as if that were a directory.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import zlib
from typing import Dict, List, NamedTuple, Sequence, Tuple

from ..._core.error import HardeningError
from ..._host.run_io import Done, run
from .guard import Trial, judge, trial_ref

SECONDS = 60.0
_WHO = "twinguard trial <trial@twinguard.invalid> %d +0000"
_TEXT = "Trial of the guard: this commit is unsigned and must be refused.\n"
_COMMIT, _TREE = 1, 2  # types in a pack
_PATH = "/usr/local/bin:/usr/bin:/bin"


class Advert(NamedTuple):
    """What a repository offers to a client that wants to push."""

    refs: Dict[str, str]
    sha256: bool


def as_user(uid: int, gid: int, argv: Sequence[str], stdin: bytes = b"") -> Done:
    """Run a program as another user, with the environment that a login of theirs has."""
    home, name = "/", str(uid)
    try:
        entry = pwd.getpwuid(uid)
        home, name = entry.pw_dir, entry.pw_name
    except KeyError:
        pass  # an owner without a name has no home either
    env = {"HOME": home, "USER": name, "LOGNAME": name, "PATH": _PATH, "LC_ALL": "C"}
    switch: List[str] = []
    if uid != os.geteuid():
        groups = ["--init-groups"] if name != str(uid) else ["--clear-groups"]
        switch = ["setpriv", f"--reuid={uid}", f"--regid={gid}", *groups, "--"]
        env["PATH"] += ":/usr/sbin:/sbin"
    return run([*switch, *argv], stdin, env, SECONDS, "/")


def try_push(path: str, uid: int, gid: int, protected: Sequence[str], now: int) -> Trial:
    """What becomes of an unsigned commit that the repository's owner pushes to a protected ref."""
    try:
        offered = as_user(uid, gid, ["git", "receive-pack", "--http-backend-info-refs", path])
        if offered.code != 0:
            return Trial(False, f"git does not take a push to {path}: {offered.complaint()}")
        advert = _advert(offered.out)
        ref = trial_ref(protected, list(advert.refs))
        commit, request = _request(advert, ref, now)
        done = as_user(uid, gid, ["git", "receive-pack", path], request)
    except HardeningError as error:
        return Trial(False, f"no trial could be made: {error}")
    report, messages = _answer(done.out)
    refused = done.code != 0 or f"ng {ref} " in report
    text = messages + "".join(f"{line}\n" for line in report.splitlines() if line.startswith("ng "))
    text += done.err.decode("utf-8", "replace")
    return judge(1 if refused else 0, text, ref, commit)


def _advert(out: bytes) -> Advert:
    refs: Dict[str, str] = {}
    sha256 = False
    for line in _packets(out):
        text, _zero, capabilities = line.partition(b"\0")
        sha256 = sha256 or b"object-format=sha256" in capabilities.split()
        object_id, _space, name = (
            text.rstrip(b"\n").decode("utf-8", "surrogateescape").partition(" ")
        )
        if name.startswith("refs/"):
            refs[name] = object_id
    return Advert(refs, sha256)


def _packets(data: bytes) -> List[bytes]:
    """The lines of git's protocol; what is between flushes is put together."""
    found, at = [], 0
    while at + 4 <= len(data):
        try:
            length = int(data[at : at + 4], 16)
        except ValueError:
            break  # not git's: whatever it is, it is not an answer
        if length >= 4:
            found.append(data[at + 4 : at + length])
        at += max(length, 4)
    return found


def _answer(out: bytes) -> Tuple[str, str]:
    """The report on the refs, and the messages for the user, line by line."""
    report, messages = b"", b""
    for packet in _packets(out):
        if packet[:1] == b"\1":
            report += packet[1:]
        elif packet[:1] in (b"\2", b"\3"):
            messages += packet[1:]
    return (
        b"".join(_packets(report)).decode("utf-8", "replace"),
        messages.decode("utf-8", "replace"),
    )


def _request(advert: Advert, ref: str, now: int) -> Tuple[str, bytes]:
    """The id of the commit, and all that a client sends: two updates and a pack."""
    name = "sha256" if advert.sha256 else "sha1"
    zeros = "0" * (64 if advert.sha256 else 40)
    old = advert.refs.get(ref, zeros)
    tree = _object_id(name, b"tree", b"")
    who = _WHO % now
    lines = [f"tree {tree}", *([f"parent {old}"] if old != zeros else [])]
    lines += [f"author {who}", f"committer {who}", "", _TEXT]
    body = "\n".join(lines).encode("ascii")
    commit = _object_id(name, b"commit", body)
    capabilities = "report-status side-band-64k atomic agent=twinguard"
    capabilities += " object-format=sha256" if advert.sha256 else ""
    first = f"{old} {commit} {ref}\0{capabilities}".encode("utf-8", "surrogateescape")
    second = f"{zeros} {commit} {ref}/twinguard-trial".encode("utf-8", "surrogateescape")
    pack = b"PACK" + (2).to_bytes(4, "big") + (2).to_bytes(4, "big")
    pack += _packed(_TREE, b"") + _packed(_COMMIT, body)
    pack += hashlib.new(name, pack).digest()
    return commit, _packet(first) + _packet(second) + b"0000" + pack


def _packet(line: bytes) -> bytes:
    return b"%04x" % (len(line) + 4) + line


def _object_id(algorithm: str, kind: bytes, body: bytes) -> str:
    return hashlib.new(algorithm, kind + b" %d\0" % len(body) + body).hexdigest()


def _packed(kind: int, body: bytes) -> bytes:
    """One whole object as a pack holds it: type and length, then its bytes compressed."""
    size = len(body)
    first, size = kind << 4 | size & 15, size >> 4
    header = bytearray()
    while size:
        header.append(first | 0x80)
        first, size = size & 0x7F, size >> 7
    header.append(first)
    return bytes(header) + zlib.compress(body)
