"""What can be asked of a shared computer: for each operation its arguments, and how its owner does it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Final, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, JsonValue, TypeAdapter

from deskhand.errors import InvalidInputError
from deskhand.providers.actions import HoldKey, Wait
from deskhand.providers.contract import (
    DEFAULT_TIMEOUT,
    ExecResult,
    ExecStream,
    ExternalComputer,
    FileInfo,
    Region,
    Shell,
    ShellEndpoint,
    Terminal,
)
from deskhand.providers.local.wire import decode_action

__all__ = [
    "EXEC_RESULT",
    "FILES",
    "FILE_INFO",
    "MARGIN",
    "MAYBE",
    "OPENING",
    "OPERATIONS",
    "POSITION",
    "SECONDS",
    "SHELL_ENDPOINT",
    "TEXT",
    "Arguments",
    "Capture",
    "Changed",
    "Code",
    "Command",
    "Delete",
    "InShell",
    "Input",
    "Lease",
    "Nothing",
    "Path",
    "Port",
    "Settle",
    "Size",
    "TerminalSize",
]

MARGIN = 30.0
"""Seconds that an answer may take beyond what the operation itself may."""

EXEC_RESULT = TypeAdapter(ExecResult)
FILE_INFO = TypeAdapter(FileInfo)
FILES = TypeAdapter(list[FileInfo])
MAYBE: Final[TypeAdapter[bool | None]] = TypeAdapter(bool | None)
POSITION = TypeAdapter(tuple[int, int])
SECONDS = TypeAdapter(float)
SHELL_ENDPOINT = TypeAdapter(ShellEndpoint)
TEXT = TypeAdapter(str)


class Arguments(BaseModel):
    """An operation's arguments."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @property
    def duration(self) -> float:
        """Seconds that the operation itself may take."""
        return DEFAULT_TIMEOUT


class Nothing(Arguments):
    """No arguments."""


class Command(Arguments):
    """A command; its standard input is the payload."""

    command: str
    timeout: float | None = None
    cwd: str | None = None
    env: dict[str, str] | None = None

    @property
    def duration(self) -> float:
        """The command's own timeout."""
        return DEFAULT_TIMEOUT if self.timeout is None else self.timeout


class Code(Arguments):
    """Python code."""

    code: str
    timeout: float | None = None

    @property
    def duration(self) -> float:
        """The code's own timeout."""
        return DEFAULT_TIMEOUT if self.timeout is None else self.timeout


class InShell(Arguments):
    """A command in a kept shell."""

    command: str
    timeout: float | None = None

    @property
    def duration(self) -> float:
        """The command's own timeout."""
        return DEFAULT_TIMEOUT if self.timeout is None else self.timeout


class TerminalSize(Arguments):
    """A terminal's size in characters."""

    columns: int
    rows: int


class Lease(Arguments):
    """Who has the computer."""

    owner: str


class Capture(Arguments):
    """A screenshot."""

    region: Region | None = None
    cursor: bool = True
    format: str = "png"


class Input(Arguments):
    """An input action, encoded."""

    action: dict[str, JsonValue]

    @property
    def duration(self) -> float:
        """What the action says, and time to type long texts."""
        action = decode_action(self.action)
        return DEFAULT_TIMEOUT + (action.duration if isinstance(action, HoldKey | Wait) else 0)


class Changed(Arguments):
    """A part of the screen, and for how many seconds back it is asked about."""

    region: Region
    within: float


class Settle(Arguments):
    """How long to wait for a quiet screen."""

    quiet: float
    limit: float

    @property
    def duration(self) -> float:
        """The limit."""
        return self.limit


class Path(Arguments):
    """A file or directory."""

    path: str


class Delete(Arguments):
    """A file or directory to delete."""

    path: str
    recursive: bool = False


class Port(Arguments):
    """A port and a path on it."""

    port: int
    path: str = "/"


class Size(Arguments):
    """A screen's size in pixels."""

    width: int
    height: int


_A = TypeVar("_A", bound=Arguments)


@dataclass(frozen=True, slots=True)
class Operation(Generic[_A]):
    """One operation.

    Attributes:
        arguments: Their model.
        perform: Does it, on the computer or on what an earlier call opened, with the payload that came along; returns
            JSON, or bytes to send as payload.
        pure: Whether it leaves everything as it is, so that a lost answer leaves nothing open.
    """

    arguments: type[_A]
    perform: Callable[[Any, _A, bytes | None], Awaitable[JsonValue | bytes]]
    pure: bool = False


@dataclass(frozen=True, slots=True)
class Opening(Generic[_A]):
    """An operation that opens something that stays until it is closed.

    Attributes:
        arguments: Their model.
        open: Opens it.
        inner: What can be done with it while it is open.
    """

    arguments: type[_A]
    open: Callable[[ExternalComputer, _A, bytes | None], AbstractAsyncContextManager[object]]
    inner: Mapping[str, Operation[Any]]


async def _exec(computer: ExternalComputer, given: Command, payload: bytes | None) -> JsonValue:
    result = await computer.exec(given.command, timeout=given.timeout, cwd=given.cwd, env=given.env, stdin=payload)
    return _json(EXEC_RESULT, result)


async def _python(computer: ExternalComputer, given: Code, _: bytes | None) -> JsonValue:
    return _json(EXEC_RESULT, await computer.python(given.code, timeout=given.timeout))


async def _shell_endpoint(computer: ExternalComputer, _: Nothing, __: bytes | None) -> JsonValue:
    endpoint = await computer.shell_endpoint()
    token = endpoint.token.get_secret_value() if endpoint.token is not None else None
    return {"kind": endpoint.kind, "uri": endpoint.uri, "token": token, "meta": dict(endpoint.meta)}


