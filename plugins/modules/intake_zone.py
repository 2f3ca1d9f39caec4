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
  - Takes the whole receiving side of data intake in one task. Each sender gets an account that can do nothing but
    upload over SFTP into a zone of its own. It cannot list, read, overwrite, rename over, remove or link,
    make directories, change attributes, run a command or forward a port.
  - A service of systemd starts when a manifest arrives, takes complete batches out of the senders' reach, verifies and
    opens them as an unprivileged user in a sandbox, and publishes or quarantines them. It writes a line for each batch
    to the journal and to C(/var/log/twinguard-intake/batches.jsonl).
  - sshd's configuration is checked by C(sshd -t) before it is live. Afterwards the module logs in as each sender, with
    a key that lives for that second, uploads a file and tries all that must be refused. If one of it works the
    old files are put back and the task fails.
  - Accounts that the module did not make are never touched.
  - Accounts of senders that are no longer listed are removed and their sessions ended. Their zone is closed and what
    was published stays.
extends_documentation_fragment:
  - twinguard.hardening._attributes
  - twinguard.hardening._attributes.LINUX
  - twinguard.hardening._people
options:
  directory:
    description:
      - Where all of it lies, on one file system; its parent must exist.
      - Batches of a sender are published as C(published/ACCOUNT/BATCH) below it.
    type: path
    default: /srv/twinguard-intake
  senders:
    description: Who may upload; an empty list closes all zones.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: The sender's principal in O(people), who must sign the batches. Nobody else's are published.
        type: str
        required: true
      account:
        description: Login of the sender; C(intake-) and the name when not given.
        type: str
      keys:
        description: Public keys with which the sender may log in, as in a C(.pub) file.
        type: list
        elements: str
        required: true
      addresses:
        description: IP addresses or networks from which these keys count; everywhere when not given.
        type: list
        elements: str
      quota:
        description:
          - Bytes that may lie in the zone, waiting and in quarantine, such as V(500M) or V(10G).
          - A single file cannot be larger, by the kernel's own limit. All files together are counted at least once a
            minute, and the zone is closed while they are more.
        type: str
        default: 10G
      max_files:
        description: How many files that may be.
        type: int
        default: 1000
  people:
    required: true
  identities:
    description:
      - Private keys and certificates with which batches can be opened, the newest first. Two at once make a rotation.
      - The service gets a copy of the keys in memory while it runs, so that only root needs to be able to read them.
      - When not given, a key pair is made once in C(/etc/twinguard/intake) and its certificate returned.
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
    description: Group that may read what is published; the service's own when not given. It must exist.
    type: str
  validate:
    description:
      - Command that looks at each decrypted batch before it is published; the path of its directory is added.
      - It runs as the service's user in the service's sandbox, without network. An exit status other than 0 refuses the
        batch.
    type: list
    elements: str
  validate_timeout:
    description: Seconds that the command may take.
    type: int
    default: 300
  maximum_size:
    description: Bytes that a batch may hold after decryption.
    type: str
    default: 100G
  maximum_files:
    description: Files that a batch may hold.
    type: int
    default: 100000
  maximum_age_days:
    description: Days after which a batch is too old to be published; V(0) for never.
    type: int
    default: 0
  stale_hours:
    description: Hours after the last byte when an unfinished upload is removed.
    type: int
    default: 24
  quarantine_days:
    description: Days for which refused batches are kept.
    type: int
    default: 30
  memory_max:
    description: Memory that the service may use, the page cache of its files included.
    type: str
    default: 512M
  time_limit:
    description: Seconds that one run of the service may take. It must be enough for the largest batch.
    type: int
    default: 14400
  manage_service:
    description: Start sshd where it does not run, and have it read its configuration when that changed.
    type: bool
    default: true
  probe:
    description: Try an upload and all that must be refused, as each sender. Check mode does not.
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
  description: Certificate of the first identity, for which senders seal.
  returned: when the options are good
  type: str
host_keys:
  description: Public keys by which this host's sshd is known, for senders to pin.
  returned: when the options are good
  type: list
  elements: str
zones:
  description: How much each sender has uploaded that is waiting or in quarantine.
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
