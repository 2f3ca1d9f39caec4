#!/usr/bin/python

# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: batch_open
short_description: Verify sealed batches, and publish those that are whole, new and from a known sender
version_added: 0.1.0
author:
  - twinguard.hardening contributors (@twinguard)
description:
  - Opens the batches that M(twinguard.hardening.batch_seal) made, in the order of their sequence numbers. Before
    anything is decrypted it checks the signature and its namespace, the validity and revocation of the signer's key,
    the sender and the recipient, the sequence number against the ledger of published batches, that exactly the signed
    files are present, and the size and SHA-256 of each.
  - Then it decrypts into a private directory, compares each byte of the archive and the digest of each file with the
    sealed index, and publishes the whole batch by one rename as a directory of O(destination) that is named after the
    batch id.
  - Each batch is published exactly once, even if a run is killed, because the next run finishes what was begun.
  - Every other batch is moved to O(quarantine) with a C(reason.json). Nothing of it is published, and the task fails
    and names the reason.
  - A problem that is not the batch's fault, such as a full disk, fails the task and leaves the batch for the next
    run.
  - Memory use does not depend on the size of the files.
extends_documentation_fragment:
  - twinguard.hardening._attributes
  - twinguard.hardening._attributes.LINUX
  - twinguard.hardening._people
options:
  directory:
    description: Directory in which batches arrive. Only the sender and the user of this task should write there.
    type: path
    required: true
  batch:
    description: Id of the only batch to open; all batches when not given.
    type: str
  people:
    required: true
  senders:
    description: Principals in O(people) that may send to this directory; all of them when not given.
    type: list
    elements: str
  identities:
    description:
      - Private keys and certificates that open batches; during a rotation, the old and the new one.
    type: list
    elements: dict
    suboptions:
      key:
        description: PEM file with a private key without a passphrase; its mode must not let others read it.
        type: path
        required: true
      certificate:
        description: PEM file with its certificate.
        type: path
        required: true
  passphrase_file:
    description: File with the passphrase shared with the senders, for batches without recipients.
    type: path
  destination:
    description: Existing directory in which batches are published. While a batch is being opened, it also contains a
      hidden directory.
    type: path
    required: true
  quarantine:
    description: Existing directory for refused batches, on the same file system as O(directory).
    type: path
    required: true
  state_dir:
    description:
      - Private directory with the ledger of published batches. If it is removed, old batches can be published again,
        unless O(destination) still contains them.
    type: path
    default: /var/lib/twinguard/batch_open
  verify_only:
    description: Make all checks that do not need decryption, and change nothing. No private key is needed.
    type: bool
    default: false
  remove:
    description: Remove the sealed files of a batch from O(directory) once it is published.
    type: bool
    default: true
  maximum_bytes:
    description: Most bytes that a batch may contain after decryption.
    type: int
    default: 1099511627776
  maximum_files:
    description: Most files that a batch may contain.
    type: int
    default: 100000
  maximum_age:
    description: Seconds after which a batch is too old to be published; V(0) for no limit.
    type: int
    default: 0
  mode:
    description: Mode of published files.
    type: str
    default: '0640'
  directory_mode:
    description: Mode of published directories.
    type: str
    default: '0750'
  validate:
    description:
      - Command, as a list, that checks each decrypted batch before it is published; the path of the batch is
        appended. An exit status other than 0 refuses the batch, and so does a change to the data.
      - It runs as the user of the task, who must not be root.
    type: list
    elements: str
  validate_timeout:
    description: Seconds that the command may take; if it takes longer, the batch is refused.
    type: int
    default: 300
requirements:
  - OpenSSL 3.0 or newer
  - OpenSSH 9.1 or newer
notes:
  - Reasons for a refusal are C(bad_manifest), C(bad_signature), C(missing_signature), C(unknown_signer),
    C(wrong_namespace), C(signer_expired), C(signer_revoked), C(wrong_sender), C(wrong_recipient), C(weak_parameters),
    C(from_the_future), C(too_old), C(replay), C(old_sequence), C(id_taken), C(missing_file), C(extra_file),
    C(not_a_file), C(hard_link), C(wrong_size), C(wrong_digest), C(too_large), C(key_not_unwrapped), C(bad_index),
    C(bad_name), C(duplicate_name), C(empty_batch), C(bad_archive), C(wrong_content) and C(refused_by_validation).
  - The validity of a signer's key is checked at the time of opening, by the receiver's clock, because the sender
    chooses all times in a batch.
  - The sequence numbers of a sender only rise. A batch is refused when one with a higher number was already
    published.
