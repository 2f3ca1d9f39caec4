# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Audit rules and status as the bytes that the kernel speaks over netlink (pure).

A rule is a ``struct audit_rule_data``: filter, action, number of fields, a mask of 2048 system calls, three
tables of 64 (field, value, operator), and the texts of all fields one after the other without an end mark.
The numbers are those of <linux/audit.h>, which never change.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import Dict, FrozenSet, List, Tuple, Union

from ..._core.error import HardeningError
from .types import Field, Rule, Status

MAX_FIELDS = 64
_MASK_WORDS = 64
_ALL_WORDS = (0xFFFFFFFF,) * _MASK_WORDS
# The topmost 16 bits are not system calls: who sends them asks for a whole class of calls, and the kernel
# clears them. So "all" is sent with them set and comes back with them cleared.
_CLASS_BITS = 0xFFFF0000
_RULE = struct.Struct("=III64I64I64I64II")
_HEAD = struct.Struct("=III")
_LENGTH = struct.Struct("=I")
# Where the mask, the three tables and the length of the texts begin.
_MASK_AT, _FIELDS_AT, _VALUES_AT, _OPERATORS_AT, _LENGTH_AT = 12, 268, 524, 780, 1036
_MASK = struct.Struct(f"={_MASK_WORDS}I")
_STATUS = struct.Struct("=8I")
_SET_STATUS = struct.Struct("=11I")
_EQUIVALENT = struct.Struct("=II")

_TEXT_MAX = 4096
_KEY_MAX = 256
_PREPEND = 0x10

FILTERS: Dict[str, int] = {
    "user": 0,
    "task": 1,
    "entry": 2,
    "exit": 4,
    "exclude": 5,
    "filesystem": 6,
    "io_uring": 7,
}
ACTIONS: Dict[str, int] = {"never": 0, "possible": 1, "always": 2}
OPERATORS: Dict[str, int] = {
    "=": 0x40000000,
    "!=": 0x30000000,
    "<": 0x10000000,
    "<=": 0x50000000,
    ">": 0x20000000,
    ">=": 0x60000000,
    "&": 0x08000000,
    "&=": 0x48000000,
}
KEY = 210
FIELDS: Dict[str, int] = {
    "pid": 0,
    "uid": 1,
    "euid": 2,
    "suid": 3,
    "fsuid": 4,
    "gid": 5,
    "egid": 6,
    "sgid": 7,
    "fsgid": 8,
    "auid": 9,
    "pers": 10,
    "arch": 11,
    "msgtype": 12,
    "subj_user": 13,
    "subj_role": 14,
    "subj_type": 15,
    "subj_sen": 16,
    "subj_clr": 17,
    "ppid": 18,
    "obj_user": 19,
    "obj_role": 20,
    "obj_type": 21,
    "obj_lev_low": 22,
    "obj_lev_high": 23,
    "loginuid_set": 24,
    "sessionid": 25,
    "fstype": 26,
    "devmajor": 100,
    "devminor": 101,
    "inode": 102,
    "exit": 103,
    "success": 104,
    "path": 105,
    "perm": 106,
    "dir": 107,
    "filetype": 108,
    "obj_uid": 109,
    "obj_gid": 110,
    "field_compare": 111,
    "exe": 112,
    "saddr_fam": 113,
    "a0": 200,
    "a1": 201,
    "a2": 202,
    "a3": 203,
    "key": KEY,
}
TEXTS = frozenset(range(13, 18)) | frozenset(range(19, 24)) | {105, 107, 112, KEY}
"""Numbers of the fields whose value is a text."""

_FILTER_NAMES = {number: name for name, number in FILTERS.items()}
_ACTION_NAMES = {number: name for name, number in ACTIONS.items()}
_OPERATOR_NAMES = {number: name for name, number in OPERATORS.items()}
_FIELD_NAMES = {number: name for name, number in FIELDS.items()}
# A newer kernel may know more fields. A number that cannot be named is kept, so that no rule is lost.
_UNNAMED = "field_"


class AuditCodecError(HardeningError, ValueError):
    """Bytes or a text that are not a rule, or a rule that cannot be put into bytes or text."""


