#!/usr/bin/python

# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: audit_watch
short_description: Keep accesses to model files on record, by watches that are proven to see
version_added: 0.1.0
author:
  - twinguard.hardening contributors (@twinguard)
description:
  - Takes all watches of a host, compares them with the kernel's own list of rules and with the files that are loaded
    at boot, and changes only what differs, rule by rule. Rules whose key does not begin with C(twinguard_) are never
    touched.
  - Names each way in which a rule that the kernel lists can be blind, such as a replaced directory, a mount over or
    below it, a layer of an overlay, a C(never) rule before it or audit that is switched off.
  - Proves each watch by a small access from a fresh process that must show up in the audit log. A watch that does not
    see it is armed anew, which counts as a change, and asked again.
  - A watch that is not in force fails the task, at every run until the cause is gone.
  - Where the kernel gives no audit, as in a container, the files are kept and every control is C(not_applicable).
extends_documentation_fragment:
  - twinguard.hardening._attributes
  - twinguard.hardening._attributes.LINUX
options:
  watches:
    description:
      - All watches of the host; rules of ours for anything else are removed.
      - Where watches lie in each other the innermost one records an event.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description:
          - Absolute path of a directory or file. A link is followed and its target watched.
          - A file that is still to come may be named with O(watches[].recursive=false); its directory must exist.
        type: str
        required: true
      recursive:
        description: Watch everything below a directory; V(false) watches just this file or directory.
        type: bool
        default: true
      permissions:
        description: What is recorded, out of V(r) read, V(w) write, V(x) execute and V(a) change of attributes.
        type: str
        default: rwa
      key:
        description: Name under which the events are found; begins with C(twinguard_), at most 31 bytes.
        type: str
        required: true
      allowed_readers:
        description: Whose reads are not recorded. Whatever else they do is.
        type: list
        elements: dict
        default: []
        suboptions:
          user:
            description:
              - Name or number of the user that reads. With O(watches[].allowed_readers[].executable) both must match.
              - A program that runs with the rights of another user is not this user.
            type: str
          executable:
            description: Path of the program that reads. With O(watches[].allowed_readers[].user) both must match.
            type: str
  rules_file:
    description: Where the rules are kept for the next boot; a file in C(/etc/audit/rules.d).
    type: path
    default: /etc/audit/rules.d/zz-twinguard.rules
  auditd:
    description:
      - Settings of C(auditd.conf) by their names there. What is not given is left alone.
      - See C(auditd.conf(5\)) for their meaning. Actions that run a program cannot be set.
    type: dict
    suboptions:
      max_log_file:
        description: Size of one log file in megabytes.
        type: int
      num_logs:
        description: How many log files are kept when they rotate.
        type: int
      max_log_file_action:
        description: What to do when a log file has that size.
        type: str
        choices: [ignore, syslog, suspend, rotate, keep_logs]
      space_left:
        description: Free space below which the first warning comes, in megabytes or percent.
        type: str
      space_left_action:
        description: What to do then.
        type: str
        choices: [ignore, syslog, rotate, email, suspend, single, halt]
      admin_space_left:
        description: Free space below which the last warning comes; less than O(auditd.space_left).
        type: str
      admin_space_left_action:
        description: What to do then.
        type: str
        choices: [ignore, syslog, rotate, email, suspend, single, halt]
      disk_full_action:
        description: What to do when the disk is full.
        type: str
        choices: [ignore, syslog, rotate, suspend, single, halt]
      disk_error_action:
        description: What to do when the disk cannot be written.
        type: str
        choices: [ignore, syslog, suspend, single, halt]
      overflow_action:
        description: What to do when the daemon's own queue is full.
        type: str
        choices: [ignore, syslog, suspend, single, halt]
      flush:
        description: How records get to the disk.
        type: str
        choices: ["none", incremental, incremental_async, data, sync]
      freq:
        description: How many records are written between two flushes.
        type: int
      log_group:
        description: Group that may read the log.
        type: str
      log_format:
        description: Whether names are added to numbers.
        type: str
        choices: [raw, enriched]
      name_format:
        description: Which name of the host is written into each record.
        type: str
        choices: ["none", hostname, fqd, numeric, user]
      name:
        description: The name for O(auditd.name_format=user).
        type: str
      priority_boost:
        description: How much more urgent the daemon is than others.
        type: int
      q_depth:
        description: Length of the daemon's own queue.
        type: int
      action_mail_acct:
        description: Where mail goes to.
        type: str
  backlog_limit:
    description: Records the kernel keeps for a daemon that is behind; left alone when not given.
    type: int
  immutable:
    description:
      - V(true) locks the rules until the next reboot, now and at every boot; V(false) no longer locks them at boot.
      - Left alone when not given.
    type: bool
  rearm:
    description: Have systemd arm the watches anew as soon as a watched directory was replaced.
    type: bool
    default: true
  block_io_uring:
    description:
      - Forbid io_uring by the sysctl C(kernel.io_uring_disabled), since files can be read through it without a record.
      - V(false) removes the file that sets it at boot. Left alone when not given.
    type: bool
  manage_service:
    description: Start and enable the audit daemon where systemd is in charge.
    type: bool
    default: true
  canary:
    description: Prove each watch by an access of our own. Check mode makes none.
    type: bool
    default: true
  canary_timeout:
    description: Seconds to wait for the records of all canaries together.
    type: int
    default: 10
