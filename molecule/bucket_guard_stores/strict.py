# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""ministack on loopback: an object store that refuses what AWS refuses about ownership, ACLs and public access.

    strict.py start PORT PIDFILE    install it, start it, unless it runs; says "started" or "running"
    strict.py stop PORT PIDFILE     end it; says "stopped" or "absent"

It wants a botocore of its own, so it lives in an environment of its own, as ministack.lock names every part of it.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
LOCK = HERE / "ministack.lock"

sys.path[:0] = [str(ROOT / "demo" / "bucket_store"), str(ROOT / "tools")]


def installed() -> Path:
    """The Python that has it."""
    import bootstrap  # noqa: PLC0415 - not where it serves

    digest = hashlib.sha256(LOCK.read_bytes() + sys.version.encode()).hexdigest()[:12]
    place = ROOT / ".build" / f"ministack-{digest}"
    python = place / "bin" / "python"
    if not (place / "complete").exists():
        uv = str(Path(sys.executable).parent / "uv")
        env = bootstrap.network_env(os.environ)
        venv = [uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(place)]
        subprocess.run(venv, check=True, env=env)
        install = [uv, "pip", "install", "--quiet", "--python", str(python), "--require-hashes"]
        subprocess.run([*install, "--requirement", str(LOCK)], check=True, env=env)
        (place / "complete").touch()
    return python


def serve(port: int, pidfile: Path) -> None:
    """Serve for as long as the pidfile is ours."""
    from hypercorn.asyncio import serve as hypercorn  # noqa: PLC0415 - only the other Python has it
    from hypercorn.config import Config  # noqa: PLC0415
    from ministack.app import app  # noqa: PLC0415

    async def ended() -> None:
        while pidfile.exists() and pidfile.read_text("utf-8") == str(os.getpid()):
            await asyncio.sleep(0.5)

    pidfile.write_text(str(os.getpid()), "utf-8")
    config = Config()
    config.bind = [f"127.0.0.1:{port}"]
    asyncio.run(hypercorn(app, config, shutdown_trigger=ended))


def main(deed: str, port: int, pidfile: Path) -> None:
    """Do the one thing that is asked for."""
    if deed == "serve":
        serve(port, pidfile)
        return
    import store  # noqa: PLC0415 - moto's server starts and stops in the same way

    if deed == "start":
        print(store.start(port, pidfile, [str(installed()), __file__]))
    else:
        print(store.stop(port, pidfile))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]).resolve())
