"""One anyio memory object stream a subscriber, without a bound."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from dataclasses import dataclass

import anyio
from anyio.streams.memory import MemoryObjectSendStream
from fanning import fan_out


@dataclass(slots=True)
class _Event:
    number: int


class _Hub:
    def __init__(self) -> None:
        self._senders: list[MemoryObjectSendStream[_Event]] = []

    def subscribe(self) -> AsyncIterator[object]:
        sender, receiver = anyio.create_memory_object_stream[_Event](math.inf)
        self._senders.append(sender)
        return receiver

    def publish(self, number: int) -> None:
        event = _Event(number)
        for sender in self._senders:
            sender.send_nowait(event)


async def main() -> None:
    """Measure, and close what is open."""
    hub = _Hub()
    await fan_out(hub)


if __name__ == "__main__":
    asyncio.run(main())
