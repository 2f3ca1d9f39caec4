#!/usr/bin/python

# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: intake_sender
short_description: Seal new data and send it to a receiver whose host key is pinned, in time or on demand
version_added: 0.1.0
author:
  - twinguard.hardening contributors (@twinguard)
description:
  - Takes all sending jobs of a host in one task. A job seals its sources when they have changed, as
    M(twinguard.hardening.batch_seal) does, and uploads the batch by sftp into the receiver's upload-only zone.
  - What is cut short is sent by the next run. Each file is uploaded under a name of its own and renamed when it is
    complete, so a file that has arrived is not sent again, and one that has not is never taken for whole.
  - No plain copy is ever written. Sealed files stay on the host until the receiver has all of them.
  - Keys for signing and for the login are made once where none are given, and stay when a job goes. The service gets
    a copy of them in memory while it runs, so that only root needs to be able to read them.
  - After a change the module logs in to the receiver. As long as that lets it in not yet, the control is C(unknown) and
    the task succeeds, so that both sides can be set up one after the other. Another host key fails the task.
extends_documentation_fragment:
  - twinguard.hardening._attributes
  - twinguard.hardening._attributes.LINUX
options:
  jobs:
    description: All jobs of the host; jobs of ours that are not listed are removed, but not their keys.
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
        description: Our principal, as the receiver knows it.
        type: str
        required: true
      receiver:
        description: Where to send to.
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
            description: Login in its zone.
            type: str
            required: true
          host_keys:
            description: Public keys of its sshd, as M(twinguard.hardening.intake_zone) returns them; no other counts.
            type: list
            elements: str
            required: true
      recipients:
        description:
          - Certificates in PEM of those who can open the batches. A second one can be kept in escrow, or be the next
            one of the receiver during a rotation.
        type: list
        elements: str
      passphrase_file:
        description: File with a passphrase shared with the receiver, in place of O(jobs[].recipients).
        type: path
      signing_key:
        description: Private key of OpenSSH that signs the batches, without a passphrase; made when not given.
        type: path
      login_key:
        description: Private key of OpenSSH for the login, without a passphrase; made when not given.
        type: path
      groups:
        description: Groups whose files the job may read. It runs as the user C(twinguard-sender).
        type: list
        elements: str
      schedule:
        description: When to look for changes, as a calendar event of systemd; an empty text for on demand only.
        type: str
        default: hourly
      delay:
        description: Seconds by which a start may be put off, so that not all hosts begin at once.
        type: int
        default: 60
      time_limit:
        description: Seconds that a run may take.
        type: int
        default: 14400
      memory_max:
        description: Memory that a run may use.
        type: str
        default: 512M
  verify:
    description: Log in to the receivers at each run. Check mode does not.
    type: bool
    default: true
  send_now:
    description: Run all jobs in this task. It has changed something when a new batch was sealed.
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
  description: The public keys of each job that the receiver must know.
  returned: when the options are good
  type: list
  elements: dict
  sample:
    - name: pumps
      sender: plant-a
      signing_key: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKmYq0Y5l5QvVqZ0Vj0gCw8rXvY6p1J5Yl3b2bZ1s3xk plant-a
      login_key: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1KsE2Qv3yRcTSgwfq0b2sFh5vSyPrVAWRKbYkD5b0l plant-a
sent:
  description: Whether this task has sealed a new batch and sent it.
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
