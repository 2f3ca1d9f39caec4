# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The people who may sign, and the trust files of OpenSSH made from them (pure).

One list serves workstations, servers and CI::

    people:
      - name: Alice
        principals: [alice@example.com]     # the addresses she commits as, or her sender id
        keys:
          - key: ssh-ed25519 AAAA... alice@laptop
            namespaces: [git]               # the default
            valid_after: 2026-01-01         # UTC; first moment that counts
            valid_before: 2027-01-01        # first moment that counts no more
            revoked: false
            revoked_since: 2026-06-01       # what a server recorded before it stays good
          - openpgp: "-----BEGIN PGP PUBLIC KEY BLOCK-----..."   # instead of key
"""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta, timezone
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from .._core.error import ControlError
from .ssh_keys import NotAKey, PublicKey, parse_public_key, weakness

CLOCK_SKEW = 600
"""Seconds by which clocks may differ by default."""

NAMESPACE_GIT = "git"
"""The namespace git signs in."""

PGP_BEGIN = "-----BEGIN PGP PUBLIC KEY BLOCK-----"

_NAMESPACE = re.compile(r"[A-Za-z0-9._@-]+\Z")
# No pattern and nothing that ends a field: a principal is one address, exactly.
_PRINCIPAL = re.compile(r"[^\s\"',*?!#\x00-\x1f\x7f][^\s\"',*?\x00-\x1f\x7f]*\Z")
_COMPACT = re.compile(r"(\d{4})(\d\d)(\d\d)(?:(\d\d)(\d\d)(\d\d)?)?(Z?)\Z")
_PERSON = {"name", "principals", "keys"}
_KEY = {"key", "openpgp", "namespaces", "valid_after", "valid_before", "revoked", "revoked_since"}


class Key(NamedTuple):
    """One key of a person. Times are seconds since 1970; None means no limit.

    `revoked`: nothing it signed counts, except what a server recorded before `revoked_since`.
    Exactly one of `ssh` and `openpgp` (an armoured block) is there.
    """

    ssh: Optional[PublicKey]
    openpgp: str = ""
    namespaces: Tuple[str, ...] = (NAMESPACE_GIT,)
    valid_after: Optional[int] = None
    valid_before: Optional[int] = None
    revoked: bool = False
    revoked_since: Optional[int] = None

    def valid_at(self, moment: int) -> bool:
        """Whether the moment lies within the validity; says nothing about revocation."""
        early = self.valid_after is not None and moment < self.valid_after
        return not early and (self.valid_before is None or moment < self.valid_before)

    def revoked_at(self, moment: int) -> bool:
        """Whether a signature first seen at the moment is refused because of a revocation."""
        return self.revoked and (self.revoked_since is None or moment >= self.revoked_since)


class Person(NamedTuple):
    """Somebody who may sign: the principals are the committer addresses that are theirs."""

    name: str
    principals: Tuple[str, ...]
    keys: Tuple[Key, ...]


class Fault(NamedTuple):
    """Something about the people that should be put right. `code` is for programs, `text` for people."""

    code: str
    person: str
    key: str
    text: str


def parse_people(people: Sequence[Mapping[str, Any]], option: str = "people") -> List[Person]:
    """The people of the option, checked. Raises ControlError that names the faulty item."""
    parsed: List[Person] = []
    for number, item in enumerate(people):
        parsed.append(_person(item, f"{option}[{number}]"))
        if [person.name for person in parsed].count(parsed[-1].name) > 1:
            raise ControlError(
                f"{option}[{number}].name",
                parsed[-1].name,
                "two people have this name",
                "give each person one item with all keys",
            )
    return parsed


def _person(item: Mapping[str, Any], where: str) -> Person:
    _known(item, _PERSON, where)
    name = item.get("name")
    if not isinstance(name, str) or not name.strip() or "\n" in name:
        raise ControlError(f"{where}.name", name, "a person needs a name", "write it on one line")
    principals = item.get("principals") or []
    for principal in principals:
        if not isinstance(principal, str) or not _PRINCIPAL.match(principal):
            raise ControlError(
                f"{where}.principals",
                principal,
                "this is not one plain address",
                "leave out spaces, quotes, commas and patterns, name each address",
            )
    if not principals:
        raise ControlError(
            f"{where}.principals", principals, "there is none", "name the committer's addresses"
        )
    keys = [_key(key, f"{where}.keys[{i}]") for i, key in enumerate(item.get("keys") or [])]
    return Person(name.strip(), tuple(dict.fromkeys(principals)), tuple(keys))


def _known(item: Any, known: Any, where: str) -> None:
    if not isinstance(item, Mapping):
        raise ControlError(
            where, item, "this is not a dictionary", "use " + ", ".join(sorted(known))
        )
    for name in item:
        if name not in known:
            raise ControlError(
                f"{where}.{name}", item[name], "no such option", "use " + ", ".join(sorted(known))
            )


def _key(item: Mapping[str, Any], where: str) -> Key:
    _known(item, _KEY, where)
    line, openpgp = item.get("key"), item.get("openpgp")
    if bool(line) == bool(openpgp):
        raise ControlError(
            where,
            dict(item),
            "exactly one of key and openpgp is needed",
            "give an SSH public key as key, or an armoured OpenPGP key as openpgp",
        )
    after = _moment(item.get("valid_after"), f"{where}.valid_after")
    before = _moment(item.get("valid_before"), f"{where}.valid_before")
    if after is not None and before is not None and before <= after:
        raise ControlError(
            f"{where}.valid_before",
            item["valid_before"],
            "the key would never be valid",
            "choose a time after valid_after",
        )
    since = _moment(item.get("revoked_since"), f"{where}.revoked_since")
    return Key(
        _ssh(line, f"{where}.key") if line else None,
        _openpgp(openpgp, f"{where}.openpgp") if openpgp else "",
        _namespaces(item.get("namespaces"), f"{where}.namespaces"),
        after,
        before,
        _flag(item.get("revoked"), f"{where}.revoked") or since is not None,
        since,
    )


def _ssh(line: Any, where: str) -> PublicKey:
    try:
        return parse_public_key(str(line))
    except NotAKey as error:
        # Not shown: it may be a private key that was pasted by mistake.
        raise ControlError(
            where, "...", str(error), "paste the one line of the file that ends in .pub"
        ) from error


def _openpgp(block: Any, where: str) -> str:
    text = str(block).strip()
    if not text.startswith(PGP_BEGIN) or "PRIVATE KEY" in text:
        raise ControlError(
            where,
            "...",
            "not an armoured OpenPGP public key",
            "use the output of gpg --armor --export",
        )
    return text + "\n"


def _namespaces(given: Any, where: str) -> Tuple[str, ...]:
    if given is None:
        return (NAMESPACE_GIT,)
    for name in given:
        if not isinstance(name, str) or not _NAMESPACE.match(name):
            raise ControlError(where, name, "not a plain name", "use names such as git")
    if not given:
        raise ControlError(
            where, given, "a key without a namespace could sign anything", "use [git]"
        )
    return tuple(dict.fromkeys(given))


def _flag(given: Any, where: str) -> bool:
    if given is not None and not isinstance(given, bool):
        raise ControlError(where, given, "this is neither true nor false", "write true or false")
    return bool(given)


def _moment(given: Any, where: str) -> Optional[int]:
    if given is None or given == "":
        return None
    try:
        return moment(given)
    except ValueError as error:
        raise ControlError(
            where,
            given,
            "not a date or time",
            "write 2026-01-31 or 2026-01-31T10:00:00Z (UTC)",
        ) from error


def moment(given: Any) -> int:
    """Seconds since 1970 of a date or time; what names no zone is UTC. Raises ValueError.

    Takes 2026-01-31, 2026-01-31T10:00:00[Z|+02:00], 20260131[100000][Z] and what YAML makes of them.
    """
    if isinstance(given, datetime):
        stamp = given
    elif isinstance(given, date):
        stamp = datetime(given.year, given.month, given.day, tzinfo=timezone.utc)
    else:
        text = str(given).strip()
        found = _COMPACT.match(text)
        if found:
            year, month, day, hour, minute, second = (int(n or 0) for n in found.groups()[:6])
            stamp = datetime(year, month, day, hour, minute, second, tzinfo=timezone.utc)
        else:
            stamp = datetime.fromisoformat(re.sub(r"[zZ]\Z", "+00:00", text))
    if stamp.tzinfo is None:
        stamp = stamp.replace(tzinfo=timezone.utc)
    return int(stamp.timestamp())


def stamp(seconds: int, zulu: bool = True) -> str:
    """The moment as OpenSSH writes it, in UTC: YYYYMMDDHHMMSS and Z."""
    when = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=seconds)
    return when.strftime("%Y%m%d%H%M%S") + ("Z" if zulu else "")


def allowed_signers(people: Sequence[Person], zulu: bool = True, revoked: bool = False) -> bytes:
    """The allowed_signers file; the same people give the same bytes in whatever order they come.

    OpenSSH before 9.1 cannot read times with a Z; `zulu=False` leaves it out, and then whoever reads
    the file must run with TZ=UTC. Revoked keys are left out, so that a reader who forgets the
    revocation file refuses them too; `revoked` keeps those that have a `revoked_since`.
    """
    lines = []
    for person in people:
        for key in person.keys:
            kept = not key.revoked or (revoked and key.revoked_since is not None)
            if key.ssh and kept:
                lines.append(_line(person, key, key.ssh, zulu))
    return "".join(sorted(lines)).encode("utf-8")


def _line(person: Person, key: Key, ssh: PublicKey, zulu: bool) -> str:
    options = ['namespaces="%s"' % ",".join(key.namespaces or (NAMESPACE_GIT,))]
    if key.valid_after is not None:
        options.append('valid-after="%s"' % stamp(key.valid_after, zulu))
    if key.valid_before is not None:
        options.append('valid-before="%s"' % stamp(key.valid_before, zulu))
    words = [",".join(person.principals), ",".join(options), ssh.line, ssh.comment]
    return " ".join(word for word in words if word) + "\n"


def revocations(people: Sequence[Person]) -> bytes:
    """The revocation file: one revoked public key per line. Empty when none is revoked."""
    lines = {
        key.ssh.line + "\n" for person in people for key in person.keys if key.revoked and key.ssh
    }
    return "".join(sorted(lines)).encode("ascii")


def lint(people: Sequence[Person], now: int) -> List[Fault]:
    """What is wrong with people who can be parsed; in the order of the people."""
    owners: Dict[str, List[str]] = {}
    for person in people:
        for key in person.keys:
            if key.ssh and person.name not in owners.setdefault(key.ssh.blob, []):
                owners[key.ssh.blob].append(person.name)
    faults: List[Fault] = []
    for person in people:
        for key in person.keys:
            faults += _key_faults(person, key, owners, now)
        usable = [k for k in person.keys if k.valid_at(now) and not k.revoked_at(now)]
        if not usable:
            faults.append(
                Fault("no_key", person.name, "", f"{person.name} has no key that is valid now")
            )
    return faults


def _key_faults(person: Person, key: Key, owners: Dict[str, List[str]], now: int) -> List[Fault]:
    shown = key.ssh.fingerprint if key.ssh else "the OpenPGP key"
    found: List[Tuple[str, str]] = []
    others = [
        name for name in owners.get(key.ssh.blob if key.ssh else "", []) if name != person.name
    ]
    if others:
        found.append(("shared_key", f"is also a key of {' and '.join(others)}"))
    if not key.namespaces:
        found.append(("no_namespace", "names no namespace, so it may sign anything"))
    if key.valid_before is not None and key.valid_before <= now and not key.revoked:
        found.append(("expired", f"expired at {stamp(key.valid_before)}"))
    weak = weakness(key.ssh) if key.ssh else None
    if weak and not key.revoked:
        found.append(("weak_key", f"is weak: {weak}"))
    return [
        Fault(code, person.name, shown, f"{shown} of {person.name} {text}") for code, text in found
    ]
