# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a system call does to a file, by its number and its arguments (pure)."""

from __future__ import annotations

from typing import Dict, Mapping, Sequence, Tuple, Union

READ, WRITE, EXECUTE, ATTRIBUTE = "read", "write", "execute", "attribute"
CREATE, DELETE, RENAME, LINK, OTHER = "create", "delete", "rename", "link", "other"
OPERATIONS = (READ, WRITE, EXECUTE, ATTRIBUTE, CREATE, DELETE, RENAME, LINK, OTHER)

ARCHITECTURES = {0xC000003E: "x86_64", 0x40000003: "i386", 0xC00000B7: "aarch64"}
_X32 = 0x40000000  # a flag in the numbers of x86_64's 32-bit pointers

# name, its number on x86_64, i386, aarch64; from the kernel's uapi headers.
_NUMBERS = """
open 2 5 -
openat 257 295 56
openat2 437 437 437
creat 85 8 -
open_by_handle_at 304 342 265
name_to_handle_at 303 341 264
open_tree 428 428 428
uselib 134 86 -
truncate 76 92 45
ftruncate 77 93 46
truncate64 - 193 -
ftruncate64 - 194 -
fallocate 285 324 47
execve 59 11 221
execveat 322 358 281
unlink 87 10 -
unlinkat 263 301 35
rmdir 84 40 -
rename 82 38 -
renameat 264 302 38
renameat2 316 353 276
link 86 9 -
linkat 265 303 37
symlink 88 83 -
symlinkat 266 304 36
readlink 89 85 -
readlinkat 267 305 78
mkdir 83 39 -
mkdirat 258 296 34
mknod 133 14 -
mknodat 259 297 33
chmod 90 15 -
fchmod 91 94 52
fchmodat 268 306 53
fchmodat2 452 452 452
chown 92 182 -
fchown 93 95 55
lchown 94 16 -
chown32 - 212 -
fchown32 - 207 -
lchown32 - 198 -
fchownat 260 298 54
setxattr 188 226 5
lsetxattr 189 227 6
fsetxattr 190 228 7
getxattr 191 229 8
lgetxattr 192 230 9
fgetxattr 193 231 10
listxattr 194 232 11
llistxattr 195 233 12
flistxattr 196 234 13
removexattr 197 235 14
lremovexattr 198 236 15
fremovexattr 199 237 16
setxattrat 463 463 463
getxattrat 464 464 464
listxattrat 465 465 465
removexattrat 466 466 466
file_getattr 468 468 468
file_setattr 469 469 469
utime 132 30 -
utimes 235 271 -
futimesat 261 299 -
utimensat 280 320 88
utimensat_time64 - 412 -
bind 49 361 200
acct 163 51 89
swapon 167 87 224
mount 165 21 40
umount2 166 52 39
chdir 80 12 49
chroot 161 61 51
quotactl 179 131 60
quotactl_fd 443 443 443
"""
_OPERATION = {
    READ: "open_by_handle_at uselib readlink readlinkat getxattr lgetxattr fgetxattr listxattr llistxattr"
    " flistxattr getxattrat listxattrat file_getattr quotactl quotactl_fd",
    WRITE: "creat truncate ftruncate truncate64 ftruncate64 fallocate acct swapon",
    EXECUTE: "execve execveat",
    ATTRIBUTE: "chmod fchmod fchmodat fchmodat2 chown fchown lchown chown32 fchown32 lchown32 fchownat"
    " setxattr lsetxattr fsetxattr removexattr lremovexattr fremovexattr setxattrat removexattrat"
    " file_setattr utime utimes futimesat utimensat utimensat_time64",
    CREATE: "mkdir mkdirat mknod mknodat symlink symlinkat bind",
    DELETE: "unlink unlinkat rmdir",
    RENAME: "rename renameat renameat2",
    LINK: "link linkat",
}
# Which argument holds the flags of an open; the flags of openat2 are in a record of their own.
_FLAGS_AT = {"open": 1, "openat": 2, "open_by_handle_at": 2}
# Which arguments say from where a relative name counts.
_DIRECTORY_AT: Dict[str, Tuple[int, ...]] = {
    "renameat": (0, 2),
    "renameat2": (0, 2),
    "linkat": (0, 2),
    "symlinkat": (1,),
    # A handle has no name of its own.
    "open_by_handle_at": (),
}
_AT = "openat openat2 execveat unlinkat readlinkat mkdirat mknodat fchmodat fchmodat2 fchownat utimensat"
_AT += " utimensat_time64 futimesat setxattrat getxattrat listxattrat removexattrat file_getattr"
_AT += " file_setattr name_to_handle_at open_tree"
_DIRECTORY_AT.update((name, (0,)) for name in _AT.split())

_ACCESS, _WRITES, _PATH_ONLY = 0o3, 0o100 | 0o1000, 0o10000000  # O_ACCMODE, O_CREAT|O_TRUNC, O_PATH
_HERE = {0xFFFFFF9C, 0xFFFFFFFFFFFFFF9C}  # AT_FDCWD as 32 and as 64 bits
# Operations of io_uring that open, move or remove files.
_URING = {
    18: ("openat", WRITE),
    28: ("openat2", WRITE),
    35: ("renameat", RENAME),
    36: ("unlinkat", DELETE),
    37: ("mkdirat", CREATE),
    38: ("symlinkat", CREATE),
    39: ("linkat", LINK),
    41: ("fsetxattr", ATTRIBUTE),
    42: ("setxattr", ATTRIBUTE),
    43: ("fgetxattr", READ),
    44: ("getxattr", READ),
    55: ("ftruncate", WRITE),
}


def _tables() -> Dict[str, Dict[int, str]]:
    tables: Dict[str, Dict[int, str]] = {name: {} for name in ("x86_64", "i386", "aarch64")}
    for line in _NUMBERS.split("\n"):
        name, *numbers = line.split() or [""]
        for table, number in zip(tables.values(), numbers):
            if number != "-":
                table[int(number)] = name
    return tables


_TABLES = _tables()
_KINDS: Mapping[str, str] = {
    name: kind for kind, names in _OPERATION.items() for name in names.split()
}


def syscall_name(arch: int, number: int) -> str:
    """The call's name, or 'syscall-NUMBER' for one that touches no file or an unknown machine."""
    machine = ARCHITECTURES.get(arch, "")
    if machine == "x86_64":
        number &= ~_X32
    return _TABLES.get(machine, {}).get(number) or "syscall-%d" % number


def flags_argument(name: str) -> Union[int, None]:
    """Which argument (0 to 3) tells a read from a write; None when the name is enough."""
    return _FLAGS_AT.get(name)


def operation(name: str, flags: Union[int, None]) -> str:
    """What the call does to the file.

    An open whose flags are not known counts as a write: rather too many writes than too few.
    """
    if name in ("open", "openat", "openat2", "open_by_handle_at"):
        if flags is None:
            return WRITE
        if flags & _PATH_ONLY:
            return OTHER
        return WRITE if flags & _ACCESS or flags & _WRITES else READ
    return _KINDS.get(name, OTHER)


def uring_operation(number: int) -> Tuple[str, str]:
    """Name and operation of a request of io_uring, whose record holds no flags."""
    return _URING.get(number, ("uring-%d" % number, OTHER))


def counts_from_cwd(name: str, arguments: Sequence[int]) -> bool:
    """Whether relative names of this call count from the working directory."""
    places = _DIRECTORY_AT.get(name, () if name.startswith("syscall-") else None)
    if places is None:
        return not name.startswith("uring-")
    return bool(places) and all(arguments[place] in _HERE for place in places)
