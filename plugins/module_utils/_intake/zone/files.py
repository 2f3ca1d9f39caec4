# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of the receiving side of the intake, as text (pure)."""

from __future__ import annotations

import json
from typing import Any, Dict, List

from ..._batch.types import MANIFEST
from ..sandbox import SANDBOX
from .zone import CONFIG_DIR, LOG_DIR, PROBE_DIR, SENDERS_GROUP, STATE_DIR, USER, Sender, Zone

PROGRAM = "intake"
"""The name of the program below /usr/local/lib/twinguard, with the entries keys, collect and receive."""

SSHD_FILE = "/etc/ssh/sshd_config.d/00-twinguard-intake.conf"
LIMITS_FILE = "/etc/security/limits.d/twinguard-intake.conf"
UNIT_DIR = "/etc/systemd/system"
SERVICE, PATH_UNIT, TIMER = (f"twinguard-intake.{kind}" for kind in ("service", "path", "timer"))
KEYS_DIR = f"{CONFIG_DIR}/keys"
PROBE_KEYS_DIR = f"{PROBE_DIR}/keys"
CONFIG = f"{CONFIG_DIR}/receiver.json"
ALLOWED_SIGNERS = f"{CONFIG_DIR}/allowed_signers"
REVOKED_KEYS = f"{CONFIG_DIR}/revoked_keys"

# The requests that an upload needs; all others are refused, also those that a later OpenSSH adds.
# sshd cuts this command after nine words without a warning, so no word may be added.
FORCED = (
    "internal-sftp -d /drop -u 0777 -l INFO"
    " -p open,close,write,realpath,stat,lstat,rename,fsync,limits"
)
EFFECTIVE: Dict[str, str] = {
    "forcecommand": FORCED,
    "chrootdirectory": "{directory}/zones/%u",
    "authorizedkeysfile": f"{KEYS_DIR}/%u {PROBE_KEYS_DIR}/%u",
    "authorizedkeyscommand": "none",
    "authorizedprincipalsfile": "none",
    "trustedusercakeys": "none",
    "authenticationmethods": "publickey",
    "pubkeyauthentication": "yes",
    "passwordauthentication": "no",
    "kbdinteractiveauthentication": "no",
    "disableforwarding": "yes",
    "permittunnel": "no",
    "permittty": "no",
    "permituserrc": "no",
    "x11forwarding": "no",
    "maxsessions": "2",
    "clientaliveinterval": "60",
    "clientalivecountmax": "3",
}
"""The settings that sshd must have for a sender, by the names of `sshd -T`; also the ones we write."""

_SPELLING = {
    "forcecommand": "ForceCommand",
    "chrootdirectory": "ChrootDirectory",
    "authorizedkeysfile": "AuthorizedKeysFile",
    "authorizedkeyscommand": "AuthorizedKeysCommand",
    "authorizedprincipalsfile": "AuthorizedPrincipalsFile",
    "trustedusercakeys": "TrustedUserCAKeys",
    "authenticationmethods": "AuthenticationMethods",
    "pubkeyauthentication": "PubkeyAuthentication",
    "passwordauthentication": "PasswordAuthentication",
    "kbdinteractiveauthentication": "KbdInteractiveAuthentication",
    "disableforwarding": "DisableForwarding",
    "permittunnel": "PermitTunnel",
    "permittty": "PermitTTY",
    "permituserrc": "PermitUserRC",
    "x11forwarding": "X11Forwarding",
    "maxsessions": "MaxSessions",
    "clientaliveinterval": "ClientAliveInterval",
    "clientalivecountmax": "ClientAliveCountMax",
}
_MARK = "# Managed by Ansible (twinguard.hardening.intake_zone): changes here are lost.\n"

_SERVICE = """\
[Unit]
Description=Open sealed batches that were uploaded (twinguard)
Documentation=https://github.com/twinguard/twinguard.hardening
# Each upload starts it; a limit would stop the path unit for good.
StartLimitIntervalSec=0

[Service]
Type=oneshot
User={user}
Group={group}
UMask=0027
# "+": as root and outside of the sandbox, which hides the places of the keys. It copies them and does nothing else.
ExecStartPre=+{lib}/keys {config}
# "!": as root, inside the sandbox and with only the capabilities below. It moves complete batches out of the
# senders' reach. The step that opens batches runs as {user} and has no capability at all.
ExecStartPre=!{lib}/collect {config}
ExecStart={lib}/receive {config}
TimeoutStartSec={time_limit}
RuntimeDirectory=twinguard-intake-keys
RuntimeDirectoryMode=0700
StateDirectory=twinguard-intake
StateDirectoryMode=0700
LogsDirectory=twinguard-intake
LogsDirectoryMode=0750
ReadWritePaths={directory}
CapabilityBoundingSet=CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER CAP_LEASE
ProtectHome=yes
PrivateNetwork=yes
RestrictAddressFamilies=AF_UNIX
MemoryMax={memory_max}
{sandbox}"""
_TIMER = """\
[Unit]
Description=Collect missed uploads, and remove stale ones (twinguard)

[Timer]
OnActiveSec=1min
OnUnitInactiveSec=1min
AccuracySec=5s

[Install]
WantedBy=timers.target
"""


