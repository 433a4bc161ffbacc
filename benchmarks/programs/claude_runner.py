"""The vendor's own loop: ``tool_runner`` with its computer toolset, streaming, the whole history in every request."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator
from typing import Any

from anthropic import AsyncAnthropic
from anthropic.tools import BetaAsyncAbstractComputerToolset20260801, BetaScreenshotResult
from episode_claude import MODEL, connect, goal
from playing import play


class _Computer(BetaAsyncAbstractComputerToolset20260801):
    """A computer that does nothing and shows the next frame."""

    def __init__(self, frames: Iterator[bytes]) -> None:
        super().__init__()
        self._frames = frames
        self.actions = 0

    async def left_click(self, context: Any, input: Any) -> str | None:
        self.actions += 1
        return None

    async def screenshot(self, context: Any, input: Any) -> BetaScreenshotResult:
        self.actions += 1
        return BetaScreenshotResult(data=base64.b64encode(next(self._frames)).decode(), media_type="image/png")


async def episode(client: AsyncAnthropic, frames: Iterator[bytes]) -> int:
    """Play one episode."""
    computer = _Computer(frames)
    first: Any = [{"role": "user", "content": goal(next(frames))}]
    runner = client.beta.messages.tool_runner(
        model=MODEL,
        max_tokens=4096,
        messages=first,
        tools=[computer],
        stream=True,
        thread=False,
    )
    async for stream in runner:
        async for _event in stream:
            pass
    return computer.actions


if __name__ == "__main__":
    asyncio.run(play(episode, connect))
