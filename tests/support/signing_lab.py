# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The workstations as the behaviour tests see them: run the module, commit as somebody, ask git."""

from __future__ import annotations

import shlex
from typing import Any, Dict, List, Sequence

import lab
import yaml
from role_task import run_module

SCENARIO = lab.ROOT / "molecule" / "git_signing"
HOSTS = ("tgm-work-12", "tgm-work-13")
SIGNERS = "/etc/twinguard/git/allowed_signers"
REVOKED = "/etc/twinguard/git/revoked_keys"
AGENT = "/run/bob-agent/socket"


def policy() -> List[Dict[str, Any]]:
    """The identities of the scenario."""
    text = (SCENARIO / "policy.yml").read_text(encoding="utf-8")
    return list(yaml.safe_load(text)["git_signing_identities"])


def identity(user: str, **changes: Any) -> Dict[str, Any]:
    """The identity of a user in the scenario's policy, with changes."""
    return {**next(one for one in policy() if one.get("user") == user), **changes}


def converge(*arguments: str, **variables: Any) -> lab.Run:
    """Run the scenario's own playbook."""
    return lab.play(SCENARIO / "converge.yml", variables, *arguments)


def once(
    identities: Sequence[Dict[str, Any]],
    hosts: Sequence[str] = HOSTS,
    check: bool = False,
    **more: Any,
) -> lab.Run:
    """Run the module once, on both workstations unless hosts are given."""
    return run_module(hosts, "git_signing", {"identities": list(identities), **more}, check)


def result(run: lab.Run, host: str) -> Dict[str, Any]:
    """What the module returned last on a host."""
    return next(one for one in reversed(run.results[host]) if "controls" in one)


def control(run: lab.Run, host: str) -> Dict[str, Any]:
    """The one finding about an identity."""
    found = [one for one in result(run, host)["controls"] if one["id"] == "git.signing"]
    assert len(found) == 1, found
    return dict(found[0])


def as_user(host: str, user: str, command: str, stdin: str = "") -> str:
    """What a user sees who types this after logging in."""
    return lab.shell(host, f"runuser -u {user} -- sh -lc {shlex.quote('cd && ' + command)}", stdin)


def said_to(host: str, user: str, command: str) -> str:
    """All that a user is told, with the exit code behind it."""
    return as_user(host, user, f"({command}) 2>&1; echo code $?")


def new_commit(host: str, user: str, environment: str = "") -> str:
    """Have a user commit as people do, in a repository of their own; returns its path."""
    place = as_user(host, user, "mktemp -d").strip()
    as_user(
        host,
        user,
        f"git init -q {place} && cd {place} && {environment} git commit -qm x --allow-empty",
    )
    return place


def verdict(host: str, user: str, place: str) -> List[str]:
    """Git's letter, the signer's principal and the key of the last commit there."""
    told = as_user(host, user, f"git -C {place} log -1 --format='%G?|%GS|%GF|%ce'")
    return told.strip().split("|")


def files_of(host: str, *paths: str) -> str:
    """Digest, owner, mode and times of every file below these paths."""
    return lab.shell(
        host,
        f"find {' '.join(paths)} -xdev -printf '%p %m %u %T@ %l ' "
        r"\( -type f -exec sha256sum {} \; -o -printf '\n' \)",
    )
