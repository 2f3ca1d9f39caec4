# Copyright (c) 2026, twinguard.hardening contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gateway's options are the same in its specification, its documentation and its role."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from ansible_collections.twinguard.hardening.plugins.modules import nginx_gateway
from ansible_collections.twinguard.hardening.plugins.plugin_utils._gateway.policy import (
    parse_policy,
)
from ansible_collections.twinguard.hardening.plugins.plugin_utils._gateway.spec import (
    GATEWAY_SPEC,
    REQUIRED_WHEN_PRESENT,
    TIER_SPEC,
)
from ansible_collections.twinguard.hardening.tests.unit.support.gateway import ROOT, checked
from ansible_collections.twinguard.hardening.tests.unit.support.spec import (
    documented,
    secrets,
    shape,
)

PREFIX = "model_gateway_"
ROLE = ROOT / "roles" / "model_gateway"
ROLE_ONLY = {"self_signed", "packages"}
DOCUMENTED: dict[str, Any] = yaml.safe_load(nginx_gateway.DOCUMENTATION)["options"]


def role_options() -> dict[str, Any]:
    specs = yaml.safe_load((ROLE / "meta" / "argument_specs.yml").read_text(encoding="utf-8"))
    options: dict[str, Any] = specs["argument_specs"]["main"]["options"]
    assert all(name.startswith(PREFIX) for name in options)
    return {name[len(PREFIX) :]: option for name, option in options.items()}


def test_the_documentation_and_the_specification_agree() -> None:
    assert shape(GATEWAY_SPEC) == documented(DOCUMENTED)


def test_the_role_takes_the_options_of_the_module_and_a_few_of_its_own() -> None:
    options = role_options()
    assert set(options) - set(GATEWAY_SPEC) == ROLE_ONLY
    assert shape({name: one for name, one in options.items() if name not in ROLE_ONLY}) == shape(
        GATEWAY_SPEC
    )


def test_the_role_passes_every_option_on() -> None:
    tasks = yaml.safe_load((ROLE / "tasks" / "main.yml").read_text(encoding="utf-8"))
    (passed,) = [
        one["twinguard.hardening.nginx_gateway"]
        for one in tasks
        if "twinguard.hardening.nginx_gateway" in one
    ]
    assert set(passed) == set(GATEWAY_SPEC)
    for name, value in passed.items():
        assert value.startswith("{{ " + PREFIX + name), name


def test_only_the_keys_are_secret_in_the_module_and_in_the_role() -> None:
    assert (
        secrets(GATEWAY_SPEC)
        == secrets(role_options())
        == {"clients.keys.key", "clients.keys.key_hash"}
    )


def test_every_option_of_a_tier_is_described() -> None:
    text = " ".join(DOCUMENTED["tiers"]["description"])
    assert not [name for name in TIER_SPEC if "C(%s)" % name not in text]


def test_what_is_required_is_said_to_be() -> None:
    ((option, value, names),) = REQUIRED_WHEN_PRESENT
    for name in names:
        assert "Required when O(%s=%s)" % (option, value) in DOCUMENTED[name]["description"]


def test_the_example_of_the_documentation_is_a_good_policy() -> None:
    (task,) = yaml.safe_load(nginx_gateway.EXAMPLES)
    options = task["twinguard.hardening.nginx_gateway"]
    options["clients"][0]["keys"][0]["key"] = "0123456789abcdef0123456789ABCDEF"
    assert parse_policy(checked(**options)).clients[0].id == "acme"


@pytest.mark.parametrize("inventory", ["demo", "example"])
def test_an_inventory_sets_only_variables_that_the_role_has(inventory: str) -> None:
    path = ROOT / "inventories" / inventory / "group_vars" / "model_gateways" / "model_gateway.yml"
    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    set_here = {name[len(PREFIX) :] for name in values if name.startswith(PREFIX)}
    assert set_here
    assert not set_here - set(role_options())
