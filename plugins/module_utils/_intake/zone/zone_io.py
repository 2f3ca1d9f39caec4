# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Enforce the receiving side of the intake, and prove it (I/O)."""

from __future__ import annotations

import os
import stat
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from ..._core.error import HardeningError
from ..._core.plan import Plan
from ..._files.transaction_io import (
    Absent,
    DirSpec,
    FileSpec,
    Transaction,
    Wanted,
    plan_files,
    read_file,
    scan,
    unfinished,
)
from ..._host import systemd_io
from ..._host.install_io import LIB_DIR, program_files
from ..._host.run_io import HostError, call, program
from ..._trust.people import allowed_signers, revocations
from .. import host_io, secrets_io
from . import collect_io, receive_io, state
from . import files as render
from .collect import CLOSED_MODE, OPEN_MODE
from .probe_io import host_keys, probe
from .zone import CONFIG_DIR, OWN_IDENTITY, SENDERS_GROUP, USER, Zone, parse_zone

STATE_DIR = "/var/lib/twinguard/intake"
_ENTRIES = {"collect": collect_io, "keys": secrets_io, "receive": receive_io}
_LIB = f"{LIB_DIR}/{render.PROGRAM}"
_UNITS = (render.SERVICE, render.PATH_UNIT, render.TIMER)


