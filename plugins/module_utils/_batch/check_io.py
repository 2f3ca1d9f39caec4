# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check everything about an uploaded batch that can be checked without decrypting it (I/O).

The sender controls the directory, and can replace a name by a link or a device at any time. So each file is opened
once, without following links, and all checks use the open descriptor.
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
from . import signature as signatures
from .disk_io import READ, digest_fd
from .types import DATA, INDEX, KEY, MANIFEST, SIGNATURE, Identity, OpenOptions, Reason, Refused

_LINK_WAIT = 2.0  # seconds; sftp-server renames with a second link, which it then removes
_POLL = 0.05


class Zone:
    """The directory in which batches arrive, kept open."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.fd = open_dir(path)

    def close(self) -> None:
        """Close it."""
        os.close(self.fd)

    def names(self) -> List[str]:
        """The names that are in it now."""
        with doing("list", self.path):
            return os.listdir(self.fd)

    @contextlib.contextmanager
    def opened(self, name: str) -> Iterator[Tuple[int, int]]:
        """A regular file in it: descriptor and size. Refused when it is anything else."""
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
                    raise Refused(
                        Reason.NOT_A_FILE, f"{names.shown(name)} is a {kind}, not a regular file"
                    )
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
                raise Refused(
                    Reason.HARD_LINK,
                    f"{names.shown(name)} has a second hard link, so it can be changed from elsewhere",
                )
            time.sleep(_POLL)

    def read(self, name: str, limit: int, too_large: Reason) -> bytes:
        """The content of a small file, read once."""
        with self.opened(name) as (fd, size), doing("read", f"{self.path}/{name}"):
            if size > limit:
                raise Refused(
                    too_large,
                    f"{names.shown(name)} has more than {limit} bytes, the limit for such a file",
                )
            content = b""
            while len(content) <= limit:
                part = os.read(fd, limit + 1 - len(content))
                if not part:
                    return content
                content += part
        raise Refused(
            too_large, f"{names.shown(name)} has more than {limit} bytes, the limit for such a file"
        )


@dataclass(frozen=True)
class Trust:
    """Trusted signers and the keys that open batches, read once for all batches of a run."""

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
            tuple(signatures.entries(options.allowed_signers)),
            signatures.revoked_keys(options.revocations),
            tuple(
                openssl.fingerprint(openssl.certificate(one.certificate))
                for one in options.identities
            ),
        )


@dataclass
class Checked:
    """A batch whose sender, completeness and digests were checked. `data` is its archive, kept open."""

    manifest: manifests.Manifest
    digest: str
    identity: Optional[Identity]
    data: int
    small: Dict[str, bytes]

    def close(self) -> None:
        """Close the archive."""
        os.close(self.data)


@dataclass(frozen=True)
class Authenticated:
    """A manifest with a good signature. `published`: its ledger entry when this very batch was published before."""

    manifest: manifests.Manifest
    digest: str
    published: Optional[ledger.Entry]


def authenticate(
    zone: Zone, batch: str, trust: Trust, published: ledger.Ledger, now: int, run: Runner
) -> Authenticated:
    """Verify who sent the batch, and look it up in the ledger. Nothing is parsed before its signature is good."""
    content = zone.read(batch + MANIFEST, manifests.LIMIT, Reason.BAD_MANIFEST)
    armoured = zone.read(batch + SIGNATURE, signatures.SIGNATURE_LIMIT, Reason.BAD_SIGNATURE)
    signature = signatures.signature(armoured)
    principals = signatures.signers(signature, trust.entries, trust.revoked, now)
    moment = time.strftime("%Y%m%d%H%M%S", time.gmtime(now))
    files = (trust.options.allowed_signers, trust.options.revocations)
    openssl.verify(run, content, armoured, files, principals[0], moment)
    manifest = manifests.parse(content, batch)
    verdict.check_sender(manifest, principals, trust.options.senders)
    digest = hashlib.sha256(content).hexdigest()
    known = ledger.decide(published, manifest.sender, batch, manifest.sequence, digest)
    return Authenticated(manifest, digest, known)


def check(zone: Zone, signed: Authenticated, trust: Trust, now: int) -> Checked:
    """Verify that the batch is for us, complete and unchanged. Nothing is decrypted before that."""
    manifest, options = signed.manifest, trust.options
    verdict.check_time(manifest, now, options.maximum_age)
    number = 0
    if trust.fingerprints or options.passphrase_file or not options.verify_only:
        chosen = verdict.choose(manifest, trust.fingerprints, bool(options.passphrase_file))
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
    return Checked(manifest, signed.digest, identity, data, small)


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
            Reason.WRONG_SIZE,
            f"{wanted.name} has {size} bytes; the signed manifest says {wanted.size}",
        )
    if digest != wanted.sha256:
        raise Refused(
            Reason.WRONG_DIGEST, f"{wanted.name} does not have the SHA-256 of the signed manifest"
        )
