"""Play episodes and report what they took; whose loop and client it is, is the caller's."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from episode import FRAME_SIZE, frames
from measuring import arguments, cpu, forget_peak, peak, report, resident

Episode = Callable[[Any, Iterator[bytes]], Awaitable[int]]
Connect = Callable[[str], Any]
_WARM = 20
"""Actions of the episode that is played first: what is loaded and specialized on first use is no episode's cost."""
_SETTLED = 3.0
"""Seconds after the last frame, in which every episode has sent its last request."""


async def play(episode: Episode, connect: Connect) -> None:
    """Play a short episode to warm up, then what is to be measured.

    That is one, or many at once, or the first turns of new clients, or many that wait for a model that never answers.

    Args:
        episode: Plays one with a client and returns how many actions it took.
        connect: Makes a client for an address: an async context manager.
    """
    given = arguments()
    server, kind = given["url"], given.get("kind", "computer")
    pictures = frames(given.get("frame", FRAME_SIZE))
    async with connect(f"{server}/{_WARM}/{kind.rpartition('-')[2]}") as warm:
        await episode(warm, pictures)
    if "firsts" in given:
        seconds = [await _first(episode, connect, f"{server}/2/{kind}") for _ in range(given["firsts"])]
        report(seconds=seconds)
        return
    many = given.get("many", 1)
    if kind.startswith("held-"):
        async with connect(f"{server}/{given['actions']}/{kind}") as held:
            report(memory=await _waiting(episode, held, pictures, many, many * (1 + given["actions"] // 2)))
        return
    async with connect(f"{server}/{given['actions']}/{kind}") as measured:
        before = resident()
        forget_peak()
        used, began = cpu(), time.perf_counter()
        actions = await _at_once(episode, measured, pictures, many)
        used, began = cpu() - used, time.perf_counter() - began
    assert actions == given["actions"] * many
    report(cpu=used / actions, wall=began / actions, memory=(peak() - before) / many)


async def _at_once(episode: Episode, client: Any, pictures: Iterator[bytes], many: int) -> int:
    """Play so many episodes at the same time."""
    if many == 1:
        return await episode(client, pictures)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_counted(episode(client, pictures))) for _ in range(many)]
    return sum(task.result() for task in tasks)


async def _waiting(episode: Episode, client: Any, pictures: Iterator[bytes], many: int, shown: int) -> float:
    """Return the bytes that each of many episodes holds while it waits for the model, after so many frames in all."""
    before = resident()
    all_shown = asyncio.Event()

    def counted() -> Iterator[bytes]:
        for number, picture in enumerate(pictures, 1):
            if number == shown:
                all_shown.set()
            yield picture

    frames_of_all = counted()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_counted(episode(client, frames_of_all))) for _ in range(many)]
        async with asyncio.timeout(300):
            await all_shown.wait()
        await asyncio.sleep(_SETTLED)
        held = (resident() - before) / many
        for task in tasks:
            task.cancel()
    return held


async def _counted(playing: Awaitable[int]) -> int:
    return await playing


async def _first(episode: Episode, connect: Connect, url: str) -> float:
    """Return the seconds until the model's first turn has been carried out, beginning without a client."""
    pictures = frames()
    next(pictures)  # (the first one is made by then)
    done = 0.0

    def looks() -> Iterator[bytes]:
        nonlocal done
        yield next(pictures)
        done = time.perf_counter()
        yield from pictures

    gc.collect()
    began = time.perf_counter()
    async with connect(url) as client:
        await episode(client, looks())
    return done - began
