# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may talk to the server: Basic with each request, NTLM once per connection, and NTLM's encrypted messages.

A `Gate` belongs to the server and knows the users; a `Login` belongs to one connection and knows how far its client is.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os
import re
import threading
from pathlib import Path
from typing import Mapping, Sequence

import spnego
from spnego.channel_bindings import GssChannelBindings
from spnego.exceptions import SpnegoError

SOAP = "application/soap+xml;charset=UTF-8"
SEALED = "application/HTTP-SPNEGO-session-encrypted"
BOUNDARY = b"--Encrypted Boundary"
OCTETS = b"\tContent-Type: application/octet-stream\r\n"
OFFERS = {"basic": ('Basic realm="WSMAN"',), "ntlm": ("Negotiate", "NTLM")}

# pyspnego finds the users of an NTLM server through the environment only, which all threads share.
_environment = threading.Lock()


class Unreadable(Exception):
    """An encrypted message that this connection's keys do not open."""


class Gate:
    """The users and the schemes of one server. `folder` holds the file pyspnego reads the users from."""

    def __init__(
        self,
        users: Mapping[str, str],
        schemes: Sequence[str],
        folder: Path,
        channel_binding: bytes | None,
    ) -> None:
        """Write the users down for NTLM; with TLS a login must be tied to the certificate."""
        self.users = dict(users)
        self.schemes = tuple(schemes)
        self.offers = [offer for scheme in schemes for offer in OFFERS[scheme]]
        self.binding = channel_binding and GssChannelBindings(application_data=channel_binding)
        self._file = folder / "users"
        if any(":" in text for pair in users.items() for text in pair):
            raise ValueError("pyspnego's file of users has no way to write a colon")
        with os.fdopen(os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as to:
            for user, password in users.items():
                domain, _slash, name = user.rpartition("\\")
                to.write(f"{domain}:{name}:{password}\n")

    def knows(self, credentials: str) -> bool:
        """Check what Basic carries: user and password in base64."""
        try:
            plain = base64.b64decode(credentials)
        except binascii.Error:
            return False
        # RFC 7617 leaves the encoding open: requests takes Latin-1 where others take UTF-8.
        return any(self._right(plain.decode(code, "replace")) for code in ("utf-8", "latin-1"))

    def _right(self, credentials: str) -> bool:
        user, _colon, password = credentials.partition(":")
        right = self.users.get(user)
        return right is not None and hmac.compare_digest(right.encode(), password.encode())

    def step(
        self, context: spnego.ContextProxy | None, token: bytes
    ) -> tuple[spnego.ContextProxy, bytes | None]:
        """Take one token of the handshake, in a new context if there is none."""
        with _environment:
            before = os.environ.get("NTLM_USER_FILE")
            os.environ["NTLM_USER_FILE"] = str(self._file)
            try:
                context = context or spnego.server(
                    protocol="ntlm",
                    options=spnego.NegotiateOptions.use_ntlm,
                    channel_bindings=self.binding or None,
                )
                return context, context.step(token)
            finally:
                os.environ.pop("NTLM_USER_FILE")
                if before is not None:
                    os.environ["NTLM_USER_FILE"] = before


class Login:
    """How far the client of one connection got."""

    def __init__(self, gate: Gate) -> None:
        """A connection begins as nobody's."""
        self._gate = gate
        self._context: spnego.ContextProxy | None = None

    def challenges(self, authorization: str) -> list[str]:
        """What the client is asked for next; nothing if it may go on."""
        scheme, _space, credentials = authorization.partition(" ")
        if scheme.lower() == "basic" and "basic" in self._gate.schemes:
            return [] if self._gate.knows(credentials) else self._gate.offers
        if scheme.lower() in ("ntlm", "negotiate") and "ntlm" in self._gate.schemes:
            return self._handshake(scheme, credentials)
        # NTLM proves a connection, not a request: what follows on it needs no header.
        if not scheme and self._context is not None and self._context.complete:
            return []
        return self._gate.offers

    def _handshake(self, scheme: str, credentials: str) -> list[str]:
        going_on = self._context if self._context and not self._context.complete else None
        self._context = None
        try:
            self._context, token = self._gate.step(going_on, base64.b64decode(credentials))
        except (SpnegoError, ValueError):
            # A wrong password, an unknown user and a broken token look alike from outside.
            return self._gate.offers
        return [f"{scheme} {base64.b64encode(token).decode()}"] if token else []

    def opened(self, content_type: str, body: bytes) -> tuple[bytes, bool]:
        """The message in a body, and whether it was encrypted."""
        if not content_type.startswith("multipart/encrypted"):
            return body, False
        if self._context is None or not self._context.complete:
            raise Unreadable("no keys were agreed upon on this connection")
        found = re.fullmatch(
            re.escape(BOUNDARY)
            + rb"\r\n.*?Length=(\d+)\r\n"
            # Cipher text may hold any bytes, so its end is looked for from behind.
            + re.escape(BOUNDARY + b"\r\n" + OCTETS)
            + rb"(.*)"
            + re.escape(BOUNDARY)
            + rb"--\r\n",
            body,
            re.DOTALL,
        )
        if not found:
            raise Unreadable("the body has not the two parts of an encrypted message")
        sealed = found[2]
        length = int.from_bytes(sealed[:4], "little")
        try:
            plain = self._context.unwrap_winrm(sealed[4 : 4 + length], sealed[4 + length :])
        except SpnegoError as error:
            raise Unreadable(str(error)) from error
        if len(plain) != int(found[1]):
            raise Unreadable("the length that was announced is not that of the message")
        return plain, True

    def sealed(self, message: bytes) -> tuple[str, bytes]:
        """Content type and body of an encrypted answer."""
        if self._context is None:
            raise Unreadable("no keys were agreed upon on this connection")
        wrapped = self._context.wrap_winrm(message)
        body = (
            BOUNDARY
            + f"\r\n\tContent-Type: {SEALED}\r\n\tOriginalContent: type={SOAP};".encode()
            + f"Length={len(message)}\r\n".encode()
            + (BOUNDARY + b"\r\n" + OCTETS)
            + len(wrapped.header).to_bytes(4, "little")
            + wrapped.header
            + wrapped.data
            + (BOUNDARY + b"--\r\n")
        )
        boundary = 'boundary="Encrypted Boundary"'
        return f'multipart/encrypted;protocol="{SEALED}";{boundary}', body
