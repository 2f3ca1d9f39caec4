# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How every module ends (pure: the module that it is given does the printing)."""

from __future__ import annotations

from typing import Any, Callable, Dict, Sequence, Union

from .controls import finding
from .error import HardeningError

Result = Dict[str, Any]


def conclude(
    module: Any,
    work: Callable[[], Result],
    control: str,
    resources: Union[str, Sequence[str]],
    status: str = "fail",
) -> None:
    """Do the work and end the module: with its result, or with the one sentence of its error.

    A result with C(msg) is a failure unless its C(failed) is false. An error gives each of the
    resources a finding of the control, with the status and the sentence as its reason. OSError counts
    as such an error, since a file or process may be refused anywhere; anything else is a fault of ours.
    """
    try:
        result = work()
    except (HardeningError, OSError) as error:
        # A finding needs a reason, and an OSError may come without a text.
        reason = str(error) or type(error).__name__
        details = error.details() if isinstance(error, HardeningError) else {}
        named = [resources] if isinstance(resources, str) else resources
        controls = [finding(control, resource, status, reason) for resource in named]
        module.fail_json(msg=reason, controls=controls, **details)
    if result.pop("failed", "msg" in result):
        module.fail_json(**result)
    module.exit_json(**result)
