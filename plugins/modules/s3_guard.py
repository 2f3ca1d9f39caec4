#!/usr/bin/python

# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: s3_guard
short_description: Enforce one policy on many S3 buckets, and prove it
version_added: 0.1.0
author:
  - twinguard.hardening contributors (@twinguard)
description:
  - Reads what is in force on every bucket, changes what differs, and reads again until the change is in force.
  - Buckets are processed in parallel. One that fails is named in the result and does not stop the others.
  - In a bucket's policy and lifecycle only our own statements and rules are changed; all others stay.
  - A setting that a store other than AWS does not have is V(not_applicable), with the reason.
extends_documentation_fragment:
  - twinguard.hardening._attributes
  - twinguard.hardening._s3
  - twinguard.hardening._s3.POLICY
options:
  buckets:
    description: Names or patterns such as V(models-*) of the account's buckets; V(*) for all.
    type: list
    elements: str
    required: true
  account_public_access_block:
    description: V(true) blocks public access to all buckets of the account, including those that are not listed.
    type: bool
  proof_timeout:
    description: Seconds to wait for a change to be in force.
    type: int
    default: 30
"""

EXAMPLES = r"""
- name: Keep the buckets of the twins private
  twinguard.hardening.s3_guard:
    buckets: [models-*, twin-data]
    account_public_access_block: true
    policy:
      acl: private
      public_access_block: true
      encryption: {algorithm: "aws:kms", kms_key_id: alias/twins, bucket_key: true}
      deny_insecure_transport: true
      minimum_tls: "1.2"
      versioning: enabled
      logging: {bucket: access-logs}
      abort_incomplete_multipart_days: 7
    exceptions:
      - bucket: models-open
        control: bucket.public_access
        reason: Open weights are published from here
        expires: "2027-06-30"
  delegate_to: localhost
"""

RETURN = r"""
controls:
  description: A finding for each bucket and each control in the policy, in the order of the buckets' names.
  returned: always
  type: list
  elements: dict
buckets:
  description: For each bucket its changes, the settings that were changed, and problems by setting.
  returned: when the store could be reached
  type: list
  elements: dict
failures:
  description: The entries of RV(buckets) that are not as wanted.
  returned: when the store could be reached
  type: list
  elements: dict
calls:
  description: How often each operation of the store was called.
  returned: when the store could be reached
  type: dict
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._buckets.run_io import Run, failure_message, plan_of, with_store
from ..module_utils._buckets.spec import EXCLUSIVE, GUARD_SPEC, TOGETHER
from ..module_utils._core.conclude import conclude


def enforce(run: Run, check_mode: bool) -> dict[str, Any]:
    outcomes = run.enforce(check_mode)
    plan, problem = plan_of(outcomes), failure_message(outcomes)
    result = {
        "changed": plan.changed,
        "diff": plan.diff(),
        "controls": [one for outcome in outcomes for one in outcome.controls],
        "buckets": [outcome.shown() for outcome in outcomes],
        "failures": [outcome.shown() for outcome in outcomes if outcome.problems],
    }
    if problem:
        result["msg"] = problem
        result["failed"] = not check_mode
    return result


def main() -> None:
    module = AnsibleModule(
        argument_spec=GUARD_SPEC,
        mutually_exclusive=EXCLUSIVE,
        required_together=TOGETHER,
        supports_check_mode=True,
    )
    # An error here stops the run for every bucket, so no bucket has a finding of its own.
    conclude(module, lambda: with_store(module, enforce), "bucket.public_access", [])


if __name__ == "__main__":
    main()
