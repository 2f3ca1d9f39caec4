# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes, broken changes and broken hosts: the old service answers all the time, red stays red until it is mended."""

from __future__ import annotations

import re
import shutil
from contextlib import AbstractContextManager
from itertools import count
from pathlib import Path
from typing import Any, Callable, Iterator

import gateway_lab
import lab
import pytest

_rates = count(11)
GATEWAYS = ("tgm-gateway-12", "tgm-gateway-13")
Unbroken = Callable[[], AbstractContextManager[None]]
STATE = "/var/lib/twinguard/nginx-gateway"
FOREIGN = "/etc/nginx/conf.d/foreign.conf"
FOREIGN_SERVER = f"""server {{
    listen 443 ssl;
    server_name {lab.SERVER_NAME};
    ssl_certificate /etc/ssl/certs/twinguard-test.pem;
    ssl_certificate_key /etc/ssl/private/twinguard-test.key;
}}
"""
BROKEN_BY_OTHERS = "no_such_directive on;\n"
LISTENER = "import socket, time; s = socket.create_server(('0.0.0.0', 9443)); time.sleep(600)"
LISTEN = f"""systemd-run -q --unit test-listener python3 -c "{LISTENER}"
until ss -ltn | grep -q :9443; do sleep 0.1; done"""


def everywhere(command: str) -> dict[str, str]:
    return {name: lab.shell(name, command) for name in GATEWAYS}


def generations() -> dict[str, str]:
    """What nginx itself says it serves."""
    return everywhere("curl -sf http://127.0.0.1:8179/twinguard/gateway")


def put_foreign(content: str) -> None:
    for name in GATEWAYS:
        lab.write(name, FOREIGN, content)


def changed_tiers() -> dict[str, Any]:
    """Tiers as no test before had them, so that no test needs the policy of the scenario back first."""
    tiers = lab.policy()["tiers"]
    return {**tiers, "standard": {**tiers["standard"], "rate": f"{next(_rates)}r/s"}}


@pytest.fixture(scope="module", autouse=True)
def restored_after() -> Iterator[None]:
    """Puts the policy of the scenario back after all of these tests."""
    yield
    gateway_lab.apply().expect_success()


@pytest.fixture
def mended() -> Iterator[None]:
    """Removes what these tests break."""
    yield
    everywhere(f"rm -f {FOREIGN}; systemctl stop test-listener 2>/dev/null || true")
    if any(
        everywhere(
            "if [ -e /root/hosts ]; then cat /root/hosts > /etc/hosts; rm /root/hosts; echo mended; fi"
        ).values()
    ):
        # The name is gone again, so what is in force could not be started anew.
        gateway_lab.apply().expect_success()


def test_no_request_fails_while_rates_and_keys_change(unbroken: Unbroken) -> None:
    clients = lab.policy()["clients"]
    before = generations()
    with unbroken():
        rates = gateway_lab.apply(tiers=changed_tiers()).expect_success()
        keys = gateway_lab.apply(
            clients=[one for one in clients if one["id"] != "turtle"]
        ).expect_success()
        back = gateway_lab.apply().expect_success()
    for run in (rates, keys, back):
        assert run.changed == dict.fromkeys(GATEWAYS, 1)
    assert generations() == before


def test_a_revoked_client_is_out_at_once() -> None:
    request = lab.bearing(lab.key("turtle"))
    assert [lab.ask(name, request, source="127.104.0.1").statuses for name in GATEWAYS] == [
        [200],
        [200],
    ]
    gateway_lab.apply(
        clients=[one for one in lab.policy()["clients"] if one["id"] != "turtle"]
    ).expect_success()
    assert [lab.ask(name, request, source="127.104.0.1").statuses for name in GATEWAYS] == [
        [401],
        [401],
    ]


# name: (break it, the policy to run or {} for any change, mend it, what the sentence must say)
BROKEN: dict[str, tuple[Callable[[], object], dict[str, Any], Callable[[], object], str]] = {
    "upstream that does not resolve": (
        lambda: None,
        {"upstreams": [{"name": "pump", "servers": ["no-such-host.invalid:8000"]}]},
        lambda: everywhere(
            "cp /etc/hosts /root/hosts && echo 127.0.0.1 no-such-host.invalid >> /etc/hosts"
        ),
        r"no-such-host\.invalid",
    ),
    "server name that another file has": (
        lambda: put_foreign(FOREIGN_SERVER),
        {},
        lambda: everywhere(f"rm {FOREIGN}"),
        re.escape(lab.SERVER_NAME),
    ),
    "port that another program has": (
        lambda: everywhere(LISTEN),
        {"listen": [{"address": "0.0.0.0", "port": 443}, {"address": "0.0.0.0", "port": 9443}]},
        lambda: everywhere("systemctl stop test-listener"),
        r"9443",
    ),
    # It is mended only if the file is still there as it was put.
    "configuration that somebody else broke": (
        lambda: put_foreign(BROKEN_BY_OTHERS),
        {},
        lambda: everywhere(f"grep -qx '{BROKEN_BY_OTHERS.strip()}' {FOREIGN} && rm {FOREIGN}"),
        r"foreign\.conf:1",
    ),
}


