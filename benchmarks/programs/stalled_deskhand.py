"""Publish to one subscriber that reads and one that stopped, forget old history, and let the stalled one return."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import anyio
import anyio.lowlevel
from measuring import arguments, report, resident

from deskhand import SqliteLog
from deskhand.harness.events import CustomData, CustomEvent, RunFinished, StreamGap
from deskhand.harness.stream import EventStream, Feed

_RUN = "run_1"


async def _healthy(stream: EventStream, got: list[int]) -> None:
    async for event in stream:
        got[0] += isinstance(event, CustomEvent)


async def main() -> None:
    """Measure with the log in a file, where history takes no memory."""
    events = arguments()["events"]
    got = [0]
    with tempfile.TemporaryDirectory() as folder:
        async with SqliteLog(Path(folder) / "log.db") as log:
            feed = await Feed.open(log, _RUN)
            _publish(feed)
            stalled = feed.subscribe()
            await anext(stalled)
            before = resident()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_healthy, feed.subscribe(after=1), got)
                for number in range(events):
                    _publish(feed)
                    if number % 64 == 0:
                        await anyio.lowlevel.checkpoint()
                    if number % 1024 == 0:
                        await feed.barrier()
                data = {"outcome": "completed"}
                end = {"source": f"/runs/{_RUN}", "run_id": _RUN, "data": data}
                feed.emit(RunFinished.model_validate(end))
                await feed.barrier()
            memory = resident() - before
            kept_from = events // 2
            await log.trim(_RUN, kept_from)
            told = await _returns(stalled, kept_from, events)
    report(memory=memory, healthy=got[0], told=int(told))


def _publish(feed: Feed) -> None:
    data = CustomData.model_construct(name="benchmark.event", value="x" * 1000)
    feed.emit(CustomEvent(source=f"/runs/{_RUN}", run_id=_RUN, data=data))


async def _returns(stalled: EventStream, kept_from: int, events: int) -> bool:
    """Whether one that comes back is told exactly what is gone, and gets the rest without a hole."""
    first = await anext(stalled)
    rest = [event.seq async for event in stalled]
    gap = isinstance(first, StreamGap) and (first.data.from_seq, first.data.to_seq) == (2, kept_from - 1)
    return gap and rest == list(range(kept_from, events + 3))


if __name__ == "__main__":
    asyncio.run(main())