def parse_rule(blob: bytes) -> Rule:
    """The rule in a ``struct audit_rule_data``.

    The key is taken out of the fields if it is the last one, where the tools put it. Elsewhere it stays there
    as well (named 'key'), because the kernel deletes a rule only if all its fields come in the same order.
    """
    if len(blob) < _RULE.size:
        raise AuditCodecError(f"a rule of {len(blob)} bytes ends early; it has at least 1040")
    flags, action, count = _HEAD.unpack_from(blob)
    if count > MAX_FIELDS:
        raise AuditCodecError(f"a rule with {count} fields; the kernel allows {MAX_FIELDS}")
    (buflen,) = _LENGTH.unpack_from(blob, _LENGTH_AT)
    # Netlink pads what it carries to four bytes.
    if not 0 <= len(blob) - _RULE.size - buflen <= 3:
        raise AuditCodecError(
            f"a rule whose {len(blob) - _RULE.size} bytes of text should be {buflen}"
        )
    fields, key = _parse_fields(blob, 4 * count, blob[_RULE.size : _RULE.size + buflen])
    return Rule(
        _name(_FILTER_NAMES, flags & ~_PREPEND, "filter"),
        _name(_ACTION_NAMES, action, "action"),
        fields,
        _calls_of(blob[_MASK_AT:_FIELDS_AT]),
        key,
    )


def _parse_fields(blob: bytes, size: int, text: bytes) -> Tuple[Tuple[Field, ...], str]:
    """The fields without a key at their end, and the key."""
    shapes = _shapes_of(
        blob[_FIELDS_AT : _FIELDS_AT + size], blob[_OPERATORS_AT : _OPERATORS_AT + size]
    )
    values = struct.unpack_from(f"={len(shapes)}I", blob, _VALUES_AT)
    fields: List[Field] = []
    position = 0
    key = ""
    for (name, operator, is_text), value in zip(shapes, values):
        if not is_text:
            fields.append(Field(name, operator, value))
            continue
        piece = text[position : position + value]
        if len(piece) != value:
            raise AuditCodecError(f"the text of field '{name}' ends early")
        _check_text(name, piece)
        position += value
        fields.append(Field(name, operator, piece.decode("utf-8", "surrogateescape")))
        if name == "key":
            if key:
                raise AuditCodecError("a rule with more than one key")
            key = str(fields[-1].value)
    if position != len(text):
        raise AuditCodecError(f"{len(text) - position} bytes of text belong to no field")
    if key and fields[-1] == ("key", "=", key):
        fields.pop()
    return tuple(fields), key


@lru_cache(maxsize=256)
def _shapes_of(numbers: bytes, operators: bytes) -> Tuple[Tuple[str, str, bool], ...]:
    """Name, operator and whether it is a text, of all fields of a rule. A host has few kinds of rules."""
    count = len(numbers) // 4
    pairs = zip(
        struct.unpack(f"={count}I", numbers),
        struct.unpack(f"={count}I", operators),
    )
    return tuple(
        (
            _FIELD_NAMES.get(number, f"{_UNNAMED}{number}"),
            _name(_OPERATOR_NAMES, operator, "operator"),
            number in TEXTS,
        )
        for number, operator in pairs
    )


def _check_text(name: str, piece: bytes) -> None:
    if not piece or b"\0" in piece:
        raise AuditCodecError(f"the text of field '{name}' is empty or holds a NUL")
    if len(piece) > (_KEY_MAX if name == "key" else _TEXT_MAX):
        raise AuditCodecError(f"the text of field '{name}' is longer than the kernel allows")


def _name(names: Dict[int, str], number: int, what: str) -> str:
    if number not in names:
        raise AuditCodecError(f"{what} number {number:#x} is unknown")
    return names[number]


@lru_cache(maxsize=256)
def _calls_of(mask: bytes) -> Union[FrozenSet[int], None]:
    words = _MASK.unpack(mask)
    if words[:-1] == _ALL_WORDS[:-1] and words[-1] | _CLASS_BITS == _ALL_WORDS[-1]:
        return None
    return frozenset(
        32 * index + bit
        for index, word in enumerate(words)
        if word
        for bit in range(32)
        if word >> bit & 1
    )


