# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls of openssl and ssh-keygen for batches (I/O).

Secrets are passed in anonymous memory, by file descriptor: never as an argument, in the environment or in a file on
disk. Bulk data goes through pipes, so that memory use does not depend on its size.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import fcntl
import hashlib
import os
import re
import threading
from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional, Sequence

from .._files.journal_io import write_all
from .._files.safe_path_io import FilesError, FileState, read_file
from .._host.run_io import Done, ProgramError, Runner, clean_environment, last_line
from .types import NAMESPACE, Identity, Reason, Refused

put: Callable[[int, Any], None] = write_all
"""Write all of these bytes, or of a part of a buffer."""

CHUNK = 1 << 20
"""Bytes that are moved at a time, and the size of the pipes."""

_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----\s+([A-Za-z0-9+/=\s]+?)-----END CERTIFICATE-----")
# The object identifier of RSA keys, as certificates contain it.
_RSA = bytes.fromhex("06092a864886f70d010101")
_F_SETPIPE_SZ = 1031  # fcntl names it from Python 3.10 on
_BINARY_LIST = b"SSHKRL"  # the first bytes of a binary revocation list (KRL)
_SMALL = 60.0  # seconds; these calls take milliseconds


@contextlib.contextmanager
def memory(content: bytes) -> Iterator[int]:
    """Anonymous memory with this content, to be passed to a program as a descriptor."""
    fd = os.memfd_create("twinguard")
    try:
        write_all(fd, content)
        os.lseek(fd, 0, os.SEEK_SET)
        yield fd
    finally:
        os.close(fd)


def environment() -> Dict[str, str]:
    """The environment of the programs: no settings of the caller, and times in UTC."""
    return {**clean_environment(("SSH_AUTH_SOCK",)), "TZ": "UTC"}


def certificate(path: str) -> bytes:
    """The one certificate in a PEM file, as DER. FilesError when there is none, or more than one."""
    found = read_file(path)
    if found is None:
        raise FilesError(path, "read", "it does not exist")
    blocks = _PEM.findall(found.content)
    try:
        (text,) = blocks
        return base64.b64decode(text)
    except (ValueError, binascii.Error) as error:
        raise FilesError(
            path, "use", "it must contain exactly one certificate in PEM format"
        ) from error


def fingerprint(der: bytes) -> str:
    """SHA-256 of a certificate in hex, by which a manifest names a recipient."""
    return hashlib.sha256(der).hexdigest()


def wrap(run: Runner, password: bytes, recipients: Sequence[str]) -> bytes:
    """The password, encrypted for these certificates by `openssl cms`: AES-256-GCM, OAEP or ECDH."""
    argv = ["openssl", "cms", "-encrypt", "-binary", "-aes-256-gcm", "-outform", "DER"]
    for path in recipients:
        argv += ["-recip", path]
        if _RSA in certificate(path):
            argv += ["-keyopt", "rsa_padding_mode:oaep", "-keyopt", "rsa_oaep_md:sha256"]
        else:
            argv += ["-keyopt", "ecdh_kdf_md:sha256"]
    return checked(run(argv, stdin=password, env=environment(), timeout=_SMALL), "openssl cms").out


def unwrap(run: Runner, wrapped: bytes, identity: Identity) -> bytes:
    """The decrypted password. Refused when this identity cannot unwrap it."""
    argv = ["openssl", "cms", "-decrypt", "-inform", "DER", "-inkey", identity.key]
    argv += ["-recip", identity.certificate]
    done = run(argv, stdin=wrapped, env=environment(), timeout=_SMALL)
    if done.code != 0:
        _check_pair(run, identity)
        raise Refused(
            Reason.KEY_NOT_UNWRAPPED,
            f"openssl cannot unwrap the password with {identity.key}: {done.complaint()}",
        )
    return done.out


