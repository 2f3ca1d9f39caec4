# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Change several files as one: all new or all old, whenever and however a run ends.

    with Transaction("/var/lib/twinguard/x") as files:
        if files.stage([DirSpec(...), FileSpec(...), Absent(...)]):
            files.commit()
            ...prove that the new files work...
            files.confirm()

Leaving the block without confirm() puts the old files back. A run that was killed is taken back
by the next one when it enters the block; `recovery` then tells what it did.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Callable, Sequence

from .journal_io import (
    Dirs,
    Entry,
    Journal,
    clean_up,
    set_owner_and_mode,
    take_back,
    unlink_quietly,
)
from .safe_path_io import Entry as ScanEntry
from .safe_path_io import FilesError, FileState, doing, locate, read_file, remove_tree, scan
from .steps_io import (
    back_up,
    create_file,
    lock_state_dir,
    make_dir,
    mark_of,
    opened_dir,
    sweep,
    temp_name,
)
from .wanted_io import Absent, DirSpec, FileSpec, Step, Wanted, inspect_files, plan_files

# All that a module needs; the files behind it are details.
__all__ = [
    "Absent",
    "DirSpec",
    "FileSpec",
    "FileState",
    "FilesError",
    "Recovery",
    "ScanEntry",
    "Transaction",
    "Wanted",
    "plan_files",
    "read_file",
    "remove_tree",
    "replace_file",
    "scan",
    "unfinished",
]


@dataclass(frozen=True)
class Recovery:
    """What was done about an unfinished earlier run.

    `state`: the phase it was in, or 'clean'. `rolled_back`: paths that may have been replaced and
    are the old ones again, so that a service which reads them may have to reload.
    """

    state: str = "clean"
    rolled_back: tuple[str, ...] = ()


def unfinished(state_dir: str) -> bool:
    """Whether an earlier run ended midway; read only. The next Transaction takes it back."""
    return any(name != "journal.new" for name in scan(state_dir) or {} if name[:7] == "journal")


def replace_file(path: str, content: bytes, mode: int) -> None:
    """Replace or make one file in one step, for output that nothing else depends on. FilesError."""
    with locate(path) as place, doing("write", path):
        temp = temp_name(place.name, mark_of(path))
        with opened_dir(place.dir_fd, ".") as fd:
            try:
                create_file(fd, temp, content, mode, -1, -1, None)
                os.rename(temp, place.name, src_dir_fd=fd, dst_dir_fd=fd)
            except BaseException:
                unlink_quietly(temp, fd)
                raise
            os.fsync(fd)


