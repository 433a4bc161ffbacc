"""One ``asyncio.Queue`` a subscriber, without a bound."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from fanning import fan_out


@dataclass(slots=True)
class _Event:
    number: int


class _Stream:
    def __init__(self) -> None:
        self.queue: asyncio.Queue[_Event] = asyncio.Queue()

    def __aiter__(self) -> AsyncIterator[_Event]:
        return self

    async def __anext__(self) -> _Event:
        return await self.queue.get()


class _Hub:
    def __init__(self) -> None:
        self._streams: list[_Stream] = []

    def subscribe(self) -> AsyncIterator[object]:
        self._streams.append(_Stream())
        return self._streams[-1]

    def publish(self, number: int) -> None:
        event = _Event(number)
        for stream in self._streams:
            stream.queue.put_nowait(event)


if __name__ == "__main__":
    asyncio.run(fan_out(_Hub()))
