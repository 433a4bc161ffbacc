"""What the simulated vendor knows of a customer: the key, the plan, sandboxes."""

from __future__ import annotations

import secrets
import time
from dataclasses import InitVar, dataclass, field
from datetime import UTC, datetime
from typing import Literal, TypeAlias

import anyio.abc
from pydantic import SecretStr

from deskhand.providers import ExternalComputer, Screen
from deskhand.testing.simulators.disk import Disk
from deskhand.testing.simulators.hardware import Hardware, HardwareError, Machine
from deskhand.testing.simulators.wire import ApiError, Json

from .processes import Processes

__all__ = ["Account", "E2BPlan", "SimulatedSandbox", "SimulatedSnapshot", "State"]

State: TypeAlias = Literal["running", "paused"]

DOMAIN = "e2b.app"
DAEMON_VERSION = "0.6.4"
DEFAULT_SCREEN = Screen(1280, 800)


@dataclass(frozen=True, slots=True)
class E2BPlan:
    """What the account's plan allows.

    Attributes:
        sandboxes: Sandboxes that run at once.
        longest: Seconds that a sandbox may be kept from now on.
        templates: Names of the templates that there are; ``desktop`` alone has programs for a screen.
        daemon: The version of the daemon in all templates, which is that of when a template was built: one before 0.5.7
            takes files as a form alone, and one before 0.4.0 has to be told the user.
    """

    sandboxes: int = 20
    longest: int = 86_400
    templates: tuple[str, ...] = ("base", "desktop", "code-interpreter-v1")
    daemon: str = DAEMON_VERSION

    def is_before(self, *version: int) -> bool:
        """Tells whether the daemon is of an earlier version."""
        return tuple(int(part) for part in self.daemon.split(".")) < version


