# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller hands files and questions to the target, never a key, and tells the answer by option."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.parsing.dataloader import DataLoader
from ansible.playbook.play_context import PlayContext
from ansible.playbook.task import Task
from ansible.plugins.loader import connection_loader
from ansible.template import Templar

from ansible_collections.twinguard.hardening.plugins.action.nginx_gateway import ActionModule
from ansible_collections.twinguard.hardening.plugins.module_utils._nginx.fileset import desired
from ansible_collections.twinguard.hardening.plugins.module_utils._nginx.spec import ARGUMENT_SPEC
from ansible_collections.twinguard.hardening.plugins.plugin_utils._gateway.keys import digest_of
from ansible_collections.twinguard.hardening.plugins.plugin_utils._gateway.spec import GATEWAY_SPEC
from ansible_collections.twinguard.hardening.tests.unit.support.gateway import GOOD, good, key_of

IN_FORCE = {
    "changed": True,
    "generation": "0123456789abcdef",
    "nginx_version": "1.26.3",
    "controls": [
        {
            "id": "gateway.in_force",
            "resource": "gateway",
            "status": "pass",
            "reason": "served",
            "evidence": {},
        }
    ],
    "probes": [{"id": "key /v1/", "outcome": "401", "met": True, "request_id": "1"}],
    "invocation": {"module_args": {}},
}


class Action(ActionModule):
    """The plugin up to the point where the module would travel to the target."""

    answer: dict[str, Any] = IN_FORCE
    sent: dict[str, Any] | None = None

    def _execute_module(self, **call: Any) -> dict[str, Any]:
        assert call["module_name"] == "twinguard.hardening.nginx_config"
        self.sent = call["module_args"]
        return dict(self.answer)


def action(args: dict[str, Any]) -> Action:
    task, context, loader = Task(), PlayContext(), DataLoader()
    task.action, task.args = "twinguard.hardening.nginx_gateway", args
    connection = connection_loader.get("local", context)
    return Action(task, connection, context, loader, Templar(loader=loader), None)


