# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a sender with a good key may try: every signature here is good, and not a byte is published."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.twinguard.hardening.plugins.module_utils._batch import (
    check_io as batch_check_io,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._batch import (
    disk_io as batch_disk_io,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._batch.index import (
    Item,
    header,
    padding,
    render_index,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._batch.types import Reason
from ansible_collections.twinguard.hardening.plugins.module_utils._files.transaction_io import (
    FilesError,
)
from ansible_collections.twinguard.hardening.tests.unit.support.batch import (
    Lab,
    make_signer,
    quick_directory,
    trusted,
)
from ansible_collections.twinguard.hardening.tests.unit.support.batch_forge import (
    Forgery,
    plain_archive,
    sign,
)


@pytest.fixture(scope="module")
def made() -> Iterator[Lab]:
    with quick_directory() as root:
        yield Lab(root)


@pytest.fixture
def lab(made: Lab) -> Lab:
    for path in made.quarantine.iterdir():
        path.rename(made.root / path.name)
    return made


def refused(lab: Lab, reason: Reason, **forgery: Any) -> str:
    """A forged batch is refused with this reason; its sentence."""
    changes = forgery.pop("options", {})
    batch = Forgery(lab, **forgery).send()
    (outcome,) = lab.open(**changes)
    assert (outcome.batch, outcome.status, outcome.reason) == (batch, "quarantined", reason), (
        outcome
    )
    assert lab.nothing_published()
    assert not list(lab.root.rglob("escaped*"))
    assert outcome.detail.isprintable()
    return outcome.detail


def index(*items: tuple[str, int, bytes]) -> bytes:
    """An index that lists these: name, size and content."""
    return render_index(
        Item(name, size, hashlib.sha256(data).hexdigest()) for name, size, data in items
    )


def test_a_forged_batch_without_a_fault_is_good(lab: Lab) -> None:
    batch = Forgery(lab, files=[("a", b"data"), ("b/c", b"")]).send()
    (outcome,) = lab.open(state_dir=str(lab.root / "other"))
    assert outcome.status == "published"
    assert lab.contents(lab.published / batch) == {"a": b"data", "b/c": b""}
    (lab.published / batch).rename(lab.root / "good")


@pytest.mark.parametrize(
    "name",
    [
        "../escaped",
        "a/../../escaped",
        "/tmp/escaped",
        "./a",
        "a//b",
        "a/",
        ".",
        "..",
        "a\\b",
        "a\rb",
        "a\tb",
        "a\x1b[2Jb",
        "a\u202egnp.exe",
        "a\u2028b",
        "\ufeffa",
        ".tg-open-12345678",
        "a/.tg-x",
        "x" * 256,
        "/".join("abcdefghij" * 3),
        "/".join(["x" * 250] * 5),
    ],
)
def test_a_name_that_leads_elsewhere_or_is_not_what_it_seems(lab: Lab, name: str) -> None:
    if name.count("/") == 29:
        name += "/x" * 5
    refused(lab, Reason.BAD_NAME, files=[(name, b"data")])


def test_a_name_with_a_newline_looks_like_a_malformed_index(lab: Lab) -> None:
    refused(lab, Reason.BAD_INDEX, files=[("a\nb", b"data")])


def test_a_name_with_a_nul_never_reaches_a_system_call(lab: Lab) -> None:
    refused(lab, Reason.BAD_NAME, files=[("a\0b", b"data")])


def test_a_name_that_is_not_utf_8(lab: Lab) -> None:
    digest = hashlib.sha256(b"data").hexdigest()
    raw = f"# 4\n{digest}  a".encode() + b"\xff\xfe\n"
    refused(lab, Reason.BAD_INDEX, index=raw)


@pytest.mark.parametrize("names", [("a", "a"), ("a", "a/b"), ("a/b", "a/b/c")])
def test_a_name_that_is_there_twice(lab: Lab, names: tuple[str, str]) -> None:
    refused(lab, Reason.DUPLICATE_NAME, files=[(name, b"data") for name in names])


def test_an_index_that_is_not_in_order(lab: Lab) -> None:
    refused(lab, Reason.BAD_INDEX, files=[("b", b"1"), ("a", b"2")])


def test_an_empty_batch(lab: Lab) -> None:
    refused(lab, Reason.EMPTY_BATCH, files=[])


@pytest.mark.parametrize(
    "text",
    [
        b"garbage",
        b"# 4\n" + b"0" * 63 + b"  a\n",
        b"# 04\n" + b"0" * 64 + b"  a\n",
        b"# -4\n" + b"0" * 64 + b"  a\n",
        b"# 4\n" + b"0" * 64 + b" *a\n",
        b"# 4\n" + b"A" * 64 + b"  a\n",
        b"# 4\n" + b"0" * 64 + b"  a",
        b"\n",
        b"# 99999999999999999999\n" + b"0" * 64 + b"  a\n",
    ],
)
def test_an_index_in_another_form(lab: Lab, text: bytes) -> None:
    refused(lab, Reason.BAD_INDEX, index=text)


def test_an_index_of_more_files_than_are_allowed(lab: Lab) -> None:
    files = [(f"{number:03}", b"") for number in range(11)]
    refused(lab, Reason.TOO_LARGE, files=files, options={"maximum_files": 10})


def test_a_file_larger_than_allowed(lab: Lab) -> None:
    refused(lab, Reason.TOO_LARGE, files=[("a", bytes(2000))], options={"maximum_bytes": 1999})


def test_an_index_that_claims_a_petabyte_costs_nothing(lab: Lab) -> None:
    claimed = index(("a", 10**15, b"data"))
    refused(lab, Reason.TOO_LARGE, index=claimed)
    refused(lab, Reason.BAD_ARCHIVE, index=claimed, options={"maximum_bytes": 10**16})


def test_an_index_that_claims_less_than_there_is(lab: Lab) -> None:
    refused(lab, Reason.BAD_ARCHIVE, index=index(("a", 3, b"dat")), files=[("a", bytes(600))])


def test_content_that_is_not_that_of_the_index(lab: Lab) -> None:
    refused(lab, Reason.WRONG_CONTENT, index=index(("a", 4, b"data")), files=[("a", b"fake")])


def test_an_archive_with_another_name_than_the_index(lab: Lab) -> None:
    refused(
        lab, Reason.BAD_ARCHIVE, index=index(("a", 4, b"data")), archive=plain_archive([("b", b"data")])
    )  # fmt: skip


def tar_of(kind: bytes, link: str = "", name: str = "a", data: bytes = b"data") -> bytes:
    """The archive that Python's tarfile makes of one member of another kind, in our size."""
    made = io.BytesIO()
    member = tarfile.TarInfo(name)
    member.type, member.linkname, member.mode = kind, link, 0o644
    member.size = len(data) if kind in (tarfile.REGTYPE, tarfile.GNUTYPE_SPARSE) else 0
    wanted = len(plain_archive([("a", b"data")]))
    with tarfile.open(fileobj=made, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        archive.addfile(member, io.BytesIO(data) if member.size else None)
    return made.getvalue().ljust(wanted, b"\0")[:wanted]


@pytest.mark.parametrize(
    ("kind", "link"),
    [
        (tarfile.SYMTYPE, "/etc/shadow"),
        (tarfile.SYMTYPE, "../escaped"),
        (tarfile.LNKTYPE, "/etc/passwd"),
        (tarfile.CHRTYPE, ""),
        (tarfile.BLKTYPE, ""),
        (tarfile.FIFOTYPE, ""),
        (tarfile.DIRTYPE, ""),
        (tarfile.GNUTYPE_SPARSE, ""),
        (tarfile.CONTTYPE, ""),
    ],
)
def test_a_member_of_the_archive_that_is_not_a_regular_file(
    lab: Lab, kind: bytes, link: str
) -> None:
    refused(lab, Reason.BAD_ARCHIVE, index=index(("a", 4, b"data")), archive=tar_of(kind, link))


def test_a_member_with_another_mode_or_owner(lab: Lab) -> None:
    changed = bytearray(plain_archive([("a", b"data")]))
    changed[100:107] = b"0004755"
    refused(lab, Reason.BAD_ARCHIVE, archive=bytes(changed))


def test_something_in_the_padding(lab: Lab) -> None:
    changed = bytearray(plain_archive([("a", b"data")]))
    changed[512 + 5] = 1
    refused(lab, Reason.BAD_ARCHIVE, archive=bytes(changed))


@pytest.mark.parametrize("more", [b"x", bytes(512), bytes(10240)])
def test_something_behind_the_archive(lab: Lab, more: bytes) -> None:
    refused(lab, Reason.BAD_ARCHIVE, archive=plain_archive([("a", b"data")]) + more)


def test_a_second_member_in_place_of_the_end(lab: Lab) -> None:
    hidden = header("a", 4) + b"data" + padding(4) + header("hidden", 0) + bytes(512)
    refused(lab, Reason.BAD_ARCHIVE, archive=hidden)


def test_an_archive_that_ends_too_early(lab: Lab) -> None:
    refused(lab, Reason.BAD_ARCHIVE, archive=plain_archive([("a", b"data")])[:-1])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("iterations", 9999),
        ("iterations", 1),
        ("iterations", 0),
        ("iterations", 10**9),
        ("cipher", "aes-128-ctr"),
        ("cipher", "none"),
        ("kdf", "evp_bytestokey"),
        ("digest", "md5"),
    ],
)
def test_parameters_that_were_lowered_or_would_take_for_ever(
    lab: Lab, name: str, value: object
) -> None:
    refused(lab, Reason.WEAK_PARAMETERS, fields={name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("format", "twinguard-batch-2"),
        ("batch", "../../x"),
        ("sender", "*"),
        ("sender", "a,b"),
        ("sequence", -1),
        ("sequence", 1 << 53),
        ("sequence", 1.5),
        ("sequence", True),
        ("sequence", "7"),
        ("created_at", "2026-11-21T11:20:00+01:00"),
        ("created_at", "2026-13-21T11:20:00Z"),
        ("recipients", ["x"]),
        ("recipients", ["a" * 64, "a" * 64]),
        ("recipients", [f"{number:064x}" for number in range(65)]),
        ("secret", "passphrase"),
        ("iterations", "10000"),
    ],
)
def test_a_manifest_with_an_invalid_value(lab: Lab, name: str, value: object) -> None:
    refused(lab, Reason.BAD_MANIFEST, fields={name: value})


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace(b'"sequence"', b'"sequence": 1,\n "sequence"'),
        lambda text: text.replace(b'"format"', b'"more": 1,\n "format"'),
        lambda text: text.replace(b"\n", b"\r\n"),
        lambda text: text + b"\n",
        lambda text: text.rstrip(),
        lambda text: text.replace(b".data.enc", b".DATA.enc"),
        lambda text: text.replace(b".data.enc", b"/data.enc"),
        lambda text: text.replace(b".index.enc", b".data.enc"),
        lambda text: b"[" * 60000,
        lambda text: b"{}",
        lambda text: b"null",
        lambda text: b"\xff\xfe",
        lambda text: text.replace(b"twinguard", b"\\u0074winguard"),
        lambda text: text.replace(b'"size": ', b'"size": 1e', 1),
        lambda text: text.replace(b'"size": ', b'"size": ' + b"9" * 5000, 1),
    ],
)
def test_a_signed_manifest_in_another_form(lab: Lab, change: Any) -> None:
    batch = Forgery(lab).send()
    path = lab.zone / f"{batch}.manifest.json"
    path.write_bytes(change(path.read_bytes()))
    signature = sign(path.read_bytes(), lab.signer, "twinguard-batch")
    (lab.zone / f"{batch}.manifest.json.sig").write_bytes(signature)
    (outcome,) = lab.open()
    assert (outcome.status, outcome.reason) == ("quarantined", Reason.BAD_MANIFEST)
    assert lab.nothing_published()


