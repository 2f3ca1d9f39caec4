# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the checks up to the first that fails, and count what was really tested.

The Molecule scenarios run beside the others: two lanes, each in its order. After a failure no lane begins another.

    check.py                     all of them
    check.py lint unit           these groups, or single checks by name
    check.py molecule [name]     the Molecule scenarios, or one of them
    check.py changed             for developers: only what the changes since the branch left main concern

Ours, because CI needs two lanes, counts from each tool's own report and a sign of life every 20 s; nox runs one session
after the other and knows only whether it failed.

The output of each check goes to .build/results/<check>.log and is shown when the check fails; the counts go to
.build/results/<check>.json and their sum to .build/results/total.txt, which is also the last line printed.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Callable, Mapping, NamedTuple, Sequence

import changed
import engine as engines
import galaxy
import image as images
import sanity
import vm
from results import Counts, from_code, from_junit, from_sanity, total
from workshop import BUILD, ROOT, VENV, Problem, main, say, tool_env

# Support of the tests in that folder, and part of no collection when a tool runs.
sys.path += [str(ROOT / "tests" / "windows"), str(ROOT / "docs" / "site")]

import pages
import wine

RESULTS = BUILD / "results"
TAIL_LINES = 60
HEARTBEAT_SECONDS = 20.0
# A scenario whose name ends so needs kernels of its own instead of containers; molecule/inventory knows the machines.
VM_ENDING = "_vm"
FAULT_TEST = "tests/faults/test_faults.py::test_a_fault_at_any_system_call_is_survived"
REFERENCES = "--validate-collection-refs=self"
MACHINES = {"molecule-12": "12", "molecule-13": "13"}


# The lane of the scenarios; everything else, which takes about as long, is the other one.
SCENARIOS = "scenarios"
_making_ready = threading.Lock()


class Step(NamedTuple):
    """One check: the group it is asked for by, its name, what runs it and counts, and beside what it may run."""

    group: str
    name: str
    act: Callable[[], Counts]
    lane: str = ""


def log_of(name: str) -> Path:
    """Return where a check's output goes."""
    return RESULTS / f"{name}.log"


def files_of(name: str, ending: str) -> list[Path]:
    """Return what a check left behind: under its own name, and under that of each of its parts."""
    return sorted([*RESULTS.glob(f"{name}.{ending}"), *RESULTS.glob(f"{name}-*.{ending}")])


def logged(
    name: str, argv: Sequence[str | Path], *, env: Mapping[str, str], cwd: Path = ROOT
) -> int:
    """Run a program, appending its output to the check's log; say now and then that it is still at work."""
    with log_of(name).open("ab") as log:
        log.write(f"$ {' '.join(map(str, argv))}\n".encode())
        log.flush()
        try:
            process = subprocess.Popen(
                argv,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env={**env, "NO_COLOR": "1"},
                cwd=cwd,
            )
        except OSError as error:
            problem = f"Could not run {argv[0]}: {error.strerror}; run `make setup`."
            raise Problem(problem) from error
        began = time.monotonic()
        while True:
            try:
                return process.wait(HEARTBEAT_SECONDS)
            except subprocess.TimeoutExpired:
                lines = log_of(name).read_text("utf-8", "replace").split("\n")
                last = next((line.strip() for line in reversed(lines) if line.strip()), "")
                say(f"    {time.monotonic() - began:4.0f} s  {name}: {last[:100]}")


def tool(name: str, program: str, *words: str) -> Counts:
    """Run a tool of the virtual environment that says yes or no."""
    return from_code(name, logged(name, [str(VENV / "bin" / program), *words], env=tool_env()))


def pytest(name: str, *words: str, env: Mapping[str, str] | None = None) -> Counts:
    """Run pytest and count from its report."""
    report = RESULTS / f"{name}.xml"
    argv: list[str | Path] = [VENV / "bin" / "pytest", "--junitxml", report, *words]
    code = logged(name, argv, env=env or tool_env())
    return from_junit(name, report.read_text(encoding="utf-8") if report.exists() else None, code)


def lint(name: str, *argv: str) -> Step:
    """Return the step for a tool that says yes or no."""
    return Step("lint", name, partial(tool, name, *argv))


def docs_site() -> Counts:
    """Build the documentation site, and check its links."""
    return pages.check(lambda argv, env: logged("site", argv, env=env))


def ansible_test(name: str, *words: str) -> tuple[int, str]:
    """Run ansible-test in a real tree; return its exit code and all it printed."""
    tree, env = sanity.copy_tree(), sanity.environment()
    code = logged(name, [VENV / "bin" / "ansible-test", *words], env=env, cwd=tree)
    return code, log_of(name).read_text("utf-8", "replace")


