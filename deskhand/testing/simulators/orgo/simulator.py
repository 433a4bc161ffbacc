"""The simulator of the hosted desktops of Orgo: a server on the loopback interface with real desktops behind it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar

import anyio.abc
from pydantic import JsonValue, SecretStr

from deskhand.providers import ExternalComputer
from deskhand.testing.simulators.front import Handler, SocketHandler
from deskhand.testing.simulators.latency import Latency, LatencyName
from deskhand.testing.simulators.routing import Route
from deskhand.testing.simulators.simulator import Simulator
from deskhand.testing.simulators.wire import ApiError

from .account import Account, Key, Workspace
from .actions import Actions
from .agent import Agent, HostedAgent
from .computer import SimulatedComputer
from .dialect import OrgoDialect, OrgoPlan
from .extras import Extras
from .lifecycle import Lifecycle
from .routes import TABLE
from .screen import Screenshots
from .sockets import Sockets
from .storage import Storage
from .wire import NestedApiError
from .workspaces import Workspaces

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection

__all__ = ["OrgoSimulator"]

NO_KEY = frozenset({"signed_storage"})
NESTED = frozenset({"chat"})
_SEED = {
    "create": (0.272, 0.272),
    "bash": (0.0855, 0.1162),
    "exec": (0.2063, 0.2063),
    "click": (0.1995, 0.1995),
    "screenshot": (0.290, 1.185),
    "boot_warm": (1.815, 1.815),
    "boot_cold": (2.861, 2.861),
    "terminal": (0.0, 0.0),
    "events": (0.0, 0.0),
}
"""The figures of the seed's table, in seconds; a boot is what is left of one when its creation was answered."""

_OTHER = (0.06, 0.18)


