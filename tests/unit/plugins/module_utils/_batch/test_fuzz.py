# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Random damage to batches, from a fixed seed so that it can be repeated: no byte that was not sealed is published."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.twinguard.hardening.plugins.module_utils._batch import (
    openssl_io as openssl,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._batch.index import (
    Item,
    render_index,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._batch.types import (
    Reason,
    Refused,
)
from ansible_collections.twinguard.hardening.tests.unit.support import batch_forge
from ansible_collections.twinguard.hardening.tests.unit.support.batch import (
    NOW,
    Lab,
    quick_directory,
)
from ansible_collections.twinguard.hardening.tests.unit.support.batch_forge import (
    Forgery,
    plain_archive,
)

ON_THE_WAY = 2000
INSIDE = 1000


@pytest.fixture
def root() -> Iterator[Path]:
    with quick_directory() as path:
        yield path


def damaged(content: bytes, chance: random.Random) -> bytes:
    """One to three small changes, of the kinds that fuzzers make."""
    data = bytearray(content)
    for _one in range(chance.randint(1, 3)):
        at = chance.randrange(len(data) + 1)
        kind = chance.randrange(8)
        if kind == 0 and at < len(data):
            data[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            data[at:at] = chance.randbytes(chance.randint(1, 20))
        elif kind == 2:
            del data[at : at + chance.randint(1, 40)]
        elif kind == 3:
            length = chance.randint(1, 40)
            data[at : at + length] = chance.randbytes(length)
        elif kind == 4:
            data[at:at] = data[at : at + chance.randint(1, 200)]
        elif kind == 5:
            del data[at:]
        elif kind == 6:
            data[at : at + 1] = chance.choice(
                [b"0", b"9", b'"', b"\n", b"\0", b"\xff", b"/", b"..", b"-"]
            )
        else:
            other = chance.randrange(len(data) + 1)
            data[at : at + 16], data[other : other + 16] = (
                data[other : other + 16],
                data[at : at + 16],
            )
    return bytes(data)


def mix(files: dict[str, bytes], chance: random.Random) -> dict[str, bytes]:
    """The batch as it arrives: one file damaged, or files lost, doubled, exchanged or renamed."""
    changed = dict(files)
    names = sorted(files)
    name, other = chance.choice(names), chance.choice(names)
    kind = chance.randrange(10)
    if kind < 6:
        changed[name] = damaged(changed[name], chance)
    elif kind == 6:
        del changed[name]
    elif kind == 7:
        changed[name], changed[other] = changed[other], changed[name]
    elif kind == 8:
        changed[name[: len(name) - chance.randint(0, 3)] + chance.choice("abc.~")] = changed[name]
    else:
        changed[name] = changed[other]
    return changed


def empty(*directories: Path) -> None:
    for path in directories:
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir()


@pytest.fixture
def _each_signature_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most of the damage leaves manifest and signature alone: ssh-keygen judges each pair of them once."""
    real = openssl.verify
    judged: dict[object, Refused | None] = {}

    def verify(run: Any, *given: Any) -> None:
        key = tuple(tuple(one) if isinstance(one, list) else one for one in given)
        if key not in judged:
            try:
                real(run, *given)
                judged[key] = None
            except Refused as refused:
                judged[key] = refused
        refusal = judged[key]
        if refusal is not None:
            raise refusal

    monkeypatch.setattr(openssl, "verify", verify)


@pytest.mark.usefixtures("_each_signature_once")
def test_thousands_of_batches_that_were_damaged_on_the_way(root: Path) -> None:
    chance = random.Random(6)
    lab = Lab(root)
    lab.batch()
    lab.batch(now=NOW + 1)
    both = lab.contents(lab.zone)
    first = min(both).split(".")[0]
    files = {name: data for name, data in both.items() if name.startswith(first)}
    reasons: Counter[str] = Counter()
    for number in range(ON_THE_WAY):
        changed = mix(files, chance)
        if changed == files:
            continue
        empty(lab.zone, lab.quarantine)
        for name, data in changed.items():
            (lab.zone / name).write_bytes(data)
        for outcome in lab.open():
            assert outcome.status == "quarantined", (number, outcome)
            assert outcome.detail.isprintable()
            reasons[outcome.reason.value if outcome.reason else ""] += 1
        assert lab.nothing_published(), number
        assert not (Path(lab.opening.state_dir) / "ledger.json").exists()
    # The damage was found by every check.
    wanted = {Reason.WRONG_DIGEST, Reason.WRONG_SIZE, Reason.BAD_SIGNATURE, Reason.MISSING_FILE}
    wanted |= {Reason.EXTRA_FILE, Reason.MISSING_SIGNATURE, Reason.UNKNOWN_SIGNER}
    assert {one.value for one in wanted} <= set(reasons), reasons
    assert sum(reasons.values()) > ON_THE_WAY * 0.7


@pytest.fixture
def _in_the_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches that are not encrypted, so that thousands of them with a good signature are made in seconds."""

    @contextlib.contextmanager
    def decrypting(_run: object, source: int, *_rest: object) -> Iterator[Any]:
        class Plain:
            position = 16

            def readinto(self, buffer: memoryview) -> int:
                count = os.preadv(source, [buffer], self.position)
                self.position += count
                return count

            def finish(self) -> None:
                pass

        yield Plain()

    monkeypatch.setattr(openssl, "encrypt", lambda _run, content, *_rest: b"Salted__" * 2 + content)
    monkeypatch.setattr(openssl, "decrypt", lambda _run, content, *_rest: content[16:])
    monkeypatch.setattr(openssl, "decrypting", decrypting)
    monkeypatch.setattr(openssl, "wrap", lambda _run, password, _to: password)
    monkeypatch.setattr(openssl, "unwrap", lambda _run, wrapped, _identity: wrapped)
    monkeypatch.setattr(openssl, "verify", lambda *_all: None)


@pytest.mark.usefixtures("_in_the_clear")
def test_thousands_of_batches_that_were_made_wrong(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(66)
    lab = Lab(root)
    good = [
        ("a.csv", b"1,2,3\n" * 99),
        ("b/c", b""),
        ("b/d.bin", bytes(range(256)) * 5),
        ("e", b"x" * 512),
    ]
    signature = batch_forge.sign(b"", lab.signer, "twinguard-batch")
    monkeypatch.setattr(batch_forge, "sign", lambda *_all: signature)
    index = render_index(
        Item(name, len(data), hashlib.sha256(data).hexdigest()) for name, data in good
    )
    archive = plain_archive(good)
    reasons: Counter[str] = Counter()
    for number in range(INSIDE):
        empty(lab.zone, lab.quarantine)
        where = chance.randrange(3)
        made = Forgery(
            lab,
            files=good,
            index=damaged(index, chance) if where != 1 else None,
            archive=damaged(archive, chance) if where != 0 else None,
        )
        if made.index == index or made.archive == archive:
            continue
        made.send()
        (outcome,) = lab.open()
        assert outcome.status == "quarantined", (number, outcome)
        assert lab.nothing_published(), number
        reasons[outcome.reason.value if outcome.reason else ""] += 1
    wanted = {Reason.BAD_INDEX, Reason.BAD_ARCHIVE, Reason.WRONG_CONTENT}
    assert {one.value for one in wanted} <= set(reasons), reasons
    assert sum(reasons.values()) > INSIDE * 0.9
    # Without damage the same batch is good, so the damage was what counted.
    empty(lab.zone, lab.quarantine)
    Forgery(lab, files=good).send()
    assert [one.status for one in lab.open()] == ["published"]
