# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All of ``git_signing``: who may sign, then each identity (I/O)."""

from __future__ import annotations

import os
import time
from typing import Any, Dict, List, Mapping, Sequence, Tuple, Union

from ..._core.controls import finding
from ..._core.plan import SECRET, Change, ControlError, Plan
from ..._files.safe_path_io import open_dir
from ..._files.transaction_io import (
    FilesError,
    FileSpec,
    Transaction,
    Wanted,
    plan_files,
    read_file,
    unfinished,
)
from ..._host.account_io import Account, AccountError, account, account_of
from ..._host.run_io import ProgramError, Runner
from ..._trust.people import Person, allowed_signers, lint, parse_people, revocations
from . import identity as signing
from .identity_io import Task, apply_identity, parent_dirs
from .key_io import PURPOSE
from .workspace_io import text_of

_SHORTEST = 5  # characters of a passphrase; ssh-keygen takes no shorter one


def enforce(params: Mapping[str, Any], check: bool, run: Runner) -> Dict[str, Any]:
    """Read, plan, apply, prove; the result of the module. It has C(msg) when something does not hold."""
    people = None if params["people"] is None else parse_people(params["people"])
    trust = None
    if people is not None:
        trust = (params["allowed_signers_file"], params["revocation_file"])
    found = signing.parse_identities(params["identities"])
    if people is None and not found:
        raise ControlError("identities", [], "there is nothing to do", "give identities or people")
    tasks = [_task(one, trust, check) for one in found]
    us = account_of(os.geteuid(), "identities")
    changes: List[Change] = []
    controls: List[Dict[str, Any]] = []
    if people is not None and trust:
        changes.extend(_place_trust(us, people, trust, check, run))
        controls.append(_signers_control(people, trust, bool(changes) and check))
    outcomes = [_outcome(task, run) for task in tasks]
    for task, outcome in zip(tasks, outcomes):
        changes.extend(Change(*one) for one in outcome["changes"])
        controls.append(
            signing.control(task.one, outcome["status"], outcome["reason"], outcome["evidence"])
        )
    return _result(tasks, outcomes, Plan(tuple(changes)), controls, check)


def _result(
    tasks: Sequence[Task],
    outcomes: Sequence[Mapping[str, Any]],
    plan: Plan,
    controls: List[Dict[str, Any]],
    check: bool,
) -> Dict[str, Any]:
    result = {
        "changed": plan.changed,
        "diff": plan.diff(),
        "controls": controls,
        "identities": [
            {
                "scope": task.one.scope,
                "user": task.prover.name,
                "repository": task.one.repository,
                "format": task.one.format,
                "signing_key": outcome["key"],
                "public_key": outcome["public_key"],
                "status": outcome["status"],
                "reason": outcome["reason"],
            }
            for task, outcome in zip(tasks, outcomes)
        ],
    }
    failed = [
        f"{task.one.resource}: {outcome['reason']}"
        for task, outcome in zip(tasks, outcomes)
        if outcome["status"] == "fail"
    ]
    if failed and not check:
        result["msg"] = "commits are not signed as wanted: " + "; ".join(failed)
    return result


def _outcome(task: Task, run: Runner) -> Dict[str, Any]:
    """One identity; what stands in its way is its own failure, and the others get their turn."""
    try:
        return apply_identity(task, run)
    except AccountError as error:
        return {
            "key": "",
            "changes": [],
            "status": "fail",
            "reason": str(error),
            "evidence": {},
            "public_key": "",
        }


def _task(one: signing.Identity, trust: Union[Tuple[str, str], None], check: bool) -> Task:
    writer, prover = _accounts(one)
    passphrase = _passphrase(one, prover) if one.passphrase_file else ""
    return Task(one, writer, prover, passphrase, trust, check)


