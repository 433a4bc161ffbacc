"""Daytona's terminal: a WebSocket whose binary frames are output, and whose text frames are the server's own words.

A server that sent output as text could not be told from one that speaks of itself. So its words are taken for such only
where they stand: the greeting as the first text, the exit as the last frame. What else comes as text is output.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

import anyio
from pydantic import JsonValue
from pydantic_core import from_json

from deskhand.errors import (
    AuthError,
    ComputerGoneError,
    ConnectionLostError,
    DeskhandError,
    ProtocolError,
    ProviderError,
    RateLimitedError,
    UnsupportedError,
)
from deskhand.providers.contract import Terminal
from deskhand.providers.daytona.api import NAME, OPERATIONS, DaytonaApi
from deskhand.providers.execution import check_terminal_size, shell_ended
from deskhand.providers.http.sockets import CLOSE, connect_socket

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

__all__ = ["open_socket", "open_terminal"]

_FIRST: Final = 10.0
"""Seconds for the server's greeting."""
_MOST_EARLY: Final = 1 << 20
"""Bytes of output that may come before it."""
_MOST_CELLS: Final = 999
_NORMAL: Final = 1000
"""The code of the close after a shell that has ended, whatever else that tells."""
_PROTOCOL: Final = "X-Daytona-Pty-Exit-Control"


class DaytonaTerminal(Terminal):
    """A shell at the other end of a socket."""

    def __init__(self, api: DaytonaApi, computer_id: str, session: str, socket: ClientConnection) -> None:
        self._api = api
        self._computer_id = computer_id
        self._session = session
        self._socket = socket
        self._exit_code: int | None = None
        self._held: bytes | None = None
        self._early = bytearray()
        self._ended = False
        self._is_exit_told = False

    @property
    def exit_code(self) -> int | None:
        """The shell's exit code once it has ended, where the server told it."""
        return self._exit_code

    async def greet(self) -> None:
        """Wait for the server's greeting.

        Raises:
            ProviderError: If it says that there is no shell.
            ProtocolError: If it does not come.
        """
        from websockets.exceptions import ConnectionClosed

        with anyio.move_on_after(_FIRST):
            try:
                words = _words(await self._first())
            except ConnectionClosed as closed:
                raise ConnectionLostError(
                    "daytona's terminal closed before it began", provider=NAME, effect="no"
                ) from closed
            match words.get("status"):
                case "connected":
                    return
                case "exited":  # a shell that ends at once
                    self._exit(words)
                    self._ended = True
                    return
                case "error":
                    raise ProviderError(
                        f"daytona could not start a shell: {str(words.get('error'))[:500]}",
                        provider=NAME,
                        effect="no",
                        retryable=True,
                    )
        raise ProtocolError("daytona's terminal does not say that it is there", provider=NAME)

    async def _first(self) -> str | bytes:
        """Return the first frame that is no output: a shell may be faster than the greeting."""
        while isinstance(frame := await self._socket.recv(), bytes) and len(self._early) < _MOST_EARLY:
            self._early += frame
        return frame

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Iterate over what it shows, until the shell has ended.

        Raises:
            ConnectionLostError: If the connection broke before that.
        """
        early, self._early = bytes(self._early), bytearray()
        if early:
            yield early
        while not self._ended:
            for data in await self._next():
                yield data

    async def _next(self) -> list[bytes]:
        """Return the next pieces of output; none for the server's own words, and at the end."""
        from websockets.exceptions import ConnectionClosed

        try:
            frame = await self._socket.recv()
        except ConnectionClosed as closed:
            return self._end(closed)
        before, self._held = self._held, None
        found = [] if before is None else [before]  # it was not the last frame, and so no exit
        if isinstance(frame, bytes):
            return [*found, frame]
        if _words(frame).get("status") == "exited":
            self._held = frame.encode(errors="surrogatepass")
            return found
        return [*found, frame.encode(errors="surrogatepass")]

    def _end(self, closed: Exception) -> list[bytes]:
        """Read how it ended from the last words, and from the reason of the close, which counts more."""
        self._ended = True
        received = getattr(closed, "rcvd", None)
        last, self._held = self._held, None
        if last is not None:
            self._exit(_words(last.decode(errors="surrogatepass")))
        reason = _object(received.reason) if received is not None else {}
        if reason:
            self._exit(reason)
        if not self._is_exit_told and (received is None or received.code != _NORMAL):
            why = f" ({received.code} {received.reason[:200]})" if received is not None else ""
            raise ConnectionLostError(f"the connection to daytona's terminal broke{why}", provider=NAME) from closed
        return []

    def _exit(self, words: Mapping[str, JsonValue]) -> None:
        code = words.get("exitCode")
        self._is_exit_told = self._is_exit_told or words.get("status") == "exited" or "exitCode" in words
        if isinstance(code, int) and not isinstance(code, bool):
            self._exit_code = code

    async def send(self, data: bytes) -> None:
        """Send input, as typed."""
        from websockets.exceptions import ConnectionClosed

        if self._is_exit_told:
            raise shell_ended(NAME)
        if not data:
            return
        try:
            await self._socket.send(data)
        except ConnectionClosed as closed:
            if closed.rcvd is not None and closed.rcvd.code == _NORMAL:
                raise shell_ended(NAME) from closed
            said = "the connection to daytona's terminal broke"
            raise ConnectionLostError(said, provider=NAME, effect="no") from closed

    async def resize(self, columns: int, rows: int) -> None:
        """Change the size in characters."""
        check_terminal_size(columns, rows, most=_MOST_CELLS)
        route = f"process/pty/{self._session}/resize"
        await self._api.act("resize a terminal", self._computer_id, route, {"cols": columns, "rows": rows})

    async def kill(self) -> None:
        """End the shell and everything it started."""
        await self._forget()
        await self._socket.close()

    async def _forget(self) -> None:
        url = await self._api.toolbox(self._computer_id, f"process/pty/{self._session}")
        with suppress(DeskhandError):  # it has ended by itself, or nobody can reach it
            await self._api.http.ask(OPERATIONS["end a terminal"], url, is_urgent=True)

    async def close(self) -> None:
        """End the shell unless it told that it has, and close the socket, whatever becomes of this task."""
        if not self._is_exit_told:  # a connection that broke ends no shell
            await self._api.in_background(self._forget)
        with anyio.move_on_after(CLOSE, shield=True):
            await self._socket.close()


