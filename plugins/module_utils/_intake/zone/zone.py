# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The receiving side of the intake: options checked and completed (pure)."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Sequence, Tuple

from ..._batch.options import check_sender
from ..._batch.types import NAMESPACE
from ..._core.plan import ControlError
from ..._trust.people import Person, parse_people
from ..._trust.ssh_keys import weakness
from ..checks import absolute_path, account_name, public_key

USER = "twinguard-intake"
"""The user and group that open batches. Nobody can log in as this user."""

SENDERS_GROUP = "twinguard-senders"
"""The group of all accounts that may only upload; sshd selects them by it."""

CONFIG_DIR = "/etc/twinguard/intake"
PROBE_DIR = "/run/twinguard-intake"
STATE_DIR = "/var/lib/twinguard-intake"
LOG_DIR = "/var/log/twinguard-intake"
OWN_IDENTITY = (f"{CONFIG_DIR}/identity.key", f"{CONFIG_DIR}/identity.pem")

_SIZE = re.compile(r"([1-9][0-9]{0,15})([KMGT]?)")
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_SMALLEST_QUOTA = 1 << 20
_SYSTEM = re.compile(r"/(etc|usr|var|srv|home|root|run|tmp|dev|opt|proc|sys|boot)")


@dataclass(frozen=True)
class Sender:
    """One sender. `name` is the principal that signs the batches, `account` the login.

    `keys` are lines of public keys, `addresses` the networks from which they are accepted (empty: all).
    `quota` in bytes and `max_files` limit the content of the zone.
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
        """The directory into which a sender uploads."""
        return self.sub("zones", account) + "/drop"


def parse_zone(params: Mapping[str, Any]) -> Zone:
    """The options of the module, checked. Raises ControlError."""
    directory = str(params["directory"])
    absolute_path(directory, "directory")
    if _SYSTEM.fullmatch(directory):
        raise ControlError(
            "directory",
            directory,
            "it belongs to the system",
            "use one of your own, such as /srv/twinguard-intake",
        )
    people = tuple(parse_people(params["people"] or []))
    senders = _senders(params["senders"] or [])
    _signed_by_somebody(senders, people)
    if params["passphrase_file"] and params["identities"]:
        raise ControlError(
            "passphrase_file",
            params["passphrase_file"],
            "identities are given as well",
            "give either identities or passphrase_file",
        )
    for number, validate in enumerate(params["validate"] or []):
        if "\n" in validate or "\0" in validate:
            raise ControlError(
                f"validate[{number}]",
                validate,
                "it contains a newline or NUL",
                "remove it",
            )
    if params["validate"]:
        absolute_path(params["validate"][0], "validate[0]")
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
        raise ControlError(
            option,
            text,
            "not a size",
            "use a number of bytes, or one with K, M, G or T, such as 10G",
        )
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
                        f"{where}.{part}",
                        value,
                        f"another sender has the same {part}",
                        "give each sender its own",
                    )
        for key in sender.keys:
            blob = key.split()[1]
            if owners.setdefault(blob, sender.name) != sender.name:
                raise ControlError(
                    f"{where}.keys",
                    key,
                    f"it is also a key of {owners[blob]}, so that each could pose as the other",
                    "give each sender its own keys",
                )
        senders.append(sender)
    return tuple(sorted(senders, key=lambda one: one.account))


def _sender(item: Mapping[str, Any], where: str) -> Sender:
    name = str(item["name"])
    check_sender(f"{where}.name", name)
    account = item.get("account") or "intake-" + name
    account_name(account, f"{where}.account")
    if account in ("root", USER, SENDERS_GROUP):
        raise ControlError(
            f"{where}.account",
            account,
            "this name is reserved",
            "use another one, such as intake-plant-a",
        )
    quota = size(item.get("quota") or "10G", f"{where}.quota")
    if quota < _SMALLEST_QUOTA:
        raise ControlError(f"{where}.quota", item["quota"], "it is too small", "use 1M or more")
    max_files = int(item.get("max_files") or 1000)
    if max_files < 1:
        raise ControlError(f"{where}.max_files", max_files, "it is below 1", "use 1 or more")
    keys = tuple(_key(key, f"{where}.keys[{n}]") for n, key in enumerate(item["keys"]))
    if not keys:
        raise ControlError(
            f"{where}.keys", [], "nobody could log in", "give a key, or leave the sender out"
        )
    return Sender(
        name, account, keys, _addresses(item.get("addresses") or (), where), quota, max_files
    )


def _key(line: str, where: str) -> str:
    key = public_key(line, where, "the sender's .pub file")
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
                "not an IP address or network",
                "use one such as 192.0.2.7 or 192.0.2.0/24",
            ) from error
    return tuple(found)


def _signed_by_somebody(senders: Sequence[Sender], people: Sequence[Person]) -> None:
    """Without a signing key in people, a sender could upload but nothing would ever be published."""
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
            absolute_path(item[part], f"identities[{number}].{part}")
        pairs.append((item["key"], item["certificate"]))
    return tuple(pairs)


def _optional_path(params: Mapping[str, Any], option: str) -> str:
    path = params[option] or ""
    if path:
        absolute_path(path, option)
    return str(path)


def _group(name: Any) -> str:
    if not name:
        return USER
    return account_name(name, "reader_group", "group")


def _positive(params: Mapping[str, Any], option: str, least: int = 1) -> int:
    number = int(params[option])
    if number < least:
        raise ControlError(option, number, f"it is below {least}", f"use {least} or more")
    return number
