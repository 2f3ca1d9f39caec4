# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role's README tells people to type must work."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from ansible_collections.twinguard.hardening.plugins.plugin_utils._gateway.keys import (
    MINIMUM_BITS,
    digest_of,
    parse_credential,
    strength,
)

README = Path(__file__).resolve().parents[3] / "roles" / "model_gateway" / "README.md"
KEYS = [
    "Zm9v+/bar.baz~0123456789=",
    "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b",
    "a-key/of+exactly.22~ch",
]

needs_openssl = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="openssl is not installed here"
)


def block_after(mark: str) -> str:
    """The first fenced shell block behind a piece of text."""
    rest = README.read_text("utf-8").split(mark, 1)[1]
    found = re.search(r"^```sh\n(.*?)^```$", rest, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def shell(script: str, **variables: str) -> str:
    env = {**os.environ, **variables}
    done = subprocess.run(["sh", "-euc", script], env=env, capture_output=True, check=True)
    return done.stdout.decode().removesuffix("\n")


@needs_openssl
@pytest.mark.parametrize("key", KEYS)
def test_the_recipe_for_a_key_hash_gives_what_the_gateway_compares(key):
    written = shell(block_after("<!-- recipe:"), KEY=key)
    assert written == f"{key[-6:]}:{digest_of(key)}"
    assert parse_credential("keys[0]", {"key_hash": written}) == parse_credential(
        "keys[0]", {"key": key}
    )


@needs_openssl
def test_the_recipe_for_a_key_gives_one_that_is_accepted():
    key = shell(block_after("It must be random:"))
    assert strength(key) >= MINIMUM_BITS
    parse_credential("keys[0]", {"key": key})
