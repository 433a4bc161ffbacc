"""A simulated host: somebody's machine, and the agent that connects it."""

from __future__ import annotations

import secrets
import uuid
from dataclasses import InitVar, dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

import anyio.abc

from deskhand.providers import ExternalComputer, Screen
from deskhand.testing.simulators.hardware import Hardware, HardwareError, Machine
from deskhand.testing.simulators.wire import Json

from .account import CodedError, timestamp
from .dialect import OpenComputersDialect

if TYPE_CHECKING:
    from .agent import Session
    from .jobs import Job

__all__ = ["HostStatus", "SimulatedHost", "System"]

HostStatus: TypeAlias = Literal["pending", "online", "offline", "error", "revoked"]
System: TypeAlias = Literal["linux", "macos", "windows"]

SCREEN = Screen(1280, 800)


@dataclass(eq=False, slots=True)
class SimulatedHost:
    """A host of the simulated vendor.

    Attributes:
        id: Its id.
        name: Its name.
        labels: What it is labelled with.
        status: What it is doing, in the vendor's words.
        host_key: What its agent is started with.
        hardware: The machine.
        jobs: The commands that were run on it.
        tunnels: The ports that can be reached from outside.
        sessions: What the vendor's own agent was asked to do on it.
    """

    name: str
    tenant_id: str
    open_machine: InitVar[Machine]
    tasks: InitVar[anyio.abc.TaskGroup]
    screen: Screen = SCREEN
    region: str | None = None
    labels: dict[str, str] = field(default_factory=dict)
    system: System = "linux"
    status: HostStatus = "pending"
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    host_key: str = field(default_factory=lambda: f"hk_{secrets.token_hex(16)}", repr=False)
    created_at: str = field(default_factory=timestamp)
    updated_at: str = field(default_factory=timestamp)
    jobs: dict[str, Job] = field(default_factory=dict, repr=False)
    tunnels: dict[str, Json] = field(default_factory=dict, repr=False)
    sessions: dict[str, Session] = field(default_factory=dict, repr=False)
    hardware: Hardware = field(init=False, repr=False)

    def __post_init__(self, open_machine: Machine, tasks: anyio.abc.TaskGroup) -> None:
        """Gives it something to run on."""
        self.hardware = Hardware(self.name, open_machine, lambda: self.screen, tasks)

    @property
    def machine(self) -> ExternalComputer | None:
        """The machine, as long as its agent is connected."""
        return self.hardware.machine

    async def connect(self) -> None:
        """Starts the agent on a machine, and waits until it has connected.

        Raises:
            ApiError: If the machine cannot be had.
        """
        try:
            await self.hardware.switch_on()
        except HardwareError as error:
            self.status = "error"
            raise CodedError(500, "HOST_FAILED", str(error)) from error
        self._become("online")

    async def disconnect(self) -> None:
        """Ends the agent, and the machine with it; its disk is kept."""
        self._become("offline")
        await self.hardware.switch_off()

    async def revoke(self) -> None:
        """Ends the registration: the agent is disconnected for good."""
        self._become("revoked")
        await self.hardware.discard()

    def _become(self, status: HostStatus) -> None:
        self.status, self.updated_at = status, timestamp()

    def on(self) -> ExternalComputer:
        """Returns the machine of a host whose agent is connected.

        Raises:
            ApiError: If it is not.
        """
        if self.status != "online" or self.machine is None:
            raise CodedError(409, "HOST_OFFLINE", f"The host is {self.status}: its agent is not connected")
        return self.machine

    def as_json(self, dialect: OpenComputersDialect) -> Json:
        """Returns it as the API describes it, without its key."""
        described: Json = {
            "id": self.id,
            "name": self.name,
            "tenant_id": self.tenant_id,
            "region": self.region,
            "labels": {**self.labels},
            "tags": [],
            "connected": self.status == "online",
            "os_kind": None if self.status == "pending" else self.system,
            "arch": None if self.status == "pending" else "x86_64",
            "agent_version": None if self.status == "pending" else "0.9.0",
            "last_heartbeat": None if self.status == "pending" else timestamp(),
            "created_at": self.created_at,
            "updated_at": self.updated_at,
        }
        if dialect.status_field in {"status", "both"}:
            described["status"] = self.status
        if dialect.status_field in {"state", "both"}:
            described["state"] = self.status
        return described