def run(
    args: dict[str, Any], answer: dict[str, Any] | None = None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The result of the task, and what was sent to the target."""
    made = action(args)
    made.answer = answer or IN_FORCE
    result = made.run(task_vars={})
    assert made.sent is not None, result
    return result, made.sent


def test_what_is_sent_is_what_the_module_takes() -> None:
    _result, sent = run(good())
    checked = ArgumentSpecValidator(ARGUMENT_SPEC).validate(sent)
    assert not checked.error_messages
    for version in ("1.18.0", "1.22.1", "1.26.3"):
        wanted = desired(checked.validated_parameters, "/etc/nginx", version)
        names = [path.rpartition("/")[2] for path, _one in wanted.files]
        assert names == [
            "clients.conf", "limits.conf", "upstreams.conf", "server.conf", "marker.conf",
            "twinguard-gateway", "twinguard-gateway.conf",
        ]  # fmt: skip


def test_no_key_is_sent_and_its_digest_only_in_a_secret_file() -> None:
    result, sent = run(good())
    key = key_of("acme")
    assert key not in json.dumps([result, sent])
    secret = sent.pop("secret_files")
    assert digest_of(key) in json.dumps(secret)
    assert digest_of(key) not in json.dumps([result, sent])


def test_what_reads_alike_in_all_versions_is_sent_once() -> None:
    _result, sent = run(good())
    ranges = [(one["name"], one.get("since"), one.get("before")) for one in sent["files"]]
    assert ranges == [
        ("limits.conf", None, None),
        ("upstreams.conf", None, None),
        ("server.conf", None, "1.19.4"),
        ("server.conf", "1.19.4", "1.25.1"),
        ("server.conf", "1.25.1", None),
    ]
    assert [one["name"] for one in run(good(plaintext=True, tls=None))[1]["files"]].count(
        "server.conf"
    ) == 1


def test_nginx_is_to_be_reloaded_when_a_certificate_is_renewed() -> None:
    upstreams = [dict(GOOD["upstreams"][0], tls={"ca": "/model.pem"})]
    _result, sent = run(good(tls=dict(GOOD["tls"], client_ca="/clients.pem"), upstreams=upstreams))
    assert sent["watch"] == [
        "/etc/ssl/certs/x.pem",
        "/etc/ssl/private/x.key",
        "/clients.pem",
        "/model.pem",
    ]
    assert sent["directories"] == ["/var/log/twinguard"]


def test_a_run_leaves_the_specification_as_it_was() -> None:
    run(good())
    assert GATEWAY_SPEC["limits"]["default"] == GATEWAY_SPEC["access_log"]["default"] == {}


def test_two_runs_send_the_same_bytes() -> None:
    assert json.dumps(run(good())[1]) == json.dumps(run(good())[1])


def test_a_template_of_the_users_own_is_sent(tmp_path: Path) -> None:
    (tmp_path / "upstreams.conf.j2").write_text("# mine\n")
    _result, sent = run(good(templates=str(tmp_path)))
    assert {"name": "upstreams.conf", "content": "# mine\n"} in sent["files"]


def test_absent_needs_no_policy_and_names_what_goes() -> None:
    result, sent = run({"state": "absent", "name": "old"}, {"changed": True, "controls": []})
    assert (sent["state"], sent["name"]) == ("absent", "old")
    assert [one["path"] for one in sent["companions"]] == ["/etc/logrotate.d/twinguard-old"]
    assert not sent.get("files")
    assert result["changed"]


def test_the_answer_becomes_a_finding_for_each_control_and_shows_no_arguments() -> None:
    result, _sent = run(good())
    found = {(one["id"], one["resource"]): one for one in result["controls"]}
    assert found["gateway.in_force", "gateway"]["reason"] == "served"
    assert found["gateway.in_force", "gateway"]["evidence"] == {
        "generation": "0123456789abcdef",
        "nginx_version": "1.26.3",
    }
    assert found["gateway.api_key", "/v1/"]["status"] == "pass"
    assert found["gateway.tls", "models.example.com"]["status"] == "unknown"
    assert "invocation" not in result


FAILED = {
    "failed": True,
    "msg": "nginx refuses this configuration",
    "controls": [dict(IN_FORCE["controls"][0], status="fail", reason="x")],  # type: ignore[index]
}


def test_a_failure_is_told_by_the_option_that_caused_it_and_passes_no_control() -> None:
    text = 'cannot load certificate "/etc/ssl/certs/x.pem": BIO_new_file() failed'
    result, _sent = run(
        good(),
        dict(FAILED, complaints=[{"level": "emerg", "text": text, "file": None, "line": None}]),
    )
    assert result["failed"]
    assert result["msg"].startswith("option 'tls.certificate' = '/etc/ssl/certs/x.pem': ")
    assert {one["status"] for one in result["controls"]} == {"fail"}
    assert result["controls"][0]["reason"] == result["msg"]


def test_a_failure_that_is_not_the_policys_keeps_its_own_words() -> None:
    text = 'unknown directive "x" in /etc/nginx/conf.d/foreign.conf:2'
    result, _sent = run(
        good(),
        dict(FAILED, complaints=[{"level": "emerg", "text": text, "file": None, "line": None}]),
    )
    assert result["msg"] == FAILED["msg"]


def test_a_module_that_died_leaves_no_control_passing() -> None:
    result, _sent = run(good(), {"failed": True, "msg": "MODULE FAILURE"})
    assert result["failed"]
    assert not [one for one in result.get("controls", []) if one["status"] == "pass"]


KEY = key_of("acme")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"tiers": {"standard": {"rate": "10/s"}}}, "option 'tiers.standard.rate' = '10/s': "),
        ({"tiers": {"standard": "10r/s"}}, "option 'tiers' = "),
        ({"clients": [{"id": "a", "tier": "standard", "keys": [KEY]}]}, "option 'clients[0].keys' = <secret>: "),
        ({"clients": [{"id": "a", "tier": "standard", "keys": KEY}]}, "option 'clients[0].keys' = <secret>: "),
        ({"clients": {"a": KEY}}, "option 'clients' = <secret>: "),
        ({"clients": KEY}, "option 'clients' = <secret>: "),
        ({"clients": [{"id": "a", "tier": "standard", "keys": [{"key": [KEY]}]}]}, ".key' = <secret>: "),
        ({"clients": [{"id": "a", "tier": "standard", "keys": [{"key": KEY, "key_hash": KEY}]}]}, ": has both"),
        ({"templates": "/nowhere"}, "option 'templates' = '/nowhere': "),
    ],
)  # fmt: skip
def test_a_bad_policy_fails_in_one_sentence_and_nothing_is_sent(
    changes: dict[str, Any], sentence: str
) -> None:
    made = action(good(**changes))
    result = made.run(task_vars={})
    assert (result["failed"], result["changed"], made.sent) == (True, False, None)
    assert sentence in result["msg"]
    assert "\n" not in result["msg"]
    assert KEY not in json.dumps(result)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"routes": None}, "routes"),
        ({"server_names": None}, "server_names"),
        ({"bogus": 1}, "bogus"),
        ({"tls": {"certificate": "/x"}}, "key"),
        ({"tiers": {"standard": {"rate": "1r/s", "brust": 2}}}, "tiers.standard"),
        ({"tiers": {"standard": {"rate": "1r/s", "burst": "many"}}}, "tiers.standard"),
        ({"routes": [{"path": "/", "upstream": "model", "auth": "basic"}]}, "auth"),
        ({"clients": [{"id": "a", "tier": "standard", "key": KEY}]}, "clients"),
        ({"clients": [{"id": "a", "tier": "standard", "keys": [{"key": KEY, "expires": "x"}]}]}, "expires"),
        ({"clients": [{"id": "a", "tier": "standard"}]}, "keys"),
    ],
)  # fmt: skip
def test_an_option_of_the_wrong_shape_is_named_without_a_key(
    changes: dict[str, Any], named: str
) -> None:
    made = action(good(**changes))
    with pytest.raises(AnsibleError) as caught:
        made.run(task_vars={})
    assert named in str(caught.value)
    assert KEY not in str(caught.value)
    assert KEY not in json.dumps(getattr(caught.value, "result", {}), default=str)
    assert made.sent is None