@pytest.mark.parametrize("name", sorted(BROKEN))
def test_a_broken_change_stays_red_and_the_old_service_answers_until_it_is_mended(
    name: str, unbroken: Unbroken, mended: None
) -> None:
    break_it, policy, mend_it, sentence = BROKEN[name]
    policy = policy or {"tiers": changed_tiers()}
    before = generations()
    with unbroken():
        break_it()
        for _attempt in range(2):
            run = gateway_lab.apply(**policy).expect_failure(GATEWAYS)
            for host in GATEWAYS:
                assert re.search(sentence, run.failure(host)), run.failure(host)
                assert "Traceback" not in run.failure(host)
            assert generations() == before
        mend_it()
        assert gateway_lab.apply(**policy).expect_success().changed == dict.fromkeys(GATEWAYS, 1)
        after = generations()
    assert all(after[host] != before[host] for host in GATEWAYS)
    everywhere("nginx -t")


def test_a_changed_zone_key_takes_effect_or_fails(tmp_path: Path, unbroken: Unbroken) -> None:
    """nginx calls a reload with a new key under an old zone name a success, and ignores all of it."""
    own = tmp_path / "templates"
    own.mkdir()
    built_in = lab.ROOT / "roles" / "model_gateway" / "templates" / "limits.conf.j2"
    zone = own / "limits.conf.j2"
    shutil.copy(built_in, zone)
    with zone.open("a", encoding="utf-8") as text:
        text.write("\nlimit_req_zone $binary_remote_addr zone=tg_own:1m rate=1r/s;\n")
    gateway_lab.apply(templates=str(own)).expect_success()
    before = generations()
    zone.write_text(
        zone.read_text(encoding="utf-8").replace(
            "$binary_remote_addr zone=tg_own", "$server_name zone=tg_own"
        )
    )
    with unbroken():
        for _attempt in range(2):
            run = gateway_lab.apply(templates=str(own)).expect_failure(GATEWAYS)
            for host in GATEWAYS:
                assert "tg_own" in run.failure(host), run.failure(host)
            assert generations() == before


def test_a_stopped_nginx_is_repaired_by_the_next_run() -> None:
    everywhere("systemctl stop nginx")
    run = gateway_lab.apply().expect_success()
    assert run.changed == dict.fromkeys(GATEWAYS, 1)
    assert [lab.ask(name, {"path": "/healthz"}).statuses for name in GATEWAYS] == [[200], [200]]
    assert gateway_lab.apply().expect_success().changed == dict.fromkeys(GATEWAYS, 0)


def test_files_that_nginx_does_not_serve_yet_are_put_in_force() -> None:
    """As after a run that was killed between its last write and the reload: the files are right, nginx is not."""
    wanted = changed_tiers()
    gateway_lab.apply(tiers=wanted).expect_success()
    expected = generations()
    everywhere("cp -a /etc/nginx /root/nginx.kept")
    gateway_lab.apply(tiers=changed_tiers()).expect_success()
    everywhere("cp -a /root/nginx.kept/. /etc/nginx/; rm -r /root/nginx.kept")
    assert all(generations()[name] != expected[name] for name in GATEWAYS)
    run = gateway_lab.apply(tiers=wanted).expect_success()
    assert run.changed == dict.fromkeys(GATEWAYS, 1)
    assert generations() == expected


def test_a_masked_nginx_is_refused_in_a_sentence() -> None:
    everywhere("systemctl stop nginx; systemctl mask -q nginx")
    try:
        run = gateway_lab.apply().expect_failure(GATEWAYS)
    finally:
        everywhere("systemctl unmask -q nginx")
    for name in GATEWAYS:
        assert "masked" in run.failure(name), run.failure(name)
    gateway_lab.apply().expect_success()
    assert [lab.ask(name, {"path": "/healthz"}).statuses for name in GATEWAYS] == [[200], [200]]


FULL_STATE = f"mount -t tmpfs -o size=64k,mode=700 tmpfs {STATE}; dd if=/dev/zero of={STATE}/fill 2>/dev/null || true"
# /etc/nginx itself on a disk without room: a copy of it on a small tmpfs, filled up.
FULL_NGINX = """mkdir -p /mnt/full; mount -t tmpfs -o size=512k,mode=755 tmpfs /mnt/full; cp -a /etc/nginx/. /mnt/full/
mount --bind /mnt/full /etc/nginx; dd if=/dev/zero of=/etc/nginx/fill 2>/dev/null || true"""
READ_ONLY = "mount --bind /etc/nginx /etc/nginx; mount -o remount,bind,ro /etc/nginx"


@pytest.mark.parametrize(
    ("prepare", "undo", "sentence"),
    [
        (FULL_STATE, f"umount {STATE}", r"No space left on device"),
        (FULL_NGINX, "umount /etc/nginx; umount /mnt/full", r"No space left on device"),
        (READ_ONLY, "umount /etc/nginx", r"Read-only file system"),
    ],
    ids=["full disk under the state", "full disk under /etc/nginx", "read-only /etc/nginx"],
)
def test_a_disk_that_takes_nothing_leaves_the_old_state_intact(
    prepare: str, undo: str, sentence: str, unbroken: Unbroken
) -> None:
    before, wanted = generations(), changed_tiers()
    files = "cd /etc; find nginx logrotate.d -type f ! -name fill | sort | xargs sha256sum"
    on_disk = everywhere(files)
    with unbroken():
        everywhere(prepare)
        try:
            run = gateway_lab.apply(tiers=wanted).expect_failure(GATEWAYS)
            during = everywhere(files)
        finally:
            everywhere(undo)
        for name in GATEWAYS:
            assert re.search(sentence, run.failure(name)), run.failure(name)
            assert "Traceback" not in run.failure(name)
        assert during == on_disk
        assert everywhere(files) == on_disk
        assert generations() == before
        gateway_lab.apply(tiers=wanted).expect_success()
