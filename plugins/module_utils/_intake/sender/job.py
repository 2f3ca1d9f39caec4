# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the sending side of data intake shall be like: options checked, files rendered (pure)."""

from __future__ import annotations

import ipaddress
import json
import re
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Sequence, Tuple

from ..._batch.options import check_one_secret, check_sender
from ..._core.plan import ControlError
from ..._trust.ssh_keys import NotAKey, parse_public_key
from ..sandbox import SANDBOX
from .upload import known_hosts

USER = "twinguard-sender"
"""The user that seals and sends. It may read the sources by `groups` and has no login."""

CONFIG_DIR = "/etc/twinguard/sender"
STATE_DIR = "/var/lib/twinguard-send"
UNIT_DIR = "/etc/systemd/system"
PROGRAM = "send"

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_PATH = re.compile(r"(/[A-Za-z0-9._-]+)+")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_ACCOUNT = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_CERTIFICATE = re.compile(
    r"\s*-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----\s*"
)
# One line of systemd's calendar syntax; systemd itself judges it.
_CALENDAR = re.compile(r"[A-Za-z0-9*:/., ~-]{1,100}")

_MARK = "# Managed by Ansible (twinguard.hardening.intake_sender): changes here are lost.\n"
_SERVICE = """\
[Unit]
Description=Seal and send new data: {name} (twinguard)
Documentation=https://github.com/twinguard/twinguard.hardening
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
User={user}
{groups}UMask=0077
# "+": as root and outside of the sandbox, which hides where the keys may lie. It copies them and does nothing else.
ExecStartPre=+{lib}/keys {directory}/job.json
ExecStart={lib}/send {directory}/job.json
TimeoutStartSec={time_limit}
RuntimeDirectory=twinguard-send-{name}
RuntimeDirectoryMode=0700
StateDirectory=twinguard-send/{name} twinguard-send/{name}/outbox twinguard-send/{name}/state
StateDirectoryMode=0700
CapabilityBoundingSet=
ProtectHome=read-only
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
MemoryMax={memory_max}
{sandbox}"""
_TIMER = """\
[Unit]
Description=Seal and send new data in time: {name} (twinguard)

[Timer]
OnCalendar={schedule}
Persistent=yes
RandomizedDelaySec={delay}

[Install]
WantedBy=timers.target
"""


@dataclass(frozen=True)
class Job:
    """One set of sources that goes to one receiver; see the documentation of the module for each option."""

    name: str
    sources: Tuple[str, ...]
    sender: str
    host: str
    port: int
    account: str
    host_keys: Tuple[str, ...]
    recipients: Tuple[str, ...]
    passphrase_file: str
    signing_key: str
    login_key: str
    groups: Tuple[str, ...]
    schedule: str
    delay: int
    time_limit: int
    memory_max: str

    @property
    def directory(self) -> str:
        """Where its configuration lies."""
        return f"{CONFIG_DIR}/{self.name}"

    @property
    def own_keys(self) -> Tuple[str, ...]:
        """The key files that the module makes when they are missing."""
        return tuple(
            path for path in (self.signing_key, self.login_key) if path.startswith(CONFIG_DIR + "/")
        )

    @property
    def service(self) -> str:
        return f"twinguard-send-{self.name}.service"

    @property
    def timer(self) -> str:
        return f"twinguard-send-{self.name}.timer"


def parse_jobs(params: Mapping[str, Any]) -> Tuple[Job, ...]:
    """The options of the module, checked. Raises ControlError."""
    jobs: List[Job] = []
    for number, item in enumerate(params["jobs"]):
        job = _job(item, f"jobs[{number}]")
        if job.name in [one.name for one in jobs]:
            raise ControlError(
                f"jobs[{number}].name", job.name, "two jobs have it", "give each its own"
            )
        jobs.append(job)
    return tuple(sorted(jobs, key=lambda one: one.name))


