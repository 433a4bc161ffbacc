"""Orgo's terminal: a WebSocket with JSON text frames; what the shell prints is data in them and nothing else."""

from __future__ import annotations

import codecs
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import anyio
from pydantic import SecretStr
from pydantic_core import from_json, to_json

from deskhand.errors import (
    AuthError,
    ComputerGoneError,
    ConnectionLostError,
    DeskhandError,
    ProtocolError,
    ProviderError,
    UnsupportedError,
)
from deskhand.providers.contract import Terminal
from deskhand.providers.execution import check_terminal_size, shell_ended
from deskhand.providers.http.sockets import CLOSE, connect_socket
from deskhand.providers.orgo.api import NAME

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

__all__ = ["is_terminal_there", "open_terminal", "terminal_uri"]

_FIRST: Final = 3.0
"""Seconds for the shell's first word, or the refusal in its place."""
_IDLE: Final = 20.0
"""Seconds of silence after which the server is told that somebody is still there."""


def terminal_uri(origin: str, instance: str) -> str:
    """Return where a computer's terminal is, without the token."""
    return f"ws{origin.removeprefix('http')}/desktops/{quote(instance, safe='')}/ws/terminal"


class OrgoTerminal(Terminal):
    """A shell at the other end of a socket."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._exit_code: int | None = None
        self._first: list[str | bytes] = []
        self._ended = False
        self._said = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    @property
    def exit_code(self) -> int | None:
        """The shell's exit code once it has ended, where the server told it."""
        return self._exit_code

    async def greet(self) -> None:
        """Wait a moment for the first frame: a refusal comes in its place, as a close with a code."""
        from websockets.exceptions import ConnectionClosed

        with anyio.move_on_after(_FIRST):
            try:
                self._first.append(await self._socket.recv())
            except ConnectionClosed as closed:
                if (refusal := self._closed(closed)) is not None:
                    raise refusal from closed
                self._ended = True

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Iterate over what it shows, until the shell or the computer has ended.

        Raises:
            ConnectionLostError: If the connection broke.
            ProviderError: If the server could not go on.
        """
        while not self._ended:
            data = await self._next()
            if data:
                yield data

    async def _next(self) -> bytes:
        """Return the next piece of output; empty for a frame that holds none, and at the end."""
        from websockets.exceptions import ConnectionClosed

        if self._first:
            return self._read(self._first.pop())
        try:
            with anyio.move_on_after(_IDLE):
                return self._read(await self._socket.recv())
            await self._socket.send('{"type":"ping"}')
        except ConnectionClosed as closed:
            self._ended = True
            if (error := self._closed(closed)) is not None:
                raise error from closed
        return b""

    def _read(self, frame: str | bytes) -> bytes:
        try:
            message = from_json(frame) if isinstance(frame, str) else None
        except ValueError:
            message = None
        if not isinstance(message, dict):
            raise ProtocolError("orgo's terminal sent what is no message", provider=NAME)
        kind, data = message.get("type"), message.get("data")
        if kind == "output" and isinstance(data, str):
            return data.encode(errors="surrogatepass")
        if kind == "exit":
            code = message.get("code")
            self._exit_code = code if isinstance(code, int) and not isinstance(code, bool) else None
            self._ended = True
        elif kind == "error":
            self._said = str(message.get("message"))[:500]
        return b""  # a pong, or what newer servers say besides

    def _closed(self, closed: Exception) -> DeskhandError | None:
        """Return what a close means; ``None`` where it is an end like any other."""
        received = getattr(closed, "rcvd", None)
        code = received.code if received is not None else 1006
        said = self._said or (received.reason if received is not None else "")
        why = f": {said}" if said else ""
        match code:
            case 1000 | 1001 if not self._said:
                return None
            case 4401:
                return AuthError(
                    f"orgo's terminal refused its token{why}",
                    hint="open it again: a restart of the computer changes the token",
                    provider=NAME,
                )
            case 4404:
                return ComputerGoneError(
                    f"orgo's terminal found no running computer{why}", hint="start it first", provider=NAME, effect="no"
                )
            case 4500:
                return ProviderError(f"orgo could not start a shell{why}", provider=NAME, effect="no", retryable=True)
            case 1006:
                return ConnectionLostError(f"the connection to orgo's terminal broke{why}", provider=NAME)
            case _:
                return ProviderError(f"orgo's terminal closed with {code}{why}", provider=NAME)

    async def send(self, data: bytes) -> None:
        """Send input, as typed; a character that is cut in two is sent once it is whole."""
        text = self._decoder.decode(data)
        if self._ended:
            raise shell_ended(NAME)
        if text:
            await self._send({"type": "input", "data": text})

    async def resize(self, columns: int, rows: int) -> None:
        """Change the size in characters."""
        check_terminal_size(columns, rows)
        await self._send({"type": "resize", "cols": columns, "rows": rows})

    async def _send(self, message: dict[str, object]) -> None:
        from websockets.exceptions import ConnectionClosed

        try:
            await self._socket.send(to_json(message).decode())
        except ConnectionClosed as closed:
            raise self._closed(closed) or shell_ended(NAME) from closed

    async def kill(self) -> None:
        """End the shell: the server does when the socket closes."""
        await self._socket.close()


@asynccontextmanager
async def open_terminal(uri: str, token: SecretStr, *, columns: int, rows: int) -> AsyncIterator[OrgoTerminal]:
    """Open a terminal; leaving the block ends it.

    Args:
        uri: Where it is.
        token: What opens it.
        columns: Its width in characters.
        rows: Its height in characters.

    Raises:
        AuthError: If the token is refused.
        ComputerGoneError: If the computer does not run.
        ProviderError: If no shell can be started.
        ConnectionLostError: If it cannot be reached.
    """
    check_terminal_size(columns, rows)
    secret, size = token.get_secret_value(), f"cols={columns}&rows={rows}"
    async with AsyncExitStack() as stack:
        try:
            terminal = await stack.enter_async_context(_opened(f"{uri}?token={quote(secret, safe='')}&{size}"))
        except AuthError:  # old images take the token in a header, and there alone
            header = {"Authorization": f"Bearer {secret}"}
            terminal = await stack.enter_async_context(_opened(f"{uri}?{size}", header))
        yield terminal


@asynccontextmanager
async def _opened(uri: str, headers: Mapping[str, str] | None = None) -> AsyncIterator[OrgoTerminal]:
    socket = await _connect(uri, headers)
    try:
        terminal = OrgoTerminal(socket)
        await terminal.greet()
        yield terminal
    finally:
        with anyio.move_on_after(CLOSE, shield=True):
            await socket.close()


async def is_terminal_there(uri: str) -> bool:
    """Ask whether there are terminals, by opening one without a token: it is refused with a code where there are."""
    try:
        socket = await _connect(uri)
    except UnsupportedError:
        return False
    except DeskhandError:
        return True  # it may well be: the first use will tell
    with anyio.move_on_after(CLOSE, shield=True):
        await socket.close()
    return True


async def _connect(uri: str, headers: Mapping[str, str] | None = None) -> ClientConnection:
    return await connect_socket(uri, _refused, provider=NAME, what="orgo's terminal", headers=headers)


def _refused(status: int) -> DeskhandError:
    if status in {404, 405, 501}:
        return UnsupportedError("orgo has no terminal here", hint="use exec", provider=NAME)
    if status in {401, 403}:
        return AuthError(f"orgo's terminal refused its token ({status})", provider=NAME)
    return ProviderError(f"orgo's terminal answered {status}", provider=NAME, effect="no", retryable=status >= 500)
