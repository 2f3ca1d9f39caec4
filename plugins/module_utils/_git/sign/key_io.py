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
from .workspace_io import MAKING, Desk, secret_file, text_of

PURPOSE = "git-signing"
TO_COME = "(the fingerprint of the new key)"


def find(desk: Desk, one: Identity) -> str:
    """The key as git shall know it; '' when it is still to be made."""
    if one.format == "ssh":
        missing = one.create and not os.path.lexists(desk.who.path(one.key))
        return "" if missing else one.key
    if one.key:
        return one.key
    found = _openpgp_keys(desk, one)
    return found[0] if found else ""


def planned(desk: Desk, one: Identity) -> Tuple[str, Change]:
    """The key that will be made: as git shall know it, and as a change. Nothing of it is secret."""
    locked = "with a passphrase" if one.passphrase_file else "without a passphrase"
    if one.format == "ssh":
        path = desk.who.path(one.key)
        return one.key, Change(path, None, f"a new ed25519 key {locked}\n")
    owner = f"{one.name} <{one.email}>"
    return TO_COME, Change(f"OpenPGP key of {owner}", None, f"a new ed25519 key {locked}\n")


def make(desk: Desk, one: Identity, passphrase: str) -> str:
    """Make the key and return it as git shall know it. FilesError, ProgramError."""
    if one.format == "ssh":
        _make_ssh(desk, one, passphrase)
        return one.key
    _make_openpgp(desk, one, passphrase)
    found = _openpgp_keys(desk, one)
    if not found:
        raise ProgramError("gpg made a key and does not list it")
    return found[0]


def _make_ssh(desk: Desk, one: Identity, passphrase: str) -> None:
    made = os.path.join(desk.place, "key")
    comment = one.email or f"{desk.who.name}@{os.uname().nodename}"
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-C", comment, "-f", made]
    if passphrase:
        with desk.answering(passphrase) as (more, fd):
            desk.must(*command, more=more, pass_fds=(fd,))
    else:
        desk.must(*command, "-N", "")
    path = desk.who.path(one.key)
    with Transaction(desk.who.state_dir(PURPOSE)) as files:
        if os.path.lexists(path):  # an unfinished run was taken back, or somebody was faster
            return
        wanted = [
            FileSpec(path, _read(made), 0o600, desk.who.uid, desk.who.gid, secret=True),
            FileSpec(f"{path}.pub", _read(f"{made}.pub"), 0o644, desk.who.uid, desk.who.gid),
        ]
        parent = os.path.dirname(path)
        if not os.path.isdir(parent):
            files.stage([DirSpec(parent, 0o700, desk.who.uid, desk.who.gid), *wanted])
        else:
            files.stage(wanted)
        files.commit()
        files.confirm()


def _read(path: str) -> bytes:
    with open(path, "rb") as stream:
        return stream.read()


def _make_openpgp(desk: Desk, one: Identity, passphrase: str) -> None:
    with secret_file(passphrase) as fd:
        command = ["gpg", "--batch", "--pinentry-mode", "loopback", "--passphrase-fd", str(fd)]
        owner = f"{one.name} <{one.email}>"
        command += ["--quick-gen-key", owner, "ed25519", "sign", "0"]
        done = desk.call(*command, pass_fds=(fd,), seconds=MAKING)
    if done.code != 0:
        _kind, sentence = desk.why(text_of(done.err))
        raise ProgramError(f"no key can be made: {sentence}")


def _openpgp_keys(desk: Desk, one: Identity) -> list[str]:
    if not os.path.isdir(desk.who.path("~/.gnupg")):
        return []  # gpg would make one, even in check mode
    # Not one that must succeed: without such a key gpg ends with an error.
    done = desk.call("gpg", "--batch", "--with-colons", "--list-secret-keys", f"<{one.email}>")
    return secret_keys(text_of(done.out))


def public_key(desk: Desk, one: Identity, key: str) -> str:
    """The public half, to be put into the list of people; '' when it lies in no file of ours."""
    if one.format == "openpgp" and key and key != TO_COME:
        return text_of(desk.call("gpg", "--batch", "--armor", "--export", key.rstrip("!")).out)
    if one.literal:
        return one.key[len("key::") :]
    if one.format != "ssh":
        return ""
    path = desk.who.path(one.key)
    try:
        return text_of(_read(path if path.endswith(".pub") else f"{path}.pub")).strip()
    except OSError:
        return ""
