# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of ``batch_seal`` and ``batch_open``, and how their results are told (pure)."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Sequence

from .._core.controls import finding
from .._core.plan import Change, ControlError, Plan
from .._trust.people import allowed_signers, parse_people, revocations
from .._trust.spec import PEOPLE
from .types import (
    MINIMUM_PASSPHRASE_ITERATIONS,
    Identity,
    OpenOptions,
    Outcome,
    Sealed,
    SealOptions,
)

# Options that name a file with a secret are not secret: no_log is False, or Ansible warns of their names.
SEAL_SPEC: Dict[str, Any] = {
    "sources": {"type": "list", "elements": "path", "required": True},
    "outbox": {"type": "path", "required": True},
    "state_dir": {"type": "path", "default": "/var/lib/twinguard/batch_seal"},
    "sender": {"type": "str", "required": True},
    "signing_key": {"type": "path", "required": True, "no_log": False},
    "recipients": {"type": "list", "elements": "path"},
    "passphrase_file": {"type": "path", "no_log": False},
    "iterations": {"type": "int", "default": MINIMUM_PASSPHRASE_ITERATIONS},
    "force": {"type": "bool", "default": False},
}
_IDENTITY: Dict[str, Any] = {
    "key": {"type": "path", "required": True, "no_log": False},
    "certificate": {"type": "path", "required": True},
}
OPEN_SPEC: Dict[str, Any] = {
    "directory": {"type": "path", "required": True},
    "batch": {"type": "str"},
    "people": {**PEOPLE, "required": True},
    "senders": {"type": "list", "elements": "str"},
    "identities": {"type": "list", "elements": "dict", "options": _IDENTITY},
    "passphrase_file": {"type": "path", "no_log": False},
    "destination": {"type": "path", "required": True},
    "quarantine": {"type": "path", "required": True},
    "state_dir": {"type": "path", "default": "/var/lib/twinguard/batch_open"},
    "verify_only": {"type": "bool", "default": False},
    "remove": {"type": "bool", "default": True},
    "maximum_bytes": {"type": "int", "default": 1 << 40},
    "maximum_files": {"type": "int", "default": 100_000},
    "maximum_age": {"type": "int", "default": 0},
    "mode": {"type": "str", "default": "0640"},
    "directory_mode": {"type": "str", "default": "0750"},
    "validate": {"type": "list", "elements": "str"},
    "validate_timeout": {"type": "int", "default": 300},
}


def seal_options(params: Mapping[str, Any]) -> SealOptions:
    """The options of sealing from those of the module."""
    return SealOptions(
        sources=tuple(params["sources"]),
        outbox=params["outbox"],
        state_dir=params["state_dir"],
        sender=params["sender"],
        signing_key=params["signing_key"],
        recipients=tuple(params["recipients"] or ()),
        passphrase_file=params["passphrase_file"],
        iterations=params["iterations"],
        force=params["force"],
    )


def open_options(params: Mapping[str, Any], root: bool) -> OpenOptions:
    """The options of opening from those of the module. Raises ControlError.

    `root`: whether we are root, whose rights no program that reads foreign data should have.
    """
    if params["validate"] and root:
        raise ControlError(
            "validate",
            params["validate"],
            "this would run as root on data from elsewhere",
            "run the task as a user without rights (become_user), or use intake_zone",
        )
    people = parse_people(params["people"])
    identities = tuple(
        Identity(one["key"], one["certificate"]) for one in params["identities"] or ()
    )
    return OpenOptions(
        allowed_signers=allowed_signers(people),
        revocations=revocations(people),
        senders=tuple(params["senders"] or ()),
        identities=identities,
        passphrase_file=params["passphrase_file"],
        destination=params["destination"],
        quarantine=params["quarantine"],
        state_dir=params["state_dir"],
        verify_only=params["verify_only"],
        remove=params["remove"],
        maximum_bytes=params["maximum_bytes"],
        maximum_files=params["maximum_files"],
        maximum_age=params["maximum_age"],
        file_mode=_mode("mode", params["mode"]),
        directory_mode=_mode("directory_mode", params["directory_mode"]),
        validate=tuple(params["validate"] or ()),
        validate_seconds=float(params["validate_timeout"]),
    )


