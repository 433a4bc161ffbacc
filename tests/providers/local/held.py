"""A computer made of this machine's own commands, and a program that holds one: the owner in tests of sharing.

``python -m tests.providers.local.held ID`` shares one and says ``ready``; it ends when it is destroyed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Literal

import anyio
import anyio.abc
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from pydantic import SecretStr

from deskhand.errors import FileMissingError
from deskhand.providers import (
    ComputerInfo,
    ComputerStatus,
    ExecChunk,
    ExecResult,
    ExecStream,
    FileInfo,
    Region,
    Screen,
    Shell,
    ShellEndpoint,
    Terminal,
)
from deskhand.providers.local.share import share_computer
from tests.tools.recording import RecordingComputer


class Running(ExecStream):
    """A real process."""

    def __init__(self, process: anyio.abc.Process) -> None:
        self.process = process

    @property
    def exit_code(self) -> int | None:
        return self.process.returncode

    async def __aiter__(self) -> AsyncIterator[ExecChunk]:
        streams: tuple[tuple[Literal["stdout", "stderr"], anyio.abc.ByteReceiveStream | None], ...] = (
            ("stdout", self.process.stdout),
            ("stderr", self.process.stderr),
        )
        for name, stream in streams:
            assert stream is not None
            async for data in stream:
                yield ExecChunk(name, data)
        await self.process.wait()

    async def kill(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        await self.process.wait()


class Echo(Terminal):
    """Shows what it is sent; ends at ``exit``."""

    def __init__(self) -> None:
        self.size = (0, 0)
        self.ended: int | None = None
        pair: tuple[MemoryObjectSendStream[bytes], MemoryObjectReceiveStream[bytes]]
        pair = anyio.create_memory_object_stream[bytes](100)
        self.into, self.out = pair

    @property
    def exit_code(self) -> int | None:
        return self.ended

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for data in self.out:
            yield data

    async def send(self, data: bytes) -> None:
        if data == b"exit":
            self.ended = 3
            self.into.close()
        else:
            await self.into.send(data)

    async def resize(self, columns: int, rows: int) -> None:
        await self.into.send(f"{columns}x{rows}".encode())

    async def kill(self) -> None:
        self.ended = -9
        self.into.close()


class Kept(Shell):
    """Counts its commands."""

    def __init__(self) -> None:
        self.count = 0

    async def run(self, command: str, *, timeout: float | None = None) -> ExecResult:
        self.count += 1
        return ExecResult(f"{self.count} {command} {timeout}", None, None, 0)


class HeldComputer(RecordingComputer):
    """Runs real commands, keeps files in memory, remembers input."""

    def __init__(self, computer_id: str = "cmp_held") -> None:
        super().__init__()
        self.image = bytes(range(256)) * 4096
        self.destroyed = anyio.Event()
        self.stopped = False
        self._info = ComputerInfo(
            computer_id,
            "held",
            "local",
            "local",
            ComputerStatus.RUNNING,
            screen=Screen(1280, 800),
            created_at=datetime.now(UTC),
            metadata={"who": "test"},
        )

    @property
    def info(self) -> ComputerInfo:
        return self._info

    async def exec(
        self,
        command: str,
        *,
        timeout: float | None = None,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
    ) -> ExecResult:
        async with self.exec_stream(command, timeout=timeout, cwd=cwd, env=env, stdin=stdin) as running:
            output = b"".join([chunk.data async for chunk in running]).decode(errors="replace")
            return ExecResult(output, output, None, running.exit_code, duration=0.5)

    @asynccontextmanager
    async def exec_stream(
        self,
        command: str,
        *,
        timeout: float | None = None,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
    ) -> AsyncIterator[ExecStream]:
        with anyio.CancelScope(shield=True):  # cancelled halfway, it would leave a process that nobody holds
            process = await anyio.open_process(
                ["bash", "-c", command], cwd=cwd, env={**os.environ, **(env or {})}, start_new_session=True
            )
        try:
            assert process.stdin is not None
            with contextlib.suppress(anyio.BrokenResourceError):  # it has ended without reading
                await process.stdin.send(stdin or b"")
            await process.stdin.aclose()
            yield Running(process)
        finally:
            with anyio.CancelScope(shield=True):
                if process.returncode is None:
                    os.killpg(process.pid, signal.SIGKILL)
                await process.aclose()

    @asynccontextmanager
    async def terminal(self, *, columns: int = 120, rows: int = 32) -> AsyncIterator[Terminal]:
        terminal = Echo()
        try:
            await terminal.resize(columns, rows)
            yield terminal
        finally:
            terminal.into.close()
            terminal.out.close()

    @asynccontextmanager
    async def shell(self) -> AsyncIterator[Shell]:
        yield Kept()

    async def shell_endpoint(self) -> ShellEndpoint:
        return ShellEndpoint("ssh", "ssh://there", SecretStr("hush"), {"a": "b"})

    async def read_bytes(self, path: str) -> bytes:
        try:
            return self.files[path]
        except KeyError:
            raise FileMissingError(f"{path} is not there", hint="list_dir shows what is", provider="local") from None

    async def stat(self, path: str) -> FileInfo:
        return FileInfo(path, "file", len(await self.read_bytes(path)), datetime(2026, 1, 2, tzinfo=UTC), 0o644)

    async def delete(self, path: str, *, recursive: bool = False) -> None:
        del recursive
        self.files.pop(path)

    async def settle(self, *, quiet: float = 0.15, limit: float = 2.0) -> float:
        return quiet + limit

    async def changed(self, region: Region, *, within: float) -> bool | None:
        return None if region.left else within > 5

    async def resize(self, width: int, height: int) -> None:
        self._info = replace(self._info, screen=Screen(width, height))

    async def stop(self) -> None:
        self.stopped = True

    async def start(self) -> None:
        self.stopped = False

    async def destroy(self) -> None:
        self._info = replace(self._info, status=ComputerStatus.DESTROYED)
        self.destroyed.set()


async def hold(computer_id: str) -> None:
    """Share a computer until it is destroyed."""
    computer = HeldComputer(computer_id)
    async with share_computer(computer):
        print("ready", flush=True)  # noqa: T201 - whoever started it waits for this
        await computer.destroyed.wait()
    print("destroyed", flush=True)  # noqa: T201 - and for this


if __name__ == "__main__":
    anyio.run(hold, sys.argv[1])
