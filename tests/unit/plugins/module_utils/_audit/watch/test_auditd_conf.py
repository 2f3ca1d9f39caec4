# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""auditd.conf is changed line by line, and what would stop auditd is refused."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.twinguard.hardening.plugins.module_utils._audit.watch.auditd_conf import (
    log_path,
    merged,
    read,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._core.plan import ControlError

TEXT = """\
#
# the daemon
local_events = yes
log_file = /var/log/audit/audit.log
max_log_file = 8
Num_Logs=5
##name = mydomain
space_left = 75
admin_space_left = 50
max_log_file_action = ROTATE
site_setting = kept
"""


def test_only_what_differs_is_changed_and_the_rest_stays_to_the_letter() -> None:
    text = merged(TEXT, {"max_log_file": 50, "num_logs": None})
    assert text == TEXT.replace("max_log_file = 8", "max_log_file = 50")


def test_what_is_there_already_stays_however_it_is_written() -> None:
    same = {"num_logs": 5, "max_log_file_action": "rotate", "space_left": "75"}
    assert merged(TEXT, same) == TEXT


def test_a_name_is_found_in_any_case_and_a_comment_is_no_setting() -> None:
    text = merged(TEXT, {"num_logs": 7, "name": "gpu-1"})
    assert "Num_Logs = 7\n" in text
    assert "##name = mydomain\n" in text
    assert text.endswith("name = gpu-1\n")


def test_a_setting_that_comes_twice_is_set_once() -> None:
    text = merged(TEXT + "max_log_file = 9\n", {"max_log_file": 50})
    assert [line for line in text.splitlines() if line.startswith("max_log_file =")] == [
        "max_log_file = 50"
    ]


def test_merging_twice_is_merging_once() -> None:
    asked = {"max_log_file": 50, "flush": "sync", "space_left": "25%", "admin_space_left": "10%"}
    once = merged(TEXT, asked)
    assert merged(once, asked) == once
    assert read(once)["flush"] == "SYNC"


def test_an_empty_file_gets_the_settings() -> None:
    assert merged("", {"num_logs": 3}) == "num_logs = 3\n"


@pytest.mark.parametrize(
    ("asked", "option"),
    [
        ({"num_logs": 1000}, "auditd.num_logs"),
        ({"max_log_file": 0}, "auditd.max_log_file"),
        ({"space_left": "lots"}, "auditd.space_left"),
        ({"space_left": "100%"}, "auditd.space_left"),
        ({"space_left": "0"}, "auditd.space_left"),
        ({"log_group": "adm\nlog_file = /x"}, "auditd.log_group"),
        ({"space_left": "40"}, "auditd.admin_space_left"),
        ({"space_left": "10%", "admin_space_left": "10%"}, "auditd.admin_space_left"),
    ],
    ids=str,
)
def test_what_auditd_would_not_take_is_refused(asked: dict[str, Any], option: str) -> None:
    with pytest.raises(ControlError, match=f"option '{option}'"):
        merged(TEXT, asked)


def test_sizes_of_different_kinds_are_not_compared() -> None:
    assert "space_left = 10%" in merged(TEXT, {"space_left": "10%"})


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (TEXT, "/var/log/audit/audit.log"),
        ("", "/var/log/audit/audit.log"),
        ("log_file = /srv/log/a.log\n", "/srv/log/a.log"),
        ("write_logs = no\n", ""),
        ("log_format = NOLOG\n", ""),
    ],
)
def test_where_the_log_is_follows_the_file(text: str, path: str) -> None:
    assert log_path(text) == path
