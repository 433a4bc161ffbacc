"""The routes of a computer's life: creation, power, size, end."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import anyio
import anyio.abc

from deskhand.providers import Screen
from deskhand.testing.simulators.disk import save_disk
from deskhand.testing.simulators.hardware import Machine
from deskhand.testing.simulators.wire import Answer, ApiError, Field, Json, json_answer, read_fields

from .account import Account
from .computer import Settings, SimulatedComputer, Status
from .dialect import OrgoDialect
from .wire import OrgoCall

__all__ = ["Lifecycle"]

RAM = (4, 8, 16, 32, 64)
CPU = (0.5, 1, 2, 4, 8, 16)
GPU = ("none", "a10", "l40s", "a100-40gb", "a100-80gb")
LONGEST_NAME = 200
SMALLEST, LARGEST = Screen(320, 200), Screen(7680, 4320)

_CREATE = {
    "workspace_id": Field("string"),
    "project_id": Field("string"),
    "name": Field("string", required=True),
    "os": Field("string", choices=("linux", "windows")),
    "ram": Field("integer", choices=RAM),
    "cpu": Field("number", choices=CPU),
    "gpu": Field("string", choices=GPU),
    "image": Field("string"),
    "template_ref": Field("string"),
    "disk_size_gb": Field("integer", low=8, high=500),
    "resolution": Field("string"),
    "auto_stop_minutes": Field("integer", low=0),
}
_RESIZE = {
    "vcpus": Field("number", low=0.5, high=16),
    "mem_gb": Field("number", low=1),
    "disk_size_gb": Field("integer", low=1),
    "bandwidth_limit_mbps": Field("integer", low=1),
    "auto_stop_minutes": Field("integer", low=0),
}
_IGNORED = ("cpu", "ram")
"""What a resize takes and does nothing with."""

MOST_MEMORY = 32


class Lifecycle:
    """The routes ``/computers`` that create, change and end.

    Args:
        account: Whose computers they are.
        dialect: How they are described.
        open_machine: Gives the machines behind them.
        tasks: Where what goes on in the background is done.
        boot: Seconds that a computer takes, from its creation, until it is ready; asked whether it is from the pool.
    """

    def __init__(
        self,
        account: Account,
        dialect: OrgoDialect,
        open_machine: Machine,
        tasks: anyio.abc.TaskGroup,
        boot: Callable[[bool], float],
    ) -> None:
        self._account = account
        self._dialect = dialect
        self._open_machine = open_machine
        self._tasks = tasks
        self._boot = boot

    async def create(self, call: OrgoCall) -> Answer:
        """Creates a computer, which is said to be running at once."""
        body = read_fields(call.body, _CREATE)
        workspace_id = body.get("workspace_id") or body.get("project_id")
        if not workspace_id:
            raise ApiError(400, "workspace_id is required")
        workspace = self._account.workspace(call.caller, workspace_id)
        name = self._free_name(workspace.id, body["name"])
        settings = self._settings(body)
        self._check_plan(settings)
        computer = self._new(name, workspace.id, settings)
        await self._begin(computer)
        return json_answer(
            {**computer.as_json(self._dialect), "vnc_password": computer.vnc_password, "fromPool": computer.from_pool},
            self._dialect.create_status,
        )

    async def get(self, call: OrgoCall) -> Answer:
        """Describes one."""
        return json_answer(self._find(call).as_json(self._dialect, details=True))

    async def start(self, call: OrgoCall) -> Answer:
        """Starts one in the background; does nothing to one that runs."""
        computer = self._find(call)
        if computer.status in {"stopped", "suspended", "error"}:
            self._account.charge()
            computer.status = "starting"
            self._tasks.start_soon(self._try_on, computer)
        elif computer.status not in {"starting", "running", "restarting"}:
            raise ApiError(409, f"The computer is {computer.status}.")
        return json_answer({"success": True, "status": "starting"})

    async def stop(self, call: OrgoCall) -> Answer:
        """Stops one in the background: its disk is kept, its memory lost."""
        computer = self._find(call)
        if computer.status in {"running", "starting"}:
            computer.status = "stopping"
            self._tasks.start_soon(self._off, computer, "stopped")
        elif computer.status not in {"stopping", "stopped"}:
            raise ApiError(409, f"The computer is {computer.status}.")
        return json_answer({"success": True, "status": "stopping"})

    async def restart(self, call: OrgoCall) -> Answer:
        """Restarts one in the background; its password is another afterwards."""
        computer = self._find(call)
        if self._dialect.restart == 405:
            raise ApiError(405, "Method not allowed")
        if computer.status != "running":
            raise ApiError(409, f"The computer is {computer.status}.")
        computer.status = "restarting"
        computer.rotate_password()
        self._tasks.start_soon(self._again, computer)
        return json_answer({"success": True, "status": "restarting"})

    async def ensure_running(self, call: OrgoCall) -> Answer:
        """Starts one where it does not run, and describes it when it does."""
        computer = self._find(call)
        if computer.status in {"stopped", "suspended", "error"}:
            self._account.charge()
            computer.status = "starting"
            await self._on(computer)
        return json_answer(computer.as_json(self._dialect, details=True))

    async def delete(self, call: OrgoCall) -> Answer:
        """Ends one for good."""
        await self.discard(self._find(call))
        return json_answer({"success": True})

    async def clone(self, call: OrgoCall) -> Answer:
        """Copies one with its disk, where the plan has that."""
        if self._dialect.clone == 404:
            raise ApiError(404, "Not found")
        computer = self._find(call)
        machine = computer.on()
        self._check_plan(computer.settings)
        name, number = f"{computer.name} (clone)", 1
        while self._taken(computer.workspace_id, name):
            number += 1
            name = f"{computer.name} (clone {number})"
        twin = self._new(name, computer.workspace_id, copy.copy(computer.settings))
        twin.hardware.disk = await save_disk(machine)
        await self._begin(twin)
        return json_answer({**twin.as_json(self._dialect), "vnc_password": twin.vnc_password}, 201)

    async def move(self, call: OrgoCall) -> Answer:
        """Moves one to another workspace."""
        computer = self._find(call)
        body = read_fields(call.body, {"workspace_id": Field("string"), "project_id": Field("string")})
        workspace_id = body.get("workspace_id") or body.get("project_id")
        if not workspace_id:
            raise ApiError(400, "workspace_id is required")
        workspace = self._account.workspace(call.caller, workspace_id)
        if workspace.id == computer.workspace_id:
            raise ApiError(400, "The computer is in this workspace already")
        self._free_name(workspace.id, computer.name)
        computer.workspace_id = workspace.id
        return json_answer({"success": True, "workspace_id": workspace.id, "project_id": workspace.id})

    async def resize(self, call: OrgoCall) -> Answer:
        """Changes what can be changed of its size, each by itself."""
        computer = self._find(call)
        wanted = read_fields({k: v for k, v in call.body.items() if k not in _IGNORED}, _RESIZE)
        if not wanted:
            raise ApiError(400, "Nothing to resize")
        if computer.status != "running":
            raise ApiError(409, f"The computer is {computer.status}.")
        settings = computer.settings
        results: Json = {}
        failed = 0
        for name, value in wanted.items():
            problem = self._resize_problem(settings, name, value)
            failed += problem is not None
            if problem is None:
                setattr(settings, {"vcpus": "cpu", "mem_gb": "ram"}.get(name, name), value)
            applied = getattr(settings, {"vcpus": "cpu", "mem_gb": "ram"}.get(name, name))
            results[name] = {"requested": value, "applied": applied, "ok": problem is None, "error": problem}
        answer: Json = {
            "vcpus": settings.cpu,
            "mem_gb": settings.ram,
            "disk_size_gb": settings.disk_size_gb,
            "bandwidth_limit_mbps": settings.bandwidth_limit_mbps,
            "results": results,
            "partial": 0 < failed < len(wanted),
        }
        return json_answer(answer, 200 if not failed else 422 if failed == len(wanted) else 207)

    async def get_auto_stop(self, call: OrgoCall) -> Answer:
        """Tells after how many idle minutes one stops."""
        computer = self._find(call)
        configurable = self._account.plan.auto_stop_configurable
        return json_answer({"auto_stop_minutes": computer.settings.auto_stop_minutes, "configurable": configurable})

    async def set_auto_stop(self, call: OrgoCall) -> Answer:
        """Says after how many idle minutes one stops; 0 for never."""
        computer = self._find(call)
        body = read_fields(call.body, {"auto_stop_minutes": Field("integer", required=True, low=0)})
        if not self._account.plan.auto_stop_configurable:
            raise ApiError(403, "Your plan does not allow changing auto-stop.")
        computer.settings.auto_stop_minutes = body["auto_stop_minutes"]
        computer.touch()
        return json_answer({"auto_stop_minutes": body["auto_stop_minutes"], "auto_suspend_after": "0s"})

    async def vnc_password(self, call: OrgoCall) -> Answer:
        """Tells the password of its screen and terminal."""
        return json_answer({"password": self._find(call).vnc_password})

    async def stop_idle(self, computer: SimulatedComputer) -> None:
        """Stops a computer as its automatic stop does, and waits for that."""
        if computer.status == "running":
            computer.status = "stopping"
            await self._off(computer, "stopped")

    async def discard(self, computer: SimulatedComputer) -> None:
        """Ends a computer and forgets it."""
        self._account.computers.pop(computer.id, None)
        computer.status = "deleting"
        await computer.hardware.discard()

    # How

    def _find(self, call: OrgoCall) -> SimulatedComputer:
        return self._account.computer(call.caller, call.path["id"])

    def _new(self, name: str, workspace_id: str, settings: Settings) -> SimulatedComputer:
        from_pool = replace(settings, auto_stop_minutes=0) == Settings()  # its stop is set on a machine that runs
        computer = SimulatedComputer(name, workspace_id, settings, self._open_machine, self._tasks, from_pool=from_pool)
        self._account.computers[computer.id] = computer
        return computer

    async def _begin(self, computer: SimulatedComputer) -> None:
        """Switches a new computer on; the vendor says that it runs before its desktop is up."""
        seconds = self._boot(computer.from_pool)
        if self._dialect.readiness == "later" or seconds > 0:
            computer.status = "running"
            self._tasks.start_soon(self._later, computer, seconds)
            return
        try:
            await self._on(computer)
        except BaseException:  # cancelled too: nobody knows of it
            if computer.machine is None:
                self._account.computers.pop(computer.id, None)
            raise

    async def _later(self, computer: SimulatedComputer, seconds: float) -> None:
        await anyio.sleep(seconds)
        await self._try_on(computer)

    async def _on(self, computer: SimulatedComputer) -> None:
        await computer.switch_on()
        if computer.status in {"creating", "starting", "restarting"}:
            computer.status = "running"

    async def _try_on(self, computer: SimulatedComputer) -> None:
        with suppress(ApiError):  # nobody waits for it: that it failed is its status
            await self._on(computer)

    async def _off(self, computer: SimulatedComputer, then: Status) -> None:
        await computer.hardware.switch_off()
        if computer.status == "stopping":
            computer.status = then

    async def _again(self, computer: SimulatedComputer) -> None:
        await computer.hardware.switch_off()
        await self._try_on(computer)

    def _taken(self, workspace_id: str, name: str) -> bool:
        return any(
            found.name == name and found.workspace_id == workspace_id for found in self._account.computers.values()
        )

    def _free_name(self, workspace_id: str, name: str) -> str:
        if not 0 < len(name.strip()) <= LONGEST_NAME:
            raise ApiError(400, f"name must have 1 to {LONGEST_NAME} characters")
        if self._taken(workspace_id, name):
            raise ApiError(409, f"A computer named '{name}' already exists in this workspace")
        return name

    def _settings(self, body: dict[str, Any]) -> Settings:
        width, height, depth = _resolution(body.get("resolution", "1280x720x24"))
        names = ("os", "ram", "cpu", "gpu", "image", "template_ref", "disk_size_gb", "auto_stop_minutes")
        given = {name: body[name] for name in names if name in body}
        if given.get("auto_stop_minutes") and not self._account.plan.auto_stop_configurable:
            raise ApiError(403, "Your plan does not allow changing auto-stop.")
        if given.get("os") == "windows":
            raise ApiError(400, "os windows is not available")
        return Settings(screen=Screen(width, height), depth=depth, **given)

    def _check_plan(self, settings: Settings) -> None:
        plan = self._account.plan
        self._account.charge()
        if len(self._account.computers) >= plan.computers:
            raise ApiError(403, f"Your plan allows {plan.computers} computers. Delete one, or upgrade.")
        if settings.ram > plan.ram or settings.cpu > plan.cpu:
            raise ApiError(403, f"Your plan allows {plan.ram} GB and {plan.cpu:g} vCPU. Upgrade for more.")

    def _resize_problem(self, settings: Settings, name: str, value: float) -> str | None:
        if name == "disk_size_gb" and value < settings.disk_size_gb:
            return "A disk can only grow"
        if name == "mem_gb" and value > min(MOST_MEMORY, self._account.plan.ram):
            return f"At most {min(MOST_MEMORY, self._account.plan.ram)} GB"
        if name == "vcpus" and value > self._account.plan.cpu:
            return f"At most {self._account.plan.cpu:g} vCPU"
        if name == "auto_stop_minutes" and not self._account.plan.auto_stop_configurable:
            return "Your plan does not allow changing auto-stop."
        return None


def _resolution(text: str) -> tuple[int, int, int]:
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})x(\d{1,2})", text)
    if match is None:
        raise ApiError(400, "resolution must be WIDTHxHEIGHTxDEPTH, as 1280x720x24")
    width, height, depth = (int(part) for part in match.groups())
    if not (SMALLEST.width <= width <= LARGEST.width and SMALLEST.height <= height <= LARGEST.height):
        raise ApiError(400, "resolution is out of bounds")
    if depth not in {16, 24}:
        raise ApiError(400, "the depth of the resolution must be 16 or 24")
    return width, height, depth
