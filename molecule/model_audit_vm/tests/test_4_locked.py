# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Locked rules: a difference needs a reboot and is never called well; after the reboot all is in force. Comes last."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from vm_lab import Machine, policy

MODEL = "/srv/models/pump/weights.bin"
MORE = {"path": "/srv/releases", "key": "twinguard_releases", "permissions": "rw"}


def test_locked_rules_hold_what_was_asked_until_more_is_asked_and_a_reboot_brings_it(
    both: list[Machine],
):
    with ThreadPoolExecutor() as pool:
        # Each result is asked for, so that no failure is lost.
        list(pool.map(lock_ask_for_more_and_reboot, both))


def lock_ask_for_more_and_reboot(machine: Machine) -> None:
    result = machine.watch(immutable=True)
    assert result.changed
    assert not result.data["reboot_required"]
    assert result.data["kernel"]["enabled"] == 2
    assert result.status("audit.locked") == "pass"
    assert machine.attempt("auditctl -D -k twinguard_models").returncode != 0

    again = machine.watch(immutable=True)
    assert not again.changed
    assert again.status("audit.visibility", "/srv/models") == "pass"

    wanted = [*policy(), MORE]
    for check in (True, False):
        more = machine.watch(immutable=True, watches=wanted, check=check, may_fail=True)
        assert more.data["reboot_required"]
        assert more.status("audit.rules") == "fail"
        assert more.status("audit.visibility", "/srv/releases") == "fail"
        assert more.failed is not check
    # What is in force until then is still seen.
    rows = machine.recorded(f"cat {MODEL}")
    assert [row["rule_keys"] for row in rows] == [["twinguard_models"]]

    machine.reboot()
    assert machine.sh("auditctl -s").startswith("enabled 2")
    after = machine.watch(immutable=True, watches=wanted)
    assert not after.changed, after.data.get("diff")
    assert not after.data["reboot_required"]
    assert after.status("audit.visibility", "/srv/releases") == "pass"
    assert after.status("audit.rules") == "pass"
    rows = machine.recorded(f"cat {MODEL}; cat /srv/releases/1/weights.bin; ls /srv/releases")
    keys = [key for row in rows for key in row["rule_keys"]]
    assert keys == ["twinguard_models", "twinguard_current", "twinguard_releases"]

    opened = machine.watch(immutable=False, watches=wanted, may_fail=True)
    assert opened.data["reboot_required"]
    assert opened.status("audit.locked") == "fail"
