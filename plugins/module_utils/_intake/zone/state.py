# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The state of the receiving side, its plan, and the findings for each sender (pure)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from ..._core.controls import finding
from ..._core.plan import Change, Plan
from ..accounts import COMMENT, HOME, SHELLS, Account
from ..pending import INTERRUPTED, sentence, switched_on
from .files import PATH_UNIT, SERVICE, TIMER, effective
from .zone import SENDERS_GROUP, USER, Zone

CONTROL = "intake.zone"
_FULL = (
    "the zone is full and accepts no upload: remove batches from its quarantine, or raise quota"
    " or max_files"
)


@dataclass(frozen=True)
class Found:
    """The present state of the host.

    `accounts` by name, None for one that is wanted and missing. `units` by name, empty without systemd. `ssh_unit`:
    the unit of sshd; `ssh_current`: whether it has read its configuration since the last change. `settings`: those of
    sshd for each sender, or `settings_error`. `obsolete`: accounts that are no longer listed. `closed`: accounts whose
    zone is full.
    """

    groups: Tuple[str, ...]
    accounts: Mapping[str, Optional[Account]]
    obsolete: Tuple[str, ...]
    identity: bool
    files: Plan
    unfinished: bool
    units: Mapping[str, Mapping[str, str]]
    ssh_unit: str
    ssh_current: bool
    settings: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    settings_error: str = ""
    closed: Tuple[str, ...] = ()


def plan(zone: Zone, found: Found, manage_service: bool) -> Plan:
    """All changes that a run would make."""
    changes = [
        Change(f"group {group}", None, "system group\n")
        for group in (SENDERS_GROUP, USER)
        if group not in found.groups
    ]
    for name in (USER, *(one.account for one in zone.senders)):
        account = found.accounts.get(name)
        before = None if account is None else _described(account)
        changes.append(Change(f"account {name}", before, _wanted(name)))
    changes.extend(Change(f"account {name}", _wanted(name), None) for name in found.obsolete)
    if not found.identity:
        changes.append(Change("key and certificate of the receiver", None, "RSA, 3072 bits\n"))
    changes.extend(found.files.changes)
    if found.unfinished:
        changes.append(INTERRUPTED)
    changes.extend(switched_on(name, found.units) for name in (PATH_UNIT, TIMER))
    if manage_service:
        changes.extend(_sshd(found))
    return Plan(tuple(changes))


def _sshd(found: Found) -> List[Change]:
    unit = found.units.get(found.ssh_unit, {})
    if unit.get("ActiveState") != "active":
        return [Change("sshd", "is not running\n", "is running\n")]
    if not found.ssh_current:
        return [
            Change(
                "sshd",
                "runs with an older configuration\n",
                "runs with the present configuration\n",
            )
        ]
    return []


def _described(account: Account) -> str:
    groups = ", ".join(account.groups) or "none"
    shell = SHELLS[0] if account.shell in SHELLS else account.shell
    return f"{account.comment}; home {account.home}; shell {shell}; groups {groups}\n"


def _wanted(name: str) -> str:
    groups = "none" if name == USER else SENDERS_GROUP
    return f"{COMMENT}; home {HOME}; shell {SHELLS[0]}; groups {groups}\n"


def foreign(zone: Zone, found: Found) -> str:
    """The problem with an account that exists and is not ours; '' when there is none."""
    for name in (USER, *(one.account for one in zone.senders)):
        account = found.accounts.get(name)
        if account is not None and (account.comment != COMMENT or account.uid == 0):
            return (
                f"the account {name} already exists and was not made by this module;"
                " give the sender another account, or remove this one"
            )
    return ""


def differences(zone: Zone, settings: Mapping[str, str]) -> List[str]:
    """Sentences about settings of sshd for a sender that are not the wanted ones."""
    wrong = []
    for name, wanted in effective(zone).items():
        has = settings.get(name, "")
        if has.lower() != wanted.lower():
            wrong.append(f"sshd has {name} {has or 'unset'}, not {wanted}")
    return wrong


def findings(
    zone: Zone, found: Found, pending: Plan, probes: Mapping[str, Mapping[str, Any]]
) -> List[Dict[str, Any]]:
    """One finding for each sender and one for the service.

    `pending`: the changes still to be made. `probes` by account: `wrong` sentences and a `refused` count; empty
    in check mode.
    """
    result = [_service(found, pending)]
    for sender in zone.senders:
        probe = probes.get(sender.account)
        wrong = [one.key for one in pending.changes if _concerns(one.key, sender.account)]
        reasons = [sentence(wrong)] if wrong else []
        settings = found.settings.get(sender.account)
        if settings is not None:
            reasons += differences(zone, settings)
        if probe:
            reasons += list(probe["wrong"])
        evidence: Dict[str, Any] = {"sender": sender.name, "keys": len(sender.keys)}
        if probe:
            evidence["requests_refused"] = probe["refused"]
        status = "pass"
        if reasons:
            status = "fail"
        elif settings is None:
            status = "unknown"
            reasons = [found.settings_error or "the settings of sshd could not be read"]
        elif sender.account in found.closed:
            status, reasons = (
                "unknown",
                [_FULL],
            )
        elif probe:
            reasons = [f"an upload worked; {probe['refused']} other requests were refused"]
        else:
            reasons = ["the settings of sshd are in force; no upload was tried"]
        result.append(finding(CONTROL, sender.account, status, "; ".join(reasons), evidence))
    return result


def _concerns(key: str, account: str) -> bool:
    return account in key or key.startswith(("sshd", "/etc/ssh/", "/etc/security/", "an earlier"))


def _service(found: Found, pending: Plan) -> Dict[str, Any]:
    left = pending.changes
    last = found.units.get(SERVICE, {}).get("Result", "")
    evidence = {"last_result": last}
    if left:
        reason = sentence([one.key for one in left])
        return finding(CONTROL, "service", "fail", reason, evidence)
    if not found.units:
        return finding(
            CONTROL,
            "service",
            "unknown",
            "systemd is not running on this host",
            evidence,
        )
    if last not in ("", "success"):
        reason = f"the last run of {SERVICE} ended with {last}: see journalctl -u {SERVICE}"
        return finding(CONTROL, "service", "fail", reason, evidence)
    return finding(
        CONTROL,
        "service",
        "pass",
        "it waits for manifests, and its last run had no error",
        evidence,
    )


def failure_message(found: Sequence[Mapping[str, Any]]) -> str:
    """The message of a failed run: all findings that did not pass."""
    return "; ".join(
        f"{one['resource']}: {one['reason']}" for one in found if one["status"] != "pass"
    )
