# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys to sign with: find or make them (I/O). Works as the user whose keys they are."""

from __future__ import annotations

import os
from typing import Tuple

from ..._core.plan import Change
from ..._files.transaction_io import DirSpec, FileSpec, Transaction
from ..._host.run_io import ProgramError
from .identity import Identity, secret_keys
from .workspace_io import MAKING, Workspace, secret_file, text_of

PURPOSE = "git-signing"
TO_COME = "(the fingerprint of the new key)"


def find(workspace: Workspace, one: Identity) -> str:
    """The key as git must know it; '' when it is still to be made."""
    if one.format == "ssh":
        missing = one.create and not os.path.lexists(workspace.who.path(one.key))
        return "" if missing else one.key
    if one.key:
        return one.key
    found = _openpgp_keys(workspace, one)
    return found[0] if found else ""


def planned(workspace: Workspace, one: Identity) -> Tuple[str, Change]:
    """The key that will be made: as git must know it, and as a change. Nothing of it is secret."""
    locked = "with a passphrase" if one.passphrase_file else "without a passphrase"
    if one.format == "ssh":
        path = workspace.who.path(one.key)
        return one.key, Change(path, None, f"a new ed25519 key {locked}\n")
    owner = f"{one.name} <{one.email}>"
    return TO_COME, Change(f"OpenPGP key of {owner}", None, f"a new ed25519 key {locked}\n")


def make(workspace: Workspace, one: Identity, passphrase: str) -> str:
    """Make the key and return it as git must know it. FilesError, ProgramError."""
    if one.format == "ssh":
        _make_ssh(workspace, one, passphrase)
        return one.key
    _make_openpgp(workspace, one, passphrase)
    found = _openpgp_keys(workspace, one)
    if not found:
        raise ProgramError("gpg made a key and does not list it")
    return found[0]


def _make_ssh(workspace: Workspace, one: Identity, passphrase: str) -> None:
    made = os.path.join(workspace.place, "key")
    comment = one.email or f"{workspace.who.name}@{os.uname().nodename}"
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-C", comment, "-f", made]
    if passphrase:
        with workspace.answering(passphrase) as (more, fd):
            workspace.must(*command, more=more, pass_fds=(fd,))
    else:
        workspace.must(*command, "-N", "")
    path = workspace.who.path(one.key)
    with Transaction(workspace.who.state_dir(PURPOSE)) as files:
        if os.path.lexists(path):  # an unfinished run was taken back, or somebody was faster
            return
        wanted = [
            FileSpec(path, _read(made), 0o600, workspace.who.uid, workspace.who.gid, secret=True),
            FileSpec(
                f"{path}.pub", _read(f"{made}.pub"), 0o644, workspace.who.uid, workspace.who.gid
            ),
        ]
        parent = os.path.dirname(path)
        if not os.path.isdir(parent):
            files.stage([DirSpec(parent, 0o700, workspace.who.uid, workspace.who.gid), *wanted])
        else:
            files.stage(wanted)
        files.commit()
        files.confirm()


def _read(path: str) -> bytes:
    with open(path, "rb") as stream:
        return stream.read()


def _make_openpgp(workspace: Workspace, one: Identity, passphrase: str) -> None:
    with secret_file(passphrase) as fd:
        command = ["gpg", "--batch", "--pinentry-mode", "loopback", "--passphrase-fd", str(fd)]
        owner = f"{one.name} <{one.email}>"
        command += ["--quick-gen-key", owner, "ed25519", "sign", "0"]
        done = workspace.call(*command, pass_fds=(fd,), seconds=MAKING)
    if done.code != 0:
        _kind, sentence = workspace.explain(text_of(done.err))
        raise ProgramError(f"no key can be made: {sentence}")


def _openpgp_keys(workspace: Workspace, one: Identity) -> list[str]:
    if not os.path.isdir(workspace.who.path("~/.gnupg")):
        return []  # gpg would make one, even in check mode
    # Not one that must succeed: without such a key gpg ends with an error.
    done = workspace.call("gpg", "--batch", "--with-colons", "--list-secret-keys", f"<{one.email}>")
    return secret_keys(text_of(done.out))


def public_key(workspace: Workspace, one: Identity, key: str) -> str:
    """The public half, to be put into the list of people; '' when it lies in no file of ours."""
    if one.format == "openpgp" and key and key != TO_COME:
        return text_of(workspace.call("gpg", "--batch", "--armor", "--export", key.rstrip("!")).out)
    if one.literal:
        return one.key[len("key::") :]
    if one.format != "ssh":
        return ""
    path = workspace.who.path(one.key)
    try:
        return text_of(_read(path if path.endswith(".pub") else f"{path}.pub")).strip()
    except OSError:
        return ""
