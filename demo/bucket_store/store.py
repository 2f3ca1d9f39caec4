# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small object store of the demo and the tests: moto's server on loopback, and buckets as nobody should leave them.

    store.py start PORT PIDFILE    start it and make the buckets, unless it runs; says "started" or "running"
    store.py stop PORT PIDFILE     end it; says "stopped" or "absent"

It ends by itself when its PIDFILE goes away, so that removing the directory of the demo removes it as well.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

SECONDS = 60
OPEN_TO = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject"}
LOGS_FROM = {
    "Effect": "Allow",
    "Principal": {"Service": "logging.s3.amazonaws.com"},
    "Action": "s3:PutObject",
}


def answers(port: int) -> bool:
    """Whether something listens there."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait(port: int, wanted: bool) -> None:
    """Wait until it listens, or does no longer."""
    until = time.monotonic() + SECONDS
    while answers(port) is not wanted:
        if time.monotonic() > until:
            raise SystemExit(f"the object store on port {port} did not come or go in {SECONDS} s")
        time.sleep(0.1)


def statement(sid: str, bucket: str, allowed: dict[str, Any]) -> str:
    """A policy of one statement about the bucket's objects."""
    made = {"Sid": sid, **allowed, "Resource": f"arn:aws:s3:::{bucket}/*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [made]})


def make_buckets(port: int) -> None:
    """Buckets as they are found in the wild."""
    import boto3  # noqa: PLC0415 - 'stop' needs nothing of it

    s3 = boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name="us-east-1",
        aws_access_key_id="demo",
        aws_secret_access_key="demo",  # noqa: S106 - it guards nothing
    )
    for name in ("twin-logs", "twin-models", "twin-open-weights", "twin-telemetry"):
        s3.create_bucket(Bucket=name)
    s3.put_bucket_acl(Bucket="twin-models", ACL="public-read")
    opened = statement("PublicRead", "twin-open-weights", OPEN_TO)
    s3.put_bucket_policy(Bucket="twin-open-weights", Policy=opened)
    logged = statement("AccessLogs", "twin-logs", LOGS_FROM)
    s3.put_bucket_policy(Bucket="twin-logs", Policy=logged)


def start(port: int, pidfile: Path, program: list[str] | None = None) -> str:
    """Start it in the background; another program than this one makes its own buckets."""
    if pidfile.exists() and answers(port):
        return "running"
    if answers(port):
        raise SystemExit(f"port {port} is taken by something else")
    pidfile.parent.mkdir(parents=True, exist_ok=True)
    subprocess.Popen(
        [*(program or [sys.executable, __file__]), "serve", str(port), str(pidfile)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        cwd="/",
    )
    wait(port, wanted=True)
    if program is None:
        make_buckets(port)
    return "started"


def serve(port: int, pidfile: Path) -> str:
    """Serve for as long as the pidfile is ours."""
    from moto.server import ThreadedMotoServer  # noqa: PLC0415 - as above

    pidfile.write_text(str(os.getpid()), "utf-8")
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=port)
    server.start()
    while pidfile.exists() and pidfile.read_text("utf-8") == str(os.getpid()):
        time.sleep(0.5)
    server.stop()
    return "ended"


def stop(port: int, pidfile: Path) -> str:
    """Have it end."""
    if not pidfile.exists():
        return "absent"
    pidfile.unlink()
    wait(port, wanted=False)
    return "stopped"


def main(arguments: list[str]) -> None:
    """Do the one thing that is asked for."""
    deeds = {"start": start, "serve": serve, "stop": stop}
    if len(arguments) != 3 or arguments[0] not in deeds:
        raise SystemExit(__doc__)
    print(deeds[arguments[0]](int(arguments[1]), Path(arguments[2]).resolve()))


if __name__ == "__main__":
    main(sys.argv[1:])
