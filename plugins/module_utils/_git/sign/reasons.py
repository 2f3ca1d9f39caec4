# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The reasons why a signature could not be made or does not count, and what to do (pure)."""

from __future__ import annotations

import re
from typing import Tuple

NEEDS_PERSON = "passphrase"
"""The kind of failure that only a person can end."""

# Output of a program, and what it means. The first pattern that is found counts; {} is what its group matched.
_CAUSES: Tuple[Tuple[str, str, str], ...] = (
    (
        "mode",
        r"Permissions (\d+) for '.*' are too open|UNPROTECTED PRIVATE KEY",
        "the key file can be read by others, so ssh-keygen does not use it; give it mode 0600",
    ),
    (
        NEEDS_PERSON,
        (
            r"incorrect passphrase|passphrase supplied to decrypt|Inappropriate ioctl for device|"
            r"[Nn]o pinentry|Operation cancelled|pinentry|Bad passphrase"
        ),
        (
            "the key has a passphrase and there is nobody to type it; load the key into an agent and name its"
            " socket in agent_socket, or set unattended to false for a person's own machine"
        ),
    ),
    (
        "agent",
        r"agent refused operation",
        "the agent refused to sign: it is locked, or waits for a confirmation; unlock it or confirm",
    ),
    (
        "agent",
        (
            r"No private key found for|[Cc]ouldn't get agent|communication with agent failed|"
            r"agent contains no identities"
        ),
        (
            "there is only a public key, and no agent holds the private key; start an agent, load the key"
            " and name its socket in agent_socket"
        ),
    ),
    (
        "socket",
        (
            r"No agent running|can't connect to the (gpg-)?agent|IPC connect call failed|"
            r"socket name.*too long|File name too long"
        ),
        "gpg cannot reach its agent; start it with gpgconf --launch gpg-agent",
    ),
    (
        "key",
        r"(?:Couldn't load public key|[Nn]o such identity:?|Load key) \"?([^\"\n:]+)\"?: No such file",
        "the key file {} does not exist; give the right path, or set create to true",
    ),
    ("key", r"Permission denied", "the user who signs may not read the key file; change its owner"),
    (
        "key",
        r"invalid format|error in libcrypto",
        "the file is not a readable private key; give the path of the private key",
    ),
    (
        "key",
        r"[Nn]o secret key|skipped \"|can't sign using .*No public key",
        "the keyring of the user who signs does not hold this secret key; import it",
    ),
    (
        "version",
        r"invalid value for 'gpg\.format'|unsupported value for gpg\.format|[Mm]alformed value for gpg",
        "this git does not know the format; SSH signatures need git 2.34 or newer",
    ),
    (
        "version",
        r"unknown option -- Y|illegal option -- Y|[Uu]nsupported operation for -Y",
        "this ssh-keygen cannot sign; OpenSSH 8.2 or newer is needed",
    ),
    (
        "program",
        r"cannot run (\S+): No such file|cannot start (\S+):",
        "the program {} is not installed; install it",
    ),
    (
        "author",
        r"Author identity unknown|Please tell me who you are|empty ident name|auto-detect email",
        "git has no name or email address for the user who signs; give name and email",
    ),
    (
        "trust",
        r"[Ss]igning key was revoked|is revoked|KEYREVOKED|Key is revoked",
        "the key is revoked; sign with another one",
    ),
    (
        "trust",
        r"no principal matched|No principal matched|Could not verify signature|key is not permitted",
        "the allowed signers have no entry that is valid now for this key and the namespace git; add the key to people",
    ),
    (
        "time",
        r"took longer than",
        "there was no answer in time: the key may wait for a touch, or the agent for a confirmation",
    ),
)


def explain(output: str) -> Tuple[str, str]:
    """The kind of failure that this output of git, gpg or ssh-keygen shows, and a sentence about it."""
    for kind, pattern, sentence in _CAUSES:
        found = re.search(pattern, output)
        if found:
            named = next((group for group in found.groups() if group), "")
            return kind, sentence.replace("{}", named.strip())
    return "other", last_words(output)


def last_words(output: str) -> str:
    """The last line of the output, for a failure that has no better sentence."""
    lines = [re.sub(r"[\x00-\x1f\x7f]", "", line).strip() for line in output.splitlines()]
    lines = [line for line in lines if line and not line.startswith("fatal: failed to write")]
    return (lines[-1] if lines else "it gave no reason")[:300]
