# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The end of a certificate is read as openssl wrote it, and no bytes at all can break the reading."""

from __future__ import annotations

import datetime
import shutil
import ssl
import subprocess
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ansible_collections.twinguard.hardening.plugins.module_utils._nginx.x509 import not_after

pytestmark = pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed here")


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("certificates")


def certificate(workshop: Path, days: int, *more: str) -> tuple[bytes, int]:
    """A new certificate as DER, and its end as openssl tells it, in seconds since 1970."""
    pem = workshop / "c.pem"
    new = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
    ]
    new += [
        "-days",
        str(days),
        "-subj",
        "/CN=x",
        "-keyout",
        str(workshop / "k.pem"),
        "-out",
        str(pem),
        *more,
    ]
    subprocess.run(new, check=True, stdin=subprocess.DEVNULL, capture_output=True)
    ask = ["openssl", "x509", "-in", str(pem), "-noout", "-enddate", "-dateopt", "iso_8601"]
    said = subprocess.run(ask, check=True, capture_output=True).stdout.decode().strip()
    end = datetime.datetime.strptime(said + "+0000", "notAfter=%Y-%m-%d %H:%M:%SZ%z")
    der = ssl.PEM_cert_to_DER_cert(pem.read_text())
    return der, int(end.timestamp())


@pytest.mark.parametrize(
    "days",
    [
        pytest.param(30, id="UTCTime"),
        pytest.param(20_000, id="GeneralizedTime, after 2050"),
        pytest.param(2_000_000, id="GeneralizedTime, year 7000"),
    ],
)
def test_the_end_is_the_one_that_openssl_tells(workshop: Path, days: int) -> None:
    der, end = certificate(workshop, days)
    assert not_after(der) == end


def test_extensions_do_not_move_the_end(workshop: Path) -> None:
    der, end = certificate(workshop, 1, "-addext", "subjectAltName=DNS:a.example,DNS:b.example")
    assert not_after(der) == end


def test_a_certificate_that_is_cut_off_anywhere_has_no_end(workshop: Path) -> None:
    der, _end = certificate(workshop, 30)
    assert [not_after(der[:length]) for length in range(len(der))] == [None] * len(der)


@given(st.binary(max_size=200))
@example(b"\x30")
@example(b"\x30\xff")
@example(b"\x30\x80\x00\x00")
def test_garbage_has_no_end_and_raises_nothing(garbage: bytes) -> None:
    assert not_after(garbage) is None


@given(st.data())
def test_a_damaged_certificate_raises_nothing(workshop: Path, data: st.DataObject) -> None:
    if not (workshop / "whole.der").exists():
        (workshop / "whole.der").write_bytes(certificate(workshop, 30)[0])
    whole = bytearray((workshop / "whole.der").read_bytes())
    for _time in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    assert not_after(bytes(whole)) is None or isinstance(not_after(bytes(whole)), int)
