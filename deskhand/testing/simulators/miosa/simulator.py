"""The simulator of MIOSA's cloud: a server on the loopback interface with real computers and sandboxes behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar

import anyio.abc

from deskhand.providers import ExternalComputer, Screen, open_computer
from deskhand.testing.models import Script
from deskhand.testing.simulators.front import Handler, SocketHandler
from deskhand.testing.simulators.latency import Latency, LatencyName
from deskhand.testing.simulators.routing import Route
from deskhand.testing.simulators.simulator import Simulator
from deskhand.testing.simulators.wire import ApiError, Json, check_accepts_json

from .account import Account, Caller, KeyKind, Snapshot
from .actions import Actions
from .computer import SimulatedComputer
from .dialect import MiosaDialect, MiosaPlan
from .extras import Agent, Extras
from .files import Files
from .lifecycle import Lifecycle
from .models import Models
from .routes import MODEL_ROUTES, TABLE
from .sandbox import SandboxSnapshot, SimulatedSandbox
from .sandbox_use import SandboxUse
from .sandboxes import SandboxLife
from .sockets import Sockets
from .wire import error_body

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection

__all__ = ["MiosaSimulator"]

_SEED = {
    "create": (0.272, 0.272),
    "exec": (0.0855, 0.1162),
    "python": (0.2063, 0.2063),
    "write_file": (0.0999, 0.0999),
    "click": (0.1995, 0.1995),
    "screenshot": (0.290, 1.185),
    "restore": (0.166, 0.166),
    "boot": (1.815, 1.815),
    "exec_stream": (0.0, 0.0),
    "snapshot_events": (0.0, 0.0),
}
"""The figures of the seed's table, in seconds; a boot is what is left of one when its creation was answered."""

_OTHER = (0.06, 0.18)


