# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a module of the bucket guard in this process, against moto's server, and gives its result.

A test module takes over what it needs: ``running, empty = s3_run.running, s3_run.empty``.
"""

from __future__ import annotations

import functools
import json
from typing import Any, Iterator

import pytest
import yaml
from ansible.module_utils.testing import patch_module_args

NEEDS_MOTO = "moto's server is not installed here; `make unit` runs these tests with it"
pytest.importorskip("moto", reason=NEEDS_MOTO)
pytest.importorskip("flask", reason=NEEDS_MOTO)

from botocore import loaders

from ansible_collections.twinguard.hardening.plugins.doc_fragments._s3 import ModuleDocFragment
from ansible_collections.twinguard.hardening.tests.unit.support import s3_store
from ansible_collections.twinguard.hardening.tests.unit.support.spec import documented, shape

_loader = functools.lru_cache(maxsize=None)(loaders.create_loader)


@pytest.fixture(scope="module")
def running() -> Iterator[s3_store.Server]:
    """One server for the tests of a module."""
    yield from s3_store.served()


@pytest.fixture
def empty(running: s3_store.Server, monkeypatch: pytest.MonkeyPatch) -> s3_store.Server:
    """A store without buckets, and nothing around that could be taken for credentials."""
    running.reset()
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    # Each run has a session of its own, and would read boto's megabytes of descriptions anew.
    monkeypatch.setattr("botocore.session.create_loader", _loader)
    return running


def holding(store: s3_store.Server, *names: str) -> s3_store.Server:
    """The store with these buckets, of which it has not been asked yet."""
    client = store.client()
    for name in names:
        client.create_bucket(Bucket=name)
    store.forget()
    return store


def expect_documented(module: Any, spec: Any) -> None:
    """Fail the test unless documentation and specification say the same."""
    options = yaml.safe_load(module.DOCUMENTATION)["options"]
    for text in (ModuleDocFragment.DOCUMENTATION, ModuleDocFragment.POLICY):
        options.update(yaml.safe_load(text)["options"])
    assert shape(spec) == documented(options)


def run(capsys: pytest.CaptureFixture[str], module: Any, **args: Any) -> dict[str, Any]:
    """The result of the module, with `rc`."""
    with patch_module_args(args), pytest.raises(SystemExit) as ended:
        module.main()
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    return {**result, "rc": int(str(ended.value.code))}


def statuses(result: dict[str, Any], bucket: str) -> dict[str, str]:
    """The status of each control of a bucket."""
    return {one["id"]: one["status"] for one in result["controls"] if one["resource"] == bucket}


def reason(result: dict[str, Any], bucket: str, control: str) -> str:
    """Why a control stands as it does."""
    (found,) = [
        one["reason"]
        for one in result["controls"]
        if (one["resource"], one["id"]) == (bucket, control)
    ]
    return str(found)
