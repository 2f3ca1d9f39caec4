# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The test hosts as the behaviour tests see them: run a play, send load, ask a container, watch for secrets."""

from __future__ import annotations

import base64
import json
import os
import shlex
import subprocess
import sys
import tempfile
import urllib.parse
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence

import host_link
import testinfra
import yaml
from host_link import ENGINE, ROOT, SUPPORT, container_of, exec_in

INVENTORY = ROOT / "molecule" / "inventory"
KEYS = ROOT / ".build" / "molecule" / "keys"
RUN_SECONDS = 240  # the longest a play may take before it counts as hanging


def host_of(name: str) -> Any:
    """The testinfra host."""
    return testinfra.get_host(f"{ENGINE}://{container_of(name)}")


def shell(host: str, command: str, stdin: str = "") -> str:
    """Run a shell command in a host and return its output; a failure fails the test with what it said."""
    done = host_link.run(host, ["sh", "-euc", command], stdin)
    assert done["code"] == 0, (
        f"{host}: {command!r} gave {done['code']}: {done['stdout']}{done['stderr']}"
    )
    return str(done["stdout"])


def write(host: str, path: str, content: str) -> None:
    """Put a file into a host."""
    shell(host, f"cat > {shlex.quote(path)}", stdin=content)


@lru_cache(maxsize=None)
def address_of(host: str) -> str:
    """The container's address on the engine's network."""
    return shell(host, "hostname -I").split()[0]


# --- keys and what must not be seen of them


def key(name: str) -> str:
    """A key of policy.yml, by the name of its file."""
    return (KEYS / name).read_text(encoding="utf-8").strip()