def _check_pair(run: Runner, identity: Identity) -> None:
    """Whether key and certificate belong together; FilesError if not, since that is not the batch's fault."""
    commands = (
        ["openssl", "pkey", "-in", identity.key, "-pubout"],
        ["openssl", "x509", "-in", identity.certificate, "-pubkey", "-noout"],
    )
    answers = [run(argv, env=environment(), timeout=_SMALL) for argv in commands]
    if any(one.code for one in answers) or answers[0].out != answers[1].out:
        raise FilesError(identity.key, "use", f"it is not the key of {identity.certificate}")


def check_private(path: str) -> FileState:
    """A file with a secret that only its owner, and at most a group, can read. FilesError otherwise."""
    found = read_file(path)
    if found is None:
        raise FilesError(path, "read", "it does not exist")
    if found.mode & 0o037:  # a group may read it, such as that of a service
        raise FilesError(
            path, "use", f"its mode {found.mode:04o} lets others reach it: run chmod 0600"
        )
    return found


def _enc(direction: Sequence[str], iterations: int, password_fd: int) -> List[str]:
    argv = ["openssl", "enc", *direction, "-aes-256-ctr", "-salt", "-pbkdf2", "-md", "sha256"]
    return [*argv, "-iter", str(iterations), "-pass", f"fd:{password_fd}"]


def encrypt(run: Runner, content: bytes, password: bytes, iterations: int) -> bytes:
    """A small content, encrypted by `openssl enc`."""
    with memory(password) as fd:
        argv = _enc(["-e"], iterations, fd)
        done = run(argv, stdin=content, env=environment(), timeout=_SMALL, pass_fds=(fd,))
    return checked(done, "openssl enc").out


def decrypt(run: Runner, content: bytes, password: bytes, iterations: int) -> bytes:
    """A small content, decrypted. A wrong password gives garbage, not an error."""
    with memory(password) as fd:
        argv = _enc(["-d"], iterations, fd)
        done = run(argv, stdin=content, env=environment(), timeout=_SMALL, pass_fds=(fd,))
    return checked(done, "openssl enc").out


class Stream:
    """The output of openssl for bulk data, read like a file, in whole chunks.

    Leaving the block early ends openssl; `finish` raises when openssl or the source has failed.
    """

    def __init__(self, start: Callable[[int], Done], feed: Optional[Callable[[], None]]) -> None:
        self._read, self._write = _pipe()
        self._start = start
        self._done: Optional[Done] = None
        self._errors: List[BaseException] = []
        self._threads = [threading.Thread(target=self._work)]
        if feed is not None:
            self._threads.append(threading.Thread(target=self._source, args=(feed,)))

    def __enter__(self) -> Stream:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._end()

    def _work(self) -> None:
        try:
            self._done = self._start(self._write)
        except BaseException as error:  # noqa: BLE001 - raised again by finish(), in the caller's thread
            self._errors.append(error)
        finally:
            # Only now: openssl has inherited it. With this the reader comes to the end.
            os.close(self._write)

    def _source(self, feed: Callable[[], None]) -> None:
        try:
            feed()
        except BrokenPipeError:
            pass  # openssl has ended; its own error is the one to report
        except BaseException as error:  # noqa: BLE001 - raised again by finish()
            self._errors.insert(0, error)

    def readinto(self, buffer: memoryview) -> int:
        """Fill the buffer; less than its length only at the end."""
        got = 0
        while got < len(buffer):
            count = os.readv(self._read, [buffer[got:]])
            if count == 0:
                break
            got += count
        return got

    def finish(self) -> None:
        """Call at the end of the stream: raises the error of openssl or of the source, if any."""
        self._end()
        if self._errors:
            raise self._errors[0]
        if self._done is not None:
            checked(self._done, "openssl enc")

    def _end(self) -> None:
        if self._read >= 0:
            os.close(self._read)
            self._read = -1
        for thread in self._threads:
            thread.join()


