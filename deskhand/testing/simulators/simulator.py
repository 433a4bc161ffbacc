"""What every simulator of a vendor is: a server in a block, with a log of requests, faults, and machines behind it."""

from __future__ import annotations

import abc
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import TracebackType
from typing import TYPE_CHECKING, ClassVar, Self

import anyio
import anyio.abc

from deskhand.errors import ConfigError
from deskhand.providers import ComputerSpec, ExternalComputer, Screen, open_computer

from .faults import FaultControls
from .front import Breakage, Front, Handler, SocketHandler
from .latency import Latency
from .loopback import Loopback, serve
from .recorded import RecordedRequest
from .routing import Route, Router
from .wire import ApiError, Json

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection

__all__ = ["Simulator"]

SWEEP = 1.0
"""Seconds between two looks for computers whose time is up."""


class Simulator(FaultControls, abc.ABC):
    """A strict, stateful simulator of a vendor's API, as a server on the loopback interface.

    Behind each computer is a real one, by default a local desktop. A vendor's class names its routes, what is done for
    each, who may call, and how errors look. Fault controls say what goes wrong with the next request.

    Args:
        latency: How long answers take; as fast as it goes where not given.
        behind: Gives the machine behind each computer; a local desktop where not given.
        port: The port; 0 takes a free one.
        keep_requests: How many requests are kept, and at most 64 MB of them.

    Attributes:
        requests: The newest requests that came.
        errors: What went wrong inside the simulator; the client saw a status 500 for each.
    """

    vendor: ClassVar[str]
    """What the vendor is called."""

    routes: ClassVar[Sequence[Route]]
    """What can be asked."""

    most_body: int = 32 * 1024 * 1024
    """The largest body of a request, in bytes."""

    is_plain: bool = False
    """Whether a path that is none is told in plain text, as some web servers do."""

    def __init__(
        self,
        *,
        latency: Latency | None = None,
        behind: Callable[[], AbstractAsyncContextManager[ExternalComputer]] | None = None,
        port: int = 0,
        keep_requests: int = 10_000,
    ) -> None:
        super().__init__(tuple(route.name for route in self.routes))
        self.requests: deque[RecordedRequest] = deque(maxlen=keep_requests)
        self.errors: deque[Exception] = deque(maxlen=100)
        self._latency = latency
        self._behind = behind
        self._wanted_port = port
        self._router = Router(self.routes)
        self._loopback: Loopback | None = None
        self._context: AbstractAsyncContextManager[None] | None = None
        self._front: Front | None = None
        self._failed: ConfigError | None = None

    def __repr__(self) -> str:
        """What is there at a glance."""
        where = self._loopback.origin if self._loopback is not None else "not serving"
        return f"<{type(self).__name__} {where} computers={len(self.computers)} requests={len(self.requests)}>"

    # What a vendor says

    @property
    @abc.abstractmethod
    def computers(self) -> Mapping[str, object]:
        """The computers that exist, by id; after the block, those that were left behind."""

    @property
    @abc.abstractmethod
    def environment(self) -> Mapping[str, str]:
        """The variables that lead a program here, its key among them."""

    @abc.abstractmethod
    def options(self) -> Mapping[str, object]:
        """Return the options that lead the vendor's provider here."""

    @abc.abstractmethod
    def admit(self, connection: HTTPConnection, route: Route, path: Mapping[str, str]) -> object:
        """Returns whose request it is, from its key.

        Raises:
            ApiError: If it has no key that opens the route.
        """

    @abc.abstractmethod
    def _handlers(self, tasks: anyio.abc.TaskGroup) -> Mapping[str, Handler]:
        """Returns what is done for each route; what goes on in the background is done in that group."""

    def _sockets(self) -> Mapping[str, SocketHandler]:
        """Returns what is done for each route that is a WebSocket."""
        return {}

    def error_body(self, error: ApiError, route: str | None, request_id: str) -> Json:
        """Returns an error as the vendor writes it on that route."""
        del route
        return error.body(request_id)

    async def _sweep(self) -> None:
        """Ends what has had its time; it is called every second."""

    def _forget_disks(self) -> None:
        """Lets no machine save its disk any more: the simulator ends."""

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
            up, over = anyio.Event(), anyio.Event()
            try:
                tasks.start_soon(self._serve, up, over, name=f"simulated {self.vendor}")
                await up.wait()
                self._serving_at()
                yield
            except Exception as error:  # the block's own error goes on below, bare: the task group would wrap it
                failure = error
            finally:
                self._forget_disks()
                over.set()
        if failure is not None:
            raise failure

    async def _serve(self, up: anyio.Event, over: anyio.Event) -> None:
        """Owns the server, so that whatever happens to the task that entered the simulator, it ends in order.

        It is there until the block was left, cancelled or not: a program that is cancelled destroys what it has made.
        """
        try:
            with anyio.CancelScope(shield=True):
                async with anyio.create_task_group() as tasks:
                    front = self._front = Front(
                        self,
                        self._router,
                        self._handlers(tasks),
                        self._sockets(),
                        take_fault=self._take_fault,
                        latency=self._latency,
                    )
                    front.requests, front.errors = self.requests, self.errors
                    async with serve(front, port=self._wanted_port) as loopback:
                        self._loopback = front.loopback = loopback
                        tasks.start_soon(_each_second, self._sweep, name="computers whose time is up")
                        up.set()
                        await over.wait()
                        tasks.cancel_scope.cancel()
        except* ConfigError as errors:
            [self._failed] = errors.exceptions  # type: ignore[assignment]
        finally:
            up.set()

    @asynccontextmanager
    async def _machine(self, screen: Screen) -> AsyncIterator[ExternalComputer]:
        """Gives the machine behind a computer."""
        opened = self._behind() if self._behind is not None else open_computer(spec=ComputerSpec(screen=screen))
        async with opened as machine:
            yield machine

    def _seconds_of(self, name: str) -> float:
        """Returns the seconds that something takes that is no answer, such as a boot."""
        return self._latency.of(name) if self._latency is not None else 0.0

    # What tests ask

    @property
    def port(self) -> int:
        """The port that it serves at."""
        return self._serving_at().port

    @property
    def origin(self) -> str:
        """Where it serves: scheme, host and port."""
        return self._serving_at().origin

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return self._serving_at().connections

    @property
    def connections_made(self) -> int:
        """How many connections something has come by so far, those that are closed included."""
        return self._serving_at().connections_made

    def asked(self, route: str) -> list[RecordedRequest]:
        """Returns the requests that met a route, the oldest first."""
        self._check_route(route)
        return [request for request in self.requests if request.route == route]

    async def until_asked(self, route: str, *, times: int = 1) -> None:
        """Waits until requests have come to a route, answered or not."""
        while len(self.asked(route)) < times:
            if self._front is None:
                raise RuntimeError(self._not_serving)
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

    @property
    def _is_silent(self) -> bool:
        """Whether terminals give no more output just now."""
        return self._front is not None and self._front.silent

    @property
    def _not_serving(self) -> str:
        return f"the simulator does not serve: async with {type(self).__name__}() as simulator: ..."

    def _serving_at(self) -> Loopback:
        if self._loopback is None:
            raise self._failed or RuntimeError(self._not_serving)
        return self._loopback


async def _each_second(do: Callable[[], Awaitable[None]]) -> None:
    while True:
        await anyio.sleep(SWEEP)
        await do()
