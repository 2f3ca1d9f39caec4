# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Load on the gateway, from inside its host; prints one JSON object. Python 3.9 or newer, nothing else.

    load.py <port> <path> <count> [key]

The client is made to be cheap: a few connections, each with a batch of requests on its way, and answers that are
counted, not parsed. What nginx itself uses is read from the kernel, so the client's own share does not matter there.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from pathlib import Path

CONNECTIONS = 8
BATCH = 25  # requests on their way per connection
ANSWER = b"HTTP/1.1 200 OK"


def workers(unit: str = "nginx") -> list[int]:
    """The gateway's worker processes, not those of the stand-in."""
    show = ["systemctl", "show", unit, "--property=MainPID", "--value"]
    master = subprocess.run(show, capture_output=True, text=True, check=True).stdout.strip()
    return [int(pid) for pid in Path(f"/proc/{master}/task/{master}/children").read_text().split()]


def cpu_seconds(pids: list[int]) -> float:
    """CPU time of these processes so far; the kernel counts it in nanoseconds."""
    return sum(int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) for pid in pids) / 1e9


class Line:
    """One connection with at most one batch on its way."""

    def __init__(self, port: int, request: bytes) -> None:
        self._request = request
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, requests: int) -> None:
        """Put a batch on its way."""
        self._socket.sendall(self._request * requests)

    def take(self, answers: int) -> None:
        """Wait for a batch of answers; RuntimeError when one is not 200."""
        received = b""
        while received.count(b"HTTP/1.1 ") < answers or not received.endswith(b"answer\n"):
            piece = self._socket.recv(1 << 18)
            received += piece
            if not piece or received.count(ANSWER) < received.count(b"HTTP/1.1 ") - 1:
                break
        if received.count(ANSWER) != answers:
            raise RuntimeError(f"expected {answers} answers 200, received {received[:400]!r}")


def measure(port: int, path: str, count: int, key: str) -> dict[str, float]:
    """Send ``count`` requests and tell how many a second there were, and nginx's CPU for each."""
    header = f"X-API-Key: {key}\r\n" if key else ""
    request = f"GET {path} HTTP/1.1\r\nHost: bench.example.com\r\n{header}\r\n".encode()
    lines = [Line(port, request) for _unused in range(CONNECTIONS)]
    pids = workers()
    rounds = count // (CONNECTIONS * BATCH)
    before, began = cpu_seconds(pids), time.perf_counter()
    for _unused in range(rounds):
        for line in lines:
            line.send(BATCH)
        for line in lines:
            line.take(BATCH)
    wall, used = time.perf_counter() - began, cpu_seconds(pids) - before
    sent = rounds * CONNECTIONS * BATCH
    return {"requests": sent, "per_second": sent / wall, "cpu_microseconds": used / sent * 1e6}


if __name__ == "__main__":
    print(
        json.dumps(measure(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), "".join(sys.argv[4:])))
    )
