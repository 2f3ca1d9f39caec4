#!/usr/bin/python

# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: audit_events_info
short_description: Report who touched the watched files, from the audit log
version_added: 0.1.0
author:
  - twinguard.hardening contributors (@twinguard)
description:
  - Reads the log of the audit daemon with its rotated files, finds the events of M(twinguard.hardening.audit_watch)
    by their key, and tells who did what to which file with which program.
  - With O(expected) each event that no entry allows is marked, and the control C(audit.access) fails.
  - Needs no program on the host. Memory does not grow with the log.
  - Records of changes to audit rules are not accesses and are left out.
notes:
  - Rotated files that were compressed are not read.
  - What a process does with a file that it has opened is not in the log; opening is.
extends_documentation_fragment:
  - twinguard.hardening._attributes.INFO
  - twinguard.hardening._attributes.LINUX
options:
  keys:
    description:
      - Whole keys of the rules whose events are asked for.
      - All keys that begin with C(twinguard_) when not given.
    type: list
    elements: str
  log_file:
    description: The log; its rotated files are beside it with a number behind the name.
    type: path
    default: /var/log/audit/audit.log
  since:
    description: The first moment, in seconds since 1970 or as ISO 8601 with a zone, such as V(2026-11-21T06:00:00Z).
    type: str
  until:
    description: The last moment, in the same form.
    type: str
  checkpoint:
    description:
      - File in which to remember up to where the log was reported, so that the next run goes on from there.
        Its directory must exist.
      - Check mode reads it and leaves it as it is. It survives rotation, and tells when the log was rotated away.
      - An event whose last record is not in the log yet is left for the next run.
      - Use one file for one set of options; an event that a filter hides is not shown to the next run.
    type: path
  users:
    description: Only events of these users, by name or number, as login, real or effective user.
    type: list
    elements: str
  executables:
    description: Only events of these programs, by their path.
    type: list
    elements: str
  paths:
    description:
      - Only events on these paths and below.
      - An event whose path is not certain is kept, because it may be one of them.
    type: list
    elements: str
  operations:
    description: Only events of these operations. An open that may write is V(write).
    type: list
    elements: str
    choices: &operations [read, write, execute, attribute, create, delete, rename, link, other]
  success:
    description: Only events that succeeded, or only ones that did not.
    type: bool
  expected:
    description:
      - Who may touch the files; each part of an entry that is given must match.
      - With an empty list every access is unexpected. When not given, none is.
    type: list
    elements: dict
    suboptions:
      user:
        description:
          - Name or number of the user.
          - Real and effective user must both be it, so that a set-user-ID program is somebody else.
        type: str
      executable:
        description: Path of the program.
        type: str
      path:
        description: The file, or a directory above it. A path that is not certain does not match.
        type: str
      key:
        description: One of the keys of the event.
        type: str
      operations:
        description: What the entry may do; anything when not given.
        type: list
        elements: str
        choices: *operations
  unexpected_only:
    description: Only unexpected events.
    type: bool
    default: false
  limit:
    description:
      - How many events to return at most; the newest, and unexpected ones before others.
      - RV(count), RV(summary) and RV(unexpected_count) are of all of them.
    type: int
    default: 1000
  canaries:
    description: File in which M(twinguard.hardening.audit_watch) noted the events that it made itself.
    type: path
    default: /var/lib/twinguard/audit/canaries.json
"""

EXAMPLES = r"""
- name: Report every access to the models since the last report
  twinguard.hardening.audit_events_info:
    keys: [twinguard_models]
    checkpoint: /var/lib/twinguard/audit/reported.json
    expected:
      - user: model
        executable: /usr/bin/model-server
        operations: [read]
      - user: root
        executable: /usr/bin/rsync
  register: access

- name: Show who was not expected
  ansible.builtin.debug:
    msg: "{{ access.events | selectattr('unexpected') | map(attribute='effective_user') | unique }}"
"""

RETURN = r"""
controls:
  description: The control C(audit.access) for each key.
  returned: always
  type: list
  elements: dict
