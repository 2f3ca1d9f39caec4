# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the documentation site: the reference from the plugins by antsibull-docs, all pages by Sphinx, then the links.

The Markdown pages keep their places in the tree, so that the links between them lead somewhere on the site as well as
on GitHub. Links within the site and to files of the repository are checked by the build itself (docs/site/conf.py).
Others are asked for; one whose server cannot be reached from here is named and not counted as dead.
"""

from __future__ import annotations

import json
import shutil
from typing import Callable, Iterable, Mapping, Sequence
from urllib.parse import urlsplit

from results import Counts, from_code
from workshop import BUILD, ROOT, VENV, run, tool_env

SITE = BUILD / "docs"
SOURCE = SITE / "source"
CONFIG = ROOT / "docs" / "site"
COPIED = ("*.md", "docs/pictures/*.svg")

Runner = Callable[[Sequence[str], Mapping[str, str]], int]


def lay_out() -> None:
    """Copy the pages to where Sphinx reads them."""
    shutil.rmtree(SITE, ignore_errors=True)
    # antsibull-docs wants a directory that nobody else can write to.
    SOURCE.mkdir(parents=True, mode=0o700)
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *COPIED]
    for name in run(listing, "list the pages", quiet=True).split("\0"):
        if name and (ROOT / name).is_file():
            (SOURCE / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, SOURCE / name)
    (SOURCE / "docs" / "site" / "index.md").rename(SOURCE / "index.md")


def judge(lines: Iterable[str]) -> Counts:
    """Count what linkcheck found, one JSON document a line.

    Dead is what its server says is not there. A server that gives no answer, or refuses one, proves nothing.
    """
    answers = [json.loads(line) for line in lines]
    dead = [one for one in answers if one["status"] == "broken" and one["code"] in (404, 410)]
    silent = [one for one in answers if one["status"] in ("broken", "timeout") and one not in dead]
    found = sum(one["status"] in ("working", "redirected") for one in answers)
    notes = [
        f"failed: dead link: {one['uri']} in {one['filename']}:{one['lineno']}" for one in dead
    ]
    if silent:
        servers = ", ".join(sorted({urlsplit(one["uri"]).netloc for one in silent}))
        notes.append(f"skipped: links that got no answer ({len(silent)}): {servers}")
    return Counts(found, len(dead), int(bool(silent)), tuple(notes))


def check(logged: Runner) -> Counts:
    """Build the site in .build/docs/html and check its links."""
    lay_out()
    env = tool_env()
    reference = ["collection", "--use-current", "--fail-on-error", "--dest-dir", str(SOURCE)]
    code = logged([str(VENV / "bin" / "antsibull-docs"), *reference, "twinguard.hardening"], env)
    if code != 0:
        return from_code("antsibull-docs", code)
    sphinx = [str(VENV / "bin" / "sphinx-build"), "-c", str(CONFIG), "-d", str(SITE / "doctrees")]
    code = logged(
        [*sphinx, "-b", "html", "-W", "--keep-going", str(SOURCE), str(SITE / "html")], env
    )
    if code != 0:
        return from_code("sphinx-build", code)
    # Its exit code says "broken" also where there is no network.
    logged([*sphinx, "-b", "linkcheck", str(SOURCE), str(SITE / "links")], env)
    answers = (SITE / "links" / "output.json").read_text(encoding="utf-8").splitlines()
    return Counts(passed=2).plus(judge(answers))
