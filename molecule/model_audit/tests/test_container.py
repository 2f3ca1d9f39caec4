# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""On a host whose kernel gives no audit the files are in place, and nothing claims that anything is watched."""

from __future__ import annotations

from typing import Any

import audit_lab
import lab
from audit_lab import HOSTS

FOREIGN = "/etc/audit/rules.d/50-site.rules"
FOREIGN_RULE = "-w /etc/passwd -p wa -k identity"
MODULES_MAX = 3


def bad_policies() -> dict[str, tuple[dict[str, Any], list[str]]]:
    """Changes to the policy that must be refused, and words that the sentence must hold."""
    good = {"path": "/srv/models", "key": "twinguard_models"}

    def watch(**changes: Any) -> dict[str, Any]:
        return {"watches": [{**good, **changes}]}

    return {
        "relative path": (watch(path="srv/models"), ["path", "srv/models"]),
        "path with ..": (watch(path="/srv/../etc"), ["path", "/srv/../etc"]),
        "the root": (watch(path="/"), ["path", "'/'"]),
        "glob": (watch(path="/srv/models/*.bin"), ["path", "*.bin"]),
        "missing parent": (watch(path="/nowhere/models"), ["path", "/nowhere"]),
        "unknown permission": (watch(permissions="rwz"), ["permissions", "rwz"]),
        "key too long": (watch(key="twinguard_" + "k" * 22), ["key", "31"]),
        "key without prefix": (watch(key="models"), ["key", "models", "twinguard_"]),
        "contradictory watches": (
            {"watches": [good, {**good, "permissions": "w"}]},
            ["watches", "/srv/models"],
        ),
        "reader that is nobody": (watch(allowed_readers=[{}]), ["allowed_readers"]),
        "user that is not there": (
            watch(allowed_readers=[{"user": "no-such-user"}]),
            ["user", "no-such-user"],
        ),
        "unknown setting of auditd": ({"auditd": {"max_log_flie": 8}}, ["auditd", "max_log_flie"]),
        "impossible setting of auditd": (
            {"auditd": {"disk_full_action": "explode"}},
            ["disk_full_action", "explode"],
        ),
    }


def test_a_second_run_changes_nothing_and_starts_few_modules() -> None:
    run = audit_lab.converge().expect_success()
    assert run.changed == dict.fromkeys(HOSTS, 0)
    for name in HOSTS:
        modules = [one for one in run.results[name] if "invocation" in one or "controls" in one]
        assert len(modules) <= MODULES_MAX


def test_every_control_says_that_this_kernel_gives_no_audit(server: str) -> None:
    controls = audit_lab.result(audit_lab.apply([server], check=True).expect_success(), server)[
        "controls"
    ]
    ids = {one["id"] for one in controls}
    assert {"audit.rules", "audit.visibility", "audit.canary", "audit.daemon"} <= ids
    assert {one["status"] for one in controls} == {"not_applicable"}
    assert all("kernel" in one["reason"] for one in controls), controls


def test_the_daemon_is_installed_and_left_alone(server: str) -> None:
    host = lab.host_of(server)
    assert host.package("auditd").is_installed
    assert not host.service("auditd").is_running


def test_the_next_boot_would_load_our_rules_in_their_order(server: str) -> None:
    ours = [line for line in audit_lab.loaded_at_boot(server) if "twinguard_" in line]
    models = [line for line in ours if "/srv/models" in line and "arch=b64" in line]
    actions = [line.split()[1] for line in models]
    assert sorted(set(actions)) == ["always,exit", "never,exit"]
    hiding = next(n for n, line in enumerate(models) if "never,exit" in line)
    assert any("perm=r" in line and "always,exit" in line for line in models[hiding + 1 :])
    assert "-b 4096" in audit_lab.loaded_at_boot(server)


def test_rules_of_others_survive_and_what_we_no_longer_want_goes(
    server: str, restored: None
) -> None:
    lab.write(server, FOREIGN, FOREIGN_RULE + "\n")
    try:
        run = audit_lab.apply([server], watches=audit_lab.watches()[:1]).expect_success()
        assert run.changed[server] == 1
        loaded = audit_lab.loaded_at_boot(server)
        assert FOREIGN_RULE in loaded
        assert not [line for line in loaded if "twinguard_keys" in line]
    finally:
        lab.shell(server, f"rm -f {FOREIGN}")


def test_what_others_set_in_auditd_conf_survives(server: str, restored: None) -> None:
    lab.shell(server, "sed -i 's/^name_format.*/name_format = HOSTNAME/' /etc/audit/auditd.conf")
    lab.shell(server, "sed -i 's/^num_logs.*/num_logs = 3/' /etc/audit/auditd.conf")
    run = audit_lab.apply([server], auditd={"num_logs": 7}).expect_success()
    assert run.changed[server] == 1
    settings = lab.shell(server, "cat /etc/audit/auditd.conf").splitlines()
    assert "name_format = HOSTNAME" in settings
    assert [line.split()[-1] for line in settings if line.startswith("num_logs")] == ["7"]


def test_the_daemon_itself_takes_every_setting_before_it_finds_no_kernel(server: str) -> None:
    """It reads its settings first, stops at the first that it does not take, and says which."""
    said = lab.shell(server, "auditd -f 2>&1 || true").splitlines()
    for line in lab.shell(server, "grep -v '^#' /etc/audit/auditd.conf").splitlines():
        name, _equals, value = line.partition(" = ")
        if name in ("num_logs", "disk_full_action", "admin_space_left_action"):
            assert f"{name}_parser called with: {value}" in said
    # What it gives up on is this container.
    assert said[-2].startswith(("You must be root", "Cannot change priority")), said[-3:]


def test_each_policy_that_cannot_be_is_refused_in_one_sentence_and_nothing_changes() -> None:
    before = {host: audit_lab.state_of(host) for host in HOSTS}
    for name, (changes, words) in bad_policies().items():
        run = audit_lab.refuse(changes)
        for host in HOSTS:
            sentence = run.failure(host)
            assert "\n" not in sentence.strip(), (name, sentence)
            assert not [word for word in words if word not in sentence], (name, sentence)
    for host in HOSTS:
        assert audit_lab.state_of(host) == before[host]
