#!/usr/bin/env bash
# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# GUESS     Each checkout of a collection or role has its own Molecule state: /ci/1/web and /ci/2/web do not meet.
# HAPPENS   The state directory is named after the checkout's last path component only (four characters of its
#           checksum), below the user's ~/.ansible/tmp. In the second checkout `molecule create` skips its own
#           create.yml, `molecule converge` is green on the first one's host, and `molecule destroy` deletes the state
#           that both use: the next run of the first one starts another host beside the one that it still had.
# VERSIONS  molecule 26.10.0 with ansible-core 2.21.5 (Python 3.12 and newer) or 2.19.14 (Python 3.11).
# MATTERS   To whoever runs the scenarios of two branches, worktrees or CI jobs as one user: a green run may have tested
#           the other branch's host. Give each checkout an ANSIBLE_HOME of its own, as this collection's
#           .config/molecule/config.yml does. Directories of different names keep them apart, too.
# GROUND    new: a release of October 2026.
# SEEN      $ cd /ci/2/web && molecule converge
#           WARNING  [default > create] Skipping, instances already created.
#           "msg": "the playbook of checkout 2 configures host-of-checkout-1"
set -eu

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
changed() { printf 'CHANGED: %s\n' "$*" >&2; exit 1; }
unmeasured() { printf 'NOT MEASURED: %s\n' "$*" >&2; exit 2; }

python=$(command -v python3.13 || command -v python3.12 || command -v python3) || unmeasured "python3 is missing"
core=$("$python" -c 'import sys; print("2.21.5" if sys.version_info >= (3, 12) else "2.19.14")')
{ "$python" -m venv "$place/venv" &&
  "$place/venv/bin/pip" install --quiet --disable-pip-version-check molecule==26.10.0 "ansible-core==$core"; } ||
  unmeasured "pip could not install molecule 26.10.0 and ansible-core $core"

# A scenario that needs no containers: its "host" is a line in the file in which create.yml leaves addresses.
checkout() { # DIRECTORY NUMBER
  local scenario="$place/$1/molecule/default"
  mkdir -p "$scenario"
  cat >"$scenario/molecule.yml" <<EOF
driver: {name: default, options: {managed: false}}
platforms: [{name: host}]
EOF
  cat >"$scenario/create.yml" <<EOF
- name: Create
  hosts: localhost
  gather_facts: false
  tasks:
    - name: Start the host and leave its address
      ansible.builtin.copy:
        content: host-of-checkout-$2
        dest: "{{ molecule_instance_config }}"
        mode: "0600"
EOF
  cat >"$scenario/converge.yml" <<EOF
- name: Converge
  hosts: localhost
  gather_facts: false
  tasks:
    - name: Configure the host
      ansible.builtin.debug:
        msg: the playbook of checkout $2 configures {{ lookup('ansible.builtin.file', molecule_instance_config) }}
EOF
  cat >"$scenario/destroy.yml" <<EOF
- name: Destroy
  hosts: localhost
  gather_facts: false
  tasks:
    - name: Stop the host
      ansible.builtin.debug:
        msg: the playbook of checkout $2 stops its host
EOF
}
molecule() { # DIRECTORY ACTION [ANSIBLE_HOME]
  (cd "$place/$1" && env -i HOME="$place" ANSIBLE_HOME="${3:-$place/.ansible}" PATH="$place/venv/bin:/usr/bin:/bin" \
    LC_ALL=C.UTF-8 NO_COLOR=1 COLUMNS=200 molecule "$2") </dev/null >"$place/said.txt" 2>&1
}
says() { grep -q -F -- "$1" "$place/said.txt"; }

checkout ci/1/web 1
checkout ci/2/web 2
checkout ci/2/other 2

molecule ci/1/web create || changed "the first checkout cannot create its host: $(tail -n 5 "$place/said.txt")"
molecule ci/2/other converge || changed "a checkout of another name cannot converge"
says 'checkout 2 configures host-of-checkout-2' || changed "a checkout of another name does not have its own host"

molecule ci/2/web converge "$place/ci/2/ansible" || changed "a checkout with its own ANSIBLE_HOME cannot converge"
says 'checkout 2 configures host-of-checkout-2' || changed "an ANSIBLE_HOME of its own no longer keeps them apart"

molecule ci/2/web converge || changed "the second checkout's converge now fails"
grep -e 'already created\.$' -e '"msg"' "$place/said.txt" || true
says 'checkout 2 configures host-of-checkout-1' || changed "the second checkout no longer runs on the first one's host"
says 'Skipping, instances already created' || changed "the second checkout now creates its own host"

molecule ci/2/web destroy || changed "the second checkout's destroy now fails"
molecule ci/1/web converge || changed "the first checkout cannot converge any more: $(tail -n 5 "$place/said.txt")"
! says 'already created' || changed "the first checkout still knows its host"
echo "as stated: two checkouts of one name share a host, and one's destroy makes the other forget it"
