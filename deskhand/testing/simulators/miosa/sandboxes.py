"""The routes that create, change, copy and end sandboxes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import anyio
import anyio.abc
from pydantic import JsonValue

from deskhand.testing.simulators.disk import Disk
from deskhand.testing.simulators.wire import Answer, ApiError, Field, Json, json_answer, read_fields

from .lifecycle import ENVIRONMENT, Life, check_placement, checked_name
from .sandbox import DISK, OWNERS, TIERS, SandboxSnapshot, SimulatedSandbox
from .wire import MiosaCall

__all__ = ["SandboxLife"]

LONGEST_READINESS = 30.0
_SECONDS = Field("integer", low=1)
_CREATE: Mapping[str, Field] = {
    "template_id": Field("string"),
    "name": Field("string"),
    "size": Field("string", choices=tuple(TIERS)),
    **dict.fromkeys(("cpu_count", "memory_mb", "disk_mb", "disk_size_mb"), Field("integer", low=1)),
    **dict.fromkeys(("timeout_sec", "idle_timeout_sec"), _SECONDS),
    **dict.fromkeys(OWNERS, Field("string")),
    "metadata": Field("object"),
    **dict.fromkeys(("persistent", "always_on", "auto_start", "allow_provision"), Field("boolean")),
    "skip_agent_runtime_profile": Field("boolean"),
    **dict.fromkeys(("tags", "services"), Field("array")),
    "readiness_probe": Field("object"),
    **dict.fromkeys(("region", "slug", "entrypoint", "setup_file"), Field("string")),
    "runtime_profile": Field("string", choices=("standard", "soma", "auto")),
    **dict.fromkeys(("agent_runtime_profile_id", "agent_profile_id"), Field("string")),
    **dict.fromkeys(("github_repo_url", "github_branch", "github_clone_path"), Field("string")),
    "compute_placement_request": Field("object"),
    **ENVIRONMENT,
}
_FORK: Mapping[str, Field] = {
    **dict.fromkeys(("snapshot_id", "name", "external_user_id", "template_id"), Field("string")),
    "metadata": Field("object"),
    "timeout_sec": _SECONDS,
    **ENVIRONMENT,
}
USUAL_TIME = 300


class SandboxLife(Life):
    """The routes ``/sandboxes`` and those of one sandbox's life."""

    async def create(self, call: MiosaCall) -> Answer:
        """Creates a sandbox in the background; a request with a key that came before is answered as it was."""
        body = read_fields({name: value for name, value in call.body.items() if name != "database"}, _CREATE)
        if not isinstance(call.body.get("database", False), dict | bool):
            raise ApiError(400, "database must be an object or a boolean")
        if unknown := set(call.query) - {"wait"}:
            raise ApiError(422, f"Unknown parameter: {', '.join(sorted(unknown))}")
        check_placement(body)
        env = _variables(body)
        size, shape = _shape(body)
        name = checked_name(body.get("name", "sandbox"))
        if (before := self._before(call, "create")) is not None:
            return self._described(before)
        self._check_plan()
        sandbox = self._new(
            name,
            call.caller.tenant,
            template_id=body.get("template_id", "miosa-sandbox"),
            size=size,
            shape=shape,
            whose={owner: body[owner] for owner in OWNERS if owner in body},
            metadata=dict(body.get("metadata", {})),
            env=env,
            tags=[*body.get("tags", [])],
            timeout=body.get("timeout_sec", USUAL_TIME),
            persistent=body.get("persistent", False),
            always_on=body.get("always_on", False),
        )
        self._remember(call, "create", sandbox)
        self._tasks.start_soon(self._on, sandbox)
        return self._described(sandbox, 201)

    async def list(self, call: MiosaCall) -> Answer:
        """Lists those of the tenant, in one state or of one owner where that is asked for."""
        known = {"state", "tags", "external_workspace_id", "external_user_id", "external_project_id"}
        if unknown := set(call.query) - known:
            raise ApiError(422, f"Unknown parameter: {', '.join(sorted(unknown))}")
        asked = {name: value for name, value in call.query.items() if name != "tags" and value}
        found = [one.as_json(self._dialect) for one in self._account.sandboxes.values() if self._is_of(one, call)]
        told: list[JsonValue] = [one for one in found if all(one.get(name) == value for name, value in asked.items())]
        return json_answer({"data" if self._dialect.sandbox == "data" else "sandboxes": told})

    async def get(self, call: MiosaCall) -> Answer:
        """Describes one."""
        return self._described(self._find(call))

    async def by_name(self, call: MiosaCall) -> Answer:
        """Describes the newest of a name."""
        for sandbox in reversed(tuple(self._account.sandboxes.values())):
            if self._is_of(sandbox, call) and sandbox.name == call.path["name"]:
                return self._described(sandbox)
        raise ApiError(404, "Sandbox not found", code="SANDBOX_NOT_FOUND")

    async def delete(self, call: MiosaCall) -> Answer:
        """Ends one for good."""
        sandbox = self._find(call)
        await self.discard(sandbox)
        return Answer(204) if self._dialect.delete == 204 else self._described(sandbox)

    async def readiness(self, call: MiosaCall) -> Answer:
        """Tells whether one takes commands."""
        return json_answer({"data": self._find(call).readiness()})

    async def readiness_stream(self, call: MiosaCall) -> Answer:
        """Tells, as an event, when one takes commands."""
        return Answer(200, content_type="text/event-stream", stream=_until_ready(self._find(call)))

    async def pause(self, call: MiosaCall) -> Answer:
        """Pauses one in the background."""
        sandbox = self._running(call)
        sandbox.state = "pausing"
        sandbox.checkpoint_pending = self._dialect.checkpoint > 0
        self._tasks.start_soon(self._off, sandbox, "paused")
        return self._described(sandbox)

    async def stop(self, call: MiosaCall) -> Answer:
        """Saves the disk of one and lets its machine go, in the background."""
        sandbox = self._running(call)
        sandbox.state = "pausing"
        self._tasks.start_soon(self._off, sandbox, "stopped")
        return self._described(sandbox)

    async def resume(self, call: MiosaCall) -> Answer:
        """Lets one go on, unless what was saved at its pause is still being saved."""
        sandbox = self._find(call)
        _variables(read_fields(call.body, ENVIRONMENT))
        if sandbox.checkpoint_pending:
            raise ApiError(
                503,
                "The checkpoint of this sandbox is still in flight.",
                code="RESTORE_TRANSIENT",
                retryable=True,
                retry_after_ms=100,
                details={"reason": "checkpoint_in_flight"},
            )
        if sandbox.state not in {"paused", "stopped"}:
            raise ApiError(409, f"The sandbox is {sandbox.state}.", code="RESOURCE_STATE")
        self._account.charge()
        sandbox.state = "resuming"
        self._tasks.start_soon(self._on, sandbox)
        return self._described(sandbox)

    async def extend(self, call: MiosaCall) -> Answer:
        """Begins its time anew, or gives it another."""
        sandbox = self._find(call)
        body = read_fields(call.body, {"timeout_sec": _SECONDS})
        if sandbox.state in {"destroying", "destroyed", "error"}:
            raise ApiError(409, f"The sandbox is {sandbox.state}.", code="RESOURCE_STATE")
        sandbox.timeout = body.get("timeout_sec", sandbox.timeout)
        sandbox.touch()
        return self._described(sandbox)

    async def fork(self, call: MiosaCall) -> Answer:
        """Copies one with its disk; a request with a key that came before is answered as it was."""
        sandbox = self._find(call)
        body = read_fields(call.body, _FORK)
        env = {**sandbox.env, **_variables(body)}
        if (before := self._before(call, "fork")) is not None:
            return self._described(before)
        disk = self._saved(call, body["snapshot_id"]).disk if "snapshot_id" in body else None
        sandbox.on()
        name = checked_name(body.get("name", f"{sandbox.name} (fork)"))
        self._check_plan()
        inherits = self._dialect.forks == "inherit"
        user = body.get("external_user_id", sandbox.whose.get("external_user_id") if inherits else None)
        whose = {owner: named for owner, named in sandbox.whose.items() if owner != "external_user_id"}
        twin = self._new(
            name,
            sandbox.tenant,
            template_id=body.get("template_id", sandbox.template_id),
            size=sandbox.size,
            shape=sandbox.shape,
            whose=whose if user is None else {**whose, "external_user_id": user},
            metadata=dict(body.get("metadata", sandbox.metadata)),
            env=env,
            timeout=body.get("timeout_sec", sandbox.timeout if inherits else USUAL_TIME),
            persistent=sandbox.persistent,
        )
        twin.hardware.disk = disk if disk is not None else await sandbox.hardware.save()
        self._remember(call, "fork", twin)
        self._tasks.start_soon(self._on, twin)
        return self._described(twin, 201)

    # Snapshots

    async def save(self, call: MiosaCall) -> Answer:
        """Saves the disk, and answers when that is done."""
        snapshot = self._begin(call, None)
        await self._save(self._find(call), snapshot)
        return json_answer({"data": {"snapshot_id": snapshot.id}}, 201)

    async def take_snapshot(self, call: MiosaCall) -> Answer:
        """Saves the disk in the background."""
        body = read_fields(call.body, {"comment": Field("string")})
        snapshot = self._begin(call, body.get("comment"))
        self._tasks.start_soon(self._save, self._find(call), snapshot)
        return json_answer({"data": snapshot.as_json()}, 201)

    async def list_snapshots(self, call: MiosaCall) -> Answer:
        """Lists those of one sandbox."""
        sandbox = self._find(call)
        found = [one for one in self._account.sandbox_snapshots.values() if one.sandbox_id == sandbox.id]
        return json_answer({"data": [one.as_json() for one in found]})

    async def delete_snapshot(self, call: MiosaCall) -> Answer:
        """Deletes one."""
        snapshot = self._snapshot(call, call.path["snapshot"])
        del self._account.sandbox_snapshots[snapshot.id]
        return json_answer({"success": True})

    async def restore(self, call: MiosaCall) -> Answer:
        """Makes a sandbox of a snapshot: another, or, where the dialect says so, the same in its place."""
        read_fields(call.body, {})
        snapshot = self._saved(call, call.path["snapshot"])
        origin = self._find(call)
        if self._dialect.restores == "in_place":
            origin.state, origin.is_ready, origin.came_up = "resuming", False, anyio.Event()
            self._tasks.start_soon(self._again, origin, snapshot.disk)
            return self._described(origin)
        self._check_plan()
        name, tenant = f"{origin.name} (restored)", origin.tenant
        timeout = origin.timeout if self._dialect.forks == "inherit" else USUAL_TIME
        sandbox = self._new(name, tenant, whose=origin.whose, env=dict(origin.env), timeout=timeout)
        sandbox.hardware.disk = snapshot.disk
        self._tasks.start_soon(self._on, sandbox)
        return self._described(sandbox, 201)

    # How

    async def end_idle(self, sandbox: SimulatedSandbox) -> None:
        """Does what is done when a sandbox's time is up: a persistent one is paused, any other is ended."""
        if sandbox.persistent:
            sandbox.state = "pausing"
            await self._off(sandbox, "paused")
        else:
            await self.discard(sandbox)

    async def discard(self, sandbox: SimulatedSandbox) -> None:
        """Ends a sandbox and forgets it."""
        self._account.sandboxes.pop(sandbox.id, None)
        sandbox.state = "destroyed"
        await sandbox.hardware.discard()

    def _find(self, call: MiosaCall) -> SimulatedSandbox:
        return self._account.sandbox(call.caller, call.path["id"])

    def _is_of(self, sandbox: SimulatedSandbox, call: MiosaCall) -> bool:
        return sandbox.tenant == call.caller.tenant

    def _running(self, call: MiosaCall) -> SimulatedSandbox:
        sandbox = self._find(call)
        read_fields(call.body, {})
        if sandbox.state != "running":
            raise ApiError(409, f"The sandbox is {sandbox.state}.", code="RESOURCE_STATE")
        return sandbox

    def _snapshot(self, call: MiosaCall, snapshot_id: str) -> SandboxSnapshot:
        snapshot = self._account.sandbox_snapshots.get(snapshot_id)
        if snapshot is None or snapshot.sandbox_id != self._find(call).id:
            raise ApiError(404, "Snapshot not found", code="SNAPSHOT_NOT_FOUND")
        return snapshot

    def _saved(self, call: MiosaCall, snapshot_id: str) -> SandboxSnapshot:
        snapshot = self._snapshot(call, snapshot_id)
        if snapshot.status != "ready":
            raise ApiError(409, f"The snapshot is {snapshot.status}.", code="SNAPSHOT_NOT_READY")
        return snapshot

    def _begin(self, call: MiosaCall, comment: str | None) -> SandboxSnapshot:
        sandbox = self._find(call)
        sandbox.on()
        snapshot = SandboxSnapshot(sandbox.id, sandbox.tenant, comment)
        self._account.sandbox_snapshots[snapshot.id] = snapshot
        return snapshot

    def _before(self, call: MiosaCall, what: str) -> SimulatedSandbox | None:
        """Returns what came of the same request before, by its key."""
        return self._account.done.get((call.caller.tenant, what, call.headers.get("idempotency-key", "")))

    def _remember(self, call: MiosaCall, what: str, sandbox: SimulatedSandbox) -> None:
        if key := call.headers.get("idempotency-key"):
            self._account.done[call.caller.tenant, what, key] = sandbox

    def _described(self, sandbox: SimulatedSandbox, status: int = 200) -> Answer:
        told = sandbox.as_json(self._dialect)
        return json_answer({"data": told} if self._dialect.sandbox == "data" else told, status)

    def _new(self, name: str, tenant: str, **fields: Any) -> SimulatedSandbox:
        sandbox = SimulatedSandbox(name, tenant, self._open_machine, self._tasks, **fields)
        self._account.sandboxes[sandbox.id] = sandbox
        return sandbox

    def _check_plan(self) -> None:
        self._account.charge()
        if len(self._account.sandboxes) >= self._account.plan.sandboxes:
            raise ApiError(403, f"Your plan allows {self._account.plan.sandboxes} sandboxes.", code="QUOTA_EXCEEDED")

    async def _on(self, sandbox: SimulatedSandbox) -> None:
        if self._dialect.readiness == "later":
            sandbox.state = "running"  # which lets commands through some time after that
        await anyio.sleep(self._boot())
        await sandbox.switch_on()
        if sandbox.state in {"creating", "resuming", "running"}:
            sandbox.state, sandbox.is_ready = "running", True
            sandbox.came_up.set()

    async def _off(self, sandbox: SimulatedSandbox, state: str) -> None:
        sandbox.is_ready, sandbox.came_up = False, anyio.Event()
        await sandbox.hardware.switch_off()
        if sandbox.state == "pausing":
            sandbox.state = "paused" if state == "paused" else "stopped"
        await anyio.sleep(self._dialect.checkpoint)
        sandbox.checkpoint_pending = False

    async def _again(self, sandbox: SimulatedSandbox, disk: Disk | None) -> None:
        await sandbox.hardware.switch_off()
        sandbox.hardware.disk = disk
        await self._on(sandbox)

    async def _save(self, sandbox: SimulatedSandbox, snapshot: SandboxSnapshot) -> None:
        snapshot.disk = await sandbox.hardware.save()
        snapshot.status = "ready" if snapshot.disk is not None else "failed"


