# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Probes a running server: handshakes, responses, log lines (I/O)."""

from __future__ import annotations

import http.client
import os
import socket
import ssl
import time
from typing import Any, Mapping

from .x509 import not_after

_SECONDS = 5.0  # for one connection to this very host
_TAIL = 65536  # bytes of a log that are searched
_PROTOCOLS = {
    "TLSv1": ssl.TLSVersion.TLSv1,
    "TLSv1.1": ssl.TLSVersion.TLSv1_1,
    "TLSv1.2": ssl.TLSVersion.TLSv1_2,
    "TLSv1.3": ssl.TLSVersion.TLSv1_3,
}


def marker(port: int, name: str, host: str) -> str | None:
    """The generation that the marker on loopback reports; None if our marker does not answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_SECONDS)
    try:
        connection.request("GET", "/twinguard/" + name, headers={"Host": host})
        response = connection.getresponse()
        body = response.read(64)
        return body.decode("ascii", "replace").strip() if response.status == 200 else None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def probe(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Carry out one probe; ``outcome`` is what happened, ``met`` whether that was expected.

    Outcomes: ``accepted`` or ``refused`` of a handshake, the status of a request, ``closed`` when
    the server closed the connection without a response, ``unreachable``, or ``unsupported`` when this
    host's TLS library cannot make the probe.
    """
    try:
        result = _handshake(wanted) if wanted["kind"] == "handshake" else _request(wanted)
    except (OSError, http.client.HTTPException) as error:
        result = {"outcome": "unreachable", "detail": str(error)}
    result["id"] = wanted["id"]
    # The result of an unsupported probe is unknown: neither met nor unmet.
    result["met"] = (
        None if result["outcome"] == "unsupported" else result["outcome"] in wanted["expect"]
    )
    if wanted.get("log") and result.get("request_id"):
        result["logged"] = _logged(wanted["log"], result["request_id"])
        if not result["logged"]:
            result.update(met=False, detail=f"the request did not appear in {wanted['log']}")
    return result


def _context(protocol: str | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # The probe tests what the server does, not its identity: it is this host.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if protocol:
        # Distributions disable old protocols in clients; without this our own side would refuse.
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = context.maximum_version = _PROTOCOLS[protocol]
    return context


def _handshake(wanted: Mapping[str, Any]) -> dict[str, Any]:
    try:
        context = _context(wanted.get("protocol"))
    except (ssl.SSLError, ValueError) as error:
        return {"outcome": "unsupported", "detail": str(error)}
    with socket.create_connection((wanted["address"], wanted["port"]), timeout=_SECONDS) as raw:
        try:
            with context.wrap_socket(raw, server_hostname=wanted["server_name"]) as tls:
                certificate = tls.getpeercert(binary_form=True) or b""
                return {
                    "outcome": "accepted",
                    "protocol": tls.version(),
                    "cipher": (tls.cipher() or ("",))[0],
                    "not_after": not_after(certificate),
                    "now": int(time.time()),
                }
        except ssl.SSLError as error:
            if getattr(error, "reason", "") in ("NO_PROTOCOLS_AVAILABLE", "NO_CIPHERS_AVAILABLE"):
                return {"outcome": "unsupported", "detail": str(error)}
            return {"outcome": "refused", "detail": str(error.reason or error)}
        except (ConnectionError, EOFError) as error:
            return {"outcome": "refused", "detail": str(error)}


def _request(wanted: Mapping[str, Any]) -> dict[str, Any]:
    connection = http.client.HTTPConnection(wanted["address"], wanted["port"], timeout=_SECONDS)
    connection.connect()
    try:
        if wanted["tls"]:
            connection.sock = _context(None).wrap_socket(
                connection.sock, server_hostname=wanted["server_name"]
            )
        connection.request(
            wanted["method"], wanted["path"], headers={"Host": wanted["server_name"]}
        )
        response = connection.getresponse()
        return {"outcome": str(response.status), "request_id": response.getheader("X-Request-Id")}
    except ssl.SSLError as error:
        return {"outcome": "refused", "detail": str(error.reason or error)}
    except ConnectionError as error:
        return {"outcome": "closed", "detail": str(error)}
    finally:
        connection.close()


def _logged(path: str, request_id: str) -> bool:
    """Nginx writes the log line shortly after the response: look for it for one second."""
    deadline = time.monotonic() + 1.0
    while True:
        if request_id.encode() in read_tail(path):
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)


def read_tail(path: str, since: int | None = None) -> bytes:
    """The end of a log, or its part from byte ``since`` on (at most 64 KiB); empty if unreadable."""
    try:
        if not os.path.isfile(path):  # /dev/stderr and the like would never end
            return b""
        with open(path, "rb") as handle:
            size = handle.seek(0, os.SEEK_END)
            handle.seek(max(size - _TAIL, 0 if since is None or since > size else since, 0))
            return handle.read(_TAIL)
    except OSError:
        return b""
