# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every writing module survives a kill and an error at each place of its code that makes a mutating system call.

A module joins by one file in tests/faults/cases. The trials run beside the module, in agent.py.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import runpy
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from operator import itemgetter
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CASES = sorted((HERE / "cases").glob("*.py"))
IN_CONTAINER = "/opt/twinguard-faults"
# The cases import what they share from the agent, which lies beside them wherever they run.
sys.path.insert(0, str(HERE))
SYSTEMD = ["--cap-add=SYS_ADMIN", "--cap-add=NET_ADMIN", "--cap-add=SYS_PTRACE"]
SYSTEMD += [
    "--security-opt=seccomp=unconfined",
    "--cgroupns=host",
    "--tmpfs=/run",
    "--tmpfs=/run/lock",
]
SYSTEMD += ["--volume=/sys/fs/cgroup:/sys/fs/cgroup:rw", "--stop-signal=SIGRTMIN+3"]
PODMAN = ["--systemd=always", "--privileged"]


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_a_fault_at_any_system_call_is_survived(
    case: Path, subtests: pytest.Subtests, capsys: pytest.CaptureFixture[str]
) -> None:
    image, hosts = itemgetter("image", "hosts")(runpy.run_path(str(case)))
    counts: list[dict[str, int]] = []
    trials: Counter[str] = Counter()
    with ExitStack() as stack:
        commands = [
            stack.enter_context(
                on_this_machine(case) if image is None else in_a_container(case, image)
            )
            for _unused in range(hosts)
        ]
        for line in output_of([[*one, str(n), str(hosts)] for n, one in enumerate(commands)]):
            found = json.loads(line)
            if "points" in found:
                counts.append(found)
                continue
            trials[found["fault"]] += 1
            with subtests.test(msg=found["title"]):
                assert not found["problems"], "\n".join(found["problems"])
    # Each host finds the points by itself: a share of other ones would leave some out.
    assert counts == [counts[0]] * hosts
    points, places, chosen = itemgetter("points", "places", "chosen")(counts[0])
    tried = ", ".join(f"{fault} at {count}" for fault, count in sorted(trials.items()))
    with capsys.disabled():
        print(
            f"\n{case.stem}: {points} points in {places} places, {trials.total()} trials: {tried}"
        )
    assert points >= 15
    assert places <= chosen <= points
    assert trials["KILL"] == chosen
    # Each place has an error of its own, and so has each third point.
    assert trials.total() - chosen >= max(places, chosen // 3)


def test_there_is_a_case() -> None:
    assert CASES


def output_of(commands: list[list[str]]) -> Iterator[str]:
    """The lines that the agents print, all at work at once; the failure of one ends the test."""
    env = {**os.environ, "PYTHONPATH": payload_on_this_machine()}
    with ExitStack() as stack:
        agents = [
            stack.enter_context(subprocess.Popen(one, stdout=subprocess.PIPE, text=True, env=env))
            for one in commands
        ]
        for agent in agents:
            assert agent.stdout is not None
            yield from agent.stdout
    for agent in agents:
        assert agent.returncode == 0, (
            f"an agent ended with status {agent.returncode}; see its output"
        )


def payload_on_this_machine() -> str:
    """Where Ansible and this checkout can be imported from."""
    return ":".join(path for path in sys.path if path and Path(path).is_dir())


@contextmanager
def on_this_machine(case: Path) -> Iterator[list[str]]:
    """The command that runs the agent here."""
    if shutil.which("strace") is None:
        pytest.fail("strace is not installed here; install the package strace")
    memory = "/dev/shm"
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as work:
        yield [sys.executable, str(HERE / "agent.py"), str(case), work]


@contextmanager
def in_a_container(case: Path, image: str) -> Iterator[list[str]]:
    """The command that runs the agent in a fresh systemd container, which is removed afterwards."""
    engine = os.environ.get("TWINGUARD_ENGINE")
    if not engine:
        pytest.fail(
            "TWINGUARD_ENGINE names no container engine; run `make faults`, which finds one"
        )
    owner = os.environ.get("TG_ID") or hashlib.sha256(str(ROOT).encode()).hexdigest()[:6]
    start = [engine, "run", "--detach", f"--label=owner=twinguard-faults-{owner}"]
    start += PODMAN if engine == "podman" else SYSTEMD
    name = called(
        [*start, ("localhost/" if engine == "podman" else "") + image, "/sbin/init"]
    ).strip()
    try:
        subprocess.run([engine, "cp", "-", f"{name}:/"], input=payload(case), check=True)
        wait_for_systemd(engine, name)
        agent = [
            "python3",
            f"{IN_CONTAINER}/agent.py",
            f"{IN_CONTAINER}/case.py",
            f"{IN_CONTAINER}/work",
        ]
        yield [engine, "exec", "--env", f"PYTHONPATH={IN_CONTAINER}/python", name, *agent]
    finally:
        called([engine, "rm", "--force", "--volumes", name])


def called(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"
    return done.stdout


def wait_for_systemd(engine: str, name: str) -> None:
    deadline = time.monotonic() + 60
    state = ""
    while state not in ("running", "degraded"):
        assert time.monotonic() < deadline, (
            f"systemd in the container is still {state!r} after 60 s"
        )
        asked = [engine, "exec", name, "systemctl", "is-system-running", "--wait"]
        state = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()


def payload(case: Path) -> bytes:
    """A tar archive with the agent, the case, this collection and the part of Ansible that modules use."""
    import ansible  # noqa: PLC0415 - only containers need it

    files = {path.name: path for path in HERE.glob("*.py") if path != Path(__file__)}
    files["case.py"] = case
    core = Path(ansible.__file__).parent
    wanted = [core / "__init__.py", core / "release.py", core / "_vendor" / "__init__.py"]
    wanted += core.joinpath("module_utils").rglob("*.py")
    files.update({f"python/ansible/{path.relative_to(core)}": path for path in wanted})
    plugins = ROOT / "plugins"
    for kind in ("modules", "module_utils"):
        for path in (plugins / kind).rglob("*.py"):
            files[
                f"python/ansible_collections/twinguard/hardening/plugins/{path.relative_to(plugins)}"
            ] = path
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        directory = tarfile.TarInfo(f"{IN_CONTAINER.lstrip('/')}/work")
        directory.type, directory.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(directory)
        for name, path in sorted(files.items()):
            tar.add(path, f"{IN_CONTAINER.lstrip('/')}/{name}")
    return archive.getvalue()
