"""The WebSocket by which programs are started: with a size in a terminal, else with pipes."""

from __future__ import annotations

import codecs
import json
import secrets
import shlex
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import anyio
import anyio.abc
from pydantic import JsonValue

from deskhand.errors import DeskhandError
from deskhand.providers import Capability, ExecStream, ExternalComputer, Terminal
from deskhand.testing.simulators.wire import ApiError, Json

from .account import Account
from .computer import SimulatedComputer
from .dialect import MiosaDialect
from .wire import error_body

if TYPE_CHECKING:
    from starlette.websockets import WebSocket

__all__ = ["Sockets"]

NORMAL, STOPPING, FAILED = 1000, 1001, 1011
KILLED = 137
MOST_CELLS = 1000
PARAMETERS = frozenset({"command", "args", "cwd", "env", "rows", "cols"})


class _EndedError(Exception):
    """Raised when a socket is over: with a code to close it by, or None where the client has left."""

    def __init__(self, code: int | None) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class _Program:
    """What is to be started."""

    words: tuple[str, ...]
    cwd: str | None
    env: Mapping[str, str]
    size: tuple[int, int] | None


class _Running(Protocol):
    """A program that runs."""

    def output(self) -> AsyncIterator[tuple[str, bytes]]:
        """Gives its output: the stream's name and bytes."""
        ...

    async def write(self, data: bytes) -> None:
        """Gives it input."""

    async def close_input(self) -> None:
        """Ends its input."""

    async def resize(self, columns: int, rows: int) -> None:
        """Changes its terminal's size."""

    async def kill(self) -> None:
        """Ends it."""

    def exit_code(self) -> int:
        """Returns its exit code."""
        ...


class Sockets:
    """The route ``/computers/{id}/exec/stream``.

    Args:
        account: Whose computers they are.
        dialect: How errors are written.
        silent: Tells whether terminals give no more output just now.
    """

    def __init__(self, account: Account, dialect: MiosaDialect, silent: Callable[[], bool]) -> None:
        self._account = account
        self._dialect = dialect
        self._silent = silent

    async def run(self, socket: WebSocket, path: Mapping[str, str]) -> None:
        """Runs a program for as long as the socket is open."""
        try:
            caller = self._account.authenticate(
                socket.headers.get("authorization", ""), socket.headers.get("x-miosa-tenant", "")
            )
            computer = self._account.computer(caller, path["id"])
            machine, program = computer.on(), _program(socket.query_params)
        except ApiError as error:
            await self._deny(socket, error)
            return
        await socket.accept()
        code: int | None
        try:
            async with _started(machine, program) as running:
                code = await self._until_over(socket, computer, running)
        except DeskhandError as error:
            with suppress(_EndedError):
                await _send(socket, {"type": "error", "message": error.message})
            code = FAILED
        if code is not None:
            await _close(socket, code)

    async def _deny(self, socket: WebSocket, error: ApiError) -> None:
        from starlette.responses import Response

        body = json.dumps(error_body(error, secrets.token_hex(8), self._dialect))
        await socket.send_denial_response(Response(body, error.status, media_type="application/json"))

    async def _until_over(self, socket: WebSocket, computer: SimulatedComputer, running: _Running) -> int | None:
        ended: list[int | None] = []
        power = computer.hardware.power

        async def watch() -> None:
            await power.leave.wait()
            raise _EndedError(STOPPING)

        async def show() -> None:
            await self._show(socket, running)
            raise _EndedError(NORMAL)

        async def listen() -> None:
            while True:
                message = await _receive(socket)
                computer.touch()
                with suppress(DeskhandError):  # the program has just ended, which is told by itself
                    await _take(socket, running, message)

        try:
            async with anyio.create_task_group() as group:
                for do in (watch, show, listen):
                    group.start_soon(do)
        except* _EndedError as errors:
            ended = [_first(errors).code]
        return ended[0] if ended else None

    async def _show(self, socket: WebSocket, running: _Running) -> None:
        decoders = {name: codecs.getincrementaldecoder("utf-8")(errors="replace") for name in ("stdout", "stderr")}
        try:
            async for name, data in running.output():
                text = decoders[name].decode(data)
                if text and not self._silent():
                    await _send(socket, {"type": name, "data": text})
        except DeskhandError as error:
            await _send(socket, {"type": "error", "message": error.message})
            raise _EndedError(FAILED) from error
        for name, decoder in decoders.items():
            if rest := decoder.decode(b"", final=True):
                await _send(socket, {"type": name, "data": rest})
        await _send(socket, {"type": "exit", "code": running.exit_code()})


async def _take(socket: WebSocket, running: _Running, message: Json | None) -> None:
    kind = message.get("type") if message is not None else None
    data = message.get("data") if message is not None else None
    if kind == "stdin" and isinstance(data, str):
        await running.write(data.encode())
    elif kind == "stdin_close":
        await running.close_input()
    elif message is not None and kind == "resize" and (size := _size(message.get("cols"), message.get("rows"))):
        await running.resize(*size)
    elif message is not None and kind == "signal" and message.get("signal") == "SIGKILL":
        await running.kill()
    else:
        await _send(socket, {"type": "error", "message": f"Invalid message of type {kind}"})


