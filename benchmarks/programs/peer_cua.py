"""cua-agent: its loop for Claude over a custom computer, without its pause before each screenshot; not streamed.

It takes a screenshot after every action, the model's own screenshots included, and keeps them all in the history.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

from episode import GOAL, HEIGHT, WIDTH, base64_of

os.environ |= {  # measured is the loop, not what it tells and asks elsewhere
    "CUA_TELEMETRY_ENABLED": "false",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",
}

from cua_agent import ComputerAgent
from playing import play


@asynccontextmanager
async def connect(url: str) -> AsyncIterator[str]:
    """Give the address: the client is its own."""
    yield url


async def episode(url: str, frames: Iterator[bytes]) -> int:
    """Play one episode; an action is one that the model asked for."""
    done = 0

    async def screenshot() -> str:
        return base64_of(next(frames))

    async def click(x: int, y: int, button: str = "left") -> None:
        return None

    agent = ComputerAgent(
        "anthropic/claude-sonnet-4-5-20250929",
        tools=[{"screenshot": screenshot, "click": click, "dimensions": (WIDTH, HEIGHT), "environment": "linux"}],
        screenshot_delay=0,
        telemetry_enabled=False,
        api_key="benchmark",
        api_base=url,
    )
    async for chunk in agent.run([{"role": "user", "content": GOAL}]):
        done += sum(item["type"] == "computer_call" for item in chunk["output"])
    return done


if __name__ == "__main__":
    asyncio.run(play(episode, connect))
