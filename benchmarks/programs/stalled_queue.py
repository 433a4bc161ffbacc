"""Publish to one ``asyncio.Queue`` that is read and one that is not, both without a bound."""

from __future__ import annotations

import asyncio

from measuring import arguments, report, resident


async def _healthy(queue: asyncio.Queue[str], events: int) -> None:
    for _ in range(events):
        await queue.get()


async def main() -> None:
    """Measure."""
    events = arguments()["events"]
    healthy: asyncio.Queue[str] = asyncio.Queue()
    stalled: asyncio.Queue[str] = asyncio.Queue()
    before = resident()
    reader = asyncio.create_task(_healthy(healthy, events))  # noqa: TID251 (the least there is)
    for number in range(events):
        event = f"{number:x<1000}"
        healthy.put_nowait(event)
        stalled.put_nowait(event)
        if number % 64 == 0:
            await asyncio.sleep(0)
    await reader
    report(memory=resident() - before)


if __name__ == "__main__":
    asyncio.run(main())
