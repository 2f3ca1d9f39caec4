# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import threading
from pathlib import Path

import check
import pytest
import vm_qemu
import wine
import yaml
from check import Step
from results import Counts
from workshop import Problem

ROOT = Path(__file__).resolve().parents[3]


def step(group: str, name: str, counts: Counts) -> Step:
    return Step(group, name, lambda: counts)


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(check, "RESULTS", tmp_path)
    monkeypatch.setattr(check, "ROOT", tmp_path)
    return tmp_path


def test_the_run_stops_at_the_first_failure_and_names_what_was_not_run(results: Path, capsys):
    plan = [
        step("a", "one", Counts(passed=3, skipped=1, notes=("skipped: x: no audit here",))),
        step("a", "two", Counts(passed=1, failed=2)),
        step("b", "three", Counts(passed=5)),
    ]
    assert check.carry_out(plan)[:3] == (4, 2, 1)
    said = capsys.readouterr().out
    assert "[1/3] one ..." in said
    assert "skipped: x: no audit here" in said
    assert "Not run: three." in said
    assert "[3/3]" not in said


def test_a_scenario_runs_beside_the_other_checks_which_keep_their_order(results: Path):
    met = threading.Barrier(2, timeout=60)
    order: list[str] = []

    def meet(name: str) -> Counts:
        met.wait()
        order.append(name)
        return Counts(passed=1)

    def follow() -> Counts:
        order.append("two")
        return Counts(passed=1)

    plan = [
        Step("a", "one", lambda: meet("one")),
        Step("a", "two", follow),
        Step("b", "hosts", lambda: meet("hosts"), check.SCENARIOS),
    ]
    assert check.carry_out(plan)[:3] == (3, 0, 0)
    assert order.index("one") < order.index("two")


def test_after_a_failure_neither_lane_begins_another_check(
    results: Path, capsys, monkeypatch: pytest.MonkeyPatch
):
    begun, ended = threading.Event(), threading.Event()
    # It is shown only after it was noted.
    monkeypatch.setattr(check, "show_failure", lambda name: ended.set())

    def fail_beside_it() -> Counts:
        assert begun.wait(60)
        return Counts(failed=1)

    def wait_for_the_failure() -> Counts:
        begun.set()
        assert ended.wait(60)
        return Counts(passed=1)

    plan = [
        Step("a", "red", fail_beside_it),
        Step("b", "busy", wait_for_the_failure, check.SCENARIOS),
        Step("b", "later", lambda: Counts(passed=1), check.SCENARIOS),
    ]
    assert check.carry_out(plan)[:3] == (1, 1, 0)
    assert "red failed" in (said := capsys.readouterr().out)
    assert "Not run: later." in said


def test_the_log_of_a_failed_check_is_shown(results: Path, capsys):
    def act() -> Counts:
        check.log_of("two").write_text("the reason\n")
        return Counts(failed=1)

    check.carry_out([Step("a", "two", act)])
    assert "the reason" in capsys.readouterr().out


def test_a_check_that_cannot_run_counts_as_failed_with_its_sentence(results: Path, capsys):
    def act() -> Counts:
        raise Problem("No container engine was found.")

    assert check.carry_out([Step("a", "one", act)])[:3] == (0, 1, 0)
    assert "No container engine was found." in capsys.readouterr().out


def test_results_of_an_earlier_run_are_not_taken_for_this_one(results: Path):
    (results / "one.xml").write_text("old")
    (results / "one-3.9.log").write_text("old")
    (results / "onesome.log").write_text("another check's")
    check.carry_out([step("a", "one", Counts(passed=1))])
    assert sorted(path.name for path in results.iterdir()) == ["one.json", "onesome.log"]


def test_checks_are_chosen_by_group_or_by_name_and_keep_their_order():
    plan = [step("a", "one", Counts()), step("b", "two", Counts()), step("b", "three", Counts())]
    assert [chosen.name for chosen in check.choose(plan, ["three", "a"])] == ["one", "three"]
    assert check.choose(plan, []) == plan


def test_an_unknown_check_is_refused_with_the_known_ones():
    with pytest.raises(Problem, match="no check called nonsense; there are: a, one"):
        check.choose([step("a", "one", Counts())], ["nonsense"])


def test_no_scenario_at_all_is_a_failure(results: Path):
    hosts = [one for one in check.steps() if one.group == "molecule"]
    assert [one.act()[:3] for one in hosts] == [(0, 1, 0)]


