# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the receiving side of data intake shall be like: options checked and made whole (pure)."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Sequence, Tuple

from ..._batch.options import check_sender
from ..._batch.types import NAMESPACE
from ..._core.plan import ControlError
from ..._trust.people import Person, parse_people
from ..._trust.ssh_keys import NotAKey, parse_public_key, weakness

USER = "twinguard-intake"
"""The user and group that open batches. Nobody can log in as it."""

SENDERS_GROUP = "twinguard-senders"
"""All accounts that may only upload; sshd knows them by this group."""

CONFIG_DIR = "/etc/twinguard/intake"
PROBE_DIR = "/run/twinguard-intake"
STATE_DIR = "/var/lib/twinguard-intake"
LOG_DIR = "/var/log/twinguard-intake"
OWN_IDENTITY = (f"{CONFIG_DIR}/identity.key", f"{CONFIG_DIR}/identity.pem")

_ACCOUNT = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
# It is written into files of systemd, sshd and pam, where anything else would need quoting.
_PATH = re.compile(r"(/[A-Za-z0-9._-]+)+")
_SIZE = re.compile(r"([1-9][0-9]{0,15})([KMGT]?)")
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_SMALLEST_QUOTA = 1 << 20
_SYSTEM = re.compile(r"/(etc|usr|var|srv|home|root|run|tmp|dev|opt|proc|sys|boot)")


@dataclass(frozen=True)
class Sender:
    """One who may upload. `name` is the principal that signs the batches, `account` the login.

    `keys` are lines of public keys, `addresses` where they count (empty: everywhere). `quota` in bytes and
    `max_files` bound what lies in the zone.
    """

    name: str
    account: str
    keys: Tuple[str, ...]
    addresses: Tuple[str, ...]
    quota: int
    max_files: int


@dataclass(frozen=True)
class Zone:
    """The whole receiving side. Times in seconds; `identities` are pairs of key and certificate file."""

    directory: str
    senders: Tuple[Sender, ...]
    people: Tuple[Person, ...]
    identities: Tuple[Tuple[str, str], ...]
    passphrase_file: str
    reader_group: str
    validate: Tuple[str, ...]
    validate_seconds: int
    maximum_bytes: int
    maximum_files: int
    maximum_age: int
    stale_seconds: int
    quarantine_seconds: int
    memory_max: int
    time_limit: int

    def sub(self, kind: str, account: str = "") -> str:
        """A directory of the receiving side: zones, arriving, incoming, published or quarantine."""
        return f"{self.directory}/{kind}" + (f"/{account}" if account else "")

    def drop(self, account: str) -> str:
        """Where a sender's uploads land."""
        return self.sub("zones", account) + "/drop"


def parse_zone(params: Mapping[str, Any]) -> Zone:
    """The options of the module, checked. Raises ControlError."""
    directory = str(params["directory"])
    _path(directory, "directory")
    if _SYSTEM.fullmatch(directory):
        raise ControlError(
            "directory", directory, "it belongs to the system", "name a directory of its own below"
        )
    people = tuple(parse_people(params["people"] or []))
    senders = _senders(params["senders"] or [])
    _signed_by_somebody(senders, people)
    if params["passphrase_file"] and params["identities"]:
        raise ControlError(
            "passphrase_file",
            params["passphrase_file"],
            "it is given beside identities",
            "give one of the two",
        )
    for number, validate in enumerate(params["validate"] or []):
        if "\n" in validate or "\0" in validate:
            raise ControlError(f"validate[{number}]", validate, "it holds a newline", "remove it")
    if params["validate"]:
        _path(params["validate"][0], "validate[0]")
    return Zone(
        directory=directory,
        senders=senders,
        people=people,
        identities=_identities(params),
        passphrase_file=_optional_path(params, "passphrase_file"),
        reader_group=_group(params["reader_group"]),
        validate=tuple(params["validate"] or ()),
        validate_seconds=_positive(params, "validate_timeout"),
        maximum_bytes=size(params["maximum_size"], "maximum_size"),
        maximum_files=_positive(params, "maximum_files"),
        maximum_age=_positive(params, "maximum_age_days", 0) * 86400,
        stale_seconds=_positive(params, "stale_hours") * 3600,
        quarantine_seconds=_positive(params, "quarantine_days") * 86400,
        memory_max=size(params["memory_max"], "memory_max"),
        time_limit=_positive(params, "time_limit"),
    )


def size(text: Any, option: str) -> int:
    """Bytes of a size such as '500M' or '10G' (powers of 1024)."""
    found = _SIZE.fullmatch(str(text).strip())
    if not found:
        raise ControlError(option, text, "it is no size", "write bytes or a number with K, M, G, T")
    return int(found.group(1)) * _UNITS[found.group(2)]