@contextlib.contextmanager
def encrypting(
    run: Runner, source: Iterable[memoryview], password: bytes, iterations: int
) -> Iterator[Stream]:
    """A stream of the encrypted output of the source, which runs in a thread."""
    read, write = _pipe()

    def feed() -> None:
        try:
            for part in source:
                put(write, part)
        finally:
            os.close(write)

    with memory(password) as secret:

        def start(out: int) -> Done:
            argv = [*_enc(["-e"], iterations, secret), "-bufsize", "256k"]
            argv += ["-in", f"/dev/fd/{read}", "-out", f"/dev/fd/{out}"]
            try:
                return run(argv, env=environment(), pass_fds=(secret, read, out))
            finally:
                os.close(read)  # a source that is still writing gets an error now

        with Stream(start, feed) as stream:
            yield stream


@contextlib.contextmanager
def decrypting(run: Runner, source: int, password: bytes, iterations: int) -> Iterator[Stream]:
    """A stream of the decrypted content of an open file, read from its beginning."""
    with memory(password) as secret:

        def start(out: int) -> Done:
            argv = [*_enc(["-d"], iterations, secret), "-bufsize", "256k"]
            argv += ["-in", f"/dev/fd/{source}", "-out", f"/dev/fd/{out}"]
            return run(argv, env=environment(), pass_fds=(secret, source, out))

        with Stream(start, None) as stream:
            yield stream


def _pipe() -> List[int]:
    read, write = os.pipe()
    # A large pipe saves system calls; where the limit for users is lower it is only slower.
    with contextlib.suppress(OSError):
        fcntl.fcntl(write, _F_SETPIPE_SZ, CHUNK)
    return [read, write]


def sign(run: Runner, content: bytes, key: str) -> bytes:
    """The signature of a content in our namespace, by `ssh-keygen -Y sign`."""
    argv = ["ssh-keygen", "-q", "-Y", "sign", "-f", key, "-n", NAMESPACE]
    return checked(run(argv, stdin=content, env=environment(), timeout=_SMALL), "ssh-keygen").out


def verify(
    run: Runner, content: bytes, signature: bytes, trust: Sequence[bytes], principal: str, now: str
) -> None:
    """Have ssh-keygen verify a signature; Refused if it fails. `trust`: allowed signers, revocations.

    `now` as YYYYMMDDHHMMSS in UTC. The caller has checked that the key is in the list of signers, for
    our namespace and at this time. ProgramError when that list cannot be used.
    """
    allowed_signers, revocations = trust
    with memory(allowed_signers) as people, memory(revocations) as revoked, memory(
        signature
    ) as sig:
        argv = ["ssh-keygen", "-Y", "verify", "-f", f"/dev/fd/{people}", "-I", principal]
        argv += ["-n", NAMESPACE, "-s", f"/dev/fd/{sig}", f"-Overify-time={now}"]
        if revocations:
            argv += ["-r", f"/dev/fd/{revoked}"]
        fds = (people, revoked, sig)
        done = run(argv, stdin=content, env=environment(), timeout=_SMALL, pass_fds=fds)
        if done.code == 0:
            return
        argv = ["ssh-keygen", "-Y", "check-novalidate", "-n", NAMESPACE, "-s", f"/dev/fd/{sig}"]
        alone = run(argv, stdin=content, env=environment(), timeout=_SMALL, pass_fds=fds)
    message = last_line(done.out + done.err) or "it gave no reason"
    if alone.code != 0:
        raise Refused(Reason.BAD_SIGNATURE, f"ssh-keygen does not accept the signature: {message}")
    if revocations.startswith(_BINARY_LIST):
        raise Refused(Reason.SIGNER_REVOKED, f"the list of revoked keys contains it: {message}")
    # The signature is good and its key known, so the lists are what ssh-keygen cannot use.
    raise ProgramError(f"ssh-keygen cannot use the list of signers or revoked keys: {message}")


def checked(done: Done, program: str) -> Done:
    """The same; ProgramError when the program has failed."""
    if done.code != 0:
        raise ProgramError(f"{program} failed with status {done.code}: {done.complaint()}")
    return done
