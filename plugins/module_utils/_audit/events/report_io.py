# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the audit log from its checkpoint on, report, and move the checkpoint (I/O)."""

from __future__ import annotations

import os
import pwd
from functools import lru_cache
from typing import Any, Dict, Mapping, Union

from ..._core.plan import ControlError
from ..._files.transaction_io import read_file, replace_file
from ..kernel.netlink_io import Kernel, NoAudit
from ..kernel.types import KEY_PREFIX
from .access import Evidence, findings
from .checkpoint import Checkpoint, parse_canaries, parse_checkpoint
from .join import Joiner, needles
from .log_io import opened_log, read_log
from .query import Tally, parse_query
from .rows import moment

_MODE = 0o600


def report(params: Mapping[str, Any], check_mode: bool) -> Dict[str, Any]:
    """The result of the module. ControlError, FilesError."""
    for option in ("log_file", "checkpoint", "canaries"):
        _check_path(option, params[option])
    query = parse_query(params, {})
    kept = read_file(params["canaries"])
    if kept:
        query = parse_query(params, parse_canaries(kept.content))
    path = params["checkpoint"]
    old, damaged = _old_checkpoint(path)
    joiner = Joiner(needles(query.keys, KEY_PREFIX))
    tally = Tally(query, user_name)
    with opened_log(params["log_file"]) as files:
        reading = read_log(files, joiner, tally, old, keeping=path is not None)
    rows, summary = tally.rows(), tally.summary()
    malformed = reading.malformed + tally.malformed
    lost = damaged or reading.state == "lost"
    evidence = Evidence(
        len(reading.files),
        "" if reading.files else _why_no_audit(),
        reading.oldest,
        lost,
        malformed,
    )
    result = {
        "changed": False,
        "events": rows,
        "count": tally.count,
        "truncated": tally.count > len(rows),
        "summary": summary,
        "unexpected_count": None if query.expected is None else tally.unexpected_count,
        "canary_count": tally.canary_count,
        "incomplete": tally.incomplete,
        "malformed": malformed,
        "log": {
            "files": reading.files,
            "oldest": moment(reading.oldest) if reading.oldest else None,
            "waiting": reading.pending,
        },
        "checkpoint": None,
        "controls": findings(query, tally, evidence),
    }
    if path is not None:
        state = "damaged" if damaged else reading.state
        moved = reading.checkpoint is not None and not check_mode
        result["checkpoint"] = {"path": path, "state": state, "moved": moved}
        # Last of all: what is not reported now must be reported next time.
        if reading.checkpoint is not None and moved:
            replace_file(path, reading.checkpoint.render(), _MODE)
    return result


def _check_path(option: str, path: Union[str, None]) -> None:
    if path is not None and (not path.startswith("/") or ".." in path.split("/")):
        raise ControlError(option, path, "is not an absolute path without '..'", "write it in full")
    if option == "checkpoint" and path is not None and not os.path.isdir(os.path.dirname(path)):
        raise ControlError(option, path, "its directory does not exist", "make the directory first")


def _old_checkpoint(path: Union[str, None]) -> tuple[Union[Checkpoint, None], bool]:
    """The checkpoint of the last run, and whether there is one that cannot be understood."""
    kept = read_file(path) if path is not None else None
    old = parse_checkpoint(kept.content) if kept else None
    return old, kept is not None and old is None


def _why_no_audit() -> str:
    try:
        with Kernel.open():
            return ""
    except NoAudit as error:
        return str(error)


@lru_cache(maxsize=4096)
def user_name(uid: int) -> Union[str, None]:
    """The name of that user on this host, asked once for each number; None when it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except (KeyError, OverflowError):
        return None
