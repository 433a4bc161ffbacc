"""A simulated hosted computer: its state, and the real machine behind it."""

from __future__ import annotations

import secrets
import time
import uuid
from collections.abc import Callable
from dataclasses import InitVar, dataclass, field
from typing import Literal, TypeAlias

import anyio
import anyio.abc

from deskhand.providers import ExternalComputer, Screen
from deskhand.testing.simulators.hardware import Hardware, HardwareError, Machine
from deskhand.testing.simulators.wire import ApiError, Json

from .account import timestamp
from .dialect import OrgoDialect

__all__ = ["Settings", "SimulatedComputer", "Status"]

Status: TypeAlias = Literal[
    "creating", "starting", "running", "stopping", "stopped", "restarting", "suspended", "deleting", "error"
]

DEFAULT_SCREEN = Screen(1280, 720)


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
        hardware: What it runs on.
    """

    name: str
    workspace_id: str
    settings: Settings
    open_machine: InitVar[Machine]
    tasks: InitVar[anyio.abc.TaskGroup]
    from_pool: bool = False
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    instance_id: str = field(default_factory=lambda: secrets.token_hex(4))
    status: Status = "creating"
    vnc_password: str = field(default_factory=lambda: secrets.token_urlsafe(9), repr=False)
    created_at: str = field(default_factory=timestamp)
    used_at: float = field(default_factory=time.monotonic)
    listeners: set[Callable[[Json], None]] = field(default_factory=set, repr=False)
    stream: Json = field(default_factory=lambda: {"status": "idle"}, repr=False)
    hardware: Hardware = field(init=False, repr=False)

    def __post_init__(self, open_machine: Machine, tasks: anyio.abc.TaskGroup) -> None:
        """Gives it something to run on."""
        self.hardware = Hardware(self.name, open_machine, lambda: self.settings.screen, tasks)

    @property
    def machine(self) -> ExternalComputer | None:
        """The machine behind it, as long as it is on."""
        return self.hardware.machine

    # On and off

    async def switch_on(self) -> None:
        """Gives it a machine, with what its disk held, and waits until it is up.

        Raises:
            ApiError: If it cannot be had.
        """
        try:
            await self.hardware.switch_on()
        except HardwareError as error:
            self.status = "error"
            raise ApiError(500, str(error), upstream_status=500) from error
        self.touch()

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
