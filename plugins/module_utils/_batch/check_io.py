# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Look at a batch where it was dropped, and check all that can be checked without opening it (I/O).

The directory belongs to the sender: names in it are links, devices or gone by the next look, if he wants. So each file
is opened once, without following links, and everything is asked of what is open.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import time
from dataclasses import dataclass
from typing import Dict, Iterator, List, Optional, Set, Tuple

from .._files.safe_path_io import FilesError, doing, kind_of, open_dir
from .._host.run_io import Runner
from .._trust.allowed_signers import Entry
from . import ledger, names, verdict
from . import manifest as manifests
from . import openssl_io as openssl
from . import signature as trust
from .disk_io import READ, digest_fd
from .types import DATA, INDEX, KEY, MANIFEST, SIGNATURE, Identity, OpenOptions, Reason, Refused

_LINK_WAIT = 2.0  # seconds; sftp-server renames by a second link, which it then removes
_POLL = 0.05


class Zone:
    """The directory in which batches arrive, held open."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.fd = open_dir(path)

    def close(self) -> None:
        """Close it."""
        os.close(self.fd)

    def names(self) -> List[str]:
        """What is in it now."""
        with doing("list", self.path):
            return os.listdir(self.fd)

    @contextlib.contextmanager
    def opened(self, name: str) -> Iterator[Tuple[int, int]]:
        """A plain file in it: descriptor and size. Refused when it is anything else."""
        fd, size = self._open(name)
        try:
            yield fd, size
        finally:
            os.close(fd)

    def _open(self, name: str) -> Tuple[int, int]:
        deadline = time.monotonic() + _LINK_WAIT
        while True:
            try:
                before = os.stat(name, dir_fd=self.fd, follow_symlinks=False)
                if not stat.S_ISREG(before.st_mode):
                    kind = kind_of(before.st_mode)
                    raise Refused(Reason.NOT_A_FILE, f"{names.shown(name)} is a {kind}")
                fd = os.open(name, READ, dir_fd=self.fd)
            except FileNotFoundError as error:
                missing = Reason.MISSING_FILE
                if name.endswith(SIGNATURE):
                    missing = Reason.MISSING_SIGNATURE
                raise Refused(missing, f"{names.shown(name)} is missing") from error
            except OSError as error:
                raise FilesError(f"{self.path}/{name}", "open", error) from error
            found = os.fstat(fd)
            if stat.S_ISREG(found.st_mode) and found.st_nlink == 1:
                return fd, found.st_size
            os.close(fd)
            if not stat.S_ISREG(found.st_mode) or time.monotonic() > deadline:
                raise Refused(Reason.HARD_LINK, f"{names.shown(name)} has another name elsewhere")
            time.sleep(_POLL)

    def read(self, name: str, limit: int, too_large: Reason) -> bytes:
        """The content of a small file, as it is at one moment."""
        with self.opened(name) as (fd, size), doing("read", f"{self.path}/{name}"):
            if size > limit:
                raise Refused(too_large, f"{names.shown(name)} has more than {limit} bytes")
            content = b""
            while len(content) <= limit:
                part = os.read(fd, limit + 1 - len(content))
                if not part:
                    return content
                content += part
        raise Refused(too_large, f"{names.shown(name)} has more than {limit} bytes")


@dataclass(frozen=True)
class Trust:
    """Whom to believe and what to open with, read once for all batches of a run."""

    options: OpenOptions
    entries: Tuple[Entry, ...]
    revoked: Set[str]
    fingerprints: Tuple[str, ...]

    @classmethod
    def read(cls, options: OpenOptions) -> Trust:
        """Raises ControlError or FilesError for what cannot be read."""
        for one in options.identities:
            openssl.check_private(one.key)
        if options.passphrase_file:
            openssl.check_private(options.passphrase_file)
        return cls(
            options,
            tuple(trust.entries(options.allowed_signers)),
            trust.revoked_keys(options.revocations),
            tuple(
                openssl.fingerprint(openssl.certificate(one.certificate))
                for one in options.identities
            ),
        )


@dataclass
class Checked:
    """A batch whose sender, completeness and digests are right. `data` is its archive, held open."""

    manifest: manifests.Manifest
    digest: str
    identity: Optional[Identity]
    data: int
    small: Dict[str, bytes]

    def close(self) -> None:
        """Close the archive."""
        os.close(self.data)


@dataclass(frozen=True)
class Claim:
    """A manifest with a good signature. `known`: this very batch was published before."""

    manifest: manifests.Manifest
    digest: str
    known: Optional[ledger.Entry]


def authenticate(
    zone: Zone, batch: str, us: Trust, book: ledger.Ledger, now: int, run: Runner
) -> Claim:
    """Who sent the batch, and whether it may come now. Nothing is parsed before its signature is good."""
    content = zone.read(batch + MANIFEST, manifests.LIMIT, Reason.BAD_MANIFEST)
    armoured = zone.read(batch + SIGNATURE, trust.SIGNATURE_LIMIT, Reason.BAD_SIGNATURE)
    signature = trust.signature(armoured)
    principals = trust.signers(signature, us.entries, us.revoked, now)
    moment = time.strftime("%Y%m%d%H%M%S", time.gmtime(now))
    files = (us.options.allowed_signers, us.options.revocations)
    openssl.verify(run, content, armoured, files, principals[0], moment)
    manifest = manifests.parse(content, batch)
    verdict.check_sender(manifest, principals, us.options.senders)
    digest = hashlib.sha256(content).hexdigest()
    known = ledger.decide(book, manifest.sender, batch, manifest.sequence, digest)
    return Claim(manifest, digest, known)


def check(zone: Zone, claim: Claim, us: Trust, now: int) -> Checked:
    """Whether the batch is for us, and complete and unharmed. Nothing is decrypted before that."""
    manifest, options = claim.manifest, us.options
    verdict.check_time(manifest, now, options.maximum_age)
    number = 0
    if us.fingerprints or options.passphrase_file or not options.verify_only:
        chosen = verdict.choose(manifest, us.fingerprints, bool(options.passphrase_file))
        number = -1 if chosen is None else chosen
    verdict.check_set(zone.names(), manifest)
    verdict.check_limits(manifest, options.maximum_bytes, options.maximum_files)
    small = {}
    for ending in (INDEX, KEY) if manifest.recipients else (INDEX,):
        one = manifest.file(ending)
        small[ending] = zone.read(one.name, one.size, Reason.WRONG_SIZE)
        _same(one, len(small[ending]), hashlib.sha256(small[ending]).hexdigest())
    identity = options.identities[number] if 0 <= number < len(options.identities) else None
    data = _checked_data(zone, manifest.file(DATA))
    return Checked(manifest, claim.digest, identity, data, small)


def _checked_data(zone: Zone, wanted: manifests.Sum) -> int:
    with zone.opened(wanted.name) as (fd, size):
        if size != wanted.size:
            _same(wanted, size, "")
        with doing("read", f"{zone.path}/{wanted.name}"):
            _same(wanted, size, digest_fd(fd, size) or "")
            return os.dup(fd)


def _same(wanted: manifests.Sum, size: int, digest: str) -> None:
    if size != wanted.size:
        raise Refused(
            Reason.WRONG_SIZE, f"{wanted.name} has {size} bytes; {wanted.size} were signed"
        )
    if digest != wanted.sha256:
        raise Refused(Reason.WRONG_DIGEST, f"{wanted.name} is not what was signed")
