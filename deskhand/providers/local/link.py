"""The attached side's connection to the owner of a local computer: calls, and what calls open."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import anyio
import anyio.to_thread
from anyio.abc import TaskStatus
from pydantic import JsonValue
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode
from websockets.protocol import State

from deskhand.errors import (
    ComputerGoneError,
    ConnectionLostError,
    DeadlineExceededError,
    DeskhandError,
    OutcomeUnknownError,
    ProtocolError,
)
from deskhand.providers.contract import Capability, ComputerInfo
from deskhand.providers.local import wire
from deskhand.providers.local.companion import companion
from deskhand.providers.local.connect import CLOSE_DEADLINE, connect, hello_of
from deskhand.providers.local.operations import MARGIN, Arguments, Nothing
from deskhand.providers.local.register import is_live

__all__ = ["Channel", "Link", "open_link"]

WITHDRAW_DEADLINE = 10.0
"""Seconds that the owner gets to end what a cancelled call began."""

GONE_LOOKS = 20
GONE_DEADLINE = 0.5
"""Seconds after the end of a connection in which it shows whether the owner has ended too."""


@dataclass(eq=False)
class _Pending:
    """A call that is not answered yet, or what it opened."""

    number: int
    what: str
    pure: bool
    asked: bool = False
    answered: anyio.Event = field(default_factory=anyio.Event)
    answer: wire.Result | wire.Failed | wire.Cancelled | None = None
    opened: anyio.Event = field(default_factory=anyio.Event)
    payload: bytearray = field(default_factory=bytearray)
    channel: Channel | None = None

    def settle(self, answer: wire.Result | wire.Failed | wire.Cancelled | None) -> None:
        """Wake whoever waits; ``None`` means that there will be no answer."""
        self.answer = answer
        self.answered.set()
        self.opened.set()
        if self.channel is not None:
            self.channel.wake()


class Link:
    """A connection to a computer's owner.

    Attributes:
        info: What the owner last told of the computer.
        capabilities: What the computer can do.
    """

    def __init__(self, socket: ClientConnection, folder: Path, hello: wire.Hello) -> None:
        self.info: ComputerInfo = hello.info
        self.capabilities: frozenset[Capability] = hello.capabilities
        self.ended: anyio.Event = anyio.Event()
        self._socket = socket
        self._folder = folder
        self._pending: dict[int, _Pending] = {}
        self._numbers = itertools.count(1)
        self._lost: DeskhandError | None = None

    async def call(
        self,
        operation: str,
        arguments: Arguments | None = None,
        *,
        payload: bytes | None = None,
        pure: bool = False,
        on: int | None = None,
    ) -> JsonValue | bytes:
        """Ask for an operation and wait for its answer.

        Args:
            operation: Its name.
            arguments: Its arguments.
            payload: Bytes that go along.
            pure: Whether it leaves everything as it is.
            on: The open call it concerns.

        Raises:
            ComputerGoneError: If the owner has let go of the computer or has ended.
            ConnectionLostError: If the connection broke, where nothing can have happened.
            OutcomeUnknownError: If the connection ended before the answer to what has an effect.
            DeadlineExceededError: If there is no answer in time.
        """
        arguments = arguments or Nothing()
        pending = await self._enter(operation, pure)
        try:
            deadline = arguments.duration + MARGIN
            with anyio.move_on_after(deadline):
                await self._ask(pending, operation, arguments, payload, on)
                await pending.answered.wait()
                return self._value(pending)
            await self._withdraw(pending)
            raise DeadlineExceededError(
                f"the computer's owner did not answer {operation} within {deadline:g} s",
                effect="no" if pure else "unknown",
                provider="local",
            )
        except anyio.get_cancelled_exc_class():
            await self._withdraw(pending)
            raise
        finally:
            del self._pending[pending.number]

    @asynccontextmanager
    async def open(
        self, operation: str, arguments: Arguments | None = None, *, payload: bytes | None = None
    ) -> AsyncIterator[Channel]:
        """Open something that stays open for the block; leaving it waits until the owner has closed it.

        Raises:
            ComputerGoneError: If the owner has let go of the computer or has ended.
            OutcomeUnknownError: If the connection ended before the answer.
            DeadlineExceededError: If it is not open in time.
        """
        arguments = arguments or Nothing()
        pending = await self._enter(operation, pure=False)
        pending.channel = Channel(self, pending)
        try:
            with anyio.move_on_after(MARGIN) as opening:
                await self._ask(pending, operation, arguments, payload, None)
                await pending.opened.wait()
                if pending.answered.is_set():
                    self._value(pending)
            if opening.cancelled_caught:
                raise DeadlineExceededError(
                    f"the computer's owner did not open the {operation} within {MARGIN:g} s", provider="local"
                )
            yield pending.channel
        finally:
            try:
                await self._withdraw(pending)
            finally:
                del self._pending[pending.number]

    async def credit(self, number: int, size: int) -> None:
        """Let the owner send so many more bytes."""
        await self._send_frame(wire.encode(wire.Credit(id=number, size=size)))

    async def _enter(self, operation: str, pure: bool) -> _Pending:
        if self._socket.state is not State.OPEN:
            await self.ended.wait()
        if self._lost is not None:
            raise ComputerGoneError(
                self._lost.message, hint="deskhand ls lists the computers that are there", effect="no", provider="local"
            )
        number = next(self._numbers)
        pending = self._pending[number] = _Pending(number, operation, pure)
        return pending

    async def _ask(
        self, pending: _Pending, operation: str, arguments: Arguments, payload: bytes | None, on: int | None
    ) -> None:
        message = wire.Call(
            id=pending.number,
            operation=operation,
            arguments=arguments.model_dump(mode="json", exclude_none=True),
            payload=None if payload is None else len(payload),
            on=on,
        )
        text = wire.encode(message)
        pending.asked = True
        await self._send_frame(text)
        for piece in wire.pieces(payload or b""):
            if pending.answered.is_set():
                return  # refused before all of it was sent
            await self._send_frame(wire.pack(pending.number, wire.PAYLOAD, piece))

    async def _withdraw(self, pending: _Pending) -> None:
        """Have the owner end what the call began, and wait until it has."""
        if not pending.asked or pending.answered.is_set() or self.ended.is_set():
            return
        with anyio.CancelScope(shield=True), anyio.move_on_after(WITHDRAW_DEADLINE):
            # The frame is written before this first waits, so that no second cancellation can come in between.
            await self._send_frame(wire.encode(wire.Cancel(id=pending.number)))
            await pending.answered.wait()

    def _value(self, pending: _Pending) -> JsonValue | bytes:
        """Return what the owner answered, or raise it."""
        answer = pending.answer
        if isinstance(answer, wire.Failed):
            raise answer.failure.error()
        if isinstance(answer, wire.Result):
            if answer.payload is None:
                return answer.value
            if answer.payload == len(pending.payload):
                return bytes(pending.payload)
            raise ProtocolError(f"of {answer.payload} bytes came {len(pending.payload)}", provider="local")
        raise self.lost(pending)

    def lost(self, pending: _Pending) -> DeskhandError:
        """Return what it means for a call that the connection has ended."""
        lost = self._lost or ConnectionLostError(f"the call of {pending.what} was ended", provider="local")
        if pending.pure:
            return type(lost)(lost.message, hint=lost.hint, effect="no", provider="local")
        return OutcomeUnknownError(
            f"{lost.message}; whether {pending.what} took effect before is not known",
            hint="look at the computer, if it is still there, before doing it again",
            provider="local",
        )

    async def _send_frame(self, frame: str | bytes) -> None:
        try:
            await self._socket.send(frame)
        except ConnectionClosed:
            await self.ended.wait()  # the reader finds out why, and answers for every call

    async def read(self) -> None:
        """Take what the owner sends until the connection ends, then answer for it."""
        try:
            while True:
                await self._take(await self._socket.recv())
        except (ConnectionClosed, ProtocolError) as error:
            self._lost = await self._why(error)
        finally:
            if self._lost is None:
                self._lost = ComputerGoneError(f"this process has let go of the computer {self.info.id}")
            self.ended.set()
            for pending in self._pending.values():
                if not pending.answered.is_set():
                    pending.settle(None)

    async def _why(self, error: ConnectionClosed | ProtocolError) -> DeskhandError:
        """Tell whether the computer has gone or only the connection to it."""
        for _ in range(GONE_LOOKS):
            if not await anyio.to_thread.run_sync(is_live, self._folder, self.info.id):
                return ComputerGoneError(f"the computer {self.info.id} is gone: its owner has ended", provider="local")
            await anyio.sleep(GONE_DEADLINE / GONE_LOOKS)
        if isinstance(error, ProtocolError):
            return error
        return ConnectionLostError(
            f"the connection to the owner of the computer {self.info.id} was lost",
            hint=f"attach again: local:{self.info.id}",
            provider="local",
        )

    async def _take(self, frame: str | bytes) -> None:
        if isinstance(frame, bytes):
            number, tag, data = wire.unpack(frame)
            found = self._pending.get(number)
            if found is None:
                return  # given up while this was under way
            if found.channel is not None:
                found.channel.put(tag, bytes(data))
            elif len(found.payload) + len(data) > wire.LONGEST_PAYLOAD:
                raise ProtocolError(f"the owner sent more than {wire.LONGEST_PAYLOAD} bytes", provider="local")
            else:
                found.payload += data
            return
        message = wire.decode_from_owner(frame)
        if isinstance(message, wire.Hello):
            raise ProtocolError("the owner said hello twice", provider="local")
        if isinstance(message, wire.Result) and message.info is not None:
            self.info = message.info
        found = self._pending.get(message.id)
        if found is None:
            return
        if isinstance(message, wire.Opened):
            found.opened.set()
        elif isinstance(message, wire.Ended):
            if found.channel is not None:
                found.channel.end(message.exit_code)
        else:
            found.settle(message)


class Channel:
    """What a call has opened: its output as it comes, and further calls on it."""

    def __init__(self, link: Link, pending: _Pending) -> None:
        self.exit_code: int | None = None
        self._link = link
        self._pending = pending
        self._chunks: deque[tuple[int, bytes]] = deque()
        self._waiting = 0
        self._read = 0
        self._ended = False
        self._changed = anyio.Event()

    def put(self, tag: int, data: bytes) -> None:
        """Keep a chunk until it is read.

        Raises:
            ProtocolError: If it is more than the owner may send.
        """
        self._waiting += len(data)
        if self._waiting > wire.WINDOW + wire.CHUNK:
            raise ProtocolError("the owner sent more output than it was allowed to", provider="local")
        self._chunks.append((tag, data))
        self.wake()

    def end(self, exit_code: int | None) -> None:
        """Take note that the output is complete."""
        self.exit_code, self._ended = exit_code, True
        self.wake()

    def wake(self) -> None:
        """Have whoever waits for output look again."""
        self._changed.set()

    async def receive(self) -> tuple[int, bytes] | None:
        """Return the next chunk of output, or ``None`` at its end.

        Raises:
            DeskhandError: What ended it, if it did not end by itself.
        """
        while not self._chunks:
            if self._ended:
                return None
            if self._pending.answered.is_set():
                self._fail()
            self._changed = anyio.Event()
            await self._changed.wait()
        tag, data = self._chunks.popleft()
        self._waiting -= len(data)
        self._read += len(data)
        if self._read >= wire.WINDOW // 2 and not self._ended:
            size, self._read = self._read, 0
            await self._link.credit(self._pending.number, min(size, wire.WINDOW))
        return tag, data

    async def call(
        self, operation: str, arguments: Arguments | None = None, *, payload: bytes | None = None
    ) -> JsonValue | bytes:
        """Ask for something on what is open."""
        return await self._link.call(operation, arguments, payload=payload, on=self._pending.number)

    def _fail(self) -> NoReturn:
        answer = self._pending.answer
        if isinstance(answer, wire.Failed):
            raise answer.failure.error()
        raise self._link.lost(self._pending)


@asynccontextmanager
async def open_link(folder: Path, computer_id: str) -> AsyncIterator[Link]:
    """Connect to a computer's owner for the block.

    Raises:
        ComputerGoneError: If nobody answers there.
        ProtocolError: If whoever answers does not speak this protocol.
    """

    async def hold(*, task_status: TaskStatus[Link]) -> None:
        await _hold(folder, computer_id, task_status)

    async with companion(hold) as link:
        yield link


async def _hold(folder: Path, computer_id: str, task_status: TaskStatus[Link]) -> None:
    """Own the connection: open it, read it, close it."""
    socket = await connect(folder, computer_id)
    try:
        link = Link(socket, folder, await hello_of(socket, computer_id))
        task_status.started(link)
        await link.read()
        await anyio.sleep_forever()  # the block finds out by itself that the connection has ended
    finally:
        with anyio.CancelScope(shield=True), anyio.move_on_after(CLOSE_DEADLINE + 1):
            await socket.close(CloseCode.GOING_AWAY)
