# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens to a host between two runs, and hosts that are unlike the others."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Iterator

import gateway_lab
import lab
import pytest

GATEWAYS = ("tgm-gateway-12", "tgm-gateway-13")
CERTIFICATE = "/etc/ssl/certs/twinguard-test.pem"
PRIVATE_KEY = "/etc/ssl/private/twinguard-test.key"
RENEW = f"""openssl req -x509 -new -key {PRIVATE_KEY} -days 30 -subj /CN=renewed \
-addext subjectAltName=DNS:{lab.SERVER_NAME} -out {CERTIFICATE}.new
cat {CERTIFICATE}.new > {CERTIFICATE}; rm {CERTIFICATE}.new"""
SERVED = f"""openssl s_client -connect 127.0.0.1:443 -servername {lab.SERVER_NAME} </dev/null 2>/dev/null \
| openssl x509 -noout -fingerprint -sha256"""
ON_DISK = f"openssl x509 -noout -fingerprint -sha256 -in {CERTIFICATE}"
BARE_PLAY = """- hosts: "{{ bare }}"
  gather_facts: false
  vars_files: ["{{ bare_policy }}"]
  roles:
    - role: twinguard.hardening.model_gateway
"""


def everywhere(command: str) -> dict[str, str]:
    return {name: lab.shell(name, command) for name in GATEWAYS}


def test_a_renewed_certificate_is_served_after_the_next_run() -> None:
    everywhere(f"cp -p {CERTIFICATE} /root/kept.pem")
    try:
        everywhere(RENEW)
        assert all(everywhere(SERVED)[name] != everywhere(ON_DISK)[name] for name in GATEWAYS)
        assert gateway_lab.apply().expect_success().changed == dict.fromkeys(GATEWAYS, 1)
        assert everywhere(SERVED) == everywhere(ON_DISK)
        assert gateway_lab.apply().expect_success().changed == dict.fromkeys(GATEWAYS, 0)
    finally:
        everywhere(f"cat /root/kept.pem > {CERTIFICATE}; rm /root/kept.pem")
        gateway_lab.apply().expect_success()


def test_an_edit_that_was_loaded_and_put_back_is_no_longer_served_after_the_next_run() -> None:
    """The files are right again and the marker never changed, yet nginx serves what was edited."""
    edit = """cd /etc/nginx/twinguard/gateway-*; cp -p server.conf /root/server.conf
sed -i 's/"not_found"/"edited"/' server.conf; nginx -s reload 2>/dev/null
until curl -sk --resolve {name}:443:127.0.0.1 https://{name}/nowhere | grep -q edited; do sleep 0.1; done
cat /root/server.conf > server.conf; rm /root/server.conf""".replace("{name}", lab.SERVER_NAME)
    everywhere(edit)
    assert gateway_lab.apply().expect_success().changed == dict.fromkeys(GATEWAYS, 1)
    for name in GATEWAYS:
        assert "not_found" in lab.ask(name, {"path": "/nowhere"}).only["body"]
    assert gateway_lab.apply().expect_success().changed == dict.fromkeys(GATEWAYS, 0)


def test_an_absent_gateway_is_gone_with_all_its_files_and_nginx_runs_on(restored: None) -> None:
    assert lab.converge(state="absent").expect_success().changed == dict.fromkeys(GATEWAYS, 1)
    left = everywhere(
        "ls -d /etc/nginx/conf.d/twinguard-* /etc/nginx/twinguard/gateway-* /etc/logrotate.d/twinguard-* "
        "2>/dev/null || true; systemctl is-active nginx"
    )
    assert left == dict.fromkeys(GATEWAYS, "active\n")
    refused = everywhere("curl -sk --max-time 5 https://127.0.0.1/ || echo refused")
    assert refused == dict.fromkeys(GATEWAYS, "refused\n")
    again = gateway_lab.apply(state="absent").expect_success()
    assert again.changed == dict.fromkeys(GATEWAYS, 0)


def test_an_nginx_that_was_removed_is_predicted_as_missing_and_installed_again() -> None:
    everywhere("apt-get -qq remove -y nginx >/dev/null")
    predicted = lab.converge("--check").expect_success()
    for name in GATEWAYS:
        first = predicted.gateway(name)["controls"][0]
        assert (first["id"], first["status"]) == ("gateway.in_force", "fail")
        assert "not installed" in first["reason"]
    lab.converge().expect_success()
    assert [lab.ask(name, {"path": "/healthz"}).statuses for name in GATEWAYS] == [[200], [200]]


@pytest.fixture
def bare() -> Iterator[str]:
    """A container in which no systemd is in charge; its label lets the sweep of the tools find it."""
    host = "tgm-bare"
    name = lab.container_of(host)
    label = "owner=twinguard-molecule-" + name.rsplit("-", 1)[-1]
    image = ("localhost/" if lab.ENGINE == "podman" else "") + "twinguard/debian13:base"
    words = ["run", "--detach", "--rm", "--init", "--name", name, "--label", label, image]
    subprocess.run([lab.ENGINE, *words, "sleep", "infinity"], check=True, capture_output=True)
    yield host
    subprocess.run([lab.ENGINE, "rm", "--force", name], check=True, capture_output=True)


def test_without_systemd_nginx_is_started_reloaded_and_proven_all_the_same(
    bare: str, tmp_path: Path
) -> None:
    policy = str(lab.ROOT / "molecule" / "model_gateway" / "policy.yml")
    # This inventory knows no checkout to compute the name and the place of the keys from.
    own = {"ansible_host": lab.container_of(bare), "test_keys": str(lab.KEYS)}
    variables = {"bare": bare, "bare_policy": policy, **own}
    playbook = tmp_path / "bare.yml"
    playbook.write_text(BARE_PLAY, encoding="utf-8")

    def converge(**more: bool) -> lab.Run:
        return gateway_lab.apply([bare], **more).expect_success()

    run = lab.play(playbook, variables, "-i", f"{bare},", "-l", bare)
    run.expect_success()
    assert converge().changed == {bare: 0}
    address = f"{lab.SERVER_NAME}:443:127.0.0.1"
    url = f"https://{lab.SERVER_NAME}/v1/predict"
    asked = lab.shell(bare, f"curl -sk --resolve {address} -o /dev/null -w '%{{http_code}}' {url}")
    assert asked == "401"
    limited = converge(dry_run=True)
    assert limited.changed == {bare: 1}
    assert converge(dry_run=True).changed == {bare: 0}
