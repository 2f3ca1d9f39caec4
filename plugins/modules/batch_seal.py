#!/usr/bin/python

# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: batch_seal
short_description: Seal files into a batch, encrypted for its receivers and signed by its sender
version_added: 0.1.0
author:
  - twinguard.hardening contributors (@twinguard)
description:
  - Packs files into one archive, encrypts it with AES-256 by C(openssl enc) under a random password, wraps the
    password for each recipient by C(openssl cms), and signs a manifest by C(ssh-keygen -Y sign) in the namespace
    C(twinguard-batch).
  - A batch is five files in one directory, whose names begin with the batch id. C(ID.data.enc) is the archive.
    C(ID.index.enc) is its table of contents in the format of C(sha256sum). C(ID.key.cms) is the wrapped password; it
    is absent with a passphrase. C(ID.manifest.json) holds the size and SHA-256 of each of these, the sender, the
    recipients, a rising sequence number and all parameters of the encryption. C(ID.manifest.json.sig) is its
    signature. The manifest is renamed into the directory last, so that the batch is complete once it is visible.
  - A batch can be verified and opened by hand with C(openssl), C(ssh-keygen), C(sha256sum) and C(tar), without this
    collection.
  - Names, number and digests of the files are encrypted. Others see only the total size, the sender and the
    recipients.
  - Only names and contents are sealed, not owners, modes, times or empty directories.
  - Sources that have not changed are not sealed again. To detect changes, digests of names, times and contents are
    kept in O(state_dir). They are keyed with a random key that never leaves the host, so that they reveal nothing to
    others.
  - Memory use does not depend on the size of the files.
extends_documentation_fragment:
  - twinguard.hardening._attributes
  - twinguard.hardening._attributes.LINUX
options:
  sources:
    description:
      - Files and directories to seal. In the batch, a file has its base name, and a file below a directory has its
        path relative to that directory.
      - Links and devices are refused, and so are names that contain a newline or a backslash or are not UTF-8.
    type: list
    elements: path
    required: true
  outbox:
    description: Existing directory for the batch, preferably on a disk of its own.
    type: path
    required: true
  state_dir:
    description: Private directory that records what was sealed. Each outbox and each sender needs its own.
    type: path
    default: /var/lib/twinguard/batch_seal
  sender:
    description: Principal under which the receiver knows the signing key.
    type: str
    required: true
  signing_key:
    description: Private SSH key of the sender, either without a passphrase or loaded in an agent.
    type: path
    required: true
  recipients:
    description:
      - Certificates (PEM, RSA or elliptic curve) of everybody who can open the batch. A second one can be an escrow
        key, or the receiver's next key during a rotation.
      - Only their public keys are used. Dates and issuers of the certificates are ignored.
    type: list
    elements: path
  passphrase_file:
    description:
      - File with a passphrase of at least 20 bytes in its first line, shared with the receiver, in place of
        O(recipients).
      - Whoever has it can open all batches, old and new, so prefer O(recipients).
    type: path
  iterations:
    description: Rounds of PBKDF2 for a passphrase, at least 600000.
    type: int
    default: 600000
  force:
    description: Seal even if nothing has changed. With this option the task always reports a change.
    type: bool
    default: false
requirements:
  - OpenSSL 3.0 or newer
  - OpenSSH 8.9 or newer
notes:
  - The examples of M(twinguard.hardening.batch_open) show how a batch is opened by hand.
seealso:
  - module: twinguard.hardening.batch_open
"""

EXAMPLES = r"""
- name: Seal the measurements of the day for the data platform, and for the escrow
  twinguard.hardening.batch_seal:
    sources: [/srv/measurements]
    outbox: /srv/outbox
    sender: line1@plant.example
    signing_key: /etc/twinguard/sender_ed25519
    recipients:
      - /etc/twinguard/data-platform.pem
      - /etc/twinguard/escrow.pem
"""

RETURN = r"""
controls:
  description: The control C(intake.seal) of the outbox.
  returned: always
  type: list
  elements: dict
batch:
  description: Id of the newest batch; empty in check mode when it is still to be made.
  returned: success
  type: str
  sample: 20261121T112233Z-9f86d081884c7d65
sequence:
  description: Its number, above those of all earlier batches of this sender.
  returned: success
  type: int
  sample: 1795260153
manifest:
  description: Path of its manifest; the file is gone once somebody has sent and removed it.
  returned: success
  type: str
  sample: /srv/outbox/20261121T112233Z-9f86d081884c7d65.manifest.json
reason:
  description: Why a new batch was made, or was not.
  returned: success
  type: str
  sample: no file was touched
"""

import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._batch.options import seal_options
from ..module_utils._batch.report import seal_result
from ..module_utils._batch.seal_io import seal
from ..module_utils._batch.spec import SEAL_SPEC
from ..module_utils._core.conclude import conclude
from ..module_utils._host.run_io import run


def work(module: AnsibleModule) -> dict[str, Any]:
    options = seal_options(module.params)
    sealed = seal(options, int(time.time()), run, module.check_mode)
    return seal_result(sealed, module.params)


def main() -> None:
    module = AnsibleModule(argument_spec=SEAL_SPEC, supports_check_mode=True)
    conclude(module, lambda: work(module), "intake.seal", module.params["outbox"])


if __name__ == "__main__":
    main()
