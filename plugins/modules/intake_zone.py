#!/usr/bin/python

# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: intake_zone
short_description: Receive sealed batches of data in upload-only zones, and publish only what is verified
version_added: 0.1.0
author:
  - twinguard.hardening contributors (@twinguard)
description:
  - Enforces the whole receiving side of data intake in one task. Each sender gets an account that can only upload
    over SFTP into a zone of its own. It cannot list, read, overwrite, replace, remove or link files, create
    directories, change attributes, run a command or forward a port.
  - A systemd service starts when a manifest arrives, moves complete batches out of the senders' reach, verifies and
    opens them as an unprivileged user in a sandbox, and publishes or quarantines them. It writes a line for each
    batch to the journal and to C(/var/log/twinguard-intake/batches.jsonl).
  - C(sshd -t) checks the configuration of sshd before it takes effect. Afterwards the module logs in as each sender
    with a temporary key, uploads a file and tries every request that must be refused. If one of them succeeds, the
    old files are restored and the task fails.
  - Accounts that the module did not make are never touched.
  - Accounts of senders that are no longer listed are removed, and their sessions end. Their zones are closed;
    published batches stay.
extends_documentation_fragment:
  - twinguard.hardening._attributes
  - twinguard.hardening._attributes.LINUX
  - twinguard.hardening._people
options:
  directory:
    description:
      - Directory of the zones and batches, all on one file system; its parent must exist.
      - The batches of a sender are published below it as C(published/ACCOUNT/BATCH).
    type: path
    default: /srv/twinguard-intake
  senders:
    description: Who may upload; an empty list closes all zones.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: The sender's principal in O(people), who must sign the batches; others are not published.
        type: str
        required: true
      account:
        description: Login of the sender; C(intake-) followed by the name when not given.
        type: str
      keys:
        description: Public keys with which the sender may log in, as in a C(.pub) file.
        type: list
        elements: str
        required: true
      addresses:
        description: IP addresses or networks from which these keys are accepted; all when not given.
        type: list
        elements: str
      quota:
        description:
          - Most bytes in the zone, in waiting batches and in quarantine together, such as V(500M) or V(10G).
          - The kernel limits each single file to this size. All files together are counted at least once a minute,
            and the zone is closed once they reach it.
        type: str
        default: 10G
      max_files:
        description: Most files in the same places; the zone is closed when this many are reached.
        type: int
        default: 1000
  people:
    required: true
  identities:
    description:
      - Private keys and certificates that open batches, the newest first. Give two of them during a rotation.
      - The service gets a copy of the keys in memory while it runs, so only root needs read access to the files.
      - When not given, a key pair is created once in C(/etc/twinguard/intake) and its certificate is returned.
    type: list
    elements: dict
    suboptions:
      key:
        description: PEM file with the private key.
        type: path
        required: true
      certificate:
        description: PEM file with the certificate.
        type: path
        required: true
  passphrase_file:
    description: File with the passphrase shared with all senders, in place of O(identities).
    type: path
  reader_group:
    description: Existing group that may read published batches; the service's own group when not given.
    type: str
  validate:
    description:
      - Command, as a list, that checks each decrypted batch before it is published; the path of its directory is
        appended.
      - It runs as the service's user in the service's sandbox, without network. An exit status other than 0 refuses the
        batch.
    type: list
    elements: str
  validate_timeout:
    description: Seconds that the command may take.
    type: int
    default: 300
  maximum_size:
    description: Most bytes that a batch may contain after decryption.
    type: str
    default: 100G
  maximum_files:
    description: Most files that a batch may contain.
    type: int
    default: 100000
  maximum_age_days:
    description: Days after which a batch is too old to be published; V(0) for no limit.
    type: int
    default: 0
  stale_hours:
    description: Hours after its last write at which an unfinished upload is removed.
    type: int
    default: 24
  quarantine_days:
    description: Days for which refused batches are kept.
    type: int
    default: 30
  memory_max:
    description: Most memory that the service may use, including the page cache of its files.
    type: str
    default: 512M
  time_limit:
    description: Seconds that one run of the service may take. It must be enough for the largest batch.
    type: int
    default: 14400
  manage_service:
    description: Start sshd if it is not running, and reload it when its configuration has changed.
    type: bool
    default: true
  probe:
    description: Try an upload and every request that must be refused, as each sender; not in check mode.
    type: bool
    default: true
requirements:
  - OpenSSH 8.9 or newer with its client
  - OpenSSL 3.0 or newer
  - systemd 247 or newer
"""

EXAMPLES = r"""
- name: Receive batches from one plant
  twinguard.hardening.intake_zone:
    senders:
      - name: plant-a
        keys: [ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1KsE2Qv3yRcTSgwfq0b2sFh5vSyPrVAWRKbYkD5b0l upload@plant-a]
        addresses: [192.0.2.0/24]
        quota: 50G
    people:
      - name: Plant A
        principals: [plant-a]
        keys:
          - key: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKmYq0Y5l5QvVqZ0Vj0gCw8rXvY6p1J5Yl3b2bZ1s3xk signing@plant-a
            namespaces: [twinguard-batch]
    validate: [/usr/local/bin/check-ranges]
"""

RETURN = r"""
controls:
  description: A finding C(intake.zone) for each sender by its account, and one for the service.
  returned: always
  type: list
  elements: dict
certificate:
  description: Certificate of the first identity; senders use it as a recipient.
  returned: when the options are good
  type: str
host_keys:
  description: Public host keys of this host's sshd, for senders to pin.
  returned: when the options are good
  type: list
  elements: str
zones:
  description: Bytes and files of each sender that are waiting or in quarantine.
  returned: when the options are good
  type: list
  elements: dict
  sample:
    - {account: intake-plant-a, sender: plant-a, bytes: 0, files: 0}
"""


from ansible.module_utils.basic import AnsibleModule

from ..module_utils._core.conclude import conclude
from ..module_utils._intake.zone.spec import ARGUMENT_SPEC
from ..module_utils._intake.zone.zone_io import Host, enforce


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    conclude(
        module,
        lambda: enforce(Host(module.params), module.check_mode),
        "intake.zone",
        "service",
    )


if __name__ == "__main__":
    main()
