"""Publish to one anyio memory object stream that is read and one that is not, both without a bound."""

from __future__ import annotations

import asyncio
import math

import anyio
import anyio.lowlevel
from anyio.streams.memory import MemoryObjectReceiveStream
from measuring import arguments, report, resident


async def _healthy(receiver: MemoryObjectReceiveStream[str], events: int) -> None:
    for _ in range(events):
        await receiver.receive()


async def main() -> None:
    """Measure."""
    events = arguments()["events"]
    healthy, reader = anyio.create_memory_object_stream[str](math.inf)
    stalled, idle = anyio.create_memory_object_stream[str](math.inf)
    before = resident()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_healthy, reader, events)
        for number in range(events):
            event = f"{number:x<1000}"
            healthy.send_nowait(event)
            stalled.send_nowait(event)
            if number % 64 == 0:
                await anyio.lowlevel.checkpoint()
    memory = resident() - before
    for stream in (healthy, reader, stalled, idle):
        stream.close()
    report(memory=memory)


if __name__ == "__main__":
    asyncio.run(main())
