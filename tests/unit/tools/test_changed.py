# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import changed
import check
import pytest
from changed import choose
from workshop import Problem

IMPORT = "from ansible_collections.twinguard.hardening.plugins."
FILES = {
    "plugins/module_utils/_core/plan.py": "",
    "plugins/module_utils/_git/sign.py": "from .._core.plan import Plan\n",
    "plugins/module_utils/_nginx/serve.py": "import os\n",
    "plugins/modules/git_signing.py": "from ..module_utils._git import sign as ours\n",
    "plugins/modules/nginx_config.py": "from ..module_utils._nginx.serve import serve\n",
    "plugins/action/win_guard.py": 'MODULE = "twinguard.hardening.win_guard_read"\n',
    "plugins/modules/win_guard_read.ps1": "# PowerShell\n",
    "roles/git_signing/tasks/main.yml": "- twinguard.hardening.git_signing:\n",
    "roles/git_signing/templates/x.j2": "x",
    "playbooks/site.yml": "- import_playbook: twinguard.hardening.git_signing\n",
    "playbooks/git_signing.yml": "- role: twinguard.hardening.git_signing\n",
    "molecule/default/molecule.yml": "{}",
    "molecule/git_signing/molecule.yml": "{}",
    "molecule/git_signing/converge.yml": "- role: twinguard.hardening.git_signing\n",
    "molecule/model_gateway/molecule.yml": "{}",
    "molecule/model_gateway/tests/test_it.py": "import lab\n",
    "tests/support/lab.py": "",
    "tests/faults/agent.py": "",
    "tests/faults/cases/git_signing.py": 'from agent import Module\nModule(\n    "git_signing", 1)\n',
    "tests/faults/cases/nginx_config.py": 'from agent import Module\nModule("nginx_config", 1)\n',
    "tests/unit/test_contract.py": "",
    "tests/unit/plugins/test_plan.py": f"{IMPORT}module_utils._core.plan import Plan\n",
    "tests/unit/plugins/test_sign.py": f"{IMPORT}module_utils._git import sign\n",
    "tests/unit/plugins/test_module.py": f"X = '{IMPORT[5:]}modules.git_signing'\n",
    "tests/unit/plugins/test_serve.py": f"{IMPORT}module_utils._nginx.serve import serve\n",
    "tests/unit/plugins/test_recorded.py": "path = 'recorded.log'\n",
    "tests/unit/plugins/test_action.py": f"{IMPORT}action import win_guard\n",
    "tests/windows/test_win_guard.py": f"{IMPORT}action.win_guard import ActionModule\n",
}
CONTRACT = "tests/unit/test_contract.py"


def scenarios(*paths: str) -> set[str]:
    return {step for step in choose(paths, FILES).steps if step.startswith("molecule-")}


def test_a_page_concerns_the_site_and_a_picture_its_tests_as_well():
    assert choose(["README.md"], FILES).steps == {"site"}
    picture = choose(["docs/pictures/run.dot"], FILES)
    assert picture.steps == {"site", "unit"}
    assert picture.tests == [CONTRACT, "tests/unit/test_pictures.py"]


def test_a_decision_concerns_all_that_imports_it_on_any_way():
    chosen = choose(["plugins/module_utils/_core/plan.py"], FILES)
    names = ["plugins/test_module.py", "plugins/test_plan.py", "plugins/test_sign.py"]
    assert chosen.tests == [*(f"tests/unit/{name}" for name in names), CONTRACT]
    assert chosen.cases == ["git_signing"]
    assert chosen.steps == {
        *("ruff", "format", "mypy", "ansible-lint", "docs", "unit", "faults"),
        "molecule-git_signing",
    }


def test_a_module_concerns_the_role_that_names_it_and_its_scenario():
    assert scenarios("plugins/modules/git_signing.py") == {"molecule-git_signing"}
    assert scenarios("plugins/modules/nginx_config.py") == set()


def test_any_file_of_a_role_or_scenario_stands_for_all_of_it():
    assert scenarios("roles/git_signing/templates/x.j2") == {"molecule-git_signing"}
    assert scenarios("molecule/git_signing/converge.yml") == {"molecule-git_signing"}
    assert "role-docs" in choose(["roles/git_signing/templates/x.j2"], FILES).steps


def test_support_on_a_path_that_a_test_sets_concerns_its_users():
    assert scenarios("tests/support/lab.py") == {"molecule-model_gateway"}
    assert choose(["tests/faults/agent.py"], FILES).cases == ["git_signing", "nginx_config"]


def test_what_all_scenarios_start_from_concerns_all_of_them():
    both = {"molecule-git_signing", "molecule-model_gateway"}
    assert scenarios("molecule/inventory/hosts.yml") == both
    assert scenarios("molecule/default/create.yml") == both


def test_a_deleted_file_concerns_those_that_still_import_it():
    left = {name: text for name, text in FILES.items() if not name.endswith("_nginx/serve.py")}
    assert (
        "tests/unit/plugins/test_serve.py"
        in choose(["plugins/module_utils/_nginx/serve.py"], left).tests
    )


def test_data_concerns_the_tests_that_name_the_file():
    tests = choose(["tests/unit/fixtures/audit/recorded.log"], FILES).tests
    assert tests == ["tests/unit/plugins/test_recorded.py", CONTRACT]


def test_a_script_for_windows_concerns_the_plugin_that_sends_it():
    chosen = choose(["plugins/modules/win_guard_read.ps1"], FILES)
    assert chosen.tests == ["tests/unit/plugins/test_action.py", CONTRACT]
    assert "windows" in chosen.steps


def test_the_lock_concerns_every_unit_test():
    assert choose(["requirements.lock"], FILES).tests == ["tests/unit"]


def test_each_step_that_can_be_chosen_is_a_step_of_the_whole_run():
    steps = {step.name for step in check.steps()}
    named = {"ruff", "format", "mypy", "yamllint", "ansible-lint", "changelog", "docs", "role-docs"}
    assert named | {"unit", "windows", "faults"} <= steps


def test_ci_is_refused_in_one_sentence():
    with pytest.raises(Problem, match=r"CHANGED=1 is for developers and CI is set"):
        changed.look({"CI": "true"})


def test_nothing_that_changed_is_no_success(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(changed, "_git", lambda *words: ["abc"] if words[0] == "merge-base" else [])
    with pytest.raises(Problem, match="there is nothing to check"):
        changed.look({})


def test_git_tells_of_this_checkout_what_changed_or_that_nothing_did():
    try:
        since, _chosen = changed.look({})
    except Problem as problem:
        since = str(problem).removeprefix("Nothing has changed since ").partition(":")[0]
    assert since == "HEAD" or (len(since) == 12 and int(since, 16))


def test_what_is_left_out_is_said(monkeypatch: pytest.MonkeyPatch, capsys):
    chosen = changed.Chosen({"ruff", "unit", "faults"}, [CONTRACT], ["git_guard"])
    monkeypatch.setattr(changed, "look", lambda _env: ("abc", chosen))
    asked: list[object] = []
    monkeypatch.setattr(check, "pytest", lambda *words, **_more: asked.append(words))
    monkeypatch.setattr(check, "with_hosts", dict)
    plan = check.changed_steps()
    assert [step.name for step in plan] == ["ruff", "unit", "faults"]
    for step in plan[1:]:
        step.act()
    assert asked == [("unit", CONTRACT), ("faults", f"{check.FAULT_TEST}[git_guard]")]
    said = capsys.readouterr().out
    assert "Left out" in said
    assert "mypy, sanity, units, galaxy, windows" in said
