# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One set of nginx files: the desired state, the plan, and whether it is in force (pure).

A generation is a directory named by the digest of its files. One small entry file in conf.d includes
them by name. Renaming that entry switches generations: at any time nginx reads either all of the old
generation or all of the new one.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
from dataclasses import dataclass
from typing import Any, Mapping, Sequence

from .._core.plan import Change, ControlError, Plan
from .syntax import Complaint, applies

MARKER_FILE = "marker.conf"
NOT_INSTALLED = (
    "nginx is not installed on this host: install its package first (the role model_gateway does)"
)
_NEWEST = "999"
_SET_NAME = re.compile(r"[a-z][a-z0-9_]{0,15}")
_FILE_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}\.conf")
_GENERATION = re.compile(r"^# generation ([0-9a-f]{16})$", re.MULTILINE)


@dataclass(frozen=True)
class ConfigFile:
    """One file; a relative name is in the generation's directory, an absolute path outside of it."""

    name: str
    content: str
    secret: bool = False

    @property
    def mode(self) -> int:
        """Only root may read secret files."""
        return 0o600 if self.secret else 0o644


@dataclass(frozen=True)
class Layout:
    """The paths of a set below the directory of nginx.conf."""

    conf_dir: str
    name: str

    @property
    def root(self) -> str:
        """The directory that holds the generations of every set."""
        return posixpath.join(self.conf_dir, "twinguard")

    @property
    def entry(self) -> str:
        """The entry file, whose rename switches generations."""
        return posixpath.join(self.conf_dir, "conf.d", f"twinguard-{self.name}.conf")

    def directory(self, generation: str) -> str:
        """The directory of one generation."""
        return posixpath.join(self.root, f"{self.name}-{generation}")

    def is_generation(self, directory_name: str) -> bool:
        """Whether a name below ``root`` is a generation of this set."""
        return re.fullmatch(rf"{re.escape(self.name)}-[0-9a-f]{{16}}", directory_name) is not None


@dataclass(frozen=True)
class Desired:
    """The desired state: ``files`` by absolute path, with the entry last; empty when absent."""

    layout: Layout
    generation: str | None
    files: tuple[tuple[str, ConfigFile], ...]
    directories: tuple[str, ...]
    companions: tuple[str, ...]
    unwanted: tuple[str, ...] = ()


@dataclass(frozen=True)
class Service:
    """How nginx is run: ``manager`` is systemd or none (then by its own program and signals)."""

    manager: str
    running: bool
    enabled: bool
    load_state: str
    master_pid: int | None


@dataclass(frozen=True)
class Found:
    """The current state: contents by path (None = missing), the generation nginx serves, the service.

    ``proven`` is true if no file was touched since the last proof; ``shown`` are the files of the
    generation that the entry names (for the diff), ``stale`` the directories of other generations.
    """

    contents: Mapping[str, bytes | None]
    modes: Mapping[str, int]
    shown: Mapping[str, bytes]
    served: str | None
    service: Service
    proven: bool
    stale: tuple[str, ...]
    missing_directories: tuple[str, ...] = ()


@dataclass(frozen=True)
class Actions:
    """The actions to take; ``plan`` describes them for people (diff, changed)."""

    plan: Plan
    write: tuple[str, ...]
    remove: tuple[str, ...]
    start: bool
    reload: bool
    enable: bool
    make: tuple[str, ...]


def desired(params: Mapping[str, Any], conf_dir: str, version: str) -> Desired:
    """The wanted files of one set for one version of nginx.

    Raises ControlError for a bad set name, a bad or repeated file name, or a set without files.
    """
    name = str(params["name"])
    if not _SET_NAME.fullmatch(name):
        raise ControlError(
            "name", name, "is not a valid set name", f"make it match {_SET_NAME.pattern}"
        )
    layout = Layout(conf_dir, name)
    companions = tuple(str(one["path"]) for one in params["companions"])
    if params["state"] == "absent":
        return Desired(layout, None, (), (), (), (layout.entry, *companions))
    files = [
        ConfigFile(str(one["name"]), str(one["content"]), secret)
        for option, secret in (("secret_files", True), ("files", False))
        for one in params[option]
        if applies(version, one.get("since"), one.get("before"))
    ]
    _check_names(files)
    generation = generation_of(files, params["marker_port"])
    files.append(marker_file(name, params["marker_port"], generation))
    placed = [(posixpath.join(layout.directory(generation), one.name), one) for one in files]
    placed += [
        (str(one["path"]), ConfigFile(str(one["path"]), str(one["content"])))
        for one in params["companions"]
    ]
    placed.append((layout.entry, entry_file(layout, generation, [one.name for one in files])))
    return Desired(layout, generation, tuple(placed), tuple(params["directories"]), companions)


