# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the bucket guard costs: beside a loop over amazon.aws.s3_bucket, and beside bare boto3 calls.

    s3.py [buckets [looped]]    how many buckets (300), and over how many of them the loop goes (20)

A server of moto on loopback answers each request after 30 ms more than it needs. It runs on the same machine and takes
its share of the processors. Nothing passes or fails by a time; read the ratios.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LATENCY = 0.03
WORKERS = 16
ROUNDS = 3
BLOCKS = (
    "block_public_acls",
    "ignore_public_acls",
    "block_public_policy",
    "restrict_public_buckets",
)
READS = (
    "get_public_access_block",
    "get_bucket_ownership_controls",
    "get_bucket_encryption",
    "get_bucket_versioning",
)


def serve() -> None:
    """The store, slow on purpose; prints its port."""
    # ruff: noqa: PLC0415 - what the server needs must not count against the bare calls
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    app = DomainDispatcherApplication(create_backend_app)

    class Quiet(WSGIRequestHandler):
        # It closes each connection all the same, so that both sides pay for a new one with each request.
        protocol_version = "HTTP/1.1"

        def log(self, *_unused: Any) -> None:
            """Say nothing."""

    def slow(environ: Any, start: Any) -> Any:
        time.sleep(LATENCY)
        return app(environ, start)

    server = make_server("127.0.0.1", 0, slow, threaded=True, request_handler=Quiet)
    print(server.server_port, flush=True)
    server.serve_forever()


def client(url: str) -> Any:
    """A client as fast as it gets."""
    import boto3
    from botocore.config import Config

    config = Config(
        max_pool_connections=WORKERS,
        parameter_validation=False,
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    keys = {"aws_access_key_id": "bench", "aws_secret_access_key": "bench"}
    return boto3.client("s3", endpoint_url=url, region_name="us-east-1", config=config, **keys)


def bare(url: str, names: list[str]) -> None:
    """The limit: the same calls and nothing else, in a process of its own."""
    s3 = client(url)
    s3.list_buckets(MaxBuckets=10000, Prefix="bench-")

    def one(name: str) -> None:
        for read in READS:
            getattr(s3, read)(Bucket=name)

    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(one, names))


def play(url: str, tasks: list[dict[str, Any]], directory: str) -> tuple[float, str]:
    """Seconds of a playbook, and what it said."""
    for task in tasks:
        for options in task.values():
            if isinstance(options, dict) and "endpoint_url" in options:
                options.update({"endpoint_url": url, "region": "us-east-1"})
                options.update({"access_key": "bench", "secret_key": "bench-secret"})
    python = {"ansible_python_interpreter": "{{ ansible_playbook_python }}"}
    playbook = Path(directory, "play.json")
    document = [
        {
            "hosts": "localhost",
            "connection": "local",
            "gather_facts": False,
            "vars": python,
            "tasks": tasks,
        }
    ]
    playbook.write_text(json.dumps(document), "utf-8")
    env = {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".build" / "collections"),
        "ANSIBLE_PIPELINING": "1",
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_LOCALHOST_WARNING": "0",
    }
    began = time.perf_counter()
    done = subprocess.run(
        [str(Path(sys.executable).parent / "ansible-playbook"), str(playbook)],
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - began
    if done.returncode:
        raise SystemExit(done.stdout[-2000:] + done.stderr[-2000:])
    return seconds, done.stdout


def guard() -> list[dict[str, Any]]:
    """Our one task."""
    policy = {
        "ownership": "BucketOwnerEnforced",
        "public_access_block": True,
        "encryption": {"algorithm": "AES256"},
        "versioning": "enabled",
    }
    options = {"endpoint_url": "", "buckets": ["bench-*"], "policy": policy, "max_workers": WORKERS}
    return [{"name": "Guard", "twinguard.hardening.s3_guard": options}]


def loop(names: list[str]) -> list[dict[str, Any]]:
    """The same with a task for each bucket."""
    options = {
        "endpoint_url": "",
        "name": "{{ item }}",
        "object_ownership": "BucketOwnerEnforced",
        "public_access": dict.fromkeys(BLOCKS, True),
        "encryption": "AES256",
        "versioning": True,
    }
    return [{"name": "Loop", "amazon.aws.s3_bucket": options, "loop": names}]


def measure(count: int, looped: int) -> None:
    """Start the store, make the buckets, measure in turn, show."""
    server = subprocess.Popen(
        [sys.executable, __file__, "serve"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    names = [f"bench-{number:05d}" for number in range(count)]
    try:
        line = server.stdout.readline() if server.stdout else ""
        url = f"http://127.0.0.1:{line.strip()}"
        s3 = client(url)
        with ThreadPoolExecutor(WORKERS) as pool:
            list(pool.map(lambda name: s3.create_bucket(Bucket=name), names))
        with tempfile.TemporaryDirectory() as directory:
            first, _said = play(url, guard(), directory)
            found: dict[str, list[float]] = {"ping": [], "guard": [], "bare": []}
            for _unused in range(ROUNDS):
                ping = [{"name": "Ping", "ansible.builtin.ping": {}}]
                found["ping"].append(play(url, ping, directory)[0])
                seconds, said = play(url, guard(), directory)
                if "changed=0" not in said:
                    raise SystemExit(
                        "the guard changed something in a run that should change nothing"
                    )
                found["guard"].append(seconds)
                began = time.perf_counter()
                words = [sys.executable, __file__, "bare", url, *names]
                subprocess.run(words, check=True)
                found["bare"].append(time.perf_counter() - began)
            middle = {name: statistics.median(all_) for name, all_ in found.items()}
            looping, said = play(url, loop(names[:looped]), directory)
    finally:
        server.kill()
        server.wait()
    each = (looping - middle["ping"]) / looped
    whole = middle["ping"] + each * count
    print(
        f"{count} buckets, {len(READS)} settings, {LATENCY * 1000:.0f} ms per request, {WORKERS} at a time"
    )
    print(f"  a play of one ping                              {middle['ping']:7.2f} s")
    print(f"  s3_guard, first run (all four settings changed) {first:7.2f} s")
    print(f"  s3_guard, nothing to change                     {middle['guard']:7.2f} s")
    print(f"  the same calls by bare boto3, its start included{middle['bare']:7.2f} s")
    print(
        f"  loop over amazon.aws.s3_bucket, nothing changes {whole:7.2f} s  ({looped} measured: {looping:.2f} s)"
    )
    print(f"  loop / s3_guard                                 {whole / middle['guard']:7.1f} x")
    print(
        f"  s3_guard / bare boto3                           {middle['guard'] / middle['bare']:7.2f} x"
    )
    less = middle["guard"] - middle["ping"]
    print(f"  s3_guard less the ping / bare boto3             {less / middle['bare']:7.2f} x")
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"  {os.cpu_count()} CPUs, load {load} at the end")


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve()
    elif sys.argv[1:2] == ["bare"]:
        bare(sys.argv[2], sys.argv[3:])
    else:
        given = [int(word) for word in sys.argv[1:3]]
        measure(*(given + [300, 20][len(given) :]))
