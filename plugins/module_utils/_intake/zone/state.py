# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the receiving side needs, has, and what that says about each sender (pure)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from ..._core.controls import finding
from ..._core.plan import Change, Plan
from ..accounts import COMMENT, HOME, SHELLS, Account
from .files import PATH_UNIT, SERVICE, TIMER, effective
from .zone import SENDERS_GROUP, USER, Zone

CONTROL = "intake.zone"


@dataclass(frozen=True)
class Found:
    """The host as it is.

    `accounts` by name, None for one that is wanted and missing. `units` by name, empty without systemd. `ssh_unit`:
    which unit is sshd; `ssh_current`: whether it has read its configuration since that last changed. `settings`: what
    sshd says it does for each sender, or why it does not say. `closed`: accounts whose zone is full.
    """

    groups: Tuple[str, ...]
    accounts: Mapping[str, Optional[Account]]
    strays: Tuple[str, ...]
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
    """All that a run would change."""
    changes = [
        Change(f"group {group}", None, "system group\n")
        for group in (SENDERS_GROUP, USER)
        if group not in found.groups
    ]
    for name in (USER, *(one.account for one in zone.senders)):
        account = found.accounts.get(name)
        before = None if account is None else _described(account)
        changes.append(Change(f"account {name}", before, _wanted(name)))
    changes.extend(Change(f"account {name}", _wanted(name), None) for name in found.strays)
    if not found.identity:
        changes.append(Change("key and certificate of the receiver", None, "RSA, 3072 bits\n"))
    changes.extend(found.files.changes)
    if found.unfinished:
        changes.append(Change("an earlier run", "ended midway\n", "is taken back\n"))
    for name in (PATH_UNIT, TIMER):
        unit = found.units.get(name, {})
        state = f"{unit.get('ActiveState', 'inactive')}, {unit.get('UnitFileState') or 'absent'}\n"
        changes.append(Change(name, state, "active, enabled\n"))
    if manage_service:
        changes.extend(_sshd(found))
    return Plan(tuple(changes))


def _sshd(found: Found) -> List[Change]:
    unit = found.units.get(found.ssh_unit, {})
    if unit.get("ActiveState") != "active":
        return [Change("sshd", "does not run\n", "runs\n")]
    if not found.ssh_current:
        return [Change("sshd", "runs with an older configuration\n", "has read its files\n")]
    return []


def _described(account: Account) -> str:
    groups = ", ".join(account.groups) or "none"
    shell = SHELLS[0] if account.shell in SHELLS else account.shell
    return f"{account.comment}; home {account.home}; shell {shell}; groups {groups}\n"


def _wanted(name: str) -> str:
    groups = "none" if name == USER else SENDERS_GROUP
    return f"{COMMENT}; home {HOME}; shell {SHELLS[0]}; groups {groups}\n"


def foreign(zone: Zone, found: Found) -> str:
    """Why an account that is wanted cannot be ours; '' when there is none."""
    for name in (USER, *(one.account for one in zone.senders)):
        account = found.accounts.get(name)
        if account is not None and (account.comment != COMMENT or account.uid == 0):
            return (
                f"the account {name} is there and was not made by this module;"
                " give the sender another account, or remove it"
            )
    return ""


def differences(zone: Zone, settings: Mapping[str, str]) -> List[str]:
    """Sentences about what sshd does otherwise for a sender."""
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

    `pending`: what is still to be changed. `probes` by account: `wrong` sentences and a `refused` count; none in
    check mode.
    """
    result = [_service(found, pending)]
    for sender in zone.senders:
        probe = probes.get(sender.account)
        wrong = [one.key for one in pending.changes if _concerns(one.key, sender.account)]
        reasons = [f"{len(wrong)} changes are pending: {wrong[0]}"] if wrong else []
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
            reasons = [found.settings_error or "sshd does not say what it does"]
        elif sender.account in found.closed:
            status, reasons = (
                "unknown",
                ["the zone is full and takes no upload; see its quarantine"],
            )
        elif probe:
            reasons = [f"an upload worked; {probe['refused']} other requests were refused"]
        else:
            reasons = ["sshd's settings are as wanted; no upload was tried"]
        result.append(finding(CONTROL, sender.account, status, "; ".join(reasons), evidence))
    return result


def _concerns(key: str, account: str) -> bool:
    return account in key or key.startswith(("sshd", "/etc/ssh/", "/etc/security/", "an earlier"))


def _service(found: Found, pending: Plan) -> Dict[str, Any]:
    left = pending.changes
    last = found.units.get(SERVICE, {}).get("Result", "")
    evidence = {"last_result": last}
    if left:
        names = ", ".join(one.key for one in left[:3])
        return finding(
            CONTROL, "service", "fail", f"{len(left)} changes are pending: {names}", evidence
        )
    if not found.units:
        return finding(CONTROL, "service", "unknown", "systemd is not in charge here", evidence)
    if last not in ("", "success"):
        reason = f"the last run of {SERVICE} ended with {last}; see journalctl -u {SERVICE}"
        return finding(CONTROL, "service", "fail", reason, evidence)
    return finding(
        CONTROL, "service", "pass", "it waits for manifests and ran last without an error", evidence
    )


def refused_sentence(found: Sequence[Mapping[str, Any]]) -> str:
    """Why the run has failed: all findings that are not as they must be."""
    return "; ".join(
        f"{one['resource']}: {one['reason']}" for one in found if one["status"] != "pass"
    )