class OrgoSimulator(Simulator):
    """A strict, stateful simulator of Orgo's API, as a server on the loopback interface.

    Behind each computer is a real one, by default a local desktop: a click through the API moves a real pointer. ::

        async with OrgoSimulator() as simulator:
            os.environ |= {"ORGO_API_BASE": simulator.base_url, "ORGO_API_KEY": simulator.key}
            ...
        assert not simulator.computers  # nothing was left behind

    It refuses what the vendor refuses and what nobody has seen it take: unknown fields among them. Where several shapes
    of an answer are known, ``dialect`` chooses. Its fault controls say what goes wrong with the next request.

    Args:
        dialect: Which of the known shapes it answers with.
        plan: What the account's plan allows.
        latency: ``none``, or ``seed`` for the times that were measured with the vendor.
        behind: Gives the machine behind each computer; a local desktop where not given.
        agent: What the vendor's own agent does with a goal; it looks at the screen and says so where not given.
        port: The port; 0 takes a free one.
        keep_requests: How many requests are kept, and at most 64 MB of them.

    Attributes:
        requests: The newest requests that came.
        errors: What went wrong inside the simulator; the client saw a status 500 for each.
    """

    vendor: ClassVar[str] = "orgo"
    routes = TABLE

    def __init__(
        self,
        *,
        dialect: OrgoDialect | None = None,
        plan: OrgoPlan | None = None,
        latency: LatencyName = "none",
        behind: Callable[[], AbstractAsyncContextManager[ExternalComputer]] | None = None,
        agent: Agent | None = None,
        port: int = 0,
        keep_requests: int = 10_000,
    ) -> None:
        super().__init__(
            latency=Latency(_SEED, _OTHER) if latency == "seed" else None,
            behind=behind,
            port=port,
            keep_requests=keep_requests,
        )
        self.dialect: OrgoDialect = dialect or OrgoDialect()
        self._account = Account(self.dialect, plan or OrgoPlan())
        self._key = self._account.add_key()
        self._agent = agent
        self._lifecycle: Lifecycle | None = None

    # What the vendor says

    def admit(self, connection: HTTPConnection, route: Route, path: Mapping[str, str]) -> Key | None:
        """Returns the key of a request; a socket has a password of its own, which its handler looks at."""
        del path
        if route.method == "WEBSOCKET":
            return None
        if route.name in NO_KEY:
            if "authorization" in connection.headers:
                raise ApiError(400, "A signed address takes no key.")
            return Key(SecretStr(""))
        try:
            return self._account.authenticate(connection.headers.get("authorization", ""))
        except ApiError as error:
            if route.name in NESTED:
                raise NestedApiError(401, "invalid_api_key", error.message, "authentication_error") from error
            raise

    def _handlers(self, tasks: anyio.abc.TaskGroup) -> Mapping[str, Handler]:
        account, dialect = self._account, self.dialect
        life = self._lifecycle = Lifecycle(account, dialect, self._machine, tasks, self._boot)
        work = Workspaces(account, dialect, life.discard)
        act, screen = Actions(account, dialect), Screenshots(account, dialect, lambda: self.port)
        files, extras = Storage(account, screen.address), Extras(account)
        return {
            "list_workspaces": work.listing,
            "create_workspace": work.create,
            "find_workspace": work.by_name,
            "get_workspace": work.get,
            "delete_workspace": work.delete,
            "delete_workspace_by_post": work.delete_by_post,
            "create": life.create,
            "get": life.get,
            "delete": life.delete,
            "start": life.start,
            "stop": life.stop,
            "restart": life.restart,
            "ensure_running": life.ensure_running,
            "clone": life.clone,
            "move_computer": life.move,
            "resize": life.resize,
            "get_auto_stop": life.get_auto_stop,
            "set_auto_stop": life.set_auto_stop,
            "vnc_password": life.vnc_password,
            "health": extras.health,
            "click": act.click,
            "mouse_move": act.move,
            "drag": act.drag,
            "scroll": act.scroll,
            "type": act.type,
            "key": act.key,
            "wait": act.wait,
            "bash": act.bash,
            "exec": act.python,
            "screenshot": screen.take,
            "storage": screen.stored,
            "signed_storage": screen.signed,
            "event_kinds": extras.event_kinds,
            "start_stream": extras.start_stream,
            "stop_stream": extras.stop_stream,
            "stream_status": extras.stream_status,
            "upload_file": files.upload,
            "list_files": files.list,
            "export_file": files.export,
            "download_file": files.download,
            "delete_file": files.delete,
            "chat": HostedAgent(account, self._agent).complete,
        }

    def _sockets(self) -> Mapping[str, SocketHandler]:
        sockets = Sockets(self._account, self.dialect, lambda: self._is_silent)
        return {"terminal": sockets.terminal, "events": sockets.events}

    def _boot(self, from_pool: bool) -> float:
        return self._seconds_of("boot_warm" if from_pool else "boot_cold")

    def _forget_disks(self) -> None:
        for computer in self._account.computers.values():
            computer.hardware.forget_disk()

    async def _sweep(self) -> None:
        for computer in tuple(self._account.computers.values()):
            if computer.is_idle and self._lifecycle is not None:
                await self._lifecycle.stop_idle(computer)

    # What tests ask

    @property
    def base_url(self) -> str:
        """The API's base URL, for ``ORGO_API_BASE``."""
        return f"{self.origin}/api"

    @property
    def key(self) -> str:
        """The account's key, for ``ORGO_API_KEY``."""
        return self._key.secret.get_secret_value()

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables that lead a program here."""
        return {"ORGO_API_BASE": self.base_url, "ORGO_API_KEY": self.key}

    def options(self) -> Mapping[str, object]:
        """Return the options that lead the provider here, to a workspace of its own."""
        workspace = self.add_workspace("deskhand")  # named, so that one that is set for the vendor is not looked for
        return {"api_key": self.key, "base_url": self.base_url, "workspace_id": workspace.id}

    @property
    def computers(self) -> Mapping[str, SimulatedComputer]:
        """The computers that exist, by id; after the block, those that were left behind.

        Each tells its ``instance_id``, ``name``, ``workspace_id``, ``status``, ``settings`` and ``vnc_password``, and,
        as long as it is on, the ``machine`` behind it.
        """
        return MappingProxyType(self._account.computers)

    @property
    def workspaces(self) -> Mapping[str, Workspace]:
        """The workspaces that exist, by id."""
        return MappingProxyType(self._account.workspaces)

    # What tests arrange

    def add_key(self, workspace_id: str | None = None) -> str:
        """Issues another key, for one workspace alone where one is named."""
        return self._account.add_key(workspace_id).secret.get_secret_value()

    def expire_key(self, key: str | None = None, *, expired: bool = True) -> None:
        """Lets a key expire, the account's where none is given; or makes it good again."""
        self._account.keys[key if key is not None else self.key].expired = expired

    def add_workspace(self, name: str) -> Workspace:
        """Makes a workspace."""
        workspace = Workspace(str(uuid.uuid4()), name, self._account.user_id)
        self._account.workspaces[workspace.id] = workspace
        return workspace

    def set_balance(self, cents: int) -> None:
        """Says how much money the account has; at 0, what costs money is answered with 402."""
        self._account.balance_cents = cents

    async def vanish(self, computer_id: str) -> None:
        """Lets a computer vanish, as if somebody else had deleted it."""
        if self._lifecycle is not None:
            await self._lifecycle.discard(self._account.computers[computer_id])

    async def pass_time(self, minutes: float) -> None:
        """Lets idle minutes go by, and stops the computers whose automatic stop is due."""
        for computer in self._account.computers.values():
            computer.used_at -= minutes * 60
        await self._sweep()

    def tell(self, computer_id: str, kind: str, data: Mapping[str, JsonValue]) -> None:
        """Sends an event of a desktop to whoever subscribed to its kind."""
        self._account.computers[computer_id].tell(kind, dict(data))
