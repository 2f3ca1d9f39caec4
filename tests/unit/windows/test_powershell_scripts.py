# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The PowerShell that is shipped runs on Windows PowerShell 5.1, which no test here has.

This is a lint: it refuses what only PowerShell 6 and newer understand, and what 5.1 would read in another way.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
SCRIPTS = sorted(
    [*(ROOT / "plugins").rglob("*.ps1"), *(ROOT / "plugins").rglob("*.psm1")],
    key=lambda path: path.name,
)
MODULES = [path for path in SCRIPTS if path.suffix == ".ps1"]

# What a newer PowerShell has and 5.1 has not, by what to call it.
NEWER = {
    "the operator ??": r"\?\?",
    "the operators ?. and ?[]": r"\$\{?\w+\}?\?[.\[]",
    "the ternary operator": r"\s\?\s[^{}\n]+\s:\s",
    "the pipeline operators && and ||": r"&&|\|\|",
    "the variables of platforms": r"(?i)\$Is(Windows|Linux|MacOS|CoreCLR)\b",
    "clean blocks": r"(?im)^\s*clean\s*\{",
    "-AsHashtable": r"(?i)-AsHashtable\b",
    "-Parallel": r"(?i)ForEach-Object\s+-Parallel\b",
    "-AsArray": r"(?i)-AsArray\b",
    "-EscapeHandling": r"(?i)-EscapeHandling\b",
    "-NoEnumerate for ConvertFrom-Json": r"(?i)ConvertFrom-Json[^\n|]*-NoEnumerate\b",
    "-Depth for ConvertFrom-Json": r"(?i)ConvertFrom-Json[^\n|]*-Depth\b",
    "utf8NoBOM": r"(?i)utf8(No)?BOM\b",
    "a cmdlet that is new": r"(?i)\b(Join-String|Test-Json|Get-Error|ConvertFrom-Markdown|Get-Uptime|"
    r"Remove-Service|Remove-Alias|Get-SecureRandom|Clear-RecycleBin2)\b",
    "a method of .NET that is new": r"(?i)::(ToHexString|HashData|FromHexString)\b|\.Split\('[^']{2,}'\)",
    "background operator": r"&\s*$",
}
# Functions with these names would be called by their aliases' names: aliases win over functions.
ALIASES = {
    "h",
    "r",
    "ls",
    "cd",
    "ps",
    "sc",
    "gc",
    "ac",
    "cp",
    "mv",
    "rm",
    "cat",
    "set",
    "sort",
    "ft",
}


def code(text: str) -> str:
    """The script without comments and what stands in quotes; lines stay where they are."""
    kept = []
    for line in text.splitlines():
        without = re.sub(r"'(?:[^']|'')*'", "''", line)
        without = re.sub(r'"(?:[^"`]|`.|"")*"', '""', without)
        kept.append(re.sub(r"(^|\s)#.*", "", without))
    return "\n".join(kept)


def findings(text: str) -> list[str]:
    """What Windows PowerShell 5.1 would not understand."""
    plain = code(text)
    return [name for name, pattern in NEWER.items() if re.search(pattern, plain, re.MULTILINE)]


def test_there_are_scripts() -> None:
    assert [path.name for path in MODULES] == ["win_guard_apply.ps1", "win_guard_read.ps1"]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_uses_nothing_that_windows_powershell_lacks(script: Path) -> None:
    assert findings(script.read_text("utf-8")) == []


@pytest.mark.parametrize(
    "line",
    [
        "$a = $b ?? 1",
        "$a ??= 1",
        "$a?.Length",
        "$a = $b ? 1 : 2",
        "Get-A && Get-B",
        "Get-A || Get-B",
        "if ($IsWindows) { }",
        "$x | ConvertFrom-Json -AsHashtable",
        "$x | ForEach-Object -Parallel { }",
        "ConvertTo-Json -AsArray $x",
        "ConvertFrom-Json -Depth 4 $x",
        "[Convert]::ToHexString($x)",
        "clean { }",
        "Start-Thing &",
        "Get-Content -Encoding utf8NoBOM x",
    ],
)
def test_the_lint_sees_what_is_too_new(line: str) -> None:
    assert findings(line) != []


@pytest.mark.parametrize(
    "line",
    [
        "'a ?? b'",
        "# $a ?? $b",
        '"x && y"',
        "$x | Where-Object { $_ }",
        "& $commands[$do] @with",
        "if ($a -eq 1) { }",
    ],
)
def test_the_lint_lets_through_what_is_not(line: str) -> None:
    assert findings(line) == []


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_is_ascii_since_5_1_reads_anything_else_in_the_hosts_own_code_page(
    script: Path,
) -> None:
    assert script.read_bytes().isascii()


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_json_is_made_with_a_depth_and_functions_are_no_aliases(script: Path) -> None:
    text = code(script.read_text("utf-8"))
    for call in re.findall(r"ConvertTo-Json[^\n]*", text):
        assert "-Depth" in call
    names = [name.lower() for name in re.findall(r"(?m)^function\s+([\w-]+)", text)]
    assert not set(names) & ALIASES
    assert all(re.fullmatch(r"[a-z]+-[a-z]+", name) for name in names)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_no_array_passes_a_pipeline_as_one(script: Path) -> None:
    """ConvertTo-Json of 5.1 makes {"value": ..., "Count": n} of such an array."""
    text = code(script.read_text("utf-8"))
    assert not re.findall(r"(?m)^\s*,\s*[@(\[$]|Write-Output\s+-NoEnumerate", text)


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.name)
def test_a_module_needs_no_csharp_that_each_task_would_compile(module: Path) -> None:
    text = module.read_text("utf-8")
    assert text.startswith("#!powershell\n")
    assert "#Requires -Version 5.1" in text
    assert "CSharpUtil" not in text
    assert "Add-Type" not in text + (
        ROOT / "plugins/module_utils/_windows/_win_guard.psm1"
    ).read_text("utf-8")


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.name)
def test_a_module_says_what_it_is_and_which_one_to_use_instead(module: Path) -> None:
    documents = yaml.safe_load(module.with_suffix(".yml").read_text("utf-8"))
    assert documents["DOCUMENTATION"]["module"] == module.stem
    assert "win_guard" in str(documents["DOCUMENTATION"]["seealso"])
    assert yaml.safe_load(documents["EXAMPLES"])


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_says_of_each_cmdlet_of_windows_that_an_error_ends_it(script: Path) -> None:
    """Those cmdlets are functions of other modules, which do not see the preference of this one."""
    text = code(script.read_text("utf-8"))
    calls = re.findall(r"(?m)(?<![\w-])(?:Get|Set)-(?:Net\w+|Mp\w+)\b[^\n]*", text)
    silent = [call for call in calls if "-ErrorAction" not in call and "-Name Get-Mp" not in call]
    assert silent == []