@pytest.mark.parametrize("password", [b"", b"short", b"A" * 64, b"0" * 63, b"0" * 65])
def test_a_wrapped_password_in_another_form(lab: Lab, password: bytes) -> None:
    refused(lab, Reason.KEY_NOT_UNWRAPPED, wrapped=password)


def test_a_wrapped_password_that_is_another_one(lab: Lab) -> None:
    # What CTR makes of it is garbage; all there is to see is that it is not an index.
    assert "most likely the password" in refused(lab, Reason.BAD_INDEX, wrapped=b"0" * 64)


def test_an_id_that_another_sender_has_used(lab: Lab) -> None:
    state = str(lab.root / "two")
    batch = Forgery(lab).send()
    assert [one.status for one in lab.open(state_dir=state)] == ["published"]
    (lab.published / batch).rename(lab.root / "taken")
    other = make_signer(lab.keys, "other")
    people = trusted(("line1@plant.example", lab.signer), ("other@plant.example", other))
    forged = Forgery(lab, batch=batch, fields={"sender": "other@plant.example"}, signer=other)
    forged.send()
    (outcome,) = lab.open(state_dir=state, allowed_signers=people)
    assert (outcome.status, outcome.reason) == ("quarantined", Reason.ID_TAKEN)
    assert lab.nothing_published()


