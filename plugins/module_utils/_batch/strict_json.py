# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Our own JSON files, of which only the exact output of their render function is accepted (pure)."""

from __future__ import annotations

import json
from typing import Any, Callable, Type, TypeVar

Document = TypeVar("Document")


def parse_own(
    content: bytes,
    read: Callable[[Any], Document],
    render: Callable[[Document], bytes],
    error: Type[Exception],
) -> Document:
    """What `read` makes of the JSON. Raises `error` unless `render` gives exactly this content again."""
    try:
        document = read(json.loads(content.decode("ascii")))
        unchanged = render(document) == content
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as cause:
        raise error("it is not in the format of this module") from cause
    if not unchanged:
        raise error("it was changed by something else")
    return document
