# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sphinx' settings for the documentation site; `make docs` builds it (see docs/site/pages.py)."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.logging import getLogger

project = "twinguard.hardening"
copyright = "2026, twinguard.hardening contributors"  # noqa: A001 - Sphinx' own name for it
extensions = ["myst_parser", "sphinx_antsibull_ext"]
html_theme = "furo"
html_title = "twinguard hardening"
html_copy_source = False
html_show_sourcelink = False
highlight_language = "YAML+Jinja"
# Every reference must lead somewhere; together with -W a dead one fails the build.
nitpicky = True
# A page that is only linked from another one is fine.
suppress_warnings = ["toc.not_included"]
default_role = "any"
# GitHub gives every heading an anchor, and pages link to them.
myst_heading_anchors = 4

# Addresses of the demo are for the reader's machine. What is ours on GitHub and Galaxy need not be published yet; that
# the files are there is checked below.
linkcheck_ignore = [
    r"https?://localhost",
    r"https://github\.com/twinguard/twinguard\.hardening",
    r"https://galaxy\.ansible\.com/ui/repo/published/twinguard/",
]
linkcheck_timeout = 15
linkcheck_report_timeouts_as_broken = False

ROOT = Path(__file__).resolve().parents[2]
GITHUB = "https://github.com/twinguard/twinguard.hardening/blob/main/"
# Pages of Ansible's own documentation to which antsibull-docs and our texts refer by label. A table of our own, because
# an inventory would have to be fetched at each build.
ANSIBLE = "https://docs.ansible.com/projects/ansible/latest/"
LABELS = {
    "action_plugins": "plugins/action.html",
    "ansible_collections.ansible.builtin.git_module": "collections/ansible/builtin/git_module.html",
    "ANSIBLE_CALLBACKS_ENABLED": "reference_appendices/config.html#envvar-ANSIBLE_CALLBACKS_ENABLED",
    "ansible_configuration_settings": "reference_appendices/config.html",
    "callback_plugins": "plugins/callback.html",
    "common_return_values": "reference_appendices/common_return_values.html",
    "list_of_callback_plugins": "collections/index_callback.html",
    "list_of_collections": "collections/index.html",
}
# antsibull-docs puts one on each page; the theme has its own and shows an error for a second one.
_CONTENTS = ".. contents::\n   :local:\n   :depth: 1\n"
_LINK = re.compile(r"(\]\()(?!\w+:|#)([^)#\s]+)((?:#[^)\s]*)?\))")


def prepare(app: Sphinx, docname: str, source: list[str]) -> None:
    """Let links to files of the repository that are not pages of the site lead to GitHub."""
    page = Path(app.env.doc2path(docname))
    if page.suffix != ".md":
        source[0] = source[0].replace(_CONTENTS, "")
        return
    place = (ROOT / page.relative_to(app.srcdir)).parent

    def target(match: re.Match[str]) -> str:
        path = Path(os.path.normpath(place / match[2]))
        if not path.exists():
            getLogger(__name__).warning("%s is not there", match[2], location=docname)
        if (Path(app.srcdir) / path.relative_to(ROOT)).is_file():
            return match[0]
        return f"{match[1]}{GITHUB}{path.relative_to(ROOT)}{match[3]}"

    source[0] = _LINK.sub(target, source[0])


def link_ansible(
    _app: Sphinx, _env: object, node: dict[str, Any], text: nodes.TextElement
) -> nodes.reference | None:
    """Resolve a label of Ansible's own documentation."""
    page = LABELS.get(node["reftarget"])
    if page is None:
        return None
    link = nodes.reference("", "", internal=False, refuri=ANSIBLE + page)
    link += text
    return link


def setup(app: Sphinx) -> None:
    """Connect both to the build."""
    app.connect("source-read", prepare)
    app.connect("missing-reference", link_ansible)
