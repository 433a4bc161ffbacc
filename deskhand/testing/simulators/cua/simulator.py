"""The simulator of Cua: computer servers on the loopback interface with real machines behind, and their cloud."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, ClassVar

import anyio
import anyio.abc
from pydantic import SecretStr

from deskhand.providers import ExternalComputer
from deskhand.testing.simulators.front import Handler, SocketHandler
from deskhand.testing.simulators.hardware import Hardware
from deskhand.testing.simulators.latency import Latency, LatencyName
from deskhand.testing.simulators.routing import Route
from deskhand.testing.simulators.simulator import Simulator
from deskhand.testing.simulators.wire import ApiError, Json

from .commands import CUA_COMMANDS
from .machines import SCREEN, Account, SimulatedMachine
from .routes import TABLE
from .server import Server

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection

__all__ = ["CuaSimulator"]

_SEED = {"status": (0.002, 0.01), "cmd": (0.05, 0.2)}
_OTHER = (0.1, 0.3)
_CONTROL = frozenset({"list_vms", "start", "stop", "restart"})


class CuaSimulator(Simulator):
    """A strict, stateful simulator of computer servers and of the account that they belong to.

    Behind each machine is a real one, by default a local desktop: a click through the server moves a real pointer. The
    machines are there from the start, and stopped. ::

        async with CuaSimulator() as simulator:
            os.environ |= simulator.environment
            ...
        assert not simulator.computers  # no machine was left running

    It does what the vendor's server does: what a command does not know is dropped, a command that fails is told in an
    answer of success, points off the screen are moved to its edge, keys without a name are ignored.

    Args:
        machines: How many machines the account has.
        is_open: Whether the servers ask for no key, as one outside the cloud does.
        latency: ``none``, or ``seed`` for about the times that were measured.
        behind: Gives the machine behind each; a local desktop where not given.
        port: The port; 0 takes a free one.
        keep_requests: How many requests are kept, and at most 64 MB of them.
    """

    vendor: ClassVar[str] = "cua"
    routes = TABLE

    def __init__(
        self,
        *,
        machines: int = 8,
        is_open: bool = False,
        latency: LatencyName = "none",
        behind: Callable[[], AbstractAsyncContextManager[ExternalComputer]] | None = None,
        port: int = 0,
        keep_requests: int = 10_000,
    ) -> None:
        super().__init__(
            latency=Latency(_SEED, _OTHER) if latency == "seed" else None,
            behind=behind,
            port=port,
            keep_requests=keep_requests,
        )
        self._names = [f"box-{number}" for number in range(1, machines + 1)]
        self._is_open = is_open
        self._key = SecretStr(f"cua_{secrets.token_urlsafe(24)}")
        self._machines: dict[str, SimulatedMachine] = {}
        self._unknown: set[str] = set()
        self._server: Server | None = None

    # What the vendor says

    def admit(self, connection: HTTPConnection, route: Route, path: Mapping[str, str]) -> None:
        """Lets a request of the account through where its key is right; a server asks by itself."""
        del path
        if route.name not in _CONTROL:
            return
        if connection.headers.get("authorization") != f"Bearer {self.key}":
            raise ApiError(401, "Invalid API key")

    def error_body(self, error: ApiError, route: str | None, request_id: str) -> Json:
        """Returns an error as a server writes it."""
        del route, request_id
        return {"detail": error.message, **error.extra}

    def _handlers(self, tasks: anyio.abc.TaskGroup) -> Mapping[str, Handler]:
        for name in self._names:
            self._machines[name] = SimulatedMachine(name, Hardware(name, self._machine, lambda: SCREEN, tasks))
        account = Account(self._machines, lambda: self.origin, tasks)
        server = self._server = Server(self._machines, self._knows, self._refusal)
        return {
            "status": server.status,
            "cmd": server.cmd,
            "responses": server.responses,
            "list_vms": account.list_vms,
            "start": account.start,
            "stop": account.stop,
            "restart": account.restart,
        }

    def _sockets(self) -> Mapping[str, SocketHandler]:
        return {"ws": self._server.socket} if self._server is not None else {}

    def _knows(self, command: str) -> bool:
        return command in CUA_COMMANDS and command not in self._unknown

    def _refusal(self, name: str, container_name: str | None, key: str | None) -> str | None:
        """Returns why a server refuses whoever calls, if it does."""
        if self._is_open:
            return None
        if not container_name:
            return "Container name required"
        if not key:
            return "API key required"
        return None if (container_name, key) == (name, self.key) else "Authentication failed"

    def _forget_disks(self) -> None:
        for machine in self._machines.values():
            machine.hardware.forget_disk()

    # What tests ask

    @property
    def key(self) -> str:
        """The account's key, for ``CUA_API_KEY``."""
        return self._key.get_secret_value()

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables that lead a program here."""
        return {"CUA_API_BASE": self.origin, "CUA_API_KEY": self.key}

    def options(self) -> Mapping[str, object]:
        """Return the options that lead the provider here."""
        return {"api_key": self.key, "cloud_url": self.origin}

    def server_url(self, name: str) -> str:
        """Returns where a machine's server is, for ``CUA_SERVER_URL``."""
        return f"{self.origin}/machines/{name}"

    @property
    def machines(self) -> Mapping[str, SimulatedMachine]:
        """All machines of the account, by name; each tells its ``status`` and ``hardware``."""
        return self._machines

    @property
    def computers(self) -> Mapping[str, SimulatedMachine]:
        """The machines that run or start, by name; after the block, those that were left running."""
        return {name: one for name, one in self._machines.items() if one.status in {"starting", "running"}}

    # What tests arrange

    async def start_machine(self, name: str) -> str:
        """Starts a machine, as if somebody else had, and returns where its server is once it is up."""
        machine = self._machines[name]
        machine.status = "starting"
        await machine.hardware.switch_on()
        machine.status = "running"
        return self.server_url(name)

    async def stop_machine(self, name: str) -> None:
        """Stops a machine, as if somebody else had."""
        machine = self._machines[name]
        await machine.hardware.switch_off()
        machine.status = "stopped"

    def remove_command(self, name: str) -> None:
        """Removes a command from all servers, as one of another version lacks it."""
        if name not in CUA_COMMANDS:
            raise ValueError(f"there is no command {name!r}; there are {', '.join(CUA_COMMANDS)}")
        self._unknown.add(name)
