# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Upload of sealed batches into an upload-only zone by sftp (pure).

Nobody can list, overwrite, append to or remove files there. So each file is uploaded under a temporary name and
renamed once it is complete: a file with its final name is whole and never sent again; a partial one never gets it.
"""

from __future__ import annotations

import re
from typing import Dict, List, Mapping, Optional, Sequence, Tuple

from ..._batch.manifest import unverified_sequence
from ..._batch.names import batch_of
from ..ssh_client import pinned

# What `ls -l` prints for one file: mode, links, owner, group, size, three words of time, name.
_LISTED = re.compile(r"-[-rwxsStT]{9}\S* +\S+ +\S+ +\S+ +([0-9]+) +\S+ +\S+ +\S+ +(?:\S*/)?(\S+)")


def batches(names: Sequence[str]) -> Dict[str, List[str]]:
    """Complete batches of an outbox and their files, the manifest last."""
    found: Dict[str, List[str]] = {}
    for name in names:
        batch = batch_of(name)
        if batch:
            rest = sorted(one for one in names if one.startswith(batch + ".") and one != name)
            found[batch] = [*rest, name]
    return found


def sequence(manifest: bytes) -> int:
    """The number by which batches are sent in order; -1 when the manifest has none."""
    number = unverified_sequence(manifest)
    return -1 if number is None else number


def size_queries(names: Sequence[str]) -> bytes:
    """Commands for `sftp -b` that ask for the sizes of files; a missing file is not an error."""
    return "".join(f"-ls -l {name}\n" for name in names).encode("ascii")


def parse_sizes(output: bytes) -> Dict[str, int]:
    """Sizes in bytes by name, from the output of sftp."""
    found = {}
    for line in output.decode("utf-8", "replace").splitlines():
        match = _LISTED.fullmatch(line.strip())
        if match:
            found[match.group(2)] = int(match.group(1))
    return found


def missing(
    sizes: Sequence[Tuple[str, int]], there: Mapping[str, int]
) -> Tuple[List[str], Optional[str]]:
    """The names still to be sent, in order; and one that exists with another size, if any."""
    conflicts = [name for name, size in sizes if there.get(name, size) != size]
    return [name for name, _size in sizes if name not in there], conflicts[0] if conflicts else None


def uploads(outbox: str, names: Sequence[str], token: str) -> bytes:
    """Commands for `sftp -b` that send files; it ends at the first failure."""
    lines = []
    for name in names:
        part = f"{name}.part-{token}"
        lines.append(f"put {outbox}/{name} {part}\nrename {part} {name}\n")
    return "".join(lines).encode("ascii")


def sftp_command(
    receiver: Mapping[str, str], key: str, known_hosts: str, program: str = "/usr/bin/sftp"
) -> List[str]:
    """The sftp client, which accepts only the pinned keys of the receiver and reads no configuration."""
    options = pinned(
        known_hosts,
        receiver["host"],
        key,
        "ConnectTimeout=30",
        "ServerAliveInterval=15",
        "ServerAliveCountMax=4",
        "LogLevel=ERROR",
    )
    # Not -q: it would hide the errors of ssh, and a wrong host key would look like a login that is refused.
    words = [program, *options, "-P", str(receiver["port"])]
    # sftp expects an IPv6 address in brackets.
    host = f"[{receiver['host']}]" if ":" in receiver["host"] else receiver["host"]
    return [*words, "-b", "-", f"{receiver['account']}@{host}"]


def errors_of_ssh(errors: bytes) -> bytes:
    """The errors of a failed session without those of sftp itself, which only says that the connection is closed."""
    lines = [line for line in errors.splitlines() if not line.startswith(b"Connection closed")]
    return b"\n".join(lines) or errors


def known_hosts(host: str, keys: Sequence[str]) -> bytes:
    """The known_hosts file that pins the receiver."""
    return "".join(f"{host} {key}\n" for key in sorted(keys)).encode("ascii")