events:
  description: The events, oldest first.
  returned: success
  type: list
  elements: dict
  contains:
    time:
      description: When it happened, as ISO 8601 in UTC.
      type: str
      sample: "2026-11-21T06:00:00.123Z"
    serial:
      description: The kernel's number of the event; it starts again at each boot.
      type: int
    node:
      description: The host that the record names.
      type: str
    rule_keys:
      description: The keys of the rule.
      type: list
      elements: str
    operation:
      description: What was done; V(read), V(write), V(execute), V(attribute), V(create), V(delete), V(rename), V(link)
        or V(other).
      type: str
    syscall:
      description: The system call.
      type: str
    success:
      description: Whether it succeeded.
      type: bool
    exit:
      description: What the call returned.
      type: int
    path:
      description: The file; bytes that are no UTF-8 are shown as C(\xNN). V(null) when the kernel names none.
      type: str
    path_exact:
      description: Whether it is certain which file the path names; one relative to an unknown directory is not.
      type: bool
    path_hex:
      description: The bytes of a name that is no UTF-8, as hexadecimal digits.
      type: str
    paths:
      description: All files and directories of the event with their nametype, inode, device and mode.
      type: list
      elements: dict
    inode:
      description: Inode of the file.
      type: int
    device:
      description: Device of the file, major and minor number as hexadecimal digits.
      type: str
    mode:
      description: Type and permissions of the file as octal digits.
      type: str
    uid:
      description: Number of the real user; RV(events[].user) is its name.
      type: int
    user:
      description: Name of the real user.
      type: str
    auid:
      description: Number of the user who logged in; V(null) for a service.
      type: int
    login_user:
      description: Name of the user who logged in.
      type: str
    euid:
      description: Number of the effective user.
      type: int
    effective_user:
      description: Name of the effective user, whose rights counted.
      type: str
    comm:
      description: Name of the process, which it can choose.
      type: str
    exe:
      description: Path of the program, as seen in its own mount namespace.
      type: str
    pid:
      description: Number of the process.
      type: int
    ppid:
      description: Number of its parent.
      type: int
    session:
      description: Number of the login session.
      type: int
    subject:
      description: Label of the process by AppArmor or SELinux.
      type: str
    container:
      description: What the records tell of a container.
      type: str
    cwd:
      description: Working directory.
      type: str
    proctitle:
      description: Command line, which the process can choose.
      type: str
    unexpected:
      description: Whether no entry of O(expected) allows it; V(null) when the option is not given.
      type: bool
    canary:
      description: Whether M(twinguard.hardening.audit_watch) made it to prove the watch.
      type: bool
    incomplete:
      description: Whether records of the event are missing.
      type: bool
count:
  description: How many events match.
  returned: success
  type: int
truncated:
  description: Whether there are more than were returned.
  returned: success
  type: bool
summary:
  description: How many events there are by C(users), C(executables) and C(operations).
  returned: success
  type: dict
unexpected_count:
  description: How many events are unexpected; V(null) without O(expected).
  returned: success
  type: int
canary_count:
  description: How many events are canaries.
  returned: success
  type: int
incomplete:
  description: How many events have lost records.
  returned: success
  type: int
malformed:
  description: How many lines seem to be ours and are not whole records.
  returned: success
  type: int
log:
  description: The C(files) that were read, the time of the C(oldest) record, and how many events are C(waiting) for
    their last record.
  returned: success
  type: dict
checkpoint:
  description:
    - Its C(path), whether it C(moved), and its C(state) when the run began.
    - C(new) there was none, C(continued) it was found in the log, C(lost) the log was rotated away since,
      C(damaged) it could not be read. In all but C(continued) the whole log was reported.
  returned: success
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._audit.events.report_io import report
from ..module_utils._audit.events.spec import ARGUMENT_SPEC
from ..module_utils._core.conclude import conclude


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    conclude(
        module,
        lambda: report(module.params, module.check_mode),
        "audit.access",
        module.params["keys"] or ["model files"],
        status="unknown",
    )


if __name__ == "__main__":
    main()
