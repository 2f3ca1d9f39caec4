# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the gateway costs: a run that changes nothing, a request, and very many clients.

    python3 bench/gateway.py [repetitions]      default 7, at least 5

All is measured in one go on one throw-away host, so the ratios mean something; how to read them is in bench/README.md.
Nothing here passes or fails by a time.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Callable, Mapping, NamedTuple, Sequence

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

import engine as engines
import image as images
from workshop import BUILD, ROOT, VENV, Problem, main, say, tool_env

BENCH = ROOT / "bench"
HOST = "tgb-gateway-12"
ROLE = ROOT / "playbooks" / "model_gateway.yml"
LEAST, DEFAULT = 5, 7  # repetitions
REQUESTS = 20_000
ROUNDS = 3  # of the request measurement
SIZES = (1, 1_000, 10_000)  # clients
KEY = "benchmark-of-twinguard-{:06d}"
WORK = BUILD / "bench"
PEERS_PING = (1.30, 0.78)
# Second runs of roles that change nothing, from this project's survey: wall s, controller CPU s.
PEERS = (
    ("nginxinc.nginx_config, 1 proxied site", 5.39, 3.1),
    ("devsec nginx_hardening", 6.15, 2.1),
    ("geerlingguy.nginx 3.2.0, 1 vhost", 7.9, 2.5),
    ("devsec os_hardening 10.6.0", 47.6, 14.3),
)


class Cost(NamedTuple):
    """Seconds of one command: by the clock, and of CPU of it and all its children."""

    wall: float
    cpu: float


