# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys stay where they belong: nothing that a run prints, logs, starts or leaves behind shows one.

Every run of the role in every test is searched for keys as well (see `play` in tests/support/lab.py).
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import subprocess
from typing import Any, Iterator

import gateway_lab
import host_link
import lab
import pytest

GATEWAY = "tgm-gateway-13"
WRITTEN_TO = "/etc /var /tmp /root /run /home /usr/local /dev/shm"
REWRITES = 1000


@pytest.fixture(scope="module", autouse=True)
def restored_after() -> Iterator[None]:
    """Puts the policy of the scenario back after all of these tests."""
    yield
    gateway_lab.apply().expect_success()


def digests() -> list[str]:
    """What the gateway holds in place of the keys."""
    names = sorted(path.name for path in lab.KEYS.iterdir())
    hashed = [hashlib.md5(lab.key(name).encode(), usedforsecurity=False).digest() for name in names]
    return [base64.urlsafe_b64encode(one).decode().rstrip("=") for one in hashed]


def with_key(key: Any) -> dict[str, Any]:
    """The policy with one more client that has this entry among its keys."""
    return {"clients": [*lab.policy()["clients"], {"id": "added", "tier": "slow", "keys": [key]}]}


def outcomes() -> dict[str, tuple[dict[str, Any], list[str], int, str]]:
    """Policy, arguments, wanted exit code and the new key of a run, by the name of its outcome."""
    new = secrets.token_urlsafe(32)
    unresolvable = {"upstreams": [{"name": "pump", "servers": ["no-such-host.invalid:8000"]}]}
    return {
        "nothing to do": ({}, [], 0, ""),
        "key added": (with_key({"key": new}), [], 0, new),
        "key added in check mode": (with_key({"key": new}), ["--check", "--diff"], 0, new),
        "key added with a diff": (with_key({"key": new}), ["--diff"], 0, new),
        "refused by nginx": ({**with_key({"key": new}), **unresolvable}, ["--diff"], 2, new),
        "refused: key as a bare string": (with_key(new), [], 2, new),
        "refused: option misspelt": (with_key({"kye": new}), [], 2, new),
        "refused: key beside its hash": (with_key({"key": new, "key_hash": "x"}), [], 2, new),
        "refused: bad date": (with_key({"key": new, "not_after": "soon"}), [], 2, new),
        "refused: forbidden character in the key": (with_key({"key": new + " "}), [], 2, new),
        "refused: key in two clients": (
            with_key({"key": "{{ lookup('file', test_keys ~ '/acme') }}"}),
            [],
            2,
            "",
        ),
    }


# Full output and bare output; what lies between prints a part of the full one.
@pytest.mark.parametrize(
    ("name", "verbosities"),
    [
        ("nothing to do", ("-vvvv",)),
        ("key added", ("", "-v", "-vvvv")),
        ("key added in check mode", ("-vv",)),
        ("key added with a diff", ("-vvv",)),
        ("refused by nginx", ("", "-vvvv")),
        ("refused: key as a bare string", ("-vvvv",)),
        ("refused: option misspelt", ("-vvvv",)),
        ("refused: key beside its hash", ("-vvvv",)),
        ("refused: bad date", ("-vvvv",)),
        ("refused: forbidden character in the key", ("-vvvv",)),
        ("refused: key in two clients", ("-vvvv",)),
    ],
)
def test_no_run_shows_a_key(name: str, verbosities: tuple[str, ...]) -> None:
    for verbosity in verbosities:
        policy, arguments, code, new = outcomes()[name]
        forms = lab.all_forms() + (lab.forms_of(new) if new else [])
        more = [verbosity] if verbosity else []
        cursor = lab.shell(GATEWAY, "journalctl -n 0 --show-cursor").strip().rpartition(" ")[2]
        # A run that is refused before it reaches the host writes nothing: this line proves that the journal is read.
        lab.shell(GATEWAY, "echo the run begins | systemd-cat")
        with lab.watched(forms, GATEWAY, ""):
            run = lab.converge(
                "--limit",
                GATEWAY,
                *arguments,
                *more,
                callback="ansible.builtin.default",
                # The certificate is there. To look after it is a call of its own, which knows no key.
                self_signed=False,
                **policy,
            )
        assert run.code == code, run.story()
        lab.expect_hidden(run.stdout + run.stderr, [*forms, *digests()], f"output with {more}")
        journal = lab.shell(GATEWAY, f"journalctl --no-pager -o export --after-cursor='{cursor}'")
        assert "MESSAGE=the run begins" in journal
        lab.expect_hidden(journal, [*forms, *digests()], "journal")
        search = f"grep -rlaF -f /dev/stdin {WRITTEN_TO} || [ $? -le 2 ]"
        assert lab.shell(GATEWAY, search, stdin="\n".join(forms) + "\n") == ""


