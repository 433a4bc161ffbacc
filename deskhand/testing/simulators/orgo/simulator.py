"""The simulator of the hosted desktops of Orgo: a server on the loopback interface with real desktops behind it."""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import MappingProxyType, TracebackType
from typing import Self

import anyio
import anyio.abc
from pydantic import JsonValue

from deskhand.errors import ConfigError
from deskhand.providers import ComputerSpec, ExternalComputer, Screen, open_computer
from deskhand.testing.simulators.faults import FaultControls
from deskhand.testing.simulators.latency import Latency, LatencyName
from deskhand.testing.simulators.loopback import Loopback, serve
from deskhand.testing.simulators.recorded import RecordedRequest

from .account import Account, Workspace
from .actions import Actions
from .agent import Agent, HostedAgent
from .computer import SimulatedComputer
from .dialect import OrgoDialect, OrgoPlan
from .extras import Extras
from .front import Breakage, Front
from .lifecycle import Lifecycle
from .routes import ORGO_ROUTES, Handler, Router
from .screen import Screenshots
from .sockets import Sockets
from .storage import Storage
from .workspaces import Workspaces

__all__ = ["OrgoSimulator"]

NOT_SERVING = "the simulator does not serve: async with OrgoSimulator() as simulator: ..."
SWEEP = 1.0
"""Seconds between two looks for computers that stop by themselves."""

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


class OrgoSimulator(FaultControls):
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
        super().__init__(ORGO_ROUTES)
        self.dialect: OrgoDialect = dialect or OrgoDialect()
        self.requests: deque[RecordedRequest] = deque(maxlen=keep_requests)
        self.errors: deque[Exception] = deque(maxlen=100)
        self._account = Account(self.dialect, plan or OrgoPlan())
        self._key = self._account.add_key()
        self._latency = Latency(_SEED, _OTHER) if latency == "seed" else None
        self._behind = behind
        self._agent = agent
        self._wanted_port = port
        self._router = Router()
        self._loopback: Loopback | None = None
        self._context: AbstractAsyncContextManager[None] | None = None
        self._front: Front | None = None
        self._failed: ConfigError | None = None
        self._lifecycle: Lifecycle | None = None

    def __repr__(self) -> str:
        """What is there at a glance."""
        where = self._loopback.origin if self._loopback is not None else "not serving"
        return f"<OrgoSimulator {where} computers={len(self._account.computers)} requests={len(self.requests)}>"

    # Its block

    async def __aenter__(self) -> Self:
        """Begins to serve.

        Raises:
            ConfigError: If what serves is not installed, or the port is taken.
            RuntimeError: If it was entered before.
        """
        if self._context is not None:
            raise RuntimeError("a simulator is entered once")
        self._context = self._serving()
        await self._context.__aenter__()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        """Ends the server and every machine; `computers` still tells what was left behind."""
        if self._context is None:
            return None
        return await self._context.__aexit__(exc_type, exc, traceback)

    @asynccontextmanager
    async def _serving(self) -> AsyncIterator[None]:
        failure: Exception | None = None
        async with anyio.create_task_group() as tasks:
            up = anyio.Event()
            try:
                tasks.start_soon(self._serve, self._build(tasks), up, name="simulated Orgo")
                await up.wait()
                self._serving_at()
                tasks.start_soon(self._stop_idle_ones, name="automatic stop")
                yield
            except Exception as error:  # the block's own error goes on below, bare: the task group would wrap it
                failure = error
            finally:
                for computer in self._account.computers.values():
                    computer.power.keep_disk = False
                tasks.cancel_scope.cancel()
        if failure is not None:
            raise failure

    async def _serve(self, front: Front, up: anyio.Event) -> None:
        """Owns the server, so that whatever happens to the task that entered the simulator, it ends in order."""
        try:
            async with serve(front, port=self._wanted_port) as loopback:
                self._loopback = front.loopback = loopback
                up.set()
                await anyio.sleep_forever()
        except ConfigError as error:
            self._failed = error
        finally:
            up.set()

    def _build(self, tasks: anyio.abc.TaskGroup) -> Front:
        account, dialect = self._account, self.dialect
        life = self._lifecycle = Lifecycle(account, dialect, self._machine, tasks, self._boot)
        work = Workspaces(account, dialect, life.discard)
        act, screen = Actions(account, dialect), Screenshots(account, dialect, lambda: self.port)
        files, extras = Storage(account, screen.address), Extras(account)
        handlers: dict[str, Handler] = {
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
        front = self._front = Front(account, self._router, handlers, self._take_fault, self._latency)
        front.requests, front.errors = self.requests, self.errors
        sockets = Sockets(account, dialect, lambda: front.silent)
        front.sockets = {"terminal": sockets.terminal, "events": sockets.events}
        return front

    @asynccontextmanager
    async def _machine(self, screen: Screen) -> AsyncIterator[ExternalComputer]:
        opened = self._behind() if self._behind is not None else open_computer(spec=ComputerSpec(screen=screen))
        async with opened as machine:
            yield machine

    def _boot(self, from_pool: bool) -> float:
        name = "boot_warm" if from_pool else "boot_cold"
        return self._latency.of(name) if self._latency is not None else 0.0

    async def _stop_idle_ones(self) -> None:
        while True:
            await anyio.sleep(SWEEP)
            await self._sweep()

    async def _sweep(self) -> None:
        for computer in tuple(self._account.computers.values()):
            if computer.is_idle and self._lifecycle is not None:
                await self._lifecycle.stop_idle(computer)

    # What tests ask

    @property
    def port(self) -> int:
        """The port that it serves at."""
        return self._serving_at().port

    @property
    def base_url(self) -> str:
        """The API's base URL, for ``ORGO_API_BASE``."""
        return f"{self._serving_at().origin}/api"

    @property
    def key(self) -> str:
        """The account's key, for ``ORGO_API_KEY``."""
        return self._key.secret.get_secret_value()

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

    def asked(self, route: str) -> list[RecordedRequest]:
        """Returns the requests that met a route, the oldest first."""
        self._check_route(route)
        return [request for request in self.requests if request.route == route]

    async def until_asked(self, route: str, *, times: int = 1) -> None:
        """Waits until requests have come to a route, answered or not."""
        while len(self.asked(route)) < times:
            if self._front is None:
                raise RuntimeError(NOT_SERVING)
            await self._front.arrived.wait()

    # What tests arrange

    def remove(self, route: str) -> None:
        """Removes a route: any method on its path is answered with 404, as long as no other route shares the path."""
        self._check_route(route)
        self._router.remove(route)

    def restore(self, route: str) -> None:
        """Puts a removed route back."""
        self._check_route(route)
        self._router.restore(route)

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

    async def break_sockets(self, how: Breakage = "abort", *, code: int = 1001) -> None:
        """Breaks the WebSockets that are open.

        Args:
            how: ``abort``: the connection breaks without a word; ``half``: nothing more comes from here, not even a
                close, while the client may go on sending; ``silent``: terminals take input and show nothing; ``close``:
                it is closed by the rules.
            code: The code of ``close``.
        """
        if self._front is not None:
            await self._front.break_sockets(how, code)

    def _serving_at(self) -> Loopback:
        if self._loopback is None:
            raise self._failed or RuntimeError(NOT_SERVING)
        return self._loopback
