"""The routes that create, change, copy and end computers."""

from __future__ import annotations

import json
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import asdict
from typing import Any

import anyio
import anyio.abc
from pydantic import JsonValue

from deskhand.testing.simulators.hardware import Machine
from deskhand.testing.simulators.wire import Answer, ApiError, Field, Json, json_answer, read_fields

from .account import Account, Snapshot, timestamp
from .computer import SIZES, SimulatedComputer, Whose
from .dialect import MiosaDialect
from .wire import MiosaCall

__all__ = ["ENVIRONMENT", "Life", "Lifecycle", "check_placement", "checked_name"]

LONGEST_NAME = 200
PROGRESS = 0.1
_OWNERS = ("workspace_id", "external_workspace_id", "external_project_id")
ENVIRONMENT: Mapping[str, Field] = {
    "environment": Field("string"),
    "environment_id": Field("string"),
    "env_id": Field("string"),
    "no_env": Field("boolean"),
    "env": Field("object"),
    "fail_fast": Field("boolean"),
}
_CREATE: Mapping[str, Field] = {
    "name": Field("string", required=True),
    "template_type": Field("string"),
    "size": Field("string", choices=tuple(SIZES)),
    "visibility": Field("string", choices=("public", "tenant", "key")),
    "metadata": Field("object"),
    **{name: Field("string") for name in _OWNERS},
    "agent_runtime_profile_id": Field("string"),
    "agent_profile_id": Field("string"),
    "skip_agent_runtime_profile": Field("boolean"),
    "setup_file": Field("string"),
    "compute_placement_request": Field("object"),
    **ENVIRONMENT,
}
_UPDATE: Mapping[str, Field] = {
    "name": Field("string"),
    "visibility": _CREATE["visibility"],
    "metadata": _CREATE["metadata"],
}
_PLACEMENT: Mapping[str, Field] = {
    "provider": Field("string", required=True, choices=("miosa", "aws", "gcp", "opencomputers")),
    "region_id": Field("string"),
    "pool_id": Field("string"),
    "host_id": Field("string"),
    "fallback": Field("string", choices=("deny", "miosa")),
}
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)


class Life:
    """The routes of the lives of one kind of machine.

    Args:
        account: Whose they are.
        dialect: How they are described.
        open_machine: Gives the real machines behind them.
        tasks: Where what goes on in the background is done.
        boot: Tells the seconds that one takes to boot.
    """

    def __init__(
        self,
        account: Account,
        dialect: MiosaDialect,
        open_machine: Machine,
        tasks: anyio.abc.TaskGroup,
        boot: Callable[[], float],
    ) -> None:
        self._account = account
        self._dialect = dialect
        self._open_machine = open_machine
        self._tasks = tasks
        self._boot = boot


