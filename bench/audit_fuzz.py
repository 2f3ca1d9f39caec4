# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mutates rules as the kernel sends them: each is read or refused in one way, and what is read is kept.

PYTHONPATH=.build/collections python bench/audit_fuzz.py netlink 10000 1
"""

from __future__ import annotations

import argparse
import random
import struct
import sys
import time
from collections import Counter

from ansible_collections.twinguard.hardening.plugins.module_utils._audit.kernel.netlink import (
    AuditCodecError,
    build_rule,
    parse_rule,
)
from ansible_collections.twinguard.hardening.plugins.module_utils._audit.kernel.rule_lines import (
    canonical,
    parse_line,
    render_line,
    show,
)
from ansible_collections.twinguard.hardening.tests.unit.support.audit_blobs import recorded

WORDS = (0, 1, 2, 3, 4, 5, 63, 64, 65, 105, 107, 112, 210, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def mutated(blob: bytes, chance: random.Random) -> bytes:
    """The rule with a few bytes or words changed, cut, or longer than it says."""
    changed = bytearray(blob)
    for _change in range(chance.randint(1, 8)):
        if chance.random() < 0.5:
            changed[chance.randrange(len(changed))] = chance.randrange(256)
        else:
            # Where the numbers are that decide on everything else.
            place = chance.choice([0, 4, 8, 1036, *range(268, 300, 4), *range(524, 556, 4)])
            struct.pack_into("=I", changed, place, chance.choice(WORDS))
    if chance.random() < 0.1:
        del changed[chance.randrange(len(changed)) :]
    elif chance.random() < 0.1:
        changed += chance.randbytes(chance.randint(1, 64))
    return bytes(changed)


def fate(blob: bytes) -> str:
    """What became of one rule; any exception but the one error is a finding."""
    try:
        rule = parse_rule(blob)
    except AuditCodecError:
        return "refused"
    if parse_rule(build_rule(rule)) != rule:
        raise AssertionError(f"not kept: {rule}")
    if canonical(canonical(rule)) != canonical(rule) or not show(rule).isprintable():
        raise AssertionError(f"not shown or compared: {rule}")
    try:
        line = render_line(rule)
    except AuditCodecError:
        return "read, and has no line"
    try:
        again = parse_line(line)
    except AuditCodecError:
        return "read and written, not read back"
    if again is None or canonical(again) != canonical(rule):
        raise AssertionError(f"read back as another rule: {line}")
    return "read, written and read back"


def main() -> None:
    """Print how many rules had which fate; exit with 1 on a finding."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["netlink"])
    parser.add_argument("count", type=int)
    parser.add_argument("seed", type=int)
    options = parser.parse_args()
    chance = random.Random(options.seed)  # noqa: S311 - mutations that can be made again
    blobs = [one["bytes"] for one in recorded() if "type" not in one]
    fates: Counter[str] = Counter()
    slowest = 0.0
    for number in range(options.count):
        blob = mutated(chance.choice(blobs), chance)
        begun = time.monotonic()
        try:
            fates[fate(blob)] += 1
        except Exception as error:  # noqa: BLE001 - the point of it all
            sys.exit(f"rule {number} of seed {options.seed}: {error!r}: {blob.hex()}")
        slowest = max(slowest, time.monotonic() - begun)
    for name, count in fates.most_common():
        print(f"{count:8} {name}")
    print(f"{options.count} mutated rules, no crash; the slowest took {slowest * 1000:.1f} ms")


if __name__ == "__main__":
    main()
