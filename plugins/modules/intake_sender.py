#!/usr/bin/python

# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: intake_sender
short_description: Seal new data and send it to a receiver whose host key is pinned, on schedule or on demand
version_added: 0.1.0
author:
  - twinguard.hardening contributors (@twinguard)
description:
  - Enforces all sending jobs of a host in one task. A job seals its sources when they have changed, as
    M(twinguard.hardening.batch_seal) does, and uploads the batch by sftp into the receiver's upload-only zone.
  - After an interruption the next run sends the rest. Each file is uploaded under a temporary name and renamed once
    it is complete, so a complete file is not sent again, and a partial one is never mistaken for a complete one.
  - No unencrypted copy is ever written. Sealed files stay on the host until the receiver has all of them.
  - Keys for signing and for the login are created once where none are given, and are kept when a job is removed. The
    service gets a copy of them in memory while it runs, so only root needs read access to the files.
  - At each run the module logs in to the receiver. While the receiver does not let it in yet, the control is
    C(unknown) and the task succeeds, so that both sides can be set up one after the other. A different host key fails
    the task.
extends_documentation_fragment:
  - twinguard.hardening._attributes
  - twinguard.hardening._attributes.LINUX
options:
  jobs:
    description: All jobs of the host. Jobs that this module made and that are not listed are removed, but not their
      keys.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the job; it becomes part of the names of its units.
        type: str
        required: true
      sources:
        description: Files and directories to send, by absolute paths.
        type: list
        elements: str
        required: true
      sender:
        description: Principal of this sender, as the receiver lists it in its people.
        type: str
        required: true
      receiver:
        description: The receiver of the batches.
        type: dict
        required: true
        suboptions:
          host:
            description: Host name or IP address.
            type: str
            required: true
          port:
            description: TCP port of its sshd.
            type: int
            default: 22
          account:
            description: Login of this sender at the receiver.
            type: str
            required: true
          host_keys:
            description: Public host keys of its sshd, as M(twinguard.hardening.intake_zone) returns them; no other
              key is accepted.
            type: list
            elements: str
            required: true
      recipients:
        description:
          - Certificates (PEM) of everybody who can open the batches. A second one can be an escrow key, or the
            receiver's next key during a rotation.
        type: list
        elements: str
      passphrase_file:
        description: File with a passphrase shared with the receiver, in place of O(jobs[].recipients).
        type: path
      signing_key:
        description: File with the OpenSSH private key, without a passphrase, that signs the batches; created when not
          given.
        type: path
      login_key:
        description: File with the OpenSSH private key, without a passphrase, for the login; created when not given.
        type: path
      groups:
        description: Groups whose files the job may read. It runs as the user C(twinguard-sender).
        type: list
        elements: str
      schedule:
        description: When to look for changes, as a systemd calendar event; an empty string for on demand only.
        type: str
        default: hourly
      delay:
        description: Most seconds by which a start is delayed at random, so that not all hosts start at once.
        type: int
        default: 60
      time_limit:
        description: Seconds that a run may take.
        type: int
        default: 14400
      memory_max:
        description: Most memory that a run may use.
        type: str
        default: 512M
  verify:
    description: Log in to the receivers at each run; not in check mode.
    type: bool
    default: true
  send_now:
    description: Run all jobs in this task, which reports a change when a new batch was sealed.
    type: bool
    default: false
requirements:
  - OpenSSH 8.9 or newer
  - OpenSSL 3.0 or newer
  - systemd 247 or newer
"""

EXAMPLES = r"""
- name: Send the measurements of the pumps each hour
  twinguard.hardening.intake_sender:
    jobs:
      - name: pumps
        sources: [/srv/measurements]
        groups: [telemetry]
        sender: plant-a
        receiver:
          host: intake.example.com
          account: intake-plant-a
          host_keys: [ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1KsE2Qv3yRcTSgwfq0b2sFh5vSyPrVAWRKbYkD5b0l]
        recipients:
          - "{{ lookup('ansible.builtin.file', 'intake.pem') }}"
          - "{{ lookup('ansible.builtin.file', 'escrow.pem') }}"
"""

RETURN = r"""
controls:
  description: A finding C(intake.sender) for each job.
  returned: always
  type: list
  elements: dict
public_keys:
  description: The public keys of each job; give them to the receiver as C(senders[].keys) and in its people.
  returned: when the options are good
  type: list
  elements: dict
  sample:
    - name: pumps
      sender: plant-a
      signing_key: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKmYq0Y5l5QvVqZ0Vj0gCw8rXvY6p1J5Yl3b2bZ1s3xk plant-a
      login_key: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1KsE2Qv3yRcTSgwfq0b2sFh5vSyPrVAWRKbYkD5b0l plant-a
sent:
  description: Whether this task sealed and sent a new batch.
  returned: when the options are good
  type: bool
"""


from ansible.module_utils.basic import AnsibleModule

from ..module_utils._core.conclude import conclude
from ..module_utils._intake.sender.sender_io import Host, enforce
from ..module_utils._intake.sender.spec import ARGUMENT_SPEC


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    conclude(
        module,
        lambda: enforce(Host(module.params), module.check_mode),
        "intake.sender",
        "jobs",
    )


if __name__ == "__main__":
    main()
