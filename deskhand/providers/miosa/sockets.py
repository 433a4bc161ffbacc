"""MIOSA's one WebSocket for programs, with JSON text frames: a terminal where it has a size, else two pipes.

What a program prints is data in the frames and nothing else.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, Literal, cast
from urllib.parse import urlencode

import anyio
from pydantic_core import from_json, to_json

from deskhand.errors import (
    AuthError,
    ComputerGoneError,
    ConflictError,
    ConnectionLostError,
    DeskhandError,
    ProtocolError,
    ProviderError,
    UnsupportedError,
)
from deskhand.providers.contract import Terminal
from deskhand.providers.execution import check_terminal_size, checked_timeout, shell_ended
from deskhand.providers.http.sockets import CLOSE, connect_socket
from deskhand.providers.miosa.api import NAME, MiosaApi
from deskhand.providers.miosa.service import socket_url
from deskhand.providers.miosa.streams import MiosaExecStream, Piece, streamed
from deskhand.providers.shell_commands import Marked, ShellCommands
from deskhand.providers.shell_files import ShellFiles

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

__all__ = ["ROUTE", "closed_as", "connect", "is_socket_there", "open_stream", "open_terminal", "socket_uri"]

ROUTE: Final = "exec/stream"

_KILL: Final = '{"type":"signal","signal":"SIGKILL"}'
_STREAMS: Final = frozenset({"stdout", "stderr"})


def socket_uri(api: MiosaApi, computer_id: str, route: str = ROUTE) -> str:
    """Return where a socket of a computer is; where programs are started, without saying which, if not said."""
    return socket_url(api.http.url(api.path(computer_id, route)))


class _Frames:
    """The frames of a socket: what the program prints, and how it ended."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self.exit_code: int | None = None
        self.is_over: bool = False
        self.has_ended: bool = False
        """Whether the program's end was told, which a close does not."""

    async def next(self) -> Piece | None:
        """Return the next piece of output; ``None`` where the program has ended.

        Raises:
            ConnectionLostError: If the connection broke before that.
            ProviderError: If the server could not go on.
        """
        from websockets.exceptions import ConnectionClosed

        while not self.is_over:
            try:
                frame = await self._socket.recv()
            except ConnectionClosed as closed:
                self.is_over = True
                if (error := closed_as(closed)) is not None:
                    raise error from closed
                return None
            found = self._read(frame)
            if found is not None:
                return found
        return None

    def _read(self, frame: str | bytes) -> Piece | None:
        try:
            message = from_json(frame)
        except ValueError:
            message = None
        if not isinstance(message, dict):
            raise ProtocolError("miosa's socket sent what is no message", provider=NAME)
        kind, data = message.get("type"), message.get("data")
        if kind in _STREAMS and isinstance(data, str):
            return cast("Literal['stdout', 'stderr']", kind), data
        if kind == "exit":
            code = message.get("code")
            self.exit_code = code if isinstance(code, int) and not isinstance(code, bool) else None
            self.is_over = self.has_ended = True
        elif kind == "error":
            said = message.get("message") or data
            raise ProviderError(f"miosa could not go on with the program: {str(said)[:500]}", provider=NAME)
        return None  # or what newer servers say besides

    async def send(self, message: Mapping[str, object]) -> None:
        """Send a frame.

        Raises:
            ConflictError: If the program has ended.
            ConnectionLostError: If the connection broke.
        """
        if self.has_ended:
            raise shell_ended(NAME)
        from websockets.exceptions import ConnectionClosed

        try:
            await self._socket.send(to_json(message).decode())
        except ConnectionClosed as closed:
            raise closed_as(closed) or shell_ended(NAME) from closed

    async def kill(self) -> None:
        """End the program."""
        from websockets.exceptions import ConnectionClosed

        try:
            await self._socket.send(_KILL)
        except ConnectionClosed:
            return  # it has ended, or the server ends it
        await self._socket.close()


