"""The control plane: creation, state, time to live, addresses, end."""

from __future__ import annotations

import copy
import secrets
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import anyio
import anyio.abc

from deskhand.testing.simulators.disk import Disk, save_disk
from deskhand.testing.simulators.hardware import HardwareError, Machine
from deskhand.testing.simulators.wire import Answer, ApiError, Field, json_answer

from .dialect import DaytonaDialect, DaytonaPlan
from .sandbox import SimulatedSandbox
from .wire import DaytonaCall, read, stamp, whole

__all__ = ["Control"]

PAGE = 100

_TEXT, _WHOLE, _FLAG = Field("string"), Field("integer"), Field("boolean")
_CREATE = {
    "name": _TEXT,
    "snapshot": _TEXT,
    "user": _TEXT,
    "target": _TEXT,
    "env": Field("object"),
    "labels": Field("object"),
    "public": _FLAG,
    "networkBlockAll": _FLAG,
    "networkAllowList": _TEXT,
    "domainAllowList": _TEXT,
    "cpu": Field("integer", low=1),
    "gpu": Field("integer", low=0),
    "memory": Field("integer", low=1),
    "disk": Field("integer", low=1),
    "autoStopInterval": Field("integer", low=0),
    "autoPauseInterval": Field("integer", low=0),
    "autoArchiveInterval": Field("integer", low=0),
    "autoDeleteInterval": _WHOLE,
    "ttlMinutes": Field("integer", low=0),
    "volumes": Field("array"),
    "buildInfo": Field("object"),
    "kvm": _FLAG,
    "spot": _FLAG,
    "secrets": Field("array"),
}
_SIZES = ("cpu", "memory", "disk")