class Lifecycle(Life):
    """The routes ``/computers`` and those of one computer's life."""

    async def create(self, call: MiosaCall) -> Answer:
        """Creates a computer, which is provisioned in the background; two may have one name."""
        body = read_fields(call.body, _CREATE)
        check_placement(body)
        metadata, env = body.get("metadata", {}), body.get("env", {})
        if not all(isinstance(value, str) for value in env.values()):
            raise ApiError(422, "env must be an object of strings")
        name = checked_name(body["name"])
        self._check_plan()
        computer = self._new(
            name,
            call.caller.tenant,
            body.get("template_type", "miosa-desktop"),
            body.get("size", "small"),
            Whose(**{name: body.get(name) for name in _OWNERS}),
        )
        computer.metadata, computer.env = dict(metadata), dict(env)
        computer.visibility = body.get("visibility", "tenant")
        self._tasks.start_soon(self._on, computer)
        return self._described(computer, 201)

    async def list(self, call: MiosaCall) -> Answer:
        """Lists those of the tenant, of one workspace where one is named."""
        workspace = call.query.get("workspace_id")
        found: list[JsonValue] = [
            computer.as_json(self._dialect)
            for computer in self._account.computers.values()
            if computer.tenant == call.caller.tenant and (workspace is None or computer.whose.workspace_id == workspace)
        ]
        if self._dialect.envelope == "data":
            page: Json = {"page": 1, "page_size": 100, "total": len(found)}
            return json_answer({"data": found, "page": page})
        return json_answer({"total": len(found), "computers": found})

    async def get(self, call: MiosaCall) -> Answer:
        """Describes one."""
        return self._described(self._find(call))

    async def update(self, call: MiosaCall) -> Answer:
        """Changes its name, visibility or metadata."""
        computer = self._find(call)
        body = read_fields(call.body, _UPDATE)
        computer.name = checked_name(body.get("name", computer.name))
        computer.visibility = body.get("visibility", computer.visibility)
        computer.metadata = dict(body.get("metadata", computer.metadata))
        return self._described(computer)

    async def start(self, call: MiosaCall) -> Answer:
        """Starts one in the background; does nothing to one that runs."""
        computer = self._find(call)
        read_fields(call.body, ENVIRONMENT)
        if computer.status in {"stopped", "error"}:
            self._account.charge()
            computer.status = "starting"
            self._tasks.start_soon(self._on, computer)
        elif computer.status not in {"provisioning", "starting", "running"}:
            raise ApiError(409, f"The computer is {computer.status}.", code="RESOURCE_STATE")
        return json_answer({"success": True, "status": "starting"})

    async def stop(self, call: MiosaCall) -> Answer:
        """Stops one in the background: its disk is kept."""
        computer = self._find(call)
        read_fields(call.body, {})
        if computer.status == "running":
            computer.status = "stopping"
            self._tasks.start_soon(self._off, computer)
        elif computer.status not in {"stopping", "stopped"}:
            raise ApiError(409, f"The computer is {computer.status}.", code="RESOURCE_STATE")
        return json_answer({"success": True, "status": "stopping"})

    async def restart(self, call: MiosaCall) -> Answer:
        """Restarts one in the background."""
        computer = self._find(call)
        computer.on()
        computer.status = "starting"
        self._tasks.start_soon(self._again, computer)
        return json_answer({"success": True, "status": "starting"})

    async def delete(self, call: MiosaCall) -> Answer:
        """Ends one for good."""
        await self.discard(self._find(call))
        return Answer(204) if self._dialect.delete == 204 else json_answer({"success": True, "status": "destroyed"})

    async def clone(self, call: MiosaCall) -> Answer:
        """Copies one with its disk."""
        computer = self._find(call)
        body = read_fields(call.body, {"name": Field("string"), "metadata": Field("object")})
        computer.on()
        name = checked_name(body.get("name", f"{computer.name} (clone)"))
        self._check_plan()
        twin = self._new(name, computer.tenant, computer.template_type, computer.size, computer.whose)
        twin.metadata = dict(body.get("metadata", computer.metadata))
        twin.hardware.disk = await computer.hardware.save()
        self._tasks.start_soon(self._on, twin)
        return self._described(twin, 201)

    async def get_auto_stop(self, call: MiosaCall) -> Answer:
        """Tells after how many idle seconds one stops."""
        return json_answer({"data": {"seconds": self._find(call).auto_stop}})

    async def set_auto_stop(self, call: MiosaCall) -> Answer:
        """Says after how many idle seconds one stops; 0 for never."""
        computer = self._find(call)
        body = read_fields(call.body, {"seconds": Field("integer", required=True, low=0)})
        if not self._account.plan.auto_stop_configurable:
            raise ApiError(403, "Your plan does not allow changing auto-stop.")
        computer.auto_stop = body["seconds"]
        computer.touch()
        return json_answer({"data": {"seconds": computer.auto_stop}})

    # Snapshots

    async def take_snapshot(self, call: MiosaCall) -> Answer:
        """Saves the disk, in the background."""
        computer = self._find(call)
        body = read_fields(call.body, {"comment": Field("string")})
        computer.on()
        snapshot = Snapshot(computer.id, body.get("comment"), computer.tenant, computer.name, computer.template_type)
        self._account.snapshots[snapshot.id] = snapshot
        self._tasks.start_soon(self._save, computer, snapshot)
        return json_answer({"data": snapshot.as_json()}, 201)

    async def list_snapshots(self, call: MiosaCall) -> Answer:
        """Lists those of one computer."""
        computer = self._find(call)
        found = [one for one in self._account.snapshots.values() if one.computer_id == computer.id]
        return json_answer({"data": [one.as_json() for one in found if one.status != "deleted"]})

    async def get_snapshot(self, call: MiosaCall) -> Answer:
        """Describes one."""
        return json_answer({"data": self._snapshot(call).as_json()})

    async def delete_snapshot(self, call: MiosaCall) -> Answer:
        """Deletes one."""
        snapshot = self._snapshot(call)
        snapshot.status, snapshot.disk = "deleted", None
        return json_answer({"data": snapshot.as_json()})

    async def snapshot_events(self, call: MiosaCall) -> Answer:
        """Tells how far one is, as events, until it is over."""
        return Answer(200, content_type="text/event-stream", stream=_progress(self._snapshot(call)))

    async def restore(self, call: MiosaCall) -> Answer:
        """Makes a new computer of a snapshot; the one that it was taken of goes on as it is."""
        snapshot = self._snapshot(call)
        read_fields(call.body, {})
        if snapshot.status != "ready":
            raise ApiError(409, f"The snapshot is {snapshot.status}.", code="SNAPSHOT_NOT_READY")
        self._check_plan()
        origin = self._account.computers.get(snapshot.computer_id)
        size, whose = (origin.size, origin.whose) if origin is not None else ("small", Whose())
        name = f"{snapshot.name} (restored)"
        computer = self._new(name, snapshot.tenant, snapshot.template_type, size, whose)
        computer.hardware.disk = snapshot.disk
        self._tasks.start_soon(self._on, computer)
        return json_answer({"data": {"computer": computer.as_json(self._dialect), "snapshot": snapshot.as_json()}}, 201)

    # How

    async def stop_idle(self, computer: SimulatedComputer) -> None:
        """Stops a computer as its automatic stop does, and waits for that."""
        if computer.status == "running":
            computer.status = "stopping"
            await self._off(computer)

    async def discard(self, computer: SimulatedComputer) -> None:
        """Ends a computer and forgets it."""
        if self._account.computers.pop(computer.id, None) is not None:
            self._account.ended.append(computer)
        computer.status = "destroying"
        await computer.hardware.discard()

    def _find(self, call: MiosaCall) -> SimulatedComputer:
        return self._account.computer(call.caller, call.path["id"])

    def _snapshot(self, call: MiosaCall) -> Snapshot:
        return self._account.snapshot(call.caller, call.path["id"], call.path["snapshot"])

    def _described(self, computer: SimulatedComputer, status: int = 200) -> Answer:
        told = computer.as_json(self._dialect)
        return json_answer({"data": told} if self._dialect.envelope == "data" else told, status)

    def _new(self, name: str, tenant: str, template: str, size: str, whose: Whose) -> SimulatedComputer:
        computer = SimulatedComputer(name, tenant, template, size, self._open_machine, self._tasks, whose)
        self._account.computers[computer.id] = computer
        return computer

    def _check_plan(self) -> None:
        self._account.charge()
        if len(self._account.computers) >= self._account.plan.computers:
            raise ApiError(403, f"Your plan allows {self._account.plan.computers} computers.", code="QUOTA_EXCEEDED")

    async def _on(self, computer: SimulatedComputer) -> None:
        if self._dialect.readiness == "later":
            computer.status = "running"  # which its desktop is some time after that
        await anyio.sleep(self._boot())
        await computer.switch_on()
        if computer.status in {"provisioning", "starting"}:
            computer.status = "running"

    async def _off(self, computer: SimulatedComputer) -> None:
        await computer.hardware.switch_off()
        if computer.status == "stopping":
            computer.status = "stopped"

    async def _again(self, computer: SimulatedComputer) -> None:
        await computer.hardware.switch_off()
        await self._on(computer)

    async def _save(self, computer: SimulatedComputer, snapshot: Snapshot) -> None:
        disk = await computer.hardware.save()
        if snapshot.status == "creating":
            snapshot.disk, snapshot.status = disk, "ready" if disk is not None else "failed"
            snapshot.error = None if disk is not None else "the disk could not be read"

    async def usage(self, call: MiosaCall) -> Answer:
        """Sums up the seconds that computers were there, by one of those for whom usage is counted."""
        group = call.query.get("group_by", "workspace_id")
        if group not in _OWNERS:
            raise ApiError(422, f"group_by must be one of {', '.join(_OWNERS)}")
        sums: dict[str | None, list[float]] = {}
        for computer in (*self._account.ended, *self._account.computers.values()):
            if computer.tenant == call.caller.tenant:
                named = asdict(computer.whose)[group]
                sums.setdefault(named, []).append(time.monotonic() - computer.began)
        rows: list[JsonValue] = [
            {group: named, "computers": len(each), "seconds": sum(each)} for named, each in sums.items()
        ]
        return json_answer({"data": rows, "group_by": group, "until": timestamp()})