class _InTerminal:
    """A shell in a terminal."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal

    async def output(self) -> AsyncIterator[tuple[str, bytes]]:
        async for data in self._terminal:
            yield "stdout", data

    async def write(self, data: bytes) -> None:
        await self._terminal.send(data)

    async def close_input(self) -> None:
        await self._terminal.send(b"\x04")

    async def resize(self, columns: int, rows: int) -> None:
        await self._terminal.resize(columns, rows)

    async def kill(self) -> None:
        await self._terminal.kill()

    def exit_code(self) -> int:
        return KILLED if self._terminal.exit_code is None else self._terminal.exit_code


class _WithPipes:
    """A program whose input comes by a named pipe, which somebody holds open until the input ends."""

    def __init__(self, stream: ExecStream, machine: ExternalComputer, pipe: str) -> None:
        self._stream = stream
        self._machine = machine
        self._pipe = pipe

    async def output(self) -> AsyncIterator[tuple[str, bytes]]:
        async for chunk in self._stream:
            yield chunk.stream, chunk.data

    async def write(self, data: bytes) -> None:
        await self._machine.exec(f"cat > {self._pipe}", stdin=data)

    async def close_input(self) -> None:
        there = f"until [ -s {self._pipe}.holder ]; do sleep 0.01; done"
        await self._machine.exec(f'{there}; kill "$(cat {self._pipe}.holder)"', timeout=10)

    async def resize(self, columns: int, rows: int) -> None:
        del columns, rows  # there is no terminal

    async def kill(self) -> None:
        await self._stream.kill()

    def exit_code(self) -> int:
        return KILLED if self._stream.exit_code is None else self._stream.exit_code


@asynccontextmanager
async def _started(machine: ExternalComputer, program: _Program) -> AsyncIterator[_Running]:
    if program.size is not None:
        machine.require(Capability.TERMINAL)
        columns, rows = program.size
        async with machine.terminal(columns=columns, rows=rows) as terminal:
            yield _InTerminal(terminal)
        return
    machine.require(Capability.EXEC_STREAM)
    pipe = f"/tmp/.simulated-{secrets.token_hex(8)}"  # noqa: S108 - on the simulated machine
    await machine.exec(f"mkfifo {pipe}")  # before anything may be written to it, which would make it a file
    held = f"sleep infinity > {pipe} & echo $! > {pipe}.holder"
    command = f"{held}\nexec {shlex.join(program.words)} < {pipe}"
    async with machine.exec_stream(command, timeout=86_400, cwd=program.cwd, env=program.env) as stream:
        try:
            yield _WithPipes(stream, machine, pipe)
        finally:
            with anyio.CancelScope(shield=True), anyio.move_on_after(5), suppress(DeskhandError):
                await machine.exec(f'kill "$(cat {pipe}.holder)" 2>/dev/null; rm -f {pipe} {pipe}.holder')


def _program(query: Mapping[str, str]) -> _Program:
    """Reads what is to be started.

    Raises:
        ApiError: If that is not to be understood.
    """
    if unknown := set(query) - PARAMETERS:
        raise ApiError(422, f"Unknown parameter: {', '.join(sorted(unknown))}")
    command = query.get("command")
    if not command:
        raise ApiError(422, "command is required")
    size = None
    if "rows" in query or "cols" in query:
        size = _size(_number(query.get("cols")), _number(query.get("rows")))
        if size is None:
            raise ApiError(422, f"rows and cols must be 1 to {MOST_CELLS}")
        if command not in {"bash", "sh", "/bin/bash", "/bin/sh"}:
            raise ApiError(422, "the simulated terminal runs a shell alone")
    args = tuple(query["args"].split(",")) if query.get("args") else ()
    return _Program((command, *args), query.get("cwd"), _environment(query.get("env")), size)


def _environment(text: str | None) -> Mapping[str, str]:
    try:
        env: JsonValue = json.loads(text) if text is not None else {}
    except ValueError:
        env = None
    if not isinstance(env, dict):
        raise ApiError(422, "env must be a JSON object")
    return {name: str(value) for name, value in env.items()}


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdecimal() and len(text) < 6 else None


def _size(columns: JsonValue, rows: JsonValue) -> tuple[int, int] | None:
    for value in (columns, rows):
        if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= MOST_CELLS:
            return None
    return (columns, rows) if isinstance(columns, int) and isinstance(rows, int) else None


def _first(errors: BaseExceptionGroup[_EndedError]) -> _EndedError:
    first: BaseException = errors
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return first if isinstance(first, _EndedError) else _EndedError(None)


async def _receive(socket: WebSocket) -> Json | None:
    """Returns the next message, None where it is no JSON object."""
    message = await socket.receive()
    if message["type"] == "websocket.disconnect":
        raise _EndedError(None)
    try:
        decoded: JsonValue = json.loads(message.get("text") or "")
    except ValueError:
        return None
    return decoded if isinstance(decoded, dict) else None


async def _send(socket: WebSocket, message: Json) -> None:
    from starlette.websockets import WebSocketDisconnect

    try:
        await socket.send_text(json.dumps(message))
    except (WebSocketDisconnect, RuntimeError) as error:
        raise _EndedError(None) from error


async def _close(socket: WebSocket, code: int) -> None:
    from starlette.websockets import WebSocketDisconnect

    with suppress(WebSocketDisconnect, RuntimeError):  # the client closed it at the same time
        await socket.close(code)
