# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What keeps events from a watch is named: rules of others, mounts, layers of overlays."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.twinguard.hardening.plugins.module_utils._audit.kernel.types import (
    Field,
    Rule,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._audit.watch.mounts import (
    below,
    filesystem,
    overlays,
    parse,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._audit.watch.shadow import (
    Shadow,
    hides,
    others,
    shadows,
)
from ansible_collections.twinguard.hardening.tests.unit.support.audit_host import (
    ARCHES,
    reader,
    rule,
    want,
    watch,
)

MOUNTS = parse(
    "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/vda rw\n"
    "30 22 8:2 / /srv rw - xfs /dev/vdb rw\n"
    "31 30 0:40 / /srv/models/cache rw - tmpfs none rw\n"
    "32 30 0:41 / /srv/models/a\\040b rw - tmpfs none rw\n"
    "33 22 0:42 / /merged rw - overlay none rw,lowerdir=/layers/a\\:1:/srv/models/7,upperdir=/up,workdir=/w\n"
    "34 22 0:43 / /relative rw - overlay overlay rw,lowerdir=l/XYZ:l/ABC\n"
    "broken line\n"
)


def seen(line: str, *, before: bool = True, **changes: Any) -> list[Shadow]:
    made = want(watch(**changes))
    other = rule(line)
    rules = (other, *made.rules) if before else (*made.rules, other)
    return shadows(others(rules), made.watches[0], ARCHES, "xfs")


@pytest.mark.parametrize(
    "line",
    [
        "-a never,exit -F dir=/srv",
        "-a never,exit -F dir=/srv/models",
        "-a never,exit -F arch=b64 -F dir=/srv//models/ -F perm=r",
        "-a never,exit -F dir=/srv/models/sub",
        "-a never,exit -F path=/srv/models/a.bin",
        "-a never,exit -S all",
        "-a never,exit -F arch=b64 -S openat -F uid=33",
        "-a never,exit -F arch=b32 -S open -F exe=/usr/bin/backup",
        "-a never,exit -F auid!=unset",
        "-a never,task",
        "-a never,task -F uid=33",
        "-a always,exclude -F msgtype=1302",
        "-a never,exclude -F uid=33",
        "-a always,exclude -F msgtype>=1300",
        "-a never,filesystem -F fstype=0x58465342",
    ],
)
def test_a_rule_that_swallows_events_of_a_watch_is_named(line: str) -> None:
    (found,) = seen(line)
    assert hides(found)
    assert "hides" in found.sentence
    assert "/srv/models" in found.sentence


@pytest.mark.parametrize(
    "line",
    [
        "-a never,exit -F dir=/dev/shm",
        "-a never,exit -F dir=/srv/models-old",
        "-a never,exit -F path=/srv",
        "-a never,exit -F arch=b64 -S 159",
        "-a never,exit -F dir=/srv -F perm=x",
        "-a never,user -F uid=0",
        "-a always,exclude -F msgtype=1307",
        "-a always,exclude -F msgtype=1302 -F msgtype=1307",
        "-a never,filesystem -F fstype=0xEF53",
        "-a always,task",
        "-w /etc/passwd -p wa -k identity",
    ],
)
def test_a_rule_that_does_not_touch_a_watch_is_not_blamed(line: str) -> None:
    assert not [one for one in seen(line) if hides(one)]


@pytest.mark.parametrize("line", ["-a never,exit -F dir=/srv", "-w /srv/models -p rwa -k other"])
def test_a_rule_that_comes_later_takes_nothing(line: str) -> None:
    assert not seen(line, before=False)


@pytest.mark.parametrize("line", ["-a never,task", "-a always,exclude -F msgtype=1300"])
def test_other_lists_hide_wherever_their_rule_stands(line: str) -> None:
    assert hides(*seen(line, before=False))


@pytest.mark.parametrize(
    ("line", "whole"),
    [
        ("-w /srv/models -p rwa -k other", True),
        ("-w /srv -p r -k other", True),
        ("-w /srv/models/sub -p rwa -k other", False),
        ("-a always,exit -F arch=b64 -S openat -F uid=33 -k other", False),
        ("-a always,exit -F arch=b64 -S openat -F exit=-13 -k access", False),
    ],
)
def test_a_rule_that_records_events_under_its_own_key_is_told_apart(line: str, whole: bool) -> None:
    (found,) = seen(line)
    assert (found.whole, hides(found)) == (whole, whole)
    assert "under its key" in found.sentence


def test_our_own_exclusions_are_not_blamed() -> None:
    made = want(watch(allowed_readers=[reader("nobody")]), watch("/srv", permissions="wa"))
    for one in made.watches:
        assert not shadows(others(made.rules), one, ARCHES, "xfs")


def test_a_rule_with_a_field_that_nobody_knows_may_hide_too() -> None:
    strange = Rule("exit", "never", (Field("field_999", "=", 1),))
    made = want(watch())
    (found,) = shadows(others([strange, *made.rules]), made.watches[0], ARCHES, "xfs")
    assert hides(found)
    assert not found.whole


def test_mounts_below_a_path_are_found_by_whole_names() -> None:
    points = below(MOUNTS)
    assert points["/srv/models"] == ("/srv/models/a b", "/srv/models/cache")
    assert "/srv/model" not in points
    assert "/srv/models/cache" not in points
    assert len(points["/"]) == 5


def test_the_filesystem_of_a_path_is_that_of_the_nearest_mount() -> None:
    assert filesystem(MOUNTS, "/srv/models/x") == "xfs"
    assert filesystem(MOUNTS, "/srv/models/cache/x") == "tmpfs"
    assert filesystem(MOUNTS, "/etc") == "ext4"
    assert filesystem((), "/etc") == ""


@pytest.mark.parametrize(
    ("path", "layers"),
    [
        ("/srv/models", [("/srv/models/7", "/merged")]),
        ("/srv/models/7/deep", [("/srv/models/7", "/merged")]),
        ("/layers/a:1", [("/layers/a:1", "/merged")]),
        ("/up", [("/up", "/merged")]),
        ("/merged/models", []),
        ("/srv/modelz", []),
    ],
)
def test_overlays_that_show_files_elsewhere_are_found(
    path: str, layers: list[tuple[str, str]]
) -> None:
    assert list(overlays(MOUNTS, path)) == layers


def test_an_overlay_through_which_a_watch_itself_looks_hides_nothing() -> None:
    over = parse("35 22 0:44 / /srv/models rw - overlay none rw,lowerdir=/srv/models,upperdir=/u\n")
    assert overlays(over, "/srv/models") == ()
    assert overlays(over, "/srv/models/7") == ()
    assert overlays(over, "/u") == (("/u", "/srv/models"),)
