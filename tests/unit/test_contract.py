# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The contract of the house: names whatever a new control forgot."""

from __future__ import annotations

import ast
import builtins
import os
import re
from functools import cache
from importlib.util import resolve_name
from pathlib import Path
from typing import Any, Iterator

import pytest
import yaml
from graphlib import TopologicalSorter

from ansible_collections.twinguard.hardening.plugins.module_utils._core.controls import CATALOGUE

ROOT = Path(__file__).resolve().parents[2]
PLUGINS = ROOT / "plugins"
MODULES = sorted(PLUGINS.glob("modules/*.py"))
ACTIONS = sorted(PLUGINS.glob("action/*.py"))
PRIVATE = sorted(
    p
    for kind in ("module_utils", "plugin_utils", "doc_fragments")
    for p in PLUGINS.glob(f"{kind}/**/*.py")
)
UTILS = [p for p in PRIVATE if "doc_fragments" not in p.parts]
PURE = [p for p in UTILS if not p.name.endswith("_io.py")]
ROLES = sorted(p for p in (ROOT / "roles").glob("*") if p.is_dir())

MODULE_LINES = 60
TASKS_LINES = 40
FILE_LINES = 400
DOCUMENTATION = ("DOCUMENTATION", "EXAMPLES", "RETURN")
OWN = "ansible_collections.twinguard.hardening."
# What a decision may be made of: no file, process, socket, clock or source of chance among them.
DECIDING = {"__future__", "abc", "base64", "binascii", "bisect", "collections", "collections.abc"}
DECIDING |= {
    "contextlib",
    "copy",
    "dataclasses",
    "datetime",
    "decimal",
    "enum",
    "fnmatch",
    "fractions",
}
DECIDING |= {
    "functools",
    "hashlib",
    "heapq",
    "hmac",
    "ipaddress",
    "itertools",
    "json",
    "math",
    "operator",
}
DECIDING |= {
    "re",
    "string",
    "struct",
    "textwrap",
    "typing",
    "unicodedata",
    "urllib.parse",
    "posixpath",
}
ACTING = {"open", "print", "input", "exec", "eval", "compile", "__import__", "breakpoint"}
# posixpath is for names alone.
LOOKING = {"exists", "lexists", "isfile", "isdir", "islink", "realpath", "getsize", "getmtime"}
CLOCKS = {"now", "today", "utcnow"}
SKIPPED = {".git", ".venv", ".build", ".ansible", ".cache", "__pycache__", "output", "node_modules"}


def stem(path: Path) -> str:
    return path.stem


def dotted(path: Path) -> str:
    """The name by which Python imports a file of ours."""
    return OWN + ".".join(path.relative_to(ROOT).with_suffix("").parts)


def sources() -> Iterator[Path]:
    """Every file of ours that must name its licence."""
    for directory, below, names in os.walk(ROOT):
        below[:] = [name for name in below if name not in SKIPPED and not name.endswith("_cache")]
        for name in names:
            path = Path(directory, name)
            # antsibull-changelog writes these.
            generated = path.parent == ROOT / "changelogs" and name != "config.yaml"
            if (
                path.suffix in (".py", ".yml", ".yaml", ".sh", ".j2") or name == "Makefile"
            ) and not generated:
                yield path


def playbooks_and_roles() -> list[Path]:
    return [
        path for path in sources() if path.suffix in (".yml", ".yaml") and "tests" not in path.parts
    ]


@cache
def read(path: Path) -> str:
    assert path.is_file(), f"{path.relative_to(ROOT)} is missing"
    return path.read_text(encoding="utf-8")


def load(path: Path) -> Any:
    return yaml.safe_load(read(path))


def assigned(path: Path, name: str) -> str:
    """The text that a module assigns to DOCUMENTATION and the like."""
    for node in ast.parse(read(path)).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == name:
            return str(ast.literal_eval(node.value))
    return ""


