# Copyright (c) 2026, twinguard.hardening contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A simulated Windows host: the cmdlets that win_guard's scripts call, over the world of host_world.py.

Cmdlets take what a script passes and give what Windows' objects hold, by the names of their properties.
"""

from __future__ import annotations

from typing import Any

from ansible_collections.twinguard.hardening.tests.windows import host_defender, host_firewall
from ansible_collections.twinguard.hardening.tests.windows.host_firewall import refuse_unknown
from ansible_collections.twinguard.hardening.tests.windows.host_words import CmdletError
from ansible_collections.twinguard.hardening.tests.windows.host_world import World, complete

__all__ = ["CmdletError", "Host"]


class Host:
    """One host; `world` is its state and changes with each cmdlet that changes something."""

    def __init__(self, world: World) -> None:
        self.world = complete(world)
        self._cmdlets = {
            **host_firewall.cmdlets(),
            **host_defender.CMDLETS,
            "Get-NetConnectionProfile": _listed("networks"),
            "Get-NetIPAddress": _listed("addresses"),
            "Get-NetTCPConnection": _connections,
            "Get-Service": _service,
        }

    def call(self, cmdlet: str, **parameters: Any) -> list[dict[str, Any]]:
        """The objects that a cmdlet gives.

        :raises CmdletError: with the error record of Windows.
        """
        if cmdlet not in self._cmdlets:
            raise CmdletError(f"The term '{cmdlet}' is not recognized.", "ObjectNotFound")
        return self._cmdlets[cmdlet](self.world, parameters)

    def registry(self, path: str) -> dict[str, Any]:
        """The values of a key; {} where there is none."""
        values: dict[str, Any] = self.world["registry"].get(path, {})
        return values

    @property
    def administrator(self) -> bool:
        """Whether the account is one."""
        return bool(self.world["switches"]["administrator"])


def _listed(part: str) -> Any:
    def get(world: World, given: Any) -> list[dict[str, Any]]:
        refuse_unknown(given)
        return [dict(one) for one in world[part]]

    return get


def _connections(world: World, given: Any) -> list[dict[str, Any]]:
    refuse_unknown(given, "LocalPort", "State")
    found = [
        dict(one)
        for one in world["connections"]
        if all(str(one[name]) == str(value) for name, value in given.items())
    ]
    if not found:
        raise CmdletError("No MSFT_NetTCPConnection objects found.", "ObjectNotFound")
    return found


def _service(world: World, given: Any) -> list[dict[str, Any]]:
    refuse_unknown(given, "Name")
    switches = {"mpssvc": "firewall_service", "WinDefend": "defender_service"}
    name = str(given["Name"])
    there = name in switches and (name != "WinDefend" or world["switches"]["defender_installed"])
    if not there:
        raise CmdletError(f"Cannot find any service with service name '{name}'.", "ObjectNotFound")
    running = world["switches"][switches[name]]
    return [{"Name": name, "Status": "Running" if running else "Stopped"}]
