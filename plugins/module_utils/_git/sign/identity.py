# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who signs with which key: the identities of ``git_signing``, and the settings of git for it (pure)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Sequence, Tuple, Union

from ..._core.controls import finding
from ..._core.plan import SECRET, ControlError
from ..._trust.ssh_keys import NotAKey, parse_public_key

LITERAL = "key::"
SOCKET_ROOM = 107  # bytes of a socket's path that the kernel takes
OLDEST_GIT = {"ssh": (2, 34), "openpgp": (2, 26), "x509": (2, 26)}
ZULU_SINCE = (9, 1)  # OpenSSH reads times in UTC from here on
_ORDER = ("system", "user", "repository")  # what comes later overrides what came before
_KEY_ID = re.compile(r"(0x)?[0-9A-Fa-f]{16,64}!?\Z")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_ADDRESS = re.compile(r"[^\s<>\"]+@[^\s<>\"]+\Z")


@dataclass(frozen=True)
class Identity:
    """One place where git looks for its settings, and who signs there with what. See the module's options."""

    option: str
    scope: str
    user: str
    repository: str
    format: str
    key: str
    create: bool
    passphrase_file: str
    agent_socket: str
    unattended: bool
    name: str
    email: str
    sign_commits: bool
    sign_tags: bool
    min_trust_level: str
    prove: bool

    @property
    def resource(self) -> str:
        """What the report calls it."""
        return {"system": "system", "user": f"user {self.user}"}.get(self.scope, self.repository)

    @property
    def literal(self) -> bool:
        """Whether the key is its public half itself, whose private half an agent holds."""
        return self.key.startswith(LITERAL)


def parse_identities(items: Sequence[Mapping[str, Any]]) -> List[Identity]:
    """The identities of the option, checked; in the order in which git reads their files. ControlError."""
    found: List[Identity] = []
    for number, item in enumerate(items):
        one = _identity(item, f"identities[{number}]")
        if one.resource in [other.resource for other in found]:
            raise ControlError(one.option, one.resource, "it is named twice", "keep one of them")
        found.append(one)
    return sorted(found, key=lambda one: _ORDER.index(one.scope))


def _identity(item: Mapping[str, Any], where: str) -> Identity:
    _plain_text(item, where)
    named: Dict[str, Any] = {name: ("" if value is None else value) for name, value in item.items()}
    one = Identity(option=where, **named)
    _check_scope(one)
    _check_key(one)
    _check_paths(one)
    if one.email and not _ADDRESS.match(one.email):
        raise ControlError(
            f"{where}.email", one.email, "not an email address", "write it as name@example.com"
        )
    return one


def _plain_text(item: Mapping[str, Any], where: str) -> None:
    for name, value in item.items():
        if isinstance(value, str) and "PRIVATE KEY" in value:
            raise ControlError(
                f"{where}.{name}", SECRET, "this is a private key", "name the file that holds it"
            )
        if isinstance(value, str) and _CONTROL.search(value):
            raise ControlError(
                f"{where}.{name}", value, "it holds a control character", "write it on one line"
            )


def _check_scope(one: Identity) -> None:
    if one.scope == "user" and not one.user:
        raise ControlError(f"{one.option}.user", one.user, "whose settings?", "name the user")
    if (one.scope == "repository") != bool(one.repository):
        raise ControlError(
            f"{one.option}.repository",
            one.repository,
            f"the scope is {one.scope}",
            "give a path with scope repository, and none without",
        )
    if one.scope == "repository" and not one.repository.startswith("/"):
        raise ControlError(
            f"{one.option}.repository", one.repository, "the path is not absolute", "begin with '/'"
        )


def _check_key(one: Identity) -> None:
    where = f"{one.option}.key"
    if one.format == "ssh":
        _check_ssh_key(one, where)
    elif one.key and not _KEY_ID.match(one.key):
        raise ControlError(where, one.key, "not a fingerprint", "use 16 to 64 hex digits")
    elif not one.key and not one.create:
        raise ControlError(where, one.key, "which key?", "give its fingerprint, or create: true")
    if one.create and one.format == "x509":
        raise ControlError(
            f"{one.option}.create", True, "a certificate is issued, not made", "give key"
        )
    if one.create and one.format == "openpgp" and not (one.name and one.email) and not one.key:
        raise ControlError(
            f"{one.option}.create", True, "the key needs an owner", "give name and email"
        )