class Bench:
    """The throw-away host and the ways to reach it."""

    def __init__(self, engine: str) -> None:
        self.engine = engine
        self.env = {**tool_env(), **engines.environment(engine), "ANSIBLE_RETRY_FILES_ENABLED": "0"}

    def play(self, playbook: Path, *words: str) -> Cost:
        """Run a playbook on the host; a Problem with its output when it fails."""
        program = str(VENV / "bin" / "ansible-playbook")
        argv = [program, "-i", str(BENCH / "hosts.yml"), str(playbook), *words]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        began = time.perf_counter()
        done = subprocess.run(
            argv, env=self.env, cwd=ROOT, capture_output=True, text=True, check=False
        )
        wall = time.perf_counter() - began
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode != 0:
            raise Problem(
                f"{playbook.name} failed on {HOST}:\n{(done.stdout + done.stderr)[-4000:]}"
            )
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return Cost(wall, cpu)

    def on_host(self, *argv: str, stdin: str = "") -> str:
        """Run a program on the host and return what it printed; a Problem when it fails."""
        command = [self.engine, "exec", "-i", HOST, *argv]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Problem(
                f"`{' '.join(argv)}` failed on {HOST}: {(done.stdout + done.stderr)[-2000:]}"
            )
        return done.stdout

    def load(self, port: str, path: str, key: str = "") -> Mapping[str, float]:
        """Send requests on the host: see bench/load.py for what comes back."""
        script = (BENCH / "load.py").read_text("utf-8")
        words = [port, path, str(REQUESTS), *([key] if key else [])]
        return dict(json.loads(self.on_host("python3", "-", *words, stdin=script)))

    def modules_started(self, act: Callable[[], Cost]) -> int:
        """How many modules a run starts on the host, counted by its interpreter (see bench/up.yml)."""
        self.on_host("rm", "-f", "/run/bench.starts")
        act()
        return len(self.on_host("cat", "/run/bench.starts").splitlines())


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns, the first to the left and the others to the right."""
    lines = [list(head), *map(list, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    shown = []
    for line in lines:
        cells = [line[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(line[1:], widths[1:])]
        shown.append("  " + "  ".join(cells).rstrip())
    return "\n".join([shown[0], "  " + "-" * (len(shown[0]) - 2), *shown[1:]])


def median(costs: Sequence[Cost]) -> Cost:
    """The median of each column."""
    return Cost(
        statistics.median(one.wall for one in costs), statistics.median(one.cpu for one in costs)
    )


def spread(values: Sequence[float], digits: int) -> str:
    """Lowest to highest."""
    return f"{min(values):.{digits}f}..{max(values):.{digits}f}"


def steady(bench: Bench, repetitions: int) -> str:
    """A role run that changes nothing beside a play of one ping, in turn; and beside the peers."""
    ping, role = BENCH / "ping.yml", ROLE
    for playbook in (ping, role):
        bench.play(playbook)  # warm: caches on both sides, and the role's change made
    pings, roles = [], []
    for number in range(1, repetitions + 1):
        say(f"    steady run {number} of {repetitions}")
        pings.append(bench.play(ping))
        roles.append(bench.play(role))
    modules = bench.modules_started(lambda: bench.play(role))
    base, ours = median(pings), median(roles)
    wide = [
        (name, f"{cost.wall:.2f}", spread([one.wall for one in costs], 2), f"{cost.cpu:.2f}",
         f"{cost.wall / base.wall:.2f}x", f"{cost.cpu / base.cpu:.2f}x")
        for name, cost, costs in (("one ping", base, pings), ("role model_gateway, nothing to change", ours, roles))
    ]  # fmt: skip
    others = [
        (name, f"{wall:.2f}", "", f"{cpu:.2f}", f"{wall / PEERS_PING[0]:.2f}x", f"{cpu / PEERS_PING[1]:.2f}x")
        for name, wall, cpu in (("one ping", *PEERS_PING), *PEERS)
    ]  # fmt: skip
    head = ("median", "wall s", "from..to", "controller CPU s", "wall to ping", "CPU to ping")
    return "\n".join([
        f"A run that changes nothing ({repetitions} in turn; pipelining; facts gathered by the play)",
        table(head, wide),
        f"  modules started on the host by that run: {modules} (facts, package, gateway)",
        "",
        "Peers' second runs: NOT measured here, but on another day on the same kind of machine, over ssh",
        table(head, others),
    ])  # fmt: skip


def requests(bench: Bench) -> str:
    """What one request costs nginx: through the gateway with and without a key, and without a gateway."""
    kinds = (
        ("nginx without a gateway", "8081", "/keyed/x", ""),
        ("gateway, route without a key", "8080", "/open/x", ""),
        ("gateway, route with a key", "8080", "/keyed/x", KEY.format(0)),
    )
    found: dict[str, list[Mapping[str, float]]] = {name: [] for name, *_rest in kinds}
    for number in range(1, ROUNDS + 1):
        say(f"    requests, round {number} of {ROUNDS}")
        for name, port, path, key in kinds:
            found[name].append(bench.load(port, path, key))
    rate = {
        name: statistics.median(one["per_second"] for one in all_) for name, all_ in found.items()
    }
    cpu = {
        name: statistics.median(one["cpu_microseconds"] for one in all_)
        for name, all_ in found.items()
    }
    open_ = kinds[1][0]
    rows = [
        (
            name,
            f"{rate[name]:.0f}",
            f"{rate[name] / rate[open_]:.2f}x",
            f"{cpu[name]:.1f}",
            f"{cpu[name] / cpu[open_]:.2f}x",
        )
        for name, *_rest in kinds
    ]
    head = ("median", "requests/s", "to no key", "nginx CPU us/request", "to no key")
    title = f"A request ({ROUNDS} rounds of {REQUESTS}, plain HTTP on loopback, a small answer)"
    return f"{title}\n{table(head, rows)}"


def clients(count: int) -> Path:
    """A file of variables with so many clients, each with its own key."""
    # The end of a key tells clients apart on the gateway, so that is what counts up.
    listed = [
        {
            "id": f"c{number:06d}",
            "tier": "wide",
            "keys": [{"key": KEY.format(number)}],
        }
        for number in range(count)
    ]
    WORK.mkdir(parents=True, exist_ok=True)
    path = WORK / f"clients-{count}.json"
    path.write_text(json.dumps({"model_gateway_clients": listed}), "utf-8")
    return path


def timed_test(bench: Bench) -> float:
    """Seconds that `nginx -t` takes on the host, without the way to it."""
    script = (
        "import subprocess, time\n"
        "began = time.perf_counter()\n"
        "subprocess.run(['nginx', '-t'], check=True, capture_output=True)\n"
        "print(time.perf_counter() - began)\n"
    )
    return statistics.median(float(bench.on_host("python3", "-c", script)) for _unused in range(5))


def sizes(bench: Bench) -> str:
    """The role and nginx with 1, 1,000 and 10,000 clients: with a change, and with nothing to change."""
    rows = []
    for count in SIZES:
        say(f"    {count} clients")
        words = ("-e", f"@{clients(count)}")
        first = bench.play(ROLE, *words)
        again = median([bench.play(ROLE, *words) for _unused in range(3)])
        asked = [bench.load("8080", "/keyed/x", KEY.format(count - 1)) for _unused in range(ROUNDS)]
        request = statistics.median(one["cpu_microseconds"] for one in asked)
        rows.append(
            (
                f"{count:,} clients",
                f"{first.wall:.2f}",
                f"{again.wall:.2f}",
                f"{again.cpu:.2f}",
                f"{timed_test(bench):.3f}",
                f"{request:.1f}",
            )
        )
    head = (
        "",
        "first run s",
        "next run s",
        "controller CPU s",
        "nginx -t s",
        "nginx CPU us/request",
    )
    return f"Many clients (the next run is a median of 3; nginx -t of 5)\n{table(head, rows)}"


def measure(repetitions: int) -> None:
    """Start the host, measure, remove it, show."""
    bench = Bench(engines.ensure(os.environ))
    images.ensure(bench.engine, os.environ)
    say(f"Starting {HOST} ...")
    try:
        bench.play(BENCH / "up.yml")
        say("Installing the gateway ...")
        bench.play(ROLE)
        bench.on_host("nginx", "-c", "/etc/bench-stand-in.conf")
        parts = [steady(bench, repetitions), requests(bench), sizes(bench)]
    finally:
        bench.play(BENCH / "down.yml")
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    say(f"\n{chr(10).join(part + chr(10) for part in parts)}")
    say(f"{os.cpu_count()} CPUs, load {load} at the end. How to read this: bench/README.md")


def _body(arguments: list[str]) -> int:
    repetitions = int(arguments[0]) if arguments and arguments[0].isdigit() else DEFAULT
    if len(arguments) > 1 or (arguments and not arguments[0].isdigit()) or repetitions < LEAST:
        raise Problem(f"Usage: gateway.py [repetitions], at least {LEAST}")
    measure(repetitions)
    return 0


if __name__ == "__main__":
    main(_body)