class MiosaTerminal(Terminal):
    """A shell at the other end of a socket."""

    def __init__(self, frames: _Frames) -> None:
        self._frames = frames
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    @property
    def exit_code(self) -> int | None:
        """The shell's exit code once it has ended, where the server told it."""
        return self._frames.exit_code

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Iterate over what it shows, until the shell or the computer has ended."""
        while (piece := await self._frames.next()) is not None:
            if piece[1]:
                yield piece[1].encode(errors="surrogatepass")

    async def send(self, data: bytes) -> None:
        """Send input, as typed; a character that is cut in two is sent once it is whole."""
        text = self._decoder.decode(data)
        if text:
            await self._frames.send({"type": "stdin", "data": text})

    async def resize(self, columns: int, rows: int) -> None:
        """Change the size in characters."""
        check_terminal_size(columns, rows)
        await self._frames.send({"type": "resize", "rows": rows, "cols": columns})

    async def kill(self) -> None:
        """End the shell and everything it started."""
        await self._frames.kill()


@asynccontextmanager
async def open_terminal(api: MiosaApi, computer_id: str, *, columns: int, rows: int) -> AsyncIterator[MiosaTerminal]:
    """Open a terminal with a shell in it; leaving the block ends it."""
    check_terminal_size(columns, rows)
    query = {"command": "bash", "args": "-i", "rows": str(rows), "cols": str(columns)}
    query["env"] = json.dumps({"TERM": "xterm-256color"})
    async with _opened(api, computer_id, query) as frames:
        yield MiosaTerminal(frames)


@asynccontextmanager
async def open_stream(
    api: MiosaApi,
    computer_id: str,
    commands: ShellCommands,
    files: ShellFiles,
    marked: Marked,
    *,
    timeout: float | None,
    cwd: str | None,
) -> AsyncIterator[MiosaExecStream]:
    """Run a command and follow its output; leaving the block ends it.

    The command goes to a file of its own, which it deletes when it starts: an address is no place for it.
    """
    seconds = checked_timeout(timeout)
    script = f'rm -f -- "$0"\n{streamed(marked)}'
    place = await files.stage_input(script.encode(errors="surrogateescape"))
    is_started = False
    try:
        async with _opened(api, computer_id, {"command": "bash", "args": place}) as frames:
            is_started = True
            stream = MiosaExecStream(frames, commands, marked, seconds, cwd)
            try:
                yield stream
            finally:
                if not frames.has_ended:
                    await api.in_background(stream.kill)
    finally:
        if not is_started:
            await files.forget(place)


@asynccontextmanager
async def _opened(api: MiosaApi, computer_id: str, query: Mapping[str, str]) -> AsyncIterator[_Frames]:
    headers = api.http.authorization(api.http.base_url)
    socket = await connect(f"{socket_uri(api, computer_id)}?{urlencode(query)}", headers)
    frames = _Frames(socket)
    try:
        yield frames
    finally:
        with anyio.move_on_after(CLOSE, shield=True):
            if not frames.is_over:
                await frames.kill()
            await socket.close()


async def is_socket_there(uri: str) -> bool:
    """Ask whether programs can be started, without a key: it is refused in another way where they cannot."""
    try:
        socket = await connect(uri, {})
    except UnsupportedError:
        return False
    except DeskhandError:
        return True  # it may well be: the first use will tell
    with anyio.move_on_after(CLOSE, shield=True):
        await socket.close()
    return True


async def connect(uri: str, headers: Mapping[str, str]) -> ClientConnection:
    """Open a socket of MIOSA's; what `connect_socket` raises says what a refusal means."""
    return await connect_socket(uri, _refused, provider=NAME, what="miosa's socket", headers=headers)


def _refused(status: int) -> DeskhandError:
    if status in {404, 405, 501}:
        return UnsupportedError("miosa cannot start programs over a socket here", hint="use exec", provider=NAME)
    if status in {401, 403}:
        return AuthError(f"miosa's socket refused the key ({status})", provider=NAME)
    if status == 409:
        return ConflictError("miosa's socket found no running computer", hint="start it first", provider=NAME)
    return ProviderError(f"miosa's socket answered {status}", provider=NAME, effect="no", retryable=status >= 500)


def closed_as(closed: Exception) -> DeskhandError | None:
    """Return what a close means; ``None`` where it is an end like any other."""
    received = getattr(closed, "rcvd", None)
    code = received.code if received is not None else 1006
    why = f": {received.reason}" if received is not None and received.reason else ""
    match code:
        case 1000 | 1001:
            return None
        case 4401 | 4403:
            return AuthError(f"miosa's socket refused the key{why}", provider=NAME)
        case 4404:
            return ComputerGoneError(
                f"miosa's socket found no running computer{why}", hint="start it first", provider=NAME, effect="no"
            )
        case 1006:
            return ConnectionLostError(f"the connection to miosa's socket broke{why}", provider=NAME)
        case _:
            return ProviderError(f"miosa's socket closed with {code}{why}", provider=NAME)