@pytest.mark.parametrize(
    ("where", "text", "reason"),
    [
        (16 + 512 + 700, b"HACK", Reason.WRONG_CONTENT),
        (16 + 2, b"HACK", Reason.BAD_ARCHIVE),
        (0, b"HACK", Reason.BAD_ARCHIVE),
        (-1, b"more", Reason.BAD_ARCHIVE),
    ],
)
def test_data_that_changes_after_it_was_checked(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, where: int, text: bytes, reason: Reason
) -> None:
    """Whoever uploads may keep the file open: what is decrypted is compared with the signed index all the same."""
    batch = Forgery(lab, files=[("a", b"A" * 5000)]).send()
    path = lab.zone / f"{batch}.data.enc"
    checked = batch_check_io.check

    def check(*args: Any) -> Any:
        good = checked(*args)
        with path.open("r+b") as stream:
            stream.seek(*((0, 2) if where < 0 else (where, 0)))
            stream.write(text)
        return good

    monkeypatch.setattr(batch_check_io, "check", check)
    (outcome,) = lab.open()
    assert (outcome.status, outcome.reason) == ("quarantined", reason)
    assert lab.nothing_published()


def test_a_full_disk_is_not_the_fault_of_the_batch(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = Forgery(lab).send()
    state = str(lab.root / "three")
    with monkeypatch.context() as patch:
        patch.setattr(batch_disk_io, "free_bytes", lambda _fd: 1000)
        with pytest.raises(FilesError, match="ENOSPC"):
            lab.open(state_dir=state)
    assert lab.nothing_published()
    assert os.listdir(lab.quarantine) == []
    assert [one.batch for one in lab.open(state_dir=state)] == [batch]
    Path(lab.published / batch).rename(lab.root / "was full")
