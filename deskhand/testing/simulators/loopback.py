"""A web server on the loopback interface that ends when its block does."""

from __future__ import annotations

import asyncio
import importlib.util
import socket
from collections.abc import AsyncIterator, Iterator, Set
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio

from deskhand.errors import ConfigError

if TYPE_CHECKING:
    import uvicorn
    from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["Loopback", "serve"]

LAST_CHANCE = 5.0
"""Seconds that requests get to end when the server does."""

_NEEDED = ("starlette", "uvicorn", "python_multipart")


class Loopback:
    """A running server: where it is, and how its connections are broken."""

    def __init__(self, server: uvicorn.Server, port: int, callers: Set[tuple[str, int]]) -> None:
        self._server = server
        self._callers = callers
        self.port = port

    @property
    def origin(self) -> str:
        """Scheme, host and port, without a slash behind."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._server.server_state.connections)

    @property
    def connections_made(self) -> int:
        """How many connections something has come by so far, those that are closed included."""
        return len(self._callers)

    def abort(self, scope: Scope) -> None:
        """Breaks the connection that a request came by, without a word."""
        for transport in self._transports(scope):
            transport.abort()

    def end_output(self, scope: Scope) -> None:
        """Ends one direction of a connection: nothing more comes from here, while the other side may go on sending."""
        for transport in self._transports(scope):
            if transport.can_write_eof():
                transport.write_eof()

    def _transports(self, scope: Scope) -> Iterator[asyncio.Transport]:
        client = tuple(scope.get("client") or ())
        for connection in [*self._server.server_state.connections]:
            if tuple(getattr(connection, "client", None) or ()) == client:
                yield connection.transport


def check_installed() -> None:
    """Checks that what serves is installed.

    Raises:
        ConfigError: If it is not.
    """
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"simulators need what is not installed: {', '.join(missing)}",
            hint="pip install 'deskhand[simulate]'",
        )


@asynccontextmanager
async def serve(app: ASGIApp, *, port: int = 0) -> AsyncIterator[Loopback]:
    """Serves an application on 127.0.0.1 for as long as the block lasts; what it is at when that ends is cancelled.

    Args:
        app: The ASGI application.
        port: The port; 0 takes a free one.

    Raises:
        ConfigError: If what serves is not installed, or the port is taken.
    """
    check_installed()
    with _listen(port) as listener:
        work = _Work(app)
        server = _make_server(work)
        await server.startup(sockets=[listener])
        try:
            yield Loopback(server, listener.getsockname()[1], work.callers)
        finally:
            work.cancel()
            with anyio.CancelScope(shield=True):
                await _shut_down(server)


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # asyncio sees to TCP_NODELAY
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as error:
        listener.close()
        raise ConfigError(f"port {port} cannot be had: {error.strerror}", hint="give another, or 0 for any") from error
    listener.listen(128)
    listener.setblocking(False)
    return listener


class _Work:
    """The application, with everything that it is at just now: it can be cancelled from inside its tasks.

    Attributes:
        callers: Where something came from: one address for each connection.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.callers: set[tuple[str, int]] = set()
        self._app = app
        self._scopes: set[anyio.CancelScope] = set()
        self._over = False

    def cancel(self) -> None:
        """Ends all that goes on, and whatever comes later."""
        self._over = True
        for scope in self._scopes:
            scope.cancel()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one request or WebSocket."""
        if scope.get("client"):
            self.callers.add(tuple(scope["client"]))
        with anyio.CancelScope() as work:
            self._scopes.add(work)
            if self._over:
                work.cancel()
            try:
                await self._app(scope, receive, send)
            finally:
                self._scopes.discard(work)


def _make_server(app: ASGIApp) -> uvicorn.Server:
    """Returns uvicorn's server for use without its main loop, which would take over the program's signals."""
    import uvicorn

    config = uvicorn.Config(
        app,
        http="h11",
        ws="websockets-sansio",
        lifespan="off",
        log_config=None,
        log_level="critical",  # that a fault broke a connection is no news
        access_log=False,
        ws_ping_interval=None,
        server_header=False,
        date_header=False,
    )
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    return server


async def _shut_down(server: uvicorn.Server) -> None:
    for listener in server.servers:
        listener.close()
    for connection in [*server.server_state.connections]:
        connection.transport.abort()
    tasks = {task for task in server.server_state.tasks if not task.done()}
    if tasks:
        await asyncio.wait(tasks, timeout=LAST_CHANCE)
