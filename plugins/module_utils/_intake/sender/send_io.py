# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Seal new data and upload it to the receiver (I/O): the program that the sending timer starts.

Only sealed files are ever written, so no plain copy can be left behind. A batch stays in the outbox until all of it is
in the receiver's zone; after an interruption the next run continues there.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import sys
import time
from typing import Any, List, Mapping, Sequence, Tuple

from ..._batch.seal_io import seal
from ..._batch.types import MANIFEST, SealOptions
from ..._core.error import HardeningError
from ..._host.run_io import Done, clean_environment, run, say
from . import upload as send

_QUERY_SECONDS = 120.0


class NotSent(HardeningError):
    """A batch could not be uploaded; it stays in the outbox."""


def main(arguments: Sequence[str]) -> int:
    """Entry of the program, with the path of the job's configuration. 0 when everything was sent."""
    with open(arguments[0], encoding="utf-8") as stream:
        config = json.load(stream)
    keys = os.environ["RUNTIME_DIRECTORY"]
    try:
        lock = os.open(config["outbox"], os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(lock, fcntl.LOCK_EX)
        # Waiting batches go first: the receiver refuses a batch that is older than the last one.
        deliver(config, keys)
        sealed = seal(seal_options(config, keys), int(time.time()), run)
        say(6, sealed.reason)
        if sealed.changed:
            deliver(config, keys)
    except (HardeningError, OSError) as error:
        say(3, str(error), sys.stderr)
        return 1
    return 0


def seal_options(config: Mapping[str, Any], keys: str) -> SealOptions:
    """What to seal, and for whom; `keys` is the directory with our keys."""
    return SealOptions(
        sources=tuple(config["sources"]),
        outbox=config["outbox"],
        state_dir=config["state_dir"],
        sender=config["sender"],
        signing_key=f"{keys}/signing_key",
        recipients=tuple(config["recipients"]),
        passphrase_file=f"{keys}/passphrase" if config["passphrase"] else None,
    )


def _reason(session: Done) -> str:
    return session._replace(err=send.errors_of_ssh(session.err)).complaint()


def deliver(config: Mapping[str, Any], keys: str) -> None:
    """Send all batches of the outbox in the order of their sequence numbers."""
    outbox = config["outbox"]
    waiting: List[Tuple[int, str, List[str]]] = []
    for batch, names in send.batches(os.listdir(outbox)).items():
        with open(f"{outbox}/{batch}{MANIFEST}", "rb") as stream:
            waiting.append((send.sequence(stream.read()), batch, names))
    for _number, batch, names in sorted(waiting):
        _deliver(config, keys, batch, names)


def _deliver(config: Mapping[str, Any], keys: str, batch: str, names: Sequence[str]) -> None:
    outbox = config["outbox"]
    command = send.sftp_command(config["receiver"], f"{keys}/login_key", config["known_hosts"])
    sizes = [(name, os.stat(f"{outbox}/{name}").st_size) for name in names]
    sizes_there = run(command, send.size_queries(names), clean_environment(), _QUERY_SECONDS)
    if sizes_there.code != 0:
        raise NotSent(f"cannot reach {config['receiver']['host']}: {_reason(sizes_there)}")
    remaining, conflict = send.missing(sizes, send.parse_sizes(sizes_there.out))
    if conflict:
        raise NotSent(
            f"{conflict} exists in the receiver's zone with another size; the receiver removes it after"
            " its stale_hours, then the next run sends it"
        )
    commands = send.uploads(outbox, remaining, secrets.token_hex(4))
    done = run(command, commands, clean_environment(), float(config["timeout"]))
    if done.code != 0:
        raise NotSent(
            f"the receiver did not accept batch {batch}; the next run tries again: {_reason(done)}"
        )
    # The manifest is removed first: without it the rest is not sent again as a batch.
    for name in reversed(names):
        os.unlink(f"{outbox}/{name}")
    say(6, f"sent batch {batch}: {len(remaining)} of {len(names)} files now")
