"""What runs behind a socket: a shell in a terminal, or a program with pipes."""

from __future__ import annotations

import json
import secrets
import shlex
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Protocol

import anyio
from pydantic import JsonValue

from deskhand.errors import DeskhandError
from deskhand.providers import Capability, ExecStream, ExternalComputer, Terminal
from deskhand.testing.simulators.wire import ApiError

__all__ = ["Program", "Running", "program_of", "size_of", "started"]

KILLED = 137
MOST_CELLS = 1000
PARAMETERS = frozenset({"command", "args", "cwd", "env", "rows", "cols"})


@dataclass(frozen=True, slots=True)
class Program:
    """What is to be started."""

    words: tuple[str, ...]
    cwd: str | None
    env: Mapping[str, str]
    size: tuple[int, int] | None


class Running(Protocol):
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


class InTerminal:
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


class WithPipes:
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
async def started(machine: ExternalComputer, program: Program) -> AsyncIterator[Running]:
    """Runs a program for as long as the block lasts."""
    if program.size is not None:
        machine.require(Capability.TERMINAL)
        columns, rows = program.size
        async with machine.terminal(columns=columns, rows=rows) as terminal:
            yield InTerminal(terminal)
        return
    machine.require(Capability.EXEC_STREAM)
    pipe = f"/tmp/.simulated-{secrets.token_hex(8)}"  # noqa: S108 - on the simulated machine
    await machine.exec(f"mkfifo {pipe}")  # before anything may be written to it, which would make it a file
    held = f"sleep infinity > {pipe} & echo $! > {pipe}.holder"
    command = f"{held}\nexec {shlex.join(program.words)} < {pipe}"
    async with machine.exec_stream(command, timeout=86_400, cwd=program.cwd, env=program.env) as stream:
        try:
            yield WithPipes(stream, machine, pipe)
        finally:
            with anyio.CancelScope(shield=True), anyio.move_on_after(5), suppress(DeskhandError):
                await machine.exec(f'kill "$(cat {pipe}.holder)" 2>/dev/null; rm -f {pipe} {pipe}.holder')


def program_of(query: Mapping[str, str]) -> Program:
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
        size = size_of(_number(query.get("cols")), _number(query.get("rows")))
        if size is None:
            raise ApiError(422, f"rows and cols must be 1 to {MOST_CELLS}")
        if command not in {"bash", "sh", "/bin/bash", "/bin/sh"}:
            raise ApiError(422, "the simulated terminal runs a shell alone")
    args = tuple(query["args"].split(",")) if query.get("args") else ()
    return Program((command, *args), query.get("cwd"), _environment(query.get("env")), size)


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


def size_of(columns: JsonValue, rows: JsonValue) -> tuple[int, int] | None:
    """Returns a terminal's size; None where there is no such size."""
    for value in (columns, rows):
        if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= MOST_CELLS:
            return None
    return (columns, rows) if isinstance(columns, int) and isinstance(rows, int) else None
