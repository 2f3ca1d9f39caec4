# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every module ends with its result or with one sentence, and an error of ours is never shown as a refusal."""

from __future__ import annotations

from typing import Any, Callable, Dict, NoReturn, Tuple

import pytest

from ansible_collections.twinguard.hardening.plugins.module_utils._core.conclude import conclude
from ansible_collections.twinguard.hardening.plugins.module_utils._core.error import HardeningError


class Ended(Exception):
    """How the module ended: by which call, and with what."""


class Module:
    """The two ends that AnsibleModule has; neither returns."""

    def exit_json(self, **result: Any) -> NoReturn:
        raise Ended("exit", result)

    def fail_json(self, **result: Any) -> NoReturn:
        raise Ended("fail", result)


class Complaint(HardeningError):
    def details(self) -> Dict[str, Any]:
        return {"complaints": ["line 3"]}


def ended(work: Callable[[], Dict[str, Any]], *more: Any, **named: Any) -> Tuple[str, Any]:
    with pytest.raises(Ended) as found:
        conclude(Module(), work, *(more or ("git.guard", "the server")), **named)
    how, result = found.value.args
    return how, result


def failing(error: BaseException) -> Callable[[], Dict[str, Any]]:
    def work() -> Dict[str, Any]:
        raise error

    return work


def test_a_result_is_the_end() -> None:
    assert ended(lambda: {"changed": True}) == ("exit", {"changed": True})


def test_a_result_with_a_message_is_a_failure() -> None:
    result = {"changed": True, "msg": "not in force: x"}
    assert ended(lambda: dict(result)) == ("fail", result)


def test_a_result_may_say_itself_whether_its_message_is_a_failure() -> None:
    assert ended(lambda: {"msg": "would fail", "failed": False}) == ("exit", {"msg": "would fail"})
    assert ended(lambda: {"msg": "fails", "failed": True}) == ("fail", {"msg": "fails"})


def test_an_error_is_one_sentence_with_a_finding_for_each_resource_and_its_details() -> None:
    how, result = ended(failing(Complaint("no such unit")), "git.history", ["/a", "/b"], "unknown")
    assert how == "fail"
    assert result["msg"] == "no such unit"
    assert result["complaints"] == ["line 3"]
    assert [(one["resource"], one["status"]) for one in result["controls"]] == [
        ("/a", "unknown"),
        ("/b", "unknown"),
    ]
    assert {one["reason"] for one in result["controls"]} == {"no such unit"}


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (OSError(28, "No space left on device", "/srv/x"), "No space left on device"),
        (OSError(), "OSError"),
    ],
)
def test_what_the_system_refuses_is_a_sentence_too(error: OSError, sentence: str) -> None:
    how, result = ended(failing(error))
    assert how == "fail"
    assert sentence in result["msg"]
    assert result["controls"][0]["status"] == "fail"


def test_a_fault_of_our_own_is_not_hidden() -> None:
    with pytest.raises(KeyError, match="oops"):
        conclude(Module(), failing(KeyError("oops")), "git.guard", "the server")
