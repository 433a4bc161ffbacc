"""A local computer that another process holds, used through its owner's socket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import TypeVar

import anyio
import anyio.to_thread
from pydantic import JsonValue, TypeAdapter, ValidationError

from deskhand.errors import (
    ComputerGoneError,
    ConnectionLostError,
    DeadlineExceededError,
    InvalidInputError,
    NotFoundError,
    OutcomeUnknownError,
    PayloadTooLargeError,
    ProtocolError,
)
from deskhand.providers.actions import InputAction, Wait
from deskhand.providers.contract import (
    Capability,
    ComputerInfo,
    ComputerStatus,
    ExecChunk,
    ExecResult,
    ExecStream,
    ExternalComputer,
    FileInfo,
    Region,
    Shell,
    ShellEndpoint,
    Terminal,
)
from deskhand.providers.local import operations, wire
from deskhand.providers.local.link import Channel, Link, open_link
from deskhand.providers.local.operations import Arguments
from deskhand.providers.local.register import find, is_live, runtime_folder

__all__ = ["SharedComputer", "attached_computer"]

_A = TypeVar("_A", bound=Arguments)
_T = TypeVar("_T")

_CARRIED = frozenset(Capability) - {Capability.EXTEND, Capability.SNAPSHOT, Capability.CLONE, Capability.PROMPT}

_UNDER_WAY = 0.1
"""Seconds that a question takes at most, so that what was drawn in these is not left out; less than a look waits for a
screen to be quiet, so that what the look had waited for does not count as drawn since."""

_GONE_DEADLINE = 15.0
"""Seconds that an owner gets to end a computer that it was told to destroy."""


@asynccontextmanager
async def attached_computer(computer_id: str) -> AsyncIterator[SharedComputer]:
    """Use a local computer that a process of this user holds; what is open on it is closed on leaving.

    Args:
        computer_id: Its id, as `list_shared` tells it.

    Raises:
        NotFoundError: If no process holds a computer with that id.
        ComputerGoneError: If its owner does not answer.
        ConfigError: If the folder of the sockets is not this user's own.
    """
    folder = await anyio.to_thread.run_sync(runtime_folder)
    entry = await anyio.to_thread.run_sync(find, folder, computer_id)
    if entry is None:
        raise NotFoundError(
            f"no local computer is called {computer_id!r}",
            hint="deskhand ls lists those that are there; one ends with the process that created it",
            provider="local",
        )
    async with open_link(folder, computer_id) as link:
        yield SharedComputer(link)


class SharedComputer(ExternalComputer):
    """A local computer that another process holds; `attached_computer` opens it."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._destroyed = False

    @property
    def info(self) -> ComputerInfo:
        """What its owner last told of it."""
        is_there = not self._destroyed and not self._link.ended.is_set()
        return self._link.info if is_there else replace(self._link.info, status=ComputerStatus.DESTROYED)

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What its owner says it can do."""
        return self._link.capabilities & _CARRIED

    # Shell

    async def exec(
        self,
        command: str,
        *,
        timeout: float | None = None,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
    ) -> ExecResult:
        """Run a command to its end; the loss of the connection kills it."""
        given = _arguments(operations.Command, command=command, timeout=timeout, cwd=cwd, env=_plain(env))
        return _value(operations.EXEC_RESULT, await self._link.call("exec", given, payload=_sendable(stdin)))

    def exec_stream(
        self,
        command: str,
        *,
        timeout: float | None = None,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
    ) -> AbstractAsyncContextManager[ExecStream]:
        """Run a command and follow its output; leaving the block or the loss of the connection kills it."""
        given = _arguments(operations.Command, command=command, timeout=timeout, cwd=cwd, env=_plain(env))
        return self._exec_stream(given, _sendable(stdin))

    @asynccontextmanager
    async def _exec_stream(self, given: Arguments, stdin: bytes | None) -> AsyncIterator[ExecStream]:
        async with self._link.open("exec_stream", given, payload=stdin) as channel:
            yield _SharedExecStream(channel)

    async def python(self, code: str, *, timeout: float | None = None) -> ExecResult:
        """Run Python code in a fresh interpreter on the computer."""
        given = _arguments(operations.Code, code=code, timeout=timeout)
        return _value(operations.EXEC_RESULT, await self._link.call("python", given))

    @asynccontextmanager
    async def shell(self) -> AsyncIterator[Shell]:
        """Open a kept shell."""
        async with self._link.open("shell") as channel:
            yield _SharedShell(channel)

    async def shell_endpoint(self) -> ShellEndpoint:
        """Tell where an interactive shell can be had."""
        return _value(operations.SHELL_ENDPOINT, await self._link.call("shell_endpoint", pure=True))

    @asynccontextmanager
    async def terminal(self, *, columns: int = 120, rows: int = 32) -> AsyncIterator[Terminal]:
        """Open a pseudo-terminal with a shell in it; leaving the block ends it."""
        given = _arguments(operations.TerminalSize, columns=columns, rows=rows)
        async with self._link.open("terminal", given) as channel:
            yield _SharedTerminal(channel)

    # Screen and input

    async def screenshot(self, *, region: Region | None = None, cursor: bool = True, format: str = "png") -> bytes:
        """Capture the screen."""
        given = _arguments(operations.Capture, region=region, cursor=cursor, format=format)
        return _bytes(await self._link.call("screenshot", given, pure=True))

    async def cursor_position(self) -> tuple[int, int]:
        """Return the pointer's position in screen pixels."""
        return _value(operations.POSITION, await self._link.call("cursor_position", pure=True))

    async def perform(self, action: InputAction) -> None:
        """Perform one input action."""
        given = operations.Input(action=wire.encode_action(action))
        await self._link.call("perform", given, pure=isinstance(action, Wait))

    async def settle(self, *, quiet: float = 0.15, limit: float = 2.0) -> float:
        """Wait until the screen has been quiet."""
        given = _arguments(operations.Settle, quiet=quiet, limit=limit)
        return _value(operations.SECONDS, await self._link.call("settle", given, pure=True))

    async def changed(self, region: Region, *, within: float) -> bool | None:
        """Tell whether anything but carets was drawn in a region in the last ``within`` seconds."""
        given = _arguments(operations.Changed, region=region, within=within + _UNDER_WAY)
        return _value(operations.MAYBE, await self._link.call("changed", given, pure=True))

    # Files

    async def read_bytes(self, path: str) -> bytes:
        """Read a regular file of at most 100 MiB."""
        return _bytes(await self._link.call("read_bytes", _arguments(operations.Path, path=path), pure=True))

    async def write_file(self, path: str, content: str | bytes) -> None:
        """Write a file byte for byte, making its folders."""
        data = _sendable(content.encode() if isinstance(content, str) else content)
        await self._link.call("write_file", _arguments(operations.Path, path=path), payload=data)

    async def list_dir(self, path: str = ".") -> list[FileInfo]:
        """List a directory, sorted by name."""
        given = _arguments(operations.Path, path=path)
        return _value(operations.FILES, await self._link.call("list_dir", given, pure=True))

    async def stat(self, path: str) -> FileInfo:
        """Tell what a path is."""
        given = _arguments(operations.Path, path=path)
        return _value(operations.FILE_INFO, await self._link.call("stat", given, pure=True))

    async def delete(self, path: str, *, recursive: bool = False) -> None:
        """Delete a file, or a directory and all in it."""
        await self._link.call("delete", _arguments(operations.Delete, path=path, recursive=recursive))

    # Ports, life

    async def preview_url(self, port: int, path: str = "/") -> str:
        """Return a URL at which a port of the computer can be reached."""
        given = _arguments(operations.Port, port=port, path=path)
        return _value(operations.TEXT, await self._link.call("preview_url", given, pure=True))

    async def live_view_url(self) -> str:
        """Return a URL at which a person can watch the screen."""
        return _value(operations.TEXT, await self._link.call("live_view_url", pure=True))

    async def resize(self, width: int, height: int) -> None:
        """Change the screen's size in pixels."""
        await self._link.call("resize", _arguments(operations.Size, width=width, height=height))

    async def start(self) -> None:
        """Start a stopped computer."""
        await self._link.call("start")

    async def stop(self) -> None:
        """Stop the computer so that `start` brings it back."""
        await self._link.call("stop")

    async def destroy(self) -> None:
        """Have its owner destroy it; that it is gone already is no error."""
        try:
            await self._link.call("destroy")
        except (ComputerGoneError, OutcomeUnknownError, ConnectionLostError):
            await self._await_end()  # its owner lets go of this connection while it ends the computer
        self._destroyed = True

    async def _await_end(self) -> None:
        folder = await anyio.to_thread.run_sync(runtime_folder)
        for _ in range(100):
            if not await anyio.to_thread.run_sync(is_live, folder, self._link.info.id):
                return
            await anyio.sleep(_GONE_DEADLINE / 100)
        raise DeadlineExceededError(
            f"the owner of the computer {self._link.info.id} did not end it within {_GONE_DEADLINE:g} s",
            hint="end the process that holds it; deskhand ls --json tells which",
            provider="local",
        )

    @asynccontextmanager
    async def lease(self, owner: str) -> AsyncIterator[None]:
        """Have the computer for one owner, before all processes that use it."""
        async with super().lease(owner), self._link.open("lease", _arguments(operations.Lease, owner=owner)):
            yield


