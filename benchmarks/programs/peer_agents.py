"""openai-agents: an agent with its computer tool or with function tools, streamed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

from agents import (
    Agent,
    AsyncComputer,
    ComputerTool,
    ModelSettings,
    OpenAIResponsesModel,
    Runner,
    ToolOutputImage,
    function_tool,
    set_tracing_disabled,
)
from episode import CLICKED, base64_of
from episode_openai import MODEL, connect, data_url, goal
from measuring import arguments
from openai import AsyncOpenAI
from playing import play

_KIND = arguments()["kind"].rpartition("-")[2]


class _Screen(AsyncComputer):
    """A computer that does nothing and shows the next frame."""

    def __init__(self, frames: Iterator[bytes]) -> None:
        self._frames = frames
        self.actions = 0

    async def screenshot(self) -> str:
        self.actions += 1
        return base64_of(next(self._frames))

    async def click(self, x: int, y: int, button: Any) -> None:
        self.actions += 1

    async def double_click(self, x: int, y: int) -> None:
        return None

    async def scroll(self, x: int, y: int, scroll_x: int, scroll_y: int) -> None:
        return None

    async def type(self, text: str) -> None:
        return None

    async def wait(self) -> None:
        return None

    async def move(self, x: int, y: int) -> None:
        return None

    async def keypress(self, keys: list[str]) -> None:
        return None

    async def drag(self, path: list[tuple[int, int]]) -> None:
        return None

    def functions(self) -> list[Any]:
        """Return the same as function tools."""

        @function_tool
        async def left_click(x: int, y: int) -> str:
            """Click at a point."""
            self.actions += 1
            return CLICKED

        @function_tool
        async def screenshot() -> ToolOutputImage:
            """See the screen."""
            self.actions += 1
            return ToolOutputImage(image_url=data_url(next(self._frames)))

        return [left_click, screenshot]


async def episode(client: AsyncOpenAI, frames: Iterator[bytes]) -> int:
    """Play one episode."""
    first: Any = [goal(next(frames))]
    screen = _Screen(frames)
    agent = Agent(
        name="benchmark",
        model=OpenAIResponsesModel(MODEL, client),
        model_settings=ModelSettings(store=False),
        tools=[ComputerTool(computer=screen)] if _KIND == "computer" else screen.functions(),
    )
    running = Runner.run_streamed(agent, first, max_turns=1000)
    async for _event in running.stream_events():
        pass
    return screen.actions


if __name__ == "__main__":
    set_tracing_disabled(disabled=True)
    asyncio.run(play(episode, connect))
