# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the table of variables into each role's README from its argument specification.

    role_docs.py            write what differs
    role_docs.py --check    change nothing; fail and name each README that differs

It runs on the Python of the virtual environment, for it reads YAML. Ours, because antsibull-docs writes pages for a
documentation site, and a README is what one sees of a role anywhere else.
"""

from __future__ import annotations

import difflib
import json
import re
import sys
from pathlib import Path
from typing import Any, Iterator, Mapping

import yaml

sys.path.append(str(Path(__file__).resolve().parents[2] / "tools"))

from workshop import ROOT, Problem, main, say

BEGIN = "<!-- variables: begin; written by docs/site/role_docs.py from meta/argument_specs.yml -->"
END = "<!-- variables: end -->"
HEAD = ("| Variable | Type | Default | Meaning |", "|---|---|---|---|")
_MARKUP = re.compile(r"\b[OVCMP]\(([^()]*)\)")


def plain(text: str) -> str:
    """Ansible's documentation markup as Markdown, on one line of a table."""
    return _MARKUP.sub(r"`\1`", " ".join(text.split())).replace("|", "\\|")


def type_of(option: Mapping[str, Any]) -> str:
    """The type in words: ``list of dict``."""
    name = str(option.get("type", "str"))
    return f"{name} of {option['elements']}" if "elements" in option else name


def default_of(option: Mapping[str, Any]) -> str:
    """The default as it would be written in YAML's flow form; empty where there is none."""
    if option.get("required"):
        return "required"
    if "default" not in option:
        return ""
    return f"`{json.dumps(option['default'], ensure_ascii=False)}`"


def meaning(option: Mapping[str, Any]) -> str:
    """The description, with the choices behind it."""
    text = option["description"]
    words = plain(text if isinstance(text, str) else " ".join(text))
    choices = ", ".join(f"`{choice}`" for choice in option.get("choices", ()))
    return f"{words} One of {choices}." if choices else words


def rows(options: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """One line of the table for each option, what it holds below it."""
    for name, option in options.items():
        full = f"{prefix}{name}"
        cells = (f"`{full}`", type_of(option), default_of(option), meaning(option))
        yield f"| {' | '.join(cells)} |"
        below = f"{full}[]." if option.get("type") == "list" else f"{full}."
        yield from rows(option.get("options") or {}, below)


def with_table(readme: str, specs: Mapping[str, Any], where: str) -> str:
    """The README with the table of its entry points between the two marks.

    :raises Problem: when a mark is missing, or there is another one.
    """
    if readme.count(BEGIN) != 1 or readme.count(END) != 1:
        raise Problem(f"{where} must hold these two lines once each: {BEGIN} and {END}")
    before, _mark, rest = readme.partition(BEGIN)
    after = rest.partition(END)[2]
    parts = [BEGIN]
    for entry, spec in specs.items():
        title = [] if entry == "main" else [f"Entry point `{entry}`:", ""]
        parts += ["", *title, *HEAD, *rows(spec["options"])]
    return before + "\n".join([*parts, "", END]) + after


def update(role: Path, check: bool) -> bool:
    """Bring one role's README up to date; with ``check`` only tell whether it differs."""
    path, source = role / "README.md", role / "meta" / "argument_specs.yml"
    for needed in (path, source):
        if not needed.exists():
            raise Problem(f"{needed.relative_to(ROOT)} is missing: each role has one.")
    old = path.read_text("utf-8")
    specs = yaml.safe_load(source.read_text("utf-8"))["argument_specs"]
    new = with_table(old, specs, str(path.relative_to(ROOT)))
    if new == old:
        return False
    name = str(path.relative_to(ROOT))
    if check:
        texts = (old.splitlines(), new.splitlines())
        say("\n".join(difflib.unified_diff(*texts, name, f"{name} (wanted)", n=0, lineterm="")))
    else:
        path.write_text(new, "utf-8")
        say(f"{name}: written")
    return True


def _body(arguments: list[str]) -> int:
    if arguments not in ([], ["--check"]):
        raise Problem("Usage: role_docs.py [--check]")
    roles = sorted(path.parent for path in ROOT.glob("roles/*/meta"))
    if not roles:
        raise Problem("There is no role under roles/.")
    check = bool(arguments)
    differ = [role for role in roles if update(role, check)]
    if differ and check:
        raise Problem("Run `.venv/bin/python docs/site/role_docs.py` and commit what it writes.")
    return 0


if __name__ == "__main__":
    main(_body)
