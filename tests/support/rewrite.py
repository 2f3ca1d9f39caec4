# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write a secret file again and again as the modules do it.

rewrite.py STATE_DIRECTORY PATH TIMES       the secret comes on standard input
"""

from __future__ import annotations

import os
import sys

from ansible_collections.twinguard.hardening.plugins.module_utils._files.transaction_io import (
    DirSpec,
    FileSpec,
    Transaction,
)

state, path, times = sys.argv[1], sys.argv[2], int(sys.argv[3])
secret = sys.stdin.read()
for number in range(times):
    if number % 2:
        os.unlink(path)  # every other time it is a new file
    with Transaction(state) as files:
        content = f"{secret} {number}\n".encode()
        files.stage(
            [
                DirSpec(os.path.dirname(path), 0o755, 0, 0),
                FileSpec(path, content, 0o600, 0, 0, True),
            ]
        )
        files.commit()
        files.confirm()
