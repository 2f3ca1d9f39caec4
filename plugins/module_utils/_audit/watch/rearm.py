# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What lets systemd arm watches anew when their directories were replaced (pure).

A directory that is removed takes its rule out of the kernel with it, and one that is moved away takes the
rule along. Both change the directory above, which the path unit looks at. The kernel looks a path up only
when a rule is added, so each rule is deleted and added again.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Mapping, Sequence

from .watch import Watch

NAME = "twinguard-audit-rearm"
RULES_PATH = "/etc/audit/twinguard-rearm.rules"
PATH_UNIT = f"/etc/systemd/system/{NAME}.path"
SERVICE_UNIT = f"/etc/systemd/system/{NAME}.service"
RUN_DIR = "/run/twinguard-audit"
ARMED = f"{RUN_DIR}/armed"
# Held by whoever changes our rules, so that nobody counts or changes them while another is at it.
TURN = f"{RUN_DIR}/turn"
HEADER = "Made by the Ansible module twinguard.hardening.audit_watch; changes are overwritten.\n"

# Which inodes are watched is written before the rules are armed, so that a change in between is noticed by
# the next comparison; it counts once the kernel holds all rules. The loop is for changes that come while it
# runs, which systemd does not report again.
_SCRIPT = """\
umask 077
mkdir -p {run}
exec 9>{turn}
flock 9
{auditctl} -s | grep -q "^enabled 2" && exit 0
tries=0
last=
while [ $tries -lt 20 ]; do
  tries=$((tries + 1))
  [ "$(sha256sum <{rules})" = "{digest}  -" ] || exit 0
  here=$(stat -c "%d:%i %n" -- "$@" 2>/dev/null)
  held=$({auditctl} -l 2>/dev/null | grep -c -F {prefix})
  [ "$held" = {count} ] && [ "$here" = "$(cat {armed} 2>/dev/null)" ] && exit 0
  if [ "$held $here" != "$last" ]; then
    printf "%s\\n" "$here" >{armed}.new
    {auditctl} -R {rules} >/dev/null 2>&1
    held=$({auditctl} -l 2>/dev/null | grep -c -F {prefix})
    [ "$held" = {count} ] && mv {armed}.new {armed}
    last="$held $here"
  fi
  flock -u 9
  sleep 0.2
  flock 9
done
exit 0
"""


def armed_text(identities: Mapping[str, str]) -> bytes:
    """The record of armed directories, as the script of the service writes it too."""
    lines = [f"{identity} {path}\n" for path, identity in sorted(identities.items()) if identity]
    return "".join(lines).encode("utf-8", "surrogateescape")


def armed(data: bytes) -> dict[str, str]:
    """Which inode each directory had when it was armed."""
    lines = data.decode("utf-8", "surrogateescape").split("\n")
    pairs = (line.partition(" ") for line in lines)
    return {path: identity for identity, _space, path in pairs if path}


def rules_text(groups: Sequence[Sequence[str]]) -> bytes:
    """For auditctl: the rules of each group, given as their lines, go and come back in order.

    First all go: the kernel looks a path up only if no other rule with this very path is left.
    """
    # "-c": go on after an error, since a rule that the kernel has dropped cannot be deleted.
    lines = ["# " + HEADER.rstrip(), "-c"]
    for added in groups:
        lines += ["-d" + line[2:] for line in added]
        lines += added
    return "".join(line + "\n" for line in lines).encode("utf-8", "surrogateescape")


def anchors(watches: Sequence[Watch]) -> tuple[str, ...]:
    """The directories that the kernel holds on to, in the order in which they are compared."""
    return tuple(sorted({one.anchor for one in watches}))


def service_unit(watches: Sequence[Watch], rules: bytes, count: int, auditctl: str) -> bytes:
    """The unit that arms the watches; `rules` is what rules_text() gave, `count` the number of all our rules.

    A script that was started before a run of the role changed the rules would wait in vain for the old ones: it
    ends when the file is not the one it was made for.
    """
    script = _SCRIPT.format(
        run=RUN_DIR,
        armed=ARMED,
        turn=TURN,
        rules=RULES_PATH,
        digest=sha256(rules).hexdigest(),
        prefix="key=twinguard_",
        count=count,
        auditctl=auditctl,
    )
    command = " ".join(["/bin/sh -c", _quoted(script), NAME, *map(_quoted, anchors(watches))])
    return _unit(
        f"""\
# {HEADER}[Unit]
Description=Arm the audit watches of twinguard.hardening anew
After=auditd.service
ConditionSecurity=audit
StartLimitIntervalSec=0

[Service]
Type=oneshot
ExecStart={command}
"""
    )


def path_unit(watches: Sequence[Watch]) -> bytes:
    """The unit that starts it when something changes beside a watched place."""
    parents = sorted({one.rpartition("/")[0] or "/" for one in anchors(watches)})
    paths = "".join(f"PathChanged={_specified(parent)}\n" for parent in parents)
    return _unit(
        f"""\
# {HEADER}[Unit]
Description=See when directories with audit watches of twinguard.hardening are replaced
ConditionSecurity=audit
StartLimitIntervalSec=0

[Path]
{paths}TriggerLimitIntervalSec=0

[Install]
WantedBy=multi-user.target
"""
    )


def _unit(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _specified(text: str) -> str:
    return text.replace("%", "%%")


def _quoted(text: str) -> str:
    """One argument of an Exec line; systemd reads C escapes, specifiers and variables in it."""
    text = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return '"' + _specified(text).replace("$", "$$") + '"'
