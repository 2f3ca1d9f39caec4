# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of sealing and opening: parsed from those of the modules, and checked (pure).

The modules and the services of data intake come here by different ways, so `seal()` and `open_batches()` check what
they are given, whoever made it. Everything here raises ControlError.
"""

from __future__ import annotations

from typing import Any, Mapping, Sequence

from .._core.error import SECRET, ControlError
from .names import is_sender
from .types import (
    MAXIMUM_ITERATIONS,
    MINIMUM_PASSPHRASE_ITERATIONS,
    Identity,
    OpenOptions,
    SealOptions,
)

SHORTEST_PASSPHRASE, LONGEST_PASSPHRASE = 20, 1000


def seal_options(params: Mapping[str, Any]) -> SealOptions:
    """The options of sealing from those of ``batch_seal``."""
    return SealOptions(
        sources=tuple(params["sources"]),
        outbox=params["outbox"],
        state_dir=params["state_dir"],
        sender=params["sender"],
        signing_key=params["signing_key"],
        recipients=tuple(params["recipients"] or ()),
        passphrase_file=params["passphrase_file"],
        iterations=params["iterations"],
        force=params["force"],
    )


def open_options(
    params: Mapping[str, Any], allowed_signers: bytes, revocations: bytes, root: bool
) -> OpenOptions:
    """The options of opening from those of ``batch_open`` and the trust files made from its people.

    `root`: whether the module runs as root, whose rights a program that reads data from elsewhere must not have.
    """
    if params["validate"] and root:
        raise ControlError(
            "validate",
            params["validate"],
            "this would run as root on data from elsewhere",
            "run the task as an unprivileged user (become_user), or use intake_zone",
        )
    return OpenOptions(
        allowed_signers=allowed_signers,
        revocations=revocations,
        senders=tuple(params["senders"] or ()),
        identities=tuple(
            Identity(one["key"], one["certificate"]) for one in params["identities"] or ()
        ),
        passphrase_file=params["passphrase_file"],
        destination=params["destination"],
        quarantine=params["quarantine"],
        state_dir=params["state_dir"],
        verify_only=params["verify_only"],
        remove=params["remove"],
        maximum_bytes=params["maximum_bytes"],
        maximum_files=params["maximum_files"],
        maximum_age=params["maximum_age"],
        file_mode=_mode("mode", params["mode"]),
        directory_mode=_mode("directory_mode", params["directory_mode"]),
        validate=tuple(params["validate"] or ()),
        validate_seconds=float(params["validate_timeout"]),
    )


def _mode(option: str, value: str) -> int:
    try:
        return int(value, 8)
    except ValueError as error:
        raise ControlError(
            option, value, "not an octal mode", "write it in quotes, such as '0640'"
        ) from error


def check_seal(options: SealOptions) -> None:
    """Refuse options of sealing that are invalid or contradict each other."""
    check_sender("sender", options.sender)
    if not options.sources:
        raise ControlError(
            "sources", [], "there is nothing to seal", "name at least one file or directory"
        )
    check_one_secret(
        "recipients", list(options.recipients), bool(options.recipients), options.passphrase_file
    )
    if not MINIMUM_PASSPHRASE_ITERATIONS <= options.iterations <= MAXIMUM_ITERATIONS:
        raise ControlError(
            "iterations",
            options.iterations,
            f"a passphrase needs {MINIMUM_PASSPHRASE_ITERATIONS} to {MAXIMUM_ITERATIONS} rounds",
            f"leave the option out, which means {MINIMUM_PASSPHRASE_ITERATIONS}",
        )
    paths = [*options.sources, options.outbox, options.state_dir, options.signing_key]
    paths += [*options.recipients, *([options.passphrase_file] if options.passphrase_file else [])]
    check_paths(paths)


def check_open(directory: str, options: OpenOptions) -> None:
    """Refuse options of opening that are invalid or contradict each other."""
    paths = [directory, options.destination, options.quarantine, options.state_dir]
    for one in options.identities:
        paths += [one.key, one.certificate]
    check_paths(paths + ([options.passphrase_file] if options.passphrase_file else []))
    if not options.identities and not options.passphrase_file and not options.verify_only:
        raise ControlError(
            "identities",
            [],
            "without a private key or a passphrase no batch can be opened",
            "give a key and its certificate, or passphrase_file, or set verify_only: true",
        )
    for name, mode in (("mode", options.file_mode), ("directory_mode", options.directory_mode)):
        if mode & ~0o777 or mode & 0o002:
            problem = (
                "everybody could write to the published data"
                if mode & 0o002
                else ("set-user-ID, set-group-ID and sticky bits are not allowed")
            )
            raise ControlError(
                name,
                f"{mode:04o}",
                problem,
                "use a mode such as 0640 for files and 0750 for directories",
            )
    for sender in options.senders:
        check_sender("senders", sender)


def check_sender(option: str, value: str) -> None:
    """Refuse what cannot be the principal of a sender."""
    if not is_sender(value):
        raise ControlError(
            option,
            value,
            "not a valid principal (no wildcards)",
            "use 1 to 64 letters, digits or . _ + @ -, beginning with a letter or digit,"
            " such as line1@plant.example",
        )


def check_one_secret(option: str, value: object, recipients: bool, passphrase_file: object) -> None:
    """Refuse both recipients and a passphrase, and neither. `value` is what the message shows."""
    if recipients == bool(passphrase_file):
        raise ControlError(
            option,
            value,
            "either recipients or a passphrase_file are needed, not both",
            "prefer recipients: then no secret is shared",
        )


def check_paths(paths: Sequence[str]) -> None:
    """Refuse a path that is not absolute and plain."""
    for path in paths:
        parts = path.split("/")[1:]
        if not path.startswith("/") or not all(parts) or {".", ".."} & set(parts):
            raise ControlError(
                "path",
                path,
                "not an absolute path, or it contains '.', '..' or '//'",
                "write the full path, beginning with '/' and without a '/' at its end",
            )


def passphrase(content: bytes) -> bytes:
    """The passphrase in a file: its first line, as openssl reads it."""
    line = content.split(b"\n", 1)[0].rstrip(b"\r")
    if not SHORTEST_PASSPHRASE <= len(line) <= LONGEST_PASSPHRASE or b"\0" in line:
        raise ControlError(
            "passphrase_file",
            SECRET,
            f"the first line must have {SHORTEST_PASSPHRASE} to {LONGEST_PASSPHRASE} bytes"
            " and no NUL byte",
            "create one with: openssl rand -base64 32",
        )
    return line
