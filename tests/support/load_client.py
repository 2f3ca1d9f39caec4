# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small HTTP load client for the behaviour tests; it runs inside the test hosts (Python 3.9 or newer).

It reads one JSON object, the first line of standard input, and prints one JSON array: a result for each request.

    address, port        where to connect
    server_name          name for the TLS handshake; null sends none
    host                 Host header (default: server_name)
    tls                  null, or {ca: PEM text, protocol: TLSv1.1|TLSv1.2|TLSv1.3, certificate: path, key: path}
    source               own address to connect from; with "{n}" in it, each new connection has its own
    requests             [{method, path, headers: [[name, value]], body}], taken in turn; "{n}" is the request's number
    count                how many requests in all; without it, until standard input closes, and a line "begun" is
                         printed when the first answer is there
    least                without a count: how many at the least (default 1)
    rate                 requests started in a second at the most, over all connections, and no catching up after a
                         stall, which would be a burst; without it, as fast as they go
    connections          how many at a time
    reuse                keep a connection for the next request (default true)
    timeout              seconds to wait for an answer (default 20)

A result: {n, status, error, headers, body, started, ended, arrivals}; times in seconds of the machine's monotonic
clock, which all containers of one machine share; `arrivals` are the times at which pieces of the body came in.
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import sys
import threading
import time
from typing import Any, Dict, List, Optional

RETURNED_BODY_MAX = 4096  # characters


def tls_context(options: Dict[str, Any]) -> ssl.SSLContext:
    """A client context that trusts only the given authority; `nameless` does not compare the server's name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = not options.get("nameless")
    context.load_verify_locations(cadata=options["ca"])
    if options.get("protocol"):
        # The distribution's own floor would hide whether the server refuses an old protocol.
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        version = getattr(ssl.TLSVersion, options["protocol"].replace(".", "_"))
        context.minimum_version = version
        context.maximum_version = version
    if options.get("certificate"):
        context.load_cert_chain(options["certificate"], options["key"])
    return context


class Connection(http.client.HTTPConnection):
    """A connection to a fixed address that names another server in its handshake."""

    number = 0  # of the request that it is made for

    def __init__(self, spec: Dict[str, Any], context: Optional[ssl.SSLContext]) -> None:
        super().__init__(spec["address"], spec["port"], timeout=spec.get("timeout", 20))
        self._context = context
        self._server_name = spec.get("server_name")
        self._source = spec.get("source")

    def connect(self) -> None:
        if self._source:
            self.source_address = (self._source.replace("{n}", str(self.number)), 0)
        super().connect()
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._context is not None:
            self.sock = self._context.wrap_socket(self.sock, server_hostname=self._server_name)


class Schedule:
    """Hands out request numbers, each at its time, until the count is reached or the caller has had enough."""

    def __init__(self, count: Optional[int], rate: Optional[float], least: int) -> None:
        self._count = count
        self._least = least
        self._gap = 1 / rate if rate else 0.0
        self._next = 0
        self._due = 0.0
        self._lock = threading.Lock()
        self.stopped = threading.Event()

    def take(self) -> Optional[int]:
        with self._lock:
            number = self._next
            enough = self.stopped.is_set() and number >= self._least
            if enough or (self._count is not None and number >= self._count):
                return None
            self._next += 1
            due = self._due = max(self._due + self._gap, time.monotonic())
        pause = max(0.0, due - time.monotonic()) if self._gap else 0.0
        if number < self._least:
            time.sleep(pause)
        elif pause and self.stopped.wait(pause):
            return None
        return number


def send(
    connection: Connection, request: Dict[str, Any], number: int, host: str, result: Dict[str, Any]
) -> None:
    """Make one request and fill its result in; raises OSError or HTTPException."""
    body = request.get("body")
    connection.putrequest(
        request.get("method", "GET"), request["path"].replace("{n}", str(number)), skip_host=True
    )
    connection.putheader("Host", host)
    for name, value in request.get("headers", []):
        connection.putheader(name, value.replace("{n}", str(number)))
    if body is not None:
        connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(None if body is None else body.encode())
    response = connection.getresponse()
    headers: Dict[str, List[str]] = {}
    for name, value in response.getheaders():
        headers.setdefault(name.lower(), []).append(value)
    result.update(status=response.status, headers=headers)
    pieces = []
    while True:
        piece = response.read1(65536)
        if not piece:
            break
        result["arrivals"].append(time.monotonic())
        pieces.append(piece)
    response.close()  # before Python 3.13 reading to the end by read1() does not free the connection
    result["body"] = b"".join(pieces).decode("utf-8", "replace")[:RETURNED_BODY_MAX]


def work(spec: Dict[str, Any], schedule: Schedule, results: List[Dict[str, Any]]) -> None:
    """One connection's life: take a number, send, note what came back."""
    context = tls_context(spec["tls"]) if spec.get("tls") else None
    connection = Connection(spec, context)
    requests = spec["requests"]
    host = spec.get("host") or spec["server_name"] or spec["address"]
    while True:
        number = schedule.take()
        if number is None:
            break
        result: Dict[str, Any] = {
            "n": number,
            "status": None,
            "error": "",
            "headers": {},
            "body": "",
            "arrivals": [],
        }
        result["started"] = time.monotonic()
        connection.number = number
        try:
            send(connection, requests[number % len(requests)], number, host, result)
        except (OSError, http.client.HTTPException) as error:
            result["error"] = f"{type(error).__name__}: {error}"
            connection.close()
        result["ended"] = time.monotonic()
        results.append(result)
        if not spec.get("reuse", True):
            connection.close()
    connection.close()


def run(spec: Dict[str, Any]) -> List[Dict[str, Any]]:
    """Make all requests; the results in the order of their numbers."""
    schedule = Schedule(spec.get("count"), spec.get("rate"), spec.get("least", 1))
    results: List[Dict[str, Any]] = []
    threads = [
        threading.Thread(target=work, args=(spec, schedule, results))
        for _unused in range(spec.get("connections", 1))
    ]
    for thread in threads:
        thread.start()
    if spec.get("count") is None:
        while not results and threads[0].is_alive():
            time.sleep(0.01)
        print("begun", flush=True)
        sys.stdin.read()
        schedule.stopped.set()
    for thread in threads:
        thread.join()
    return sorted(results, key=lambda result: int(result["n"]))


if __name__ == "__main__":
    print(json.dumps(run(json.loads(sys.stdin.readline()))))