def text_files(zone: Zone, lib: str) -> Dict[str, bytes]:
    """All text files but the trust files, by path; readable by everybody. `lib`: the program's directory."""
    files = {
        SSHD_FILE: sshd_config(zone),
        LIMITS_FILE: _limits(zone),
        f"{UNIT_DIR}/{SERVICE}": _service(zone, lib),
        f"{UNIT_DIR}/{PATH_UNIT}": _path_unit(zone),
        f"{UNIT_DIR}/{TIMER}": _MARK + _TIMER,
        CONFIG: _config(zone),
    }
    for sender in zone.senders:
        files[f"{KEYS_DIR}/{sender.account}"] = _authorized_keys(sender)
    return {path: text.encode("utf-8") for path, text in files.items()}


def effective(zone: Zone) -> Dict[str, str]:
    """The settings that `sshd -T` must show for each sender."""
    return {name: value.format(directory=zone.directory) for name, value in EFFECTIVE.items()}


def sshd_config(zone: Zone) -> str:
    """The drop-in of sshd."""
    lines = [_MARK + f"Match Group {SENDERS_GROUP}"]
    lines += [f"    {_SPELLING[name]} {value}" for name, value in effective(zone).items()]
    # Files that sshd reads after this one must not become part of the block.
    return "\n".join([*lines, "Match all", ""])


def _authorized_keys(sender: Sender) -> str:
    options = "restrict"
    if sender.addresses:
        options += ',from="%s"' % ",".join(sender.addresses)
    return _MARK + "".join(f"{options} {key}\n" for key in sender.keys)


def _limits(zone: Zone) -> str:
    """Limits of the kernel: no single upload is larger than the quota, and there are no core files."""
    lines: List[str] = []
    for sender in zone.senders:
        lines.append(f"{sender.account} hard fsize {sender.quota // 1024}\n")
        lines.append(f"{sender.account} hard core 0\n")
    return _MARK + "".join(lines)


def _service(zone: Zone, lib: str) -> str:
    return _MARK + _SERVICE.format(
        sandbox=SANDBOX,
        user=USER,
        group=zone.reader_group,
        lib=lib,
        config=CONFIG,
        directory=zone.directory,
        time_limit=zone.time_limit,
        memory_max=zone.memory_max,
    )


def _path_unit(zone: Zone) -> str:
    # A glob for each zone: systemd watches the directories before the first wildcard only.
    globs = [f"PathExistsGlob={zone.drop(one.account)}/*{MANIFEST}\n" for one in zone.senders]
    return (
        f"{_MARK}[Unit]\nDescription=Wait for the manifest of a batch (twinguard)\n\n"
        f"[Path]\n{''.join(globs) or f'PathExistsGlob={zone.directory}/zones/none'}\nUnit={SERVICE}\n\n"
        "[Install]\nWantedBy=paths.target\n"
    )


def _config(zone: Zone) -> str:
    secrets = {}
    for number, (key, certificate) in enumerate(zone.identities):
        # The certificate is not secret, but it may be in a directory that only root can read.
        secrets[f"identity-{number}.key"] = key
        secrets[f"identity-{number}.pem"] = certificate
    if zone.passphrase_file:
        secrets["passphrase"] = zone.passphrase_file
    settings: Dict[str, Any] = {
        "secrets": secrets,
        "directory": zone.directory,
        "user": USER,
        "state_dir": STATE_DIR,
        "log": f"{LOG_DIR}/batches.jsonl",
        "allowed_signers": ALLOWED_SIGNERS,
        "revocations": REVOKED_KEYS,
        "identities": len(zone.identities),
        "passphrase": bool(zone.passphrase_file),
        "validate": list(zone.validate),
        "validate_seconds": zone.validate_seconds,
        "maximum_bytes": zone.maximum_bytes,
        "maximum_files": zone.maximum_files,
        "maximum_age": zone.maximum_age,
        "stale_seconds": zone.stale_seconds,
        "quarantine_seconds": zone.quarantine_seconds,
        "zones": [
            {
                "account": one.account,
                "sender": one.name,
                "quota": one.quota,
                "max_files": one.max_files,
            }
            for one in zone.senders
        ],
    }
    return json.dumps(settings, indent=2, sort_keys=True) + "\n"
