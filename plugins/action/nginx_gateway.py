# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Validates the gateway's policy, hashes its keys and renders its files on the controller."""

from __future__ import annotations

import typing as t
from copy import deepcopy
from pathlib import Path

from ansible.errors import AnsibleActionFail
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.action import ActionBase

from ..module_utils._core.error import HardeningError
from ..module_utils._core.plan import ControlError
from ..plugin_utils._gateway.keys import refuse_bare_keys
from ..plugin_utils._gateway.policy import parse_policy
from ..plugin_utils._gateway.proof import explain, findings, probes
from ..plugin_utils._gateway.render_io import Renderer
from ..plugin_utils._gateway.spec import GATEWAY_SPEC, REQUIRED_WHEN_PRESENT, TIER_SPEC
from ..plugin_utils._gateway.template_data import FILES, LOGROTATE, SYNTAXES, template_data
from ..plugin_utils._gateway.types import Policy

_TEMPLATES = Path(__file__).resolve().parents[2] / "roles" / "model_gateway" / "templates"
_PASSED_ON = ("name", "state", "marker_port", "conf_path", "service")


class ActionModule(ActionBase):
    """``nginx_gateway``: policy in, ``nginx_config`` on the target, controls out."""

    TRANSFERS_FILES = False

    def run(
        self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None
    ) -> dict[str, t.Any]:
        self._supports_check_mode = True
        result = super().run(tmp, task_vars)
        try:
            options = self._options()
            arguments = {name: options[name] for name in _PASSED_ON}
            policy = None
            if options["state"] == "present":
                policy = parse_policy(options)
                arguments.update(
                    _files(policy, Renderer(_TEMPLATES, options["templates"])),
                    probes=probes(policy),
                )
            else:
                arguments["companions"] = [
                    {"path": _logrotate_path(options["name"]), "content": ""}
                ]
        except HardeningError as error:
            return dict(result, failed=True, changed=False, msg=str(error), controls=[])
        answer = self._execute_module(
            module_name="twinguard.hardening.nginx_config",
            module_args=arguments,
            task_vars=task_vars,
        )
        # The arguments are whole files, which the user did not write.
        answer.pop("invocation", None)
        return dict(result, **(answer if policy is None else _by_policy(policy, answer)))

    def _options(self) -> dict[str, t.Any]:
        """The task's options with types and defaults; ControlError or AnsibleActionFail for bad options."""
        refuse_bare_keys(self._task.args)
        # A copy, because Ansible writes the defaults of suboptions into the specification.
        _checked, options = self.validate_argument_spec(
            deepcopy(GATEWAY_SPEC), required_if=REQUIRED_WHEN_PRESENT
        )
        if not all(isinstance(tier, dict) for tier in options["tiers"].values()):
            raise ControlError(
                "tiers",
                options["tiers"],
                "has a tier that is not a dictionary",
                "write each as name: {rate: 10r/s, burst: 20}",
            )
        options["tiers"] = {name: self._tier(name, tier) for name, tier in options["tiers"].items()}
        return options

    def _tier(self, name: str, tier: dict[str, t.Any]) -> dict[str, t.Any]:
        checked = ArgumentSpecValidator(TIER_SPEC).validate(tier)
        if checked.error_messages:
            raise AnsibleActionFail(f"option 'tiers.{name}': {'; '.join(checked.error_messages)}")
        return checked.validated_parameters


def _files(policy: Policy, renderer: Renderer) -> dict[str, t.Any]:
    """The files for every nginx syntax; a file that is the same in all of them is sent once."""
    by_syntax = [(syntax, template_data(policy, syntax)) for syntax in SYNTAXES]
    files: dict[bool, list[dict[str, t.Any]]] = {True: [], False: []}
    for name, secret in FILES:
        texts = [renderer.render(name, data) for _syntax, data in by_syntax]
        if len(set(texts)) == 1:
            files[secret].append({"name": name, "content": texts[0]})
            continue
        files[secret] += [
            {"name": name, "content": text, "since": syntax.since, "before": syntax.before}
            for (syntax, _data), text in zip(by_syntax, texts)
        ]
    return {
        "secret_files": files[True],
        "files": files[False],
        "companions": [
            {
                "path": _logrotate_path(policy.name),
                "content": renderer.render(LOGROTATE, by_syntax[0][1]),
            }
        ],
        "watch": _read_by_nginx(policy),
        "directories": [str(Path(policy.log_path).parent)],
    }


def _read_by_nginx(policy: Policy) -> list[str]:
    """Certificates and similar files: nginx uses the old ones until it is reloaded."""
    tls = policy.tls
    paths = [tls.certificate, tls.key, tls.client_ca] if tls else []
    return [path for path in paths + [upstream.ca for upstream in policy.upstreams] if path]


def _logrotate_path(name: str) -> str:
    return f"/etc/logrotate.d/twinguard-{name}"


def _by_policy(policy: Policy, answer: dict[str, t.Any]) -> dict[str, t.Any]:
    """The target's answer in terms of the policy: the option at fault, and a finding for each control."""
    if answer.get("failed"):
        cause = explain(policy, answer.get("complaints") or [])
        if cause:
            answer["msg"] = f"{cause}; the previous configuration stays in force"
            answer.pop("exception", None)  # ansible-core shows its text in place of msg
    for one in answer.get("controls") or []:
        force = (one["status"], answer["msg"] if answer.get("failed") else one["reason"])
        evidence = {key: answer[key] for key in ("generation", "nginx_version") if answer.get(key)}
        answer["controls"] = findings(policy, force, evidence, answer.get("probes") or [])
    return answer
