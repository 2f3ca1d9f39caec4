# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host with nginx, in memory, that carries out what a plan says."""

from __future__ import annotations

import os
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import strategies as st

from ansible_collections.twinguard.hardening.plugins.module_utils._nginx.fileset import (
    Actions,
    Desired,
    Found,
    Service,
    desired,
    entry_generation,
)

RUNNING = Service("systemd", running=True, enabled=True, load_state="loaded", master_pid=1)
STOPPED = replace(RUNNING, running=False, master_pid=None)
PARAMS: dict[str, Any] = {
    "name": "demo_set",
    "state": "present",
    "files": [{"name": "server.conf", "content": "server {}\n"}],
    "secret_files": [{"name": "keys.conf", "content": "hunter2\n"}],
    "companions": [{"path": "/etc/logrotate.d/demo", "content": "daily\n"}],
    "directories": ["/var/log/demo"],
    "marker_port": 8179,
    "conf_path": "/etc/nginx/nginx.conf",
}


def want(**changes: Any) -> Desired:
    return desired(dict(deepcopy(PARAMS), **changes), "/etc/nginx", "1.26.3")


WANT = want()
OTHER = want(
    files=[{"name": "server.conf", "content": "old\n"}, {"name": "gone.conf", "content": "x\n"}]
)
ABSENT = want(state="absent")


@dataclass
class Host:
    """A host in memory: what a real one is made of, as far as the plan can see it."""

    files: dict[str, tuple[bytes, int]] = field(default_factory=dict)
    directories: set[str] = field(default_factory=set)
    running: bool = False
    enabled: bool = False
    served: str | None = None
    proven: bool = False

    def put(self, wanted: Desired) -> None:
        self.files.update({path: (one.content.encode(), one.mode) for path, one in wanted.files})

    def stale(self, wanted: Desired) -> tuple[str, ...]:
        layout = wanted.layout
        keep = layout.directory(wanted.generation) if wanted.generation else None
        found = {os.path.dirname(path) for path in self.files if path.startswith(layout.root + "/")}
        return tuple(
            sorted(
                one for one in found if layout.is_generation(os.path.basename(one)) and one != keep
            )
        )

    def observe(self, wanted: Desired) -> Found:
        paths = [path for path, _one in wanted.files] + list(wanted.unwanted)
        entry = self.files.get(wanted.layout.entry)
        current = entry_generation(entry[0] if entry else None)
        root = wanted.layout.directory(current) + "/" if current else "nowhere/"
        return Found(
            contents={path: self.files[path][0] if path in self.files else None for path in paths},
            modes={path: self.files[path][1] for path in paths if path in self.files},
            shown={
                path[len(root) :]: one[0]
                for path, one in self.files.items()
                if path.startswith(root)
            },
            served=self.served if self.running else None,
            service=replace(RUNNING, running=self.running, enabled=self.enabled),
            proven=self.proven,
            stale=self.stale(wanted),
            missing_directories=tuple(
                path for path in wanted.directories if path not in self.directories
            ),
        )

    def apply(self, wanted: Desired, actions: Actions) -> None:
        """Exactly what the actions say; nginx serves what the entry names once it is (re)started."""
        by_path = dict(wanted.files)
        for path in actions.write:
            self.files[path] = (by_path[path].content.encode(), by_path[path].mode)
        for path in actions.remove:
            del self.files[path]
        self.directories.update(actions.make)
        self.running = self.running or actions.start
        self.enabled = self.enabled or actions.enable
        if actions.start or actions.reload:
            entry = self.files.get(wanted.layout.entry)
            self.served = entry_generation(entry[0]) if entry else None
        if actions.plan.changed:
            for stale in self.stale(wanted):
                self.files = {
                    path: one for path, one in self.files.items() if os.path.dirname(path) != stale
                }
            self.proven = True


def converged(wanted: Desired = WANT) -> Host:
    host = Host(running=True, enabled=True, served=wanted.generation, proven=True)
    host.put(wanted)
    host.directories.update(wanted.directories)
    return host


@st.composite
def hosts(draw: st.DrawFn) -> Host:
    """Any state a host may be found in: of this set, of an older one, or with something changed by hand."""
    host = Host(
        files={
            "/etc/nginx/nginx.conf": (b"foreign", 0o600),
            "/etc/nginx/twinguard/other-x": (b"f", 0o644),
        }
    )
    for wanted in draw(st.permutations([WANT, OTHER])):
        if draw(st.booleans()):
            host.put(wanted)
    ours = sorted(
        path for path in host.files if path in dict(WANT.files) or path in dict(OTHER.files)
    )
    for path in draw(st.lists(st.sampled_from(ours), unique=True)) if ours else []:
        content, mode = host.files.pop(path)
        damaged = [(b"touched", mode), (b"\xff\xfe", mode), (content, 0o666)]
        drift = draw(st.sampled_from([None, *damaged]))
        if drift is not None:
            host.files[path] = drift
    host.running, host.enabled, host.proven = (draw(st.booleans()) for _one in range(3))
    host.served = draw(st.sampled_from([None, WANT.generation, OTHER.generation]))
    host.directories = set(draw(st.lists(st.just("/var/log/demo"))))
    return host