def check_placement(body: Mapping[str, Any]) -> None:
    """Refuses a place that there is none of.

    Raises:
        ApiError: If it is asked for.
    """
    if "compute_placement_request" in body:
        placed = read_fields(body["compute_placement_request"], _PLACEMENT)
        for target in ("region_id", "pool_id", "host_id"):
            if target in placed and _UUID.fullmatch(placed[target]) is None:
                raise ApiError(422, f"{target} must be a UUID")
        if placed["provider"] != "miosa" and placed.get("fallback") != "miosa":
            raise ApiError(503, "There is no machine ready there.", code="no_ready_machine")


def checked_name(name: str) -> str:
    """Returns a name that can be one.

    Raises:
        ApiError: If it cannot.
    """
    if not 0 < len(name.strip()) <= LONGEST_NAME:
        raise ApiError(422, f"name must have 1 to {LONGEST_NAME} characters")
    return name


async def _progress(snapshot: Snapshot) -> AsyncIterator[bytes]:
    while True:
        told: Json = {
            "type": "snapshot_progress",
            "snapshot_id": snapshot.id,
            "status": snapshot.status,
            "step": snapshot.status,
            "progress": 100 if snapshot.status == "ready" else 50,
            "error": snapshot.error,
        }
        yield f"event: snapshot_progress\ndata: {json.dumps(told)}\n\n".encode()
        if snapshot.status in {"ready", "failed", "deleted"}:
            return
        await anyio.sleep(PROGRESS)
