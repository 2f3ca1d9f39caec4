# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the expiry of a certificate, which the standard library gives only with a trust anchor (pure)."""

from __future__ import annotations

from datetime import datetime
from typing import Iterator

_SEQUENCE, _UTC_TIME, _GENERALIZED_TIME, _VERSION = 0x30, 0x17, 0x18, 0xA0


def not_after(der: bytes) -> int | None:
    """Seconds since 1970 until which a DER certificate is valid; None when it cannot be read."""
    try:
        _tag, certificate = next(_items(der))
        _tag, signed_part = next(_items(certificate))
        fields = [item for item in _items(signed_part) if item[0] != _VERSION]
        # serial number, algorithm, issuer, validity
        _begin, (tag, text) = list(_items(fields[3][1]))
    except (StopIteration, IndexError, ValueError):
        return None
    try:
        if tag == _UTC_TIME:
            return int(datetime.strptime(text.decode("ascii"), "%y%m%d%H%M%S%z").timestamp())
        if tag == _GENERALIZED_TIME:
            return int(datetime.strptime(text.decode("ascii"), "%Y%m%d%H%M%S%z").timestamp())
    except ValueError:
        return None
    return None


def _items(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and content of each element of one DER level; ValueError when the data end early."""
    position = 0
    while position < len(data):
        tag, length = data[position], data[position + 1]
        position += 2
        if length & 0x80:
            size = length & 0x7F
            length = int.from_bytes(data[position : position + size], "big")
            position += size
        content = data[position : position + length]
        if len(content) != length:
            raise ValueError("truncated")
        yield tag, content
        position += length
