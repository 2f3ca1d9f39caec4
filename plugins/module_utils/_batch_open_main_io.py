# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The receiving service: opens every complete batch in its zones and ends (I/O, a program of its own).

    open /etc/twinguard/intake.json

The one argument is a file with one JSON object:

    zones            list of {"directory", "senders", "destination", "quarantine"}; senders may be left out
    allowed_signers  path of the file with the senders' keys
    revocations      path of the file with revoked keys; may be left out
    identities       list of {"key", "certificate"}: paths; or passphrase_file
    state_dir        private directory of the service: the ledger and the lock

and any of the other fields of OpenOptions in `_batch_types.py`, such as maximum_bytes, maximum_age or validate. Each
batch gives one line of JSON on standard output. The exit status is 0 when all that came was dealt with (a quarantined
batch is), 1 when something must be put right here, such as a full disk, and 2 for a configuration that cannot be read.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import fields, replace
from typing import Any, Dict, List, Sequence, Tuple

from ansible_collections.twinguard.hardening.plugins.module_utils._batch_open_io import open_batches
from ansible_collections.twinguard.hardening.plugins.module_utils._batch_types import (
    Identity,
    OpenOptions,
    Outcome,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._plan import ControlError
from ansible_collections.twinguard.hardening.plugins.module_utils._program_io import (
    ProgramError,
    run,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._safe_path import (
    FilesError,
    read_file,
)

_ZONE = {"directory", "senders", "destination", "quarantine"}
_FILES = {"allowed_signers", "revocations"}


def main(arguments: Sequence[str]) -> int:
    """Open what is there; the exit status."""
    try:
        (path,) = arguments
        zones = configuration(_content(path))
    except (ControlError, FilesError, KeyError, TypeError, ValueError) as error:
        sys.stderr.write(f"the configuration cannot be used: {error}\n")
        return 2
    status = 0
    for directory, options in zones:
        try:
            outcomes = open_batches(directory, options, int(time.time()), run)
        except (ControlError, FilesError, ProgramError, OSError) as error:
            status = 1
            _say({"status": "failed", "directory": directory, "detail": str(error)})
            continue
        for outcome in outcomes:
            _say({"directory": directory, **shown(outcome)})
    return status


def shown(outcome: Outcome) -> Dict[str, Any]:
    """An outcome as plain data; the reason as its word."""
    found = dict(outcome.__dict__)
    found["reason"] = outcome.reason.value if outcome.reason else ""
    return found


def configuration(content: bytes) -> List[Tuple[str, OpenOptions]]:
    """Each zone with its options. Raises an exception that names what is wrong."""
    document = json.loads(content.decode("utf-8"))
    if not isinstance(document, dict):
        raise TypeError("it is no JSON object")
    known = {one.name for one in fields(OpenOptions)} - {"senders", "destination", "quarantine"}
    unknown = sorted(set(document) - known - {"zones"})
    if unknown:
        raise ValueError(f"{unknown[0]} is no setting")
    settings = {name: _setting(name, value) for name, value in document.items() if name in known}
    zones = []
    for zone in document["zones"]:
        wrong = sorted(set(zone) - _ZONE)
        if wrong:
            raise ValueError(f"{wrong[0]} is no setting of a zone")
        options = OpenOptions(
            destination=zone["destination"], quarantine=zone["quarantine"], **settings
        )
        zones.append((zone["directory"], replace(options, senders=tuple(zone.get("senders", [])))))
    return zones


def _setting(name: str, value: Any) -> Any:
    if name in _FILES:
        return _content(value)
    if name == "identities":
        return tuple(Identity(one["key"], one["certificate"]) for one in value)
    return tuple(value) if isinstance(value, list) else value


def _content(path: str) -> bytes:
    found = read_file(path)
    if found is None:
        raise FilesError(path, "read", "it does not exist")
    return found.content


def _say(line: Dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line, sort_keys=True) + "\n")
    sys.stdout.flush()
