# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Look for secrets where they must not be, as often as possible, until standard input closes (Python 3.9 or newer).

    secret_watch.py processes        in the command line and environment of every process
    secret_watch.py files ROOT ...   as an unprivileged user, in every file below these directories that it can open

The first line of standard input is a JSON array of secrets. Prints {"sweeps": n, "looked": n, "found": [place, ...]}.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from typing import Dict, Iterator, List, Set, Tuple

NOBODY = 65534


def process_texts(known: Dict[str, bytes]) -> Iterator[Tuple[str, bytes]]:
    """What /proc shows of every process but this one; nothing of a text that is the same as the last time."""
    for pid in os.listdir("/proc"):
        if not pid.isdigit() or int(pid) == os.getpid():
            continue
        for name in ("cmdline", "environ"):
            try:
                with open(f"/proc/{pid}/{name}", "rb", buffering=0) as text:
                    content = text.read()
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue  # it has ended, or is a process of the kernel
            place = (
                f"{name} of {content[:60]!r}" if name == "cmdline" else f"environ of process {pid}"
            )
            # Most are: looking through them again and again would cost more than all that is watched.
            yield place, b"" if known.get(pid + name) == content else content
            known[pid + name] = content


def file_texts(roots: List[str]) -> Iterator[Tuple[str, bytes]]:
    """Every file that can be opened."""
    for root in roots:
        for directory, _directories, names in os.walk(root):
            for name in names:
                path = os.path.join(directory, name)
                try:
                    with open(path, "rb") as text:
                        yield path, text.read()
                except OSError:
                    continue  # that is what shall happen


def wait_for_end(ended: threading.Event) -> None:
    """Set the event once standard input is closed."""
    sys.stdin.read()
    ended.set()


def main(mode: str, roots: List[str]) -> None:
    """Watch until standard input closes."""
    secrets = [secret.encode() for secret in json.loads(sys.stdin.readline())]
    if mode == "files":
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    ended = threading.Event()
    threading.Thread(target=wait_for_end, args=(ended,), daemon=True).start()
    sweeps = looked = 0
    found: Set[str] = set()
    known: Dict[str, bytes] = {}
    while True:
        last, began = ended.is_set(), time.monotonic()
        for place, content in process_texts(known) if mode == "processes" else file_texts(roots):
            looked += 1
            if any(secret in content for secret in secrets):
                found.add(place)
        sweeps += 1
        if last:
            break
        if mode == "processes":
            # Half of the time at least is left to what is watched.
            ended.wait(max(0.005, time.monotonic() - began))
    print(json.dumps({"sweeps": sweeps, "looked": looked, "found": sorted(found)}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
