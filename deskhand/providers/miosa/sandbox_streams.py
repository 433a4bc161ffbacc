"""What a sandbox tells as it comes: a command's output as server-sent events, a terminal over a WebSocket."""

from __future__ import annotations

import codecs
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Final

import anyio
from pydantic import JsonValue
from pydantic_core import from_json, to_json

from deskhand.errors import (
    DeskhandError,
    FileMissingError,
    NotFoundError,
    UnsupportedError,
)
from deskhand.providers.contract import Terminal
from deskhand.providers.execution import check_terminal_size, checked_timeout, shell_ended
from deskhand.providers.http import Stream
from deskhand.providers.http.events import ServerEvent, ServerEvents, event_fields
from deskhand.providers.http.sockets import CLOSE
from deskhand.providers.miosa.api import NAME, OPERATIONS, MiosaApi
from deskhand.providers.miosa.service import EVENTS
from deskhand.providers.miosa.sockets import closed_as, connect, socket_uri
from deskhand.providers.miosa.streams import MiosaExecStream, Piece, streamed
from deskhand.providers.shell_commands import Marked, ShellCommands

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

__all__ = ["STREAM", "TERMINAL", "open_events", "open_sandbox_terminal"]

STREAM: Final = "exec/stream"
TERMINAL: Final = "terminal/stream"

_LINE: Final = 24_576
"""Bytes that one event's line stands for at most, so that nobody on the way finds a line too long."""
_MARGIN: Final = 15.0
_SERVER_MARGIN: Final = 5
_HEADERS: Final = (("content-type", "application/json"), EVENTS)


class _Events:
    """The events of a command: its output line by line, and how it ended."""

    def __init__(self, answer: Stream) -> None:
        self._events = ServerEvents(answer, NAME)
        self.exit_code: int | None = None
        self.has_ended: bool = False

    async def next(self) -> Piece | None:
        """Return the next line of output; ``None`` where no more comes."""
        while not self.has_ended:
            event = await anext(self._events, None)
            if event is None:
                return None
            if (piece := self._read(event)) is not None:
                return piece
        return None

    def _read(self, event: ServerEvent) -> Piece | None:
        """Read an event; older servers give it no name, and then only an end can be told from output."""
        fields = event_fields(event, NAME)
        if event.name == "exit" or (event.name == "message" and "exit_code" in fields):
            code = fields.get("exit_code")
            self.exit_code = code if isinstance(code, int) and not isinstance(code, bool) else None
            self.has_ended = True
            return None
        line = fields.get("line", fields.get("data"))
        if event.name not in {"stdout", "stderr", "message"} or not isinstance(line, str):
            return None  # what newer servers tell besides
        return ("stderr" if event.name == "stderr" else "stdout"), line.removesuffix("\n") + "\n"


@asynccontextmanager
async def open_events(
    api: MiosaApi, computer_id: str, commands: ShellCommands, marked: Marked, *, timeout: float | None, cwd: str | None
) -> AsyncIterator[MiosaExecStream]:
    """Run a command and follow its output; leaving the block ends it."""
    seconds = checked_timeout(timeout)
    body = {"command": streamed(marked, most=_LINE), "timeout": int(seconds) + 1 + _SERVER_MARGIN}
    running: MiosaExecStream | None = None
    events: _Events | None = None
    is_sent = True
    try:
        async with _answer(api, computer_id, to_json(body), seconds + _MARGIN) as answer:
            events = _Events(answer)
            running = MiosaExecStream(events, commands, marked, seconds, cwd)
            yield running
            if events.has_ended:
                await answer.finish()
    except DeskhandError as error:
        is_sent = running is not None or error.effect != "no"
        raise
    finally:
        if running is not None:
            await api.in_background(running.kill)
        elif is_sent:
            await api.in_background(lambda: commands.kill(marked))


@asynccontextmanager
async def _answer(api: MiosaApi, computer_id: str, content: bytes, seconds: float) -> AsyncIterator[Stream]:
    operation = OPERATIONS["run a command"]
    stream = api.http.stream(
        operation,
        api.path(computer_id, STREAM),
        content,
        silence=seconds,
        deadline=seconds,
        headers=_HEADERS,
    )
    async with AsyncExitStack() as stack:
        try:
            answer = await stack.enter_async_context(stream)
        except FileMissingError:
            raise
        except (NotFoundError, UnsupportedError) as error:
            raise await api.told(error, operation.name, computer_id, STREAM) from error
        yield answer


class SandboxTerminal(Terminal):
    """A shell at the other end of a socket, which sends what it shows in frames of JSON, or as it is.

    The first frame tells which: from then on, what a program prints cannot be taken for a frame.
    """

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._is_framed: bool | None = None
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._exit_code: int | None = None
        self.is_over: bool = False

    @property
    def exit_code(self) -> int | None:
        """The shell's exit code once it has ended, where the server told it."""
        return self._exit_code

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Iterate over what it shows, until the shell or the computer has ended.

        Raises:
            ConnectionLostError: If the connection broke before that.
        """
        from websockets.exceptions import ConnectionClosed

        while not self.is_over:
            try:
                frame = await self._socket.recv()
            except ConnectionClosed as closed:
                self.is_over = True
                if (error := closed_as(closed)) is not None:
                    raise error from closed
                return
            if data := self._shown(frame):
                yield data

    def _shown(self, frame: str | bytes) -> bytes:
        if isinstance(frame, bytes):
            self._is_framed = self._is_framed or False
            return frame
        message = None if self._is_framed is False else _message(frame)
        if self._is_framed is None:
            self._is_framed = message is not None
        if message is None:
            return frame.encode(errors="surrogatepass")
        data = message.get("data")
        if message["type"] == "output" and isinstance(data, str):
            return data.encode(errors="surrogatepass")
        if message["type"] == "exit":
            code = message.get("code")
            self._exit_code = code if isinstance(code, int) and not isinstance(code, bool) else None
            self.is_over = True
        return b""  # or what newer servers say besides

    async def send(self, data: bytes) -> None:
        """Send input, as typed; a character that is cut in two is sent once it is whole."""
        text = self._decoder.decode(data)
        if text:
            await self._send({"type": "input", "data": text})

    async def resize(self, columns: int, rows: int) -> None:
        """Change the size in characters."""
        check_terminal_size(columns, rows)
        await self._send({"type": "resize", "cols": columns, "rows": rows})

    async def _send(self, message: Mapping[str, object]) -> None:
        if self.is_over:
            raise shell_ended(NAME)
        from websockets.exceptions import ConnectionClosed

        try:
            await self._socket.send(to_json(message).decode())
        except ConnectionClosed as closed:
            raise closed_as(closed) or shell_ended(NAME) from closed

    async def kill(self) -> None:
        """End the shell: MIOSA ends it when its socket is closed."""
        await self._socket.close()


def _message(frame: str) -> dict[str, JsonValue] | None:
    try:
        message = from_json(frame)
    except ValueError:
        return None
    return message if isinstance(message, dict) and isinstance(message.get("type"), str) else None


@asynccontextmanager
async def open_sandbox_terminal(
    api: MiosaApi, computer_id: str, *, columns: int, rows: int
) -> AsyncIterator[SandboxTerminal]:
    """Open a terminal with a shell in it; leaving the block ends it."""
    check_terminal_size(columns, rows)
    socket = await connect(socket_uri(api, computer_id, TERMINAL), api.http.authorization(api.http.base_url))
    try:
        terminal = SandboxTerminal(socket)
        await terminal.resize(columns, rows)
        yield terminal
    finally:
        with anyio.move_on_after(CLOSE, shield=True):
            await socket.close()