def _variables(body: Mapping[str, Any]) -> dict[str, str]:
    env = body.get("env", {})
    if not all(isinstance(value, str) for value in env.values()):
        raise ApiError(422, "env must be an object of strings")
    return dict(env)


def _shape(body: Mapping[str, Any]) -> tuple[str | None, tuple[int, int, int]]:
    """Returns the size, and the cores, megabytes of memory and of disk.

    Raises:
        ApiError: If there is no such combination.
    """
    cpus, memory = body.get("cpu_count"), body.get("memory_mb")
    disk = body.get("disk_size_mb", body.get("disk_mb"))
    if cpus is None and memory is None:
        size = body.get("size", "small")
        return size, (*TIERS[size], disk or DISK)
    named = next((name for name, tier in TIERS.items() if tier == (cpus, memory)), None)
    if named is None and None in {cpus, memory, disk}:
        raise ApiError(422, "Unsupported cpu/memory combination.", code="INVALID_SHAPE")
    if body.get("size") not in {None, named}:
        raise ApiError(422, "The resources do not match the size.", code="INVALID_SHAPE")
    return named, (int(cpus or 0), int(memory or 0), disk or DISK)


async def _until_ready(sandbox: SimulatedSandbox) -> AsyncIterator[bytes]:
    with anyio.move_on_after(LONGEST_READINESS):
        await sandbox.came_up.wait()
    told: Json = sandbox.readiness()
    name = "ready" if told["ready"] else "timeout"
    yield f"event: {name}\ndata: {json.dumps(told)}\n\n".encode()