def test_no_digest_of_a_key_lies_outside_the_one_secret_file() -> None:
    """It is of no use without the key, but whoever reads it could try guesses against it."""
    found = lab.shell(
        GATEWAY, f"grep -rlaF -f /dev/stdin {WRITTEN_TO} || true", stdin="\n".join(digests()) + "\n"
    )
    places = found.split()
    assert len(places) == 1, places
    assert lab.shell(GATEWAY, f"stat -c %a:%U:%G {places[0]}") == "600:root:root\n"


def test_no_key_is_in_any_log_after_all_that_was_asked(gateway: str) -> None:
    """Logs hold what the tests before this one sent, keys in query strings among them."""
    count = lab.shell(gateway, "cat /var/log/twinguard/*.log* | wc -l")
    assert int(count) > 0
    search = "grep -rlaF -f /dev/stdin /var/log || [ $? = 1 ]"
    assert lab.shell(gateway, search, stdin="\n".join(lab.all_forms()) + "\n") == ""


def test_an_unprivileged_reader_never_gets_the_clients_file_while_it_is_changed() -> None:
    roots = ["/etc/nginx", "/var/lib/twinguard", "/tmp", "/var/tmp", "/root", "/run"]
    reader = lab.Helper(GATEWAY, "secret_watch.py", digests(), "files", *roots)
    clients = lab.policy()["clients"]
    lab.converge("--limit", GATEWAY, clients=clients[:-1]).expect_success()
    lab.converge("--limit", GATEWAY, clients=clients).expect_success()
    report = reader.result()
    assert report["found"] == []
    assert report["sweeps"] > 10
    assert report["looked"] > 100


def test_an_unprivileged_reader_never_wins_the_race_in_a_thousand_rewrites(gateway: str) -> None:
    lab.shell(gateway, "mkdir -p /srv/window/files; echo open > /srv/window/files/control")
    secret = secrets.token_hex(16)
    reader = lab.Helper(gateway, "secret_watch.py", [secret], "files", "/srv/window")
    program = (lab.SUPPORT / "rewrite.py").read_text(encoding="utf-8")
    writer = [
        "env",
        f"PYTHONPATH={host_link.modules_of(gateway)}",
        "python3",
        "-c",
        program,
        "/srv/window/state",
        "/srv/window/files/clients.conf",
        str(REWRITES),
    ]
    subprocess.run(lab.exec_in(gateway, *writer), input=secret, text=True, check=True, timeout=300)
    report = reader.result()
    written = lab.shell(gateway, "cat /srv/window/files/clients.conf; rm -r /srv/window")
    assert written == f"{secret} {REWRITES - 1}\n"
    assert report["found"] == []
    # It did look: each sweep opens the control file beside the secret one.
    assert report["looked"] >= report["sweeps"] > 100


def test_the_json_report_of_a_run_holds_no_key() -> None:
    new = secrets.token_urlsafe(32)
    run = lab.converge("--limit", GATEWAY, "--diff", **with_key({"key": new})).expect_success()
    assert run.changed == {GATEWAY: 1}
    forms = [*lab.all_forms(), *lab.forms_of(new), *digests()]
    lab.expect_hidden(json.dumps(run.results), forms, "JSON report")
