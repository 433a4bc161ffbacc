"""What the control of a run costs: the same actions in two runs of a process, in turn, with all of it and without.

With it are the cautious policy, caps on all that a budget counts, a secret, the wait for rest, the look at what an old
frame has become, and the watch for a run in circles. Both have a subscriber and the log in SQLite. No model is asked.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
from bench_computer import BenchComputer
from episode import GOAL, frames
from measuring import arguments, report
from pydantic import SecretStr

from deskhand import Budget, MemoryBlobs, OpenRun, Policy, Secrets, SqliteLog, open_run
from deskhand.harness.seeing import Seeing
from deskhand.harness.stuck import Stuck
from deskhand.providers import Region

_WARM = 20
"""Slices that are not counted: what is loaded and specialized on first use is no action's cost."""

_STEPS = 4
"""Steps in a slice, so few that both kinds are disturbed alike by what else the machine does."""

_KEPT = 16_000_000
"""Bytes of frames that are kept: a hundred of them."""

_ON: dict[str, Any] = {
    "policy": Policy.cautious(),
    "budget": Budget(turns=10**6, actions=10**6, frames=10**6, tokens=10**9, money=1e6, time=1e6),
    "secrets": Secrets({"password": SecretStr("correct horse battery staple")}),
    "seeing": Seeing(),
    "stuck": Stuck(),
}
_OFF: dict[str, Any] = {"seeing": Seeing.off(), "stuck": Stuck.off()}


class _Telling(BenchComputer):
    """Also tells, as a display does, whether something was drawn on a place of its screen."""

    async def changed(self, region: Region, *, within: float) -> bool | None:
        return False


@asynccontextmanager
async def _opened(log: SqliteLog, pictures: Iterator[bytes], control: dict[str, Any]) -> AsyncIterator[OpenRun]:
    computer, blobs = _Telling(pictures), MemoryBlobs(_KEPT)
    async with open_run(computer, GOAL, log=log, blobs=blobs, **control) as run, anyio.create_task_group() as tasks:

        async def follow() -> None:
            async for _event in run.events():
                pass

        tasks.start_soon(follow)
        yield run
        tasks.cancel_scope.cancel()


async def _slice(run: OpenRun, number: int) -> float:
    """Do what an agent does in a few turns; return the seconds of CPU that an action took."""
    began = time.process_time()
    for _ in range(_STEPS):
        await run.act("screenshot", check=True)
        await run.act("left_click", check=True, x=number % 1280, y=400)
        await run.act("type", check=True, text=f"line {number}")
        await run.act("key", check=True, key="Return")
    return (time.process_time() - began) / (4 * _STEPS)


async def main() -> None:
    """Measure slices in turn; report the middle of each kind, and of the ratios of those that followed each other."""
    slices = arguments()["slices"]
    pictures = frames()
    found: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        async with (
            SqliteLog(Path(folder) / "log.db") as log,
            _opened(log, pictures, _ON) as on,
            _opened(log, pictures, _OFF) as off,
        ):
            gc.collect()
            gc.freeze()
            for number in range(_WARM + slices):
                if number % 2:
                    found.append((await _slice(on, number), await _slice(off, number)))
                else:
                    last = await _slice(off, number)
                    found.append((await _slice(on, number), last))
    with_it, without = zip(*found[_WARM:], strict=True)
    ratios = [on / off for on, off in found[_WARM:]]
    report(on=statistics.median(with_it), off=statistics.median(without), ratio=statistics.median(ratios))


if __name__ == "__main__":
    asyncio.run(main())
