#!/usr/bin/python

# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: git_verified_checkout
short_description: Deploy a branch of git after all of it was verified
version_added: 0.1.0
author:
  - twinguard.hardening contributors (@twinguard)
description:
  - Fetches a branch, verifies each commit of its history, and only then brings the work tree forward to it. A commit
    that is not acceptable leaves every file of the work tree as it is, unlike C(verify_commit) of
    M(ansible.builtin.git), which looks at the newest commit alone and after the files are there.
  - Verifies as M(twinguard.hardening.git_signatures_info) does. A run without new commits checks no signature.
  - Goes forward only. A branch that went back or has another history is refused, and so is a work tree with changed
    files, on another branch or of another user.
  - Runs no hook, no filter and no program of anybody's git settings while files are written, so that files of Git LFS
    stay pointers. Submodules are not fetched.
  - A run that was killed while files were written is finished by the next one. Files are replaced one after the other;
    restart what reads them afterwards.
  - Runs as the owner of the work tree; name that user with C(become_user).
extends_documentation_fragment:
  - twinguard.hardening._attributes
  - twinguard.hardening._attributes.LINUX
  - twinguard.hardening._people
  - twinguard.hardening._people.HISTORY
options:
  repo:
    description:
      - Address of the repository, as C(git fetch) takes it.
      - For the connection, git's settings of the user who runs this count.
    type: str
    required: true
  dest:
    description: Absolute path of the work tree. Made when it is not there; its parent must exist.
    type: str
    required: true
  version:
    description: The branch.
    type: str
    default: main
  people:
    required: true
  pinned_root:
    description:
      - Full ids of commits that are trusted with all before them; the branch must descend from one of them.
      - Without any, every commit since the first one must be signed.
    type: list
    elements: str
    default: []
  ssh_key_file:
    description: Key for the connection over SSH. Whoever runs this must be able to read it.
    type: str
  known_hosts_file:
    description: Keys of SSH servers. A server that is not known is refused.
    type: str
  timeout:
    description: Seconds that fetching may take.
    type: int
    default: 300
"""

EXAMPLES = r"""
- name: Deploy the twin's code as far as known people have signed it
  twinguard.hardening.git_verified_checkout:
    repo: ssh://git@git.example.com/twin.git
    dest: /srv/twin/app
    version: main
    pinned_root: [3f2a9c1d5b7e4f60a8c2d1e0b9f8a7c6d5e4f3a2]
    people:
      - name: Alice
        principals: [alice@example.com]
        keys:
          - key: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILEhHBHmBXM1NDJUwTrzSjo+5EBO7gMaoxvBhXdAhSmm
  become: true
  become_user: twin
  register: code

- name: Restart the twin when it has new code
  ansible.builtin.service:
    name: twin
    state: restarted
  when: code.changed
"""

RETURN = r"""
controls:
  description: The control C(git.deploy) of the work tree.
  returned: always
  type: list
  elements: dict
action:
  description:
    - What was done, or would be in check mode. V(make) is a first deployment, V(forward) a newer commit, V(finish) the
      end of a run that was killed.
    - With V(refuse) nothing of the work tree was touched.
  returned: when the branch could be fetched
  type: str
  sample: forward
before:
  description: Commit of the work tree before; empty when there was none.
  returned: when the branch could be fetched
  type: str
after:
  description: Commit of the work tree afterwards, in check mode the one that it would be at.
  returned: when the branch could be fetched
  type: str
commits:
  description:
    - Commits that are not acceptable, at most 100, as M(twinguard.hardening.git_signatures_info) returns them.
  returned: when the branch could be fetched
  type: list
  elements: dict
signatures_checked:
  description: How many signatures this run has checked; 0 when all of them were known.
  returned: when the branch could be fetched
  type: int
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._core.conclude import conclude
from ..module_utils._git.deploy.deploy import CONTROL
from ..module_utils._git.deploy.deploy_io import enforce
from ..module_utils._git.deploy.spec import ARGUMENT_SPEC


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    conclude(
        module, lambda: enforce(module.params, module.check_mode), CONTROL, module.params["dest"]
    )


if __name__ == "__main__":
    main()