def timestamp(seconds: float) -> str:
    """Returns a time as the API writes it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(eq=False, slots=True)
class SimulatedSandbox:
    """A sandbox of the simulated vendor.

    Attributes:
        template: What it was created from.
        metadata: What its creator noted.
        env: Variables of all its processes.
        auto_pause: Whether it is paused, rather than ended, when its time is up.
        daemon: The version of its daemon.
        id: Its id.
        token: What opens the daemon inside of it.
        state: What it is doing.
        ends_at: When its time is up, in Unix seconds.
        screen: The size of its screen, once it has one.
        hardware: What it runs on.
        processes: What runs in it.
    """

    template: str
    metadata: dict[str, str]
    env: dict[str, str]
    open_machine: InitVar[Machine]
    tasks: InitVar[anyio.abc.TaskGroup]
    auto_pause: bool = False
    daemon: str = DAEMON_VERSION
    id: str = field(default_factory=lambda: f"i{secrets.token_hex(10)}")
    token: SecretStr = field(default_factory=lambda: SecretStr(secrets.token_hex(32)))
    client_id: str = field(default_factory=lambda: secrets.token_hex(4))
    state: State = "running"
    started_at: float = field(default_factory=time.time)
    ends_at: float = 0.0
    screen: Screen = DEFAULT_SCREEN
    hardware: Hardware = field(init=False, repr=False)
    processes: Processes = field(init=False, repr=False)

    def __post_init__(self, open_machine: Machine, tasks: anyio.abc.TaskGroup) -> None:
        """Gives it something to run on."""
        self.hardware = Hardware(self.id, open_machine, lambda: self.screen, tasks)
        self.processes = Processes(self.on, self.resize, self.env, tasks, has_desktop=self.template == "desktop")

    @property
    def machine(self) -> ExternalComputer | None:
        """The machine behind it."""
        return self.hardware.machine

    async def switch_on(self) -> None:
        """Gives it a machine and waits until it is up.

        Raises:
            ApiError: If it cannot be had.
        """
        try:
            await self.hardware.switch_on()
        except HardwareError as error:
            raise ApiError(500, str(error), error_code="sandbox_create_failed") from error

    async def resize(self, screen: Screen) -> None:
        """Gives it a screen of another size: another machine, with what the disk of this one holds."""
        if screen != self.screen:
            self.screen = screen
            await self.hardware.switch_off()
            await self.switch_on()

    def on(self) -> ExternalComputer:
        """Returns the machine of a sandbox that runs.

        Raises:
            ApiError: If it does not.
        """
        if self.machine is None:
            raise ApiError(502, "The sandbox is running but port is not open", sandboxId=self.id, port=49983)
        return self.machine

    def keep_for(self, seconds: float) -> None:
        """Says how long it is kept from now on."""
        self.ends_at = time.time() + seconds

    # As the API describes it

    def as_created(self) -> Json:
        """Returns it as the answer to its creation has it."""
        return {
            "templateID": f"tpl{self.template}",
            "alias": self.template,
            "sandboxID": self.id,
            "clientID": self.client_id,
            "envdVersion": self.daemon,
            "envdAccessToken": self.token.get_secret_value(),
            "domain": DOMAIN,
        }

    def as_listed(self) -> Json:
        """Returns it as a list has it."""
        return {
            "templateID": f"tpl{self.template}",
            "alias": self.template,
            "sandboxID": self.id,
            "clientID": self.client_id,
            "startedAt": timestamp(self.started_at),
            "endAt": timestamp(self.ends_at),
            "cpuCount": 2,
            "memoryMB": 1024,
            "diskSizeMB": 10_240,
            "state": self.state,
            "envdVersion": self.daemon,
            "metadata": {**self.metadata},
        }

    def as_described(self) -> Json:
        """Returns it as whoever asks for it alone is told."""
        lifecycle: Json = {"autoResume": False, "onTimeout": "pause" if self.auto_pause else "kill"}
        token = self.token.get_secret_value()
        return {**self.as_listed(), "envdAccessToken": token, "domain": DOMAIN, "lifecycle": lifecycle}


@dataclass(frozen=True, slots=True)
class SimulatedSnapshot:
    """What a sandbox was when a snapshot of it was taken, which is a template from then on.

    Attributes:
        template: What that had been created from.
        names: What it is called, with the team and the tag; nothing where it was given no name.
        env: Variables of all its processes.
        screen: The size of its screen.
        disk: What its disk held.
        id: What it is created from again.
    """

    template: str
    names: tuple[str, ...]
    env: dict[str, str]
    screen: Screen
    disk: Disk | None = field(repr=False)
    id: str = field(default_factory=lambda: secrets.token_hex(10))


class Account:
    """One customer's account."""

    def __init__(self, plan: E2BPlan) -> None:
        self.plan = plan
        self.key: SecretStr = SecretStr(f"e2b_{secrets.token_hex(20)}")
        self.is_key_good = True
        self.sandboxes: dict[str, SimulatedSandbox] = {}
        self.snapshots: dict[str, SimulatedSnapshot] = {}
        """By all that a snapshot can be called, its tag left out."""
        self.idempotent: dict[str, tuple[object, str]] = {}
        """By the key of a creation: what was asked for, and the id of what came of it."""

    def authenticate(self, key: str) -> None:
        """Checks the key of a request.

        Raises:
            ApiError: If there is none, or it is not valid.
        """
        if not key:
            raise ApiError(401, "no credentials found")
        if key != self.key.get_secret_value() or not self.is_key_good:
            raise ApiError(401, "Invalid API key. Get one at https://e2b.dev/dashboard.")

    def sandbox(self, sandbox_id: str) -> SimulatedSandbox:
        """Returns a sandbox.

        Raises:
            ApiError: If there is none.
        """
        found = self.sandboxes.get(sandbox_id)
        if found is None:
            raise ApiError(404, f"sandbox {sandbox_id!r} not found")
        return found

    def inside(self, sandbox_id: str, token: str) -> SimulatedSandbox:
        """Returns the sandbox whose daemon a request is for.

        Raises:
            ApiError: If it does not run, or the token is another's.
        """
        found = self.sandboxes.get(sandbox_id)
        if found is None or found.state != "running":
            raise ApiError(502, "The sandbox was not found", sandboxId=sandbox_id)
        if token != found.token.get_secret_value():
            raise ApiError(401, "access token is missing or wrong")
        return found

    def check_room(self) -> None:
        """Checks that another sandbox may run.

        Raises:
            ApiError: If the plan has no room.
        """
        running = sum(one.state == "running" for one in self.sandboxes.values())
        if running >= self.plan.sandboxes:
            raise ApiError(429, f"you have reached the maximum number of concurrent E2B sandboxes ({running})")

    def check_time(self, seconds: int) -> None:
        """Checks that a sandbox may be kept that long.

        Raises:
            ApiError: If the plan does not allow it.
        """
        if seconds > self.plan.longest:
            hours = self.plan.longest / 3600
            raise ApiError(400, f"Timeout cannot be greater than {hours:g} hours")