def code_lines(source: str) -> int:
    """Lines that hold code: not documentation blocks, docstrings, comments, imports or blank ones."""
    counted: set[int] = set()
    parsed = ast.parse(source)
    for node in ast.walk(parsed):
        if isinstance(node, (ast.stmt, ast.expr, ast.arg, ast.keyword)):
            counted.update((node.lineno, node.end_lineno or node.lineno))
    for node in ast.walk(parsed):
        if not isinstance(node, ast.stmt):
            continue
        docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        block = isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") in DOCUMENTATION
        if docstring or block or isinstance(node, (ast.Import, ast.ImportFrom)):
            counted.difference_update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(counted)


@cache
def imports(path: Path) -> tuple[str, ...]:
    """The full names of the modules that a file imports, relative imports resolved."""
    found: list[str] = []
    for node in ast.walk(ast.parse(read(path))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            package = dotted(path).rpartition(".")[0]
            base = resolve_name("." * node.level + (node.module or ""), package)
            # Of a package of ours, which has nothing of its own, each name is a module.
            inside = base.startswith(OWN) and not ours(base).with_suffix(".py").is_file()
            found += [f"{base}.{alias.name}" for alias in node.names] if inside else [base]
    return tuple(found)


def ours(name: str) -> Path:
    """Where a module or package of ours lies, without its ending."""
    return ROOT.joinpath(*name[len(OWN) :].split("."))


@cache
def with_a_test() -> frozenset[str]:
    """What unit tests import, and the modules, each of which has a test that runs it."""
    tests = (ROOT / "tests" / "unit").rglob("*.py")
    imported = {name for test in tests for name in imports(test)}
    return frozenset(imported | {dotted(module) for module in MODULES})


@cache
def users() -> dict[str, tuple[str, ...]]:
    """Each module of ours -> those of the plugins that import it."""
    found: dict[str, list[str]] = {}
    for path in PLUGINS.rglob("*.py"):
        for name in imports(path):
            found.setdefault(name, []).append(dotted(path))
    return {name: tuple(those) for name, those in found.items()}


def test_there_is_something_to_check() -> None:
    # Near what there was when this was written: a search that looks in the wrong place finds less.
    assert len(MODULES) >= 15
    assert len(ROLES) >= 7
    assert len(PRIVATE) >= 145
    assert len(PURE) >= 85
    assert len(list(sources())) >= 400


@pytest.mark.parametrize("module", MODULES, ids=stem)
def test_every_module_has_a_unit_test(module: Path) -> None:
    places = [
        ROOT / "tests" / "unit" / "plugins" / kind / f"test_{module.stem}.py"
        for kind in ("modules", "action")
    ]
    assert any(place.is_file() for place in places), (
        f"write tests/unit/plugins/modules/test_{module.stem}.py"
    )


@pytest.mark.parametrize("module", MODULES, ids=stem)
def test_every_module_shows_a_task_that_uses_it(module: Path) -> None:
    tasks = yaml.safe_load(assigned(module, "EXAMPLES"))
    assert tasks, "EXAMPLES holds no task"
    assert any(f"twinguard.hardening.{module.stem}" in task for task in tasks)


@pytest.mark.parametrize("module", MODULES, ids=stem)
def test_every_module_documents_what_it_promises_and_returns(module: Path) -> None:
    documentation = yaml.safe_load(assigned(module, "DOCUMENTATION"))
    assert documentation["module"] == module.stem
    fragments = documentation.get("extends_documentation_fragment", [])
    assert any(name.startswith("twinguard.hardening._attributes") for name in fragments)
    returned = yaml.safe_load(assigned(module, "RETURN"))
    assert "controls" in returned, "every module reports its controls"


@pytest.mark.parametrize("module", MODULES, ids=stem)
def test_every_module_is_used_by_a_role_or_by_another_plugin(module: Path) -> None:
    users = [path for role in ROLES for path in (role / "tasks").glob("*.yml")]
    users += [path for path in ACTIONS if path.stem != module.stem]
    assert any(f"twinguard.hardening.{module.stem}" in read(path) for path in users)


@pytest.mark.parametrize("module", MODULES, ids=stem)
def test_every_module_is_thin(module: Path) -> None:
    assert code_lines(read(module)) <= MODULE_LINES, "move what grew to module_utils"


@pytest.mark.parametrize("module", [m for m in MODULES if code_lines(read(m))], ids=stem)
def test_every_module_ends_in_one_way(module: Path) -> None:
    source = read(module)
    assert len(re.findall(r"^    conclude\(", source, re.MULTILINE)) == 1
    assert not re.search(r"\.(exit|fail)_json\b|^\s*except ", source, re.MULTILINE)


def test_every_error_that_can_end_a_run_does_it_with_a_sentence() -> None:
    classes = {
        node.name: [ast.unparse(base) for base in node.bases]
        for path in [*UTILS, *ACTIONS]
        for node in ast.walk(ast.parse(read(path)))
        if isinstance(node, ast.ClassDef)
    }
    builtin = {
        name
        for name, one in vars(builtins).items()
        if isinstance(one, type) and issubclass(one, BaseException)
    }
    errors = {name: bases for name, bases in classes.items() if builtin.intersection(bases)}
    assert errors.pop("HardeningError") == ["Exception"]
    assert errors.pop("_Executed") == ["OSError"]  # which conclude() takes as well
    foreign = {name: bases for name, bases in errors.items() if bases[0] != "HardeningError"}
    assert not foreign, "derive it from HardeningError, or it ends a run with a traceback"
    assert sum("HardeningError" in bases for bases in classes.values()) >= 20


@pytest.mark.parametrize("action", ACTIONS, ids=stem)
def test_every_action_plugin_has_its_module_and_is_tested(action: Path) -> None:
    assert (PLUGINS / "modules" / action.name).is_file()
    assert (ROOT / "tests" / "unit" / "plugins" / "action" / f"test_{action.stem}.py").is_file()


@pytest.mark.parametrize("path", PRIVATE, ids=dotted)
def test_every_helper_file_or_the_package_that_holds_it_is_private(path: Path) -> None:
    assert path.relative_to(PLUGINS).parts[1].startswith("_")


@pytest.mark.parametrize("path", PURE, ids=dotted)
def test_every_decision_is_imported_by_a_test_or_by_one_that_is(path: Path) -> None:
    assert not with_a_test().isdisjoint([dotted(path), *users().get(dotted(path), ())])


@pytest.mark.parametrize("path", PURE, ids=dotted)
def test_decisions_import_nothing_that_acts(path: Path) -> None:
    pure = {dotted(other) for other in PURE}
    foreign = [name for name in imports(path) if name not in DECIDING | pure]
    assert not foreign, (
        f"a decision may not import {foreign}; put what acts into a file named _*_io.py"
    )


@pytest.mark.parametrize("path", PURE, ids=dotted)
def test_decisions_call_nothing_that_acts_and_read_no_clock(path: Path) -> None:
    for node in ast.walk(ast.parse(read(path))):
        if not isinstance(node, ast.Call):
            continue
        called = node.func
        assert not (isinstance(called, ast.Name) and called.id in ACTING), (
            f"line {node.lineno} calls {ast.dump(called)}"
        )
        clock = isinstance(called, ast.Attribute) and called.attr in CLOCKS | LOOKING
        assert not clock, f"line {node.lineno} reads a clock or the disk; pass the answer in"


def test_packages_depend_on_each_other_in_one_direction_only() -> None:
    needs: dict[str, set[str]] = {}
    for path in UTILS:
        room = dotted(path).rpartition(".")[0]
        rooms = {name.rpartition(".")[0] for name in imports(path) if name.startswith(OWN)}
        needs.setdefault(room, set()).update(rooms - {room})
    assert len(needs) >= 22
    # Raises CycleError, which names a circle.
    assert list(TopologicalSorter(needs).static_order())


@pytest.mark.parametrize("control_id", sorted(CATALOGUE))
def test_every_control_of_the_catalogue_is_reported_somewhere(control_id: str) -> None:
    users = [path for path in PLUGINS.rglob("*.py") if "_catalogue" not in str(path)]
    assert any(f'"{control_id}"' in read(path) for path in users)


@pytest.mark.parametrize("role", ROLES, ids=stem)
def test_every_role_has_a_readme_and_a_molecule_scenario(role: Path) -> None:
    assert read(role / "README.md").strip()
    assert read(ROOT / "molecule" / role.name / "molecule.yml")


@pytest.mark.parametrize("role", ROLES, ids=stem)
def test_every_role_has_a_playbook_and_is_part_of_the_whole_site(role: Path) -> None:
    playbook = load(ROOT / "playbooks" / f"{role.name}.yml")
    assert f"twinguard.hardening.{role.name}" in str(playbook)
    site = load(ROOT / "playbooks" / "site.yml")
    assert f"{role.name}.yml" in [play.get("ansible.builtin.import_playbook") for play in site]


@pytest.mark.parametrize("role", ROLES, ids=stem)
def test_every_role_has_a_row_in_the_readme_and_a_page_on_the_site(role: Path) -> None:
    rows = [line for line in read(ROOT / "README.md").splitlines() if line.startswith("|")]
    assert any(role.name in row for row in rows), "add a row to the table in README.md"
    page = f"{role.name} <roles/{role.name}/README>"
    assert page in read(ROOT / "docs/site/index.md").splitlines(), "add its page to the site"


@pytest.mark.parametrize("role", ROLES, ids=stem)
def test_the_tasks_of_every_role_read_like_a_story(role: Path) -> None:
    assert len(read(role / "tasks" / "main.yml").splitlines()) <= TASKS_LINES


@pytest.mark.parametrize("role", ROLES, ids=stem)
def test_defaults_and_argument_specs_say_the_same(role: Path) -> None:
    options = load(role / "meta" / "argument_specs.yml")["argument_specs"]["main"]["options"]
    defaults = load(role / "defaults" / "main.yml") or {}
    specified = {name: option["default"] for name, option in options.items() if "default" in option}
    assert defaults == specified


@pytest.mark.parametrize("role", ROLES, ids=stem)
def test_every_option_of_every_role_has_a_name_a_type_and_a_description(role: Path) -> None:
    for entry, spec in load(role / "meta" / "argument_specs.yml")["argument_specs"].items():
        assert spec.get("short_description"), f"{entry} has no short_description"
        for name in spec["options"]:
            assert name.startswith(role.name + "_"), f"{name} must begin with {role.name}_"
        assert not list(incomplete(spec["options"], entry))


def incomplete(options: dict[str, Any], where: str) -> Iterator[str]:
    """Options, at any depth, that a user could not understand."""
    for name, option in options.items():
        place = f"{where}.{name}"
        yield from (
            f"{place} has no {key}" for key in ("type", "description") if not option.get(key)
        )
        if option.get("type") == "list" and "elements" not in option:
            yield f"{place} has no elements"
        yield from incomplete(option.get("options", {}), place)


@pytest.mark.parametrize("role", ROLES, ids=stem)
def test_internal_variables_of_every_role_are_marked_as_such(role: Path) -> None:
    for path in (role / "vars").glob("*.yml"):
        for name in load(path) or {}:
            assert name.startswith(f"__{role.name}_"), (
                f"{path.name}: {name} must begin with __{role.name}_"
            )


def test_no_task_edits_single_lines_or_swallows_errors() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in playbooks_and_roles()
        for number, line in enumerate(read(path).splitlines(), 1)
        if re.search(
            r"^\s*(- )?(ansible\.builtin\.)?(lineinfile|blockinfile|replace|ignore_errors):", line
        )
    ]
    assert not found, "\n".join(found)


def test_every_source_file_names_its_licence_at_its_top() -> None:
    unmarked = [
        str(path.relative_to(ROOT))
        for path in sources()
        if "SPDX-License-Identifier: GPL-3.0-or-later" not in "\n".join(read(path).splitlines()[:8])
    ]
    assert not unmarked, "\n".join(unmarked)


def test_no_source_file_of_the_plugins_is_too_long() -> None:
    long = [
        path.name for path in PLUGINS.rglob("*.py") if len(read(path).splitlines()) > FILE_LINES
    ]
    documented = {path.name for path in MODULES}
    assert not set(long) - documented


def test_no_package_marker_makes_the_plugins_public() -> None:
    assert not list(PLUGINS.rglob("__init__.py"))