def _mode(option: str, value: str) -> int:
    try:
        return int(value, 8)
    except ValueError as error:
        raise ControlError(option, value, "it is no octal mode", "quote it: '0640'") from error


def seal_result(sealed: Sealed, params: Mapping[str, Any]) -> Dict[str, Any]:
    """What ``batch_seal`` returns."""
    after = f"a batch (files: {sealed.files}, bytes: {sealed.size}), because {sealed.why}\n"
    before = None if sealed.changed else after
    plan = Plan((Change(f"batches of {params['sender']} in {params['outbox']}", before, after),))
    evidence = {"recipients": list(sealed.recipients), "files": sealed.files, "why": sealed.why}
    fresh = sealed.changed and not sealed.batch
    status = ("fail", f"the data is not sealed yet: {sealed.why}") if fresh else ("pass", "")
    return {
        "changed": plan.changed,
        "diff": plan.diff(),
        "controls": [finding("intake.seal", params["outbox"], *status, evidence)],
        "batch": sealed.batch,
        "sequence": sealed.sequence,
        "manifest": sealed.manifest,
        "why": sealed.why,
    }


def open_result(
    outcomes: Sequence[Outcome], params: Mapping[str, Any], check: bool
) -> Dict[str, Any]:
    """What ``batch_open`` returns; with a `msg` when a batch was refused, or one that was named is not there."""
    missing = params["batch"] and params["batch"] not in [one.batch for one in outcomes]
    refused = [one for one in outcomes if one.status in ("quarantined", "refused")]
    changes = () if params["verify_only"] else tuple(_changes(outcomes, params))
    plan = Plan(changes)
    controls = [_finding(one, params["directory"]) for one in outcomes]
    result: Dict[str, Any] = {
        "changed": plan.changed,
        "diff": plan.diff(),
        "batches": [shown(one) for one in outcomes],
    }
    if missing:
        why = f"{params['directory']} holds no batch {params['batch']}, and none was published"
        controls.append(finding("intake.open", params["directory"], "fail", why))
        result["msg"] = why
    elif refused and not check:
        result["msg"] = _sentence(refused)
    if not controls:
        controls.append(finding("intake.open", params["directory"], "pass"))
    return {**result, "controls": controls}


def _changes(outcomes: Sequence[Outcome], params: Mapping[str, Any]) -> List[Change]:
    changes = []
    for one in outcomes:
        if one.status in ("published", "verified"):
            text = f"batch {one.batch} of {one.sender}, number {one.sequence}\n"
            changes.append(Change(f"{params['destination']}/{one.batch}", None, text))
        elif one.status in ("quarantined", "refused") and one.reason:
            text = f"{one.reason.value}: {one.detail}\n"
            changes.append(Change(f"{params['quarantine']}/{one.batch}", None, text))
    return changes


def _finding(outcome: Outcome, directory: str) -> Dict[str, Any]:
    resource = f"{directory}/{outcome.batch}"
    evidence = {"status": outcome.status, "sender": outcome.sender, "sequence": outcome.sequence}
    if outcome.status in ("quarantined", "refused") and outcome.reason:
        why = f"{outcome.reason.value}: {outcome.detail}"
        return finding("intake.open", resource, "fail", why, evidence)
    return finding("intake.open", resource, "pass", outcome.detail, evidence)


def _sentence(refused: Sequence[Outcome]) -> str:
    first = refused[0]
    word = first.reason.value if first.reason else ""
    more = f", and {len(refused) - 1} more were refused" if len(refused) > 1 else ""
    return f"batch {first.batch} was refused: {word}: {first.detail}{more}"


def shown(outcome: Outcome) -> Dict[str, Any]:
    """An outcome as plain data; the reason as its word."""
    found: Dict[str, Any] = dict(outcome.__dict__)
    found["reason"] = outcome.reason.value if outcome.reason else ""
    return found
