# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the guard costs a push: one signed commit onto a long history, with and without the hook.

    git_push.py [commits [pushes]]    how long the history is (100000), how many pushes of each kind (15)

In a container of its own: a real sshd on loopback with two bare repositories, of which one is guarded; to both the same
commits are pushed in turn, over ssh and once more as to a directory, where nothing but git and the hook is measured.
TWINGUARD_ENGINE names the engine (docker). Nothing passes or fails by a time; read the ratios.
"""

from __future__ import annotations

import json
import os
import pwd
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

IMAGE = "twinguard/debian13:base"
THERE = "/opt/bench"
MODULE = "ansible_collections.twinguard.hardening.plugins.modules.git_guard"
WHO = "Alice <alice@example.com>"
SSH = "ssh -i /root/alice -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"


# --- here: a container with what it needs


def main(arguments: list[str]) -> None:
    """Start the container, measure in it, remove it."""
    import ansible  # noqa: PLC0415 - the container has none until it is copied there

    root = Path(__file__).resolve().parents[1]
    engine = os.environ.get("TWINGUARD_ENGINE") or "docker"
    image = ("localhost/" if engine == "podman" else "") + IMAGE
    name = called(
        [engine, "run", "--detach", "--label=owner=twinguard-test-bench", image, "sleep", "900"]
    )
    try:
        called(
            [
                engine,
                "exec",
                name,
                "mkdir",
                "-p",
                f"{THERE}/ansible_collections/twinguard/hardening",
            ]
        )
        core, plugins = Path(ansible.__file__).parent, root / "plugins"
        called([engine, "cp", str(core), f"{name}:{THERE}/ansible"])
        called(
            [
                engine,
                "cp",
                str(plugins),
                f"{name}:{THERE}/ansible_collections/twinguard/hardening/plugins",
            ]
        )
        called([engine, "cp", __file__, f"{name}:{THERE}/bench.py"])
        install = "apt-get install -y --no-install-recommends git openssh-server >/dev/null 2>&1"
        called([engine, "exec", name, "sh", "-c", install])
        inside = [
            engine,
            "exec",
            "--env",
            f"PYTHONPATH={THERE}",
            name,
            "python3",
            f"{THERE}/bench.py",
        ]
        subprocess.run([*inside, "inside", *arguments], check=True)
    finally:
        called([engine, "rm", "--force", "--volumes", name])


def called(command: list[str], stdin: str = "") -> str:
    """The output of a command that must succeed."""
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)}: {done.stdout}{done.stderr}")
    return done.stdout.strip()


# --- in the container


def as_git(*words: str) -> list[str]:
    """The command line, run as the repositories' owner."""
    return ["setpriv", "--reuid=git", "--regid=git", "--init-groups", *words]


def inside(commits: int, pushes: int) -> None:
    """Measure, and print a line for each way to push."""
    called(
        [
            "useradd",
            "--create-home",
            "--home-dir",
            "/srv/git",
            "--shell",
            "/usr/bin/git-shell",
            "git",
        ]
    )
    called(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "/root/alice"])
    public = Path("/root/alice.pub").read_text(encoding="utf-8").strip()
    home = Path("/srv/git/.ssh")
    home.mkdir(mode=0o700)
    (home / "authorized_keys").write_text(public + "\n", encoding="utf-8")
    for path in (home, home / "authorized_keys"):
        os.chown(path, pwd.getpwnam("git").pw_uid, -1)
    Path("/run/sshd").mkdir(exist_ok=True)
    called(["/usr/sbin/sshd", "-o", "ListenAddress=127.0.0.1"])
    for kind in ("plain", "guarded"):
        called(as_git("git", "init", "-q", "--bare", "-b", "main", f"/srv/git/{kind}.git"))
        history = as_git("git", "-C", f"/srv/git/{kind}.git", "fast-import", "--quiet")
        called(history, stream(commits))
    guard("/srv/git/guarded.git", public)
    clone = "/root/clone"
    called(["git", "config", "--global", "safe.directory", "*"])
    called(["git", "clone", "-q", "--no-checkout", "/srv/git/plain.git", clone])
    for way, place in (("over ssh", "git@127.0.0.1:{}.git"), ("to a directory", "/srv/git/{}.git")):
        seconds = measure(clone, place, pushes)
        plain, guarded = seconds["plain"], seconds["guarded"]
        print(
            f"push of 1 commit onto {commits} commits {way}: {plain * 1000:.0f} ms without the guard,"
            f" {guarded * 1000:.0f} ms with it, ratio {guarded / plain:.2f}"
        )


def stream(commits: int) -> str:
    """A long history for git fast-import."""
    start = int(time.time()) // 86400 * 86400 - commits - 86400
    lines = []
    for number in range(commits):
        text = f"change {number}\n"
        head = f"commit refs/heads/main\ncommitter {WHO} {start + number} +0000\n"
        body = f"data {len(text)}\n{text}"
        lines.append(f"{head}{body}M 100644 inline file{number % 100}\n{body}\n")
    return "".join(lines)


def guard(repository: str, public: str) -> None:
    """Run the module on the repository."""
    person = {"name": "Alice", "principals": ["alice@example.com"], "keys": [{"key": public}]}
    arguments: dict[str, Any] = {"repositories": [{"path": repository}], "people": [person]}
    called([sys.executable, "-m", MODULE], json.dumps({"ANSIBLE_MODULE_ARGS": arguments}))


def measure(clone: str, place: str, pushes: int) -> dict[str, float]:
    """Seconds of a push to each, in the middle of so many; they take turns."""
    settings = ["-c", "gpg.format=ssh", "-c", "user.signingkey=/root/alice"]
    settings += ["-c", "user.name=Alice", "-c", "user.email=alice@example.com"]
    git = ["git", "-C", clone, *settings]
    env = {**os.environ, "GIT_SSH_COMMAND": SSH}
    seconds: dict[str, list[float]] = {"plain": [], "guarded": []}
    tip = called([*git, "rev-parse", "HEAD"])
    # The directory's pushes go on where those over ssh have ended.
    tip = called([*git, "for-each-ref", "--format=%(objectname)", "refs/tags/last"]) or tip
    for _unused in range(pushes + 1):
        tip = called([*git, "commit-tree", "-S", "-p", tip, "-m", "one", f"{tip}^{{tree}}"])
        for kind, taken in seconds.items():
            push = ["git", "-C", clone, "push", "-q", place.format(kind), f"{tip}:refs/heads/main"]
            start = time.perf_counter()
            subprocess.run(push, env=env, check=True)
            taken.append(time.perf_counter() - start)
    called([*git, "update-ref", "refs/tags/last", tip])
    # The first push of each finds nothing in memory yet.
    return {kind: statistics.median(taken[1:]) for kind, taken in seconds.items()}


if __name__ == "__main__":
    if sys.argv[1:2] == ["inside"]:
        inside(*(int(one) for one in sys.argv[2:]))
    else:
        main([*sys.argv[1:], *("100000", "15")[len(sys.argv) - 1 :]])
