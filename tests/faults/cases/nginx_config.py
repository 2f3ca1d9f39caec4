# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A new generation of nginx's files, with the real nginx under systemd: it must answer all the time."""

from __future__ import annotations

import glob
import http.client
import shutil
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

from agent import Module, Places, called

image = "twinguard/debian12:base"
hosts = 2

SET = "faults"
PORT = 8090
SECONDS = 15.0  # for nginx to take something into use
# Small, so that the staged copy of the tree has few calls and each of them gets its fault.
NGINX_CONF = """\
user www-data;
pid /run/nginx.pid;
error_log /var/log/nginx/error.log;
events {
    worker_connections 64;
}
http {
    access_log off;
    include /etc/nginx/conf.d/*.conf;
}
"""
PLAIN = """\
server {
    listen 127.0.0.1:%d;
    server_name faults.example.com;
    location = / {
        return 200 "%s\\n";
    }
}
"""
SECRET = 'map $http_x_api_key $faults_known {\n    "%s-s3cr3t-value" 1;\n    default 0;\n}\n'
PLACES = ("/etc/nginx", "/etc/logrotate.d", "/var/lib/twinguard", "/var/log/twinguard")


class Case:
    """From the generation that answers "old" to the one that answers "new"."""

    # A trial takes seconds here: each place gets one error in turn.
    spread = 3
    secrets = ("s3cr3t-value",)
    # Inode and time stamps of what was proven.
    volatile = (f"/var/lib/twinguard/nginx-{SET}/proven.json",)

    def __init__(self, work: str) -> None:
        # The last one is no directory but the beginning of their names: calls there are points, too.
        self.watched = [*PLACES, f"/run/twinguard-{SET}-"]
        self.places = Places(PLACES, work)
        self.module = Module("nginx_config", work, old=arguments("old"), new=arguments("new"))
        self.command = self.module.command
        self.answers = Answers()

    def prepare(self) -> None:
        """nginx with a configuration of few files, the old generation in force, and a copy of all that."""
        called(["apt-get", "install", "-y", "--no-install-recommends", "nginx"])
        for entry in Path("/etc/nginx").iterdir():
            if entry.name != "conf.d":
                remove(entry)
        Path("/etc/nginx/nginx.conf").write_text(NGINX_CONF)
        called(["systemctl", "restart", "nginx"])
        self.module.run("old")
        self.places.keep()
        self.answers.begin()

    def reset(self) -> None:
        """The old state, on disk and in the running nginx. Nothing of it may cost a request."""
        for stray in glob.glob(f"/run/twinguard-{SET}-*"):
            shutil.rmtree(stray)
        self.places.restore()
        called(["systemctl", "start", "nginx"])
        if self.answers.ask() != "old":
            called(["systemctl", "reload", "nginx"])
        self.answers.wait_for("old")
        self.answers.take_failures()

    def now(self) -> list[str]:
        """Right after the fault: nginx answers, and could start from what is on disk."""
        answer = self.answers.ask()
        problems = [] if answer in ("old", "new") else [f"nginx answers {answer!r} after the fault"]
        return problems + startable("after the fault") + self.answers.take_failures()

    def after(self) -> list[str]:
        """After the next run: new is in force, nothing is left over, and one more run changes nothing."""
        answer = self.answers.ask()
        problems = [] if answer == "new" else [f"nginx answers {answer!r} after the next run"]
        problems += [f"{path} is left over" for path in glob.glob(f"/run/twinguard-{SET}-*")]
        problems += startable("after the next run") + self.module.settled()
        return problems + self.answers.take_failures()


class Answers:
    """Asks nginx again and again, from the beginning to the end of all trials."""

    def __init__(self) -> None:
        self.failures: list[str] = []

    def begin(self) -> None:
        threading.Thread(target=self._keep_asking, daemon=True).start()

    def ask(self) -> str:
        """The body of one answer, or what went wrong."""
        connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=5)
        try:
            connection.request("GET", "/", headers={"Host": "faults.example.com"})
            response = connection.getresponse()
            body = response.read().decode().strip()
        except (OSError, http.client.HTTPException) as error:
            return f"{type(error).__name__}: {error}"
        finally:
            connection.close()
        return body if response.status == 200 else f"status {response.status}"

    def wait_for(self, wanted: str) -> None:
        deadline = time.monotonic() + SECONDS
        while self.ask() != wanted:
            if time.monotonic() > deadline:
                raise RuntimeError(f"nginx still answers {self.ask()!r} instead of {wanted!r}")
            time.sleep(0.02)

    def take_failures(self) -> list[str]:
        """The requests that failed since the last time, one line for all of them."""
        taken, self.failures = self.failures, []
        return [f"{len(taken)} requests failed, the first with {taken[0]}"] if taken else []

    def _keep_asking(self) -> None:
        while True:
            answer = self.ask()
            if answer not in ("old", "new"):
                self.failures.append(answer)
            time.sleep(0.02)


def arguments(wanted: str) -> dict[str, Any]:
    """The module's arguments."""
    probe = {"id": "page", "kind": "request", "tls": False, "address": "127.0.0.1", "port": PORT}
    return {
        "name": SET,
        "files": [{"name": "site.conf", "content": PLAIN % (PORT, wanted)}],
        "secret_files": [{"name": "keys.conf", "content": SECRET % wanted}],
        "companions": [{"path": f"/etc/logrotate.d/twinguard-{SET}", "content": f"# {wanted}\n"}],
        # The old set has no directory of its own, so that making one is part of the change.
        "directories": ["/var/log/twinguard"] if wanted == "new" else [],
        "probes": [{**probe, "server_name": "faults.example.com", "expect": ["200"]}],
    }


def startable(when: str) -> list[str]:
    """What nginx says of the tree on disk when it cannot start from it."""
    done = subprocess.run(["nginx", "-t"], capture_output=True, text=True, check=False)
    return [f"nginx -t fails {when}: {done.stderr[-300:]}"] if done.returncode else []


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
