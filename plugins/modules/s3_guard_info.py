#!/usr/bin/python

# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: s3_guard_info
short_description: Report the posture of S3 buckets
version_added: 0.1.0
author:
  - twinguard.hardening contributors (@twinguard)
description:
  - Reads every bucket of the account, or those named, and judges what is in force, all settings taken together.
  - A setting that cannot be read for lack of a permission is V(unknown), and never a pass.
  - Compares with a strict baseline (private, encrypted, TLS 1.2, versioned, logged), unless O(policy) is given.
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
- name: Read the posture of the buckets
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
  description: Controls that fail or are unknown, worst first, with C(severity) and C(remediation).
  returned: when the store could be reached
  type: list
  elements: dict
buckets:
  description:
    - The state of each bucket, and whether it is C(public), all settings taken together.
    - Settings that could not be read are in C(unread), with the reason.
  returned: when the store could be reached
  type: list
  elements: dict
account:
  description: Number of the account; V(null) if the store does not report it.
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
        "buckets": [one.state for one in outcomes if one.state is not None],
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