class MiosaSimulator(Simulator):
    """A strict, stateful simulator of MIOSA's APIs of computers and sandboxes, as a server on the loopback interface.

    Behind each computer is a real one, by default a local desktop: a click through the API moves a real pointer; behind
    each sandbox one without a screen. ::

        async with MiosaSimulator() as simulator:
            os.environ |= {"MIOSA_BASE_URL": simulator.base_url, "MIOSA_API_KEY": simulator.key}
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
        model: The turns that its models play, as in `deskhand.testing.FakeOpenAI`; they repeat what they are told where
            not given.
        port: The port; 0 takes a free one.
        keep_requests: How many requests are kept, and at most 64 MB of them.

    Attributes:
        requests: The newest requests that came.
        errors: What went wrong inside the simulator; the client saw a status 500 for each.
    """

    vendor: ClassVar[str] = "miosa"
    routes = TABLE

    def __init__(
        self,
        *,
        dialect: MiosaDialect | None = None,
        plan: MiosaPlan | None = None,
        latency: LatencyName = "none",
        behind: Callable[[], AbstractAsyncContextManager[ExternalComputer]] | None = None,
        agent: Agent | None = None,
        model: Script | None = None,
        port: int = 0,
        keep_requests: int = 10_000,
    ) -> None:
        super().__init__(
            latency=Latency(_SEED, _OTHER) if latency == "seed" else None,
            behind=behind,
            port=port,
            keep_requests=keep_requests,
        )
        self.dialect: MiosaDialect = dialect or MiosaDialect()
        self.most_body = 128 * 1024 * 1024
        self._account = Account(plan or MiosaPlan())
        self._key = self._account.add_key()
        self._models_key = self._account.add_key("i")
        self._agent = agent
        self._models = Models(self._account, self.dialect, model)
        self._lifecycle: Lifecycle | None = None
        self._sandbox_life: SandboxLife | None = None

    # What the vendor says

    def admit(self, connection: HTTPConnection, route: Route, path: Mapping[str, str]) -> Caller:
        """Returns whose request it is."""
        del path
        headers = connection.headers
        check_accepts_json(headers.getlist("accept"))
        kind: KeyKind = "i" if route.name in MODEL_ROUTES else "live"
        tenant = headers.get("x-miosa-tenant", "")
        return self._account.authenticate(headers.get("authorization", ""), tenant, kind=kind)

    def error_body(self, error: ApiError, route: str | None, request_id: str) -> Json:
        """Returns an error as the dialect has it."""
        del route
        return error_body(error, request_id, self.dialect)

    def _handlers(self, tasks: anyio.abc.TaskGroup) -> Mapping[str, Handler]:
        account, dialect = self._account, self.dialect
        life = self._lifecycle = Lifecycle(account, dialect, self._machine, tasks, lambda: self._seconds_of("boot"))
        act, files, extras = Actions(account, dialect), Files(account), Extras(account, self._agent, tasks)
        return {
            "create": life.create,
            "list": life.list,
            "get": life.get,
            "update": life.update,
            "delete": life.delete,
            "start": life.start,
            "stop": life.stop,
            "restart": life.restart,
            "clone": life.clone,
            "get_auto_stop": life.get_auto_stop,
            "set_auto_stop": life.set_auto_stop,
            "take_snapshot": life.take_snapshot,
            "list_snapshots": life.list_snapshots,
            "get_snapshot": life.get_snapshot,
            "delete_snapshot": life.delete_snapshot,
            "snapshot_events": life.snapshot_events,
            "restore": life.restore,
            "exec": act.exec,
            "python": act.python,
            "screenshot": act.screenshot,
            "screenshot_region": act.region,
            "click": act.click,
            "double_click": act.double_click,
            "move": act.move,
            "mouse_down": act.mouse_down,
            "mouse_up": act.mouse_up,
            "drag": act.drag,
            "scroll": act.scroll,
            "type": act.type,
            "key": act.key,
            "hotkey": act.hotkey,
            "key_down": act.key_down,
            "key_up": act.key_up,
            "wait": act.wait,
            "cursor": act.cursor,
            "screen_size": act.screen_size,
            "write_file": files.write,
            "upload_file": files.upload,
            "download_file": files.download,
            "list_files": files.listing,
            "delete_file": files.delete,
            "read_folder": files.readdir,
            "stat_file": files.stat,
            "make_folder": files.mkdir,
            "rename_file": files.rename,
            "expose_port": extras.expose,
            "list_ports": extras.ports,
            "hide_port": extras.hide,
            "embed": extras.embed,
            "start_session": extras.start_session,
            "list_sessions": extras.sessions,
            "get_session": extras.session,
            "cancel_session": extras.cancel_session,
            "balance": extras.balance,
            "usage": life.usage,
            "chat": self._models.chat,
            "list_models": self._models.listing,
            **self._sandbox_handlers(tasks),
        }

    def _sandbox_handlers(self, tasks: anyio.abc.TaskGroup) -> Mapping[str, Handler]:
        account, dialect = self._account, self.dialect
        life = self._sandbox_life = SandboxLife(
            account, dialect, self._headless, tasks, lambda: self._seconds_of("boot")
        )
        use = SandboxUse(account, dialect, tasks)
        return {
            "create_sandbox": life.create,
            "list_sandboxes": life.list,
            "get_sandbox_by_name": life.by_name,
            "get_sandbox": life.get,
            "delete_sandbox": life.delete,
            "sandbox_readiness": life.readiness,
            "sandbox_readiness_stream": life.readiness_stream,
            "pause_sandbox": life.pause,
            "stop_sandbox": life.stop,
            "resume_sandbox": life.resume,
            "extend_sandbox": life.extend,
            "fork_sandbox": life.fork,
            "save_sandbox": life.save,
            "take_sandbox_snapshot": life.take_snapshot,
            "list_sandbox_snapshots": life.list_snapshots,
            "delete_sandbox_snapshot": life.delete_snapshot,
            "restore_sandbox": life.restore,
            "sandbox_exec": use.exec,
            "sandbox_exec_stream": use.exec_stream,
            "write_sandbox_file": use.write,
            "download_sandbox_file": use.download,
            "list_sandbox_files": use.listing,
            "stat_sandbox_file": use.stat,
            "expose_sandbox_port": use.expose,
        }

    def _sockets(self) -> Mapping[str, SocketHandler]:
        sockets = Sockets(self._account, self.dialect, lambda: self._is_silent)
        return {"exec_stream": sockets.run, "sandbox_terminal": sockets.run_terminal}

    @asynccontextmanager
    async def _headless(self, screen: Screen) -> AsyncIterator[ExternalComputer]:
        """Gives the machine behind a sandbox: what is behind computers too, or a local one without a desktop."""
        if self._behind is not None:
            async with self._machine(screen) as machine:
                yield machine
            return
        async with open_computer(desktop=False) as machine:
            yield machine

    def _forget_disks(self) -> None:
        for one in self._all():
            one.hardware.forget_disk()

    def _all(self) -> Iterator[SimulatedComputer | SimulatedSandbox]:
        yield from self._account.computers.values()
        yield from self._account.sandboxes.values()

    async def _sweep(self) -> None:
        for computer in tuple(self._account.computers.values()):
            if computer.is_idle and self._lifecycle is not None:
                await self._lifecycle.stop_idle(computer)
        for sandbox in tuple(self._account.sandboxes.values()):
            if sandbox.is_over and self._sandbox_life is not None:
                await self._sandbox_life.end_idle(sandbox)

    # What tests ask

    @property
    def base_url(self) -> str:
        """The API's base URL, for ``MIOSA_BASE_URL``."""
        return f"{self.origin}/api/v1"

    @property
    def key(self) -> str:
        """The account's key, for ``MIOSA_API_KEY``."""
        return self._key

    @property
    def models_url(self) -> str:
        """Where its models are, for ``MIOSA_AI_GATEWAY_URL``, and for whatever speaks OpenAI's Chat Completions."""
        return f"{self.base_url}/intelligence"

    @property
    def models_key(self) -> str:
        """The account's intelligence key, for ``MIOSA_AI_GATEWAY_KEY``: it opens the models, and nothing else."""
        return self._models_key

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables that lead a program here."""
        return {
            "MIOSA_BASE_URL": self.base_url,
            "MIOSA_API_KEY": self.key,
            "MIOSA_AI_GATEWAY_URL": self.models_url,
            "MIOSA_AI_GATEWAY_KEY": self.models_key,
        }

    def options(self) -> Mapping[str, object]:
        """Return the options that lead the provider here, to a tenant of its own."""
        return {"api_key": self.key, "base_url": self.base_url, "tenant": self._account.tenants[0]}

    @property
    def computers(self) -> Mapping[str, SimulatedComputer]:
        """The computers that exist, by id; after the block, those that were left behind.

        Each tells its ``name``, ``slug``, ``tenant``, ``whose``, ``status``, ``metadata`` and ``auto_stop``, and, as
        long as it is on, the ``machine`` behind it.
        """
        return MappingProxyType(self._account.computers)

    @property
    def sandboxes(self) -> Mapping[str, SimulatedSandbox]:
        """The sandboxes that exist, by id; after the block, those that were left behind.

        Each tells its ``name``, ``tenant``, ``whose``, ``state``, ``metadata``, ``env`` and ``timeout``, and, as long
        as it is on, the ``machine`` behind it.
        """
        return MappingProxyType(self._account.sandboxes)

    @property
    def sandbox_snapshots(self) -> Mapping[str, SandboxSnapshot]:
        """The snapshots of sandboxes, by id."""
        return MappingProxyType(self._account.sandbox_snapshots)

    @property
    def snapshots(self) -> Mapping[str, Snapshot]:
        """The snapshots that were taken, by id."""
        return MappingProxyType(self._account.snapshots)

    # What tests arrange

    def add_tenant(self, name: str) -> None:
        """Gives the account another tenant."""
        self._account.tenants.append(name)

    def expire_key(self, key: str | None = None, *, expired: bool = True) -> None:
        """Lets a key expire, the account's where none is given; or makes it good again."""
        self._account.keys[key if key is not None else self.key] = not expired

    def set_balance(self, credits: int) -> None:
        """Says how many credits the account has; at 0, what costs credits is answered with 402."""
        self._account.credits = credits

    async def vanish(self, computer_id: str) -> None:
        """Lets a computer or a sandbox vanish, as if somebody else had deleted it."""
        if computer_id in self._account.sandboxes and self._sandbox_life is not None:
            await self._sandbox_life.discard(self._account.sandboxes[computer_id])
        elif self._lifecycle is not None:
            await self._lifecycle.discard(self._account.computers[computer_id])

    async def pass_time(self, seconds: float) -> None:
        """Lets idle seconds go by, and stops the computers, and ends the sandboxes, whose time is up."""
        for one in self._all():
            one.used_at -= seconds
        await self._sweep()