"""

EXAMPLES = r"""
- name: Record who reads or changes the models, except for the model server itself
  twinguard.hardening.audit_watch:
    watches:
      - path: /srv/models
        key: twinguard_models
        allowed_readers:
          - user: tritonserver
            executable: /opt/tritonserver/bin/tritonserver
      - path: /etc/model-server/keys
        key: twinguard_keys
        permissions: rwa
    backlog_limit: 8192
"""

RETURN = r"""
controls:
  description:
    - The controls C(audit.rules), C(audit.daemon) and C(audit.coverage) of the host, C(audit.locked) when asked for,
      and for each watch C(audit.visibility) and C(audit.canary).
  returned: always
  type: list
  elements: dict
watches:
  description:
    - Each watch with its path, the path without links, its key, and whether it sees.
    - C(armed) is V(null) where that is not known. C(reason) is the reason when it is not V(true).
  returned: when the options are good
  type: list
  elements: dict
  sample:
    - path: /srv/current
      resolved: /srv/models-7
      key: twinguard_models
      armed: true
      reason: /srv/current is reached by a link; its target is watched
kernel:
  description: What the kernel says of its audit; empty where it gives none.
  returned: when the options are good
  type: dict
  sample: {enabled: 1, failure: 1, pid: 412, rate_limit: 0, backlog_limit: 8192, lost: 0, backlog: 0}
reboot_required:
  description: Whether the kernel is locked and what is asked for can only come with the next boot.
  returned: when the options are good
  type: bool
lost:
  description: Records that were lost since the last run.
  returned: when the options are good
  type: int
blind_processes:
  description: Processes, by name and number, whose accesses may go unrecorded because they started before audit.
  returned: when the options are good
  type: list
  elements: str
rearmed:
  description: Places whose watch did not see the canary and was armed anew.
  returned: when the options are good
  type: list
  elements: str
"""


from ansible.module_utils.basic import AnsibleModule

from ..module_utils._audit.watch.observe_io import Host
from ..module_utils._audit.watch.prove_io import enforce
from ..module_utils._audit.watch.spec import ARGUMENT_SPEC
from ..module_utils._core.conclude import conclude


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    conclude(
        module,
        lambda: enforce(Host(module.params), module.check_mode),
        "audit.rules",
        "kernel and boot",
    )


if __name__ == "__main__":
    main()
