"""What is kept open on a fake computer: running commands, kept shells, terminals."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Final

import anyio
import anyio.lowlevel
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from deskhand.errors import ComputerGoneError, ConflictError, DeskhandError, InvalidInputError
from deskhand.providers import ExecChunk, ExecResult, ExecStream, Shell, Terminal
from deskhand.testing._shell import Shell as ShellState
from deskhand.testing._shell import ShellExit, StreamName, Write

_CHUNKS: Final = 64
_PROMPT: Final = b"$ "
_LINE_LIMIT: Final = 65_536
_INTERRUPT, _END_OF_FILE = 0x03, 0x04
_ERASE: Final = frozenset({0x08, 0x7F})
_INTERRUPTED: Final = 130

Run = Callable[[Write], Awaitable[int | None]]


@asynccontextmanager
async def in_background(work: Callable[[], Coroutine[object, object, None]]) -> AsyncIterator[None]:
    """Run something beside the block and end it with the block."""
    tasks = anyio.create_task_group()
    await tasks.__aenter__()
    try:
        tasks.start_soon(work)
        yield
    finally:
        tasks.cancel_scope.cancel()
        # The work keeps its errors to itself; told of the block's own error, the group would wrap that for nothing.
        await tasks.__aexit__(None, None, None)


class FakeExecStream(ExecStream, AsyncIterator[ExecChunk]):
    """A running command: its output waits in a bounded buffer, and the command waits when that is full."""

    def __init__(self) -> None:
        sending, receiving = anyio.create_memory_object_stream[ExecChunk](_CHUNKS)
        self._send: MemoryObjectSendStream[ExecChunk] = sending
        self._receive: MemoryObjectReceiveStream[ExecChunk] = receiving
        self._exit_code: int | None = None
        self._error: DeskhandError | None = None
        self._scope = anyio.CancelScope()

    @property
    def exit_code(self) -> int | None:
        """The exit code once it has ended, else ``None``."""
        return self._exit_code

    def __aiter__(self) -> AsyncIterator[ExecChunk]:
        """Iterate over the output until the command has ended."""
        return self

    async def __anext__(self) -> ExecChunk:
        """Return the next piece of output."""
        try:
            return await self._receive.receive()
        except anyio.EndOfStream:
            if self._error is not None:
                raise self._error from None
            raise StopAsyncIteration from None

    async def kill(self) -> None:
        """End the command."""
        self._scope.cancel()
        await anyio.lowlevel.checkpoint()

    async def serve(self, run: Run) -> None:
        """Run the command to its end."""
        try:
            with self._scope, self._send:
                self._exit_code = await run(self._write)
        except DeskhandError as error:
            self._error = error

    def close(self) -> None:
        """Let go of what nobody has read."""
        self._send.close()
        self._receive.close()

    async def _write(self, stream: StreamName, data: bytes) -> None:
        try:
            await self._send.send(ExecChunk(stream, data))
        except anyio.BrokenResourceError:
            raise ComputerGoneError("the command was left") from None


class FakeShell(Shell):
    """A kept shell.

    Args:
        run: Runs one command with the timeout given.
    """

    def __init__(self, run: Callable[[str, float | None], Awaitable[ExecResult]]) -> None:
        self._run = run
        self.is_open = True

    async def run(self, command: str, *, timeout: float | None = None) -> ExecResult:
        """Run a command; a timed-out shell is restarted, which the result's ``error`` says.

        Raises:
            ConflictError: If the shell has been closed.
        """
        if not self.is_open:
            raise ConflictError("the shell is closed", hint="async with computer.shell() as shell")
        return await self._run(command, timeout)


class FakeTerminal(Terminal, AsyncIterator[bytes]):
    """A terminal that echoes what is typed and runs each line; no escape sequences, no line editing but erasing."""

    def __init__(self, state: ShellState) -> None:
        sending, receiving = anyio.create_memory_object_stream[bytes](_CHUNKS)
        self._output: MemoryObjectSendStream[bytes] = sending
        self._shown: MemoryObjectReceiveStream[bytes] = receiving
        typing, keyboard = anyio.create_memory_object_stream[bytes](_CHUNKS)
        self._typing: MemoryObjectSendStream[bytes] = typing
        self._keyboard: MemoryObjectReceiveStream[bytes] = keyboard
        self._state = state
        self._exit_code: int | None = None
        self._scope = anyio.CancelScope()
        self._command: anyio.CancelScope | None = None
        self._line = bytearray()

    @property
    def exit_code(self) -> int | None:
        """The shell's exit code once it has ended, else ``None``."""
        return self._exit_code

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Iterate over the output until the shell has ended."""
        return self

    async def __anext__(self) -> bytes:
        """Return what is shown next."""
        try:
            return await self._shown.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None

    async def send(self, data: bytes) -> None:
        """Send input, as typed; an interrupt (ctrl+c, byte 3) ends the command that runs.

        Raises:
            ConflictError: If the shell has ended.
        """
        if self._command is not None and _INTERRUPT in data:
            self._command.cancel()
            data = data.rpartition(bytes([_INTERRUPT]))[2]
        try:
            await self._typing.send(data)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            raise ConflictError("the terminal's shell has ended", hint="open another terminal") from None

    async def resize(self, columns: int, rows: int) -> None:
        """Change the size in characters.

        Raises:
            InvalidInputError: If it is not at least 1 by 1.
        """
        if columns < 1 or rows < 1:
            raise InvalidInputError(f"a terminal of {columns}x{rows} characters cannot be")
        self._state.columns, self._state.rows = columns, rows
        await anyio.lowlevel.checkpoint()

    async def kill(self) -> None:
        """End the shell."""
        self._scope.cancel()
        await anyio.lowlevel.checkpoint()

    async def serve(self) -> None:
        """Be the shell, until it ends."""
        with self._scope, self._output, self._keyboard:
            try:
                await self._output.send(_PROMPT)
                async for data in self._keyboard:
                    await self._type(data)
            except ShellExit as left:
                self._exit_code = left.code

    def close(self) -> None:
        """Let go of what nobody has read."""
        for stream in (self._output, self._shown, self._typing, self._keyboard):
            stream.close()

    async def _type(self, data: bytes) -> None:
        echo = bytearray()
        for byte in data:
            if byte in b"\r\n":
                await self._output.send(bytes(echo) + b"\r\n")
                echo.clear()
                await self._run()
                echo += _PROMPT
            elif byte == _INTERRUPT:
                self._line.clear()
                echo += b"^C\r\n" + _PROMPT
            elif byte == _END_OF_FILE and not self._line:
                raise ShellExit(self._state.status)
            elif byte in _ERASE:
                if self._line:
                    self._line.pop()
                    echo += b"\b \b"
            elif len(self._line) < _LINE_LIMIT:
                self._line.append(byte)
                echo.append(byte)
        if echo:
            await self._output.send(bytes(echo))

    async def _run(self) -> None:
        line, self._line = self._line.decode(errors="replace"), bytearray()
        with anyio.CancelScope() as self._command:
            await self._state.run(line, b"", self._write)
        if self._command.cancelled_caught:
            self._state.status = _INTERRUPTED
            await self._output.send(b"^C\r\n")
        self._command = None

    async def _write(self, stream: StreamName, data: bytes) -> None:
        del stream
        await self._output.send(data.replace(b"\n", b"\r\n"))
