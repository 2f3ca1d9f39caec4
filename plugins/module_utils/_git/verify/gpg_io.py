# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check OpenPGP signatures with a keyring that holds nothing but the policy's keys (I/O)."""

from __future__ import annotations

import os
import tempfile
from typing import Dict, List, Sequence, Set, Tuple

from ..._host.run_io import ProgramError, clean_environment, run
from ..._trust.people import Key, Person
from .objects import shown
from .ssh_keygen_io import find_program
from .verdict import Candidate, Verdict

# What gpg says about a signature that is mathematically right but does not count.
_REFUSED = {
    "EXPKEYSIG": ("expired", "the OpenPGP key has expired"),
    "REVKEYSIG": ("revoked", "the OpenPGP key is revoked"),
    "EXPSIG": ("expired", "the signature itself has expired"),
    "BADSIG": ("bad_signature", "its content was changed after it was signed"),
    "NO_PUBKEY": ("unknown_key", "it is signed with an OpenPGP key that is not this person's"),
}
_STATUS = "[GNUPG:] "


def check_openpgp(candidates: Sequence[Candidate]) -> List[Tuple[Candidate, Verdict]]:
    """The verdict on each candidate. ProgramError when gpg is missing or a key cannot be read."""
    program = find_program("gpg")
    homes: Dict[str, Tuple[str, Dict[str, Key]]] = {}
    results = []
    # In /tmp by our own choice: gpg's sockets do not fit under a long path.
    with tempfile.TemporaryDirectory(prefix="tg-gpg-") as scratch:
        for one in candidates:
            name = one.person.name
            if name not in homes:
                home = os.path.join(scratch, str(len(homes)))
                homes[name] = (home, _keyring(program, home, one.person))
            results.append((one, _check(program, scratch, one, *homes[name])))
    return results


def _run(
    program: str, home: str, words: Sequence[str], stdin: bytes = b""
) -> Tuple[List[List[str]], bytes]:
    """Status lines as words, and what gpg wrote for people."""
    fixed = ["--batch", "--no-tty", "--no-options", "--no-auto-key-retrieve", "--no-autostart"]
    options = ["--homedir", home, "--trust-model", "always", "--status-fd", "1"]
    done = run([program, *fixed, *options, *words], stdin, clean_environment(), 60)
    text = done.out.decode("utf-8", "replace")
    lines = [line for line in text.splitlines() if line.startswith(_STATUS)]
    return [line[len(_STATUS) :].split(" ") for line in lines], done.err


def _keyring(program: str, home: str, person: Person) -> Dict[str, Key]:
    """A keyring of this person alone; the fingerprints of the primary keys in it."""
    os.mkdir(home, 0o700)
    found: Dict[str, Key] = {}
    for key in person.keys:
        if not key.openpgp:
            continue
        lines, errors = _run(program, home, ["--import"], key.openpgp.encode("utf-8"))
        names = [words[2] for words in lines if words[0] == "IMPORT_OK"]
        if not names:
            raise ProgramError(f"the OpenPGP key of {person.name} cannot be read: {shown(errors)}")
        found.update(dict.fromkeys(names, key))
    return found


def _check(program: str, scratch: str, one: Candidate, home: str, keys: Dict[str, Key]) -> Verdict:
    path = os.path.join(scratch, "signature")
    with open(path, "wb") as file:
        file.write(one.signed.signature or b"")
    # Judged at the moment the server saw it, as for any other key.
    words = ["--faked-system-time", f"{one.seen_at}!", "--verify", path, "-"]
    lines, errors = _run(program, home, words, one.signed.payload)
    kinds: Set[str] = {words[0] for words in lines}
    for kind, (status, reason) in _REFUSED.items():
        if kind in kinds:
            return one.verdict(status, reason)
    valid = [words for words in lines if words[0] == "VALIDSIG"]
    made = [words for words in lines if words[0] == "NEWSIG"]
    if "GOODSIG" not in kinds or len(valid) != 1 or len(made) != 1 or len(valid[0]) < 11:
        return one.verdict("bad_signature", f"gpg does not accept it: {shown(errors)}")
    key = keys.get(valid[0][10])
    if key is None:
        return one.verdict("unknown_key", "it is signed with a key that is not this person's")
    # The person may have several keys, each with its own limits.
    return one.with_key(key, "openpgp:" + valid[0][10])
