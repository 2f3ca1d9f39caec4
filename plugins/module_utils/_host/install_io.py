# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Put a program of ours onto a host: its files, its entries and its bytecode (I/O).

    with Transaction(STATE_DIR) as files:
        files.stage(program_files("git-guard", {"pre-receive": hook_io}))

makes /usr/local/lib/twinguard/git-guard/pre-receive, which calls main(arguments) of _git/guard/hook_io.py
there and ends with what that returns. Files of an older version are removed.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
import marshal
import os
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Set, Tuple

from .._files.transaction_io import Absent, DirSpec, FileSpec, Wanted, read_file, scan
from .run_io import ProgramError

PACKAGE = "ansible_collections.twinguard.hardening.plugins.module_utils"
LIB_DIR = "/usr/local/lib/twinguard"
PYTHON = "/usr/bin/python3"
# -I: nothing of the caller's environment or directory is imported. -S: only the standard library. -B: whoever
# runs it leaves no bytecode behind.
_ENTRY = """\
#!{python} -ISB
# Managed by Ansible (twinguard.hardening): changes here are lost.
import sys

sys.path.insert(0, {directory!r})
from {module} import main

sys.exit(main({arguments!r} + sys.argv[1:]))
"""
_CHECKED = 0b11  # of a bytecode file: valid for the source with this digest
_HEADER = 16
_SEAL = 8


def program_files(
    program: str,
    entries: Mapping[str, ModuleType],
    python: str = PYTHON,
    lib_dir: str = LIB_DIR,
    arguments: Sequence[str] = (),
) -> List[Wanted]:
    """All files of a program in `lib_dir`/`program`, for a Transaction; run again it changes nothing.

    `entries`: name of an executable -> the module of module_utils whose main(arguments) it calls.
    `arguments` come first in each call. Root owns all of it and everyone may read it. Bytecode
    comes along when `python` is the interpreter that runs this. ProgramError.
    """
    directory = f"{lib_dir}/{program}"
    dirs = [one for one in (os.path.dirname(lib_dir), lib_dir) if not os.path.isdir(one)]
    wanted: List[Wanted] = [DirSpec(path, 0o755, 0, 0) for path in [*dirs, directory]]
    files = {f"{directory}/{path}": text for path, text in sources(list(entries.values())).items()}
    same = os.path.realpath(python) == os.path.realpath(sys.executable)
    below = _parents(files, directory)
    for folder in sorted(below):
        wanted.append(DirSpec(folder, 0o755, 0, 0))
        mine = [path for path in sorted(files) if os.path.dirname(path) == folder]
        compiled = {}
        if same:
            for path in mine:
                place = importlib.util.cache_from_source(path)
                found = read_file(place)
                compiled[place] = bytecode(path, files[path], found.content if found else None)
        wanted.extend(FileSpec(path, files[path], 0o644, 0, 0) for path in mine)
        wanted.extend(_others(folder, set(mine)))
        if compiled or os.path.isdir(folder + "/__pycache__"):
            wanted.append(DirSpec(folder + "/__pycache__", 0o755, 0, 0))
            wanted.extend(FileSpec(path, compiled[path], 0o644, 0, 0) for path in compiled)
            wanted.extend(_others(folder + "/__pycache__", set(compiled)))
    for folder in _stale_folders(directory, below):
        wanted.extend(_others(folder, set()))
    for executable, module in sorted(entries.items()):
        text = entry(python, directory, module, arguments)
        wanted.append(FileSpec(f"{directory}/{executable}", text, 0o755, 0, 0))
    return wanted


def entry(python: str, directory: str, module: ModuleType, arguments: Sequence[str] = ()) -> bytes:
    """An executable that calls main() of this module's copy below `directory`.

    With these arguments and those that it is given itself.
    """
    text = _ENTRY.format(
        python=python,
        directory=directory,
        module=module.__name__,
        arguments=list(arguments),
    )
    return text.encode("utf-8")


def _parents(files: Mapping[str, bytes], directory: str) -> Set[str]:
    """Every folder between `directory` and a file."""
    found: Set[str] = set()
    for path in files:
        folder = os.path.dirname(path)
        while len(folder) > len(directory):
            found.add(folder)
            folder = os.path.dirname(folder)
    return found


def _others(folder: str, ours: Set[str]) -> List[Wanted]:
    """Files of an older version of the program, or of Python."""
    names = scan(folder) or {}
    paths = [f"{folder}/{name}" for name, entry in names.items() if entry.kind != "directory"]
    # What begins with a dot is a temporary file of the Transaction itself.
    return [Absent(p) for p in paths if p not in ours and not os.path.basename(p).startswith(".")]


