"""The simulator of MIOSA's OpenComputers: a server on the loopback interface with real machines behind it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar

import anyio.abc

from deskhand.providers import ExternalComputer
from deskhand.testing.simulators.front import Handler
from deskhand.testing.simulators.latency import Latency, LatencyName
from deskhand.testing.simulators.routing import Route
from deskhand.testing.simulators.simulator import Simulator
from deskhand.testing.simulators.wire import ApiError, Json, check_accepts_json

from .account import Account, CodedError
from .agent import AgentRoutes, HostAgent, look
from .dialect import OpenComputersDialect
from .files import HostFileSystem
from .host import SimulatedHost, System
from .hosts import Hosts
from .jobs import Jobs
from .routes import TABLE
from .tunnels import TunnelRoutes

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection

__all__ = ["OpenComputersSimulator"]

_SEED = {"exec": (0.0855, 0.1162)}
"""The figures of the seed's table, in seconds."""
_OTHER = (0.06, 0.18)
_CODES = {404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED", 413: "TOO_LARGE", 429: "RATE_LIMITED"}


class OpenComputersSimulator(Simulator):
    """A strict, stateful simulator of the API by which a tenant uses registered hosts.

    Behind each host is a real machine, by default a local desktop. ::

        async with OpenComputersSimulator() as simulator:
            host = await simulator.add_host("my-mac")  # somebody registered it and started its agent
            os.environ |= simulator.environment
            ...

    The agent's own protocol is not public and is not simulated: in place of a person who starts an agent with a host's
    key, ``dialect.agents`` connects a new host at once, or `connect` does when a test wants it.

    Args:
        dialect: Which of the known shapes it answers with.
        most_hosts: How many hosts the plan allows.
        latency: ``none``, or ``seed`` for the times that were measured with the vendor.
        behind: Gives the machine behind each host; a local desktop where not given.
        agent: What the vendor's own agent does with a task; it looks at the machine and says so where not given.
        port: The port; 0 takes a free one.
        keep_requests: How many requests are kept, and at most 64 MB of them.

    Attributes:
        requests: The newest requests that came.
        errors: What went wrong inside the simulator; the client saw a status 500 for each.
    """

    vendor: ClassVar[str] = "opencomputers"
    routes = TABLE
    most_body: int = 128 * 1024 * 1024

    def __init__(
        self,
        *,
        dialect: OpenComputersDialect | None = None,
        most_hosts: int = 32,
        latency: LatencyName = "none",
        behind: Callable[[], AbstractAsyncContextManager[ExternalComputer]] | None = None,
        agent: HostAgent | None = None,
        port: int = 0,
        keep_requests: int = 10_000,
    ) -> None:
        super().__init__(
            latency=Latency(_SEED, _OTHER) if latency == "seed" else None,
            behind=behind,
            port=port,
            keep_requests=keep_requests,
        )
        self.dialect: OpenComputersDialect = dialect or OpenComputersDialect()
        self._account = Account(most_hosts)
        self._agent = agent or look
        self._key = next(iter(self._account.keys))
        self._hosts: Hosts | None = None

    # What the vendor says

    def admit(self, connection: HTTPConnection, route: Route, path: Mapping[str, str]) -> Account:
        """Returns the account of a request's key."""
        del route, path
        check_accepts_json(connection.headers.getlist("accept"))
        self._account.check(connection.headers.get("authorization", ""))
        return self._account

    def error_body(self, error: ApiError, route: str | None, request_id: str) -> Json:
        """Returns an error as the API writes it: what is wrong with a body stands alone, all else has a code."""
        if isinstance(error, CodedError) or error.status == 422:
            return super().error_body(error, route, request_id)
        code = _CODES.get(error.status, "INTERNAL_ERROR" if error.status >= 500 else "BAD_REQUEST")
        return CodedError(error.status, code, error.message, **error.extra).body(request_id)

    def _handlers(self, tasks: anyio.abc.TaskGroup) -> Mapping[str, Handler]:
        account = self._account
        hosts = self._hosts = Hosts(account, self.dialect, self._machine, tasks, lambda: self.origin)
        jobs, files = Jobs(account, self.dialect, tasks), HostFileSystem(account)
        tunnels, agent = TunnelRoutes(account), AgentRoutes(account, self._agent, tasks)
        return {
            "list_hosts": hosts.listing,
            "register": hosts.register,
            "get": hosts.get,
            "revoke": hosts.revoke,
            "exec": jobs.execute,
            "start_job": jobs.start,
            "list_jobs": jobs.listing,
            "get_job": jobs.get,
            "cancel_job": jobs.cancel,
            "follow_job": jobs.follow,
            "list_files": files.list,
            "delete_file": files.delete,
            "stat_file": files.stat,
            "download": files.download,
            "upload": files.upload,
            "make_folder": files.make_folder,
            "terminal_ticket": hosts.terminal_ticket,
            "desktop_ticket": hosts.desktop_ticket,
            "list_tunnels": tunnels.list,
            "create_tunnel": tunnels.create,
            "get_tunnel": tunnels.get,
            "change_tunnel": tunnels.change,
            "delete_tunnel": tunnels.delete,
            "dispatch": agent.dispatch,
            "list_sessions": agent.list,
            "get_session": agent.get,
            "follow_session": agent.follow,
            "cancel_session": agent.cancel,
        }

    def _forget_disks(self) -> None:
        for host in self._account.hosts.values():
            host.hardware.forget_disk()

    # What tests ask

    @property
    def base_url(self) -> str:
        """The API's address, for ``MIOSA_BASE_URL``."""
        return f"{self.origin}/api/v1"

    @property
    def key(self) -> str:
        """The account's key, for ``MIOSA_API_KEY``."""
        return self._key

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables that lead a program here."""
        return {"MIOSA_BASE_URL": self.base_url, "MIOSA_API_KEY": self.key}

    def options(self) -> Mapping[str, object]:
        """Return the options that lead the provider here."""
        return {"api_key": self.key, "base_url": self.base_url}

    @property
    def computers(self) -> Mapping[str, SimulatedHost]:
        """The hosts that are registered, by id; after the block, those that were left behind."""
        return MappingProxyType({id: host for id, host in self._account.hosts.items() if host.status != "revoked"})

    # What tests arrange

    async def add_host(
        self, name: str, *, labels: Mapping[str, str] | None = None, system: System = "linux", connected: bool = True
    ) -> SimulatedHost:
        """Registers a host as somebody else would, and starts its agent."""
        if self._hosts is None:
            raise RuntimeError(self._not_serving)
        host = self._hosts.new(name, system=system, labels=dict(labels or {}))
        if connected:
            await host.connect()
        return host

    async def connect(self, host_id: str) -> None:
        """Starts the agent of a host."""
        await self._account.hosts[host_id].connect()

    async def disconnect(self, host_id: str) -> None:
        """Lets the agent of a host go away, as when its machine is switched off."""
        await self._account.hosts[host_id].disconnect()

    async def vanish(self, host_id: str) -> None:
        """Revokes a host, as if somebody else had."""
        await self._account.hosts[host_id].revoke()

    def expire_key(self, *, expired: bool = True) -> None:
        """Lets the key expire; or makes it good again."""
        (self._account.keys.discard if expired else self._account.keys.add)(self._key)

    def use_up_credit(self, *, is_used_up: bool = True) -> None:
        """Says whether the account has no credit left: then what costs money is answered with 402."""
        self._account.has_credit = not is_used_up
