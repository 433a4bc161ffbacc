"""The simulator of Daytona's sandboxes: a server on the loopback interface with real desktops behind it."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar

import anyio.abc

from deskhand.providers import ExternalComputer
from deskhand.testing.simulators.front import Handler, SocketHandler
from deskhand.testing.simulators.latency import Latency, LatencyName
from deskhand.testing.simulators.routing import Route
from deskhand.testing.simulators.simulator import Simulator
from deskhand.testing.simulators.wire import ApiError, Json

from .control import Control
from .desk import Desk
from .dialect import DaytonaDialect, DaytonaPlan
from .files import Files
from .process import Processes
from .routes import TABLE
from .sandbox import SimulatedSandbox
from .sockets import Sockets
from .wire import envelope

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection

__all__ = ["DaytonaSimulator"]

_SEED = {
    "create": (0.15, 0.25),
    "execute": (0.06, 0.12),
    "screenshot": (0.15, 0.40),
    "click": (0.15, 0.25),
    "move": (0.08, 0.15),
    "boot": (0.09, 0.40),
    "create_pty": (0.0, 0.0),
    "connect_pty": (0.0, 0.0),
    "follow_logs": (0.0, 0.0),
}
"""Made-up figures of the usual size, in seconds: nobody has measured the vendor."""

_OTHER = (0.05, 0.15)


class DaytonaSimulator(Simulator):
    """A strict, stateful simulator of Daytona's API, as a server on the loopback interface.

    Behind each sandbox is a real computer, by default a local desktop: a click through the API moves a real pointer. ::

        async with DaytonaSimulator() as simulator:
            os.environ |= simulator.environment
            ...
        assert not simulator.computers  # nothing was left behind

    It refuses what the vendor refuses and what nobody has seen it take: unknown fields among them. Its fault controls
    say what goes wrong with the next request.

    Args:
        dialect: Which of the known shapes it answers with.
        plan: What the organization's plan allows.
        latency: ``none``, or ``seed`` for times of the usual size.
        behind: Gives the machine behind each sandbox; a local desktop where not given.
        port: The port; 0 takes a free one.
        keep_requests: How many requests are kept, and at most 64 MB of them.

    Attributes:
        requests: The newest requests that came.
        errors: What went wrong inside the simulator; the client saw a status 500 for each.
        toolbox_origin: Where sandboxes say that their toolbox is, where that is not the simulator itself.
    """

    vendor: ClassVar[str] = "daytona"
    routes = TABLE
    most_body = 128 * 1024 * 1024

    def __init__(
        self,
        *,
        dialect: DaytonaDialect | None = None,
        plan: DaytonaPlan | None = None,
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
        self.dialect: DaytonaDialect = dialect or DaytonaDialect()
        self.toolbox_origin: str | None = None
        self._allowed = plan or DaytonaPlan()
        self._keys = {f"dtn_{secrets.token_hex(24)}": True}
        self._sandboxes: dict[str, SimulatedSandbox] = {}
        self._control: Control | None = None
        self._both: Sockets | None = None

    # What the vendor says

    def admit(self, connection: HTTPConnection, route: Route, path: Mapping[str, str]) -> str:
        """Returns the key of a request; a socket's handler looks at it itself."""
        del route, path
        return self._check(dict(connection.headers))

    def _check(self, headers: Mapping[str, str]) -> str:
        scheme, _, key = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not self._keys.get(key):
            raise ApiError(401, "Unauthorized")
        return key

    def error_body(self, error: ApiError, route: str | None, request_id: str) -> Json:
        """Returns an error as the vendor writes it."""
        del route, request_id
        return envelope(error)

    def _handlers(self, tasks: anyio.abc.TaskGroup) -> Mapping[str, Handler]:
        control = self._control = Control(
            self.dialect,
            self._allowed,
            self._machine,
            tasks,
            seconds_of=self._seconds_of,
            toolbox=lambda: f"{self.toolbox_origin or self.origin}/toolbox",
            sandboxes=self._sandboxes,
        )
        run = Processes(control, tasks)
        files, desk = Files(control), Desk(control, self.dialect)

        def admit(headers: Mapping[str, str]) -> None:
            self._check(headers)

        sockets = self._both = Sockets(control, run, self.dialect, tasks, admit=admit, silent=lambda: self._is_silent)
        return {
            "create": control.create,
            "list": control.list,
            "get": control.get,
            "delete": control.delete,
            "start": control.start,
            "stop": control.stop,
            "pause": control.pause,
            "archive": control.archive,
            "fork": control.fork,
            "snapshot": control.snapshot,
            "labels": control.labels,
            "auto_stop": control.auto_stop,
            "auto_delete": control.auto_delete,
            "ttl": control.ttl,
            "toolbox_url": control.toolbox_url,
            "preview": control.preview,
            "signed_preview": control.signed_preview,
            "ssh_access": control.ssh_access,
            "execute": run.execute,
            "create_session": run.create_session,
            "list_sessions": run.list_sessions,
            "get_session": run.get_session,
            "delete_session": run.delete_session,
            "session_exec": run.exec,
            "session_command": run.command,
            "session_logs": run.logs,
            "list_ptys": sockets.list,
            "resize_pty": sockets.resize,
            "delete_pty": sockets.delete,
            "upload": files.upload,
            "download": files.download,
            "list_files": files.list,
            "file_info": files.info,
            "delete_file": files.delete,
            "create_folder": files.create_folder,
            "home": files.home,
            "work_dir": files.home,
            "start_desktop": desk.start,
            "stop_desktop": desk.stop,
            "desktop_status": desk.status,
            "display": desk.display,
            "screenshot": desk.screenshot,
            "region": desk.region,
            "position": desk.position,
            "move": desk.move,
            "click": desk.click,
            "mouse_down": desk.down,
            "mouse_up": desk.up,
            "drag": desk.drag,
            "scroll": desk.scroll,
            "type": desk.type,
            "key": desk.key,
            "hotkey": desk.hotkey,
            "key_down": desk.key_down,
            "key_up": desk.key_up,
        }

    def _sockets(self) -> Mapping[str, SocketHandler]:
        both = self._both
        if both is None:
            raise RuntimeError("the other handlers are made first")
        return {"create_pty": both.create, "connect_pty": both.connect, "follow_logs": both.follow}

    def _forget_disks(self) -> None:
        for sandbox in self._sandboxes.values():
            sandbox.hardware.forget_disk()

    async def _sweep(self) -> None:
        if self._control is not None:
            await self._control.sweep()

    # What tests ask

    @property
    def base_url(self) -> str:
        """The API's base URL, for ``DAYTONA_API_URL``."""
        return f"{self.origin}/api"

    @property
    def key(self) -> str:
        """The account's key, for ``DAYTONA_API_KEY``."""
        return next(iter(self._keys))

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables that lead a program here."""
        return {"DAYTONA_API_URL": self.base_url, "DAYTONA_API_KEY": self.key}

    def options(self) -> Mapping[str, object]:
        """Return the options that lead the provider here."""
        return {"api_key": self.key, "base_url": self.base_url, "target": "us"}

    @property
    def computers(self) -> Mapping[str, SimulatedSandbox]:
        """The sandboxes that exist, by id; after the block, those that were left behind.

        Each tells its ``name``, ``settings`` and ``state``, and, as long as it is on, the ``machine`` behind it.
        """
        return MappingProxyType(self._sandboxes)

    # What tests arrange

    def expire_key(self, *, expired: bool = True) -> None:
        """Lets the key expire, or makes it good again."""
        self._keys[self.key] = not expired

    def suspend(self, *, suspended: bool = True) -> None:
        """Says whether the organization has used up its credit."""
        if self._control is not None:
            self._control.is_suspended = suspended

    async def vanish(self, computer_id: str) -> None:
        """Lets a sandbox vanish, as if somebody else had deleted it."""
        if self._control is not None:
            await self._control.discard(self._sandboxes[computer_id])

    async def pass_time(self, minutes: float) -> None:
        """Lets idle minutes go by, and stops, deletes and destroys what has had its time."""
        for sandbox in self._sandboxes.values():
            sandbox.used_at -= minutes * 60
            sandbox.created_at -= minutes * 60
            if sandbox.stopped_at is not None:
                sandbox.stopped_at -= minutes * 60
        await self._sweep()
