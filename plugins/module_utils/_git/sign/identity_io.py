# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One identity of ``git_signing``: read, plan, apply, prove, and back if it does not hold (I/O).

All of it happens as the user whose files they are; see `_host/account_io.py`. What comes back is fit for JSON.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any, Dict, List, Sequence, Tuple, Union

from ..._core.plan import Change, Plan
from ..._files.transaction_io import (
    DirSpec,
    FileSpec,
    Transaction,
    Wanted,
    plan_files,
    read_file,
    unfinished,
)
from ..._host.account_io import Account, AccountError, as_account
from ..._host.run_io import ProgramError, Runner
from . import config, key_io
from . import identity as signing
from .proof_io import Proof, prove
from .workspace_io import Workspace, text_of, workspace

_SYSTEM = "/etc/gitconfig"
_KEPT_BACK = "; everything is as it was before"


@dataclass(frozen=True)
class Task:
    """One identity with all that is known of it before anything is read as its user.

    `writer` owns the file that is written, `prover` is who signs; `trust` names the files of who may sign.
    """

    one: signing.Identity
    writer: Account
    prover: Account
    passphrase: str = field(default="", repr=False)
    trust: Union[Tuple[str, str], None] = None
    check: bool = False


def apply_identity(task: Task, run: Runner) -> Dict[str, Any]:
    """Do the whole work for one identity, as its users. AccountError when it cannot even be read."""
    return as_account(task.writer, lambda: _apply_identity(task, run))


def _apply_identity(task: Task, run: Runner) -> Dict[str, Any]:
    with workspace(task.writer, run, task.one.agent_socket) as place:
        try:
            git = signing.version(text_of(place.must("git", "version").out))
        except ProgramError as error:
            if not task.check:
                raise
            return _outcome("", _without_git(task), Proof("fail", str(error)), "")
        old = signing.too_old(task.one, git)
        if old:
            return _outcome("", [], Proof("fail", old), "")
        changes: List[Change] = []
        key = key_io.find(place, task.one)
        if not key:
            key, change = key_io.planned(place, task.one)
            changes.append(change)
            if not task.check:
                key = key_io.make(place, task.one, task.passphrase)
        proof = _configure(task, run, place, key, changes)
        return _outcome(key, changes, proof, key_io.public_key(place, task.one, key))


def _outcome(key: str, changes: Sequence[Change], proof: Proof, public: str) -> Dict[str, Any]:
    return {
        "key": key,
        "changes": [[one.key, one.before, one.after] for one in changes],
        "status": proof.status,
        "reason": proof.reason,
        "kind": proof.kind,
        "evidence": {name: one for name, one in proof.evidence.items() if name != "public_key"},
        "public_key": proof.evidence.get("public_key") or public,
    }


def _configure(task: Task, run: Runner, place: Workspace, key: str, changes: List[Change]) -> Proof:
    """Have git's settings as wanted; adds to `changes` what that changes."""
    state = task.writer.state_dir(key_io.PURPOSE)
    desired = signing.desired(task.one, key, task.trust)
    if task.check:
        if unfinished(state):
            changes.append(Change(state, "an earlier run was cut short\n", "(taken back)\n"))
        planned = _changes(place, task.one, desired)
        changes.extend(planned)
        if changes:
            return Proof("fail", _to_be_done(task.one, place, desired, changes))
        return _proven(task, run, place, desired)
    with Transaction(state) as files:
        changes.extend(_changes(place, task.one, desired))
        made = bool(files.stage(_wanted(place, task.one, desired)))
        files.commit()
        proof = _proven(task, run, place, desired)
        if proof.status != "fail":
            files.confirm()
        elif made:
            files.rollback()
            proof = Proof("fail", proof.reason + _KEPT_BACK, proof.kind, proof.evidence)
    return proof


def _changes(place: Workspace, one: signing.Identity, desired: Dict[str, str]) -> List[Change]:
    return list(plan_files(_wanted(place, one, desired)).changes)


def _to_be_done(
    one: signing.Identity, place: Workspace, desired: Dict[str, str], changes: Sequence[Change]
) -> str:
    """Why it is not in force now."""
    needed = config.edits(place.settings(one.repository), desired, one.scope)
    if needed:
        return "not as wanted: " + ", ".join(edit.key for edit in needed)
    return "not as wanted: " + ", ".join(Plan(tuple(changes)).summary())


def _wanted(place: Workspace, one: signing.Identity, desired: Dict[str, str]) -> List[Wanted]:
    """The wanted file of the scope; git itself edits a copy, so that the rest stays as it is."""
    needed = config.edits(place.settings(one.repository), desired, one.scope)
    if not needed:
        return []
    path = _file_of(place, one)
    found = read_file(path)
    copy = place.file("edited", found.content if found else b"")
    for edit in needed:
        place.must("git", "config", "--file", copy, "--replace-all", edit.key, edit.value)
    with open(copy, "rb") as stream:
        content = stream.read()
    who = place.who
    return [FileSpec(path, content, None if found else 0o644, None if found else who.uid, None)]


def _file_of(place: Workspace, one: signing.Identity) -> str:
    """The file that git writes the scope's settings to."""
    if one.scope == "system":
        return _SYSTEM
    if one.scope == "repository":
        found = place.must("git", "rev-parse", "--git-path", "config", cwd=one.repository)
        path = os.path.join(one.repository, text_of(found.out).rstrip("\n"))
        return os.path.normpath(path)
    plain = place.who.path("~/.gitconfig")
    other = place.who.path("~/.config/git/config")
    return other if not os.path.lexists(plain) and os.path.lexists(other) else plain


def _proven(task: Task, run: Runner, place: Workspace, desired: Dict[str, str]) -> Proof:
    """Whether it holds: first what git goes by, then a signature."""
    lost = config.overridden(place.settings(task.one.repository), desired)
    if lost:
        return Proof("fail", "not effective: " + "; ".join(lost), "overridden")
    if task.prover == task.writer:
        return prove(place, task.one, place.settings(task.one.repository), task.passphrase)

    def as_prover() -> Dict[str, Any]:
        with workspace(task.prover, run, task.one.agent_socket) as theirs:
            proof = prove(theirs, task.one, theirs.settings(), task.passphrase)
            return {**proof.__dict__}

    try:
        return Proof(**as_account(task.prover, as_prover))
    except AccountError as error:
        return Proof("fail", str(error))


def _without_git(task: Task) -> List[Change]:
    """What a run would do where git is still to be installed; only check mode gets here."""
    one = task.one
    if one.scope == "repository":
        return []
    who = task.writer
    changes = []
    key = one.key
    path = who.path(one.key) if one.format == "ssh" and not one.literal else ""
    if one.create and (not path or not os.path.lexists(path)):
        key = key or key_io.TO_COME
        changes.append(Change(path or "OpenPGP key", None, "a new ed25519 key\n"))
    file = _SYSTEM if one.scope == "system" else who.path("~/.gitconfig")
    found = read_file(file)
    before = found.content if found else b""
    wanted = before + config.render(signing.desired(one, key, task.trust))
    changes.extend(plan_files([FileSpec(file, wanted, 0o644)]).changes)
    return changes


def parent_dirs(paths: Sequence[str]) -> List[Wanted]:
    """The missing directories above these paths, outermost first, for everyone to read."""
    missing: List[str] = []
    for path in paths:
        above = os.path.dirname(path)
        chain = []
        while above != "/" and not os.path.isdir(above) and above not in missing:
            chain.append(above)
            above = os.path.dirname(above)
        missing.extend(reversed(chain))
    return [DirSpec(path, 0o755) for path in missing]