class Control:
    """The routes ``/api/sandbox``.

    Args:
        dialect: How sandboxes are described.
        plan: What the organization may have.
        open_machine: Gives the machines behind them.
        tasks: Where what goes on in the background is done.
        seconds_of: Tells how long a boot takes.
        toolbox: Tells where the toolbox is.

    Attributes:
        sandboxes: Those that exist, by id.
        snapshots: What the disks held of which a snapshot was taken, by its name.
        is_suspended: Whether the organization has no credit left.
    """

    def __init__(
        self,
        dialect: DaytonaDialect,
        plan: DaytonaPlan,
        open_machine: Machine,
        tasks: anyio.abc.TaskGroup,
        *,
        seconds_of: Callable[[str], float],
        toolbox: Callable[[], str],
        sandboxes: dict[str, SimulatedSandbox],
    ) -> None:
        self._dialect = dialect
        self._plan = plan
        self._open_machine = open_machine
        self._tasks = tasks
        self._seconds_of = seconds_of
        self._toolbox = toolbox
        self.sandboxes = sandboxes
        self.snapshots: dict[str, Disk | None] = {}
        self.is_suspended = False

    def find(self, name: str) -> SimulatedSandbox:
        """Returns a sandbox by its id or name.

        Raises:
            ApiError: If there is none.
        """
        for sandbox in self.sandboxes.values():
            if name in {sandbox.id, sandbox.name}:
                return sandbox
        raise ApiError(404, f"Sandbox not found: sandbox with ID or name {name} not found")

    async def create(self, call: DaytonaCall) -> Answer:
        """Creates one, which starts in the background."""
        body = read(call.body, _CREATE)
        for name in ("env", "labels"):
            if not all(isinstance(value, str) for value in body.get(name, {}).values()):
                raise ApiError(400, f"{name} must hold strings alone")
        if any(name in body for name in _SIZES) and "buildInfo" not in body:
            raise ApiError(400, "Cannot specify Sandbox resources when using a snapshot")
        if body.get("autoStopInterval") and body.get("autoPauseInterval"):
            raise ApiError(400, "autoStopInterval and autoPauseInterval are mutually exclusive")
        build = body.get("buildInfo")
        if build is not None and not isinstance(build.get("dockerfileContent"), str):
            raise ApiError(400, "buildInfo.dockerfileContent must be a string")
        called = body.get("snapshot")
        if called is not None and called not in {*self._plan.snapshots, *self.snapshots}:
            raise ApiError(400, f"Snapshot {called} not found. Did you add it through the Daytona Dashboard?")
        sandbox = self._new(body.pop("name", None), body)
        sandbox.hardware.disk = self.snapshots.get(called) if called is not None else None
        self._tasks.start_soon(self._boot, sandbox)
        return self._told(sandbox)

    def _new(self, name: str | None, settings: dict[str, Any]) -> SimulatedSandbox:
        self._check_plan(settings)
        if name is not None and any(name == found.name for found in self.sandboxes.values()):
            raise ApiError(409, f"Sandbox with name {name} already exists")
        sandbox = SimulatedSandbox(name or "", settings, self._open_machine, self._tasks)
        sandbox.name = name or sandbox.id
        sandbox.shown = ["creating", "starting"]
        self.sandboxes[sandbox.id] = sandbox
        return sandbox

    def _check_plan(self, settings: dict[str, Any]) -> None:
        if self.is_suspended:
            raise ApiError(403, "Organization is suspended: Depleted credits")
        if len(self.sandboxes) >= self._plan.sandboxes:
            raise ApiError(403, f"Total sandbox limit exceeded. Maximum allowed: {self._plan.sandboxes}.")
        for name, most in (("cpu", self._plan.cpu), ("memory", self._plan.memory)):
            used = sum(found.minutes(name, 1) for found in self.sandboxes.values())
            if used + settings.get(name, 1) > most:
                raise ApiError(403, f"Total {name} limit exceeded. Maximum allowed: {most}.")

    async def _boot(self, sandbox: SimulatedSandbox) -> None:
        await anyio.sleep(self._seconds_of("boot"))
        try:
            await sandbox.hardware.switch_on()
        except HardwareError as error:
            sandbox.state, sandbox.error_reason = "error", str(error)
            return
        if sandbox.state in {"creating", "starting"}:
            sandbox.state = "started"
            sandbox.used_at = time.monotonic()

    async def get(self, call: DaytonaCall) -> Answer:
        """Describes one."""
        return self._told(self.find(call.path["id"]))

    async def list(self, call: DaytonaCall) -> Answer:
        """Lists them by pages."""
        limit = whole(call.query.get("limit"), "limit", PAGE)
        if not 1 <= limit <= 200:
            raise ApiError(400, "limit must be between 1 and 200")
        start = whole(call.query.get("cursor"), "cursor", 0)
        every = [*self.sandboxes.values()]
        items = [found.as_json(self._toolbox(), in_list=True) for found in every[start : start + limit]]
        more = str(start + limit) if start + limit < len(every) else None
        return json_answer({"items": [*items], "nextCursor": more})

    async def delete(self, call: DaytonaCall) -> Answer:
        """Ends one for good."""
        sandbox = self.find(call.path["id"])
        await self.discard(sandbox)
        return self._told(sandbox)

    async def discard(self, sandbox: SimulatedSandbox) -> None:
        """Ends a sandbox and forgets it."""
        self.sandboxes.pop(sandbox.id, None)
        sandbox.state, sandbox.shown = "destroyed", []
        await sandbox.hardware.discard()

    async def start(self, call: DaytonaCall) -> Answer:
        """Starts one that is stopped, paused or archived, in the background."""
        sandbox = self.find(call.path["id"])
        if sandbox.state not in {"stopped", "paused", "archived"}:
            raise ApiError(400, "Sandbox is not in valid state")
        self._check_suspended()
        sandbox.shown = ["restoring", "starting"] if sandbox.state == "archived" else ["starting"]
        sandbox.state, sandbox.desktop, sandbox.stopped_at = "starting", False, None
        self._tasks.start_soon(self._boot, sandbox)
        return self._told(sandbox)

    def _check_suspended(self) -> None:
        if self.is_suspended:
            raise ApiError(403, "Organization is suspended: Depleted credits")

    async def stop(self, call: DaytonaCall) -> Answer:
        """Stops one in the background: its disk is kept, its memory lost."""
        return await self._off(call, "stopping", "stopped")

    async def pause(self, call: DaytonaCall) -> Answer:
        """Pauses one in the background."""
        return await self._off(call, "pausing", "paused")

    async def _off(self, call: DaytonaCall, on_the_way: str, then: str) -> Answer:
        sandbox = self.find(call.path["id"])
        if sandbox.state != "started":
            raise ApiError(400, "Sandbox is not started")
        sandbox.state, sandbox.shown = on_the_way, [on_the_way]
        self._tasks.start_soon(self.switch_off, sandbox, then)
        return self._told(sandbox)

    async def switch_off(self, sandbox: SimulatedSandbox, then: str) -> None:
        """Takes a sandbox's machine away, and says what it is then."""
        await sandbox.hardware.switch_off()
        if sandbox.state in {"stopping", "pausing"}:
            sandbox.state, sandbox.stopped_at, sandbox.desktop = then, time.monotonic(), False

    async def archive(self, call: DaytonaCall) -> Answer:
        """Archives one that is stopped."""
        sandbox = self.find(call.path["id"])
        if sandbox.state != "stopped":
            raise ApiError(400, "Sandbox is not stopped")
        sandbox.state, sandbox.shown = "archived", ["archiving"]
        return self._told(sandbox)

    async def fork(self, call: DaytonaCall) -> Answer:
        """Copies one with its disk."""
        body = read(call.body, {"name": Field("string")})
        original = self.find(call.path["id"])
        machine = original.on()
        twin = self._new(body.get("name"), copy.deepcopy(original.settings))
        twin.hardware.disk = await save_disk(machine)
        self._tasks.start_soon(self._boot, twin)
        return self._told(twin)

    async def snapshot(self, call: DaytonaCall) -> Answer:
        """Saves the files of one under a name that no other snapshot has."""
        sandbox = self.find(call.path["id"])
        name = read(call.body, {"name": Field("string", required=True), "includeMemory": _FLAG})["name"]
        if sandbox.state not in {"started", "stopped"}:
            raise ApiError(400, "Sandbox is not in valid state")
        if name in {*self._plan.snapshots, *self.snapshots}:
            raise ApiError(409, f"Snapshot with name {name} already exists")
        self.snapshots[name] = await sandbox.hardware.save()
        sandbox.shown = ["snapshotting", "snapshotting"]
        return self._told(sandbox)

    async def labels(self, call: DaytonaCall) -> Answer:
        """Replaces the labels."""
        body = read(call.body, {"labels": Field("object", required=True)})
        self.find(call.path["id"]).settings["labels"] = body["labels"]
        return json_answer({"labels": body["labels"]})

    async def auto_stop(self, call: DaytonaCall) -> Answer:
        """Says after how many idle minutes one stops; 0 for never."""
        return self._interval(call, "autoStopInterval", 0)

    async def auto_delete(self, call: DaytonaCall) -> Answer:
        """Says how many minutes after it stopped one is deleted; negative for never."""
        return self._interval(call, "autoDeleteInterval", None)

    async def ttl(self, call: DaytonaCall) -> Answer:
        """Says how many minutes after its creation one is destroyed; 0 for never."""
        return self._interval(call, "ttlMinutes", 0)

    def _interval(self, call: DaytonaCall, name: str, low: int | None) -> Answer:
        sandbox = self.find(call.path["id"])
        minutes = whole(call.path["minutes"], name)
        if low is not None and minutes < low:
            raise ApiError(400, f"{name} must not be negative")
        sandbox.settings[name] = minutes
        return self._told(sandbox)

    async def toolbox_url(self, call: DaytonaCall) -> Answer:
        """Tells where the toolbox is."""
        self.find(call.path["id"])
        return json_answer({"url": self._toolbox()})

    async def preview(self, call: DaytonaCall) -> Answer:
        """Tells a port's address, and the token that it takes in a header."""
        sandbox, port = self.find(call.path["id"]), _port(call)
        return json_answer(
            {"sandboxId": sandbox.id, "url": self._address(f"{port}-{sandbox.id}"), "token": sandbox.token}
        )

    async def signed_preview(self, call: DaytonaCall) -> Answer:
        """Tells a port's address that needs no header for some time."""
        sandbox, port = self.find(call.path["id"]), _port(call)
        seconds = whole(call.query.get("expiresInSeconds"), "expiresInSeconds", 60)
        if not 1 <= seconds <= 86_400:
            raise ApiError(400, "expiresInSeconds must be between 1 and 86400")
        token = secrets.token_hex(8)
        url = self._address(f"{port}-{token}")
        return json_answer({"sandboxId": sandbox.id, "port": port, "token": token, "url": url})

    async def ssh_access(self, call: DaytonaCall) -> Answer:
        """Tells a token for SSH, behind which nothing is."""
        sandbox = self.find(call.path["id"])
        sandbox.on()
        minutes = whole(call.query.get("expiresInMinutes"), "expiresInMinutes", 60)
        if minutes < 1:
            raise ApiError(400, "expiresInMinutes must be at least 1")
        token, now = secrets.token_urlsafe(24), time.time()
        return json_answer(
            {
                "id": secrets.token_hex(8),
                "sandboxId": sandbox.id,
                "token": token,
                "expiresAt": stamp(now + 60 * minutes),
                "createdAt": stamp(now),
                "updatedAt": stamp(now),
                "sshCommand": f"ssh -p 2222 {token}@localhost",
            }
        )

    def _address(self, host: str) -> str:
        return f"http://{host}.proxy.localhost:{urlsplit(self._toolbox()).port}"

    def _told(self, sandbox: SimulatedSandbox) -> Answer:
        url = self._toolbox() if self._dialect.toolbox_url == "told" else ""
        return json_answer(sandbox.as_json(url))

    async def sweep(self) -> None:
        """Stops, deletes and destroys what has had its time."""
        for sandbox in tuple(self.sandboxes.values()):
            if _is_over(sandbox):
                await self.discard(sandbox)
            elif _is_idle(sandbox):
                sandbox.state = "stopping"
                await self.switch_off(sandbox, "stopped")


def _is_over(sandbox: SimulatedSandbox) -> bool:
    ttl, stopped = sandbox.minutes("ttlMinutes", 0), sandbox.minutes("autoDeleteInterval", -1)
    if ttl and time.time() - sandbox.created_at >= ttl * 60:
        return True
    return sandbox.stopped_at is not None and 0 <= stopped * 60 <= time.monotonic() - sandbox.stopped_at


def _is_idle(sandbox: SimulatedSandbox) -> bool:
    idle = sandbox.minutes("autoStopInterval", 15)
    return sandbox.state == "started" and bool(idle) and time.monotonic() - sandbox.used_at >= idle * 60


def _port(call: DaytonaCall) -> int:
    port = whole(call.path["port"], "port")
    if not 1 <= port <= 65_535:
        raise ApiError(400, "port must be between 1 and 65535")
    return port
