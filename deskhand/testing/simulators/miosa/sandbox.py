"""A simulated sandbox: its state, and the real machine without a screen behind it."""

from __future__ import annotations

import secrets
import time
import uuid
from collections.abc import Mapping
from dataclasses import InitVar, dataclass, field
from typing import Literal, TypeAlias

import anyio
import anyio.abc
from pydantic import JsonValue

from deskhand.providers import ExternalComputer, Screen
from deskhand.testing.simulators.disk import Disk
from deskhand.testing.simulators.hardware import Hardware, HardwareError, Machine
from deskhand.testing.simulators.wire import ApiError, Json

from .account import timestamp
from .dialect import MiosaDialect

__all__ = ["COMPONENTS", "OWNERS", "TIERS", "SandboxSnapshot", "SandboxState", "SimulatedSandbox"]

SandboxState: TypeAlias = Literal[
    "creating", "running", "pausing", "paused", "resuming", "stopped", "error", "destroying", "destroyed"
]

TIERS = {"xs": (1, 2048), "small": (2, 4096), "medium": (4, 8192), "large": (8, 16384), "xl": (16, 32768)}
"""Cores and megabytes of memory."""
DISK = 10_240
OWNERS = (
    *("workspace_id", "workspace_slug", "workspace_name", "project_id", "project_slug", "project_name"),
    *("external_workspace_id", "external_user_id", "external_project_id"),
)
"""For whom usage is counted."""
COMPONENTS = (
    *("command_agent", "process_control", "resource_contract", "clock"),
    *("identity", "durability", "filesystem", "internal_probe"),
)
"""What has to be ready before commands are let through."""
NO_SCREEN = Screen(1, 1)


@dataclass(slots=True)
class SandboxSnapshot:
    """What a sandbox's disk held at one time."""

    sandbox_id: str
    tenant: str
    comment: str | None = None
    id: str = field(default_factory=lambda: f"snap_{uuid.uuid4()}")
    status: Literal["creating", "ready", "failed"] = "creating"
    disk: Disk | None = field(default=None, repr=False)
    created_at: str = field(default_factory=timestamp)

    def as_json(self) -> Json:
        """Returns it as the API describes it."""
        return {
            "id": self.id,
            "sandbox_id": self.sandbox_id,
            "comment": self.comment,
            "status": self.status,
            "created_at": self.created_at,
        }


@dataclass(eq=False, slots=True)
class SimulatedSandbox:
    """A sandbox of the simulated vendor.

    Attributes:
        id: Its id.
        name: Its name, which others may have too.
        tenant: Whose it is.
        whose: For whom its usage is counted.
        state: What it is doing, in the simulator's words; a dialect may say it otherwise.
        metadata: What was given with it.
        env: Its variables.
        timeout: Seconds after which one that nobody uses ends, or is paused where it is persistent.
        persistent: Whether it is.
        is_ready: Whether commands are let through.
        came_up: Set when they are.
        checkpoint_pending: Whether what is saved after a pause is still being saved.
        hardware: What it runs on.
    """

    name: str
    tenant: str
    open_machine: InitVar[Machine]
    tasks: InitVar[anyio.abc.TaskGroup]
    template_id: str = "miosa-sandbox"
    size: str | None = "small"
    shape: tuple[int, int, int] = (*TIERS["small"], DISK)
    whose: Mapping[str, str] = field(default_factory=dict)
    metadata: Json = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)
    tags: list[JsonValue] = field(default_factory=list)
    timeout: float = 300
    persistent: bool = False
    always_on: bool = False
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    slug: str = field(default_factory=lambda: secrets.token_hex(5))
    state: SandboxState = "creating"
    is_ready: bool = False
    came_up: anyio.Event = field(default_factory=anyio.Event, repr=False)
    checkpoint_pending: bool = False
    created_at: str = field(default_factory=timestamp)
    used_at: float = field(default_factory=time.monotonic)
    hardware: Hardware = field(init=False, repr=False)

    def __post_init__(self, open_machine: Machine, tasks: anyio.abc.TaskGroup) -> None:
        """Gives it something to run on."""
        self.hardware = Hardware(self.name, open_machine, lambda: NO_SCREEN, tasks)

    @property
    def machine(self) -> ExternalComputer | None:
        """The machine behind it, as long as it is on."""
        return self.hardware.machine

    async def switch_on(self) -> None:
        """Gives it a machine, with what its disk held, and waits until it is up; that there is none is its state."""
        try:
            await self.hardware.switch_on()
        except HardwareError:
            self.state = "error"
        self.touch()

    def on(self) -> ExternalComputer:
        """Returns the machine of a sandbox that takes commands.

        Raises:
            ApiError: If it does not.
        """
        if self.state in {"creating", "resuming"} or (self.state == "running" and not self.is_ready):
            raise ApiError(
                409,
                "The sandbox is not ready for commands yet.",
                headers={"retry-after": "0.1"},
                code="SANDBOX_NOT_COMMAND_READY",
                retryable=True,
                retry_after_ms=100,
            )
        if self.state != "running" or self.machine is None:
            raise ApiError(409, f"The sandbox is {self.state}.", code="TARGET_NOT_RUNNING")
        self.touch()
        return self.machine

    def touch(self) -> None:
        """Notes that it is in use, which puts off its end."""
        self.used_at = time.monotonic()

    @property
    def left(self) -> float:
        """Seconds until its time is up."""
        return self.timeout - (time.monotonic() - self.used_at)

    @property
    def is_over(self) -> bool:
        """Whether its time is up."""
        return self.state == "running" and not self.always_on and self.left <= 0

    def readiness(self) -> Json:
        """Returns what the API says of whether it takes commands."""
        is_ready = self.state == "running" and self.is_ready
        parts: Json = dict.fromkeys(COMPONENTS, "ready" if is_ready else "pending")
        return {"ready": is_ready, "status": "ready" if is_ready else "pending", "components": parts}

    def as_json(self, dialect: MiosaDialect) -> Json:
        """Returns it as the API describes it."""
        said = {"stopped": dialect.stopped, "creating": dialect.begins}
        cpus, memory, disk = self.shape
        whose: Json = {name: self.whose.get(name) for name in OWNERS}
        return {
            "id": self.id,
            "name": self.name,
            "slug": self.slug,
            "state": said.get(self.state, self.state),
            "ready": self.state == "running" and self.is_ready,
            "template_id": self.template_id,
            "size": self.size,
            "cpu_count": cpus,
            "memory_mb": memory,
            "disk_size_mb": disk,
            "timeout_sec": int(self.timeout),
            "timeout_remaining_ms": max(0, int(self.left * 1000)),
            "persistent": self.persistent,
            "always_on": self.always_on,
            "checkpoint_pending": self.checkpoint_pending,
            "tenant_id": self.tenant,
            **whose,
            "metadata": dict(self.metadata),
            "tags": [*self.tags],
            "preview_url": f"https://{self.slug}.sandbox.preview.miosa.ai",
            "created_at": self.created_at,
        }
