"""The machines of the simulated account, and what their states are."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import anyio.abc
from pydantic import SecretStr

from deskhand.providers import Screen
from deskhand.testing.simulators.hardware import Hardware
from deskhand.testing.simulators.wire import Answer, ApiError, Call, Json, json_answer

from .commands import Commands

__all__ = ["Account", "SimulatedMachine", "State"]

State: TypeAlias = Literal["stopped", "starting", "running", "stopping", "failed"]
SCREEN = Screen(1280, 720)


@dataclass(eq=False)
class SimulatedMachine:
    """One machine.

    Attributes:
        name: Its name.
        status: What it is doing.
        hardware: What it runs on.
        password: What opens its screen.
    """

    name: str
    hardware: Hardware
    status: State = "stopped"
    password: SecretStr = field(default_factory=lambda: SecretStr(secrets.token_urlsafe(12)))
    _commands: Commands | None = None

    def commands(self) -> Commands:
        """Returns the commands of its server.

        Raises:
            ApiError: If it is off: what stands before it answers then.
        """
        machine = self.hardware.machine
        if machine is None or self.status != "running":
            raise ApiError(502, "Bad gateway")
        if self._commands is None or self._commands.machine is not machine:
            self._commands = Commands(machine)
        return self._commands


class Account:
    """The routes of the control API.

    Args:
        machines: The machines by name.
        origin: Tells where the simulator serves.
        tasks: Where machines start and stop.
    """

    def __init__(
        self, machines: dict[str, SimulatedMachine], origin: Callable[[], str], tasks: anyio.abc.TaskGroup
    ) -> None:
        self._machines = machines
        self._origin = origin
        self._tasks = tasks

    async def list_vms(self, call: Call[None]) -> Answer:
        """Lists the machines."""
        del call
        return json_answer([self._described(machine) for machine in self._machines.values()])

    async def start(self, call: Call[None]) -> Answer:
        """Starts a machine."""
        machine = self._machine(call)
        if machine.status in {"stopped", "stopping"}:
            machine.status = "starting"
            self._tasks.start_soon(self._switch_on, machine)
        return json_answer({"status": "starting"}, 202)

    async def stop(self, call: Call[None]) -> Answer:
        """Stops a machine."""
        machine = self._machine(call)
        if machine.status in {"running", "starting"}:
            machine.status = "stopping"
            self._tasks.start_soon(self._switch_off, machine)
        return json_answer({"status": "stopping"}, 202)

    async def restart(self, call: Call[None]) -> Answer:
        """Restarts a machine."""
        machine = self._machine(call)
        machine.status = "starting"
        self._tasks.start_soon(self._turn_round, machine)
        return json_answer({"status": "restarting"}, 202)

    def _machine(self, call: Call[None]) -> SimulatedMachine:
        machine = self._machines.get(call.path["name"])
        if machine is None:
            raise ApiError(404, "VM not found")
        return machine

    def _described(self, machine: SimulatedMachine) -> Json:
        place, password = f"{self._origin()}/machines/{machine.name}", machine.password.get_secret_value()
        return {
            "name": machine.name,
            "status": machine.status,
            "password": password,
            "api_url": place,
            "vnc_url": f"{place}/vnc.html?autoconnect=true&password={password}",
        }

    async def _switch_on(self, machine: SimulatedMachine) -> None:
        await machine.hardware.switch_on()
        if machine.status == "starting":
            machine.status = "running"

    async def _switch_off(self, machine: SimulatedMachine) -> None:
        await machine.hardware.switch_off()
        if machine.status == "stopping":
            machine.status = "stopped"

    async def _turn_round(self, machine: SimulatedMachine) -> None:
        await machine.hardware.switch_off()
        await self._switch_on(machine)
