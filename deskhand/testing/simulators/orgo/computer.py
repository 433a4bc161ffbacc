"""A simulated hosted computer: its state, and the real machine behind it."""

from __future__ import annotations

import secrets
import time
import uuid
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import anyio
import anyio.abc

from deskhand.providers import Capability, ExternalComputer, Screen

from .account import timestamp
from .dialect import OrgoDialect
from .disk import Disk, load_disk, save_disk
from .wire import ApiError, Json

__all__ = ["Machine", "Settings", "SimulatedComputer", "Status"]

Machine: TypeAlias = Callable[[Screen], AbstractAsyncContextManager[ExternalComputer]]
"""Gives a machine with a screen of that size, for as long as a block lasts."""

Status: TypeAlias = Literal[
    "creating", "starting", "running", "stopping", "stopped", "restarting", "suspended", "deleting", "error"
]

DEFAULT_SCREEN = Screen(1280, 720)
LONGEST_SAVE = 30.0
"""Seconds that saving a disk may take."""


@dataclass(slots=True)
class Settings:
    """What a computer was created with, or resized to."""

    os: str = "linux"
    ram: int = 4
    cpu: float = 1
    gpu: str = "none"
    disk_size_gb: int = 8
    bandwidth_limit_mbps: int | None = None
    auto_stop_minutes: int = 0
    screen: Screen = DEFAULT_SCREEN
    depth: int = 24
    image: str | None = None
    template_ref: str | None = None

    @property
    def resolution(self) -> str:
        """The screen as the API writes it."""
        return f"{self.screen.width}x{self.screen.height}x{self.depth}"


class Power:
    """One time that a computer is on: it owns the machine, and says when that is up and when it is gone."""

    def __init__(self) -> None:
        self.up: anyio.Event = anyio.Event()
        self.leave: anyio.Event = anyio.Event()
        self.gone: anyio.Event = anyio.Event()
        self.keep_disk = True
        self.error: Exception | None = None


@dataclass(eq=False, slots=True)
class SimulatedComputer:
    """A computer of the simulated vendor.

    Attributes:
        id: Its id.
        instance_id: Its short id, by which its sockets are reached.
        name: Its name, unique in its workspace.
        workspace_id: Where it is.
        settings: Its size and screen.
        status: What it is doing, in the vendor's words.
        vnc_password: Its password, which is another after each restart.
        machine: The machine behind it, as long as it is on.
    """

    name: str
    workspace_id: str
    settings: Settings
    open_machine: Machine = field(repr=False)
    tasks: anyio.abc.TaskGroup = field(repr=False)
    from_pool: bool = False
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    instance_id: str = field(default_factory=lambda: secrets.token_hex(4))
    status: Status = "creating"
    vnc_password: str = field(default_factory=lambda: secrets.token_urlsafe(9), repr=False)
    machine: ExternalComputer | None = None
    created_at: str = field(default_factory=timestamp)
    used_at: float = field(default_factory=time.monotonic)
    listeners: set[Callable[[Json], None]] = field(default_factory=set, repr=False)
    stream: Json = field(default_factory=lambda: {"status": "idle"}, repr=False)
    disk: Disk | None = field(default=None, repr=False)
    power: Power = field(default_factory=Power, repr=False)
    _busy: anyio.Lock = field(default_factory=anyio.Lock, repr=False)

    # On and off

    async def switch_on(self) -> None:
        """Gives it a machine, with what its disk held, and waits until it is up.

        Raises:
            ApiError: If it cannot be had.
        """
        async with self._busy:
            if self.status == "deleting" or self.machine is not None:
                return
            self.power = power = Power()
            self.tasks.start_soon(self._live, power, name=f"computer {self.name}")
            await power.up.wait()
        if power.error is not None:
            raise ApiError(500, f"The computer could not be started: {power.error}", upstream_status=500)

    async def switch_off(self, *, keep_disk: bool = True) -> None:
        """Takes its machine away; its disk is kept, its memory lost."""
        async with self._busy:
            self.power.keep_disk = keep_disk
            self.power.leave.set()
            if self.machine is not None:
                await self.power.gone.wait()

    async def _live(self, power: Power) -> None:
        """Owns the machine from switching it on to switching it off."""
        try:
            async with self.open_machine(self.settings.screen) as machine:
                await self._prepare(machine)
                self.machine = machine
                self.touch()
                power.up.set()
                await power.leave.wait()
                if power.keep_disk:
                    with anyio.move_on_after(LONGEST_SAVE):
                        self.disk = await save_disk(machine)
        except Exception as error:  # whatever the machine raises is told to whoever asks for the computer
            power.error = error
            self.status = "error"
        finally:
            self.machine = None
            power.up.set()
            power.gone.set()

    async def _prepare(self, machine: ExternalComputer) -> None:
        screen = self.settings.screen
        if machine.info.screen not in {None, screen} and Capability.RESIZE in machine.capabilities:
            await machine.resize(screen.width, screen.height)
        if self.disk is not None:
            await load_disk(machine, self.disk)

    def on(self) -> ExternalComputer:
        """Returns the machine of a computer that is up.

        Raises:
            ApiError: If it is not.
        """
        if self.status != "running" or self.machine is None:
            raise ApiError(400, "Desktop instance not available")
        self.touch()
        return self.machine

    def touch(self) -> None:
        """Notes that it is in use, which puts off its automatic stop."""
        self.used_at = time.monotonic()

    @property
    def is_idle(self) -> bool:
        """Whether its automatic stop is due."""
        minutes = self.settings.auto_stop_minutes
        return self.status == "running" and minutes > 0 and time.monotonic() - self.used_at >= minutes * 60

    def rotate_password(self) -> None:
        """Gives it another password."""
        self.vnc_password = secrets.token_urlsafe(9)

    def tell(self, kind: str, data: Json) -> None:
        """Sends an event to whoever subscribed to its kind."""
        event: Json = {"type": "event", "event": {"type": kind, "timestamp": timestamp(), "data": data}}
        for listener in tuple(self.listeners):
            listener(event)

    # As the API describes it

    def as_json(self, dialect: OrgoDialect, *, details: bool = False) -> Json:
        """Returns it as the API describes it."""
        settings = self.settings
        described: Json = {
            "id": self.id,
            "name": self.name,
            "workspace_id": self.workspace_id,
            "project_id": self.workspace_id,
            "os": settings.os,
            "ram": settings.ram,
            "cpu": settings.cpu,
            "gpu": settings.gpu,
            "disk_size_gb": settings.disk_size_gb,
            "resolution": settings.resolution,
            "auto_stop_minutes": settings.auto_stop_minutes,
            "status": self.status,
            "url": f"https://www.orgo.ai/workspaces/{self.id}",
            "created_at": self.created_at,
            "hostname": "www.orgo.ai",
            "connection_url": f"https://www.orgo.ai/desktops/{self.instance_id}",
        }
        if dialect.id_field in {"instance_id", "both"}:
            described["instance_id"] = self.instance_id
        if dialect.id_field in {"fly_instance_id", "both"}:
            described["fly_instance_id"] = self.instance_id
        if details:
            described["instance_details"] = {
                "apiPort": 8080,
                "publicHost": f"{self.instance_id}.orgo.invalid",
                "vncHost": f"{self.instance_id}.orgo.invalid",
                "resolution": settings.resolution,
            }
        return described