class _SharedExecStream(ExecStream):
    """A command that runs at the owner's."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    @property
    def exit_code(self) -> int | None:
        """The exit code once it has ended, else ``None``."""
        return self._channel.exit_code

    async def __aiter__(self) -> AsyncIterator[ExecChunk]:
        """Iterate over the output until the command has ended."""
        while (received := await self._channel.receive()) is not None:
            tag, data = received
            yield ExecChunk("stderr" if tag == wire.STDERR else "stdout", data)

    async def kill(self) -> None:
        """End the command and everything it started."""
        await _kill(self._channel)


class _SharedTerminal(Terminal):
    """A pseudo-terminal at the owner's."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    @property
    def exit_code(self) -> int | None:
        """The shell's exit code once it has ended, else ``None``."""
        return self._channel.exit_code

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Iterate over the output until the shell has ended."""
        while (received := await self._channel.receive()) is not None:
            yield received[1]

    async def send(self, data: bytes) -> None:
        """Send input, as typed."""
        await self._channel.call("send", payload=_sendable(data))

    async def resize(self, columns: int, rows: int) -> None:
        """Change the size in characters."""
        await self._channel.call("resize", _arguments(operations.TerminalSize, columns=columns, rows=rows))

    async def kill(self) -> None:
        """End the shell and everything it started."""
        await _kill(self._channel)


class _SharedShell(Shell):
    """A kept shell at the owner's."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    async def run(self, command: str, *, timeout: float | None = None) -> ExecResult:
        """Run a command in it."""
        given = _arguments(operations.InShell, command=command, timeout=timeout)
        return _value(operations.EXEC_RESULT, await self._channel.call("run", given))


async def _kill(channel: Channel) -> None:
    exit_code = await channel.call("kill")
    if isinstance(exit_code, int):
        channel.exit_code = exit_code


def _arguments(model: type[_A], **values: object) -> _A:
    """Check arguments as the owner will.

    Raises:
        InvalidInputError: Naming the first that is wrong.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InvalidInputError(f"{where}: {first['msg']}", provider="local") from error


def _plain(env: Mapping[str, str] | None) -> dict[str, str] | None:
    return None if env is None else dict(env)


def _sendable(data: bytes | None) -> bytes | None:
    if data is not None and len(data) > wire.LONGEST_PAYLOAD:
        raise PayloadTooLargeError(
            f"{len(data)} bytes are more than the {wire.LONGEST_PAYLOAD} that can be sent to a shared computer at once",
            provider="local",
        )
    return data


def _value(adapter: TypeAdapter[_T], value: JsonValue | bytes) -> _T:
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        raise ProtocolError(f"the owner's answer is wrong: {error}", provider="local") from error


def _bytes(value: JsonValue | bytes) -> bytes:
    if not isinstance(value, bytes):
        raise ProtocolError("the owner's answer has no payload", provider="local")
    return value
