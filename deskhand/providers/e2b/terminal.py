"""Terminals: a shell with a pseudo-terminal; what it shows is data and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from deskhand.errors import NotFoundError, UnsupportedError
from deskhand.providers.contract import Terminal
from deskhand.providers.e2b.api import NAME
from deskhand.providers.e2b.processes import Process, Processes
from deskhand.providers.execution import check_terminal_size, shell_ended

__all__ = ["open_terminal"]

_PART: Final = 65_536
_SHELL: Final = {"cmd": "/bin/bash", "args": ["-i", "-l"]}
_VARIABLES: Final = {"TERM": "xterm-256color", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}


class E2BTerminal(Terminal):
    """A shell in a terminal."""

    def __init__(self, processes: Processes, process: Process, deaf: Callable[[], None]) -> None:
        self._processes = processes
        self._process = process
        self._deaf = deaf
        self._is_killed = False

    @property
    def exit_code(self) -> int | None:
        """The shell's exit code once it has ended."""
        return self._process.exit_code

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Iterate over what it shows, until the shell has ended."""
        pieces = self._process.pieces()
        while not self._is_killed:
            piece = await anext(pieces, None)
            if piece is None:
                return
            if piece[1]:
                yield piece[1]

    async def send(self, data: bytes) -> None:
        """Send input, as typed; a long one in parts."""
        try:
            for start in range(0, len(data), _PART):
                await self._process.send("pty", data[start : start + _PART])
        except UnsupportedError:
            self._deaf()
            raise
        except NotFoundError as error:
            raise shell_ended(NAME) from error

    async def resize(self, columns: int, rows: int) -> None:
        """Change the size in characters."""
        check_terminal_size(columns, rows)
        try:
            await self._process.resize(columns, rows)
        except NotFoundError as error:
            raise shell_ended(NAME) from error

    async def kill(self) -> None:
        """End the shell and everything it started."""
        self._is_killed = True
        if not self._process.is_over:
            await self._processes.kill(self._process)


@asynccontextmanager
async def open_terminal(
    processes: Processes, deaf: Callable[[], None], columns: int, rows: int
) -> AsyncIterator[E2BTerminal]:
    """Open a terminal; leaving the block ends it.

    Args:
        processes: Starts its shell.
        deaf: Called when it turns out that nothing can be typed.
        columns: Its width in characters.
        rows: Its height.
    """
    check_terminal_size(columns, rows)
    async with processes.started("open a terminal", _SHELL, size=(columns, rows), env=_VARIABLES) as process:
        yield E2BTerminal(processes, process, deaf)