seealso:
  - module: twinguard.hardening.batch_seal
"""

EXAMPLES = r"""
- name: Publish what the plant has sent
  twinguard.hardening.batch_open:
    directory: /srv/intake/line1
    destination: /srv/training-data
    quarantine: /srv/intake/quarantine
    people:
      - name: Line 1
        principals: [line1@plant.example]
        keys:
          - key: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1KsE2Qv3yRcTSgwfq0b2sFh5vSyPrVAWRKbYkD5b0l line1
            namespaces: [twinguard-batch]
            valid_before: "2027-12-31"
    identities:
      - key: /etc/twinguard/data-platform.key
        certificate: /etc/twinguard/data-platform.pem

# By hand, without this collection. $id is the batch's id, $sender its principal, and $rounds the number of iterations
# in the manifest. Each line must succeed before the next one is run. With a passphrase there is nothing to unwrap: use
# its file instead of "password".
#
#   ssh-keygen -Y verify -f allowed_signers -I "$sender" -n twinguard-batch -s $id.manifest.json.sig < $id.manifest.json
#   sed -n 's/.*{"name": "\([^"]*\)", .*"sha256": "\([0-9a-f]*\)".*/\2  \1/p' $id.manifest.json > $id.sums
#   sha256sum --check --strict $id.sums
#   (umask 077; openssl cms -decrypt -inform DER -in $id.key.cms -inkey key.pem -recip certificate.pem -out password)
#   openssl enc -d -aes-256-ctr -pbkdf2 -md sha256 -iter $rounds -pass file:password -in $id.index.enc -out SHA256SUMS
#   openssl enc -d -aes-256-ctr -pbkdf2 -md sha256 -iter $rounds -pass file:password -in $id.data.enc -out $id.tar
#   mkdir $id && tar -xf $id.tar -C $id
#   (cd $id && sha256sum --check --strict ../SHA256SUMS)
#
# These commands do not check recipient, sequence number and age. Make sure that the batch was not opened before.
"""

RETURN = r"""
controls:
  description: The control C(intake.open) of each batch, or of the directory when it contains no batch.
  returned: always
  type: list
  elements: dict
batches:
  description:
    - The outcome of each batch. C(status) is C(published), C(already) for one that was published before, or
      C(quarantined); in check mode and with O(verify_only) it is C(verified) or C(refused). C(reason) is one of the
      words above, empty for a published or verified batch, and C(detail) a sentence. C(path) is its present place.
      C(files) and C(size), in bytes, describe its content.
  returned: when the options are good
  type: list
  elements: dict
  sample:
    - batch: 20261121T112233Z-9f86d081884c7d65
      status: published
      reason: ""
      detail: ""
      sender: line1@plant.example
      sequence: 1795260153
      path: /srv/training-data/20261121T112233Z-9f86d081884c7d65
      files: 24
      size: 1048576
"""

import os
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._batch.open_io import open_batches
from ..module_utils._batch.options import open_options
from ..module_utils._batch.report import open_result
from ..module_utils._batch.spec import OPEN_SPEC
from ..module_utils._core.conclude import conclude
from ..module_utils._host.run_io import run
from ..module_utils._trust.people import allowed_signers, parse_people, revocations


def work(module: AnsibleModule) -> dict[str, Any]:
    params = module.params
    people = parse_people(params["people"])
    root = os.geteuid() == 0
    options = open_options(params, allowed_signers(people), revocations(people), root)
    outcomes = open_batches(
        params["directory"], options, int(time.time()), run, module.check_mode, params["batch"]
    )
    return open_result(outcomes, params, module.check_mode)


def main() -> None:
    module = AnsibleModule(argument_spec=OPEN_SPEC, supports_check_mode=True)
    conclude(module, lambda: work(module), "intake.open", module.params["directory"])


if __name__ == "__main__":
    main()