def _senders(items: Sequence[Mapping[str, Any]]) -> Tuple[Sender, ...]:
    senders: List[Sender] = []
    owners: Dict[str, str] = {}
    for number, item in enumerate(items):
        where = f"senders[{number}]"
        sender = _sender(item, where)
        for other in senders:
            for part in ("name", "account"):
                if getattr(other, part) == getattr(sender, part):
                    value = getattr(sender, part)
                    raise ControlError(
                        f"{where}.{part}", value, "two senders have it", "give each its own"
                    )
        for key in sender.keys:
            blob = key.split()[1]
            if owners.setdefault(blob, sender.name) != sender.name:
                raise ControlError(
                    f"{where}.keys",
                    key,
                    f"it is a key of {owners[blob]} as well, so that each could pose as the other",
                    "give each sender keys of its own",
                )
        senders.append(sender)
    return tuple(sorted(senders, key=lambda one: one.account))


def _sender(item: Mapping[str, Any], where: str) -> Sender:
    name = str(item["name"])
    check_sender(f"{where}.name", name)
    account = item.get("account") or "intake-" + name
    if not _ACCOUNT.fullmatch(account) or account in ("root", USER, SENDERS_GROUP):
        raise ControlError(
            f"{where}.account",
            account,
            "it cannot be the name of an account",
            "give an account of at most 32 lower case letters, digits, '-' and '_'",
        )
    quota = size(item.get("quota") or "10G", f"{where}.quota")
    if quota < _SMALLEST_QUOTA:
        raise ControlError(f"{where}.quota", item["quota"], "it is too small", "give 1M or more")
    max_files = int(item.get("max_files") or 1000)
    if max_files < 1:
        raise ControlError(f"{where}.max_files", max_files, "it is below 1", "give 1 or more")
    keys = tuple(_key(key, f"{where}.keys[{n}]") for n, key in enumerate(item["keys"]))
    if not keys:
        raise ControlError(
            f"{where}.keys", [], "nobody could log in", "give a key, or leave the sender out"
        )
    return Sender(
        name, account, keys, _addresses(item.get("addresses") or (), where), quota, max_files
    )


def _key(line: str, where: str) -> str:
    try:
        key = parse_public_key(line)
    except NotAKey as error:
        raise ControlError(
            where, line, str(error), "give the line of the sender's .pub file"
        ) from error
    weak = weakness(key)
    if weak:
        raise ControlError(where, line, weak, "use an ed25519 key")
    return f"{key.line} {key.comment}".strip()


def _addresses(given: Sequence[str], where: str) -> Tuple[str, ...]:
    found = []
    for number, text in enumerate(given):
        try:
            found.append(str(ipaddress.ip_network(text, strict=False)))
        except ValueError as error:
            raise ControlError(
                f"{where}.addresses[{number}]",
                text,
                "it is no address",
                "write an IP address or a network such as 192.0.2.0/24",
            ) from error
    return tuple(found)


def _signed_by_somebody(senders: Sequence[Sender], people: Sequence[Person]) -> None:
    """A sender for whom nobody may sign could upload, and never get anything published."""
    able = {
        principal
        for person in people
        if any(key.ssh and NAMESPACE in key.namespaces for key in person.keys)
        for principal in person.principals
    }
    for sender in senders:
        if sender.name not in able:
            raise ControlError(
                "people",
                sender.name,
                f"nobody with this principal has a key for the namespace {NAMESPACE}",
                "add the sender's signing key to people, with that namespace",
            )


def _identities(params: Mapping[str, Any]) -> Tuple[Tuple[str, str], ...]:
    if params["passphrase_file"]:
        return ()
    if not params["identities"]:
        return (OWN_IDENTITY,)
    pairs = []
    for number, item in enumerate(params["identities"]):
        for part in ("key", "certificate"):
            _path(item[part], f"identities[{number}].{part}")
        pairs.append((item["key"], item["certificate"]))
    return tuple(pairs)


def _path(path: str, option: str) -> None:
    if not _PATH.fullmatch(path) or {".", ".."} & set(path.split("/")):
        raise ControlError(
            option,
            path,
            "it is no absolute path of plain characters",
            "use letters, digits and ._- between slashes",
        )


def _optional_path(params: Mapping[str, Any], option: str) -> str:
    path = params[option] or ""
    if path:
        _path(path, option)
    return str(path)


def _group(name: Any) -> str:
    if not name:
        return USER
    if not _ACCOUNT.fullmatch(name):
        raise ControlError("reader_group", name, "it cannot be the name of a group", "correct it")
    return str(name)


def _positive(params: Mapping[str, Any], option: str, least: int = 1) -> int:
    number = int(params[option])
    if number < least:
        raise ControlError(option, number, f"it is below {least}", f"give {least} or more")
    return number
