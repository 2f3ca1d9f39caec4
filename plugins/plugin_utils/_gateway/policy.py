# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parses the options of ``nginx_gateway`` into validated, typed values (pure).

Everything that reaches an nginx file passes an allow-list here, so the templates need no quoting.
"""

from __future__ import annotations

import ipaddress
import re
from fractions import Fraction
from typing import Any, Iterable, Mapping, Sequence

from ...module_utils._core.plan import ControlError
from .keys import parse_credential, refuse_shared_keys
from .types import Client, Limit, Listen, Policy, Rate, Route, Tls, Upstream

_NAME = re.compile(r"[a-z][a-z0-9_]{0,15}")
_CLIENT = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}")
_LABEL = r"(?!-)[a-z0-9-]{1,63}(?<!-)"
_HOST = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_SERVER_NAME = re.compile(rf"(\*\.)?{_LABEL}(\.{_LABEL})*")
_FILE = re.compile(r"/[A-Za-z0-9._/@+-]*[A-Za-z0-9._@+-]")
_URL_PATH = re.compile(r"/[A-Za-z0-9._~/+@:-]*")
_RATE = re.compile(r"([0-9]+(?:\.[0-9]+)?)r/([sm])")
_SIZE = re.compile(r"([0-9]+)([kmgKMG]?)")
_LARGEST_BODY = 1024**4
_UNITS = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}
# nginx gives these words a meaning of their own in a map, even between quotes.
_MAP_WORDS = ("default", "include", "hostnames", "volatile")
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def parse_policy(options: Mapping[str, Any]) -> Policy:
    """Validate all options of ``nginx_gateway`` (types are coerced already), each alone and together.

    Raises ControlError with one sentence that names the option, the value and the fix.
    """
    tls = _tls(options.get("tls"), bool(options["plaintext"]))
    listen = _listens(options["listen"], options["marker_port"])
    upstreams = tuple(_upstream(i, u) for i, u in enumerate(options["upstreams"]))
    _refuse_twice("upstreams", "name", (u.name for u in upstreams))
    routes = tuple(
        _route(i, r, {u.name for u in upstreams}) for i, r in enumerate(options["routes"])
    )
    _refuse_twice("routes", "path", (f"{'=' if r.exact else '^'} {r.path}" for r in routes))
    tiers = tuple(
        (_match(_NAME, "tiers", name), _limit(f"tiers.{name}", value, need_rate=True))
        for name, value in sorted(options["tiers"].items())
    )
    clients = _clients(options["clients"], {name for name, _limit_ in tiers})
    limits = options["limits"] or {}
    log = options["access_log"]
    return Policy(
        name=_match(_NAME, "name", options["name"]),
        server_names=_server_names(options["server_names"]),
        listen=listen,
        tls=tls,
        upstreams=upstreams,
        routes=_some("routes", routes),
        tiers=tiers,
        clients=clients,
        address_limit=_limit("limits.address", limits.get("address") or {}),
        rejected_limit=_limit("limits.rejected", limits.get("rejected") or {}, need_rate=True),
        trusted_proxies=tuple(_network(i, n) for i, n in enumerate(options["trusted_proxies"])),
        dry_run=bool(options["dry_run"]),
        log_path=check_path("access_log.path", log["path"]),
        log_keep_days=_between("access_log.keep_days", log["keep_days"], 1, 3650),
        marker_port=_between("marker_port", options["marker_port"], 1, 65535),
    )


def check_path(option: str, value: object) -> str:
    """An absolute file path on the gateway, of plain characters and without ``..``."""
    text = str(value)
    if not text.startswith("/"):
        raise ControlError(option, text, "is not an absolute path", "begin it with /")
    if ".." in text.split("/") or not _FILE.fullmatch(text):
        raise ControlError(
            option,
            text,
            "contains '..' or a character outside A-Z a-z 0-9 . _ / @ + -",
            "give an absolute path without them",
        )
    return text


def parse_rate(option: str, value: object) -> Rate:
    """``10r/s``, ``30r/m`` or a fraction that minutes can express (``0.5r/s`` is 30r/m)."""
    text = str(value).replace(" ", "")
    found = _RATE.fullmatch(text)
    fix = "write a number above 0 with its unit, such as 10r/s or 30r/m"
    if not found:
        raise ControlError(option, value, "is not a request rate", fix)
    number, unit = Fraction(found.group(1)), found.group(2)
    if unit == "s" and number != int(number):
        number, unit = number * 60, "m"
    if number < 1 or number != int(number):
        raise ControlError(
            option, value, "cannot be expressed in whole requests per second or minute", fix
        )
    if number > 1_000_000:
        raise ControlError(option, value, "is more than nginx accepts", "give at most 1000000r/s")
    return Rate(int(number), unit)


def parse_size(option: str, value: object) -> int:
    """``10m``, ``512k``, ``1g`` or plain bytes, in bytes; 0 = unlimited."""
    found = _SIZE.fullmatch(str(value))
    if not found:
        raise ControlError(
            option, value, "is not a size", "write bytes, or a number with k, m or g, such as 10m"
        )
    size = int(found.group(1)) * _UNITS[found.group(2).lower()]
    if size > _LARGEST_BODY:
        raise ControlError(option, value, "is above 1 TiB", "give less, or 0 for no limit")
    return size


def _limit(option: str, value: Mapping[str, Any], need_rate: bool = False) -> Limit:
    rate, burst, connections = value.get("rate"), value.get("burst"), value.get("connections")
    if rate is None and burst is not None:
        raise ControlError(
            option + ".burst", burst, "is given without a rate", "add rate, or remove burst"
        )
    if rate is None and need_rate:
        raise ControlError(option + ".rate", rate, "is missing", "give a rate such as 10r/s")
    return Limit(
        rate=None if rate is None else parse_rate(option + ".rate", rate),
        burst=_between(option + ".burst", burst or 0, 0, 1_000_000),
        nodelay=value.get("nodelay") is not False,
        connections=None
        if connections is None
        else _between(option + ".connections", connections, 1, 65535),
    )


def _tls(value: Mapping[str, Any] | None, plaintext: bool) -> Tls | None:
    if plaintext:
        if value:
            raise ControlError(
                "plaintext", True, "contradicts the option 'tls'", "remove one of the two"
            )
        return None
    if not value:
        raise ControlError(
            "tls",
            None,
            "is missing, so API keys would be sent unencrypted",
            "give tls.certificate and tls.key, or set plaintext: true",
        )
    ca = value.get("client_ca")
    if value.get("client_verify") and not ca:
        raise ControlError(
            "tls.client_verify",
            value["client_verify"],
            "has no certificate authority to verify against",
            "give tls.client_ca",
        )
    return Tls(
        certificate=check_path("tls.certificate", value["certificate"]),
        key=check_path("tls.key", value["key"]),
        profile=str(value["profile"]),
        hsts_max_age=_between("tls.hsts_max_age", value["hsts_max_age"], 0, 10**9),
        client_ca=None if ca is None else check_path("tls.client_ca", ca),
        client_verify=str(value.get("client_verify") or "required"),
    )


def _listens(values: Sequence[Mapping[str, Any]], marker_port: int) -> tuple[Listen, ...]:
    listens = []
    for index, value in enumerate(values):
        option = "listen[%d]" % index
        bare = str(value["address"]).strip("[]")
        try:
            address = ipaddress.ip_address(bare)
        except ValueError:
            raise ControlError(
                option + ".address",
                value["address"],
                "is not an IP address",
                "give one such as 0.0.0.0, [::] or 192.0.2.10",
            ) from None
        port = _between(option + ".port", value["port"], 1, 65535)
        if port == marker_port:
            raise ControlError(
                option + ".port", port, "is also the marker_port", "change one of the two"
            )
        listens.append(Listen(f"[{address}]" if address.version == 6 else str(address), port))
    _refuse_twice("listen", "address and port", (one.text for one in listens))
    return _some("listen", tuple(listens))


def _server_names(values: Sequence[object]) -> tuple[str, ...]:
    names = tuple(str(value).lower() for value in values)
    for index, name in enumerate(names):
        if not _SERVER_NAME.fullmatch(name):
            raise ControlError(
                "server_names[%d]" % index,
                name,
                "is not a DNS name",
                "give a name such as models.example.com",
            )
    _refuse_twice("server_names", "name", names)
    return _some("server_names", names)


def _upstream(index: int, value: Mapping[str, Any]) -> Upstream:
    option = "upstreams[%d]" % index
    tls = value.get("tls") or {}
    ca, name = tls.get("ca"), tls.get("server_name")
    if name and not _HOST.fullmatch(str(name)):
        raise ControlError(
            option + ".tls.server_name",
            name,
            "is not a DNS name",
            "give the name in the servers' certificate",
        )
    servers = tuple(
        _server("%s.servers[%d]" % (option, i), s) for i, s in enumerate(value["servers"])
    )
    return Upstream(
        name=_match(_NAME, option + ".name", value["name"]),
        servers=_some(option + ".servers", servers),
        keepalive=_between(option + ".keepalive", value["keepalive"], 0, 10000),
        ca=None if ca is None else check_path(option + ".tls.ca", ca),
        server_name=None if name is None else str(name),
    )


def _server(option: str, value: object) -> str:
    """``host:port``, ``[v6]:port`` or ``unix:/path``."""
    text = str(value)
    fix = "write host:port, [IPv6 address]:port or unix:/path"
    if text.startswith("unix:"):
        return "unix:" + check_path(option, text[5:])
    host, _colon, port = text.rpartition(":")
    if not port.isdigit() or not 0 < int(port) < 65536:
        raise ControlError(option, value, "has no port from 1 to 65535", fix)
    if host.startswith("[") and host.endswith("]"):
        try:
            return f"[{ipaddress.IPv6Address(host[1:-1])}]:{int(port)}"
        except ValueError:
            raise ControlError(option, value, "is not an IPv6 address", fix) from None
    if not _HOST.fullmatch(host.lower()):
        raise ControlError(option, value, "has no usable host name or address", fix)
    return f"{host.lower()}:{int(port)}"


def _route(index: int, value: Mapping[str, Any], upstreams: Iterable[str]) -> Route:
    option = "routes[%d]" % index
    path = str(value["path"])
    if not _URL_PATH.fullmatch(path) or ".." in path.split("/"):
        raise ControlError(
            option + ".path",
            path,
            "is not a plain absolute URL path",
            "begin it with / and use A-Z a-z 0-9 . _ ~ / + @ : -",
        )
    if value["upstream"] not in upstreams:
        raise ControlError(
            option + ".upstream",
            value["upstream"],
            "is not one of the upstreams",
            "use one of: " + (", ".join(sorted(upstreams)) or "(none is given)"),
        )
    return Route(
        path=path,
        exact=value["match"] == "exact",
        upstream=str(value["upstream"]),
        api_key=value["auth"] == "api_key",
        methods=tuple(m for m in METHODS if m in (value.get("methods") or ())),
        body_max=parse_size(option + ".body_max", value["body_max"]),
        read_timeout=_between(option + ".read_timeout", value["read_timeout"], 1, 86400),
        streaming=bool(value["streaming"]),
    )


def _clients(values: Sequence[Mapping[str, Any]], tiers: Iterable[str]) -> tuple[Client, ...]:
    clients = []
    for index, value in enumerate(values):
        option = "clients[%d]" % index
        if value["id"] in _MAP_WORDS:
            raise ControlError(
                option + ".id", value["id"], "is a keyword of nginx's map", "choose another id"
            )
        if value["tier"] not in tiers:
            raise ControlError(
                option + ".tier",
                value["tier"],
                "is not one of the tiers",
                "use one of: " + (", ".join(sorted(tiers)) or "(none is given)"),
            )
        credentials = tuple(
            parse_credential("%s.keys[%d]" % (option, i), k) for i, k in enumerate(value["keys"])
        )
        clients.append(
            Client(
                id=_match(_CLIENT, option + ".id", value["id"]),
                tier=str(value["tier"]),
                credentials=_some(option + ".keys", credentials),
            )
        )
    _refuse_twice("clients", "id", (client.id for client in clients))
    refuse_shared_keys([(client.id, one) for client in clients for one in client.credentials])
    return tuple(sorted(clients, key=lambda client: client.id))


def _network(index: int, value: object) -> str:
    option = "trusted_proxies[%d]" % index
    try:
        network = ipaddress.ip_network(str(value))
    except ValueError as error:
        raise ControlError(
            option, value, f"is not a network ({error})", "write a network such as 192.0.2.0/24"
        ) from None
    if network.prefixlen == 0:
        raise ControlError(
            option,
            value,
            "trusts every address, so any client could forge its address",
            "name only the networks of your proxies",
        )
    return str(network)


def _match(pattern: re.Pattern[str], option: str, value: object) -> str:
    text = str(value)
    if not pattern.fullmatch(text):
        raise ControlError(option, text, "is not a valid name", f"make it match {pattern.pattern}")
    return text


def _between(option: str, value: Any, low: int, high: int) -> int:
    if not low <= int(value) <= high:
        raise ControlError(
            option, value, "is out of range", "give a whole number from %d to %d" % (low, high)
        )
    return int(value)


def _some(option: str, values: tuple[Any, ...]) -> tuple[Any, ...]:
    if not values:
        raise ControlError(option, [], "is empty", "give at least one")
    return values


def _refuse_twice(option: str, what: str, values: Iterable[str]) -> None:
    seen = set()
    for value in values:
        if value in seen:
            raise ControlError(option, value, f"is given twice as {what}", "keep one of them")
        seen.add(value)
