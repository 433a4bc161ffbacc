"""Pseudo-terminals on a local computer, driven by the event loop."""

from __future__ import annotations

import array
import fcntl
import os
import termios
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from deskhand.errors import InvalidInputError
from deskhand.providers.contract import Terminal
from deskhand.providers.execution import shell_ended
from deskhand.providers.local.commands import end_process
from deskhand.providers.local.output import PipeReader
from deskhand.providers.local.sandbox import Process, Sandbox, out_of_descriptors

__all__ = ["open_terminal"]

_BUFFER = 1 << 20
_LARGEST = 1000


class _LocalTerminal(Terminal):
    """A shell on a pseudo-terminal; a reader that lags makes the programs on it wait."""

    def __init__(self, process: Process, descriptor: int) -> None:
        self._process = process
        self._descriptor = descriptor
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self._changed = anyio.Event()
        self._sending = anyio.Lock()
        self._reader = PipeReader(os.dup(descriptor), self._take, self._wake)
        process.when_ended(self._wake)

    @property
    def exit_code(self) -> int | None:
        return self._process.exit_code

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            while self._chunks:
                chunk = self._chunks.popleft()
                self._size -= len(chunk)
                if self._size < _BUFFER // 2:
                    self._reader.resume()
                yield chunk
            if self._process.ended:
                self._reader.drain()
                if not self._chunks:
                    return
                continue
            self._changed = anyio.Event()
            await self._changed.wait()

    async def send(self, data: bytes) -> None:
        async with self._sending:
            view = memoryview(data)
            while view:
                if self._process.ended:
                    raise shell_ended("local")
                try:
                    view = view[os.write(self._descriptor, view) :]
                except BlockingIOError:
                    await anyio.wait_writable(self._descriptor)
                except OSError as error:
                    raise shell_ended("local") from error

    async def resize(self, columns: int, rows: int) -> None:
        check_size(columns, rows)
        if not self._process.ended:
            fcntl.ioctl(self._descriptor, termios.TIOCSWINSZ, array.array("H", [rows, columns, 0, 0]))

    async def kill(self) -> None:
        if not self._process.ended:
            await end_process(self._process)

    async def aclose(self) -> None:
        """End the shell and close the terminal."""
        try:
            await self.kill()
        finally:
            self._reader.close()
            os.close(self._descriptor)

    def _take(self, data: bytes) -> None:
        self._chunks.append(data)
        self._size += len(data)
        if self._size >= _BUFFER:
            self._reader.pause()
        self._changed.set()

    def _wake(self) -> None:
        self._changed.set()


def check_size(columns: int, rows: int) -> None:
    """Refuse a size that no terminal has.

    Raises:
        InvalidInputError: If a side is out of bounds.
    """
    if not (1 <= columns <= _LARGEST and 1 <= rows <= _LARGEST):
        raise InvalidInputError(f"a terminal of {columns}x{rows} is out of bounds: 1x1 to {_LARGEST}x{_LARGEST}")


@asynccontextmanager
async def open_terminal(sandbox: Sandbox, *, columns: int, rows: int) -> AsyncIterator[Terminal]:
    """Open a pseudo-terminal with a shell in it, which ends with the block.

    Raises:
        InvalidInputError: If the size is out of bounds.
        ComputerGoneError: If the computer ended.
    """
    check_size(columns, rows)
    try:
        process, descriptor = await sandbox.start_on_terminal(
            ["bash"], columns=columns, rows=rows, env={"TERM": "xterm-256color"}
        )
    except OSError as error:
        raise error if error.errno is None else out_of_descriptors(error) from error
    os.set_blocking(descriptor, False)
    terminal = _LocalTerminal(process, descriptor)
    try:
        yield terminal
    finally:
        await terminal.aclose()
