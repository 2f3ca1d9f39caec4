#!/usr/bin/python

# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: s3_guard_info
short_description: Say how well S3 buckets are guarded
version_added: 0.1.0
author:
  - twinguard.hardening contributors (@twinguard)
description:
  - Reads every bucket of the account, or those named, and judges what is effective, all settings taken together.
  - What a missing permission hides is V(unknown) for that check alone, and never a pass.
  - Measures by a strict baseline, private, encrypted, TLS 1.2, versioned, logged, unless O(policy) says otherwise.
extends_documentation_fragment:
  - twinguard.hardening._attributes.INFO
  - twinguard.hardening._s3
  - twinguard.hardening._s3.POLICY
options:
  buckets:
    description: Names or patterns such as V(models-*) of the account's buckets; V(*) for all.
    type: list
    elements: str
    default: ["*"]
"""

EXAMPLES = r"""
- name: Read how well the buckets are guarded
  twinguard.hardening.s3_guard_info:
    profile: audit
  register: posture
  delegate_to: localhost

- name: Show what is wrong, the worst first
  ansible.builtin.debug:
    var: posture.findings
"""

RETURN = r"""
controls:
  description: A finding for each control of the account and of each bucket.
  returned: always
  type: list
  elements: dict
findings:
  description: What fails or is unknown, the worst first, with C(severity) and C(remediation).
  returned: when the store could be reached
  type: list
  elements: dict
buckets:
  description:
    - What was read of each bucket, and whether it is C(public), all settings taken together.
    - What could not be read is in C(unread), with the reason.
  returned: when the store could be reached
  type: list
  elements: dict
account:
  description: Number of the account; V(null) where the store does not tell.
  returned: when the store could be reached
  type: str
calls:
  description: How often each operation of the store was called.
  returned: when the store could be reached
  type: dict
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._buckets.policy import advice
from ..module_utils._buckets.run_io import Run, with_store
from ..module_utils._buckets.spec import EXCLUSIVE, INFO_SPEC, TOGETHER
from ..module_utils._core.conclude import conclude


def audit(run: Run, _check_mode: bool) -> dict[str, Any]:
    outcomes = run.audit()
    controls = [one for outcome in outcomes for one in outcome.controls]
    return {
        "changed": False,
        "controls": controls,
        "findings": advice(controls),
        "buckets": [one.portrait for one in outcomes if one.portrait is not None],
        "account": run.store.account,
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec=INFO_SPEC,
        mutually_exclusive=EXCLUSIVE,
        required_together=TOGETHER,
        supports_check_mode=True,
    )
    # An error here stops the run for every bucket, so no bucket has a finding of its own.
    conclude(module, lambda: with_store(module, audit, audit=True), "bucket.public_access", [])


if __name__ == "__main__":
    main()
