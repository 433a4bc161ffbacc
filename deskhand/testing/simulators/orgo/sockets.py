"""The WebSockets of a desktop: its terminal and its events."""

from __future__ import annotations

import codecs
import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

import anyio
import anyio.abc
from pydantic import JsonValue

from deskhand.errors import DeskhandError
from deskhand.providers import Capability, Terminal
from deskhand.testing.simulators.wire import Json

from .account import Account
from .computer import SimulatedComputer
from .dialect import OrgoDialect

if TYPE_CHECKING:
    from starlette.websockets import WebSocket

__all__ = ["Sockets"]

NORMAL, STOPPING, BAD_TOKEN, NOT_FOUND, NO_SHELL = 1000, 1001, 4401, 4404, 4500
KINDS = frozenset(
    {
        "window_focus",
        "window_open",
        "window_close",
        "clipboard",
        "file_change",
        "screen_change",
        "audio_stream_start",
        "audio_stream_stop",
        "process_start",
        "process_stop",
        "idle",
        "active",
    }
)
BUFFER = 256
MOST_COLUMNS = 1000


class _ClosedError(Exception):
    """Raised when a socket is over: with a code to close it by, or None where the client has left."""

    def __init__(self, code: int | None) -> None:
        super().__init__(code)
        self.code = code


class Sockets:
    """The routes ``/desktops/{instance_id}/ws/...``.

    Args:
        account: Whose computers they are.
        dialect: How a terminal is authenticated.
        silent: Tells whether terminals give no more output just now.
    """

    def __init__(self, account: Account, dialect: OrgoDialect, silent: Callable[[], bool]) -> None:
        self._account = account
        self._dialect = dialect
        self._silent = silent

    async def terminal(self, socket: WebSocket, path: Mapping[str, str]) -> None:
        """Runs a shell in a terminal for as long as the socket is open."""
        await socket.accept()
        computer = self._admit(socket, path["instance"])
        if isinstance(computer, int):
            await socket.close(computer)
            return
        machine = computer.on()
        columns, rows = _size(socket.query_params.get("cols"), 80), _size(socket.query_params.get("rows"), 24)
        if columns is None or rows is None or Capability.TERMINAL not in machine.capabilities:
            await socket.close(NO_SHELL, "the shell could not be started")
            return
        try:
            async with machine.terminal(columns=columns, rows=rows) as terminal:
                code = await _until_closed(computer, lambda: self._converse(socket, terminal, computer))
        except DeskhandError as error:
            code = NO_SHELL
            with suppress(RuntimeError):
                await socket.send_text(json.dumps({"type": "error", "message": error.message}))
        if code is not None:
            await _close(socket, code)

    async def events(self, socket: WebSocket, path: Mapping[str, str]) -> None:
        """Sends the events that the client subscribes to."""
        await socket.accept()
        computer = self._admit(socket, path["instance"])
        if isinstance(computer, int):
            await socket.close(computer)
            return
        code = await _until_closed(computer, lambda: self._report(socket, computer))
        if code is not None:
            await _close(socket, code)

    def _admit(self, socket: WebSocket, instance_id: str) -> SimulatedComputer | int:
        """Returns the computer that a socket is for, or the code to close it by."""
        computer = self._account.of_instance(instance_id)
        if computer is None:
            return NOT_FOUND
        if self._dialect.terminal_auth == "query":
            token = socket.query_params.get("token")
        else:  # an old image takes the header alone
            token = socket.headers.get("authorization", "").removeprefix("Bearer ")
        if token != computer.vnc_password:
            return BAD_TOKEN
        return computer if computer.status == "running" and computer.machine is not None else NOT_FOUND

    async def _converse(self, socket: WebSocket, terminal: Terminal, computer: SimulatedComputer) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(self._show, socket, terminal)
            while True:
                message = await _receive(socket)
                computer.touch()
                await self._take(socket, terminal, message)

    async def _show(self, socket: WebSocket, terminal: Terminal) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        try:
            async for chunk in terminal:
                text = decoder.decode(chunk)
                if text and not self._silent():
                    await _send(socket, {"type": "output", "data": text})
        except DeskhandError as error:
            await _send(socket, {"type": "error", "message": error.message})
            raise _ClosedError(NO_SHELL) from error
        await _send(socket, {"type": "exit", "code": terminal.exit_code if terminal.exit_code is not None else -1})
        raise _ClosedError(NORMAL)

    async def _take(self, socket: WebSocket, terminal: Terminal, message: Json | None) -> None:
        kind = message.get("type") if message is not None else None
        if message is None:
            await _send(socket, {"type": "error", "message": "Invalid message: not a JSON object"})
        elif kind == "ping":
            await _send(socket, {"type": "pong"})
        elif kind == "input" and isinstance(message.get("data"), str):
            with suppress(DeskhandError):  # the shell has just ended, which is told by itself
                await terminal.send(str(message["data"]).encode())
        elif kind == "resize" and (size := _sizes(message.get("cols"), message.get("rows"))) is not None:
            await terminal.resize(*size)
        else:
            await _send(socket, {"type": "error", "message": f"Invalid message of type {kind}"})

    async def _report(self, socket: WebSocket, computer: SimulatedComputer) -> None:
        send, receive = anyio.create_memory_object_stream[Json](BUFFER)
        wanted: set[str] = set()

        def listen(event: Json) -> None:
            inner = event["event"]
            if isinstance(inner, dict) and inner.get("type") in wanted:
                with suppress(anyio.WouldBlock, anyio.BrokenResourceError):
                    send.send_nowait(event)

        computer.listeners.add(listen)
        try:
            async with send, receive, anyio.create_task_group() as group:
                group.start_soon(_forward, socket, receive)
                while True:
                    await _send(socket, _answer_subscriber(await _receive(socket), wanted))
        finally:
            computer.listeners.discard(listen)


