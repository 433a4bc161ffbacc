"""When the last action of a run starts after it was told to pause or to stop, at whatever instant that is.

Several loops have a slow computer each: something is looked at, waited for or in flight whenever the word comes.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence

import anyio
from bench_computer import BenchComputer
from episode import GOAL, frames
from measuring import arguments, report

from deskhand import ComputerInfo, MemoryLog, OpenRun, open_run
from deskhand.errors import RunStoppedError
from deskhand.harness.events import EventBase
from deskhand.providers import ComputerStatus, InputAction, Region, Screen

_LOOPS = 4
_SLOW = 0.02
"""Seconds that a computer takes at most for anything."""

_AFTER = 0.4
"""Seconds for which it is watched whether an action starts: twice what the goal allows."""

_RANDOM = random.Random(7)


class _Slow(BenchComputer):
    """Takes a while for all that it is asked."""

    def __init__(self, name: str) -> None:
        super().__init__(frames(0))
        self._name = name

    @property
    def info(self) -> ComputerInfo:
        return ComputerInfo(
            self._name, self._name, "bench", "external", ComputerStatus.RUNNING, screen=Screen(1280, 800)
        )

    async def perform(self, action: InputAction) -> None:
        await asyncio.sleep(_RANDOM.uniform(0, _SLOW))

    async def settle(self, *, quiet: float = 0.15, limit: float = 2.0) -> float:
        await asyncio.sleep(_RANDOM.uniform(0, _SLOW))
        return 0.0

    async def changed(self, region: Region, *, within: float) -> bool | None:
        await asyncio.sleep(_RANDOM.uniform(0, _SLOW))
        return False


class _Clocked(MemoryLog):
    """Notes when the last action started."""

    started = 0.0

    def append(self, run_id: str, epoch: int, events: Sequence[EventBase]) -> list[EventBase]:
        if any(event.type == "action.started" for event in events):
            self.started = time.perf_counter()
        return super().append(run_id, epoch, events)


async def _work(run: OpenRun, name: str) -> None:
    try:
        while True:
            await run.on(name).act("screenshot")
            await run.on(name).act("left_click", x=5, y=6)
    except RunStoppedError:
        pass


async def _trial(*, stops: bool) -> float:
    """Return the seconds from the word to the start of the last action: negative where none started any more."""
    computers = [_Slow(f"cmp_{number}") for number in range(_LOOPS)]
    async with _Clocked() as log, open_run(computers, GOAL, log=log) as run, anyio.create_task_group() as tasks:
        for computer in computers:
            tasks.start_soon(_work, run, computer.info.id)
        await asyncio.sleep(_RANDOM.uniform(0.02, 0.1))
        told = time.perf_counter()
        await (run.stop() if stops else run.pause())
        await asyncio.sleep(_AFTER)
        tasks.cancel_scope.cancel()
    return log.started - told


async def main() -> None:
    """Try many times, at random instants."""
    after = [await _trial(stops=bool(number % 2)) for number in range(arguments()["trials"])]
    report(after=after)


if __name__ == "__main__":
    asyncio.run(main())
