"""LangChain: ``create_agent`` with two tools, on either vendor; not streamed, which costs it less."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

from episode import CLICKED, GOAL, base64_of
from langchain.agents import create_agent
from langchain.tools import tool
from measuring import arguments
from playing import play

_VENDOR = arguments()["vendor"]


@asynccontextmanager
async def connect(url: str) -> AsyncIterator[Any]:
    """Give the model, whose client is its own."""
    if _VENDOR == "claude":
        from episode_claude import MODEL
        from langchain_anthropic import ChatAnthropic

        yield ChatAnthropic(model=MODEL, api_key="benchmark", base_url=url, max_retries=0, max_tokens=4096)
    else:
        from episode_openai import MODEL as OPENAI_MODEL
        from langchain_openai import ChatOpenAI

        yield ChatOpenAI(
            model=OPENAI_MODEL, api_key="benchmark", base_url=url, max_retries=0, use_responses_api=True, store=False
        )


def _picture(frame: bytes) -> dict[str, object]:
    return {"type": "image", "base64": base64_of(frame), "mime_type": "image/png"}


async def episode(model: Any, frames: Iterator[bytes]) -> int:
    """Play one episode."""
    done = 0

    @tool
    async def left_click(x: int, y: int) -> str:
        """Click at a point."""
        nonlocal done
        done += 1
        return CLICKED

    @tool
    async def screenshot() -> list[dict[str, object]]:
        """See the screen."""
        nonlocal done
        done += 1
        return [_picture(next(frames))]

    agent = create_agent(model, [left_click, screenshot])
    content = [{"type": "text", "text": GOAL}, _picture(next(frames))]
    first: Any = {"messages": [{"role": "user", "content": content}]}
    await agent.ainvoke(first, {"recursion_limit": 10_000})
    return done


if __name__ == "__main__":
    asyncio.run(play(episode, connect))