def sanity_tests() -> Counts:
    """Run every sanity test; compile and import on each Python of this machine that a managed host may have."""
    # Without --python all are taken. --local: only the tools of the tests get environments, not ansible-test itself.
    code, log = ansible_test("sanity", "sanity", "--local", "--color", "no")
    return from_sanity(log, code)


def units() -> Counts:
    """Run ansible-test's unit tests on the lowest Python a managed host may have; `unit` runs them on our own.

    There it takes only the tests of what runs on hosts: those of modules and of module_utils.
    """
    sanity.link_pythons()
    version = sanity.lowest_python()
    name = f"units-{version}"
    code, _log = ansible_test(name, "units", "--color", "no", "--target-python", f"venv/{version}")
    reports = sorted((sanity.TREE / "tests" / "output" / "junit").glob("*.xml"))
    if not reports:
        return from_junit(name, None, code)
    return total([from_junit(name, report.read_text(encoding="utf-8"), code) for report in reports])


def galaxy_checks() -> Counts:
    """Build, install and import the collection as a Galaxy server and its users would."""
    return galaxy.check(lambda argv, env, cwd: logged("galaxy", argv, env=env, cwd=cwd))


def with_hosts() -> dict[str, str]:
    """Have engine and images ready; return the environment that tells the tests which they are."""
    with _making_ready:
        engine = engines.ensure(os.environ)
        images.ensure(engine, os.environ)
    return {**tool_env(), **engines.environment(engine)}


def faults(*words: str) -> Counts:
    """Break each place in the code that changes something; ``words`` name some of the cases for pytest."""
    return pytest("faults", *(words or ["tests/faults"]), env=with_hosts())


def windows() -> Counts:
    """Run the Windows controls' scripts in a real PowerShell, where one can be had."""
    try:
        place = wine.ensure()
    except Problem as problem:
        return Counts(skipped=1, notes=(f"skipped: a real PowerShell under Wine: {problem}",))
    try:
        return pytest("windows", "tests/windows")
    finally:
        wine.end(wine.Place(place))


def scenarios() -> list[str]:
    """Return the Molecule scenarios; "default" only makes and removes the hosts of the others."""
    return sorted(
        path.parent.name
        for path in ROOT.glob("molecule/*/molecule.yml")
        if path.parent.name != "default"
    )


def hosts_of(name: str) -> str:
    """Return the pattern of the hosts that a scenario's playbooks name: no others need to be started for it.

    The controller is there already.
    """
    plays = "".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "molecule" / name).glob("*.yml")
    )
    named = set(":".join(re.findall(r"(?m)^  hosts: (\S+)$", plays)).split(":"))
    return ":".join(sorted(named - {"localhost"}))


def scenario(name: str) -> Counts:
    """Run one scenario on new hosts: it is one test itself, and each test of its verifier is one more."""
    step = f"molecule-{name}"
    report = RESULTS / f"{step}.xml"
    argv = [str(VENV / "bin" / "molecule"), "test", "--scenario-name", name]
    if name.endswith(VM_ENDING):
        try:
            for machine, release in MACHINES.items():
                vm.restore(machine, release)
            code = logged(step, argv, env=tool_env())
        finally:
            vm.down(list(MACHINES))
    else:
        code = logged(step, argv, env={**with_hosts(), "TWINGUARD_HOSTS": hosts_of(name)})
    verified = from_junit(step, report.read_text(encoding="utf-8") if report.exists() else None, 0)
    return from_code(step, code).plus(verified)


def no_scenario() -> Counts:
    """Say that nothing was found, which is never a success."""
    return Counts(failed=1, notes=("no Molecule scenario was found under molecule/",))


def steps(only: str | None = None) -> list[Step]:
    """Return every check in its order; ``only`` narrows the Molecule scenarios to one."""
    names = scenarios()
    if only is not None and only not in names:
        raise Problem(f"SCENARIO={only} is not there; there are: {', '.join(names) or 'none'}.")
    chosen = [only] if only else names
    hosts = [
        Step("molecule", f"molecule-{name}", partial(scenario, name), SCENARIOS) for name in chosen
    ]
    return [
        lint("ruff", "ruff", "check", "."),
        lint("format", "ruff", "format", "--check", "."),
        lint("yamllint", "yamllint", "--strict", "."),
        # Its profile and settings are in .ansible-lint.
        lint("ansible-lint", "ansible-lint", "--offline", "--strict"),
        lint("changelog", "antsibull-changelog", "lint"),
        # What users will read of modules, plugins and roles.
        lint("docs", "antsibull-docs", "lint-collection-docs", "--plugin-docs", REFERENCES, "."),
        lint("role-docs", "python", "docs/site/role_docs.py", "--check"),
        Step("docs", "site", docs_site),
        Step("types", "mypy", partial(tool, "mypy", "mypy")),
        Step("unit", "unit", partial(pytest, "unit", "tests/unit")),
        Step("sanity", "sanity", sanity_tests),
        Step("units", "units", units),
        Step("galaxy", "galaxy", galaxy_checks),
        Step("test-windows", "windows", windows),
        Step("faults", "faults", faults),
        *(hosts or [Step("molecule", "molecule", no_scenario)]),
    ]


