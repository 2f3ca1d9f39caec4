# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""nginx as a program, a service and a set of processes (I/O)."""

from __future__ import annotations

import fnmatch
import glob
import os
import shutil
import signal
import time
from dataclasses import dataclass
from typing import Any, Callable, Mapping, Sequence

from .._core.error import HardeningError
from .._host import systemd_io
from .._host.run_io import Done, run
from . import syntax
from .fileset import Service

_POLL = 0.05


class NginxError(HardeningError):
    """An error of nginx that stops the run; ``complaints`` are nginx's own messages."""

    def __init__(self, message: str, complaints: Sequence[syntax.Complaint] = ()) -> None:
        super().__init__(message)
        self.complaints = list(complaints)

    def details(self) -> dict[str, Any]:
        return {"complaints": [one.as_dict() for one in self.complaints]}


@dataclass(frozen=True)
class Program:
    """An installed nginx: where it is and how it was built."""

    path: str
    version: str
    pid_path: str
    error_log: str


def installed(name: str) -> Program | None:
    """The installed nginx; None if it is not installed."""
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if path is None:
        return None
    done = run([path, "-V"])
    facts = syntax.build_facts(_all_of(done))
    if "version" not in facts:
        raise NginxError(
            f"{path} -V prints no version, so it is not a usable nginx; install nginx's package"
        )
    return Program(
        path,
        facts["version"],
        facts.get("pid_path", "/run/nginx.pid"),
        facts.get("error_log_path", ""),
    )


def test(nginx: Program, conf_path: str) -> tuple[list[syntax.Complaint], list[str]]:
    """Run ``nginx -T`` on one tree: its complaints, and the files it read (none after an error)."""
    done = run([nginx.path, "-T", "-c", conf_path])
    err = done.err.decode("utf-8", "surrogateescape")
    found = syntax.complaints(err)
    if done.code != 0 and not syntax.blocking(found):
        found.append(
            syntax.Complaint(
                "emerg", err.strip() or "nginx -T failed without a message", None, None
            )
        )
    return found, syntax.dumped_files(done.text())


