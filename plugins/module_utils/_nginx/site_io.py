# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read, validate, switch, prove and, on failure, roll back one set of nginx files (I/O)."""

from __future__ import annotations

import contextlib
import errno
import grp
import os
import pwd
import tempfile
from typing import Any, Iterator, Mapping, Sequence

from .._core.error import HardeningError
from .._files.transaction_io import (
    Absent,
    DirSpec,
    FileSpec,
    Transaction,
    Wanted,
    read_file,
    remove_tree,
    scan,
    unfinished,
)
from .._host.run_io import wait_until
from . import fileset as config
from . import service_io as io
from . import syntax
from .probe_io import marker, probe, read_tail

STATE_ROOT = "/var/lib/twinguard"
_RECORD = "proven.json"


class Site:
    """The nginx of a host, and the set of files that this run manages."""

    def __init__(self, params: Mapping[str, Any], nginx: io.Program) -> None:
        self.params = params
        self.nginx = nginx
        self.conf_path = str(params["conf_path"])
        self.want = config.desired(params, os.path.dirname(self.conf_path), nginx.version)
        settings = io.main_settings(self.conf_path)
        self.pid_path = settings.get("pid", (nginx.pid_path,))[0]
        self.error_log = settings.get("error_log", (nginx.error_log,))[0]
        self.worker_group = _group_of(settings.get("user"))
        self.state_dir = os.path.join(STATE_ROOT, f"nginx-{params['name']}")

    def served(self) -> str | None:
        """The generation that the running nginx serves."""
        name = self.want.layout.name
        return marker(self.params["marker_port"], name, config.marker_host(name))

    def service(self) -> config.Service:
        """How nginx runs now."""
        return io.service_state(self.params["service"], self.pid_path)

    def observe(self) -> config.Found:
        """The state that the plan needs, read once."""
        want, service = self.want, self.service()
        paths = [path for path, _one in want.files] + list(want.unwanted)
        states = {path: read_file(path) for path in paths}
        entry = states.get(want.layout.entry) or read_file(want.layout.entry)
        current = config.entry_generation(entry.content if entry else None)
        return config.Found(
            contents={path: state.content if state else None for path, state in states.items()},
            modes={path: state.mode for path, state in states.items() if state},
            shown=_contents_of(want.layout.directory(current)) if current else {},
            served=self.served() if service.running else None,
            service=service,
            proven=self._proven(),
            stale=self._stale(),
            missing_directories=tuple(path for path in want.directories if not os.path.isdir(path)),
        )

    def refuse(self, found: config.Found, actions: config.Actions) -> None:
        """Raise io.NginxError if something must be repaired first; nothing has been changed at that point."""
        unmanageable = (
            config.unmanageable(found.service, self.params["service"])
            if self.want.generation
            else None
        )
        if unmanageable:
            raise io.NginxError(unmanageable + "; nothing was changed")
        if actions.write or actions.remove:
            self._validate(actions)

    def apply(self, found: config.Found, actions: config.Actions) -> list[dict[str, Any]]:
        """Apply the actions and prove them; on failure everything is rolled back and io.NginxError raised."""
        log_size = os.path.getsize(self.error_log) if os.path.isfile(self.error_log) else 0
        with Transaction(self.state_dir) as files:
            if files.recovery.state != "clean":
                # The leftovers of a killed run were removed, so the state must be read again.
                found = self.observe()
                actions = config.plan(self.want, found)
                self.refuse(found, actions)
            files.stage(self._wanted(actions))
            files.commit()
            try:
                self._switch(actions, found, log_size)
                answers = self._prove()
                files.confirm()
            except HardeningError:
                # A confirmation can fail after the files are final; then they cannot be rolled back.
                if files.committed:
                    files.rollback()
                    self._return_to(found)
                raise
            for path in self._stale():
                remove_tree(path)
            self._record(files)
        return answers

    def probe(self) -> list[dict[str, Any]]:
        """Run all probes."""
        return [probe(one) for one in self.params["probes"]]

    def check_disk(self) -> tuple[list[syntax.Complaint], bool]:
        """The errors that would keep nginx from restarting with the files on disk, and whether it reads our entry."""
        found, files = io.test(self.nginx, self.conf_path)
        return syntax.blocking(found), self.want.layout.entry in files

    def _validate(self, actions: config.Actions) -> None:
        """Have nginx test a copy of its whole configuration that includes the change."""
        with _stage_directory(self.want.layout.name) as stage:
            found, files = io.test(self.nginx, self._stage(stage, actions))
        here = [_without(one, stage) for one in syntax.blocking(found)]
        if here:
            raise io.NginxError(self._refusal(here), here)
        if self.want.generation and stage + self.want.layout.entry not in files:
            entry = self.want.layout.entry
            line = f"include {os.path.dirname(entry)}/*.conf;"
            raise io.NginxError(
                f"{self.conf_path} does not include {entry}: add '{line}' to its http block"
            )

    def _stage(self, stage: str, actions: config.Actions) -> str:
        override: dict[str, bytes | None] = {}
        try:
            for path, one in self.want.files:
                override[path] = _with_directories(one.content, actions.make, stage).encode()
            override.update(dict.fromkeys(actions.remove))
            return io.stage_tree(self.conf_path, stage, override)
        except OSError as error:
            raise io.NginxError(_not_staged(error, stage)) from error

    def _refusal(self, found: Sequence[syntax.Complaint]) -> str:
        first = found[0]
        ours = first.file is None or first.file.startswith(
            (self.want.layout.root + "/", self.want.layout.entry)
        )
        if not ours:
            alone = syntax.blocking(io.test(self.nginx, self.conf_path)[0])
            if alone:
                return (
                    f"nginx's configuration is broken in a file that is not managed here: {alone[0].sentence}; "
                    "repair it first; nothing was changed"
                )
        return f"nginx refuses this configuration: {first.sentence}; nothing was changed"

    def _wanted(self, actions: config.Actions) -> list[Wanted]:
        """The files in the order of the switch: directories, the new generation, companions, the entry."""
        want = self.want
        wanted: list[Wanted] = []
        for path in actions.make:
            group = self.worker_group
            wanted.append(DirSpec(path, 0o755 if group is None else 0o750, 0, group or 0))
        if want.generation and actions.write:
            # Readable by others, so that the configuration can be reviewed; secrets are 0600.
            wanted += [
                DirSpec(want.layout.root, 0o755, 0, 0),
                DirSpec(want.layout.directory(want.generation), 0o755, 0, 0),
            ]
        for path, one in want.files:
            if path in actions.write:
                wanted.append(FileSpec(path, one.content.encode(), one.mode, 0, 0, one.secret))
        return wanted + [Absent(path) for path in actions.remove]

    def _switch(self, actions: config.Actions, found: config.Found, log_size: int) -> None:
        """Start or reload nginx, and wait until it serves the wanted generation."""

        def arrived() -> bool:
            return self.served() == self.want.generation

        def gave_up() -> bool:
            return bool(self._logged(log_size))

        seconds = float(self.params["timeout"])
        if actions.start or actions.enable:
            try:
                io.start(self.nginx, self.params["service"], found.service, actions.enable)
            except io.NginxError as error:
                logged = self._logged(log_size)
                raise io.NginxError(
                    f"{error}: {logged[0].sentence}" if logged else str(error), logged
                ) from error
        if actions.reload and found.service.master_pid:
            done = io.reload(found.service.master_pid, arrived, gave_up, seconds)
        else:
            done = wait_until(arrived, seconds)
        if not done:
            logged = self._logged(log_size)
            reason = (
                logged[0].sentence
                if logged
                else "it logged no reason in %s" % (self.error_log or "its error log")
            )
            raise io.NginxError(
                f"nginx did not start to use the new configuration: {reason}", logged
            )

    def _prove(self) -> list[dict[str, Any]]:
        answers = self.probe()
        unmet = [one for one in answers if one["met"] is False]
        if unmet:
            raise io.NginxError(config.behaviour(unmet))
        return answers

    def _return_to(self, found: config.Found) -> None:
        """With the old files restored, bring nginx back to its former state: stopped, or serving them."""
        now = self.service()
        if not found.service.running:
            if now.running:
                io.stop(self.params["service"], now)
        elif not now.running:
            io.start(self.nginx, self.params["service"], now, enable=False)
        elif now.master_pid and self.served() != found.served:
            io.reload(
                now.master_pid,
                lambda: self.served() == found.served,
                lambda: False,
                float(self.params["timeout"]),
            )

    def _logged(self, since: int) -> list[syntax.Complaint]:
        text = read_tail(self.error_log, since).decode("utf-8", "replace")
        return syntax.complaints(text, "emerg")

    def _stale(self) -> tuple[str, ...]:
        layout = self.want.layout
        keep = (
            os.path.basename(layout.directory(self.want.generation))
            if self.want.generation
            else None
        )
        names = [
            name for name in scan(layout.root) or {} if layout.is_generation(name) and name != keep
        ]
        return tuple(os.path.join(layout.root, name) for name in sorted(names))

    def _stamps(self) -> dict[str, list[int]]:
        stamps = {}
        watched = list(self.params["watch"]) if self.want.generation else []
        for path in [path for path, _one in self.want.files] + watched:
            with contextlib.suppress(FileNotFoundError):
                info = os.stat(
                    path
                )  # follows links: a renewed certificate is often a link to another file
                stamps[path] = [info.st_ino, info.st_mtime_ns, info.st_size]
        return stamps

    def _proven(self) -> bool:
        if unfinished(self.state_dir):
            return False  # a killed run left files that must be cleaned up
        state = read_file(os.path.join(self.state_dir, _RECORD))
        return state is not None and state.content == config.proof_record(
            self.want.generation, self._stamps()
        )

    def _record(self, files: Transaction) -> None:
        record = config.proof_record(self.want.generation, self._stamps())
        if files.stage([FileSpec(os.path.join(self.state_dir, _RECORD), record, 0o600, 0, 0)]):
            files.commit()
            files.confirm()