class Transaction:
    """A set of file changes that is confirmed as a whole or taken back as a whole.

    `state_dir` (private, made 0700) holds the lock and, while something is pending, the journal.
    Waits at most `lock_wait` seconds for another run. After entering, `recovery` tells what was
    done about an unfinished earlier run; `notes` are remarks for the user. Every method raises
    FilesError, whose sentence ends with the state in which the files are.
    """

    def __init__(self, state_dir: str, lock_wait: float = 30.0) -> None:
        self.state_dir = state_dir
        self.recovery = Recovery()
        self.notes: list[str] = []
        self._lock_wait = lock_wait
        self._mark = mark_of(state_dir)
        self._phase = "idle"
        self._steps: list[Step] = []
        self._dirs = Dirs()
        self._journal = Journal(state_dir, -1)

    def __enter__(self) -> Transaction:
        self._journal.fd = lock_state_dir(self.state_dir, self._lock_wait)
        try:
            self.recovery = self._recover()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        try:
            self.rollback()
        finally:
            self._close()

    def stage(self, wanted: Sequence[Wanted]) -> list[str]:
        """Write what differs into temporary files beside the targets; no target is touched.

        Returns the paths that commit() will change; empty means that nothing needs doing.
        """
        if self._phase != "idle":
            raise RuntimeError("stage() needs confirm() or rollback() of the earlier stage() first")
        self._dirs.close()  # of an earlier stage(): its new directories may be gone
        self._steps = inspect_files(wanted, self._dirs)
        for path, fd in self._dirs.items():
            with doing("sweep", path):
                sweep(fd, self._mark)
        if self._steps:
            self._phase = "staging"
            self._or_undo(self._stage)
        return [step.entry.path for step in self._steps]

    def staged_path(self, path: str) -> str | None:
        """Where the new content of `path` waits, for a validation that needs a file."""
        for step in self._steps:
            if step.entry.path == path and step.entry.temp:
                return os.path.join(step.entry.dir, step.entry.temp)
        return None

    def commit(self) -> None:
        """Replace the targets in the order in which they were given to stage()."""
        if self._phase == "staging":
            self._or_undo(self._commit)

    def confirm(self) -> None:
        """Keep the new files.

        When it fails, `committed` tells which files are live: still True means that the new ones
        wait for rollback(), which leaving the block does; False means that they stay.
        """
        if self._phase != "committed":
            return
        self._journal.rename("committed", "confirmed")
        self._phase = "idle"  # from here on there is no way back, only leftovers
        try:
            self._journal.sync()
            clean_up(self._entries(), self._dirs)
            self._journal.remove()
        except FilesError as error:
            error.outcome = "the new files are in place, and the next run removes what is left over"
            raise

    @property
    def committed(self) -> bool:
        """Whether new files are in place that are neither confirmed nor taken back."""
        return self._phase == "committed"

    def rollback(self) -> None:
        """Put every file back, byte for byte and with owner, mode, attributes and times."""
        if self._phase == "idle":
            return
        phase, self._phase = self._phase, "idle"
        try:
            take_back(phase, self._entries(), self._dirs)
            self._journal.remove()
        except FilesError as error:
            error.outcome = "not every file could be put back; the next run tries again"
            raise

    def _or_undo(self, work: Callable[[], None]) -> None:
        try:
            work()
        except FilesError as error:
            try:
                self.rollback()
            except FilesError as second:
                error.outcome = second.outcome
            else:
                error.outcome = "nothing was changed"
            raise

    def _stage(self) -> None:
        for step in self._steps:
            entry = step.entry
            if entry.kind == "write":
                entry.temp = temp_name(entry.name, self._mark)
            if entry.kind in ("write", "remove") and entry.existed:
                entry.backup = temp_name(entry.name, self._mark)
            if step.old is not None and step.old.links > 1:
                self.notes.append(f"{entry.path} has other hard links; they keep the old content")
        self._journal.write("staging", self._entries())
        for step in self._steps:
            self._stage_step(step, step.entry)

    def _stage_step(self, step: Step, entry: Entry) -> None:
        dir_fd = self._dirs.fd(entry.dir)
        if entry.kind == "make_dir":
            with doing("make", entry.path):
                new = make_dir(dir_fd, entry.name, step.mode, step.uid, step.gid)
            self._dirs.add(os.path.join(entry.dir, entry.name), new)
        elif isinstance(step.spec, FileSpec):
            like = entry.name if entry.existed else None
            with doing("write", entry.path):
                made = create_file(
                    dir_fd, entry.temp, step.spec.content, step.mode, step.uid, step.gid, like
                )
            entry.know(made)

    def _commit(self) -> None:
        for entry in self._entries():
            if entry.backup:
                with doing("keep the old content of", entry.path):
                    back_up(self._dirs.fd(entry.dir), entry.name, entry.backup)
        self._dirs.sync()
        self._journal.write("committing", self._entries())
        self._phase = "committing"
        for step in self._steps:
            with doing("replace", step.entry.path):
                self._commit_step(step, step.entry)
        self._dirs.sync()
        self._journal.rename("committing", "committed")
        self._journal.sync()
        self._phase = "committed"

    def _commit_step(self, step: Step, entry: Entry) -> None:
        fd = self._dirs.fd(entry.dir)
        if entry.kind == "write":
            os.rename(entry.temp, entry.name, src_dir_fd=fd, dst_dir_fd=fd)
        elif entry.kind == "remove":
            os.unlink(entry.name, dir_fd=fd)
        elif entry.kind == "set_dir":
            with opened_dir(fd, entry.name) as directory:
                set_owner_and_mode(directory, step.mode, step.uid, step.gid)

    def _recover(self) -> Recovery:
        self._journal.remove_leftover()
        found = self._journal.read()
        if found is None:
            return Recovery()
        phase, entries = found
        dirs = Dirs()
        try:
            if phase == "confirmed":
                clean_up(entries, dirs)
            else:
                take_back(phase, entries, dirs)
        except FilesError as error:
            error.outcome = "an earlier run was cut short and could not be rolled back yet"
            raise
        finally:
            dirs.close()
        self._journal.remove()
        touched = () if phase in ("staging", "confirmed") else tuple(e.path for e in entries)
        return Recovery(phase, touched)

    def _entries(self) -> list[Entry]:
        return [step.entry for step in self._steps]

    def _close(self) -> None:
        self._dirs.close()
        if self._journal.fd >= 0:
            os.close(self._journal.fd)
            self._journal.fd = -1
