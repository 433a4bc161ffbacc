"""The WebSockets: a computer's, which starts programs in a terminal or with pipes, and a sandbox's, a terminal."""

from __future__ import annotations

import codecs
import json
import secrets
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from typing import TYPE_CHECKING, Protocol

import anyio
import anyio.abc
from pydantic import JsonValue

from deskhand.errors import DeskhandError
from deskhand.testing.simulators.wire import ApiError, Json

from .account import Account, Caller
from .computer import SimulatedComputer
from .dialect import MiosaDialect
from .programs import Program, Running, program_of, size_of, started
from .sandbox import SimulatedSandbox
from .wire import error_body

if TYPE_CHECKING:
    from starlette.websockets import WebSocket

__all__ = ["Sockets"]

NORMAL, STOPPING, UNSUPPORTED, FAILED = 1000, 1001, 1003, 1011
PROTOCOL = "miosa-pty-v1"
USUAL_SIZE = (80, 24)


class _EndedError(Exception):
    """Raised when a socket is over: with a code to close it by, or None where the client has left."""

    def __init__(self, code: int | None) -> None:
        super().__init__(code)
        self.code = code


class _Speech(Protocol):
    """What is said over a socket."""

    async def show(self, socket: WebSocket, name: str, data: bytes, *, is_last: bool = False) -> None:
        """Shows a stream's output; ``is_last`` where nothing more comes of it."""

    async def tell_end(self, socket: WebSocket, code: int) -> None:
        """Tells how the program ended."""

    async def take(self, socket: WebSocket, running: Running, message: Json | None) -> None:
        """Does what the client says."""


class Sockets:
    """The routes ``/computers/{id}/exec/stream`` and ``/sandboxes/{id}/terminal/stream``.

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
        """Runs a program on a computer for as long as the socket is open."""
        try:
            computer = self._account.computer(self._caller(socket), path["id"])
            machine, program = computer.on(), program_of(socket.query_params)
        except ApiError as error:
            await self._deny(socket, error)
            return
        await socket.accept()
        await self._serve(socket, computer, started(machine, program), _ForPrograms())

    async def run_terminal(self, socket: WebSocket, path: Mapping[str, str]) -> None:
        """Runs a shell in a sandbox for as long as the socket is open."""
        try:
            sandbox = self._account.sandbox(self._caller(socket), path["id"])
            _check_parameters(socket)
            machine = sandbox.on()
        except ApiError as error:
            await self._deny(socket, error)
            return
        offered = socket.scope.get("subprotocols", [])
        await socket.accept(PROTOCOL if PROTOCOL in offered else None)
        shell = Program(("bash",), None, {}, USUAL_SIZE)
        await self._serve(socket, sandbox, started(machine, shell), _ForTerminals(self._dialect))

    def _caller(self, socket: WebSocket) -> Caller:
        headers = socket.headers
        return self._account.authenticate(headers.get("authorization", ""), headers.get("x-miosa-tenant", ""))

    async def _serve(
        self,
        socket: WebSocket,
        computer: SimulatedComputer | SimulatedSandbox,
        beginning: AbstractAsyncContextManager[Running],
        speech: _Speech,
    ) -> None:
        code: int | None
        try:
            async with beginning as running:
                code = await self._until_over(socket, computer, running, speech)
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

    async def _until_over(
        self, socket: WebSocket, computer: SimulatedComputer | SimulatedSandbox, running: Running, speech: _Speech
    ) -> int | None:
        ended: list[int | None] = []
        power = computer.hardware.power

        async def watch() -> None:
            await power.leave.wait()
            raise _EndedError(STOPPING)

        async def show() -> None:
            await self._show(socket, running, speech)
            raise _EndedError(NORMAL)

        async def listen() -> None:
            while True:
                message = await _receive(socket)
                computer.touch()
                with suppress(DeskhandError):  # the program has just ended, which is told by itself
                    await speech.take(socket, running, message)

        try:
            async with anyio.create_task_group() as group:
                for do in (watch, show, listen):
                    group.start_soon(do)
        except* _EndedError as errors:
            ended = [_first(errors).code]
        return ended[0] if ended else None

    async def _show(self, socket: WebSocket, running: Running, speech: _Speech) -> None:
        try:
            async for name, data in running.output():
                if not self._silent():
                    await speech.show(socket, name, data)
        except DeskhandError as error:
            await _send(socket, {"type": "error", "message": error.message})
            raise _EndedError(FAILED) from error
        for name in ("stdout", "stderr"):
            await speech.show(socket, name, b"", is_last=True)
        await speech.tell_end(socket, running.exit_code())


class _Texts:
    """Makes text of each stream's bytes."""

    def __init__(self) -> None:
        self._decoders = {
            name: codecs.getincrementaldecoder("utf-8")(errors="replace") for name in ("stdout", "stderr")
        }

    def of(self, name: str, data: bytes, *, is_last: bool) -> str:
        """Returns the characters that are whole."""
        return self._decoders[name].decode(data, final=is_last)


