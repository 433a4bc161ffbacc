"""A command whose output is followed: a session of its own, its log as it grows, its exit code when it has ended.

The log is a socket with both streams in one, each told by three bytes that come before it.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import anyio

from deskhand.errors import (
    ConnectionLostError,
    DeadlineExceededError,
    DeskhandError,
    FileMissingError,
    NotFoundError,
    ProtocolError,
    UnsupportedError,
)
from deskhand.providers.contract import ExecChunk, ExecStream
from deskhand.providers.daytona.api import NAME, OPERATIONS, DaytonaApi
from deskhand.providers.daytona.commands import in_bash
from deskhand.providers.daytona.terminal import open_socket
from deskhand.providers.execution import timed_out
from deskhand.providers.http.sockets import CLOSE
from deskhand.providers.shell_commands import Marked, ShellCommands

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

__all__ = ["Demultiplexer", "follow"]

_StreamName: TypeAlias = Literal["stdout", "stderr"]

_MARKS: Final[dict[bytes, _StreamName]] = {b"\x01\x01\x01": "stdout", b"\x02\x02\x02": "stderr"}
_LENGTH: Final = 3
_SILENCE: Final = 1.0
"""Seconds without output after which the command is asked for; old daemons do not close the log at its end."""
_PATIENCE: Final = 5.0
"""Seconds that beginning a command may take beyond what the command may, and at most `_LONGEST`."""
_LONGEST: Final = 30.0
_CODE_TRIES: Final = 20
_CODE_PAUSE: Final = 0.1


class Demultiplexer:
    """Takes two streams apart that came as one; a mark may be cut anywhere."""

    def __init__(self) -> None:
        self._stream: _StreamName = "stdout"
        self._rest = b""

    def take(self, data: bytes, *, is_last: bool = False) -> list[ExecChunk]:
        """Return what is known of a piece; its end may wait for the next."""
        data, self._rest = self._rest + data, b""
        found: list[ExecChunk] = []
        while data:
            at, mark = min(((data.find(mark), mark) for mark in _MARKS if mark in data), default=(-1, b""))
            if at < 0:
                cut = len(data) if is_last else len(data) - _begun(data)
                self._rest, data = data[cut:], data[:cut]
                self._add(found, data)
                break
            self._add(found, data[:at])
            self._stream, data = _MARKS[mark], data[at + _LENGTH :]
        return found

    def _add(self, found: list[ExecChunk], data: bytes) -> None:
        if not data:
            return
        if found and found[-1].stream == self._stream:
            found[-1] = ExecChunk(self._stream, found[-1].data + data)
        else:
            found.append(ExecChunk(self._stream, data))


def _begun(data: bytes) -> int:
    """Return how many bytes at the end may be the beginning of a mark."""
    return next((n for n in (2, 1) if any(data.endswith(mark[:n]) for mark in _MARKS)), 0)


class _Following(ExecStream):
    """A command in a session of its own."""

    def __init__(self, api: DaytonaApi, computer_id: str, route: str, socket: ClientConnection) -> None:
        self._api = api
        self._computer_id = computer_id
        self._route = route
        self._socket = socket
        self._code: int | None = None
        self._is_over = False
        self._apart = Demultiplexer()
        self.marked: Marked | None = None
        self.commands: ShellCommands | None = None
        self.ends = 0.0
        self.seconds = 0.0

    @property
    def exit_code(self) -> int | None:
        """The exit code once it has ended by itself."""
        return self._code

    async def __aiter__(self) -> AsyncIterator[ExecChunk]:
        """Iterate over the output until the command has ended."""
        while not self._is_over:
            for chunk in await self._next():
                yield chunk

    async def _next(self) -> list[ExecChunk]:
        from websockets.exceptions import ConnectionClosed

        left = self.ends - anyio.current_time()
        if left <= 0:
            self._is_over = True
            await self.kill()
            raise DeadlineExceededError(f"the command {timed_out(self.seconds)}", effect="yes", provider=NAME)
        try:
            with anyio.move_on_after(min(left, _SILENCE)):
                frame = await self._socket.recv()
                return self._apart.take(frame if isinstance(frame, bytes) else frame.encode(errors="surrogatepass"))
        except ConnectionClosed as closed:
            received = closed.rcvd
            if received is None or received.code not in {1000, 1005}:
                self._is_over = True
                raise ConnectionLostError(
                    "the connection to the command's output broke; the command may have gone on",
                    effect="unknown",
                    provider=NAME,
                ) from closed
            return await self._finish()
        if left > _SILENCE and await self._asked() is not None:
            return await self._drained()
        return []

    async def _drained(self) -> list[ExecChunk]:
        """Return what is left in the socket once the command has ended."""
        from websockets.exceptions import ConnectionClosed

        found: list[ExecChunk] = []
        with suppress(ConnectionClosed), anyio.move_on_after(_SILENCE / 2):
            while True:
                frame = await self._socket.recv()
                found += self._apart.take(frame if isinstance(frame, bytes) else frame.encode(errors="surrogatepass"))
        return [*found, *await self._finish()]

    async def _finish(self) -> list[ExecChunk]:
        """Find out how it ended; the log may end a moment before the code is written."""
        self._is_over = True
        for _ in range(_CODE_TRIES):
            code = await self._asked()
            if code is not None:
                self._code = code
                return self._apart.take(b"", is_last=True)
            await anyio.sleep(_CODE_PAUSE)
        raise ProtocolError("daytona does not tell how the command ended", effect="yes", provider=NAME)

    async def _asked(self) -> int | None:
        try:
            answer = await self._api.act("tell how a command goes", self._computer_id, self._route)
        except UnsupportedError as error:  # it says so of the question, not of the command, which may have run
            raise ProtocolError(error.message, effect="unknown", provider=NAME, request_id=error.request_id) from error
        code = answer.get("exitCode")
        return code if isinstance(code, int) and not isinstance(code, bool) else None

    async def kill(self) -> None:
        """End the command and everything it started."""
        if self.commands is not None and self.marked is not None:
            await self.commands.kill(self.marked)


@asynccontextmanager
async def follow(
    api: DaytonaApi, commands: ShellCommands, computer_id: str, marked: Marked, *, cwd: str | None, seconds: float
) -> AsyncIterator[ExecStream]:
    """Begin a command and follow it; leaving the block ends it.

    Args:
        api: The API.
        commands: Runs commands on the computer.
        computer_id: Which computer.
        marked: The command.
        cwd: The folder that it was given, as errors say it.
        seconds: What it may take.
    """
    session, patience = f"deskhand-{secrets.token_hex(8)}", min(_LONGEST, seconds + _PATIENCE)
    socket: ClientConnection | None = None

    async def tidy() -> None:
        await commands.kill(marked)
        url = await api.toolbox(computer_id, f"process/session/{session}")
        with suppress(DeskhandError):  # it is not there, or nobody can reach it
            await api.http.ask(OPERATIONS["end a session"], url, is_urgent=True)

    url = await api.toolbox(computer_id, "process/session")
    try:
        try:
            # Some answer with nothing.
            await api.http.ask(OPERATIONS["open a session"], url, {"sessionId": session}, deadline=patience)
        except NotFoundError as error:
            raise await api.missing(error, "open a session", computer_id) from error
        ends = anyio.current_time() + seconds
        begun = await api.act(
            "begin a command",
            computer_id,
            f"process/session/{session}/exec",
            {"command": in_bash(marked.script), "runAsync": True},
            deadline=patience,
        )
        command_id = begun.get("cmdId")
        if not isinstance(command_id, str):
            raise ProtocolError("daytona does not tell the command's id", effect="yes", provider=NAME)
        route = f"process/session/{session}/command/{command_id}"
        socket = await open_socket(api, await api.toolbox(computer_id, f"{route}/logs?follow=true"))
        stream = _Following(api, computer_id, route, socket)
        stream.marked, stream.commands, stream.ends, stream.seconds = marked, commands, ends, seconds
        yield _Checked(stream, marked, cwd)
    finally:
        await api.in_background(tidy)
        if socket is not None:
            with anyio.move_on_after(CLOSE, shield=True):
                await socket.close()


class _Checked(ExecStream):
    """A followed command that may turn out not to have found its folder."""

    def __init__(self, stream: _Following, marked: Marked, cwd: str | None) -> None:
        self._stream = stream
        self._marked = marked
        self._cwd = cwd

    @property
    def exit_code(self) -> int | None:
        """The exit code once it has ended by itself."""
        return self._stream.exit_code

    async def __aiter__(self) -> AsyncIterator[ExecChunk]:
        """Iterate over the output until the command has ended.

        Raises:
            FileMissingError: If its folder is not there.
        """
        held: list[ExecChunk] = []
        async for chunk in self._stream:
            if self._marked.may_say_no_folder(b"".join(one.data for one in [*held, chunk])):
                held.append(chunk)
                continue
            for one in [*held, chunk]:
                yield one
            held = []
        said = b"".join(one.data for one in held).decode(errors="replace")
        if held and self._marked.found_no_folder(self.exit_code or 0, said):
            raise FileMissingError(f"there is no folder {self._cwd} on the computer", provider=NAME)
        for one in held:
            yield one

    async def kill(self) -> None:
        """End the command and everything it started."""
        await self._stream.kill()
