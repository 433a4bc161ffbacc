"""The vendor's own loop: ``AsyncResponsesToolRunner``, streaming, the whole history in every request."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

from episode import CLICKED
from episode_openai import FUNCTIONS, MODEL, connect, data_url, goal
from measuring import arguments
from openai import AsyncOpenAI
from openai.lib.computer import AsyncComputerToolset
from openai.lib.responses_tool_runner import AsyncRegisteredFunction, AsyncResponsesToolRunner
from playing import play

_KIND = arguments()["kind"].rpartition("-")[2]


class _Screen:
    """A computer that does nothing and shows the next frame."""

    def __init__(self, frames: Iterator[bytes]) -> None:
        self._frames = frames
        self.actions = 0

    async def click(self, action: Any) -> None:
        self.actions += 1

    async def screenshot(self) -> Any:
        self.actions += 1
        return {"type": "computer_screenshot", "image_url": data_url(next(self._frames))}

    async def nothing(self, action: Any) -> None:
        return None

    double_click = drag = keypress = move = scroll = type = wait = nothing

    async def left_click(self, given: dict[str, object]) -> Any:
        self.actions += 1
        return CLICKED

    async def look(self, given: dict[str, object]) -> Any:
        self.actions += 1
        return [{"type": "input_image", "image_url": data_url(next(self._frames)), "detail": "auto"}]


async def episode(client: AsyncOpenAI, frames: Iterator[bytes]) -> int:
    """Play one episode."""
    screen = _Screen(frames)
    if _KIND == "computer":
        runner = AsyncResponsesToolRunner(computer=AsyncComputerToolset(screen))
    else:
        click, look = FUNCTIONS
        runner = AsyncResponsesToolRunner(
            functions=[AsyncRegisteredFunction(click, screen.left_click), AsyncRegisteredFunction(look, screen.look)]
        )
    params: Any = {"model": MODEL, "input": [goal(next(frames))], "store": False}
    await runner.run(client, params, max_steps=1000, stream=True)
    return screen.actions


if __name__ == "__main__":
    asyncio.run(play(episode, connect))
