# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The units that arm watches anew: run by a real shell with a kernel that is a file."""

from __future__ import annotations

import fcntl
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from ansible_collections.twinguard.hardening.plugins.module_utils._audit.watch import rearm
from ansible_collections.twinguard.hardening.tests.unit.support.audit_host import (
    reader,
    target,
    want,
    watch,
)

WANT = want(watch("/srv/models", allowed_readers=[reader("triton")]), watch("/etc/keys"))
RULES = b"-c\n"
AUDITCTL = """#!/bin/sh
case "$1" in
  -s) cat status ;;
  -l) cat list ;;
  -R) cat "$2" >>loaded; cat after >list ;;
esac
"""


def script(watches: int = 2) -> str:
    """The script as systemd would hand it to the shell."""
    unit = rearm.service_unit(WANT.watches, RULES, watches, "./auditctl").decode()
    line = next(line for line in unit.splitlines() if line.startswith("ExecStart="))
    quoted = re.findall(r'"((?:[^"\\]|\\.)*)"', line)[0]
    return (
        quoted.replace("\\n", "\n")
        .replace('\\"', '"')
        .replace("\\\\", "\\")
        .replace("$$", "$")
        .replace("%%", "%")
    )


def run(
    place: Path,
    *,
    listed: str,
    after: str = "",
    enabled: str = "enabled 1",
    seconds: float | None = None,
    rules: bytes = RULES,
) -> None:
    (place / "auditctl").write_text(AUDITCTL)
    (place / "auditctl").chmod(0o755)
    (place / "status").write_text(enabled + "\n")
    (place / "list").write_text(listed)
    (place / "after").write_text(after or listed)
    text = script().replace(rearm.RUN_DIR, str(place / "run")).replace(rearm.RULES_PATH, "rules")
    (place / "rules").write_bytes(rules)
    shell = shutil.which("sh")
    assert shell
    subprocess.run(
        [shell, "-c", text.replace("sleep 0.2", ":"), "rearm", str(place / "models")],
        cwd=place,
        check=True,
        timeout=seconds,
    )


BOTH = "-a always,exit -F dir=/a -F key=twinguard_a\n-a always,exit -F dir=/b -F key=twinguard_b\n"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "models").mkdir()
    (tmp_path / "run").mkdir()
    return tmp_path


def armed(place: Path) -> dict[str, str]:
    path = place / "run" / "armed"
    return rearm.armed(path.read_bytes()) if path.exists() else {}


def identity(place: Path) -> str:
    found = (place / "models").stat()
    return f"{found.st_dev}:{found.st_ino}"


def test_nothing_is_done_when_nothing_was_replaced(place: Path) -> None:
    models = str(place / "models")
    (place / "run" / "armed").write_bytes(rearm.armed_text({models: identity(place)}))
    run(place, listed=BOTH)
    assert not (place / "loaded").exists()


def test_a_replaced_directory_is_armed_and_remembered(place: Path) -> None:
    models = str(place / "models")
    (place / "run" / "armed").write_bytes(rearm.armed_text({models: "1:1"}))
    run(place, listed=BOTH)
    assert (place / "loaded").exists()
    assert armed(place) == {models: identity(place)}


def test_a_rule_that_the_kernel_dropped_comes_back(place: Path) -> None:
    models = str(place / "models")
    (place / "run" / "armed").write_bytes(rearm.armed_text({models: identity(place)}))
    run(place, listed=BOTH.splitlines()[0] + "\n", after=BOTH)
    assert (place / "loaded").exists()


def test_a_locked_kernel_is_left_alone_and_nothing_is_called_armed(place: Path) -> None:
    run(place, listed=BOTH, enabled="enabled 2")
    assert not (place / "loaded").exists()
    assert armed(place) == {}


def test_it_waits_while_a_run_of_the_role_has_its_turn(place: Path) -> None:
    with (place / "run" / "turn").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        with pytest.raises(subprocess.TimeoutExpired):
            run(place, listed=BOTH, seconds=0.5)
        assert not (place / "loaded").exists()
    run(place, listed=BOTH)
    assert (place / "loaded").exists()


def test_a_script_that_was_started_for_other_rules_leaves_these_alone(place: Path) -> None:
    run(place, listed="", rules=b"-c\n# the next policy\n")
    assert not (place / "loaded").exists()
    assert armed(place) == {}


def test_rules_are_taken_away_only_once_while_nothing_else_changes(place: Path) -> None:
    run(place, listed="", after=BOTH.splitlines()[0] + "\n")
    assert (place / "loaded").read_bytes() == RULES


def test_nothing_is_called_armed_while_rules_are_missing(place: Path) -> None:
    run(place, listed="", after=BOTH.splitlines()[0] + "\n")
    assert (place / "loaded").exists()
    assert armed(place) == {}


def test_all_rules_of_a_place_go_before_any_comes_back() -> None:
    lines = rearm.rules_text(WANT.grouped_lines()).decode().splitlines()
    assert lines[1] == "-c"
    models = [line[:2] for line in lines if "/srv/models" in line]
    assert models == ["-d"] * 6 + ["-a"] * 6
    added = [line for line in lines if line.startswith("-a")]
    assert sorted(added) == sorted(WANT.lines)


def test_the_path_unit_looks_at_the_directories_around() -> None:
    made = want(
        watch("/srv/models"),
        watch("/opt/100%/x"),
        watch("/etc/key"),
        targets={"/etc/key": target("/etc/key", "file")},
    )
    lines = rearm.path_unit(made.watches).decode().splitlines()
    assert [line for line in lines if line.startswith("PathChanged=")] == [
        "PathChanged=/",
        "PathChanged=/opt/100%%",
        "PathChanged=/srv",
    ]


def test_a_record_of_armed_places_survives_being_written() -> None:
    places = {"/b c": "1:2", "/a": "3:4", "/gone": ""}
    assert rearm.armed(rearm.armed_text(places)) == {"/b c": "1:2", "/a": "3:4"}
    assert rearm.armed(b"") == {}


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed here")
def test_systemd_takes_both_units(tmp_path: Path) -> None:
    service, path = tmp_path / f"{rearm.NAME}.service", tmp_path / f"{rearm.NAME}.path"
    service.write_bytes(rearm.service_unit(WANT.watches, RULES, 4, "/bin/true"))
    path.write_bytes(rearm.path_unit(WANT.watches))
    program = shutil.which("systemd-analyze")
    assert program
    done = subprocess.run(
        [program, "verify", "--man=no", str(path), str(service)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert rearm.NAME not in done.stderr, done.stderr