def stage_tree(conf_path: str, stage: str, override: Mapping[str, bytes | None]) -> str:
    """Copy every file that nginx.conf includes to below ``stage``, as if ``override`` were on disk.

    None in ``override`` stands for a removed file. Everything else in nginx's directory (certificates, relative
    paths) is linked. Returns the path of the staged nginx.conf.
    """
    conf_dir = os.path.dirname(conf_path)
    waiting, seen = [conf_path], set()
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        text = _read(path, override).decode("utf-8", "surrogateescape")

        def expand(pattern: str) -> Sequence[str] | None:
            files = _matches(os.path.join(conf_dir, pattern), override)
            if not files and not glob.has_magic(pattern):
                return None  # nginx itself reports that the file is missing
            waiting.extend(files)
            return [stage + file for file in files]

        staged = syntax.rewrite_includes(text, expand)
        os.makedirs(os.path.dirname(stage + path), mode=0o700, exist_ok=True)
        descriptor = os.open(stage + path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as handle:
            handle.write(staged.encode("utf-8", "surrogateescape"))
    _link_rest(conf_dir, stage + conf_dir)
    return stage + conf_path


def _read(path: str, override: Mapping[str, bytes | None]) -> bytes:
    content = override.get(path)
    if content is not None:
        return content
    try:
        with open(path, "rb") as handle:
            return handle.read()
    except OSError as error:
        raise NginxError(f"cannot read {path}: {error.strerror}") from error


def _matches(pattern: str, override: Mapping[str, bytes | None]) -> list[str]:
    on_disk = {path for path in glob.glob(pattern) if os.path.isfile(path)}
    added = {
        path
        for path, content in override.items()
        if content is not None and _same_level(path, pattern)
    }
    removed = {path for path, content in override.items() if content is None}
    return sorted((on_disk | added) - removed)


def _same_level(path: str, pattern: str) -> bool:
    # In fnmatch * also matches a slash, in glob it does not.
    return path.count("/") == pattern.count("/") and fnmatch.fnmatch(path, pattern)


def _link_rest(live: str, staged: str) -> None:
    for entry in os.listdir(live):
        source, target = os.path.join(live, entry), os.path.join(staged, entry)
        if not os.path.lexists(target):
            os.symlink(source, target)
        elif os.path.isdir(target) and not os.path.islink(target):
            _link_rest(source, target)


def service_state(unit: str, pid_path: str) -> Service:
    """How nginx runs: from systemd where that is used, otherwise from its pid file."""
    if not systemd_io.in_charge():
        master = _pid_from(pid_path)
        return Service("none", master is not None, True, "", master)
    # Systemd answers by the unit's whole name, and this one may be given without ".service", or be an alias.
    state: Mapping[str, str] = next(iter(systemd_io.units([unit]).values()), {})
    master = int(state.get("MainPID", "0")) or None
    running = state.get("ActiveState") in ("active", "reloading") and master is not None
    if not running and state.get("LoadState") == "not-found":
        master = _pid_from(pid_path)
        running = master is not None
    enabled = state.get("UnitFileState") in ("enabled", "static", "alias", "indirect", "generated")
    return Service(
        "systemd", running, enabled, state.get("LoadState", ""), master if running else None
    )


def _pid_from(pid_path: str) -> int | None:
    try:
        with open(pid_path, encoding="ascii") as handle:
            pid = int(handle.read().strip())
    except (OSError, ValueError):
        return None
    return pid if "nginx" in _command_line(pid) else None


def _command_line(pid: int) -> str:
    try:
        with open("/proc/%d/cmdline" % pid, "rb") as handle:
            return handle.read().replace(b"\0", b" ").decode("utf-8", "replace")
    except OSError:
        return ""


def start(nginx: Program, unit: str, service: Service, enable: bool) -> None:
    """Start nginx (and enable it at boot). NginxError if it does not start."""
    if service.manager == "systemd":
        verb = ["enable"] + (["--now"] if not service.running else []) if enable else ["start"]
        done = run(["systemctl", *verb, unit])
        what = f"systemctl {' '.join(verb)} {unit}"
    else:
        done = run([nginx.path])
        what = nginx.path
    if done.code != 0:
        found = syntax.complaints(_all_of(done))
        reason = found[0].sentence if found else done.complaint()
        raise NginxError(f"{what} failed: {reason}", found)


def _all_of(done: Done) -> str:
    """What a program printed, its errors first."""
    return (done.err + done.out).decode("utf-8", "surrogateescape")


def stop(unit: str, service: Service) -> None:
    """Stop the nginx that this run started."""
    if service.manager == "systemd":
        run(["systemctl", "stop", unit])
    elif service.master_pid:
        os.kill(service.master_pid, signal.SIGQUIT)


def accepting_workers(master: int) -> set[int]:
    """The workers that accept connections; workers of an older configuration are marked as shutting down."""
    try:
        with open("/proc/%d/task/%d/children" % (master, master), encoding="ascii") as handle:
            children = [int(pid) for pid in handle.read().split()]
    except OSError:
        return set()
    lines = {pid: _command_line(pid) for pid in children}
    return {
        pid
        for pid, line in lines.items()
        if "worker process" in line and "shutting down" not in line
    }


def reload(
    master: int, proven: Callable[[], bool], failed: Callable[[], bool], seconds: float
) -> bool:
    """Reload nginx; true when the new configuration answers and no older worker accepts connections.

    ``proven`` tells whether the marker answers as wanted, ``failed`` whether nginx logged a failure.
    """
    before = accepting_workers(master)
    os.kill(master, signal.SIGHUP)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if proven() and not before & accepting_workers(master):
            return True
        if failed():
            return False
        time.sleep(_POLL)
    return False


def main_settings(conf_path: str) -> dict[str, tuple[str, ...]]:
    """``user``, ``pid`` and ``error_log`` of nginx.conf, if it sets them."""
    text = _read(conf_path, {}).decode("utf-8", "surrogateescape")
    found = {name: syntax.main_setting(text, name) for name in ("user", "pid", "error_log")}
    return {name: args for name, args in found.items() if args}
