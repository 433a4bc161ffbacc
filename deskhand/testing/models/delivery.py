"""The body of an answer on its way out, with what a fault does to it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

import anyio
from anyio.lowlevel import checkpoint

from .faults import Fault, head
from .wire import ConnectionCutError

__all__ = ["ChunkHook", "deliver"]

ChunkHook = Callable[[bytes], Awaitable[None]]
"""Awaited before each chunk of a body is sent."""


async def deliver(
    chunks: Sequence[bytes], fault: Fault, hook: ChunkHook | None, delivered: Callable[[], None]
) -> AsyncGenerator[bytes, None]:
    """Yields the chunks of a body.

    Args:
        chunks: The whole body.
        fault: What is done to it.
        hook: Awaited before each chunk.
        delivered: Called just before the last chunk of a complete body goes out, since a client may read no further.

    Raises:
        ConnectionCutError: The body ends early, and not cleanly.
    """
    total = sum(map(len, chunks))
    limits = [limit for limit in (fault.cut_after, fault.stall_after) if limit is not None and limit < total]
    sent = head(chunks, min(limits)) if limits else list(chunks)
    complete = not limits and not fault.flood and not fault.ends_after_insert
    for index, chunk in enumerate(sent):
        if hook is not None:
            await hook(chunk)
        else:
            await checkpoint()
        if complete and index == len(sent) - 1:
            delivered()
        yield chunk
    while fault.flood:
        await checkpoint()
        yield fault.flood
    if fault.stall_after in limits:
        await anyio.sleep_forever()
    if fault.cut_after in limits and not fault.clean:
        raise ConnectionCutError
