# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sending side of the intake: options checked, files rendered (pure)."""

from __future__ import annotations

import ipaddress
import json
import re
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Sequence, Tuple

from ..._batch.options import check_one_secret, check_sender
from ..._core.plan import ControlError
from ..checks import absolute_path, account_name, match, public_key
from ..sandbox import SANDBOX
from .upload import known_hosts

USER = "twinguard-sender"
"""The user that seals and sends. It reads the sources through `groups` and cannot log in."""

CONFIG_DIR = "/etc/twinguard/sender"
STATE_DIR = "/var/lib/twinguard-send"
UNIT_DIR = "/etc/systemd/system"
PROGRAM = "send"

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_SIZE = re.compile(r"[1-9][0-9]*[KMGT]?")
_CERTIFICATE = re.compile(
    r"\s*-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----\s*"
)
# The characters of systemd's calendar syntax; systemd itself checks the rest.
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
# "+": as root and outside of the sandbox, which hides the places of the keys. It copies them and does nothing else.
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
Description=Seal and send new data on schedule: {name} (twinguard)

[Timer]
OnCalendar={schedule}
Persistent=yes
RandomizedDelaySec={delay}

[Install]
WantedBy=timers.target
"""


@dataclass(frozen=True)
class Job:
    """A set of sources that is sent to one receiver; the module's documentation describes each option."""

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
        """The directory of its configuration."""
        return f"{CONFIG_DIR}/{self.name}"

    @property
    def own_keys(self) -> Tuple[str, ...]:
        """The key files that the module creates when they do not exist."""
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
                f"jobs[{number}].name",
                job.name,
                "another job has the same name",
                "give each job its own name",
            )
        jobs.append(job)
    return tuple(sorted(jobs, key=lambda one: one.name))


def _job(item: Mapping[str, Any], where: str) -> Job:
    name = match(
        _NAME,
        item["name"],
        f"{where}.name",
        "not a valid name of a job",
        "1 to 32 lower case letters, digits and '-', beginning with a letter or digit",
    )
    sources = tuple(item["sources"])
    for number, path in enumerate(sources):
        absolute_path(path, f"{where}.sources[{number}]")
    if not sources:
        raise ControlError(
            f"{where}.sources",
            [],
            "there is nothing to send",
            "name at least one file or directory",
        )
    check_sender(f"{where}.sender", item["sender"])
    recipients = tuple(str(one).strip() + "\n" for one in item["recipients"] or ())
    for number, pem in enumerate(recipients):
        match(
            _CERTIFICATE,
            pem,
            f"{where}.recipients[{number}]",
            "not exactly one certificate in PEM format",
            "the text of a certificate, such as intake_zone returns",
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
            absolute_path(path, f"{where}.{option}")
    receiver = item["receiver"]
    return Job(
        name=name,
        sources=sources,
        sender=item["sender"],
        host=_host(receiver["host"], f"{where}.receiver.host"),
        port=_port(receiver["port"], f"{where}.receiver.port"),
        account=account_name(receiver["account"], f"{where}.receiver.account"),
        host_keys=_host_keys(receiver["host_keys"], f"{where}.receiver.host_keys"),
        recipients=recipients,
        groups=tuple(account_name(one, f"{where}.groups", "group") for one in item["groups"] or ()),
        schedule=_schedule(item["schedule"], f"{where}.schedule"),
        delay=max(0, int(item["delay"])),
        time_limit=max(60, int(item["time_limit"])),
        memory_max=match(
            _SIZE,
            item["memory_max"],
            f"{where}.memory_max",
            "not a size",
            "a number of bytes, or one with K, M, G or T, such as 512M",
        ),
        **paths,
    )


def _host(value: str, option: str) -> str:
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        return match(
            _HOST, value, option, "not a host name or IP address", "one such as intake.example.com"
        )


def _port(value: int, option: str) -> int:
    if not 0 < value < 65536:
        raise ControlError(option, value, "not a TCP port", "use a number from 1 to 65535")
    return value


def _host_keys(keys: Sequence[str], option: str) -> Tuple[str, ...]:
    if not keys:
        raise ControlError(
            option,
            [],
            "without it any host could pose as the receiver",
            "give its public host keys",
        )
    found = {
        public_key(line, f"{option}[{number}]", "the receiver's /etc/ssh/ssh_host_*_key.pub").line
        for number, line in enumerate(keys)
    }
    return tuple(sorted(found))


def _schedule(value: Any, option: str) -> str:
    if not value:
        return ""
    return match(
        _CALENDAR,
        value,
        option,
        "not a calendar event of systemd",
        "one such as hourly or *-*-* 02:00:00",
    )


def job_files(job: Job, lib: str) -> Dict[str, bytes]:
    """The files of a job by path; they are readable by everybody."""
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
        # Some versions of ssh-keygen need it beside the key.
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
