# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A simulated Windows host on loopback for the demo, the scenarios and the benches.

    host.py start CONFIG           start it in the background, unless it runs; says "started" or "running"
    host.py serve PORT PIDFILE     be it; the configuration lies beside the pid file
    host.py stop CONFIG            end it; says "stopped" or "absent"

CONFIG is the file `config.json` in a folder of its own: {"port": n, "users": {name: password}, "tls": bool,
"world": {...}}. Beside it lie the world as it is, the pid, the log of the wire and, with TLS, the certificate
`server.pem`, which is its own authority. The host ends by itself when its pid file goes away, so that removing the
folder removes it as well.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Starting and ending in the background is what the demo's object store does as well.
sys.path.insert(0, str(ROOT / "demo" / "bucket_store"))

import store


def serve(port: int, pid: Path) -> str:
    """Serve for as long as the pid file is ours."""
    # Only the server needs more than the standard library; it is found as Ansible finds it.
    sys.path.insert(0, str(ROOT / ".build" / "collections"))
    from ansible_collections.twinguard.hardening.tests.windows import (  # noqa: PLC0415 - as above
        host_world,
        model_backend,
        tls,
        winrm_server,
    )

    folder = pid.parent
    config = json.loads((folder / "config.json").read_text("utf-8"))
    world = folder / "world.json"
    if not world.exists():
        host_world.save(world, host_world.complete(config.get("world", {})))
    backend = winrm_server.Answering(model_backend.ModelBackend(world))
    certificate = None
    if config.get("tls"):
        made = tls.Tls(folder / "server.pem", folder / "server.key")
        certificate = made if made.key.exists() else tls.self_signed(folder)
    pid.write_text(str(os.getpid()), "utf-8")
    log = folder / "wire.jsonl"
    with winrm_server.Server(backend, config["users"], port=port, tls=certificate, log=log):
        while pid.exists() and pid.read_text("utf-8") == str(os.getpid()):
            time.sleep(0.3)
    return "ended"


def main(arguments: list[str]) -> None:
    """Do the one thing that is asked for."""
    if len(arguments) == 3 and arguments[0] == "serve":
        print(serve(int(arguments[1]), Path(arguments[2])))
    elif len(arguments) == 2 and arguments[0] in ("start", "stop"):
        config = Path(arguments[1]).resolve()
        port, pid = int(json.loads(config.read_text("utf-8"))["port"]), config.with_name("pid")
        if arguments[0] == "start":
            print(store.start(port, pid, [sys.executable, str(Path(__file__).resolve())]))
        else:
            print(store.stop(port, pid))
    else:
        raise SystemExit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
