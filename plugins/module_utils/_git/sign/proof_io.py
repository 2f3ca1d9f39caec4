# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prove that a user's plain ``git commit`` is signed, and that the signature counts (I/O).

A throw-away repository gets a commit and a tag with exactly the settings that are in force; git
verifies them, and so does ssh-keygen for the very address of the committer, which git does not ask for.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any, Dict, List, Sequence, Tuple

from ..._core.error import HardeningError
from ..._host.run_io import Done, ProgramError
from ..._trust.ssh_keys import NotAKey, parse_signature
from . import identity as signing
from .config import Setting, render, signing_only, value_of
from .reasons import NEEDS_PERSON, explain
from .workspace_io import Workspace, text_of

# No hook of anybody's, and nothing that goes on behind our back.
_GIT = ("git", "-c", "core.hooksPath=/dev/null", "-c", "gc.auto=0", "-c", "maintenance.auto=false")
_WORDS = "A commit that proves the signature and is thrown away"


@dataclass(frozen=True)
class Proof:
    """What came out of it. `kind` is the kind of failure, '' when it passed."""

    status: str
    reason: str
    kind: str = ""
    evidence: Dict[str, Any] = field(default_factory=dict)


class _NotProven(HardeningError):
    def __init__(self, output: str, what: str) -> None:
        super().__init__(output)
        self.output, self.what = output, what


def prove(
    workspace: Workspace, one: signing.Identity, settings: Sequence[Setting], passphrase: str = ""
) -> Proof:
    """Sign and verify with the settings that are in force for the identity."""
    if not one.prove:
        return Proof("unknown", "no proof was asked for")
    try:
        if passphrase and not one.unattended and one.format == "ssh":
            with workspace.answering(passphrase) as (more, fd):
                return _prove(workspace, one, settings, more, (fd,))
        return _prove(workspace, one, settings, {}, ())
    except (_NotProven, ProgramError) as error:
        output = str(error)
        if one.format != "ssh" and explain(output)[0] == "other":
            output += _asked(workspace, one, settings)
        kind, sentence = workspace.explain(output)
        what = error.what if isinstance(error, _NotProven) else "a commit cannot be signed"
        if kind == NEEDS_PERSON and not one.unattended:
            return Proof("unknown", "only its owner can type the passphrase of this key", kind)
        return Proof("fail", f"{what}: {sentence}", kind, {"output": output[-500:]})


def _prove(
    workspace: Workspace,
    one: signing.Identity,
    settings: Sequence[Setting],
    more: Dict[str, str],
    fds: Tuple[int, ...],
) -> Proof:
    repository = os.path.join(workspace.place, "proof")
    workspace.must("git", "init", "-q", "--template=", repository)
    if one.scope == "repository":
        # What is in force there is in force here, whatever includes made it so.
        with open(os.path.join(repository, ".git", "config"), "ab") as config:
            config.write(render(signing_only(settings)))

    def git(*argv: str, what: str) -> Done:
        done = workspace.call(*_GIT, *argv, cwd=repository, more=more, pass_fds=fds)
        if done.code != 0:
            raise _NotProven(text_of(done.err), what)
        return done

    force = () if one.sign_commits else ("-S",)
    git("commit", "-q", "--allow-empty", *force, "-m", _WORDS, what="a commit cannot be signed")
    raw = git("cat-file", "commit", "HEAD", what="the commit cannot be read").out
    payload, signature = signing.split_signature(raw)
    if not signature:
        raise _NotProven("a plain commit is not signed", "commit.gpgSign has no effect")
    address = signing.committer(raw)
    evidence: Dict[str, Any] = {"format": one.format, "committer": address}
    trust = _trust(workspace, one, settings, address, signature)
    verified = git(*trust, "verify-commit", "--raw", "HEAD", what="the signature does not count")
    if one.sign_tags:
        git("tag", "-m", _WORDS, "proof", what="a tag cannot be signed")
        git(*trust, "verify-tag", "proof", what="the signature of a tag does not count")
    if one.format == "ssh":
        evidence.update(_ssh_evidence(workspace, settings, trust, address, payload, signature))
    else:
        evidence.update(_gpg_evidence(settings, text_of(verified.err)))
    shown = evidence["key"]
    own = "; nobody's list of signers was asked" if trust else ""
    return Proof(
        "pass", f"a commit by {address} is signed by {shown} and verifies{own}", "", evidence
    )


def _trust(
    workspace: Workspace,
    one: signing.Identity,
    settings: Sequence[Setting],
    address: str,
    signature: bytes,
) -> List[str]:
    """Options of git about trust: none, or where no list of signers is given, one that trusts this key."""
    if one.format != "ssh" or value_of(settings, "gpg.ssh.allowedSignersFile"):
        return []
    line = f'{address} namespaces="git" {_signed_by(signature)[0]}\n'
    return ["-c", "gpg.ssh.allowedSignersFile=" + workspace.file("own_signer", line.encode())]


def _signed_by(signature: bytes) -> Tuple[str, str]:
    try:
        key = parse_signature(signature).key
    except NotAKey as error:
        raise _NotProven(str(error), "the signature cannot be read") from error
    return key.line, key.fingerprint


def _ssh_evidence(
    workspace: Workspace,
    settings: Sequence[Setting],
    trust: Sequence[str],
    address: str,
    payload: bytes,
    signature: bytes,
) -> Dict[str, Any]:
    """Git takes any signer of the list; the committer it must be, and that only ssh-keygen says."""
    line, fingerprint = _signed_by(signature)
    signers = trust[1].partition("=")[2] if trust else ""
    signers = signers or workspace.who.path(value_of(settings, "gpg.ssh.allowedSignersFile"))
    command = ["ssh-keygen", "-Y", "verify", "-f", signers, "-I", address, "-n", "git"]
    revoked = workspace.who.path(value_of(settings, "gpg.ssh.revocationFile"))
    if revoked:
        if not os.access(revoked, os.R_OK):
            # git itself only warns, and takes every key for good.
            raise _NotProven(f"{revoked} cannot be read", "revoked keys would be accepted")
        command += ["-r", revoked]
    command += ["-s", workspace.file("signature", signature)]
    done = workspace.call(*command, stdin=payload)
    if done.code != 0:
        output = text_of(done.out + done.err)
        raise _NotProven(output, f"the signature by {fingerprint} does not count for {address}")
    return {"key": fingerprint, "public_key": line, "signers": "" if trust else signers}


def _gpg_evidence(settings: Sequence[Setting], status: str) -> Dict[str, Any]:
    signer, primary = signing.valid_signature(status)
    wanted = value_of(settings, "user.signingkey").rstrip("!").upper()
    wanted = wanted[2:] if wanted.startswith("0X") else wanted
    if not signer or not (signer.endswith(wanted) or primary.endswith(wanted)):
        raise _NotProven(
            f"the commit is signed by {signer or 'nobody'} and not by {wanted}",
            "another key has signed",
        )
    return {"key": signer}


def _asked(workspace: Workspace, one: signing.Identity, settings: Sequence[Setting]) -> str:
    """What the program itself says: git before 2.44 keeps it for itself."""
    program = "gpgsm" if one.format == "x509" else "gpg"
    program = (
        value_of(settings, f"gpg.{one.format}.program")
        or value_of(settings, "gpg.program")
        or program
    )
    key = value_of(settings, "user.signingkey")
    try:
        return text_of(workspace.call(program, "-bsau", key, stdin=b"proof").err)
    except ProgramError as error:
        return str(error)
