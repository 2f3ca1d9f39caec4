#!/usr/bin/python

# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: git_signatures_info
short_description: List the commits of a history that have no accepted signature
version_added: 0.1.0
author:
  - twinguard.hardening contributors (@twinguard)
description:
  - Verifies each commit of a range, or everything since a pinned root, and gives the reason for each that is not
    accepted.
  - Accepts a commit only with a good SSH or OpenPGP signature in git's namespace, made with a key that belongs to the
    committer's address. The key must have been valid and not revoked when the server saw the commit.
  - Verifies all parents. A repository with replaced objects, grafts or a shallow history is refused as a whole.
  - The key of a forge counts for merges of two parents only, and only when C(git merge-tree) makes the same tree.
  - Nothing in the repository or in anybody's git settings adds trust.
  - Needs git, C(ssh-keygen) of OpenSSH 8.9 or newer, and C(gpg) when a person has an OpenPGP key. Merges of forges take
    git 2.38. X.509 signatures are refused as C(unsupported_format).
  - Fails only when it is used wrongly. What it finds is in RV(ignore:controls), and RV(ignore:verified) sums it up.
notes:
  - Keep the keys of people who left in the list, with O(people[].keys[].valid_before). What the server recorded before
    stays good.
  - Without a record, a commit by a key that has expired is refused, however old it is. Verify a history while its keys
    are valid, and pin a newer root then.
extends_documentation_fragment:
  - twinguard.hardening._attributes.INFO
  - twinguard.hardening._attributes.LINUX
  - twinguard.hardening._people
  - twinguard.hardening._people.HISTORY
options:
  repositories:
    description: What to verify. Give either this or O(guard_policy).
    type: list
    elements: dict
    suboptions:
      path:
        description: The directory of the repository, bare or with a work tree.
        type: str
        required: true
      revisions:
        description:
          - Refs, commits or annotated tags, or patterns of refs such as V(refs/heads/release/*).
        type: list
        elements: str
        default: [HEAD]
      since:
        description: A revision that is trusted with all of its history, so that the range begins behind it.
        type: str
      pinned_root:
        description:
          - Full ids of commits that are trusted with all before them.
          - Without O(repositories[].since), each revision must descend from one of these.
        type: list
        elements: str
        default: []
      accepted:
        description:
          - The record that M(twinguard.hardening.git_guard) keeps of accepted pushes.
          - It says when the server saw a commit.
          - A commit without a record is judged as of now. Its own date proves nothing, because its author chose it.
        type: path
  guard_policy:
    description:
      - The policy of M(twinguard.hardening.git_guard) on this host, usually V(/etc/twinguard/git-guard/policy.json).
      - Verifies what it protects, by the people it trusts and by its records.
    type: path
  allowed_signers:
    description:
      - A file in OpenSSH's format instead of O(people). Only root or the user who runs the module may be able to write
        it.
      - Patterns and certificate authorities are refused. A time without C(Z) counts as UTC.
    type: path
  cache_dir:
    description:
      - A directory of this module, which is made with mode V(0700). Left out, nothing is kept.
      - A verified history is not verified again, and new commits cost only their own signatures.
      - A file in it that somebody else owns or can write, or that is damaged, is ignored.
      - In check mode it is only read.
    type: path
  all:
    description: List the accepted commits, too.
    type: bool
    default: false
  limit:
    description: How many rows RV(ignore:commits) has at most.
    type: int
    default: 1000
"""

EXAMPLES = r"""
- name: Verify what the guard of this server protects
  twinguard.hardening.git_signatures_info:
    guard_policy: /etc/twinguard/git-guard/policy.json
    cache_dir: /var/cache/twinguard/git-audit

- name: Stop a build unless every commit since the last release was signed by its committer
  twinguard.hardening.git_signatures_info:
    repositories:
      - path: "{{ lookup('env', 'CI_PROJECT_DIR') }}"
        since: refs/tags/v1.4.0
    people: "{{ people }}"
  register: history
  failed_when: not history.verified

- name: Verify a whole history from its pinned root on
  twinguard.hardening.git_signatures_info:
    repositories:
      - path: /srv/git/models.git
        revisions: [refs/heads/main, refs/heads/release/*, refs/tags/*]
        pinned_root: [2f1d3c0b9a8e7d6c5b4a39281706f5e4d3c2b1a0]
    people:
      - name: Alice
        principals: [alice@example.com]
        keys:
          - key: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJqT1vVh8rFWJfH0zW4Yz0mLq3c1r1p3kWm7mS3b2b9x alice@laptop
            valid_before: 2027-01-01
    exceptions:
      - commit: 0123456789abcdef0123456789abcdef01234567
        reason: Imported before signing was introduced, reviewed in OPS-4711
"""

RETURN = r"""
controls:
  description:
    - A finding C(git.history) for each revision, or for a repository that has no commits or cannot be read.
  returned: always
  type: list
  elements: dict
verified:
  description: Whether every revision was verified. A repository without commits does not count against it.
  returned: when the options are right
  type: bool
repositories:
  description: What was done about each repository.
  returned: when the options are right
  type: list
  elements: dict
  contains:
    path:
      description: Its directory.
      type: str
      returned: always
    count:
      description: How many commits and tags were judged. What is trusted already is not among them.
      type: int
      returned: when it could be read
    counts:
      description: How many have each status.
      type: dict
      returned: when it could be read
      sample: {good: 1999, unsigned: 1}
    signatures_checked:
      description: For how many a signature was really verified in this run.
      type: int
      returned: when it could be read
    from_cache:
      description: Whether nothing has changed since the last run, so that its answer was taken.
      type: bool
      returned: when it could be read
    error:
      description: Why it could not be read.
      type: str
      returned: when it could not be read
commits:
  description: What is refused, or with O(all) everything, parents before children.
  returned: when the options are right
  type: list
  elements: dict
  contains:
    repository:
      description: The directory of its repository.
      type: str
    commit:
      description: Its full id.
      type: str
    kind:
      description: C(commit) or C(tag); C(object) or C(repository) when something else is wrong.
      type: str
    status:
      description:
        - Accepted are C(good) and C(excepted).
        - Refused are C(unsigned), C(unknown_key), C(wrong_person), C(wrong_namespace), C(bad_signature), C(expired),
          C(not_yet_valid), C(revoked), C(backdated), C(future_dated), C(evil_merge), C(forge_commit),
          C(parent_unverified), C(foreign_root), C(replaced), C(grafted), C(shallow), C(unsupported_format),
          C(malformed), C(missing), C(not_a_commit), C(wrong_tag_name) and C(unverifiable).
      type: str
    signer:
      description: The name of the person who has the key, where one has.
      type: str
    principal:
      description: The committer's or tagger's address.
      type: str
    key:
      description: The key's fingerprint.
      type: str
    reason:
      description: Why it is refused or excepted, in one sentence.
      type: str
    fix:
      description: What its author can do about it.
      type: str
truncated:
  description: Whether there are more rows than O(limit).
  returned: when the options are right
  type: bool
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._core.conclude import conclude
from ..module_utils._git.report.report_io import report
from ..module_utils._git.report.spec import ARGUMENT_SPEC, RULES


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True, **RULES)
    places = [one["path"] for one in module.params["repositories"] or []]
    conclude(
        module,
        lambda: report(module.params, module.check_mode),
        "git.history",
        places or "git",
        status="unknown",
    )


if __name__ == "__main__":
    main()