def test_a_scenario_that_is_not_there_is_refused_by_name(results: Path):
    (results / "molecule" / "model_gateway").mkdir(parents=True)
    (results / "molecule" / "model_gateway" / "molecule.yml").touch()
    with pytest.raises(Problem, match=r"SCENARIO=nothing is not there; there are: model_gateway\."):
        check.steps("nothing")


def test_the_hosts_of_the_other_scenarios_are_no_scenario_themselves(results: Path):
    for name in ("default", "model_gateway"):
        (results / "molecule" / name).mkdir(parents=True)
        (results / "molecule" / name / "molecule.yml").touch()
    assert check.scenarios() == ["model_gateway"]


def test_a_scenario_gets_only_the_hosts_that_its_playbooks_name(results: Path):
    place = results / "molecule" / "git_guard"
    place.mkdir(parents=True)
    (place / "prepare.yml").write_text("- name: One\n  hosts: servers:clients\n  tasks: []\n")
    (place / "converge.yml").write_text("- name: Two\n  hosts: servers\n  roles: []\n")
    (place / "more.yml").write_text("- name: Three\n  hosts: localhost\n  roles: []\n")
    assert check.hosts_of("git_guard") == "clients:servers"


def scenario_calls(monkeypatch: pytest.MonkeyPatch, code: object) -> list[str]:
    """Run with everything but the order of things replaced; the list fills as a scenario runs."""
    calls: list[str] = []

    def logged(name: str, argv: list[object], *, env: dict[str, str]) -> int:
        calls.append(f"molecule {argv[-1]} on {env['hosts']}")
        if isinstance(code, BaseException):
            raise code
        return 0

    monkeypatch.setattr(check, "logged", logged)
    monkeypatch.setattr(check, "with_hosts", lambda: {"hosts": "containers"})
    monkeypatch.setattr(check, "tool_env", lambda: {"hosts": "machines"})
    monkeypatch.setattr("vm.restore", lambda name, release: calls.append(f"restore {name}"))
    monkeypatch.setattr("vm.down", lambda names: calls.append(f"down {names}"))
    return calls


def test_a_scenario_that_needs_a_kernel_of_its_own_gets_machines_and_no_containers(
    results: Path, monkeypatch: pytest.MonkeyPatch
):
    calls = scenario_calls(monkeypatch, 0)
    check.scenario("model_audit_vm")
    assert calls == [
        "restore molecule-12",
        "restore molecule-13",
        "molecule model_audit_vm on machines",
        "down ['molecule-12', 'molecule-13']",
    ]
    calls.clear()
    check.scenario("model_audit")
    assert calls == ["molecule model_audit on containers"]


def test_machines_are_thrown_away_when_their_scenario_is_cut_short(
    results: Path, monkeypatch: pytest.MonkeyPatch
):
    calls = scenario_calls(monkeypatch, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        check.scenario("model_audit_vm")
    assert calls[-1] == "down ['molecule-12', 'molecule-13']"


def test_the_inventory_reaches_each_machine_that_a_scenario_gets():
    text = (ROOT / "molecule" / "inventory" / "audit_vms.yml").read_text(encoding="utf-8")
    group = yaml.safe_load(text)["audit_vms"]
    assert {host["vm_name"] for host in group["hosts"].values()} == set(check.MACHINES)
    assert group["vars"]["ansible_host"] == f"{vm_qemu.HOST}-{{{{ vm_name }}}}"
    assert "/.build/vm/' ~ vm_name ~ '/ssh_config'" in group["vars"]["ansible_ssh_common_args"]


def test_every_group_of_checks_has_its_own_make_target():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for group in {one.group for one in check.steps()}:
        assert f"\n{group}: setup ##" in makefile


def test_where_there_is_no_powershell_the_check_is_skipped_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, results: Path
):
    def missing() -> Path:
        raise Problem("There is no npm here.")

    monkeypatch.setattr(wine, "ensure", missing)
    counts = check.windows()
    assert (counts.passed, counts.failed, counts.skipped) == (0, 0, 1)
    assert counts.notes == ("skipped: a real PowerShell under Wine: There is no npm here.",)


def test_wine_is_ended_however_the_check_ends(
    monkeypatch: pytest.MonkeyPatch, results: Path, tmp_path: Path
):
    ended: list[Path] = []

    def cut_short(*_words: object, **_more: object) -> Counts:
        raise KeyboardInterrupt

    monkeypatch.setattr(wine, "ensure", lambda: tmp_path)
    monkeypatch.setattr(wine, "end", lambda place: ended.append(place.folder))
    monkeypatch.setattr(check, "pytest", cut_short)
    with pytest.raises(KeyboardInterrupt):
        check.windows()
    assert ended == [tmp_path]
