# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The option of all modules that decide whose signature counts."""

from __future__ import annotations


class ModuleDocFragment:
    """Included by every module with an option C(people)."""

    DOCUMENTATION = r"""
options:
  people:
    description:
      - The people who may sign, and their keys. The same list can serve workstations, servers and build machines.
    type: list
    elements: dict
    suboptions:
      name:
        description: How the person is called in reports. Each person has one item.
        type: str
        required: true
      principals:
        description:
          - The addresses under which the person commits or sends.
          - A signature counts only when the committer's address is one of these, letter by letter.
          - Patterns are refused.
        type: list
        elements: str
        required: true
      keys:
        description: The person's public keys.
        type: list
        elements: dict
        required: true
        suboptions:
          key:
            description:
              - One SSH public key, as it stands in a file that ends in C(.pub).
              - Each item has either this or O(people[].keys[].openpgp).
            type: str
          openpgp:
            description: One OpenPGP public key with its armour, as C(gpg --armor --export) prints it.
            type: str
          namespaces:
            description: What the key may sign. Left out, it is C(git) alone.
            type: list
            elements: str
          valid_after:
            description:
              - The first moment at which the key counts, such as C(2026-01-31) or C(2026-01-31T10:00:00Z).
              - A time without a zone is UTC.
            type: str
          valid_before:
            description: The first moment at which the key counts no more.
            type: str
          revoked:
            description: Nothing that the key signed counts any more.
            type: bool
            default: false
          revoked_since:
            description:
              - Revokes the key as well. What a server recorded as accepted before this moment stays good.
              - A date inside the signed object does not count, because its author chose it.
            type: str
"""

    # What the modules that verify a history trust beside the people.
    HISTORY = r"""
options:
  forges:
    description:
      - Services that merge for people in a web interface, in the shape of O(people).
        O(forges[].principals) are the addresses under which they commit.
      - Their keys count only for merges of two commits, and only when git itself makes the same tree of the two.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: See O(people[].name).
        type: str
        required: true
      principals:
        description: See O(people[].principals).
        type: list
        elements: str
        required: true
      keys:
        description: See O(people[].keys).
        type: list
        elements: dict
        required: true
        suboptions:
          key:
            description: See O(people[].keys[].key).
            type: str
          openpgp:
            description: See O(people[].keys[].openpgp).
            type: str
          namespaces:
            description: See O(people[].keys[].namespaces).
            type: list
            elements: str
          valid_after:
            description: See O(people[].keys[].valid_after).
            type: str
          valid_before:
            description: See O(people[].keys[].valid_before).
            type: str
          revoked:
            description: See O(people[].keys[].revoked).
            type: bool
            default: false
          revoked_since:
            description: See O(people[].keys[].revoked_since).
            type: str
  exceptions:
    description:
      - Commits that are accepted although they are not signed as they should be. Each covers itself alone.
    type: list
    elements: dict
    default: []
    suboptions:
      commit:
        description: Full id of the commit.
        type: str
        required: true
      reason:
        description: Why it is accepted. It is shown in reports.
        type: str
        required: true
  clock_skew:
    description:
      - Seconds by which clocks may differ. A commit that is dated further in the future is refused.
      - So is one that is dated earlier than its parent by more than this.
    type: int
    default: 600
"""
