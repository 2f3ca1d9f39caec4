# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Enforce the sending side of the intake, and prove it (I/O)."""

from __future__ import annotations

import glob
import os
import tempfile
from typing import Any, Dict, List, Mapping, Sequence, Tuple

from ..._batch.names import batch_of
from ..._core.controls import finding
from ..._core.error import HardeningError
from ..._core.plan import Change, Plan
from ..._files.transaction_io import (
    Absent,
    DirSpec,
    FileSpec,
    Transaction,
    Wanted,
    plan_files,
    read_file,
    remove_tree,
    scan,
    unfinished,
)
from ..._host import systemd_io
from ..._host.install_io import LIB_DIR, program_files
from ..._host.run_io import HostError, call, last_line, program, run
from .. import host_io, secrets_io
from ..accounts import COMMENT
from ..pending import INTERRUPTED, sentence, switched_on
from . import send_io
from .job import CONFIG_DIR, PROGRAM, STATE_DIR, UNIT_DIR, USER, Job, job_files, parse_jobs
from .upload import errors_of_ssh, sftp_command

TRANSACTION_DIR = "/var/lib/twinguard/sender"
_LIB = f"{LIB_DIR}/{PROGRAM}"
_ENTRIES = {"send": send_io, "keys": secrets_io}
_NO_LOGIN = "the receiver does not let this host in yet (has it run with our public_keys?): "
# Messages of ssh when another host answers; waiting does not help then.
_WRONG_HOST = (b"Host key verification failed", b"REMOTE HOST IDENTIFICATION HAS CHANGED")


