# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which system calls a permission of a watch stands for, on each architecture (pure).

A rule with perm= needs no list of calls: the kernel looks at the permission of each call itself. The list
only says which calls are looked at. auditctl 3 asks for all of them; auditctl 4 for a list that misses some
of what the kernel would see (execveat, and chown32 or truncate64 of 32-bit programs); we for all of the list
below, which costs every other call of the machine less than "all".
"""

from __future__ import annotations

from functools import lru_cache
from typing import Dict, FrozenSet, Iterable, NamedTuple, Tuple, Union

from .types import Rule

EXECUTE, WRITE, READ, ATTRIBUTE = 1, 2, 4, 8
LETTERS = (("r", READ), ("w", WRITE), ("x", EXECUTE), ("a", ATTRIBUTE))
"""The letters of perm=, in the order in which auditctl lists them."""

X86_64, I386, AARCH64, ARM = 0xC000003E, 0x40000003, 0xC00000B7, 0x40000028

_ARCHES: Dict[str, Tuple[int, ...]] = {
    "x86_64": (X86_64, I386),
    "aarch64": (AARCH64, ARM),
    "ppc64le": (0xC0000015,),
    "s390x": (0x80000016,),
    "riscv64": (0xC00000F3,),
    "loongarch64": (0xC0000102,),
    "i686": (I386,),
    "armv7l": (ARM,),
}

_COLUMNS = (X86_64, I386, AARCH64, ARM)

# Name, permissions, whether auditctl 4.0.2 lists it ('+': read off with strace) or not ('-'), or not and
# auditctl 3.0.9 does not even know its name ('!'), then its number on x86_64, i386, aarch64 and arm.
_TABLE = """
acct w + 163 51 89 51
bind w + 49 361 200 282
chmod a + 90 15 - 15
chown a + 92 182 - 182
chown32 a - - 212 - 212
creat w + 85 8 - 8
execve x + 59 11 221 11
execveat x - 322 358 281 387
fallocate w + 285 324 47 352
fchmod a + 91 94 52 94
fchmodat a + 268 306 53 333
fchmodat2 a ! 452 452 452 452
fchown a + 93 95 55 95
fchown32 a - - 207 - 207
fchownat a + 260 298 54 325
fgetxattr r + 193 231 10 231
file_getattr r ! 468 468 468 468
file_setattr a ! 469 469 469 469
flistxattr r + 196 234 13 234
fremovexattr a + 199 237 16 237
fsetxattr a + 190 228 7 228
ftruncate w + 77 93 46 93
ftruncate64 w - - 194 - 194
getxattr r + 191 229 8 229
getxattrat r ! 464 464 464 464
lchown a + 94 16 - 16
lchown32 a - - 198 - 198
lgetxattr r + 192 230 9 230
link wa + 86 9 - 9
linkat wa + 265 303 37 330
listxattr r + 194 232 11 232
listxattrat r ! 465 465 465 465
llistxattr r + 195 233 12 233
lremovexattr a + 198 236 15 236
lsetxattr a + 189 227 6 227
mkdir w + 83 39 - 39
mkdirat w + 258 296 34 323
mknod w + 133 14 - 14
mknodat w + 259 297 33 324
open rw + 2 5 - 5
openat rw + 257 295 56 322
openat2 rw + 437 437 437 437
quotactl rw + 179 131 60 131
quotactl_fd rw - 443 443 443 443
readlink r + 89 85 - 85
readlinkat r + 267 305 78 332
removexattr a + 197 235 14 235
removexattrat a ! 466 466 466 466
rename w + 82 38 - 38
renameat w + 264 302 38 329
renameat2 w + 316 353 276 382
rmdir w + 84 40 - 40
setxattr a + 188 226 5 226
setxattrat a ! 463 463 463 463
socketcall w - - 102 - -
swapon w + 167 87 224 87
symlink w + 88 83 - 83
symlinkat w + 266 304 36 331
truncate w + 76 92 45 92
truncate64 w - - 193 - 193
unlink w + 87 10 - 10
unlinkat w + 263 301 35 328
uselib r - 134 86 - 86
"""


class _Call(NamedTuple):
    name: str
    perm: int
    listed: bool
    named: bool
    numbers: Tuple[Union[int, None], ...]


def _parsed(row: str) -> _Call:
    name, letters, mark, *numbers = row.split()
    perm = sum(mask for letter, mask in LETTERS if letter in letters)
    found = tuple(None if number == "-" else int(number) for number in numbers)
    return _Call(name, perm, mark == "+", mark != "!", found)


_CALLS = tuple(_parsed(row) for row in _TABLE.split("\n") if row)


def arches(machine: str) -> Tuple[int, ...]:
    """The architectures whose calls such a machine (as uname tells it) runs, its own first; () if unknown."""
    return _ARCHES.get(machine, ())


@lru_cache(maxsize=None)
def watch_calls(arch: int, perm: int) -> Union[FrozenSet[int], None]:
    """All calls by which a file can be accessed in one of these ways; None (all calls) if we have no list."""
    if arch not in _COLUMNS:
        return None
    return frozenset(_numbers(arch, (call for call in _CALLS if call.perm & perm)).values())


@lru_cache(maxsize=256)
def enough_calls(arch: int, perm: int, calls: FrozenSet[int]) -> bool:
    """Whether the calls are at least those that auditctl 4 makes of the permissions alone."""
    if arch not in _COLUMNS:
        return False
    listed = (call for call in _CALLS if call.listed and call.perm & perm)
    return calls.issuperset(_numbers(arch, listed).values())


def unseen_calls(rule: Rule) -> FrozenSet[str]:
    """Names of the calls that have a permission the rule is for, and that it does not look at."""
    arch, perm = rule.field("arch"), rule.field("perm")
    if rule.syscalls is None or arch is None or perm is None:
        return frozenset()
    if arch.value not in _COLUMNS or not isinstance(perm.value, int):
        return frozenset()
    return _missing(int(arch.value), perm.value, rule.syscalls)


@lru_cache(maxsize=256)
def _missing(arch: int, perm: int, calls: FrozenSet[int]) -> FrozenSet[str]:
    numbers = _numbers(arch, (call for call in _CALLS if call.perm & perm))
    return frozenset(name for name, number in numbers.items() if number not in calls)


@lru_cache(maxsize=None)
def call_numbers(arch: int) -> Dict[str, int]:
    """Numbers by name, of the calls that are known here."""
    return _numbers(arch, _CALLS) if arch in _COLUMNS else {}


@lru_cache(maxsize=None)
def call_names(arch: int) -> Dict[int, str]:
    """Names by number, of those calls only whose name every auditctl in use knows."""
    known = (call for call in _CALLS if call.named)
    if arch not in _COLUMNS:
        return {}
    return {number: name for name, number in _numbers(arch, known).items()}


def _numbers(arch: int, calls: Iterable[_Call]) -> Dict[str, int]:
    column = _COLUMNS.index(arch)
    found = {}
    for call in calls:
        number = call.numbers[column]
        if number is not None:
            found[call.name] = number
    return found
