"""A simulated sandbox: its state, and the real machine behind it."""

from __future__ import annotations

import re
import secrets
import time
import uuid
from dataclasses import InitVar, dataclass, field

import anyio.abc

from deskhand.providers import Capability, ExternalComputer, Screen
from deskhand.testing.simulators.hardware import Hardware, Machine
from deskhand.testing.simulators.wire import ApiError, Json

from .wire import DaemonError, stamp

__all__ = ["SimulatedSandbox"]

DEFAULT_SCREEN = Screen(1024, 768)
_RESOLUTION = re.compile(r"([1-9]\d{2,3})x([1-9]\d{2,3})")


@dataclass(eq=False, slots=True)
class SimulatedSandbox:
    """A sandbox of the simulated vendor.

    Attributes:
        id: Its id.
        name: Its name, unique in the organization.
        settings: What it was created with.
        state: What it is doing, in the vendor's words.
        hardware: What it runs on.
        desktop: Whether its desktop was started.
        held: The keys that are held down, by the time they went down.
    """

    name: str
    settings: Json
    open_machine: InitVar[Machine]
    tasks: InitVar[anyio.abc.TaskGroup]
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    state: str = "creating"
    error_reason: str | None = None
    created_at: float = field(default_factory=time.time)
    used_at: float = field(default_factory=time.monotonic)
    stopped_at: float | None = None
    desktop: bool = False
    held: dict[str, float] = field(default_factory=dict)
    token: str = field(default_factory=lambda: secrets.token_urlsafe(12), repr=False)
    shown: list[str] = field(default_factory=list, repr=False)
    hardware: Hardware = field(init=False, repr=False)

    def __post_init__(self, open_machine: Machine, tasks: anyio.abc.TaskGroup) -> None:
        """Gives it something to run on."""
        self.hardware = Hardware(self.name, open_machine, lambda: self.screen, tasks)

    @property
    def machine(self) -> ExternalComputer | None:
        """The machine behind it, as long as it is on."""
        return self.hardware.machine

    @property
    def screen(self) -> Screen:
        """The size of its screen."""
        env = self.settings.get("env")
        wanted = env.get("VNC_RESOLUTION") if isinstance(env, dict) else None
        found = _RESOLUTION.fullmatch(wanted) if isinstance(wanted, str) else None
        return Screen(int(found[1]), int(found[2])) if found else DEFAULT_SCREEN

    @property
    def env(self) -> dict[str, str]:
        """The variables of everything that runs in it."""
        env = self.settings.get("env")
        return {name: str(value) for name, value in env.items()} if isinstance(env, dict) else {}

    def on(self) -> ExternalComputer:
        """Returns the machine of a sandbox that has started.

        Raises:
            ApiError: If it has not.
        """
        if self.state != "started" or self.machine is None:
            raise ApiError(400, "bad request: no IP address found. Is the Sandbox started?", source="DAYTONA_PROXY")
        self.used_at = time.monotonic()
        return self.machine

    def desk(self) -> ExternalComputer:
        """Returns the machine of a sandbox whose desktop was started.

        Raises:
            ApiError: If it was not.
        """
        machine = self.on()
        if not self.desktop or Capability.SCREENSHOT not in machine.capabilities:
            raise DaemonError(400, "failed to open display")
        return machine

    def minutes(self, name: str, default: int) -> int:
        """Returns one of its intervals."""
        value = self.settings.get(name, default)
        return value if isinstance(value, int) else default

    def state_to_show(self) -> str:
        """Returns what is told of its state: on its way there, each step is told once."""
        if self.shown:
            return self.shown.pop(0)
        return self.state

    def as_json(self, toolbox_url: str, *, in_list: bool = False) -> Json:
        """Returns it as the API describes it."""
        settings = self.settings
        ttl = self.minutes("ttlMinutes", 0)
        described: Json = {
            "id": self.id,
            "organizationId": "org-simulated",
            "name": self.name,
            "snapshot": settings.get("snapshot", "daytona-simulated:1"),
            "user": settings.get("user", "daytona"),
            "labels": settings.get("labels", {}),
            "public": settings.get("public", False),
            "networkBlockAll": settings.get("networkBlockAll", False),
            "networkAllowList": settings.get("networkAllowList"),
            "domainAllowList": settings.get("domainAllowList"),
            "target": settings.get("target", "us"),
            "cpu": settings.get("cpu", 1),
            "gpu": 0,
            "memory": settings.get("memory", 1),
            "disk": settings.get("disk", 3),
            "state": self.state if in_list else self.state_to_show(),
            "desiredState": "started",
            "errorReason": self.error_reason,
            "autoStopInterval": self.minutes("autoStopInterval", 15),
            "autoDeleteInterval": self.minutes("autoDeleteInterval", -1),
            "autoDestroyAt": stamp(self.created_at + ttl * 60) if ttl else None,
            "createdAt": stamp(self.created_at),
            "updatedAt": stamp(self.created_at),
            "daemonVersion": "0.226.1",
            "toolboxProxyUrl": toolbox_url,
        }
        if not in_list:
            described |= {"env": settings.get("env", {}), "kvm": False}
        return described
