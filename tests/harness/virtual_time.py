"""Time that passes only where everybody waits for it: hours in no time, and always in the same order."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import anyio
from anyio.lowlevel import checkpoint

from deskhand.retry import Clock

NOW = 1_800_000_000.0
"""What the wall clock says at first."""


class VirtualTime:
    """A clock for many tasks; while the block of `running` lasts, whoever sleeps longest is waited for last."""

    def __init__(self, seed: int = 0) -> None:
        self.now = 0.0
        self.slept: list[float] = []
        self._chance = Random(seed)
        self._order = itertools.count()
        self._sleepers: list[tuple[float, int, anyio.Event]] = []

    @property
    def clock(self) -> Clock:
        return Clock(
            wall=lambda: NOW + self.now, monotonic=lambda: self.now, sleep=self.sleep, random=self._chance.random
        )

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        if seconds <= 0:
            await checkpoint()
            return
        awake = anyio.Event()
        heapq.heappush(self._sleepers, (self.now + seconds, next(self._order), awake))
        await awake.wait()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with anyio.create_task_group() as group:
            group.start_soon(self._pass)
            yield
            group.cancel_scope.cancel()

    async def _pass(self) -> None:
        ready = asyncio.get_running_loop()._ready  # type: ignore[attr-defined]
        while True:
            await checkpoint()
            if ready:  # (somebody has something to do: no time passes)
                continue
            if self._sleepers:
                self.now, _, awake = heapq.heappop(self._sleepers)
                awake.set()
            else:  # (a thread is at work, or the network)
                await anyio.sleep(0.001)
