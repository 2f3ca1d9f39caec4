#!/usr/bin/python

# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: git_signing
short_description: Have git sign commits and tags, proven by a signed commit
version_added: 0.1.0
author:
  - twinguard.hardening contributors (@twinguard)
description:
  - Takes all identities of a host that sign with git, and the list of people whose signatures count, in one task.
  - Sets what git has to know in the configuration of the system, of a user or of a repository. git itself edits a copy
    of the file, so that comments, includes and other settings stay; the file is then replaced as a whole.
  - Files of a user are read and written as that user and never as root, so that a link in a home leads nowhere else.
  - Proves each identity by a commit and a tag in a throw-away repository with exactly the settings that are in force.
    They must carry a signature that git verifies and that is good for the committer's own address.
  - An identity that cannot sign gets its old settings back, and the task fails in one sentence that says why.
    The others are still set up. A key that was made, and the list of who may sign, stay.
  - Settings that something else overrides, such as an included file, fail the task with the name of that file.
extends_documentation_fragment:
  - twinguard.hardening._attributes
  - twinguard.hardening._attributes.LINUX
  - twinguard.hardening._people
options:
  identities:
    description: Who signs, and in which scope git is configured for it. Other scopes are left alone.
    type: list
    elements: dict
    default: []
    suboptions:
      scope:
        description:
          - V(user) is the configuration of a user, C(~/.gitconfig) or C(~/.config/git/config) where only that is there.
          - V(system) is C(/etc/gitconfig), V(repository) the one of a single repository.
        type: str
        choices: [user, system, repository]
        default: user
      user:
        description:
          - Whose configuration it is; needed with O(identities[].scope=user).
          - With O(identities[].scope=system) the user who makes the proof; without it, the user who runs the module.
          - With O(identities[].scope=repository) the owner of the repository, who need not be given.
        type: str
      repository:
        description: Absolute path of the repository with O(identities[].scope=repository).
        type: str
      format:
        description: Kind of signature. V(ssh) takes git 2.34 and OpenSSH 8.2 or newer.
        type: str
        choices: [ssh, openpgp, x509]
        default: ssh
      key:
        description:
          - With V(ssh) the path of the key file, which may begin with C(~/), or of its public half when an agent holds
            the private one; or the public key itself behind C(key::).
          - With V(openpgp) and V(x509) the fingerprint or long id of the key.
        type: str
      create:
        description:
          - Make the key when it is not there. It is of type ed25519; an OpenPGP key is for O(identities[].name) and
            O(identities[].email). A key that is there is never replaced.
        type: bool
        default: false
      passphrase_file:
        description:
          - File on the host with the passphrase in its first line, of mode 0600, at least 5 characters.
          - Protects a key that is made. With O(identities[].unattended=false) the proof is made with it, too.
        type: str
      agent_socket:
        description:
          - Socket of the SSH agent that holds the key, as the one who signs has it in E(SSH_AUTH_SOCK). Only the proof
            uses it; the environment of services and sessions is not ours.
        type: str
      unattended:
        description:
          - Whether signing happens without a person. With V(true) a key fails that has a passphrase and is not in an
            agent.
          - V(false) is for a person at a terminal. Where the passphrase is not known, the control is C(unknown).
        type: bool
        default: true
      name:
        description: Name of the committer, C(user.name). Left alone when not given.
        type: str
      email:
        description: Address of the committer, C(user.email). Left alone when not given.
        type: str
      sign_commits:
        description: Whether each commit is signed, C(commit.gpgSign).
        type: bool
        default: true
      sign_tags:
        description: Whether each annotated tag is signed, C(tag.gpgSign).
        type: bool
        default: true
      min_trust_level:
        description:
          - Least trust in an OpenPGP key for its signature to count, C(gpg.minTrustLevel).
          - Left alone when not given.
        type: str
        choices: [undefined, never, marginal, fully, ultimate]
      prove:
        description:
          - Whether to make the proof; V(false) is for keys that want to be touched.
          - The control is C(unknown) then.
        type: bool
        default: true
  people:
    description:
      - All people whose signatures count; the list is the same for workstations, servers and CI.
      - Left alone when not given. Then a proof goes by the list that git knows already, or by the key alone.
  allowed_signers_file:
    description: Where OpenSSH's list of who may sign is written, for everyone to read.
    type: path
    default: /etc/twinguard/git/allowed_signers
  revocation_file:
    description: Where the keys that count no more are written.
    type: path
    default: /etc/twinguard/git/revoked_keys
"""

EXAMPLES = r"""
- name: Sign what a developer and a CI runner commit
  twinguard.hardening.git_signing:
    people:
      - name: Alice
        principals: [alice@example.com]
        keys:
          - key: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILEhHBHmBXM1NDJUwTrzSjo+5EBO7gMaoxvBhXdAhSmm
            valid_before: 2028-01-01
    identities:
      - user: alice
        email: alice@example.com
        key: ~/.ssh/id_ed25519_signing
        create: true
        passphrase_file: /root/alice.passphrase
        unattended: false
      - user: ci
        email: alice@example.com
        key: key::ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILEhHBHmBXM1NDJUwTrzSjo+5EBO7gMaoxvBhXdAhSmm
        agent_socket: /run/ci/agent.sock

# The first run on a host: the key is not known yet, so no list of people is given.
- name: Make a key to sign with
  twinguard.hardening.git_signing:
    identities:
      - {user: bob, name: Bob, email: bob@example.com, key: ~/.ssh/id_signing, create: true}
  register: made

- name: Show what belongs into the list of people
  ansible.builtin.debug:
    msg: "{{ made.identities[0].public_key }}"
"""

RETURN = r"""
controls:
  description:
    - The control C(git.signing) for each identity, and C(git.signers) for the list of people when it is given.
    - C(git.signers) fails for a key of two people, an expired or weak key and a person without a key. That does not
      fail the task, since the list is in force all the same.
  returned: always
  type: list
  elements: dict
identities:
  description: Each identity as it is now, in the order in which git reads their files.
  returned: when the options are good
  type: list
  elements: dict
  contains:
    scope:
      description: As given.
      type: str
    user:
      description: Who makes the signatures.
      type: str
    repository:
      description: As given.
      type: str
    format:
      description: As given.
      type: str
    signing_key:
      description: The key as git knows it, C(user.signingKey).
      type: str
    public_key:
      description: The public half, fit for O(people); empty where it is not known.
      type: str
    status:
      description: Status of the control.
      type: str
    reason:
      description: Why, in one sentence.
      type: str
  sample:
    - scope: user
      user: alice
      repository: ""
      format: ssh
      signing_key: ~/.ssh/id_ed25519_signing
      public_key: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILEhHBHmBXM1NDJUwTrzSjo+5EBO7gMaoxvBhXdAhSmm
      status: pass
      reason: a commit by alice@example.com is signed by SHA256:Esu2Z2Vyhx58iDsIV41rts+dtcVb97TD2yS1fVRrJrs and verifies
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._core.conclude import conclude
from ..module_utils._git.sign.sign_io import enforce
from ..module_utils._git.sign.spec import ARGUMENT_SPEC
from ..module_utils._host.run_io import run


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    conclude(
        module,
        lambda: enforce(module.params, module.check_mode, run),
        "git.signing",
        "this host",
    )


if __name__ == "__main__":
    main()
