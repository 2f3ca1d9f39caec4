# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Open all collected batches (I/O): the unprivileged part of the service.

Each batch gets a line in the journal and a line of JSON in the log. open_batches() decides its outcome.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict
from typing import Any, Dict, Mapping, Sequence

from ..._batch.manifest import to_text
from ..._batch.open_io import open_batches
from ..._batch.types import Identity, OpenOptions, Outcome
from ..._files.safe_path_io import read_file, remove_tree, scan
from ..._host.run_io import run, say
from .service_io import for_each_zone

_PRIORITY = {"published": 6, "already": 6, "quarantined": 4}


def main(arguments: Sequence[str]) -> int:
    """Entry of the program, with the path of receiver.json. 1 for a problem that is not a batch's fault."""
    return for_each_zone(arguments[0], _serve)


def _serve(config: Mapping[str, Any], zone: Mapping[str, Any]) -> None:
    for outcome in _open(config, zone):
        report(config["log"], zone["account"], outcome)
    _expire(config, zone)


def _open(config: Mapping[str, Any], zone: Mapping[str, Any]) -> Sequence[Outcome]:
    base, account = config["directory"], zone["account"]
    incoming = f"{base}/incoming/{account}"
    # Without a batch as well, so that unusable keys and trust files are noticed before one arrives.
    options = options_of(config, zone, os.environ["RUNTIME_DIRECTORY"])
    return tuple(open_batches(incoming, options, int(time.time()), run))


def options_of(config: Mapping[str, Any], zone: Mapping[str, Any], secrets: str) -> OpenOptions:
    """The options that open the batches of a zone; `secrets` is the directory with our keys."""
    base, account = config["directory"], zone["account"]
    return OpenOptions(
        allowed_signers=_content(config["allowed_signers"]),
        revocations=_content(config["revocations"]),
        destination=f"{base}/published/{account}",
        quarantine=f"{base}/quarantine/{account}",
        state_dir=f"{config['state_dir']}/{account}",
        senders=(zone["sender"],),
        identities=tuple(
            Identity(f"{secrets}/identity-{number}.key", f"{secrets}/identity-{number}.pem")
            for number in range(config["identities"])
        ),
        passphrase_file=f"{secrets}/passphrase" if config["passphrase"] else None,
        maximum_bytes=config["maximum_bytes"],
        maximum_files=config["maximum_files"],
        maximum_age=config["maximum_age"],
        validate=tuple(config["validate"]),
        validate_seconds=float(config["validate_seconds"]),
    )


def _content(path: str) -> bytes:
    state = read_file(path)
    return state.content if state else b""


def report(log: str, account: str, outcome: Outcome) -> None:
    """Write a batch's outcome to the journal and the log. JSON escapes all text from the sender."""
    entry: Dict[str, Any] = {
        **asdict(outcome),
        "reason": outcome.reason.value if outcome.reason else None,
        "account": account,
        "time": to_text(int(time.time())),
    }
    line = json.dumps(entry, sort_keys=True)
    say(_PRIORITY.get(outcome.status, 6), line)
    # A single write of less than a page, so that lines of two writers do not mix.
    fd = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o640)
    try:
        os.write(fd, line.encode("ascii") + b"\n")
    finally:
        os.close(fd)


def _expire(config: Mapping[str, Any], zone: Mapping[str, Any]) -> None:
    """Remove batches that were in quarantine for longer than quarantine_days."""
    place = f"{config['directory']}/quarantine/{zone['account']}"
    oldest = (time.time() - config["quarantine_seconds"]) * 1e9
    for name, entry in (scan(place) or {}).items():
        if entry.mtime_ns < oldest:
            if entry.kind == "directory":
                remove_tree(f"{place}/{name}")
            else:
                os.unlink(f"{place}/{name}")
            say(6, f"{zone['account']}: removed {name!a} from quarantine")