def _answer_subscriber(message: Json | None, wanted: set[str]) -> Json:
    kind = message.get("type") if message is not None else None
    if kind == "ping":
        return {"type": "pong"}
    named = message.get("event_types") if message is not None else None
    if kind not in {"subscribe", "unsubscribe"} or not isinstance(named, list):
        return {"type": "error", "message": f"Unknown message type: {kind}"}
    for name in named:
        if name not in KINDS:
            return {"type": "error", "message": f"Unknown event type: {name}"}
    names = {str(name) for name in named}
    if kind == "subscribe":
        wanted |= names
        return {"type": "subscribed", "message": "ok"}
    wanted -= names
    return {"type": "unsubscribed", "message": "ok"}


async def _forward(socket: WebSocket, events: anyio.abc.ObjectReceiveStream[Json]) -> None:
    async for event in events:
        await _send(socket, event)


async def _until_closed(computer: SimulatedComputer, talk: Callable[[], Awaitable[None]]) -> int | None:
    """Talks until one side is done; returns the code to close by, or None where the client has left."""
    power = computer.hardware.power
    ended: list[int | None] = []
    async with anyio.create_task_group() as group:

        async def watch() -> None:
            await power.leave.wait()
            ended.append(STOPPING)
            group.cancel_scope.cancel()

        group.start_soon(watch)
        try:
            await talk()
        except* _ClosedError as errors:
            ended.append(_code(errors))
        group.cancel_scope.cancel()
    return ended[0] if ended else None


def _code(errors: BaseExceptionGroup[_ClosedError]) -> int | None:
    first: BaseException = errors
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return first.code if isinstance(first, _ClosedError) else None


async def _receive(socket: WebSocket) -> Json | None:
    """Returns the next message, None where it is no JSON object."""
    message = await socket.receive()
    if message["type"] == "websocket.disconnect":
        raise _ClosedError(None)
    text = message.get("text")
    if text is None:
        return None
    try:
        decoded: JsonValue = json.loads(text)
    except ValueError:
        return None
    return decoded if isinstance(decoded, dict) else None


async def _send(socket: WebSocket, message: Json) -> None:
    from starlette.websockets import WebSocketDisconnect

    try:
        await socket.send_text(json.dumps(message))
    except (WebSocketDisconnect, RuntimeError) as error:
        raise _ClosedError(None) from error


async def _close(socket: WebSocket, code: int) -> None:
    from starlette.websockets import WebSocketDisconnect

    with suppress(WebSocketDisconnect, RuntimeError):  # the client closed it at the same time
        await socket.close(code)


def _size(text: str | None, default: int) -> int | None:
    if text is None:
        return default
    return int(text) if text.isascii() and text.isdigit() and 0 < int(text) <= MOST_COLUMNS else None


def _sizes(columns: JsonValue, rows: JsonValue) -> tuple[int, int] | None:
    for value in (columns, rows):
        if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= MOST_COLUMNS:
            return None
    return (columns, rows) if isinstance(columns, int) and isinstance(rows, int) else None
