# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A log that a real kernel wrote while hostile things were done, beside what ausearch said of it.

Recorded on Debian 12 (kernel 6.1, auditd 3.0.9, enriched) with the rules

    -a always,exit -F arch=b64 -F dir=/srv/models -F perm=rwxa -k twinguard_models
    -a always,exit -F arch=b64 -F path=/etc/hostname -F perm=r -k other -k twinguard_two
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.twinguard.hardening.plugins.module_utils._audit.events.join import (
    Joiner,
    needles,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._audit.events.query import (
    Query,
    Tally,
)

FIXTURES = Path(__file__).resolve().parents[4] / "fixtures" / "audit"
LOG = (FIXTURES / "recorded.log").read_bytes()
# serial, action, result, effective user, object, how; bytes as Latin-1
CSV = json.loads((FIXTURES / "recorded_by_ausearch.json").read_text(encoding="ascii"))
WORDS = {
    "opened-file": {"read", "write"},
    "changed-file-permissions-of": {"attribute"},
    "changed-file-ownership-of": {"attribute"},
    "changed-file-attributes-of": {"attribute"},
    "renamed": {"rename"},
    "symlinked": {"create"},
    "deleted": {"delete"},
    "created-directory": {"create"},
    "deleted-directory": {"delete"},
    "executed": {"execute"},
}


def rows(data: bytes, size: int = 1 << 20) -> dict[int, dict[str, Any]]:
    found = Tally(Query(), lambda _uid: None)
    joiner = Joiner(needles([], "twinguard_"))
    for at in range(0, len(data), size):
        for event in joiner.feed(data[at : at + size]):
            found.add(event)
    for event in joiner.feed(b"", final=True):
        found.add(event)
    assert joiner.malformed == found.malformed == found.incomplete == 0
    return {row["serial"]: row for row in found.rows()}


ROWS = rows(LOG)


def test_the_same_events_are_found_as_by_ausearch() -> None:
    assert sorted(ROWS) == [serial for serial, *_rest in CSV]
    assert len(ROWS) == 74


def test_the_same_users_results_and_operations_are_found() -> None:
    for serial, action, result, user, _object, _how in CSV:
        row = ROWS[serial]
        assert row["success"] == (result == "success")
        assert row["effective_user"] == user
        if action in WORDS:
            assert row["operation"] in WORDS[action], serial


def test_the_same_files_are_found_where_ausearch_does_not_guess() -> None:
    compared = 0
    for serial, action, _result, _user, told, _how in CSV:
        row = ROWS[serial]
        if not row["path_exact"] or action == "triggered-audit-rule":
            continue
        raw = bytes.fromhex(row["path_hex"]) if row["path_hex"] else row["path"].encode()
        escaped = b"".join(b"\\%03o" % byte if byte < 0x20 else bytes([byte]) for byte in raw)
        assert escaped.decode("latin-1") == told, serial
        compared += 1
    assert compared > 60


def test_ausearch_guesses_where_we_say_that_it_is_not_certain() -> None:
    guesses = {
        serial: told for serial, _a, _r, _u, told, _h in CSV if not ROWS[serial]["path_exact"]
    }
    # Really /srv/models/sub/b.bin, opened relative to that directory with / as working directory.
    assert guesses[199] == "/b.bin"
    assert ROWS[199]["path"] == "b.bin"
    assert guesses[207] == "/root/(null)"
    assert ROWS[207]["path"] is None


def test_no_record_that_a_program_sent_is_believed() -> None:
    assert LOG.count(b'comm="forged"') == 4
    assert not [row for row in ROWS.values() if row["comm"] == "forged"]


def test_changes_of_our_rules_are_in_the_log_and_not_in_the_report() -> None:
    assert LOG.count(b'op=add_rule key="twinguard_models"') == 1
    assert {row["rule_keys"][0] for row in ROWS.values()} == {"twinguard_models", "other"}


def test_hostile_names_come_out_as_they_were() -> None:
    names = {row["path"].rpartition("/")[2] for row in ROWS.values() if row["path"]}
    assert names >= {"new\nline", 'quo"te', "sp ace", 'x" key="twinguard_models', "\x1dUID=root"}
    assert names >= {
        "ünï",
        "twinguard_models",
        "7477696E67756172645F",
        "a'b",
        "$(id)",
        "(null)",
        "tab\t",
    }
    assert {row["comm"] for row in ROWS.values()} >= {'x" key="y', "evil\\xff\n", "c at"}


def test_a_refused_access_and_a_deleted_program_are_told() -> None:
    refused = [row for row in ROWS.values() if not row["success"]]
    assert [(row["path"], row["effective_user"], row["exit"]) for row in refused] == [
        ("/srv/models/secret.bin", "nobody", -13)
    ]
    assert "/srv/py (deleted)" in {row["exe"] for row in ROWS.values()}


def test_a_rename_out_of_the_directory_names_both_ends() -> None:
    paths = [one["path"] for one in ROWS[214]["paths"]]
    assert paths[:2] == ["/srv/models/n2.bin", "/srv/out.bin"]


def test_openat2_is_a_read_or_a_write_by_its_record() -> None:
    assert [ROWS[serial]["operation"] for serial in (224, 225, 226)] == ["read", "write", "write"]


@pytest.mark.parametrize("size", [97, 4096])
def test_the_log_can_come_in_pieces(size: int) -> None:
    assert rows(LOG, size) == ROWS


def test_a_log_that_is_not_enriched_tells_the_same_but_for_the_names() -> None:
    plain = b"\n".join(line.partition(b"\x1d")[0] for line in LOG.split(b"\n"))
    names = dict.fromkeys(("user", "effective_user", "login_user"))
    assert {serial: dict(row, **names) for serial, row in rows(plain).items()} == {
        serial: dict(row, **names) for serial, row in ROWS.items()
    }
