# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a signature could not be made or does not count, in words that say what to do (pure)."""

from __future__ import annotations

import re
from typing import Tuple

NEEDS_PERSON = "passphrase"
"""The kind of failure that only a person can end."""

# What a program says, and what it means. The first that is found counts; {} is what its group matched.
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
            "the key has a passphrase and nobody to type it; load the key into an agent and name its"
            " socket in agent_socket, or set unattended to false for a person's own machine"
        ),
    ),
    (
        "agent",
        r"agent refused operation",
        "the agent refused to sign; it is locked or wants a confirmation",
    ),
    (
        "agent",
        (
            r"No private key found for|[Cc]ouldn't get agent|communication with agent failed|"
            r"agent contains no identities"
        ),
        (
            "there is a public key only, and no agent that holds its private half; start one, load the key"
            " and name its socket in agent_socket"
        ),
    ),
    (
        "socket",
        (
            r"No agent running|can't connect to the (gpg-)?agent|IPC connect call failed|"
            r"socket name.*too long|File name too long"
        ),
        "gpg reaches no agent",
    ),
    (
        "key",
        r"(?:Couldn't load public key|[Nn]o such identity:?|Load key) \"?([^\"\n:]+)\"?: No such file",
        "there is no key file {}; give the right path, or set create to true",
    ),
    ("key", r"Permission denied", "the key cannot be read by the one who signs"),
    ("key", r"invalid format|error in libcrypto", "the key file holds no private key"),
    (
        "key",
        r"[Nn]o secret key|skipped \"|can't sign using .*No public key",
        "the keyring of the one who signs has no such secret key",
    ),
    (
        "version",
        r"invalid value for 'gpg\.format'|unsupported value for gpg\.format|[Mm]alformed value for gpg",
        "this git does not know the format; SSH signatures take git 2.34 or newer",
    ),
    (
        "version",
        r"unknown option -- Y|illegal option -- Y|[Uu]nsupported operation for -Y",
        "this ssh-keygen makes no signatures; it takes OpenSSH 8.2 or newer",
    ),
    (
        "program",
        r"cannot run (\S+): No such file|cannot start (\S+):",
        "the program {} is not installed",
    ),
    (
        "author",
        r"Author identity unknown|Please tell me who you are|empty ident name|auto-detect email",
        "git knows no name or address of the one who signs; give name and email",
    ),
    (
        "trust",
        r"[Ss]igning key was revoked|is revoked|KEYREVOKED|Key is revoked",
        "the key is revoked",
    ),
    (
        "trust",
        r"no principal matched|No principal matched|Could not verify signature|key is not permitted",
        "no entry of the allowed signers is for this key in the namespace git at this moment",
    ),
    (
        "time",
        r"took longer than",
        "it got no answer; does the key wait for a touch or the agent for a yes?",
    ),
)


def why(said: str) -> Tuple[str, str]:
    """The kind of failure, and a sentence for what the programs said."""
    for kind, pattern, sentence in _CAUSES:
        found = re.search(pattern, said)
        if found:
            named = next((group for group in found.groups() if group), "")
            return kind, sentence.replace("{}", named.strip())
    return "other", last_words(said)


def last_words(said: str) -> str:
    """The last line that says something, for a failure that has no better sentence."""
    lines = [re.sub(r"[\x00-\x1f\x7f]", "", line).strip() for line in said.splitlines()]
    lines = [line for line in lines if line and not line.startswith("fatal: failed to write")]
    return (lines[-1] if lines else "it ended without a word")[:300]
