# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How sealed batches are brought into an upload-only zone by sftp (pure).

Such a zone lets nobody list, overwrite, append or remove. So each file is uploaded under a name of its own and renamed
when it is complete: what has its final name is whole and is never sent again, and what was cut short never gets one.
"""

from __future__ import annotations

import json
import re
from typing import Dict, List, Mapping, Optional, Sequence, Tuple

from ..._batch.names import is_batch
from ..._batch.types import MANIFEST

# What `ls -l` prints of one file: mode, links, owner, group, size, three words of time, name.
_LISTED = re.compile(r"-[-rwxsStT]{9}\S* +\S+ +\S+ +\S+ +([0-9]+) +\S+ +\S+ +\S+ +(?:\S*/)?(\S+)")


def batches(names: Sequence[str]) -> Dict[str, List[str]]:
    """Complete batches of an outbox and their files, the manifest last."""
    found: Dict[str, List[str]] = {}
    for name in names:
        if name.endswith(MANIFEST) and is_batch(name[: -len(MANIFEST)]):
            batch = name[: -len(MANIFEST)]
            rest = sorted(one for one in names if one.startswith(batch + ".") and one != name)
            found[batch] = [*rest, name]
    return found


def sequence(manifest: bytes) -> int:
    """The number by which batches are sent in order; -1 for what is no manifest of ours."""
    try:
        number = json.loads(manifest)["sequence"]
    except (ValueError, KeyError, TypeError):
        return -1
    return number if isinstance(number, int) else -1


def questions(names: Sequence[str]) -> bytes:
    """Commands for `sftp -b` that ask for the sizes of files; one that is not there is no error."""
    return "".join(f"-ls -l {name}\n" for name in names).encode("ascii")


def listed(output: bytes) -> Dict[str, int]:
    """Sizes in bytes by name, out of what sftp answered."""
    found = {}
    for line in output.decode("utf-8", "replace").splitlines():
        match = _LISTED.fullmatch(line.strip())
        if match:
            found[match.group(2)] = int(match.group(1))
    return found


def missing(
    sizes: Sequence[Tuple[str, int]], there: Mapping[str, int]
) -> Tuple[List[str], Optional[str]]:
    """What is still to be sent, in order; and a name under which something else lies, which only time cures."""
    other = [name for name, size in sizes if there.get(name, size) != size]
    return [name for name, _size in sizes if name not in there], other[0] if other else None


def uploads(outbox: str, names: Sequence[str], token: str) -> bytes:
    """Commands for `sftp -b` that send files; the first that fails ends it."""
    lines = []
    for name in names:
        part = f"{name}.part-{token}"
        lines.append(f"put {outbox}/{name} {part}\nrename {part} {name}\n")
    return "".join(lines).encode("ascii")


def sftp_command(
    receiver: Mapping[str, str], key: str, known_hosts: str, program: str = "/usr/bin/sftp"
) -> List[str]:
    """The sftp client, which knows the receiver by its pinned keys only and reads nobody's configuration."""
    options = (
        "BatchMode=yes",
        "StrictHostKeyChecking=yes",
        f"UserKnownHostsFile={known_hosts}",
        "GlobalKnownHostsFile=/dev/null",
        "UpdateHostKeys=no",
        f"HostKeyAlias={receiver['host']}",
        "IdentitiesOnly=yes",
        "IdentityAgent=none",
        f"IdentityFile={key}",
        "PreferredAuthentications=publickey",
        "ConnectTimeout=30",
        "ServerAliveInterval=15",
        "ServerAliveCountMax=4",
        "LogLevel=ERROR",
    )
    words = [program, "-F", "none", "-q", "-P", str(receiver["port"])]
    for one in options:
        words += ["-o", one]
    # An IPv6 address needs brackets here.
    host = f"[{receiver['host']}]" if ":" in receiver["host"] else receiver["host"]
    return [*words, "-b", "-", f"{receiver['account']}@{host}"]


def known_hosts(host: str, keys: Sequence[str]) -> bytes:
    """The file that pins the receiver."""
    return "".join(f"{host} {key}\n" for key in sorted(keys)).encode("ascii")