def forms_of(secret: str) -> List[str]:
    """The secret as it could show up: plain, quoted, or encoded at any of the three offsets of base64."""
    forms = {secret, urllib.parse.quote(secret, safe="")}
    for offset in range(3):
        encoded = base64.b64encode(b"\0" * offset + secret.encode())
        # What depends on the neighbours of the secret is cut off at both ends.
        forms.add(encoded[(offset * 8 + 5) // 6 : -4].decode())
    return sorted(forms)


def all_forms() -> List[str]:
    """Every form of every key in use."""
    # Scenarios without API keys have no directory of them.
    paths = sorted(KEYS.iterdir()) if KEYS.is_dir() else []
    return [form for path in paths for form in forms_of(key(path.name))]


def expect_hidden(text: str, forms: Iterable[str], where: str) -> None:
    """Fail the test when the text holds one of the forms, without printing either."""
    seen = sorted({form[:3] for form in forms if form in text})
    if seen:
        raise AssertionError(f"{where}: it holds secrets, which begin with {seen}") from None


# --- plays


@dataclass
class Run:
    """One run of ansible-playbook; `stats` and `results` are there when its output was JSON."""

    code: int
    stdout: str
    stderr: str
    stats: Dict[str, Dict[str, int]] = field(default_factory=dict)
    results: Dict[str, List[Dict[str, Any]]] = field(default_factory=dict)

    @property
    def changed(self) -> Dict[str, int]:
        """How many tasks changed something, for each host."""
        return {host: stats["changed"] for host, stats in self.stats.items()}

    def failure(self, host: str) -> str:
        """The sentence with which the role failed on a host; empty when it did not fail."""
        return next(
            (str(one.get("msg")) for one in self.results.get(host, []) if one.get("failed")), ""
        )

    def gateway(self, host: str) -> Dict[str, Any]:
        """The result of the module on a host."""
        return next(one for one in reversed(self.results[host]) if "controls" in one)

    def expect_success(self) -> Run:
        """Fail the test when a host failed, with all it said."""
        assert self.code == 0, self.story()
        return self

    def expect_failure(self, hosts: Sequence[str]) -> Run:
        """Fail the test unless the role failed on each of these hosts."""
        assert self.code == 2, self.story()
        assert {host for host in hosts if self.failure(host)} == set(hosts), self.story()
        return self

    def story(self) -> str:
        """What went wrong, short enough to read."""
        sentences = [f"{host}: {self.failure(host)}" for host in self.results if self.failure(host)]
        return "\n".join(
            [
                f"ansible-playbook gave {self.code}",
                *(sentences or [self.stdout[-3000:]]),
                self.stderr[-2000:],
            ]
        )


def play_environment(**more: str) -> Dict[str, str]:
    """The environment of a play: what Molecule set for its own runs is left out."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("ANSIBLE_", "MOLECULE_", "PYTEST_"))
    }
    return {
        **kept,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}",
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".build" / "collections"),
        "ANSIBLE_HOME": str(ROOT / ".build" / "ansible"),
        "ANSIBLE_PIPELINING": "1",
        "ANSIBLE_NOCOLOR": "1",
        **more,
    }


def play(
    playbook: Path,
    variables: Mapping[str, Any],
    *arguments: str,
    callback: str = "ansible.posix.json",
    environment: Optional[Mapping[str, str]] = None,
) -> Run:
    """Run a playbook over the test hosts. Whatever else it does, no key may be in its output."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as extra:
        json.dump(dict(variables), extra)
        extra.flush()
        program = str(Path(sys.executable).parent / "ansible-playbook")
        done = subprocess.run(
            [program, "-i", str(INVENTORY), str(playbook), "-e", f"@{extra.name}", *arguments],
            env=play_environment(ANSIBLE_STDOUT_CALLBACK=callback, **(environment or {})),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=RUN_SECONDS,
        )
    expect_hidden(
        done.stdout + done.stderr, [*all_forms(), *keys_in(variables)], "output of a play"
    )
    run = Run(done.returncode, done.stdout, done.stderr)
    if callback == "ansible.posix.json":
        _read_report(run)
    return run


def keys_in(variables: Any) -> List[str]:
    """All forms of plain keys that were given to a play as variables; templates are not keys."""
    if isinstance(variables, Mapping):
        own = variables.get("key")
        # A watch has a path and a key as well, and who signs with git has a user and a key: no secrets.
        secret = (
            isinstance(own, str)
            and not own.startswith(("{{", "/", "ssh-"))
            and not {"path", "user"} & set(variables)
        )
        plain = forms_of(str(own)) if secret else []
        return plain + [form for value in variables.values() for form in keys_in(value)]
    if isinstance(variables, list):
        return [form for value in variables for form in keys_in(value)]
    return []


def _read_report(run: Run) -> None:
    start = run.stdout.find("{\n")
    assert start >= 0, run.story()
    report, _end = json.JSONDecoder().raw_decode(run.stdout[start:])
    run.stats.update(report["stats"])
    for one_play in report["plays"]:
        for task in one_play["tasks"]:
            for host, result in task["hosts"].items():
                run.results.setdefault(host, []).append(result)


def policy() -> Dict[str, Any]:
    """The policy of the scenario, with its templates unresolved; options without the role's prefix."""
    text = (ROOT / "molecule" / "model_gateway" / "policy.yml").read_text(encoding="utf-8")
    prefix = "model_gateway_"
    return {
        name[len(prefix) :]: value
        for name, value in yaml.safe_load(text).items()
        if name.startswith(prefix)
    }


def converge(*arguments: str, callback: str = "ansible.posix.json", **changes: Any) -> Run:
    """Run the role on the gateways with the policy of the scenario and these changes to it."""
    variables = {f"model_gateway_{name}": value for name, value in changes.items()}
    return play(
        ROOT / "molecule" / "model_gateway" / "converge.yml",
        variables,
        *arguments,
        callback=callback,
    )


# --- load


@dataclass(frozen=True)
class Answers:
    """The results of a load client; see load_client.py."""

    results: List[Dict[str, Any]]

    def __iter__(self) -> Any:
        return iter(self.results)

    def __len__(self) -> int:
        return len(self.results)

    @property
    def statuses(self) -> List[Optional[int]]:
        """Status by request; None where no answer came."""
        return [result["status"] for result in self.results]

    def counts(self) -> Dict[str, int]:
        """How often each status or error came."""
        names = [str(result["status"] or result["error"]) for result in self.results]
        return {name: names.count(name) for name in sorted(set(names))}

    @property
    def only(self) -> Dict[str, Any]:
        """The one result."""
        assert len(self.results) == 1
        return self.results[0]


class Helper:
    """A program of tests/support at work in a host, or here for host "", until its input closes."""

    def __init__(self, host: str, program: str, given: Any, *arguments: str) -> None:
        text = (SUPPORT / program).read_text(encoding="utf-8")
        self._process = subprocess.Popen(
            exec_in(host, "python3", "-c", text, *arguments)
            if host
            else [sys.executable, "-c", text, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdin is not None
        # What is given holds keys: it goes by standard input, where the process list cannot show it.
        self._process.stdin.write(json.dumps(given) + "\n")
        self._process.stdin.flush()

    def first_line(self) -> str:
        """The first line that it prints; no more may come before its input closes."""
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def result(self, seconds: float = 120) -> Any:
        """Close its input and return what it prints; seconds is how long the rest of its work may take."""
        try:
            out, errors = self._process.communicate(timeout=seconds)
        finally:
            self._process.kill()
            self._process.wait()
        assert self._process.returncode == 0, errors
        return json.loads(out)


@contextmanager
def watched(forms: Sequence[str], *places: str) -> Iterator[None]:
    """A block during which no process in these hosts ("": here) shows a form in its command line or environment."""
    watchers = [Helper(place, "secret_watch.py", list(forms), "processes") for place in places]
    yield
    for watcher in watchers:
        report = watcher.result()
        assert report["found"] == []
        assert report["sweeps"] > 10
        assert report["looked"] > 50


def left_in(directory: Path, forms: Sequence[str]) -> List[str]:
    """The files below a directory here that hold one of the forms."""
    done = subprocess.run(
        ["grep", "-rlaF", "-f", "-", str(directory)],
        input="\n".join(forms) + "\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    return done.stdout.splitlines()


class Load:
    """A load client at work in a host, until `answers` is asked for; without a count it has its first answer by now."""

    def __init__(self, host: str, spec: Mapping[str, Any]) -> None:
        self._helper: Optional[Helper] = None
        if "count" in spec:
            self._running = host_link.link(host).start(
                json.dumps(dict(spec)),
                program=(SUPPORT / "load_client.py").read_text(encoding="utf-8"),
                needs=["http.client", "ssl"],
            )
        else:
            self._helper = Helper(host, "load_client.py", dict(spec))
            assert self._helper.first_line() == "begun\n"

    def answers(self, seconds: float = 120) -> Answers:
        """End the load and return its results; seconds is how long the rest of it may take."""
        if self._helper is not None:
            return Answers(self._helper.result(seconds))
        done = self._running.result(seconds)
        assert done["code"] == 0, done["stderr"]
        return Answers(json.loads(done["stdout"]))


SERVER_NAME = "models.example.com"


@lru_cache(maxsize=None)
def authority_of(gateway: str) -> str:
    """The gateway's own certificate, which its clients trust."""
    return shell(gateway, "cat /etc/ssl/certs/twinguard-test.pem")


def bearing(secret: str, path: str = "/v1/predict", **more: Any) -> Dict[str, Any]:
    """A request with a key; to the prediction unless another path is given."""
    request = {"path": path, "headers": [["X-API-Key", secret]], **more}
    if path == "/v1/predict" and "method" not in more:
        request.update(method="POST", body='{"features": [118.0, 6.1, 3.0, 60.0]}')
    return request


def load(
    gateway: str, requests: Sequence[Mapping[str, Any]], origin: str = "", **options: Any
) -> Load:
    """Start a load on a gateway: from `origin`, another host, or from the gateway itself over loopback.

    On loopback `source` can be any address of 127.0.0.0/8, so each test can come from an address of its own.
    """
    tls = {"ca": authority_of(gateway), **options.pop("tls", {})}
    spec = {
        "address": address_of(gateway) if origin else "127.0.0.1",
        "port": 443,
        "server_name": SERVER_NAME,
        "tls": tls,
        "requests": list(requests),
        **options,
    }
    return Load(origin or gateway, spec)


def ask(gateway: str, *requests: Mapping[str, Any], **options: Any) -> Answers:
    """Make these requests one after the other, each once."""
    return load(gateway, requests, count=len(requests), **options).answers()
