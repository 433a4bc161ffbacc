"""A computer whose terminal reads output as frames of its protocol, where it looks like one."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from deskhand.providers import Terminal
from deskhand.testing import FakeComputer


class Computer(FakeComputer):
    def terminal(self, *, columns: int = 120, rows: int = 32) -> AbstractAsyncContextManager[Terminal]:
        @asynccontextmanager
        async def opened() -> AsyncIterator[Terminal]:
            async with super(Computer, self).terminal(columns=columns, rows=rows) as terminal:
                yield Trusting(terminal)

        return opened()


class Trusting(Terminal):
    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._exit_code: int | None = None

    @property
    def exit_code(self) -> int | None:
        return self._exit_code if self._exit_code is not None else self._terminal.exit_code

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for data in self._terminal:
            for line in data.splitlines():
                self._heed(line)
            yield data

    def _heed(self, line: bytes) -> None:
        try:
            frame = json.loads(line)
        except ValueError:
            return
        if isinstance(frame, dict) and frame.get("type") in {"control", "exit"}:
            self._exit_code = frame.get("code", frame.get("exitCode"))

    async def send(self, data: bytes) -> None:
        await self._terminal.send(data)

    async def resize(self, columns: int, rows: int) -> None:
        await self._terminal.resize(columns, rows)

    async def kill(self) -> None:
        await self._terminal.kill()
