"""The owner's side of a shared computer: does what one attached process asks, and cleans up when that is gone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import anyio
import anyio.abc
from anyio.lowlevel import checkpoint_if_cancelled
from pydantic import BaseModel, ValidationError
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode

from deskhand.errors import (
    ConflictError,
    InvalidInputError,
    OverloadedError,
    PayloadTooLargeError,
    ProtocolError,
    UnsupportedError,
)
from deskhand.providers.contract import ExecStream, ExternalComputer, Terminal
from deskhand.providers.local import wire
from deskhand.providers.local.operations import OPENING, OPERATIONS, Arguments, Opening, Operation

__all__ = ["serve"]

MOST_UPLOADED = 2 * wire.LONGEST_PAYLOAD
"""Bytes that the open calls of one connection may have brought along."""


@dataclass(eq=False)
class _Call:
    """A call that is open: being asked, being done, or holding something open."""

    message: wire.Call
    uploaded: bytearray | None
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    credit: int = wire.WINDOW
    granted: anyio.Event = field(default_factory=anyio.Event)
    handle: object = None
    inner: Mapping[str, Operation[Any]] | None = None
    begun: bool = False

    @property
    def is_complete(self) -> bool:
        """Whether all of its payload is here."""
        return self.uploaded is None or len(self.uploaded) == self.message.payload

    @property
    def size(self) -> int:
        """Bytes that it brings along."""
        return self.message.payload or 0


async def serve(socket: ServerConnection, computer: ExternalComputer) -> None:
    """Do what one attached process asks until its connection ends; what it has open then is closed.

    Args:
        socket: The connection.
        computer: What it may use.
    """
    try:
        await _Guest(socket, computer).attend()
    except* ConnectionClosed:
        pass  # it has left: there is nobody to tell
    except* ProtocolError:
        await socket.close(CloseCode.PROTOCOL_ERROR, "no message of this protocol")


class _Guest:
    """One attached process."""

    def __init__(self, socket: ServerConnection, computer: ExternalComputer) -> None:
        self._socket = socket
        self._computer = computer
        self._told = computer.info
        self._calls: dict[int, _Call] = {}
        self._uploaded = 0

    async def attend(self) -> None:
        """Take messages until the connection ends."""
        capabilities = self._computer.capabilities
        await self._send(wire.Hello(version=wire.VERSION, info=self._told, capabilities=capabilities))
        async with anyio.create_task_group() as tasks:
            try:
                while True:
                    await self._take(await self._socket.recv(), tasks)
            finally:
                tasks.cancel_scope.cancel()

    async def _take(self, frame: str | bytes, tasks: anyio.abc.TaskGroup) -> None:
        if isinstance(frame, bytes):
            call_id, _, data = wire.unpack(frame)
            call = self._calls.get(call_id)
            if call is None or call.begun or call.uploaded is None:
                return  # it was refused or cancelled while this was under way
            call.uploaded += data
            if len(call.uploaded) > call.size:
                raise ProtocolError(f"call {call_id} brings more than the {call.size} bytes that it announced")
            if call.is_complete:
                self._start(call, tasks)
            return
        message = wire.decode_to_owner(frame)
        call = self._calls.get(message.id)
        if isinstance(message, wire.Call):
            if call is not None:
                raise ProtocolError(f"there are two calls {message.id}")
            await self._begin(message, tasks)
        elif call is not None and isinstance(message, wire.Credit):
            call.credit = min(call.credit + message.size, wire.WINDOW)
            call.granted.set()
        elif call is not None:
            call.scope.cancel()
            self._start(call, tasks)  # where it had not begun, this only says that it never will

    def _start(self, call: _Call, tasks: anyio.abc.TaskGroup) -> None:
        if not call.begun:
            call.begun = True
            tasks.start_soon(self._answer, call)

    async def _begin(self, message: wire.Call, tasks: anyio.abc.TaskGroup) -> None:
        size = message.payload or 0
        if len(self._calls) >= wire.MOST_CALLS:
            refused: OverloadedError | PayloadTooLargeError = OverloadedError(
                f"{wire.MOST_CALLS} calls are open already", hint="wait for some of them", provider="local"
            )
        elif size > wire.LONGEST_PAYLOAD:
            refused = PayloadTooLargeError(
                f"{size} bytes are more than the {wire.LONGEST_PAYLOAD} that may be sent at once", provider="local"
            )
        elif self._uploaded + size > MOST_UPLOADED:
            refused = OverloadedError(
                f"{self._uploaded} bytes are being sent already", hint="send one large file at a time", provider="local"
            )
        else:
            call = self._calls[message.id] = _Call(message, None if message.payload is None else bytearray())
            self._uploaded += size
            if call.is_complete:
                self._start(call, tasks)
            return
        await self._send(wire.Failed(id=message.id, failure=wire.Failure.of(refused)))

    async def _answer(self, call: _Call) -> None:
        """Do what a call asks, and answer it."""
        number = call.message.id
        answer: BaseModel = wire.Cancelled(id=number)
        try:
            with call.scope:
                try:
                    answer = await self._do(call)
                except Exception as error:  # (whatever an operation raises is its caller's, never the owner's)
                    answer = wire.Failed(id=number, failure=wire.Failure.of(error))
        finally:
            del self._calls[number]
            self._uploaded -= call.size
        await self._send(answer)

    async def _do(self, call: _Call) -> BaseModel:
        message = call.message
        await checkpoint_if_cancelled()
        target: object = self._computer
        operations: Mapping[str, Operation[Any]] = OPERATIONS
        if message.on is not None:
            opened = self._calls.get(message.on)
            if opened is None or opened.inner is None:
                raise ConflictError("it is closed already", provider="local")
            target, operations = opened.handle, opened.inner
        elif message.operation in OPENING:
            return await self._hold_open(call, OPENING[message.operation])
        operation = operations.get(message.operation)
        if operation is None:
            raise UnsupportedError(f"nothing here is called {message.operation!r}", provider="local")
        arguments = _arguments(operation.arguments, message)
        value = await operation.perform(target, arguments, _payload(call))
        info = self._computer.info
        changed = info if info != self._told else None
        self._told = info
        if not isinstance(value, bytes):
            return wire.Result(id=message.id, value=value, info=changed)
        if len(value) > wire.LONGEST_PAYLOAD:
            raise PayloadTooLargeError(f"{len(value)} bytes are more than can be sent", effect="yes", provider="local")
        for piece in wire.pieces(value):
            await self._socket.send(wire.pack(message.id, wire.PAYLOAD, piece))
        return wire.Result(id=message.id, payload=len(value), info=changed)

    async def _hold_open(self, call: _Call, opening: Opening[Any]) -> BaseModel:
        """Open something and pass its output on, until the call is cancelled."""
        number = call.message.id
        arguments = _arguments(opening.arguments, call.message)
        async with opening.open(self._computer, arguments, _payload(call)) as handle:
            call.handle, call.inner = handle, opening.inner
            await self._send(wire.Opened(id=number))
            if isinstance(handle, ExecStream):
                async for chunk in handle:
                    await self._pass_on(call, wire.STDOUT if chunk.stream == "stdout" else wire.STDERR, chunk.data)
            elif isinstance(handle, Terminal):
                async for data in handle:
                    await self._pass_on(call, wire.STDOUT, data)
            if isinstance(handle, ExecStream | Terminal):
                await self._send(wire.Ended(id=number, exit_code=handle.exit_code))
            await anyio.sleep_forever()
        return wire.Cancelled(id=number)

    async def _pass_on(self, call: _Call, tag: int, data: bytes) -> None:
        """Send output, no faster than it is read."""
        for piece in wire.pieces(data):
            while call.credit <= 0:
                call.granted = anyio.Event()
                await call.granted.wait()
            call.credit -= len(piece)
            await self._socket.send(wire.pack(call.message.id, tag, piece))

    async def _send(self, message: BaseModel) -> None:
        try:
            text = wire.encode(message)
        except PayloadTooLargeError as error:
            assert isinstance(message, wire.Result)  # noqa: S101 - nothing else that is said here can be long
            done = PayloadTooLargeError(error.message, hint=error.hint, effect="yes")
            text = wire.encode(wire.Failed(id=message.id, failure=wire.Failure.of(done)))
        await self._socket.send(text)


def _arguments(model: type[Arguments], message: wire.Call) -> Arguments:
    try:
        return model.model_validate(message.arguments)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InvalidInputError(f"{message.operation}: {where}: {first['msg']}", provider="local") from error


def _payload(call: _Call) -> bytes | None:
    return None if call.uploaded is None else bytes(call.uploaded)