class Host:
    """One sending host and its jobs. ControlError for bad options."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        self.jobs = parse_jobs(params)
        self.verify = bool(params["verify"])
        self.send_now = bool(params["send_now"])

    def plan(self) -> Plan:
        """The changes that lead from the present state to the wanted one."""
        changes: List[Change] = []
        account = host_io.account_of(USER)
        if account is None:
            changes.append(Change(f"account {USER}", None, "system account, no login\n"))
        changes.extend(Change(path, None, "a new ed25519 key\n") for path in self._missing_keys())
        changes.extend(plan_files(self._specs({})).changes)
        if unfinished(TRANSACTION_DIR):
            changes.append(INTERRUPTED)
        units = systemd_io.units([one.timer for one in self.jobs if one.schedule])
        changes.extend(switched_on(job.timer, units) for job in self.jobs if job.schedule)
        return Plan(tuple(changes))

    def _missing_keys(self) -> List[str]:
        return [p for job in self.jobs for p in job.own_keys if not os.path.exists(p)]

    def _specs(self, keys: Mapping[str, Tuple[bytes, bytes]]) -> List[Wanted]:
        places = (("/etc/systemd", 0o755), (UNIT_DIR, 0o755))
        specs: List[Wanted] = [DirSpec(p, m, 0, 0) for p, m in places if not os.path.isdir(p)]
        specs += [DirSpec(path, 0o755, 0, 0) for path in ("/etc/twinguard", CONFIG_DIR)]
        specs += [DirSpec(job.directory, 0o755, 0, 0) for job in self.jobs]
        specs += program_files(PROGRAM, _ENTRIES)
        for path, (private, public) in keys.items():
            specs.append(FileSpec(path, private, 0o600, 0, 0, secret=True))
            specs.append(FileSpec(path + ".pub", public, 0o644, 0, 0))
        files = {p: text for job in self.jobs for p, text in job_files(job, _LIB).items()}
        specs += [FileSpec(path, text, 0o644, 0, 0) for path, text in files.items()]
        specs += [Absent(path) for path in self._stale(files)]
        return specs

    def _stale(self, files: Mapping[str, bytes]) -> List[str]:
        """Files of removed jobs, and recipients that a job no longer has. Keys stay."""
        found = glob.glob(f"{UNIT_DIR}/twinguard-send-*.service")
        found += glob.glob(f"{UNIT_DIR}/twinguard-send-*.timer")
        for name, entry in (scan(CONFIG_DIR) or {}).items():
            if entry.kind == "directory":
                found += glob.glob(f"{CONFIG_DIR}/{name}/recipient-*.pem")
                found += glob.glob(f"{CONFIG_DIR}/{name}/job.json")
                found += glob.glob(f"{CONFIG_DIR}/{name}/known_hosts")
        return sorted(path for path in found if path not in files)

    def check(self) -> None:
        """HostError for anything that prevents the change."""
        for name in ("sftp", "ssh-keygen", "openssl", "useradd"):
            if not program(name):
                raise HostError(f"{name} is not installed on this host: install it first")
        account = host_io.account_of(USER)
        if account is not None and account.comment != COMMENT:
            raise HostError(
                f"the account {USER} was not created by this module: rename or remove it"
            )
        for job in self.jobs:
            if job.schedule:
                call(["systemd-analyze", "calendar", job.schedule])
            for group in job.groups:
                if host_io.group_id(group) is None:
                    raise HostError(
                        f"the group {group} (groups of job {job.name}) does not exist: create it first"
                    )
            public = f"{job.signing_key}.pub"  # ssh-keygen needs it beside the key
            for path in (job.signing_key, public, job.login_key, job.passphrase_file):
                own = path in job.own_keys or path[: -len(".pub")] in job.own_keys
                if path and not own and not os.path.isfile(path):
                    raise HostError(
                        f"the file {path} (job {job.name}) does not exist: create it first"
                    )

    def apply(self) -> None:
        """Apply the changes. After an error the old files are restored."""
        if host_io.account_of(USER) is None:
            host_io.make_account(USER, ())
        keys = {path: self._new_key() for path in self._missing_keys()}
        with Transaction(TRANSACTION_DIR) as files:
            changed = files.stage(self._specs(keys))
            gone = [p for p in changed if p.endswith(".timer") and not self._wanted(p)]
            files.commit()
            try:
                self._switch(changed, gone)
                files.confirm()
            except (HardeningError, OSError):
                if files.committed:
                    files.rollback()
                    systemd_io.try_systemctl("daemon-reload")
                raise

    def _wanted(self, path: str) -> bool:
        return os.path.basename(path) in [one.timer for one in self.jobs if one.schedule]

    def _switch(self, changed: Sequence[str], gone: Sequence[str]) -> None:
        if not systemd_io.in_charge():
            return
        for path in gone:
            # Its file is gone already: the link that enabled it dangles, and the timer may still be active.
            systemd_io.systemctl("disable", "--quiet", os.path.basename(path))
            systemd_io.systemctl("stop", os.path.basename(path))
        if any(path.startswith(UNIT_DIR + "/") for path in changed):
            systemd_io.systemctl("daemon-reload")
        timers = [job.timer for job in self.jobs if job.schedule]
        renewed = [name for name in timers if f"{UNIT_DIR}/{name}" in changed]
        systemd_io.switch_on(timers, renewed)

    def _new_key(self) -> Tuple[bytes, bytes]:
        place = tempfile.mkdtemp(
            prefix="twinguard-key-", dir="/run"
        )  # in memory, readable by us alone
        try:
            words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", os.uname().nodename]
            call([*words, "-f", place + "/key"])
            with open(place + "/key", "rb") as private, open(place + "/key.pub", "rb") as public:
                return private.read(), public.read()
        finally:
            remove_tree(place)

    def send(self) -> bool:
        """Run all jobs now; whether anything was sealed. HostError with the message of the first that fails."""
        before = self._sealed()
        units = systemd_io.units([job.service for job in self.jobs])
        for job in self.jobs:
            systemd_io.run_once(job.service, units.get(job.service, {}))
        return self._sealed() != before

    def _sealed(self) -> Dict[str, bytes]:
        found = {}
        for job in self.jobs:
            state = read_file(f"{STATE_DIR}/{job.name}/state/seal.json")
            found[job.name] = state.content if state else b""
        return found

    def log_in(self, job: Job) -> Tuple[str, str]:
        """Whether the receiver lets us in: a status and a reason."""
        receiver = {"host": job.host, "port": str(job.port), "account": job.account}
        words = sftp_command(receiver, job.login_key, f"{job.directory}/known_hosts")
        if not program("sftp"):
            return (
                "unknown",
                "sftp is not installed on this host: install it to have the receiver checked",
            )
        done = run(words, b"pwd\n")
        if done.code == 0:
            return "pass", f"{job.host} has the pinned host key and lets {job.account} in"
        wrong = [
            line for line in done.err.splitlines() if any(text in line for text in _WRONG_HOST)
        ]
        if wrong:
            return "fail", (
                f"{job.host} does not have the pinned host key: do not change host_keys before you know"
                f" why ({last_line(wrong[-1])})"
            )
        own = done._replace(err=errors_of_ssh(done.err))
        return "unknown", _NO_LOGIN + own.complaint()

    def findings(self, pending: Plan, log_in: bool) -> List[Dict[str, Any]]:
        """One finding for each job."""
        result = []
        for job in self.jobs:
            evidence = {
                "receiver": f"{job.account}@{job.host}:{job.port}",
                "waiting": _waiting(job),
            }
            if pending.changes:
                status, reason = "fail", sentence([one.key for one in pending.changes])
            elif log_in:
                status, reason = self.log_in(job)
            else:
                status, reason = "pass", "its files and timer are in force; no login was tried"
            result.append(finding("intake.sender", job.name, status, reason, evidence))
        return result

    def keys(self) -> List[Dict[str, str]]:
        """The public keys that the receiver must know."""
        rows = []
        for job in self.jobs:
            row = {"name": job.name, "sender": job.sender}
            for kind, path in (("signing_key", job.signing_key), ("login_key", job.login_key)):
                public = read_file(path + ".pub")
                row[kind] = public.content.decode("ascii", "replace").strip() if public else ""
            rows.append(row)
        return rows


def _waiting(job: Job) -> int:
    return sum(bool(batch_of(n)) for n in scan(f"{STATE_DIR}/{job.name}/outbox") or {})


def enforce(host: Host, check_mode: bool) -> Dict[str, Any]:
    """One run of the module; the result has a `msg` when it failed."""
    plan = host.plan()
    problem, sent = "", False
    if not check_mode:
        try:
            host.check()
            if plan.changed:
                host.apply()
            sent = host.send() if host.send_now else False
        except (HardeningError, OSError) as error:
            problem = str(error)
    pending = plan if check_mode else host.plan()
    controls = host.findings(pending, host.verify and not check_mode)
    result: Dict[str, Any] = {
        "changed": (plan.changed or sent) and not problem,
        "diff": plan.diff(),
        "controls": controls,
        "public_keys": host.keys(),
        "sent": sent,
    }
    failed = [one for one in controls if one["status"] == "fail"]
    if not check_mode and failed:
        problem = problem or f"{failed[0]['resource']}: {failed[0]['reason']}"
    if problem:
        result["msg"] = problem
    return result
