# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A simulated Windows host: the cmdlets that win_guard's scripts call, over the world of host_world.py.

Cmdlets take what a script passes and give what Windows' objects hold, by the names of their properties.
"""

from __future__ import annotations

from typing import Any

from ansible_collections.twinguard.hardening.tests.windows import (
    host_defender,
    host_firewall,
)
from ansible_collections.twinguard.hardening.tests.windows import host_words as words
from ansible_collections.twinguard.hardening.tests.windows.host_firewall import (
    Cmdlet,
    Objects,
    not_found,
)
from ansible_collections.twinguard.hardening.tests.windows.host_words import CmdletError, Given
from ansible_collections.twinguard.hardening.tests.windows.host_world import World, complete

__all__ = ["CmdletError", "Host"]


class Host:
    """One host; `world` is its state and changes with each cmdlet that changes something."""

    def __init__(self, world: World) -> None:
        self.world = complete(world)
        cmdlets: dict[str, Cmdlet] = {
            **host_firewall.cmdlets(),
            **host_defender.CMDLETS,
            "Get-NetConnectionProfile": _networks,
            "Get-NetIPAddress": _addresses,
            "Get-NetTCPConnection": _connections,
            "Get-Service": _service,
        }
        self._cmdlets = {name.lower(): cmdlet for name, cmdlet in cmdlets.items()}

    def call(self, cmdlet: str, **parameters: Any) -> list[dict[str, Any]]:
        """The objects that a cmdlet gives.

        :raises CmdletError: with the error record of Windows.
        """
        if cmdlet.lower() not in self._cmdlets:
            raise CmdletError(
                f"The term '{cmdlet}' is not recognized as a name of a cmdlet, function, script file, or executable "
                "program.",
                "ObjectNotFound",
            )
        return self._cmdlets[cmdlet.lower()](self.world, parameters)

    def registry(self, path: str) -> dict[str, Any]:
        """The values of a key; {} where there is none."""
        keys = {key.lower(): values for key, values in self.world["registry"].items()}
        return dict(keys.get(path.rstrip("\\").lower(), {}))

    @property
    def administrator(self) -> bool:
        """Whether the account is one."""
        return bool(self.world["switches"]["administrator"])


def _networks(world: World, given: Given) -> Objects:
    words.bind(given, {})
    return [dict(one) for one in world["networks"]]


def _addresses(world: World, given: Given) -> Objects:
    words.bind(given, {})
    return [
        {**one, "AddressFamily": "IPv6" if ":" in one["IPAddress"] else "IPv4"}
        for one in world["addresses"]
    ]


def _connections(world: World, given: Given) -> Objects:
    state = words.many(words.enum("NetTCPConnection.State"))
    bound = words.bind(given, {"LocalPort": words.many(words.whole), "State": state})
    asked = {name: bound[name] for name in ("LocalPort", "State") if name in bound}
    found = [
        dict(one)
        for one in world["connections"]
        if all(one[name] in values for name, values in asked.items())
    ]
    if asked and not found:
        name, values = next(iter(asked.items()))
        raise not_found("MSFT_NetTCPConnection", name, ", ".join(map(str, values)))
    return found


def _service(world: World, given: Given) -> Objects:
    asked = words.bind(given, {"Name": words.strings}, needed=["Name"])["Name"]
    switches = {"mpssvc": "firewall_service", "WinDefend": "defender_service"}
    there = {
        name.lower(): name
        for name in switches
        if name != "WinDefend" or world["switches"]["defender_installed"]
    }
    found = []
    for name in asked:
        if name.lower() not in there:
            raise CmdletError(
                f"Cannot find any service with service name '{name}'.", "ObjectNotFound"
            )
        running = world["switches"][switches[there[name.lower()]]]
        found.append({"Name": there[name.lower()], "Status": "Running" if running else "Stopped"})
    return found
