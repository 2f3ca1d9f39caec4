# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of sealing and opening: what is invalid is refused in one sentence that says what is allowed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.twinguard.hardening.plugins.module_utils._batch import options, spec
from ansible_collections.twinguard.hardening.plugins.module_utils._batch.types import (
    Identity,
    OpenOptions,
    SealOptions,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._core.error import ControlError

SEALING = SealOptions(
    ("/s",), "/outbox", "/state", "line1@plant.example", "/key", recipients=("/r.pem",)
)
OPENING = OpenOptions(b"", "/d", "/q", "/state", identities=(Identity("/k", "/c"),))


def params(specification: dict[str, Any], **given: Any) -> dict[str, Any]:
    """What Ansible hands to the module."""
    return {**{name: one.get("default") for name, one in specification.items()}, **given}


def opened(**given: Any) -> OpenOptions:
    paths = {"destination": "/d", "quarantine": "/q"}
    return options.open_options(params(spec.OPEN_SPEC, **paths, **given), b"signers", b"", False)


def test_options_of_the_modules_without_their_defaults_are_those_of_the_dataclasses() -> None:
    given = {"sources": ["/s"], "outbox": "/outbox", "signing_key": "/key"}
    more = {"sender": "line1@plant.example", "recipients": ["/r.pem"], "state_dir": "/state"}
    assert options.seal_options(params(spec.SEAL_SPEC, **given, **more)) == SEALING
    identities = [{"key": "/k", "certificate": "/c"}]
    assert opened(state_dir="/state", identities=identities) == replace(
        OPENING, allowed_signers=b"signers"
    )


@pytest.mark.parametrize("path", ["", "a", "/a/../b", "/a//b", "/a/.", "/a/"])
def test_paths_are_written_in_full(path: str) -> None:
    with pytest.raises(ControlError, match="write the full path"):
        options.check_paths([path])


@pytest.mark.parametrize("sender", ["", "*", "a b", "-a", "x" * 65])
def test_a_sender_is_one_principal_on_both_sides(sender: str) -> None:
    with pytest.raises(ControlError, match="not a valid principal") as sealing:
        options.check_seal(replace(SEALING, sender=sender))
    with pytest.raises(ControlError) as opening:
        options.check_open("/zone", replace(OPENING, senders=(sender,)))
    assert (sealing.value.option, opening.value.option) == ("sender", "senders")
    assert opening.value.problem == "not a valid principal (no wildcards)"
    assert "line1@plant.example" in opening.value.fix
    assert opening.value.fix == sealing.value.fix


def test_a_batch_has_recipients_or_a_passphrase() -> None:
    options.check_seal(SEALING)
    options.check_seal(replace(SEALING, recipients=(), passphrase_file="/p"))
    for changes in ({"recipients": ()}, {"passphrase_file": "/p"}):
        with pytest.raises(ControlError, match="not both"):
            options.check_seal(replace(SEALING, **changes))


def test_opening_needs_a_secret_unless_it_only_verifies() -> None:
    options.check_open("/zone", OPENING)
    options.check_open("/zone", replace(OPENING, identities=(), passphrase_file="/p"))
    options.check_open("/zone", replace(OPENING, identities=(), verify_only=True))
    with pytest.raises(ControlError, match="verify_only: true") as error:
        options.check_open("/zone", replace(OPENING, identities=()))
    assert error.value.option == "identities"


@pytest.mark.parametrize(
    ("mode", "problem"),
    [
        ("0666", "everybody could write"),
        ("0777", "everybody could write"),
        ("04640", "set-user-ID"),
        ("rw-r-----", "not an octal mode"),
    ],
)
@pytest.mark.parametrize("option", ["mode", "directory_mode"])
def test_modes_that_are_unsafe_or_not_octal(option: str, mode: str, problem: str) -> None:
    with pytest.raises(ControlError, match=problem) as error:
        options.check_open(
            "/zone", opened(**{option: mode, "identities": [{"key": "/k", "certificate": "/c"}]})
        )
    assert error.value.option == option
    assert error.value.fix


def test_a_validation_command_is_not_accepted_for_root() -> None:
    given = params(spec.OPEN_SPEC, destination="/d", quarantine="/q", validate=["/bin/check"])
    assert options.open_options(given, b"", b"", False).validate == ("/bin/check",)
    with pytest.raises(ControlError, match="would run as root"):
        options.open_options(given, b"", b"", True)


@pytest.mark.parametrize(
    ("content", "good"),
    [
        (b"x" * 20, True),
        (b"x" * 1000 + b"\r\nsecond line", True),
        (b"x" * 19 + b"\n", False),
        (b"x" * 1001, False),
        (b"x" * 20 + b"\0", False),
    ],
)
def test_a_passphrase_is_the_first_line_and_never_shown(content: bytes, good: bool) -> None:
    if good:
        assert options.passphrase(content) == content.splitlines()[0]
        return
    with pytest.raises(ControlError, match="20 to 1000 bytes") as error:
        options.passphrase(content)
    assert "xxx" not in str(error.value)