def _stale_folders(directory: str, ours: Set[str]) -> List[str]:
    """Folders of an older version of the program: of packages that it no longer has."""
    found: List[str] = []
    waiting = [directory]
    while waiting:
        folder = waiting.pop()
        inner = [name for name, one in (scan(folder) or {}).items() if one.kind == "directory"]
        waiting += [f"{folder}/{name}" for name in inner if name != "__pycache__"]
        if folder not in ours and folder != directory:
            found += [folder, *(f"{folder}/{name}" for name in inner if name == "__pycache__")]
    return sorted(found)


def bytecode(path: str, source: bytes, existing: Optional[bytes]) -> bytes:
    """The bytecode file for the source at `path`.

    What exists is kept when it is whole and of this source, so that a second run changes nothing
    (two compilations need not give the same bytes). Python checks it against the source as well.
    """
    digest = importlib.util.source_hash(source)
    header = importlib.util.MAGIC_NUMBER + _CHECKED.to_bytes(4, "little") + digest
    if existing is not None and existing[:_HEADER] == header:
        body, seal = existing[_HEADER:-_SEAL], existing[-_SEAL:]
        if importlib.util.source_hash(body) == seal:
            return existing
    body = marshal.dumps(compile(source, path, "exec", dont_inherit=True))
    # Python ignores what comes after the code: this seal tells whole from cut.
    return header + body + importlib.util.source_hash(body)


def readable(diff: Sequence[Mapping[str, str]]) -> List[Dict[str, str]]:
    """The diff of a plan, without the bytes of bytecode in it."""
    shown = []
    for change in diff:
        words = dict(change)
        if "/__pycache__/" in words["before_header"]:
            for name, word in (("before", "bytecode\n"), ("after", "new bytecode\n")):
                words[name] = words[name] and word
        shown.append(words)
    return shown


def sources(modules: Sequence[ModuleType]) -> Dict[str, bytes]:
    """These modules of module_utils and all that they import of it: relative path -> content.

    The packages above them are in it as well, as empty files. ProgramError when a source cannot be
    had, or when one needs what a program does not have: Ansible, or another part of the collection.
    """
    found: Dict[str, bytes] = {}
    waiting = [module.__name__ for module in modules]
    while waiting:
        name = waiting.pop()
        path = name.replace(".", "/") + ".py"
        if path not in found:
            found[path], needed = _file(name)
            waiting.extend(needed)
    for path in list(found):
        parts = path.split("/")[:-1]
        for depth in range(1, len(parts) + 1):
            found["/".join([*parts[:depth], "__init__.py"])] = b""
    return dict(sorted(found.items()))


@functools.lru_cache(maxsize=None)
def _file(name: str) -> Tuple[bytes, Tuple[str, ...]]:
    """The content of one module, and the full names of those of ours that it imports.

    Kept, because a run of Ansible's module asks twice: before and after a change.
    """
    content = _source(name)
    needed: List[str] = []
    for statement in _statements(ast.parse(content).body):
        if isinstance(statement, ast.ImportFrom):
            needed += _named(name, statement)
        elif isinstance(statement, ast.Import):
            needed += [alias.name for alias in statement.names]
    for one in needed:
        if one.split(".")[0] in ("ansible", "ansible_collections") and not _is_ours(one):
            raise ProgramError(f"{name} imports {one}, which a program does not have")
    return content, tuple(one for one in needed if _is_ours(one))


def _is_ours(name: str) -> bool:
    return name.startswith(PACKAGE + ".")


def _named(name: str, statement: ast.ImportFrom) -> List[str]:
    """The full names of the modules that a `from` statement in the module `name` imports."""
    dots = "." * statement.level
    base = importlib.util.resolve_name(dots + (statement.module or ""), name.rpartition(".")[0])
    if base != PACKAGE and not _is_ours(base):
        return [base]
    spec = _spec(base)
    if spec is not None and spec.submodule_search_locations is None:
        return [base]
    # A package has nothing of its own here, so each name is a module in it.
    return [f"{base}.{alias.name}" for alias in statement.names]


def _statements(body: Sequence[Any]) -> Iterator[Any]:
    """These statements and all within them, without their expressions, which are most of a tree."""
    for statement in body:
        yield statement
        for inner in ("body", "orelse", "finalbody", "handlers"):
            yield from _statements(getattr(statement, inner, ()))


def _spec(name: str) -> Optional[ModuleSpec]:
    try:
        return importlib.util.find_spec(name)
    except ModuleNotFoundError:
        # A package above it is missing.
        return None


def _source(name: str) -> bytes:
    # As pkgutil.get_data does it, but of the module itself: its packages may have no loader.
    spec = _spec(name)
    reader = getattr(spec.loader, "get_data", None) if spec else None
    if spec is None or reader is None or not spec.origin:
        raise ProgramError(f"{name} has no source here: the module that installs it must import it")
    return bytes(reader(spec.origin))
