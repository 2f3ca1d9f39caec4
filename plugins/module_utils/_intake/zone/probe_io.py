# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Try an upload, and every request that must be refused, as each sender through the running sshd (I/O)."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import secrets
import tempfile
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Dict, Iterator, List, Mapping, Sequence, Tuple

from ..._files.transaction_io import read_file, remove_tree, replace_file
from ..._host.run_io import call, clean_environment, program, run
from ..ssh_client import pinned
from . import sftp_wire as wire
from .files import PROBE_KEYS_DIR
from .zone import PROBE_DIR, Zone

_SECONDS = 60.0

_TIMEOUTS = ("ConnectTimeout=10", "ServerAliveInterval=5", "ServerAliveCountMax=3")


def host_keys(settings: Mapping[str, str]) -> List[str]:
    """The public host keys of this sshd."""
    keys = []
    for path in settings.get("hostkey", "").splitlines():
        public = read_file(path + ".pub")
        if public:
            keys.append(" ".join(public.content.decode("ascii", "replace").split()[:2]))
    return sorted(keys)


def address(settings: Mapping[str, str]) -> Tuple[str, str]:
    """The address and port at which this host reaches its own sshd."""
    listening = settings.get("listenaddress", "0.0.0.0:22").splitlines()
    # IPv4 first: a container may have no IPv6 although sshd is configured for it.
    for text in sorted(listening, key=lambda one: one.startswith("[")):
        host, _colon, port = text.rpartition(":")
        try:
            ip = ipaddress.ip_address(host.strip("[]"))
        except ValueError:
            continue
        if ip.is_unspecified:
            return ("127.0.0.1" if ip.version == 4 else "::1"), port
        return str(ip), port
    return "127.0.0.1", "22"


def probe(zone: Zone, settings: Mapping[str, Mapping[str, str]]) -> Dict[str, Dict[str, Any]]:
    """For each account: sentences about problems, and how many requests were refused."""
    if not zone.senders:
        return {}
    any_settings = next(iter(settings.values()))
    host, port = address(any_settings)
    keys = host_keys(any_settings)
    with _key_pair() as (private, public):
        known = os.path.join(os.path.dirname(private), "known_hosts")
        # The pin proves that this is our own sshd.
        replace_file(known, "".join(f"intake {key}\n" for key in keys).encode(), 0o600)
        options = pinned(known, "intake", private, *_TIMEOUTS)
        found = {}
        for sender in zone.senders:
            line = f'restrict,from="{host}" {public}\n'.encode()
            with _authorized(sender.account, line):
                words = ["ssh", *options, "-p", port, "-s", f"{sender.account}@{host}", "sftp"]
                found[sender.account] = _probe_as(words, zone.drop(sender.account))
        return found


def _probe_as(words: Sequence[str], drop: str) -> Dict[str, Any]:
    token = secrets.token_hex(8)
    requests = wire.probe(token)
    ssh = program(words[0])
    if not ssh:
        return {
            "wrong": [
                "ssh is not installed on this host: install its client to have an upload tried"
            ]
        }
    try:
        out, message = _exchange([ssh, *words[1:]], wire.stream(requests), len(requests))
    finally:
        for name in os.listdir(drop):
            if name.startswith(f".probe-{token}"):
                os.unlink(os.path.join(drop, name))
    answers = wire.answers(out)
    if not answers:
        return {"wrong": [f"sshd on this host does not let the sender in: {message}"], "refused": 0}
    wrong, refused = wire.evaluate(requests, answers)
    return {"wrong": wrong, "refused": refused}


def _exchange(words: Sequence[str], requests: bytes, count: int) -> Tuple[bytes, str]:
    """All answers of the server, and the last error of the client.

    A server that sees the end of its input drops the answers that it has not sent yet. So the input stays open until
    they have arrived, which run() alone cannot do.
    """
    in_read, in_write = os.pipe()
    out_read, out_write = os.pipe()
    # Standard input and output are these pipes, whatever their numbers are.
    shell = f'exec "$@" </proc/self/fd/{in_read} >/proc/self/fd/{out_write}'
    argv = ["/bin/sh", "-c", shell, "sh", *words]
    answered = b""
    with ThreadPoolExecutor(max_workers=1) as aside:
        client = aside.submit(
            run, argv, b"", clean_environment(), _SECONDS, None, (in_read, out_write)
        )
        # When the client ends, nobody is left to write, so reading ends as well.
        client.add_done_callback(lambda _done: os.close(out_write))
        try:
            os.write(in_write, requests)  # less than a pipe holds
            while len(wire.answers(answered)) < count:
                some = os.read(out_read, 65536)
                if not some:
                    break
                answered += some
        finally:
            os.close(in_write)
            done = client.result()
            for fd in (in_read, out_read):
                os.close(fd)
    return answered, done.complaint()


@contextlib.contextmanager
def _key_pair() -> Iterator[Tuple[str, str]]:
    """A key that exists for the duration of the probe, in memory; also removes that of a killed run."""
    remove_tree(PROBE_DIR)
    os.mkdir(PROBE_DIR, 0o755)
    os.mkdir(PROBE_KEYS_DIR, 0o755)
    try:
        private = os.path.join(tempfile.mkdtemp(dir=PROBE_DIR), "key")
        call(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", private])
        with open(private + ".pub", encoding="ascii") as stream:
            yield private, stream.read().strip()
    finally:
        remove_tree(PROBE_DIR)


@contextlib.contextmanager
def _authorized(account: str, line: bytes) -> Iterator[None]:
    path = os.path.join(PROBE_KEYS_DIR, account)
    replace_file(path, line, 0o644)
    try:
        yield
    finally:
        os.unlink(path)
