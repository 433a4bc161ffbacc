"""A simulated cloud computer: its state, and the real machine behind it."""

from __future__ import annotations

import secrets
import time
import uuid
from dataclasses import InitVar, dataclass, field
from typing import Literal, TypeAlias

import anyio.abc

from deskhand.providers import Capability, ExternalComputer, Screen
from deskhand.testing.simulators.hardware import Hardware, HardwareError, Machine
from deskhand.testing.simulators.wire import ApiError, Json

from .account import timestamp
from .dialect import MiosaDialect

__all__ = ["SCREEN", "SIZES", "SimulatedComputer", "Status", "Whose"]

Status: TypeAlias = Literal["provisioning", "starting", "running", "stopping", "stopped", "error", "destroying"]

SCREEN = Screen(1280, 720)
"""The screen that the vendor's desktops have."""
DESKTOP, BARE = "miosa-desktop", "simulated-shell"
SIZES = {"xs": (1, 2048), "small": (1, 4096), "medium": (2, 8192), "large": (4, 16384), "xl": (8, 32768)}
"""Cores and megabytes of memory."""


@dataclass(frozen=True, slots=True)
class Whose:
    """For whom usage is counted."""

    workspace_id: str | None = None
    external_workspace_id: str | None = None
    external_project_id: str | None = None


@dataclass(eq=False, slots=True)
class SimulatedComputer:
    """A computer of the simulated vendor.

    Attributes:
        id: Its id.
        name: Its name, which others may have too.
        slug: What its addresses are made of.
        tenant: Whose it is.
        whose: For whom its usage is counted.
        status: What it is doing, in the simulator's words; a dialect may say it otherwise.
        metadata: What was given with it.
        env: Its variables.
        auto_stop: Idle seconds after which it stops; 0 for never.
        ports: The ports that are exposed, with what was said of each.
        hardware: What it runs on.
    """

    name: str
    tenant: str
    template_type: str
    size: str
    open_machine: InitVar[Machine]
    tasks: InitVar[anyio.abc.TaskGroup]
    whose: Whose = Whose()
    metadata: Json = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)
    visibility: str = "tenant"
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    slug: str = field(default_factory=lambda: secrets.token_hex(5))
    status: Status = "provisioning"
    auto_stop: int = 0
    ports: dict[int, Json] = field(default_factory=dict)
    created_at: str = field(default_factory=timestamp)
    began: float = field(default_factory=time.monotonic)
    used_at: float = field(default_factory=time.monotonic)
    hardware: Hardware = field(init=False, repr=False)

    def __post_init__(self, open_machine: Machine, tasks: anyio.abc.TaskGroup) -> None:
        """Gives it something to run on."""
        self.hardware = Hardware(self.name, open_machine, lambda: SCREEN, tasks)

    @property
    def machine(self) -> ExternalComputer | None:
        """The machine behind it, as long as it is on."""
        return self.hardware.machine

    async def switch_on(self) -> None:
        """Gives it a machine, with what its disk held, and waits until it is up; that there is none is its status."""
        try:
            await self.hardware.switch_on()
        except HardwareError:
            self.status = "error"
            return
        self.touch()

    def on(self) -> ExternalComputer:
        """Returns the machine of a computer that is up.

        Raises:
            ApiError: If it is not.
        """
        if self.status in {"provisioning", "starting"} or (self.status == "running" and self.machine is None):
            raise ApiError(
                409,
                "The computer is still starting.",
                headers={"retry-after": "0.1"},
                code="COMPUTER_STARTING",
                retryable=True,
                retry_after_ms=100,
            )
        if self.status != "running" or self.machine is None:
            raise ApiError(409, f"The computer is {self.status}.", code="RESOURCE_STATE")
        self.touch()
        return self.machine

    def desktop(self) -> ExternalComputer:
        """Returns the machine of a computer that is up and has a desktop.

        Raises:
            ApiError: If it is not, or has none.
        """
        machine = self.on()
        if Capability.SCREENSHOT not in machine.capabilities:
            raise ApiError(404, "This computer has no desktop.", code="DESKTOP_NOT_AVAILABLE")
        return machine

    @property
    def _template(self) -> str:
        """The template; that of a machine without a screen is not the desktop's, whatever was asked for."""
        is_bare = self.machine is not None and Capability.SCREENSHOT not in self.machine.capabilities
        return BARE if is_bare and self.template_type == DESKTOP else self.template_type

    def touch(self) -> None:
        """Notes that it is in use, which puts off its automatic stop."""
        self.used_at = time.monotonic()

    @property
    def is_idle(self) -> bool:
        """Whether its automatic stop is due."""
        return self.status == "running" and self.auto_stop > 0 and time.monotonic() - self.used_at >= self.auto_stop

    def as_json(self, dialect: MiosaDialect) -> Json:
        """Returns it as the API describes it."""
        said = {"stopped": dialect.stopped, "running": dialect.running}
        cpus, memory = SIZES[self.size]
        return {
            "id": self.id,
            "name": self.name,
            "slug": self.slug,
            "status": said.get(self.status, self.status),
            "template_type": self._template,
            "size": self.size,
            "vcpus": cpus,
            "memory_mb": memory,
            "visibility": self.visibility,
            "sandbox_url": f"https://{self.slug}.sandbox.miosa.ai",
            "desktop_url": f"https://{self.slug}.computer.miosa.ai",
            "tenant_id": self.tenant,
            "workspace_id": self.whose.workspace_id,
            "external_workspace_id": self.whose.external_workspace_id,
            "external_project_id": self.whose.external_project_id,
            "metadata": dict(self.metadata),
            "created_at": self.created_at,
            "updated_at": timestamp(),
        }
