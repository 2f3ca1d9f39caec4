# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The types of a validated gateway policy (pure)."""

from __future__ import annotations

from dataclasses import dataclass

from .keys import Credential


@dataclass(frozen=True)
class Rate:
    """A request rate in the whole numbers that nginx accepts; ``unit`` is ``s`` or ``m``."""

    requests: int
    unit: str

    @property
    def text(self) -> str:
        """The rate in nginx's notation: ``10r/s``."""
        return "%dr/%s" % (self.requests, self.unit)

    @property
    def retry_after(self) -> int:
        """Whole seconds until one more request fits, at least 1 (the Retry-After header)."""
        window = 1 if self.unit == "s" else 60
        return max(1, -(-window // self.requests))


@dataclass(frozen=True)
class Limit:
    """The limits on requests and concurrent connections for one key of a zone; None = no such limit."""

    rate: Rate | None
    burst: int
    nodelay: bool
    connections: int | None


@dataclass(frozen=True)
class Listen:
    """One listening socket; IPv6 addresses have brackets."""

    address: str
    port: int

    @property
    def text(self) -> str:
        """``address:port``."""
        return "%s:%d" % (self.address, self.port)


@dataclass(frozen=True)
class Tls:
    """Certificate and key are paths on the gateway; ``hsts_max_age`` is in seconds, 0 = no header."""

    certificate: str
    key: str
    profile: str
    hsts_max_age: int
    client_ca: str | None
    client_verify: str


@dataclass(frozen=True)
class Upstream:
    """A group of model servers; with ``ca`` over https, and their certificate is verified for ``server_name``."""

    name: str
    servers: tuple[str, ...]
    keepalive: int
    ca: str | None
    server_name: str | None


@dataclass(frozen=True)
class Route:
    """A path and its upstream; ``body_max`` in bytes (0 = unlimited), ``read_timeout`` in seconds."""

    path: str
    exact: bool
    upstream: str
    api_key: bool
    methods: tuple[str, ...]
    body_max: int
    read_timeout: int
    streaming: bool


@dataclass(frozen=True)
class Client:
    """A client: its keys (several during rotation) and its tier."""

    id: str
    tier: str
    credentials: tuple[Credential, ...]


@dataclass(frozen=True)
class Policy:
    """The whole policy, validated."""

    name: str
    server_names: tuple[str, ...]
    listen: tuple[Listen, ...]
    tls: Tls | None
    upstreams: tuple[Upstream, ...]
    routes: tuple[Route, ...]
    tiers: tuple[tuple[str, Limit], ...]
    clients: tuple[Client, ...]
    address_limit: Limit
    rejected_limit: Limit
    trusted_proxies: tuple[str, ...]
    dry_run: bool
    log_path: str
    log_keep_days: int
    marker_port: int
