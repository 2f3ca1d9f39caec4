# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever somebody changes by hand, in the kernel or in a file, is reported by a check and put back by a run.

Debian 12 and 13 differ in augenrules, in the units of systemd and in the configuration of auditd, so all harm together
is tried on both; each alone, the order of the rules, which the kernel keeps, and refused options on one.
"""

from __future__ import annotations

from typing import List

import pytest
from vm_lab import Machine

RULES = "/etc/audit/rules.d/zz-twinguard.rules"
MODEL = "/srv/models/pump/weights.bin"
AS_SERVER = "setpriv --reuid modelsrv --regid modelsrv --clear-groups"


def kernel(machine: Machine, key: str = "") -> List[str]:
    """The rules with this in them that the kernel holds, in its order."""
    lines = machine.sh("auditctl -l").splitlines()
    return [line for line in lines if key in line]


def test_a_run_that_changes_nothing_says_so_and_leaves_nothing_behind(machine: Machine):
    before = kernel(machine)
    files = machine.sh("find /etc/audit /etc/systemd/system /srv -printf '%p %m %T@\\n' | sort")
    check, result = machine.watch(check=True), machine.watch()
    assert not check.changed, check.data.get("diff")
    assert not result.changed, result.data.get("diff")
    assert kernel(machine) == before
    again = machine.sh("find /etc/audit /etc/systemd/system /srv -printf '%p %m %T@\\n' | sort")
    # The canaries come and go, which the directories they were in show.
    watched = ("/srv/models ", "/srv/releases/1 ")
    lines = [
        [line for line in text.splitlines() if not line.startswith(watched)]
        for text in (files, again)
    ]
    assert lines[0] == lines[1]
    for path in ("/srv/models", "/srv/current", "/etc/twinguard-model.conf"):
        assert result.status("audit.visibility", path) == "pass"
        assert result.status("audit.canary", path) == "pass"
    # Nothing is read by making a file, so the watch for execution is not tried; the kernel is open to io_uring.
    expected = ("audit.coverage io_uring", "audit.canary /opt/tools")
    assert [one for one in result.open() if not one.startswith(expected)] == []


GONE = "no auditd"
HARM = {
    "rules of one watch deleted": "auditctl -D -k twinguard_conf",
    "all rules deleted": "auditctl -D",
    "file deleted": f"rm {RULES}; augenrules",
    "line deleted from the file": f"sed -i /twinguard_conf/d {RULES}",
    "not loaded at boot": "sed -i /twinguard/d /etc/audit/audit.rules",
    "rule with our key that nobody asked for": (
        "auditctl -a always,exit -F arch=b64 -F path=/etc/passwd -F perm=r -k twinguard_old"
    ),
    "audit switched off": "auditctl -e 0",
    "room for few records": "auditctl -b 64",
    GONE: "pid=$(pidof auditd); kill $pid; tail --pid=$pid --sleep-interval=0.2 -f /dev/null",
    "no auditd after boot": "systemctl disable auditd",
    "auditd.conf": "sed -i 's/^num_logs.*/num_logs = 1/' /etc/audit/auditd.conf",
    "nothing arms anew": "systemctl stop twinguard-audit-rearm.path",
    "nothing arms anew after boot": "systemctl disable twinguard-audit-rearm.path",
}


@pytest.mark.parametrize("name", HARM)
def test_what_was_changed_by_hand_is_reported_repaired_and_then_well(old: Machine, name: str):
    expect_repair(old, HARM[name])


def test_all_of_it_at_once_is_repaired_as_well(machine: Machine):
    expect_repair(machine, "; ".join(harm for name, harm in HARM.items() if name != GONE))
    rows = machine.recorded(f"cat {MODEL}; touch /etc/twinguard-model.conf")
    assert [row["rule_keys"] for row in rows] == [["twinguard_models"], ["twinguard_conf"]]


def foreign_rules(machine: Machine, command: str) -> List[str]:
    """The rules of others in the kernel, after this command."""
    return [one for one in machine.sh(f"{command}; auditctl -l").splitlines() if "somebody" in one]


def expect_repair(machine: Machine, harm: str) -> None:
    """After the harm a check tells it, a run does what the check foretold, and the next has nothing to do."""
    more = "/etc/hosts -p wa -k somebody_more"
    # When auditd starts it loads the files itself, and rules of others that are in no file go.
    new = ":" if harm == HARM[GONE] else f"auditctl -w {more} 2>/dev/null"
    foreign = foreign_rules(machine, f"(set +e; {harm}) >/dev/null 2>&1 || true; {new}")
    check = machine.watch(check=True)
    assert check.changed, check.said
    run = machine.watch()
    assert run.changed
    assert run.data["diff"] == check.data["diff"], "check mode foretold something else"
    again = machine.watch()
    assert not again.changed, again.data["diff"]
    assert [
        one for one in again.open() if one.startswith(("audit.rules", "audit.visibility"))
    ] == []
    # What others left in the kernel is still there, as it was.
    assert foreign_rules(machine, ":") == foreign
    machine.attempt(f"set +e; auditctl -W {more}; auditctl -R /etc/audit/rules.d/50-somebody.rules")


def test_rules_out_of_order_are_put_back_in_order(old: Machine):
    script = "auditctl -l | grep twinguard_models > /root/rules; tac /root/rules > /root/turned; "
    script += "(sed s/^-a/-d/ /root/rules; cat /root/turned) > /root/all; auditctl -R /root/all"
    old.sh(f"{script} >/dev/null 2>&1")
    # Now the general rule comes before the exception.
    assert len(old.recorded(f"{AS_SERVER} cat {MODEL}")) == 1
    check = old.watch(check=True)
    assert check.changed
    assert "out of order" in check.control("audit.rules")["reason"]
    assert old.watch().changed
    assert old.recorded(f"{AS_SERVER} cat {MODEL}") == []


def test_what_others_wrote_in_the_configuration_of_auditd_stays(machine: Machine):
    conf = "/etc/audit/auditd.conf"
    machine.sh(
        f"sed -i 's/^max_log_file = .*/# mine\\nmax_log_file = 3/; s/^freq .*/freq = 77/' {conf}"
    )
    assert machine.watch().changed
    text = machine.sh(f"cat {conf}")
    assert "# mine\n" in text
    assert "freq = 77\n" in text
    assert "max_log_file = 50\n" in text
    pid = machine.sh("pidof auditd")
    assert machine.watch().data["kernel"]["pid"] == int(pid)


def test_the_rules_of_somebody_else_are_loaded_at_boot_as_before(machine: Machine):
    assert machine.sh("cat /etc/audit/rules.d/50-somebody.rules").startswith("-w /etc/shadow")
    joined = machine.sh("cat /etc/audit/audit.rules")
    assert "-w /etc/shadow -p wa -k somebody_else" in joined
    assert joined.index("somebody_else") < joined.index("twinguard_")


def test_bad_options_change_nothing(old: Machine):
    before = kernel(old), old.sh("cat /etc/audit/rules.d/*")
    for path in ("/srv/mod*", "/srv/none/at/all", "/srv/../srv/models", "/", "srv/models"):
        watches = [{"path": path, "key": "twinguard_bad"}]
        result = old.watch(watches=watches, may_fail=True)
        assert result.failed
        assert path in result.data["msg"]
        assert "\n" not in result.data["msg"]
    assert (kernel(old), old.sh("cat /etc/audit/rules.d/*")) == before