def _with_directories(content: str, missing: Sequence[str], stage: str) -> str:
    """Create missing directories in the copy, since nginx -T opens every log."""
    for directory in missing:
        os.makedirs(stage + directory, mode=0o700, exist_ok=True)
        content = content.replace(f" {directory}/", f" {stage}{directory}/")
    return content


def _contents_of(directory: str) -> dict[str, bytes]:
    found = {}
    for name, entry in (scan(directory) or {}).items():
        if entry.kind == "file":
            state = read_file(os.path.join(directory, name))
            if state:
                found[name] = state.content
    return found


def _group_of(user: tuple[str, ...] | None) -> int | None:
    """The numeric group of nginx's workers: the second argument of ``user``, or the primary group of that user."""
    if not user:
        return None
    try:
        return grp.getgrnam(user[1]).gr_gid if len(user) > 1 else pwd.getpwnam(user[0]).pw_gid
    except KeyError:
        return None


def _without(complaint: syntax.Complaint, stage: str) -> syntax.Complaint:
    file = (
        complaint.file[len(stage) :]
        if complaint.file and complaint.file.startswith(stage)
        else complaint.file
    )
    return syntax.Complaint(
        complaint.level, complaint.text.replace(stage, ""), file, complaint.line
    )


def _not_staged(error: OSError, where: str) -> str:
    code = errno.errorcode.get(error.errno or 0, "no code")
    return f"cannot copy the files for nginx's test: {error.strerror} ({code}) at {where}; nothing was changed"


@contextlib.contextmanager
def _stage_directory(name: str) -> Iterator[str]:
    """A private directory of this process; those left by killed runs are removed as well.

    It is on /run, which is in memory: the copies are never written to disk, and a reboot removes them.
    """
    base = "/run" if os.access("/run", os.W_OK) else tempfile.gettempdir()
    prefix = f"twinguard-{name}-"
    for entry in os.listdir(base):
        if entry.startswith(prefix) and not os.path.isdir(
            "/proc/" + entry[len(prefix) :].split("-")[0]
        ):
            remove_tree(os.path.join(base, entry))
    try:
        path = tempfile.mkdtemp(prefix=f"{prefix}{os.getpid()}-", dir=base)
    except OSError as error:
        raise io.NginxError(_not_staged(error, base)) from error
    try:
        yield path
    finally:
        remove_tree(path)