def generation_of(files: Sequence[ConfigFile], marker_port: int) -> str:
    """Sixteen hex digits that identify exactly these files and this marker."""
    document = [[one.name, one.content, one.secret] for one in files] + [marker_port]
    return hashlib.sha256(json.dumps(document).encode()).hexdigest()[:16]


def marker_file(name: str, port: int, generation: str) -> ConfigFile:
    """A server on loopback that answers with the generation that nginx serves."""
    values = {"name": name, "host": marker_host(name), "port": port, "generation": generation}
    return ConfigFile(MARKER_FILE, MARKER % values)


def marker_host(name: str) -> str:
    """The Host header that distinguishes the markers of several sets on one port."""
    return f"{name.replace('_', '-')}.twinguard.invalid"


MARKER = """\
# Managed by twinguard.hardening: answers which generation is in force, on loopback only.
server {
    listen 127.0.0.1:%(port)d;
    server_name %(host)s;
    access_log off;
    location = /twinguard/%(name)s {
        default_type text/plain;
        return 200 "%(generation)s\\n";
    }
    location / {
        return 404;
    }
}
"""


def entry_file(layout: Layout, generation: str, names: Sequence[str]) -> ConfigFile:
    """The entry file. It includes each file by name, so that a file added beside them is not read."""
    lines = [
        f"# Managed by twinguard.hardening (set {layout.name}): do not edit, it is replaced as a whole.",
        f"# generation {generation}",
    ]
    lines += [f"include {posixpath.join(layout.directory(generation), name)};" for name in names]
    return ConfigFile(layout.entry, "\n".join(lines) + "\n")


def entry_generation(content: bytes | None) -> str | None:
    """The generation that an entry file names."""
    match = _GENERATION.search((content or b"").decode("utf-8", "replace"))
    return match.group(1) if match else None


def plan(want: Desired, found: Found) -> Actions:
    """Compare the desired state with the current one, on disk and in the running nginx."""
    write = tuple(path for path, one in want.files if _differs(found, path, one))
    remove = tuple(path for path in want.unwanted if found.contents.get(path) is not None)
    present = want.generation is not None
    service = found.service
    start = present and not service.running
    enable = present and not service.enabled
    touched = present and not found.proven
    dirty = bool(write or remove) or touched or found.served != want.generation
    reload_ = service.running and dirty
    changes = _file_changes(want, found, write, remove)
    changes += _state_changes(want, found, start, reload_, enable)
    changes += [Change(path, None, "directory\n") for path in found.missing_directories]
    if not changes:
        # They are left by a run that was killed after its proof; otherwise their removal is not shown.
        changes += [Change(path, "an earlier generation\n", None) for path in found.stale]
    return Actions(
        Plan(tuple(changes)), write, remove, start, reload_, enable, found.missing_directories
    )


def plan_without_nginx(params: Mapping[str, Any]) -> Plan:
    """The plan for a host without nginx, as far as it is known: with the files for the newest nginx."""
    want = desired(params, posixpath.dirname(str(params["conf_path"])), _NEWEST)
    files = [(path, one) for path, one in want.files if path != want.layout.entry]
    return Plan(tuple(Change(path, None, one.content, secret=one.secret) for path, one in files))


def unmanageable(service: Service, unit: str) -> str | None:
    """Why this service cannot be managed; None if it can."""
    if service.load_state == "masked":
        return (
            f"{unit} is masked, so it cannot be started: unmask it with 'systemctl unmask {unit}'"
        )
    if service.load_state == "not-found" and not service.running:
        return f"systemd has no unit {unit}: install nginx's package, or set the option 'service' to its unit"
    return None