def build_rule(rule: Rule, first: bool = False) -> bytes:
    """The ``struct audit_rule_data`` of a rule, as libaudit would send it.

    ``first`` asks the kernel to put it before all other rules of its filter.
    """
    fields = list(rule.fields)
    if rule.key and not any(field.name == "key" for field in fields):
        fields.append(Field("key", "=", rule.key))
    if len(fields) > MAX_FIELDS:
        raise AuditCodecError(f"a rule with {len(fields)} fields; the kernel allows {MAX_FIELDS}")
    numbers: List[int] = []
    values: List[int] = []
    operators: List[int] = []
    text = b""
    for field in fields:
        number = _field_number(field.name)
        numbers.append(number)
        operators.append(_number(OPERATORS, field.op, "operator"))
        if number in TEXTS:
            piece = _encoded(field)
            text += piece
            values.append(len(piece))
        else:
            values.append(_checked_value(field))
    padding = [0] * (MAX_FIELDS - len(fields))
    return (
        _RULE.pack(
            _number(FILTERS, rule.filter, "filter") | (_PREPEND if first else 0),
            _number(ACTIONS, rule.action, "action"),
            len(fields),
            *_mask_of(rule.syscalls),
            *numbers,
            *padding,
            *values,
            *padding,
            *operators,
            *padding,
            len(text),
        )
        + text
    )


def _number(numbers: Dict[str, int], name: str, what: str) -> int:
    if name not in numbers:
        raise AuditCodecError(f"{what} {name!r} is unknown")
    return numbers[name]


def _field_number(name: str) -> int:
    if name in FIELDS:
        return FIELDS[name]
    digits = name[len(_UNNAMED) :]
    if name.startswith(_UNNAMED) and digits.isdigit() and int(digits) < 1 << 32:
        return int(digits)
    raise AuditCodecError(f"field {name!r} is unknown")


def _encoded(field: Field) -> bytes:
    if not isinstance(field.value, str):
        raise AuditCodecError(f"field '{field.name}' compares a text, not {field.value!r}")
    try:
        piece = field.value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise AuditCodecError(f"the text of field '{field.name}' cannot be encoded") from error
    _check_text(field.name, piece)
    return piece


def _checked_value(field: Field) -> int:
    # The kernel's numbers have 32 bits and no sign: -13 is sent as 0xfffffff3.
    if not isinstance(field.value, int) or not 0 <= field.value < 1 << 32:
        raise AuditCodecError(
            f"field '{field.name}' compares a number of 32 bits, not {field.value!r}"
        )
    return int(field.value)


def _mask_of(calls: Union[FrozenSet[int], None]) -> Tuple[int, ...]:
    if calls is None:
        return _ALL_WORDS
    words = [0] * _MASK_WORDS
    for call in calls:
        if not 0 <= call < 32 * _MASK_WORDS:
            raise AuditCodecError(f"system call {call} is not below {32 * _MASK_WORDS}")
        words[call // 32] |= 1 << call % 32
    return tuple(words)


def parse_status(blob: bytes) -> Status:
    """The kernel's answer to AUDIT_GET; newer kernels send more than is read here."""
    if len(blob) < _STATUS.size:
        raise AuditCodecError(f"a status of {len(blob)} bytes ends early; it has at least 32")
    return Status(*_STATUS.unpack_from(blob)[1:])


def build_enabled(number: int) -> bytes:
    """The request (AUDIT_SET) that switches audit: 0 off, 1 on, 2 on and locked until the next boot."""
    return _SET_STATUS.pack(1, number, *[0] * 9)


def build_backlog_limit(number: int) -> bytes:
    """The request (AUDIT_SET) that sets how many records may wait for the daemon."""
    return _SET_STATUS.pack(0x10, 0, 0, 0, 0, number, *[0] * 5)


def build_equivalent(watched: str, mounted: str) -> bytes:
    """The request (AUDIT_MAKE_EQUIV) to watch what is mounted at ``mounted``, below ``watched``, too."""
    first, second = (text.encode("utf-8", "surrogateescape") for text in (mounted, watched))
    return _EQUIVALENT.pack(len(first), len(second)) + first + second