def _check_ssh_key(one: Identity, where: str) -> None:
    if one.literal:
        try:
            parse_public_key(one.key[len(LITERAL) :])
        except NotAKey as error:
            raise ControlError(
                where, "...", str(error), "write key::ssh-ed25519 AAAA..."
            ) from error
    elif not one.key.startswith(("/", "~/")):
        raise ControlError(
            where,
            one.key,
            "neither a file nor a key",
            "use /path, ~/path or key::ssh-ed25519 ...",
        )
    own_home = one.scope == "system" and one.key.startswith("~/")
    if one.create and (one.literal or one.key.endswith(".pub") or own_home):
        raise ControlError(
            f"{one.option}.create",
            True,
            "no path is given for the new key",
            "let key name a private file",
        )


def _check_paths(one: Identity) -> None:
    if one.passphrase_file and not one.passphrase_file.startswith("/"):
        raise ControlError(
            f"{one.option}.passphrase_file", one.passphrase_file, "not absolute", "begin with '/'"
        )
    if one.agent_socket and not one.agent_socket.startswith("/"):
        raise ControlError(
            f"{one.option}.agent_socket", one.agent_socket, "not absolute", "begin with '/'"
        )
    if len(one.agent_socket.encode("utf-8", "surrogateescape")) > SOCKET_ROOM:
        raise ControlError(
            f"{one.option}.agent_socket",
            one.agent_socket,
            f"a socket's path has at most {SOCKET_ROOM} bytes",
            "put the agent's socket into a directory with a shorter path",
        )


def desired(one: Identity, key: str, trust: Union[Tuple[str, str], None]) -> Dict[str, str]:
    """The settings of git. `key` is the key as git must know it; `trust` the files that say who may sign."""
    wanted = {
        "gpg.format": one.format,
        "user.signingkey": key,
        "commit.gpgSign": "true" if one.sign_commits else "false",
        "tag.gpgSign": "true" if one.sign_tags else "false",
    }
    if trust and one.format == "ssh":
        wanted["gpg.ssh.allowedSignersFile"], wanted["gpg.ssh.revocationFile"] = trust
    named = {
        "gpg.minTrustLevel": one.min_trust_level,
        "user.name": one.name,
        "user.email": one.email,
    }
    wanted.update({name: value for name, value in named.items() if value})
    return wanted


def control(one: Identity, status: str, reason: str, evidence: Mapping[str, Any]) -> Dict[str, Any]:
    """The finding of one identity."""
    return finding("git.signing", one.resource, status, reason, evidence)


def version(text: str) -> Tuple[int, ...]:
    """The first version number in the text; () when there is none."""
    found = re.search(r"(\d+)\.(\d+)", text)
    return tuple(int(part) for part in found.groups()) if found else ()


def too_old(one: Identity, git: Tuple[int, ...]) -> str:
    """Why this git cannot do it; '' when it can."""
    needed = OLDEST_GIT[one.format]
    if not git or git >= needed:
        return ""
    shown, wanted = (".".join(str(part) for part in number) for number in (git, needed))
    return f"git {shown} cannot make {one.format} signatures with these settings; it takes {wanted}"


def split_signature(raw: bytes) -> Tuple[bytes, bytes]:
    """What was signed of a commit of our own, and the armoured signature; b'' when there is none."""
    head, blank, body = raw.partition(b"\n\n")
    kept: List[bytes] = []
    signature: List[bytes] = []
    inside = False
    for line in head.split(b"\n"):
        inside = line.startswith(b"gpgsig ") or (inside and line.startswith(b" "))
        if inside:
            signature.append(line[7:] if line.startswith(b"gpgsig ") else line[1:])
        else:
            kept.append(line)
    return b"\n".join(kept) + blank + body, b"".join(one + b"\n" for one in signature)


def committer(raw: bytes) -> str:
    """The address of the committer of a commit of our own."""
    found = re.search(rb"^committer .*<([^>\n]*)>", raw, re.MULTILINE)
    return found.group(1).decode("utf-8", "surrogateescape") if found else ""


def secret_keys(colons: str) -> List[str]:
    """The fingerprints in C(gpg --with-colons --list-secret-keys) of keys that can still sign."""
    found = []
    usable = False
    for line in colons.splitlines():
        fields = line.split(":")
        if fields[0] == "sec":
            usable = fields[1] not in ("r", "e", "d") and "S" in fields[11]
        elif fields[0] == "fpr" and usable:
            found.append(fields[9])
            usable = False
    return found


def valid_signature(status: str) -> Tuple[str, str]:
    """Fingerprint of the signing key and of its primary key in gpg's status lines; '' when not valid."""
    for line in status.splitlines():
        words = line.split()
        if words[:2] == ["[GNUPG:]", "VALIDSIG"] and len(words) > 2:
            return words[2], words[-1]
    return "", ""
