"""Send events to many subscribers of one process, by whatever stands behind, and report what it took."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Protocol, cast

from measuring import arguments, cpu, report

_BURST = 64


class Hub(Protocol):
    """Sends events to those who subscribed."""

    def subscribe(self) -> AsyncIterator[object]:
        """Return the events that come from now on."""

    def publish(self, number: int) -> None:
        """Send the next event."""


class Batches(Protocol):
    """A stream whose events can be taken many at a time."""

    async def batch(self) -> Sequence[object]:
        """Return the next events."""


async def fan_out(hub: Hub) -> None:
    """Measure one mode.

    ``burst`` publishes 64 events between two turns of the loop, ``batch`` too, and its subscribers take all that is
    there at once; ``paced`` publishes one event a turn, ``idle`` none.
    """
    given = arguments()
    count, events, mode = given["subscribers"], given["events"], given["mode"]
    if mode == "idle":
        await _idle(_Silence(), count)  # (what the loop keeps for so many tasks is there by then)
        report(memory=await _idle(hub, count), bare=await _idle(_Silence(), count))
        return
    reading = count
    finished = asyncio.Event()

    async def read(stream: AsyncIterator[object]) -> None:
        nonlocal reading
        left = events
        if mode == "batch":
            while left:
                for _event in await cast("Batches", stream).batch():
                    left -= 1
        else:
            async for _event in stream:
                left -= 1
                if not left:
                    break
        reading -= 1
        if not reading:
            finished.set()

    tasks = [asyncio.create_task(read(hub.subscribe())) for _ in range(count)]  # noqa: TID251 (the least there is)
    await _turns(5)
    gc.collect()
    used = cpu()
    await _publish(hub.publish, events, 1 if mode == "paced" else _BURST)
    await finished.wait()
    used = cpu() - used
    await asyncio.wait(tasks)
    report(seconds=used / events)


class _Silence:
    """Sends nothing, and costs what a bare task costs that waits for a future."""

    def subscribe(self) -> AsyncIterator[object]:
        return self

    def publish(self, number: int) -> None:
        raise AssertionError(number)

    def __aiter__(self) -> AsyncIterator[object]:
        return self

    def __anext__(self) -> asyncio.Future[object]:
        return asyncio.get_running_loop().create_future()


async def _idle(hub: Hub, count: int) -> float:
    """Return the bytes that each waiting subscriber holds, its task included."""

    async def wait(stream: AsyncIterator[object]) -> None:
        async for _event in stream:
            pass

    await _turns(5)
    tasks: list[Any] = [None] * count
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for index in range(count):
        tasks[index] = asyncio.create_task(wait(hub.subscribe()))  # noqa: TID251 (the least there is)
    await _turns(5)
    gc.collect()
    held = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    return held / count


async def _publish(publish: Callable[[int], None], events: int, burst: int) -> None:
    for number in range(events):
        publish(number)
        if number % burst == burst - 1:
            await asyncio.sleep(0)


async def _turns(times: int) -> None:
    for _ in range(times):
        await asyncio.sleep(0)