async def _screenshot(computer: ExternalComputer, given: Capture, _: bytes | None) -> bytes:
    return await computer.screenshot(region=given.region, cursor=given.cursor, format=given.format)


async def _cursor_position(computer: ExternalComputer, _: Nothing, __: bytes | None) -> JsonValue:
    return [*await computer.cursor_position()]


async def _perform(computer: ExternalComputer, given: Input, _: bytes | None) -> None:
    await computer.perform(decode_action(given.action))


async def _settle(computer: ExternalComputer, given: Settle, _: bytes | None) -> JsonValue:
    return await computer.settle(quiet=given.quiet, limit=given.limit)


async def _changed(computer: ExternalComputer, given: Changed, _: bytes | None) -> JsonValue:
    return await computer.changed(given.region, within=given.within)


async def _read_bytes(computer: ExternalComputer, given: Path, _: bytes | None) -> bytes:
    return await computer.read_bytes(given.path)


async def _write_file(computer: ExternalComputer, given: Path, payload: bytes | None) -> None:
    if payload is None:
        raise InvalidInputError("write_file came without the file's content")
    await computer.write_file(given.path, payload)


async def _list_dir(computer: ExternalComputer, given: Path, _: bytes | None) -> JsonValue:
    return _json(FILES, await computer.list_dir(given.path))


async def _stat(computer: ExternalComputer, given: Path, _: bytes | None) -> JsonValue:
    return _json(FILE_INFO, await computer.stat(given.path))


async def _delete(computer: ExternalComputer, given: Delete, _: bytes | None) -> None:
    await computer.delete(given.path, recursive=given.recursive)


async def _preview_url(computer: ExternalComputer, given: Port, _: bytes | None) -> JsonValue:
    return await computer.preview_url(given.port, given.path)


async def _live_view_url(computer: ExternalComputer, _: Nothing, __: bytes | None) -> JsonValue:
    return await computer.live_view_url()


async def _resize(computer: ExternalComputer, given: Size, _: bytes | None) -> None:
    await computer.resize(given.width, given.height)


async def _start(computer: ExternalComputer, _: Nothing, __: bytes | None) -> None:
    await computer.start()


async def _stop(computer: ExternalComputer, _: Nothing, __: bytes | None) -> None:
    await computer.stop()


async def _destroy(computer: ExternalComputer, _: Nothing, __: bytes | None) -> None:
    await computer.destroy()


def _exec_stream(
    computer: ExternalComputer, given: Command, payload: bytes | None
) -> AbstractAsyncContextManager[ExecStream]:
    return computer.exec_stream(given.command, timeout=given.timeout, cwd=given.cwd, env=given.env, stdin=payload)


def _terminal(
    computer: ExternalComputer, given: TerminalSize, _: bytes | None
) -> AbstractAsyncContextManager[Terminal]:
    return computer.terminal(columns=given.columns, rows=given.rows)


def _shell(computer: ExternalComputer, _: Nothing, __: bytes | None) -> AbstractAsyncContextManager[Shell]:
    return computer.shell()


def _lease(computer: ExternalComputer, given: Lease, _: bytes | None) -> AbstractAsyncContextManager[None]:
    return computer.lease(given.owner)


async def _kill(running: ExecStream | Terminal, _: Nothing, __: bytes | None) -> JsonValue:
    await running.kill()
    return running.exit_code


async def _send(terminal: Terminal, _: Nothing, payload: bytes | None) -> None:
    await terminal.send(payload or b"")


async def _resize_terminal(terminal: Terminal, given: TerminalSize, _: bytes | None) -> None:
    await terminal.resize(given.columns, given.rows)


async def _run(shell: Shell, given: InShell, _: bytes | None) -> JsonValue:
    return _json(EXEC_RESULT, await shell.run(given.command, timeout=given.timeout))


def _json(adapter: TypeAdapter[Any], value: object) -> JsonValue:
    dumped: JsonValue = adapter.dump_python(value, mode="json")
    return dumped


OPERATIONS: Mapping[str, Operation[Any]] = MappingProxyType(
    {
        "exec": Operation(Command, _exec),
        "python": Operation(Code, _python),
        "shell_endpoint": Operation(Nothing, _shell_endpoint, pure=True),
        "screenshot": Operation(Capture, _screenshot, pure=True),
        "cursor_position": Operation(Nothing, _cursor_position, pure=True),
        "perform": Operation(Input, _perform),
        "settle": Operation(Settle, _settle, pure=True),
        "changed": Operation(Changed, _changed, pure=True),
        "read_bytes": Operation(Path, _read_bytes, pure=True),
        "write_file": Operation(Path, _write_file),
        "list_dir": Operation(Path, _list_dir, pure=True),
        "stat": Operation(Path, _stat, pure=True),
        "delete": Operation(Delete, _delete),
        "preview_url": Operation(Port, _preview_url, pure=True),
        "live_view_url": Operation(Nothing, _live_view_url, pure=True),
        "resize": Operation(Size, _resize),
        "start": Operation(Nothing, _start),
        "stop": Operation(Nothing, _stop),
        "destroy": Operation(Nothing, _destroy),
    }
)
"""What is asked once and answered once."""

OPENING: Mapping[str, Opening[Any]] = MappingProxyType(
    {
        "exec_stream": Opening(Command, _exec_stream, {"kill": Operation(Nothing, _kill)}),
        "terminal": Opening(
            TerminalSize,
            _terminal,
            {
                "kill": Operation(Nothing, _kill),
                "send": Operation(Nothing, _send),
                "resize": Operation(TerminalSize, _resize_terminal),
            },
        ),
        "shell": Opening(Nothing, _shell, {"run": Operation(InShell, _run)}),
        "lease": Opening(Lease, _lease, {}),
    }
)
"""What opens something that stays open until it is closed."""
