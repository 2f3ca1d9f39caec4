# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copy keys that only root can read into a service's own directory in memory, while it runs (I/O).

systemd's LoadCredential= is made for that, but gives an unprivileged service nothing in a container whose mounts are
private. So a step of the service that runs as root does it.
"""

from __future__ import annotations

import json
import os
import pwd
from typing import Mapping, Sequence

from .._files.journal_io import write_all
from .._files.safe_path_io import FilesError, doing, open_dir, read_file
from .._host.run_io import say

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def main(arguments: Sequence[str]) -> int:
    """Entry of the program: a configuration with `user` and `secrets`."""
    with open(arguments[0], encoding="utf-8") as stream:
        config = json.load(stream)
    try:
        hand_over(config["secrets"], config["user"], os.environ["RUNTIME_DIRECTORY"])
    except FilesError as error:
        say(3, str(error))
        return 1
    return 0


def hand_over(secrets: Mapping[str, str], user: str, directory: str) -> None:
    """Copy each secret to `directory`/name, for the user alone. Raises FilesError."""
    account = pwd.getpwnam(user)
    place = open_dir(directory)
    try:
        for name, path in secrets.items():
            found = read_file(path)
            if found is None:
                raise FilesError(path, "read", "it does not exist")
            with doing("write", f"{directory}/{name}"):
                fd = os.open(name, _NEW, 0o400, dir_fd=place)
                try:
                    write_all(fd, found.content)
                    os.fchown(fd, account.pw_uid, account.pw_gid)
                finally:
                    os.close(fd)
    finally:
        os.close(place)