def _job(item: Mapping[str, Any], where: str) -> Job:
    name = _match(_NAME, item["name"], f"{where}.name", "lower case letters, digits and '-'")
    sources = tuple(item["sources"])
    for number, path in enumerate(sources):
        _match(_PATH, path, f"{where}.sources[{number}]", "an absolute path of plain characters")
    if not sources:
        raise ControlError(f"{where}.sources", [], "there is nothing to send", "name a directory")
    check_sender(f"{where}.sender", item["sender"])
    recipients = tuple(str(one).strip() + "\n" for one in item["recipients"] or ())
    for number, pem in enumerate(recipients):
        _match(
            _CERTIFICATE,
            pem,
            f"{where}.recipients[{number}]",
            "one PEM certificate, such as intake_zone returns",
        )
    passphrase = item["passphrase_file"] or ""
    certificates = f"{len(recipients)} certificates"
    check_one_secret(f"{where}.recipients", certificates, bool(recipients), passphrase)
    own = f"{CONFIG_DIR}/{name}"
    paths = {
        "passphrase_file": passphrase,
        "signing_key": item["signing_key"] or f"{own}/signing_key",
        "login_key": item["login_key"] or f"{own}/login_key",
    }
    for option, path in paths.items():
        if path:
            _match(_PATH, path, f"{where}.{option}", "an absolute path of plain characters")
    receiver = item["receiver"]
    return Job(
        name=name,
        sources=sources,
        sender=item["sender"],
        host=_host(receiver["host"], f"{where}.receiver.host"),
        port=_port(receiver["port"], f"{where}.receiver.port"),
        account=_match(_ACCOUNT, receiver["account"], f"{where}.receiver.account", "a login"),
        host_keys=_host_keys(receiver["host_keys"], f"{where}.receiver.host_keys"),
        recipients=recipients,
        groups=tuple(
            _match(_ACCOUNT, one, f"{where}.groups", "names of groups")
            for one in item["groups"] or ()
        ),
        schedule=_schedule(item["schedule"], f"{where}.schedule"),
        delay=max(0, int(item["delay"])),
        time_limit=max(60, int(item["time_limit"])),
        memory_max=_match(
            re.compile(r"[1-9][0-9]*[KMGT]?"), item["memory_max"], f"{where}.memory_max", "a size"
        ),
        **paths,
    )


def _match(pattern: re.Pattern[str], value: Any, option: str, wanted: str) -> str:
    text = str(value)
    if not pattern.fullmatch(text) or {".", ".."} & set(text.split("/")):
        raise ControlError(option, value, "it is not what it should be", f"write {wanted}")
    return text


def _host(value: str, option: str) -> str:
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        return _match(_HOST, value, option, "a host name or an IP address")


def _port(value: int, option: str) -> int:
    if not 0 < value < 65536:
        raise ControlError(option, value, "it is no port", "give a number from 1 to 65535")
    return value


def _host_keys(keys: Sequence[str], option: str) -> Tuple[str, ...]:
    if not keys:
        raise ControlError(
            option, [], "any host could pose as the receiver", "give its public host keys"
        )
    found = []
    for number, line in enumerate(keys):
        try:
            found.append(parse_public_key(line).line)
        except NotAKey as error:
            raise ControlError(
                f"{option}[{number}]", line, str(error), "give a line of ssh_host_*_key.pub"
            ) from error
    return tuple(sorted(set(found)))


def _schedule(value: Any, option: str) -> str:
    if not value:
        return ""
    return _match(_CALENDAR, value, option, "a calendar event of systemd, such as hourly")


def job_files(job: Job, lib: str) -> Dict[str, bytes]:
    """The files of a job by path; everybody may read them."""
    files = {f"{job.directory}/known_hosts": known_hosts(job.host, job.host_keys)}
    names = []
    for number, pem in enumerate(job.recipients):
        names.append(f"{job.directory}/recipient-{number}.pem")
        files[names[-1]] = pem.encode("ascii")
    files[f"{job.directory}/job.json"] = _config(job, names)
    service = _SERVICE.format(
        sandbox=SANDBOX,
        name=job.name,
        user=USER,
        groups=f"SupplementaryGroups={' '.join(job.groups)}\n" if job.groups else "",
        lib=lib,
        directory=job.directory,
        time_limit=job.time_limit,
        memory_max=job.memory_max,
    )
    files[f"{UNIT_DIR}/{job.service}"] = (_MARK + service).encode("ascii")
    if job.schedule:
        timer = _TIMER.format(name=job.name, schedule=job.schedule, delay=job.delay)
        files[f"{UNIT_DIR}/{job.timer}"] = (_MARK + timer).encode("ascii")
    return files


def _config(job: Job, recipients: Sequence[str]) -> bytes:
    secrets = {
        "signing_key": job.signing_key,
        # ssh-keygen of some versions wants it beside the key.
        "signing_key.pub": job.signing_key + ".pub",
        "login_key": job.login_key,
    }
    if job.passphrase_file:
        secrets["passphrase"] = job.passphrase_file
    settings = {
        "user": USER,
        "secrets": secrets,
        "sources": list(job.sources),
        "outbox": f"{STATE_DIR}/{job.name}/outbox",
        "state_dir": f"{STATE_DIR}/{job.name}/state",
        "sender": job.sender,
        "recipients": list(recipients),
        "passphrase": bool(job.passphrase_file),
        "receiver": {"host": job.host, "port": job.port, "account": job.account},
        "known_hosts": f"{job.directory}/known_hosts",
        "timeout": job.time_limit,
    }
    return (json.dumps(settings, indent=2, sort_keys=True) + "\n").encode("ascii")
