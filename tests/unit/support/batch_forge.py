# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Batches that our own sender would never make, with a good signature: attacks by a hostile sender."""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.twinguard.hardening.plugins.module_utils._batch import (
    openssl_io as openssl,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._batch.index import (
    END,
    Item,
    header,
    padding,
    render_index,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._batch.manifest import (
    Manifest,
    Sum,
    render,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._batch.types import (
    DATA,
    INDEX,
    KEY,
    MANIFEST,
    SIGNATURE,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._host.run_io import run
from ansible_collections.twinguard.hardening.tests.unit.support.batch import (
    NOW,
    SENDER,
    Lab,
    called,
)

ROUNDS = 10_000


@dataclass
class Forgery:
    """A batch of these files; `index` and `archive` replace those made from them, `fields` values of the manifest."""

    lab: Lab
    files: list[tuple[str, bytes]] = field(default_factory=lambda: [("a", b"data")])
    index: bytes | None = None
    archive: bytes | None = None
    fields: dict[str, Any] = field(default_factory=dict)
    signer: str = ""
    namespace: str = "twinguard-batch"
    batch: str = ""
    wrapped: bytes | None = None

    def send(self) -> str:
        """Write it into the zone; its id."""
        batch = self.batch or f"20261121T112000Z-{secrets.token_hex(8)}"
        password = secrets.token_hex(32).encode()
        index = self._index() if self.index is None else self.index
        archive = plain_archive(self.files) if self.archive is None else self.archive
        key = openssl.wrap(
            run,
            password if self.wrapped is None else self.wrapped,
            [self.lab.identity.certificate],
        )
        content = {
            DATA: openssl.encrypt(run, archive, password, ROUNDS),
            INDEX: openssl.encrypt(run, index, password, ROUNDS),
            KEY: key,
        }
        recipient = openssl.fingerprint(openssl.certificate(self.lab.identity.certificate))
        sums = tuple(
            Sum(batch + ending, len(data), hashlib.sha256(data).hexdigest())
            for ending, data in content.items()
        )
        manifest = render(Manifest(batch, NOW, SENDER, (recipient,), NOW, ROUNDS, sums))
        content[MANIFEST] = self._changed(manifest)
        content[SIGNATURE] = sign(content[MANIFEST], self.signer or self.lab.signer, self.namespace)
        for ending, data in content.items():
            (self.lab.zone / (batch + ending)).write_bytes(data)
        return batch

    def _index(self) -> bytes:
        return render_index(
            Item(name, len(data), hashlib.sha256(data).hexdigest()) for name, data in self.files
        )

    def _changed(self, manifest: bytes) -> bytes:
        """The manifest with other values in the same form."""
        if not self.fields:
            return manifest
        document = json.loads(manifest)
        text = manifest.decode()
        for name, value in self.fields.items():
            where, key = (
                (document["encryption"], name)
                if name in document["encryption"]
                else (document, name)
            )
            text = text.replace(
                f'"{key}": {json.dumps(where[key])}', f'"{key}": {json.dumps(value)}'
            )
        return text.encode()


def plain_archive(files: list[tuple[str, bytes]]) -> bytes:
    """The archive of these files as we write it."""
    parts = [header(name, len(data)) + data + padding(len(data)) for name, data in files]
    return b"".join(parts) + END


def sign(content: bytes, key: str, namespace: str) -> bytes:
    return called("ssh-keygen", "-q", "-Y", "sign", "-f", key, "-n", namespace, stdin=content)