class _ForPrograms:
    """What is said of a program."""

    def __init__(self) -> None:
        self._texts = _Texts()

    async def show(self, socket: WebSocket, name: str, data: bytes, *, is_last: bool = False) -> None:
        if text := self._texts.of(name, data, is_last=is_last):
            await _send(socket, {"type": name, "data": text})

    async def tell_end(self, socket: WebSocket, code: int) -> None:
        await _send(socket, {"type": "exit", "code": code})

    async def take(self, socket: WebSocket, running: Running, message: Json | None) -> None:
        kind = message.get("type") if message is not None else None
        data = message.get("data") if message is not None else None
        if kind == "stdin" and isinstance(data, str):
            await running.write(data.encode())
        elif kind == "stdin_close":
            await running.close_input()
        elif message is not None and kind == "resize" and (size := size_of(message.get("cols"), message.get("rows"))):
            await running.resize(*size)
        elif message is not None and kind == "signal" and message.get("signal") == "SIGKILL":
            await running.kill()
        else:
            await _send(socket, {"type": "error", "message": f"Invalid message of type {kind}"})


class _ForTerminals:
    """What is said of a sandbox's terminal, as the dialect has it."""

    def __init__(self, dialect: MiosaDialect) -> None:
        self._dialect = dialect
        self._texts = _Texts()

    async def show(self, socket: WebSocket, name: str, data: bytes, *, is_last: bool = False) -> None:
        if self._dialect.terminal == "bytes":
            await _send_as_it_is(socket, data)
            return
        if not (text := self._texts.of(name, data, is_last=is_last)):
            return
        if self._dialect.terminal == "text":
            await _send_as_it_is(socket, text)
        else:
            await _send(socket, {"type": "output", "data": text})

    async def tell_end(self, socket: WebSocket, code: int) -> None:
        if self._dialect.terminal == "frames":
            await _send(socket, {"type": "exit", "code": code})

    async def take(self, socket: WebSocket, running: Running, message: Json | None) -> None:
        kind = message.get("type") if message is not None else None
        data = message.get("data") if message is not None else None
        if kind == "input" and isinstance(data, str):
            await running.write(data.encode())
        elif message is not None and kind == "resize" and (size := size_of(message.get("cols"), message.get("rows"))):
            await running.resize(*size)
        else:
            raise _EndedError(UNSUPPORTED)


def _check_parameters(socket: WebSocket) -> None:
    if socket.query_params:
        raise ApiError(422, f"Unknown parameter: {', '.join(sorted(socket.query_params))}")


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
    await _send_as_it_is(socket, json.dumps(message))


async def _send_as_it_is(socket: WebSocket, data: str | bytes) -> None:
    from starlette.websockets import WebSocketDisconnect

    try:
        if isinstance(data, str):
            await socket.send_text(data)
        elif data:
            await socket.send_bytes(data)
    except (WebSocketDisconnect, RuntimeError) as error:
        raise _EndedError(None) from error


async def _close(socket: WebSocket, code: int) -> None:
    from starlette.websockets import WebSocketDisconnect

    with suppress(WebSocketDisconnect, RuntimeError):  # the client closed it at the same time
        await socket.close(code)
