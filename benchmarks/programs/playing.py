"""Play episodes with the vendor's client and report what they took."""

from __future__ import annotations

import gc
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from anthropic import AsyncAnthropic
from episode import frames
from measuring import arguments, cpu, forget_peak, peak, report, resident

Episode = Callable[[AsyncAnthropic, Iterator[bytes]], Awaitable[int]]


async def play(episode: Episode, new_client: Callable[[str], Any] | None = None) -> None:
    """Play a short episode to warm up, then the one that is measured, or first actions on new clients.

    Args:
        episode: Plays one and returns how many actions it took.
        new_client: Makes the client for an address where first actions are measured; the vendor's where not given.
    """
    given = arguments()
    pictures = frames()
    async with _client(f"{given['url']}/4") as warm:
        await episode(warm, pictures)
    if "firsts" in given:
        seconds = [await _first(episode, new_client or _client, f"{given['url']}/2") for _ in range(given["firsts"])]
        report(seconds=seconds)
        return
    async with _client(f"{given['url']}/{given['actions']}") as measured:
        before = resident()
        forget_peak()
        used, began = cpu(), time.perf_counter()
        actions = await episode(measured, pictures)
        used, began = cpu() - used, time.perf_counter() - began
    assert actions == given["actions"]
    report(cpu=used / actions, wall=began / actions, memory=peak() - before)


def _client(url: str) -> AsyncAnthropic:
    return AsyncAnthropic(api_key="benchmark", base_url=url, max_retries=0)


async def _first(episode: Episode, new_client: Callable[[str], Any], url: str) -> float:
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
    async with new_client(url) as client:
        await episode(client, looks())
    return done - began
