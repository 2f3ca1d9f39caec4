# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo: real hosts, hardened in front of your eyes, and what was proven of them.

    demo.py up      start the fleet, apply playbooks/site.yml, end with the table of controls
    demo.py down    remove the fleet, and the engine if only the demo needed it

Ours, because a newcomer has neither hosts nor an inventory yet. A second `up` changes nothing. The base images stay,
for the next time; `make clean` removes them.
"""

from __future__ import annotations

import os

import engine as engines
import image as images
from workshop import ROOT, VENV, Problem, main, run, say, tool_env

INVENTORY = "inventories/demo"
STARTED_ENGINE = engines.PIDFILE.with_name("demo-started-the-engine")


def playbook(name: str, engine: str, *, doing: str, report: bool = False) -> None:
    """Run one playbook on the demo fleet; with ``report`` the table of controls ends it."""
    env = {**tool_env(), **engines.environment(engine)}
    if report:
        env["ANSIBLE_CALLBACKS_ENABLED"] = "twinguard.hardening.posture"
    run([VENV / "bin" / "ansible-playbook", "-i", INVENTORY, name], doing, env=env)


def up() -> None:
    """Bring up fleet and controls; what is there already is left as it is."""
    ran_before = engines.our_pid() is not None
    engine = engines.ensure(os.environ)
    if engines.our_pid() is not None and not ran_before:
        # Only the demo asked for it, so the end of the demo ends it.
        STARTED_ENGINE.touch()
    images.ensure(engine, os.environ)
    say("Starting the demo fleet ...")
    playbook("demo/up.yml", engine, doing="start the demo fleet")
    say("Applying playbooks/site.yml ...")
    playbook("playbooks/site.yml", engine, doing="apply playbooks/site.yml", report=True)


def down() -> None:
    """Remove what `up` made. Without an engine nothing of it can be there."""
    answering = engines.look(os.environ.get("TWINGUARD_ENGINE") or None).answering
    if not answering:
        say("There is no demo to remove: no container engine is running.")
        return
    if not (VENV / "bin" / "ansible-playbook").exists():
        raise Problem("There is no .venv to run demo/down.yml with: run `make setup` first.")
    playbook("demo/down.yml", answering[0], doing="remove the demo fleet")
    if STARTED_ENGINE.exists():
        STARTED_ENGINE.unlink()
        if engines.stop():
            say("The container engine that the demo started was stopped.")


def _body(arguments: list[str]) -> int:
    os.chdir(ROOT)
    if arguments == ["up"]:
        up()
    elif arguments == ["down"]:
        down()
    else:
        raise Problem("Usage: demo.py up|down")
    return 0


if __name__ == "__main__":
    main(_body)