def _accounts(one: signing.Identity) -> Tuple[Account, Account]:
    where = f"{one.option}.user"
    named = account(one.user, where) if one.user else None
    if one.scope == "repository":
        # git trusts no repository of somebody else's, and neither does whoever works in it.
        found = account_of(_owner_of(one), where)
        if named and named != found:
            raise ControlError(where, one.user, f"{found.name} owns the repository", "leave it out")
        return found, found
    us = account_of(os.geteuid(), where)
    if one.scope == "system":
        if us.uid != 0:
            raise ControlError(
                f"{one.option}.scope", "system", "only root can", "run the task with become"
            )
        return us, named or us
    return named or us, named or us


def _owner_of(one: signing.Identity) -> int:
    """Whose repository it is. Not by a link that somebody else planted: we would act as its target's owner."""
    try:
        fd = open_dir(one.repository)
    except FilesError as error:
        where = f"{one.option}.repository"
        raise ControlError(where, one.repository, str(error), "name a directory") from error
    try:
        return os.fstat(fd).st_uid
    finally:
        os.close(fd)


def _passphrase(one: signing.Identity, who: Account) -> str:
    where = f"{one.option}.passphrase_file"
    found = read_file(one.passphrase_file)
    if found is None:
        raise ControlError(where, one.passphrase_file, "the file does not exist", "create it first")
    if found.mode & 0o077 or found.uid not in (0, os.geteuid(), who.uid):
        raise ControlError(where, one.passphrase_file, "others can read it", "give it mode 0600")
    first = (text_of(found.content).splitlines() or [""])[0]
    if len(first) < _SHORTEST:
        raise ControlError(
            where, SECRET, f"it has fewer than {_SHORTEST} characters", "choose a longer one"
        )
    return first


# --- who may sign


def _place_trust(
    us: Account, people: Sequence[Person], trust: Tuple[str, str], check: bool, run: Runner
) -> List[Change]:
    """Write both files. A list that revokes a key stays, whatever becomes of the identities."""
    state = us.state_dir(PURPOSE)
    wanted = _trust_files(people, trust, _zulu(run))
    if check:
        changes = list(plan_files(wanted).changes)
        if unfinished(state):
            changes.append(Change(state, "an earlier run was cut short\n", "(taken back)\n"))
        return changes
    with Transaction(state) as files:
        wanted = _trust_files(people, trust, _zulu(run))
        plan = plan_files(wanted)
        if files.stage(wanted):
            files.commit()
            files.confirm()
    return list(plan.changes)


def _trust_files(people: Sequence[Person], trust: Tuple[str, str], zulu: bool) -> List[Wanted]:
    uid, gid = os.geteuid(), os.getegid()
    return [
        *parent_dirs(trust),
        # The revocations first: between both a key counts for too little and not for too much.
        FileSpec(trust[1], revocations(people), 0o644, uid, gid),
        FileSpec(trust[0], allowed_signers(people, zulu=zulu), 0o644, uid, gid),
    ]


def _zulu(run: Runner) -> bool:
    """Whether this host's OpenSSH can read times in UTC. Where there is none yet, the next one can."""
    try:
        done = run(["ssh", "-V"])
    except ProgramError:
        return True
    found = signing.version(text_of(done.err).replace("OpenSSH_", ""))
    return not found or found >= signing.ZULU_SINCE


def _signers_control(
    people: Sequence[Person], trust: Tuple[str, str], pending: bool
) -> Dict[str, Any]:
    faults = lint(people, int(time.time()))
    keys = sum(len(person.keys) for person in people)
    evidence = {
        "people": len(people),
        "keys": keys,
        "faults": [{"code": one.code, "text": one.text} for one in faults],
    }
    if pending:
        return finding("git.signers", trust[0], "fail", "the file is not as wanted", evidence)
    if faults:
        reason = "; ".join(one.text for one in faults[:5])
        return finding("git.signers", trust[0], "fail", reason, evidence)
    return finding("git.signers", trust[0], "pass", f"{len(people)} people, {keys} keys", evidence)
