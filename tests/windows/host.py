# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A simulated Windows host on loopback for the demo, the scenarios and the benches.

    host.py start CONFIG    start it in the background, unless it runs; says "started" or "running"
    host.py serve CONFIG    be it
    host.py stop CONFIG     end it; says "stopped" or "absent"

CONFIG is a JSON file: {"port": n, "users": {name: password}, "tls": bool, "folder": path, "world": {...}}.
In the folder lie the world as it is, the pid, the log of the wire and, with TLS, the certificate `server.pem`, which is
its own authority. The host ends by itself when its pid file goes away, so that removing the folder removes it as well.
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
            raise SystemExit(f"the Windows host on port {port} did not come or go in {SECONDS} s")
        time.sleep(0.1)


def start(path: Path, config: dict[str, Any]) -> str:
    """Start it in the background."""
    folder, port = Path(config["folder"]), int(config["port"])
    if (folder / "pid").exists() and answers(port):
        return "running"
    if answers(port):
        raise SystemExit(f"port {port} is taken by something else")
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "errors.log").open("wb") as errors:
        subprocess.Popen(
            [sys.executable, __file__, "serve", str(path)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            start_new_session=True,
            cwd="/",
        )
    wait(port, wanted=True)
    return "started"


def serve(_path: Path, config: dict[str, Any]) -> str:
    """Serve for as long as the pid file is ours."""
    # Only the server needs more than the standard library; it is found as Ansible finds it.
    root = Path(__file__).resolve().parents[2]
    sys.path.insert(0, str(root / ".build" / "collections"))
    from ansible_collections.twinguard.hardening.tests.windows import (  # noqa: PLC0415 - as above
        host_world,
        model_backend,
        tls,
        winrm_server,
    )

    folder = Path(config["folder"])
    world = folder / "world.json"
    if not world.exists():
        host_world.save(world, host_world.complete(config.get("world", {})))
    backend = winrm_server.Answering(model_backend.ModelBackend(world))
    certificate = None
    if config.get("tls"):
        made = tls.Tls(folder / "server.pem", folder / "server.key")
        certificate = made if made.key.exists() else tls.self_signed(folder)
    pid = folder / "pid"
    with winrm_server.Server(
        backend,
        config["users"],
        port=int(config["port"]),
        tls=certificate,
        log=folder / "wire.jsonl",
    ):
        pid.write_text(str(os.getpid()), "utf-8")
        while pid.exists() and pid.read_text("utf-8") == str(os.getpid()):
            time.sleep(0.3)
    return "ended"


def stop(_path: Path, config: dict[str, Any]) -> str:
    """Have it end."""
    pid = Path(config["folder"], "pid")
    if not pid.exists():
        return "absent"
    pid.unlink()
    wait(int(config["port"]), wanted=False)
    return "stopped"


def main(arguments: list[str]) -> None:
    """Do the one thing that is asked for."""
    deeds = {"start": start, "serve": serve, "stop": stop}
    if len(arguments) != 2 or arguments[0] not in deeds:
        raise SystemExit(__doc__)
    path = Path(arguments[1]).resolve()
    print(deeds[arguments[0]](path, json.loads(path.read_text("utf-8"))))


if __name__ == "__main__":
    main(sys.argv[1:])
