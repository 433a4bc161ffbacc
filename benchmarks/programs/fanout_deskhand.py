"""A run's event stream: numbered events in a log, one ring, a cursor a subscriber."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from fanning import fan_out

from deskhand import MemoryLog
from deskhand.harness.events import CustomData, CustomEvent
from deskhand.harness.stream import Feed


class _Hub:
    def __init__(self, feed: Feed) -> None:
        self._feed = feed

    def subscribe(self) -> AsyncIterator[object]:
        return aiter(self._feed.subscribe())

    def publish(self, number: int) -> None:
        data = CustomData.model_construct(name="benchmark.event", value=number)
        self._feed.emit(CustomEvent(source="/runs/run_1", run_id="run_1", data=data))


async def main() -> None:
    """Measure with the log in memory."""
    async with MemoryLog() as log:
        await fan_out(_Hub(await Feed.open(log, "run_1")))


if __name__ == "__main__":
    asyncio.run(main())
