# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
import role_docs
from workshop import Problem

SPECS = {
    "main": {
        "options": {
            "gate_routes": {
                "description": "What is open; see O(gate_state=present) and V(a|b).",
                "type": "list",
                "elements": "dict",
                "default": [{"path": "/"}],
                "options": {
                    "path": {"description": ["One.", "Two."], "required": True, "type": "str"}
                },
            },
            "gate_state": {"description": "The state.", "choices": ["present", "absent"]},
        }
    }
}
ROWS = [
    '| `gate_routes` | list of dict | `[{"path": "/"}]` | What is open; see `gate_state=present` and `a\\|b`. |',
    "| `gate_routes[].path` | str | required | One. Two. |",
    "| `gate_state` | str |  | The state. One of `present`, `absent`. |",
]
EMPTY = f"# Role\n\n{role_docs.BEGIN}\n{role_docs.END}\n\nAfter.\n"


def test_each_option_has_a_row_and_so_has_what_it_holds():
    assert list(role_docs.rows(SPECS["main"]["options"])) == ROWS


def test_the_table_stands_between_the_marks_and_all_else_stays():
    written = role_docs.with_table(EMPTY, SPECS, "README.md")
    assert written.startswith("# Role\n")
    assert written.endswith("\n\nAfter.\n")
    assert "\n".join(ROWS) in written


def test_writing_it_again_changes_nothing():
    written = role_docs.with_table(EMPTY, SPECS, "README.md")
    assert role_docs.with_table(written, SPECS, "README.md") == written


def test_a_readme_without_the_marks_is_refused_by_name():
    with pytest.raises(Problem, match=r"roles/x/README\.md must hold"):
        role_docs.with_table("# Role\n", SPECS, "roles/x/README.md")


def test_a_readme_that_differs_is_reported_and_left_alone_by_a_check(tmp_path, monkeypatch, capsys):
    role = tmp_path / "roles" / "gate"
    (role / "meta").mkdir(parents=True)
    (role / "meta" / "argument_specs.yml").write_text(
        "argument_specs: {main: {options: {gate_x: {description: An x., type: int}}}}\n"
    )
    (role / "README.md").write_text(EMPTY)
    monkeypatch.setattr(role_docs, "ROOT", tmp_path)
    assert role_docs.update(role, check=True)
    assert "+| `gate_x` | int |  | An x. |" in capsys.readouterr().out
    assert (role / "README.md").read_text() == EMPTY
    assert role_docs.update(role, check=False)
    assert not role_docs.update(role, check=True)