def verdict(
    want: Desired,
    served: str | None,
    included: bool,
    broken: Sequence[Complaint],
    answers: Sequence[Mapping[str, Any]],
) -> tuple[str, str]:
    """Status and reason of the control ``gateway.in_force``, from the last reading."""
    if broken:
        return "fail", f"nginx could not be restarted with the files on disk: {broken[0].sentence}"
    if want.generation is None:
        return (
            ("pass", "absent, as wanted")
            if served is None
            else ("fail", f"nginx still serves generation {served}")
        )
    if served is None:
        return "fail", "nginx does not serve this configuration"
    if served != want.generation:
        return "fail", f"nginx serves generation {served} instead of {want.generation}"
    if not included:
        return (
            "fail",
            f"nginx.conf does not include {want.layout.entry}, so this configuration is lost at the next restart",
        )
    unmet = [one for one in answers if one["met"] is False]
    if unmet:
        return "fail", behaviour(unmet)
    return "pass", f"nginx serves exactly generation {served}"


def behaviour(unmet: Sequence[Mapping[str, Any]]) -> str:
    """One sentence about the probes with unexpected results."""
    parts = [
        "{}: {}{}".format(
            one["id"], one["outcome"], " ({})".format(one["detail"]) if one.get("detail") else ""
        )
        for one in unmet
    ]
    return "the running nginx does not behave as wanted: " + "; ".join(parts)


def _check_names(files: Sequence[ConfigFile]) -> None:
    if not files:
        raise ControlError(
            "files", [], "has no file for this version of nginx", "give at least one"
        )
    seen = {MARKER_FILE}
    for one in files:
        if not _FILE_NAME.fullmatch(one.name):
            raise ControlError(
                "files[].name",
                one.name,
                "is not a valid file name",
                f"make it match {_FILE_NAME.pattern}",
            )
        if one.name in seen:
            raise ControlError(
                "files[].name",
                one.name,
                f"is given twice, or is the name of our marker file ({MARKER_FILE})",
                "choose another name",
            )
        seen.add(one.name)


def _differs(found: Found, path: str, one: ConfigFile) -> bool:
    return found.contents.get(path) != one.content.encode() or found.modes.get(path) != one.mode


def _file_changes(
    want: Desired, found: Found, write: Sequence[str], remove: Sequence[str]
) -> list[Change]:
    """The changes of files, with one path for each file in all generations, so that a diff shows what differs."""
    changes = []
    for path, one in want.files:
        logical = (
            path
            if posixpath.isabs(one.name)
            else posixpath.join(want.layout.root, want.layout.name, one.name)
        )
        before = (
            found.contents.get(path)
            if posixpath.isabs(one.name)
            else found.shown.get(one.name, found.contents.get(path))
        )
        if path in write:
            changes.append(Change(logical, _text(before), one.content, secret=one.secret))
        if path in found.modes and found.modes[path] != one.mode:
            changes.append(
                Change(logical + " (mode)", f"{found.modes[path]:04o}\n", f"{one.mode:04o}\n")
            )
    wanted = {one.name for _path, one in want.files}
    for name in sorted(set(found.shown) - wanted if write or remove else ()):
        logical = posixpath.join(want.layout.root, want.layout.name, name)
        changes.append(Change(logical, _text(found.shown[name]), None, secret=True))
    changes += [Change(path, _text(found.contents[path]), None) for path in remove]
    return changes


def _state_changes(
    want: Desired, found: Found, start: bool, reload_: bool, enable: bool
) -> list[Change]:
    changes = []
    if start or reload_:
        now = (
            "stopped"
            if start
            else f"generation {found.served}"
            if found.served
            else "not this configuration"
        )
        if now == f"generation {want.generation}":
            now += " (files were touched since the last proof)"
        after = f"generation {want.generation}" if want.generation else "nothing of this set"
        changes.append(Change("nginx serves", now + "\n", after + "\n"))
    if enable:
        changes.append(Change("nginx starts at boot", "no\n", "yes\n"))
    return changes


def _text(content: bytes | None) -> str | None:
    return None if content is None else content.decode("utf-8", "replace")


def proof_record(generation: str | None, stamps: Mapping[str, Sequence[int]]) -> bytes:
    """The record of a proof: inode, time and size of each proven file.

    A file that was edited and restored has another time, and nginx may have loaded the edited version. A
    transaction that is rolled back restores the same file, so its time is unchanged.
    """
    document: dict[str, Any] = {
        "generation": generation,
        "files": {k: list(v) for k, v in stamps.items()},
    }
    return (json.dumps(document, sort_keys=True, indent=1) + "\n").encode()