def changed_steps() -> list[Step]:
    """Return the checks of what a developer changed, and say which ones are left out.

    :raises Problem: in CI, and when nothing changed.
    """
    since, chosen = changed.look(os.environ)
    cases = partial(faults, *(f"{FAULT_TEST}[{case}]" for case in chosen.cases))
    narrowed = {"unit": partial(pytest, "unit", *chosen.tests), "faults": cases}
    whole = [step._replace(act=narrowed.get(step.name, step.act)) for step in steps()]
    plan = [step for step in whole if step.name in chosen.steps]
    left = [step.name for step in whole if step.name not in chosen.steps]
    say(f"Since {since}: {len(chosen.tests)} files of unit tests; fault cases: {chosen.cases}.")
    say(
        f"Left out, and run by `make test` and CI: {', '.join(left)}; all other unit tests and cases."
    )
    return plan


def show_failure(name: str) -> None:
    """Print the end of every log that a failed check left."""
    for log in files_of(name, "log"):
        lines = log.read_text("utf-8", "replace").rstrip("\n").split("\n")
        say(f"--- the last {min(TAIL_LINES, len(lines))} lines of {log.relative_to(ROOT)}")
        say("\n".join(lines[-TAIL_LINES:]))


def carry_out(plan: Sequence[Step]) -> Counts:
    """Run the steps up to the first failure, each lane in its order; return all counts together."""
    lanes = list(dict.fromkeys(step.lane for step in plan))
    ended: dict[str, Counts] = {}
    failed = threading.Event()

    def walk(lane: str) -> None:
        for number, step in enumerate(plan, start=1):
            if step.lane == lane and not failed.is_set():
                say(f"[{number}/{len(plan)}] {step.name} ...")
                ended[step.name] = one(step, failed)

    with ThreadPoolExecutor(max_workers=len(lanes) or 1) as pool:
        for lane in [pool.submit(walk, lane) for lane in lanes]:
            lane.result()
    if failed.is_set():
        red = ", ".join(step.name for step in plan if ended.get(step.name, Counts()).failed)
        rest = ", ".join(step.name for step in plan if step.name not in ended)
        say(f"{red} failed; see {RESULTS.relative_to(ROOT)}/. Not run: {rest or 'nothing'}.")
    return total([ended[step.name] for step in plan if step.name in ended])


def one(step: Step, failed: threading.Event) -> Counts:
    """Run a step, keep its counts in a file, and say how it ended; set the event if it failed."""
    for old in files_of(step.name, "*"):
        old.unlink()
    began = time.monotonic()
    try:
        counts = step.act()
    except Problem as problem:
        counts = Counts(failed=1, notes=(str(problem),))
    seconds = round(time.monotonic() - began, 1)
    kept = json.dumps({**counts._asdict(), "seconds": seconds})
    (RESULTS / f"{step.name}.json").write_text(kept, "utf-8")
    if counts.failed:
        failed.set()
        show_failure(step.name)
    # One call, so that the lines of two lanes do not mix.
    notes = [f"    {note}" for note in counts.notes]
    say("\n".join([*notes, f"    {step.name}: {counts.line()} ({seconds} s)"]))
    return counts


def choose(plan: Sequence[Step], asked: Sequence[str]) -> list[Step]:
    """Return the steps of the groups or names that were asked for, in their order; all when none was.

    :raises Problem: for a name that is neither.
    """
    known = list(dict.fromkeys([*(step.group for step in plan), *(step.name for step in plan)]))
    unknown = [name for name in asked if name not in known]
    if unknown:
        raise Problem(f"There is no check called {unknown[0]}; there are: {', '.join(known)}.")
    return [step for step in plan if not asked or step.group in asked or step.name in asked]


def _body(arguments: list[str]) -> int:
    if arguments == ["changed"]:
        return carry_out_and_sum(changed_steps())
    only = arguments[1] if len(arguments) == 2 and arguments[0] == "molecule" else None
    return carry_out_and_sum(choose(steps(only), arguments[:1] if only else arguments))


def carry_out_and_sum(plan: Sequence[Step]) -> int:
    """Run the steps; keep and print the sum of their counts, and return the exit code."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    total_file = RESULTS / "total.txt"
    # An old total must not survive a run that is cut short.
    total_file.unlink(missing_ok=True)
    counts = carry_out(plan)
    total_file.write_text(f"{counts.line()}\n", encoding="utf-8")
    say(counts.line())
    return 1 if counts.failed else 0


if __name__ == "__main__":
    main(_body)
