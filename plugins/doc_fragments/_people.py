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
              - A date inside the signed object is no such record, because its author chose it.
            type: str
"""