def _object(text: str) -> dict[str, JsonValue]:
    try:
        value = from_json(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _words(frame: str | bytes) -> dict[str, JsonValue]:
    """Return what the server says of itself in a frame; nothing where that is output."""
    value = _object(frame) if isinstance(frame, str) else {}
    return value if value.get("type") == "control" else {}


@asynccontextmanager
async def open_terminal(
    api: DaytonaApi, computer_id: str, *, columns: int, rows: int
) -> AsyncIterator[DaytonaTerminal]:
    """Open a terminal; leaving the block ends it.

    Raises:
        UnsupportedError: If there are no terminals.
        ProviderError: If no shell can be started.
        ConnectionLostError: If it cannot be reached.
    """
    check_terminal_size(columns, rows, most=_MOST_CELLS)
    session = f"deskhand-{secrets.token_hex(8)}"
    query = urlencode({"id": session, "cols": columns, "rows": rows})
    url = await api.toolbox(computer_id, f"process/pty/create-connect?{query}")
    terminal = DaytonaTerminal(api, computer_id, session, await open_socket(api, url, _PROTOCOL))
    try:
        await terminal.greet()
        yield terminal
    finally:
        await terminal.close()


async def open_socket(api: DaytonaApi, url: str, protocol: str | None = None) -> ClientConnection:
    """Open a socket of the toolbox, with the key, which goes nowhere else.

    Raises:
        UnsupportedError: If there is none.
        AuthError: If the key is refused.
        ConnectionLostError: If it cannot be reached.
    """
    return await connect_socket(
        f"ws{url.removeprefix('http')}",
        _refused,
        provider=NAME,
        what="daytona's socket",
        headers=api.http.authorization(url),
        protocol=protocol,
    )


def _refused(status: int) -> DeskhandError:
    if status in {404, 405, 501}:
        return UnsupportedError("daytona has no such socket here", hint="use exec", provider=NAME)
    if status in {401, 403}:
        return AuthError(f"daytona's socket refused the key ({status})", provider=NAME)
    if status == 410:
        return ComputerGoneError("the daytona computer is gone", provider=NAME, effect="no")
    if status == 429:
        return RateLimitedError("daytona's socket asks to slow down", provider=NAME, effect="no")
    return ProviderError(f"daytona's socket answered {status}", provider=NAME, effect="no", retryable=status >= 500)