class Host:
    """One receiving host and its wanted state. ControlError for invalid options."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        self.zone: Zone = parse_zone(params)
        self.manage = bool(params["manage_service"])
        self.may_probe = bool(params["probe"])

    def observe(self) -> state.Found:
        """The present state, read from the host."""
        names = [one.account for one in self.zone.senders]
        units = systemd_io.units([*_UNITS, "ssh.service", "sshd.service"])
        ssh = next((n for n in units if n.startswith("ssh") and _loaded(units[n])), "ssh.service")
        settings, error = self._settings(names)
        return state.Found(
            groups=tuple(n for n in (SENDERS_GROUP, USER) if host_io.group_id(n) is not None),
            accounts={name: host_io.account_of(name) for name in (USER, *names)},
            obsolete=tuple(n for n in host_io.members(SENDERS_GROUP) if n not in names),
            identity=OWN_IDENTITY not in self.zone.identities
            or all(os.path.exists(path) for path in OWN_IDENTITY),
            files=plan_files(self._specs()),
            unfinished=unfinished(STATE_DIR),
            units=units,
            ssh_unit=ssh,
            ssh_current=systemd_io.read_since(units.get(ssh, {}), [render.SSHD_FILE]),
            settings=settings,
            settings_error=error,
            closed=tuple(n for n in names if _mode(self.zone.drop(n)) == CLOSED_MODE),
        )

    def _settings(self, names: Sequence[str]) -> Tuple[Dict[str, Dict[str, str]], str]:
        """The settings of sshd for each account that exists."""
        try:
            there = [name for name in names if host_io.account_of(name)]
            return {name: host_io.sshd_settings(name) for name in there}, ""
        except HostError as error:
            return {}, str(error)

    def _specs(self, identity: Optional[Tuple[bytes, bytes]] = None) -> List[Wanted]:
        zone = self.zone
        specs: List[Wanted] = [
            DirSpec(path, mode, 0, 0)
            for path, mode in (
                ("/etc/ssh", 0o755),
                ("/etc/ssh/sshd_config.d", 0o755),
                ("/etc/security", 0o755),
                ("/etc/security/limits.d", 0o755),
                ("/etc/systemd", 0o755),
                (render.UNIT_DIR, 0o755),
            )
            if not os.path.isdir(path)
        ]
        specs += [DirSpec(p, 0o755, 0, 0) for p in ("/etc/twinguard", CONFIG_DIR, render.KEYS_DIR)]
        specs += self._directories()
        specs += program_files(render.PROGRAM, _ENTRIES)
        if identity:
            specs.append(FileSpec(OWN_IDENTITY[0], identity[0], 0o600, 0, 0, secret=True))
            specs.append(FileSpec(OWN_IDENTITY[1], identity[1], 0o644, 0, 0))
        trust = {
            render.ALLOWED_SIGNERS: allowed_signers(zone.people),
            render.REVOKED_KEYS: revocations(zone.people),
        }
        files = {**trust, **render.text_files(zone, _LIB)}
        # The file of sshd comes last, so that nobody can log in to a zone that is not ready.
        specs += [FileSpec(p, files[p], 0o644, 0, 0) for p in files if p != render.SSHD_FILE]
        for name in scan(render.KEYS_DIR) or {}:
            if f"{render.KEYS_DIR}/{name}" not in files and not name.startswith("."):
                specs.append(Absent(f"{render.KEYS_DIR}/{name}"))
        specs.append(FileSpec(render.SSHD_FILE, files[render.SSHD_FILE], 0o644, 0, 0))
        return specs

    def _directories(self) -> List[Wanted]:
        zone = self.zone
        service = host_io.account_of(USER)
        uid, gid = (service.uid, service.gid) if service else (None, None)
        readers = host_io.group_id(zone.reader_group)
        specs: List[Wanted] = [DirSpec(zone.directory, 0o755, 0, 0)]
        kinds = ("zones", "incoming", "published", "quarantine")
        specs += [DirSpec(zone.sub(kind), 0o755, 0, 0) for kind in kinds]
        specs.append(DirSpec(zone.sub("arriving"), 0o700, 0, 0))
        for sender in zone.senders:
            name = sender.account
            specs += [
                DirSpec(zone.sub("zones", name), 0o755, 0, 0),
                DirSpec(zone.drop(name), _drop_mode(zone.drop(name)), 0, host_io.group_id(name)),
                DirSpec(zone.sub("arriving", name), 0o700, 0, 0),
                DirSpec(zone.sub("incoming", name), 0o700, uid, gid),
                DirSpec(zone.sub("published", name), 0o750, uid, readers),
                DirSpec(zone.sub("quarantine", name), 0o700, uid, gid),
            ]
        wanted = {sender.account for sender in zone.senders}
        for name in scan(zone.sub("zones")) or {}:
            if name not in wanted and os.path.isdir(zone.drop(name)):
                specs.append(DirSpec(zone.drop(name), 0o700, 0, 0))
        return specs

    def plan(self, found: state.Found) -> Plan:
        """The changes that lead to the wanted state."""
        return state.plan(self.zone, found, self.manage)

    def check(self, found: state.Found) -> None:
        """HostError for anything that prevents the change."""
        problem = state.foreign(self.zone, found)
        if problem:
            raise HostError(problem)
        for name in ("sshd", "ssh-keygen", "openssl", "useradd"):
            if not program(name):
                raise HostError(f"{name} is not installed on this host: install it first")
        group = self.zone.reader_group
        if group != USER and host_io.group_id(group) is None:
            raise HostError(f"the group {group} (reader_group) does not exist: create it first")
        files = [*self.zone.validate[:1], self.zone.passphrase_file]
        for key, certificate in self.zone.identities:
            files += [] if (key, certificate) == OWN_IDENTITY else [key, certificate]
        for path in files:
            if path and not os.path.isfile(path):
                raise HostError(f"the file {path} does not exist: create it first")

    def apply(self, found: state.Found) -> Dict[str, Dict[str, Any]]:
        """Apply the changes and prove them; the probes by account. After an error the old state is restored."""
        made: List[str] = []
        try:
            self._make_accounts(found, made)
            with Transaction(STATE_DIR) as files:
                identity = None if found.identity else self._new_identity()
                changed = files.stage(self._specs(identity))
                staged = files.staged_path(render.SSHD_FILE)
                host_io.sshd_check([staged] if staged else [])
                files.commit()
                try:
                    probes = self._switch(found, changed)
                    files.confirm()
                except (HardeningError, OSError):
                    if files.committed:
                        files.rollback()
                        self._return_to(found, changed)
                    raise
        except (HardeningError, OSError):
            for name in made:
                host_io.remove_account(name)
            raise
        for name in found.obsolete:
            host_io.remove_account(name)
        return probes

    def _make_accounts(self, found: state.Found, made: List[str]) -> None:
        for group in (SENDERS_GROUP, USER):
            if group not in found.groups:
                host_io.make_group(group)
        pending = {one.key for one in self.plan(found).changes}
        for name in (USER, *(one.account for one in self.zone.senders)):
            if f"account {name}" in pending:
                if found.accounts.get(name) is None:
                    made.append(name)
                host_io.make_account(name, () if name == USER else (SENDERS_GROUP,))

    def _new_identity(self) -> Tuple[bytes, bytes]:
        words = ["openssl", "req", "-x509", "-newkey", "rsa:3072", "-nodes", "-days", "3650"]
        words += ["-subj", f"/CN={os.uname().nodename[:64]}"]
        out = call([*words, "-keyout", "/dev/stdout", "-out", "/dev/stdout"]).decode("ascii")
        start = out.index("-----BEGIN CERTIFICATE-----")
        key = out[out.index("-----BEGIN PRIVATE KEY-----") : start]
        return key.encode(), out[start:].encode()

    def _switch(self, found: state.Found, changed: Sequence[str]) -> Dict[str, Dict[str, Any]]:
        """The files are in place: have sshd and systemd read them, then prove the result."""
        host_io.sshd_check()
        if found.units:
            self._reload(found, changed)
        return self.prove(self.observe())

    def _reload(self, found: state.Found, changed: Sequence[str]) -> None:
        unit_files = [path for path in changed if path.startswith(render.UNIT_DIR + "/")]
        if unit_files or any(one.get("NeedDaemonReload") == "yes" for one in found.units.values()):
            systemd_io.systemctl("daemon-reload")
        if self.manage:
            if found.units.get(found.ssh_unit, {}).get("ActiveState") != "active":
                systemd_io.systemctl("enable", found.ssh_unit)
                systemd_io.systemctl("start", found.ssh_unit)
            elif render.SSHD_FILE in changed or not found.ssh_current:
                systemd_io.systemctl("reload", found.ssh_unit)
        names = (render.PATH_UNIT, render.TIMER)
        renewed = [name for name in names if f"{render.UNIT_DIR}/{name}" in changed]
        systemd_io.switch_on(names, renewed)

    def prove(self, found: state.Found) -> Dict[str, Dict[str, Any]]:
        """Run the service once and try an upload as each sender. HostError when a proof fails."""
        if found.units:
            systemd_io.run_once(render.SERVICE, found.units.get(render.SERVICE, {}))
        probes = probe(self.zone, found.settings) if self._can_probe(found) else {}
        open_zones = {
            one.account: probes[one.account]
            for one in self.zone.senders
            if one.account in probes and _mode(self.zone.drop(one.account)) != CLOSED_MODE
        }
        wrong = [f"{name}: {text}" for name, one in open_zones.items() for text in one["wrong"]]
        for name, settings in found.settings.items():
            wrong += [f"{name}: {text}" for text in state.differences(self.zone, settings)]
        if wrong:
            raise HostError("; ".join(wrong))
        return open_zones

    def _can_probe(self, found: state.Found) -> bool:
        running = found.units.get(found.ssh_unit, {}).get("ActiveState") == "active"
        return self.may_probe and bool(found.settings) and (running or not found.units)

    def _return_to(self, found: state.Found, changed: Sequence[str]) -> None:
        """After the old files were restored, have sshd and systemd read them."""
        if not found.units:
            return
        for name in (render.PATH_UNIT, render.TIMER):
            if found.units.get(name, {}).get("ActiveState") != "active":
                systemd_io.try_systemctl("disable", "--now", "--quiet", name)
        systemd_io.systemctl("daemon-reload")
        if render.SSHD_FILE in changed and self.manage:
            systemd_io.systemctl("reload-or-restart", found.ssh_unit)

    def facts(self, found: state.Found) -> Dict[str, Any]:
        """The values that senders need, and how full the zones are."""
        certificates = [pem for _key, pem in self.zone.identities]
        first = read_file(certificates[0]) if certificates else None
        settings = next(iter(found.settings.values()), {})
        rows = []
        for one in self.zone.senders:
            kinds = ("arriving", "incoming", "quarantine")
            below = [self.zone.sub(kind, one.account) for kind in kinds]
            used, files = collect_io.usage([self.zone.drop(one.account), *below])
            rows.append({"account": one.account, "sender": one.name, "bytes": used, "files": files})
        return {
            "certificate": first.content.decode("ascii", "replace") if first else "",
            "host_keys": host_keys(settings),
            "zones": rows,
        }


def enforce(host: Host, check_mode: bool) -> Dict[str, Any]:
    """One run of the module; the result has a `msg` when it failed."""
    found = host.observe()
    plan = host.plan(found)
    problem, probes = "", {}
    try:
        host.check(found)
        if not check_mode:
            probes = host.apply(found) if plan.changed else host.prove(found)
    except (HardeningError, OSError) as error:
        if not check_mode:
            problem = str(error)
    now = found if check_mode else host.observe()
    controls = state.findings(host.zone, now, host.plan(now), probes)
    result: Dict[str, Any] = {
        "changed": plan.changed and not problem,
        "diff": plan.diff(),
        "controls": controls,
        **host.facts(now),
    }
    if not check_mode and any(one["status"] == "fail" for one in controls):
        problem = problem or state.failure_message(controls)
    if problem:
        result["msg"] = problem
    return result


def _loaded(unit: Mapping[str, str]) -> bool:
    return unit.get("LoadState") == "loaded"


def _mode(path: str) -> int:
    try:
        return stat.S_IMODE(os.lstat(path).st_mode)
    except FileNotFoundError:
        return -1


def _drop_mode(path: str) -> int:
    """A zone that the service has closed stays closed; the service opens it when there is room."""
    return CLOSED_MODE if _mode(path) == CLOSED_MODE else OPEN_MODE
