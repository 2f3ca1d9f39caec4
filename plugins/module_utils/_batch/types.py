# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options and results of sealing and opening batches (pure).

A batch is a few files in one directory, without subdirectories; ID is its batch id:

    ID.data.enc           the files of the batch as one tar archive, encrypted by `openssl enc`
    ID.index.enc          its table of contents, in the format of sha256sum, encrypted likewise
    ID.key.cms            the random password of both, wrapped by `openssl cms` for the recipients;
                          absent when a shared passphrase is used
    ID.manifest.json.sig  signature of the manifest, made by `ssh-keygen -Y sign`
    ID.manifest.json      sizes and SHA-256 of the encrypted files, and all that opening needs; written last

    sealed = seal(SealOptions(...), now, run)               # seal_io
    outcomes = open_batches(directory, OpenOptions(...), now, run)     # open_io

`now` is in seconds since 1970 and `run` is `_host/run_io.run`. Both raise FilesError, ProgramError or
ControlError for a problem that is not the batch's fault, such as a full disk; then nothing was published.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Optional, Tuple

from .._core.error import HardeningError

NAMESPACE = "twinguard-batch"
"""The namespace of the signatures; a signature in another namespace is refused."""

DATA, INDEX, KEY = ".data.enc", ".index.enc", ".key.cms"
MANIFEST, SIGNATURE = ".manifest.json", ".manifest.json.sig"
"""The suffixes of a batch's files."""

MINIMUM_PASSPHRASE_ITERATIONS = 600_000
MINIMUM_RANDOM_ITERATIONS = 10_000
"""Rounds of PBKDF2. A random password of 256 bits needs none; this is openssl's own default."""

MAXIMUM_ITERATIONS = 20_000_000


class Reason(str, Enum):
    """Why a batch was not published. The values are for programs and never change."""

    BAD_MANIFEST = "bad_manifest"
    BAD_SIGNATURE = "bad_signature"
    MISSING_SIGNATURE = "missing_signature"
    UNKNOWN_SIGNER = "unknown_signer"
    WRONG_NAMESPACE = "wrong_namespace"
    SIGNER_EXPIRED = "signer_expired"
    SIGNER_REVOKED = "signer_revoked"
    WRONG_SENDER = "wrong_sender"
    WRONG_RECIPIENT = "wrong_recipient"
    WEAK_PARAMETERS = "weak_parameters"
    FROM_THE_FUTURE = "from_the_future"
    TOO_OLD = "too_old"
    REPLAY = "replay"
    OLD_SEQUENCE = "old_sequence"
    ID_TAKEN = "id_taken"
    MISSING_FILE = "missing_file"
    EXTRA_FILE = "extra_file"
    NOT_A_FILE = "not_a_file"
    HARD_LINK = "hard_link"
    WRONG_SIZE = "wrong_size"
    WRONG_DIGEST = "wrong_digest"
    TOO_LARGE = "too_large"
    KEY_NOT_UNWRAPPED = "key_not_unwrapped"
    BAD_INDEX = "bad_index"
    BAD_NAME = "bad_name"
    DUPLICATE_NAME = "duplicate_name"
    EMPTY_BATCH = "empty_batch"
    BAD_ARCHIVE = "bad_archive"
    WRONG_CONTENT = "wrong_content"
    REFUSED_BY_VALIDATION = "refused_by_validation"


class Refused(HardeningError):
    """A batch that must not be published: the reason as one word, and a sentence."""

    def __init__(self, reason: Reason, detail: str) -> None:
        self.reason = reason
        self.detail = detail
        super().__init__(f"{reason.value}: {detail}")


@dataclass(frozen=True)
class SealOptions:
    """What to seal, for whom, and where the batch goes. All paths are absolute.

    `sources`: files and directories. `outbox`: directory for the batch. `state_dir`: private directory that
    remembers what was sealed. `recipients`: PEM files with one certificate each; or else `passphrase_file`.
    `iterations` applies to a passphrase only.
    """

    sources: Tuple[str, ...]
    outbox: str
    state_dir: str
    sender: str
    signing_key: str
    recipients: Tuple[str, ...] = ()
    passphrase_file: Optional[str] = None
    iterations: int = MINIMUM_PASSPHRASE_ITERATIONS
    force: bool = False


@dataclass(frozen=True)
class Sealed:
    """The result of sealing. `changed` is False when the newest batch already holds these sources.

    `reason` says why a batch was made or not. `batch`, `sequence` and `manifest` (a path) are of the newest batch, and
    empty in check mode when it is still to be made. The manifest may be gone once the batch was sent.
    """

    changed: bool
    reason: str
    batch: str = ""
    sequence: int = 0
    manifest: str = ""
    files: int = 0
    size: int = 0
    recipients: Tuple[str, ...] = ()


@dataclass(frozen=True)
class Identity:
    """A recipient's private key and its certificate, as PEM files."""

    key: str
    certificate: str


@dataclass(frozen=True)
class OpenOptions:
    """Whom to trust, which keys open batches, and where batches go. All paths are absolute.

    `allowed_signers` and `revocations` are the files' content as `_trust/people.py` renders it. `senders`: who may send
    into this directory (empty: everybody in `allowed_signers`). `identities` in order of preference, or
    `passphrase_file`. `destination`: each batch is published there as a directory named after its id; staging is
    a hidden directory in it. `quarantine`: on the same file system as the directory that is opened. `state_dir`:
    private, holds the ledger and the lock. `maximum_age` in seconds, 0 for no limit. `validate`: a command;
    the path of the staged batch is appended, and an exit status other than 0 refuses the batch. It runs as the calling
    user.
    """

    allowed_signers: bytes
    destination: str
    quarantine: str
    state_dir: str
    revocations: bytes = b""
    senders: Tuple[str, ...] = ()
    identities: Tuple[Identity, ...] = ()
    passphrase_file: Optional[str] = None
    verify_only: bool = False
    remove: bool = True
    maximum_bytes: int = 1 << 40
    maximum_files: int = 100_000
    maximum_age: int = 0
    file_mode: int = 0o640
    directory_mode: int = 0o750
    validate: Tuple[str, ...] = ()
    validate_seconds: float = 300.0
    lock_wait: float = 30.0


@dataclass(frozen=True)
class Outcome:
    """The outcome of one batch.

    `status`: published; already (published before: a replay, nothing was done); quarantined; and when nothing may be
    changed, verified (all checks passed, nothing was decrypted) or refused (would be quarantined, nothing was moved).
    `reason` is set for already, quarantined and refused; `detail` is a sentence. `path`: where it was published or
    quarantined. `files` and `size` (bytes) describe the content, where it is known.
    """

    batch: str
    status: str
    reason: Optional[Reason] = None
    detail: str = ""
    sender: str = ""
    sequence: int = 0
    path: str = ""
    files: int = 0
    size: int = 0
