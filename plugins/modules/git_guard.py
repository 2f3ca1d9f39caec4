#!/usr/bin/python

# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: git_guard
short_description: Let only commits of known people onto the protected branches of a git server
version_added: 0.1.0
author:
  - twinguard.hardening contributors (@twinguard)
description:
  - Takes the whole policy of a git server in one task and puts a C(pre-receive) hook into each bare repository. Git
    runs it for every push, whatever client made it.
  - A protected branch takes a push only when every commit since its old value has a good signature by the person who
    committed it, with a key that is valid and not revoked at the moment of the push. Refused as well are deletions,
    pushes that drop commits, moved tags, replace refs, signatures made for something else than git, and merges by a
    forge that are not what git makes of their parents.
  - What is trusted lies outside the repositories and belongs to root. The hook reads it at each push, so that a change
    counts from the next push on.
  - Proves for each repository that an unsigned commit is refused. The trial goes to C(git receive-pack) as the
    repository's owner, as a push over ssh does, and is made such that it could not succeed without the guard either.
    It leaves a line in the journal.
  - When the hook cannot do its work, for whatever reason, pushes are refused.
  - A C(pre-receive) hook of others is kept beside ours and runs after it. It is put back when a repository is no longer
    listed.
  - Every update of a protected branch is written to the journal as C(twinguard-git-guard), and to a record from which
    M(twinguard.hardening.git_signatures_info) learns when a commit was seen.
extends_documentation_fragment:
  - twinguard.hardening._attributes
  - twinguard.hardening._attributes.LINUX
  - twinguard.hardening._people
  - twinguard.hardening._people.HISTORY
options:
  repositories:
    description: The repositories that are guarded. The guard is removed from repositories that are no longer listed.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description:
          - Absolute path of a bare repository that is there already.
          - With C(*) in it, all repositories that match now. One that is made later is guarded by the next run.
        type: str
        required: true
      protected:
        description:
          - Full names of the refs that are guarded; C(*) stands for anything, also for C(/).
          - Other refs may hold unsigned commits. These are looked at when a protected branch is to take them.
        type: list
        elements: str
        default: [refs/heads/main, "refs/tags/*"]
      pinned_root:
        description:
          - Full ids of commits up to which history is trusted without a look. A new protected branch must descend
            from one of them.
          - Without any, the first push of a protected branch is verified back to its beginning.
        type: list
        elements: str
        default: []
      hook:
        description:
          - Where the hook goes, relative to the repository, for a git host that calls C(pre-receive) hooks from a
            directory, such as V(hooks/pre-receive.d/twinguard).
          - Left out, it is C(pre-receive) where git looks for it.
        type: str
      deny_non_fast_forwards:
        description: Whether git itself refuses to drop commits on all branches. Left alone when not given.
        type: bool
      deny_deletes:
        description: Whether git itself refuses to delete any ref. Left alone when not given.
        type: bool
  people:
    required: true
  config_dir:
    description:
      - Where the policy and OpenSSH's files of trusted and revoked keys are kept.
      - Root owns it and everyone can read it.
    type: path
    default: /etc/twinguard/git-guard
  state_dir:
    description: Where the record of accepted pushes is kept, for each repository in a directory of its owner.
    type: path
    default: /var/lib/twinguard/git-guard
  lib_dir:
    description: Where the program is kept that the hooks run.
    type: path
    default: /usr/local/lib/twinguard
  python:
    description: The Python of the host that runs the hook; 3.8 or newer.
    type: path
    default: /usr/bin/python3
  prove:
    description: Try in each repository whether an unsigned commit is refused, in check mode as well.
    type: bool
    default: true
"""

EXAMPLES = r"""
- name: Let only signed commits onto main
  twinguard.hardening.git_guard:
    repositories:
      - path: /srv/git/models.git
        protected: [refs/heads/main, "refs/heads/release/*", "refs/tags/v*"]
        pinned_root: [8f3c1f0b8e9f5a6d7c2b4e1a0d9c8b7a6f5e4d3c]
    people:
      - name: Alice
        principals: [alice@example.com]
        keys:
          - key: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIvYCxVBaVwZbFk0mL9YfUk1pZ9aR2m0t2eQ0yVtX1aB alice@laptop
            valid_before: 2027-01-01
"""

RETURN = r"""
controls:
  description: The control C(git.guard) of each repository, and C(git.signers) for the list of people.
  returned: always
  type: list
  elements: dict
repositories:
  description: The repositories that are guarded, by their paths without links.
  returned: when the options are good
  type: list
  elements: str
  sample: [/srv/git/models.git]
"""


from ansible.module_utils.basic import AnsibleModule

from ..module_utils._core.conclude import conclude
from ..module_utils._git.guard.guard_io import enforce
from ..module_utils._git.guard.spec import ARGUMENT_SPEC


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    conclude(module, lambda: enforce(module.params, module.check_mode), "git.guard", "the server")


if __name__ == "__main__":
    main()
